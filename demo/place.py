# SPDX-License-Identifier: Apache-2.0
"""
Where a demo lives on a machine, and how what a killed one left behind is found and taken away.

A demo has a number, a private folder of that number, and a lock beside it that dies with the process. Nothing is mounted
below the folder as the machine sees it, so leftovers are files, and processes that name the folder in their arguments.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import time
from pathlib import Path

HOME = Path("/var/tmp")
KEPT = "kept"  # a file of this name: the folder was left on purpose
END_SECONDS = 10.0
TRIES = 1000  # to get a folder while other demos come and go


class NoPlace(Exception):
    """There is nowhere to put the demo's files."""


class Place:
    """A demo's own folder, empty at first. `close` takes away everything in it and every process that uses it."""

    def __init__(self, home: Path | None = None) -> None:
        self.base = home or HOME / f"patchwright-demo-{os.geteuid()}"
        for _ in range(TRIES):
            try:
                self._take()
            except FileNotFoundError:  # the last demo has just ended, and has taken the home with it
                continue
            return
        raise NoPlace(f"{self.base} goes away again and again")

    def _take(self) -> None:
        """Make the home where there is none, sweep it, and take the first free number in it."""
        base = self.base
        base.mkdir(mode=0o700, exist_ok=True)
        if base.is_symlink() or base.stat().st_uid != os.geteuid() or base.stat().st_mode & 0o077:
            raise NoPlace(f"{base} belongs to somebody else, or others may look into it; remove it or set it right")
        self.swept = sweep(base)
        for number in range(1, 1000):
            folder = base / str(number)
            lock = None if folder.exists() else _try_lock(_lock_file(folder))
            if lock is not None and not folder.exists():
                folder.mkdir(mode=0o700)
                self.folder, self._lock = folder, lock
                return
            if lock is not None:
                os.close(lock)
        raise NoPlace(f"{base} is full of kept demos; remove those you no longer need")

    def close(self, *, keep: bool = False) -> None:
        """End what still runs and delete the folder, or leave it (*keep*) for reading."""
        end_processes(self.folder)
        if keep:
            (self.folder / KEPT).touch()
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        _lock_file(self.folder).unlink(missing_ok=True)
        os.close(self._lock)
        with contextlib.suppress(OSError):  # another demo is there
            self.base.rmdir()


def sweep(base: Path) -> list[str]:
    """Take away what demos of dead processes left below *base*; their numbers."""
    found = []
    for name in sorted({path.name.removesuffix(".lock") for path in base.iterdir()}):
        folder = base / name
        lock = None if (folder / KEPT).exists() else _try_lock(_lock_file(folder))
        if lock is None:
            continue
        if folder.is_dir():
            found.append(name)
            end_processes(folder)
            shutil.rmtree(folder, ignore_errors=True)
        _lock_file(folder).unlink(missing_ok=True)
        os.close(lock)
    return found


def end_processes(folder: Path) -> list[int]:
    """Kill every process that was started with a path in *folder*, and wait until all are gone; their ids."""
    killed: list[int] = []
    deadline = time.monotonic() + END_SECONDS
    while True:
        using = _using(folder)
        if not using or time.monotonic() > deadline:
            return killed
        for pid in using:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            if pid not in killed:
                killed.append(pid)
        time.sleep(0.02)


def _using(folder: Path) -> list[int]:
    wanted = f"{folder}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if entry.stat().st_uid == os.geteuid() and any(word.startswith(wanted) for word in words):
                found.append(int(entry.name))
    return found


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _try_lock(file: Path) -> int | None:
    """A locked descriptor of *file*, which no child inherits; None when another demo holds it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_nlink == 0:  # its demo has just ended and deleted it
        os.close(descriptor)
        return None
    return descriptor
