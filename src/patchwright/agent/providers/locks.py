# SPDX-License-Identifier: Apache-2.0
"""Waiting for the locks of package managers, and saying who holds them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple, TypeVar

from patchwright.agent.clock import Clock
from patchwright.agent.errors import LockHeld

POLL_SECONDS = 1.0
Value = TypeVar("Value")


class Holder(NamedTuple):
    """Who holds a lock, as far as the message says; *pid* 0 where it does not."""

    path: str
    pid: int
    command: str


class Locks:
    """The locks at *paths*, taken in vain for at most *seconds*."""

    def __init__(self, paths: Sequence[Path], *, clock: Clock, seconds: float, proc: Path = Path("/proc")) -> None:
        self._paths = tuple(paths)
        self._clock = clock
        self._seconds = seconds
        self._proc = proc

    def wait_for(self, attempt: Callable[[], Value], refused: Callable[[Value], Optional[Holder]]) -> Value:
        """
        Call *attempt* once nobody is seen to hold a lock, and again while *refused* finds in its answer that somebody does.

        Raises LockHeld, naming the holder, when the time is up.
        """
        begin = self._clock.monotonic()
        while True:
            holder = self.holder()
            if holder is None:
                value = attempt()
                holder = refused(value)
                if holder is None:
                    return value
                holder = self._completed(holder)
            waited = self._clock.monotonic() - begin
            if waited >= self._seconds:
                raise LockHeld(holder.path, holder.pid, holder.command, waited_seconds=waited)
            self._clock.sleep(min(POLL_SECONDS, max(0.01, self._seconds - waited)))

    def holder(self) -> Optional[Holder]:
        """Who holds one of the locks now; None where nobody is seen to."""
        inodes = {path.stat().st_ino: path for path in self._paths if path.exists()}
        for pid, inode in self._held():
            path_held = inodes.get(inode)
            if path_held is not None and pid != os.getpid() and self._has_open(pid, path_held):
                return Holder(str(path_held), pid, self._command(pid))
        return None

    def _held(self) -> List[Tuple[int, int]]:
        """(pid, inode) of every lock in /proc/locks; `->` marks those who only wait for one."""
        found = []
        try:
            lines = (self._proc / "locks").read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return []
        for line in lines:
            words = line.split()
            if len(words) >= 8 and words[1] != "->" and words[4].isdigit() and words[5].count(":") == 2:
                inode = words[5].rpartition(":")[2]
                found.append((int(words[4]), int(inode) if inode.isdigit() else 0))
        return found

    def _has_open(self, pid: int, path: Path) -> bool:
        # The inode number alone may belong to another file system, and /proc/locks names devices that stat does not.
        try:
            return any(_same(entry, path) for entry in (self._proc / str(pid) / "fd").iterdir())
        except OSError:
            return False

    def _command(self, pid: int) -> str:
        try:
            line = (self._proc / str(pid) / "cmdline").read_bytes()
        except OSError:
            return ""
        return line.replace(b"\0", b" ").decode("utf-8", "replace").strip()[:200]

    def _completed(self, holder: Holder) -> Holder:
        return holder._replace(command=self._command(holder.pid) or holder.command) if holder.pid else holder


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
