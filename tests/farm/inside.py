# SPDX-License-Identifier: Apache-2.0
"""Processes started from outside in a booted node: in all its namespaces, its control group, with its capabilities."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from .cgroup import Cgroup
from .commands import CLEAN_ENV, CommandFailed, FarmError, Result, Timeout

_lock = threading.Lock()
_started = 0


def clamp(init: int) -> list[str]:
    """
    The prefix that takes away what the node's own init may not do.

    nsenter alone keeps the host's capabilities: `date -s` would move the machine's clock.
    """
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{init}/status").read_text().splitlines() if ":\t" in line
    )
    allowed = int(status["CapBnd"], 16)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    dropped = [f"-cap_{number}" for number in range(last + 1) if not allowed >> number & 1]
    if "-cap_25" not in dropped:
        raise FarmError("the node's init may set the clock; refusing to start anything in it")
    return ["setpriv", f"--bounding-set={','.join(dropped)}", "--inh-caps=-all", "--no-new-privs"]


def enter(init: int, cgroup: Cgroup, argv: Sequence[str], env: Mapping[str, str] | None) -> tuple[list[str], str]:
    """The whole command line that runs *argv* inside, and the name of the child group its processes are in."""
    global _started  # noqa: PLW0603 - a counter of the process
    with _lock:
        _started += 1
        group = f"payload/farm.exec/{_started}"
    variables = {**CLEAN_ENV, **(env or {})}
    # --wd is init's own directory; `--wd=/` would be the host's root, and a relative path would lead out of the node.
    command = [
        "nsenter", f"--target={init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd",
        *clamp(init), "env", "-i", *(f"{key}={value}" for key, value in variables.items()), *argv,
    ]  # fmt: skip
    return cgroup.entering(command, group), group


class Process:
    """A process that runs inside a node while the test goes on. Its output goes to `log`, a file of the host."""

    def __init__(self, argv: Sequence[str], command: Sequence[str], cgroup: Cgroup, group: str, log: Path) -> None:
        self.argv = tuple(argv)
        self.log = log
        self._cgroup = cgroup
        self._group = group
        with log.open("ab") as out:
            self._outer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=CLEAN_ENV)

    @property
    def pid(self) -> int | None:
        """Its pid on the host, or None when it has ended (or not yet begun)."""
        for pid in self._cgroup.pids(self._group):
            if _parent(pid) == self._outer.pid:
                return pid
        return None

    def poll(self) -> int | None:
        """Its code, negative for a signal; None while it runs."""
        return self._outer.poll()

    def wait(self, timeout: float = 100) -> int:
        """Wait for its end and return its code.

        Raises:
            Timeout: It still runs.
        """
        try:
            return self._outer.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise Timeout(f"{' '.join(self.argv)} did not end within {timeout} s; it said:\n{self.text()}") from error

    def kill(self, sig: int = signal.SIGKILL, *, children: bool = True) -> None:
        """Signal it, and with *children* also everything it has started; a process that has ended is left alone."""
        if children:
            self._cgroup.kill(self._group, sig)
            return
        pid = self.pid
        if pid is not None:
            os.kill(pid, sig)

    def text(self) -> str:
        """All it has printed so far."""
        return self.log.read_text(errors="replace")


def run(
    command: Sequence[str], *, argv: Sequence[str], cgroup: Cgroup, group: str, stdin: str | None, timeout: float
) -> Result:
    """Run a command line made by `enter` to its end; at *timeout* all its processes are killed."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=CLEAN_ENV,
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired as error:
            cgroup.kill(group)
            out, err = process.communicate()
            raise Timeout(f"{' '.join(argv)} did not end within {timeout} s; it said:\n{out}\n{err}") from error
    cgroup.forget(group)
    return Result(tuple(argv), process.returncode, out, err)


def checked(result: Result) -> Result:
    """*result*, or `CommandFailed` when its code is not 0."""
    if result.code != 0:
        raise CommandFailed(result)
    return result


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
