# SPDX-License-Identifier: Apache-2.0
"""The processes of a node, found and ended through its control group, which no process can leave."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from .commands import FarmError, until
from .machine import cgroup_roots, memory_controller

ROOT = "pwfarm"


class Cgroup:
    """A group in every hierarchy that systemd uses: `pwfarm/FARM`, or `pwfarm/FARM/NODE`."""

    def __init__(self, farm: str, node: str = "") -> None:
        self.farm = farm
        self.paths = [root / ROOT / farm / node for root in cgroup_roots()]
        memory = memory_controller()
        self._memory = memory / ROOT / farm / node if memory else None  # exists once there is a limit

    def make(self) -> None:
        """Create it."""
        for path in self.paths:
            until(partial(_made, path), what=f"a group {path}")

    def entering(self, argv: Sequence[str], sub: str = "") -> list[str]:
        """*argv*, started inside the group (or its child *sub*, made here)."""
        files = []
        for path in self.paths:
            (path / sub).mkdir(parents=True, exist_ok=True)
            files.append(str(path / sub / "cgroup.procs"))
        if self._memory is not None and self._memory.is_dir():
            files.append(str(self._memory / "cgroup.procs"))
        enter = 'while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done; shift; exec "$@"'
        return ["sh", "-c", enter, "enter", *files, "--", *argv]

    def pids(self, sub: str = "") -> set[int]:
        """Every process in the group and below, by host pid."""
        found: set[int] = set()
        for path in self.paths:
            for folder in _folders(path / sub):
                with contextlib.suppress(OSError):  # gone or threaded in the meantime
                    found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
        return found - {0}

    def kill(self, sub: str = "", sig: int = signal.SIGKILL) -> None:
        """Signal every process in the group; SIGKILL also waits until all have gone."""

        def gone() -> bool:
            pids = self.pids(sub)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sig)
            return sig != signal.SIGKILL or not pids

        until(gone, what=f"the end of all processes in {self.paths[0]}/{sub}", every=0.005)

    def remove(self) -> None:
        """End its processes and take it away."""
        self.kill()
        for path in [*self.paths, *([self._memory] if self._memory else [])]:
            for folder in reversed(_folders(path)):
                until(partial(_removed, folder), what=f"an empty {folder}")
            with contextlib.suppress(OSError):  # other farms are there
                path.parent.rmdir()

    def limit_memory(self, limit: int | None) -> None:
        """
        Let all its processes together have *limit* bytes, those to come included; None ends the limit.

        Beyond it the kernel kills the largest of them. Works with the memory controller of version 1 and of version 2.

        Raises:
            FarmError: The machine has no memory controller, or it cannot be given to the group.
        """
        if self._memory is not None:
            until(partial(_made, self._memory), what=f"a group {self._memory}")
            self._gather(self._memory)
            (self._memory / "memory.limit_in_bytes").write_text(str(limit or -1))
            return
        unified = self._unified()
        for parent in (unified.parents[2], unified.parents[1], unified.parents[0]):
            if "memory" not in (parent / "cgroup.controllers").read_text().split():
                raise FarmError(f"{parent} has no memory controller: memory cannot be limited on this machine")
            (parent / "cgroup.subtree_control").write_text("+memory")
        (unified / "memory.max").write_text(str(limit or "max"))

    def killed_for_memory(self) -> int:
        """How many of its processes the kernel has killed because of the limit."""
        file = self._memory / "memory.oom_control" if self._memory else self._unified() / "memory.events"
        return sum(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith("oom_kill "))

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all its processes for a while, all at once and without their knowing."""
        unified = self._unified()
        (unified / "cgroup.freeze").write_text("1")
        try:
            until(lambda: "frozen 1" in (unified / "cgroup.events").read_text(), what="a frozen node", every=0.002)
            yield
        finally:
            (unified / "cgroup.freeze").write_text("0")

    def _unified(self) -> Path:
        for path in self.paths:
            if (path / "cgroup.freeze").exists():
                return path
        raise FarmError("this machine has no unified cgroup hierarchy, so a node that runs cannot be frozen or limited")

    def _gather(self, target: Path) -> None:
        """Move every process into *target*, until those that were started meanwhile are there too."""

        def gathered() -> bool:
            inside = {int(pid) for pid in (target / "cgroup.procs").read_text().split()}
            for pid in self.pids() - inside:
                with contextlib.suppress(OSError):  # it has ended
                    (target / "cgroup.procs").write_text(str(pid))
            return self.pids() <= inside

        until(gathered, what=f"all processes in {target}", every=0.002)

    def forget(self, sub: str) -> None:
        """Delete the child group *sub* where no process is left in it."""
        for path in self.paths:
            with contextlib.suppress(OSError):
                (path / sub).rmdir()


def _folders(path: Path) -> list[Path]:
    """*path* and all below it, parents first; groups that vanish meanwhile are skipped."""
    return [Path(folder) for folder, _, _ in os.walk(path)]


def _made(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:  # another farm, the last one so far, has just taken away what is above it
        return False
    return True


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # a process is still on its way out
        return False
    return True
