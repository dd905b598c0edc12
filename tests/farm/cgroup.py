# SPDX-License-Identifier: Apache-2.0
"""The processes of a node, found and ended through its control group, which no process can leave."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from .commands import until
from .machine import cgroup_roots

ROOT = "pwfarm"


class Cgroup:
    """A group in every hierarchy that systemd uses: `pwfarm/FARM`, or `pwfarm/FARM/NODE`."""

    def __init__(self, farm: str, node: str = "") -> None:
        self.farm = farm
        self.paths = [root / ROOT / farm / node for root in cgroup_roots()]

    def make(self) -> None:
        """Create it."""
        for path in self.paths:
            path.mkdir(parents=True, exist_ok=True)

    def entering(self, argv: Sequence[str], sub: str = "") -> list[str]:
        """*argv*, started inside the group (or its child *sub*, made here)."""
        files = []
        for path in self.paths:
            (path / sub).mkdir(parents=True, exist_ok=True)
            files.append(str(path / sub / "cgroup.procs"))
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
        for path in self.paths:
            for folder in reversed(_folders(path)):
                until(partial(_removed, folder), what=f"an empty {folder}")
            with contextlib.suppress(OSError):  # other farms are there
                path.parent.rmdir()

    def forget(self, sub: str) -> None:
        """Delete the child group *sub* where no process is left in it."""
        for path in self.paths:
            with contextlib.suppress(OSError):
                (path / sub).rmdir()


def _folders(path: Path) -> list[Path]:
    """*path* and all below it, parents first; groups that vanish meanwhile are skipped."""
    return [Path(folder) for folder, _, _ in os.walk(path)]


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # a process is still on its way out
        return False
    return True
