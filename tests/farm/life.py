# SPDX-License-Identifier: Apache-2.0
"""Where farms live on a machine, and how what one left behind is found and taken away."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from . import roots
from .cgroup import Cgroup
from .commands import FarmUnavailable

HOME = Path("/var/tmp/pwfarm")  # a folder and a lock for each farm; who holds the lock is alive
WATCHES = Path("/proc/sys/fs/inotify/max_user_instances")
WATCHES_WANTED = 1024  # 128, the kernel's default, stops at about the thirtieth node
WATCHES_BEFORE = HOME / "max_user_instances"


class Claim:
    """
    A farm's place: a number, an empty folder, a lock that ends with the process.

    Attributes:
        folder: Everything the farm mounts or writes is below it.
    """

    def __init__(self) -> None:
        """Sweep what is dead, then take the smallest free number."""
        with alone():
            sweep_dead()
            for number in range(1, 1000):
                lock = _try_lock(_lock_file(HOME / str(number)))
                if lock is not None:
                    self._lock = lock
                    self.folder = HOME / str(number)
                    _sweep(self.folder)
                    self.folder.mkdir()
                    _raise_watches()
                    return
        raise FarmUnavailable("a thousand farms are running")

    def release(self) -> None:
        """End every process and mount of the farm, delete its folder; the last farm puts the machine back as it was."""
        _sweep(self.folder)
        with alone():
            _lock_file(self.folder).unlink(missing_ok=True)
            os.close(self._lock)
            if not list(HOME.glob("*.lock")):
                _restore_watches()
                for shared in (HOME, Path("/run/systemd/nspawn")):
                    with contextlib.suppress(OSError):  # somebody else uses it
                        shared.rmdir()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Meanwhile no farm of another process comes, goes or sweeps."""
    while True:
        HOME.mkdir(mode=0o700, exist_ok=True)
        try:
            home = os.open(HOME, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:  # the last farm has just taken it away
            continue
        except NotADirectoryError:
            raise FarmUnavailable(f"{HOME} is no directory of ours") from None
        fcntl.flock(home, fcntl.LOCK_EX)
        if os.fstat(home).st_nlink:
            break
        os.close(home)  # taken away while we waited for it
    try:
        if os.fstat(home).st_uid != os.geteuid():
            raise FarmUnavailable(f"{HOME} belongs to somebody else")
        yield
    finally:
        os.close(home)


def sweep() -> list[str]:
    """Take away what farms of dead processes left behind; their numbers."""
    with alone():
        return sweep_dead()


def sweep_dead() -> list[str]:
    """The same for who is `alone` already."""
    found = []
    for file in sorted(HOME.glob("*.lock")):
        lock = _try_lock(file)
        if lock is None:
            continue
        folder = file.with_suffix("")
        if folder.is_dir():
            found.append(folder.name)
            _sweep(folder)
        file.unlink(missing_ok=True)
        os.close(lock)
    return found


def _lock_file(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _try_lock(file: Path) -> int | None:
    """A locked descriptor of *file*, not inherited by children; None when another farm holds it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_nlink == 0:  # its farm has just closed and deleted it
        os.close(descriptor)
        return None
    return descriptor


def _sweep(folder: Path) -> None:
    """End every process and mount of the farm that lived in *folder*, and delete it. Touches nothing else."""
    Cgroup(folder.name).remove()
    roots.unmount_below(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _raise_watches() -> None:
    """Raise the limit on inotify instances; what it was is kept in a file, in case this process dies."""
    before = WATCHES.read_text()
    if int(before) < WATCHES_WANTED:
        with contextlib.suppress(OSError):  # read-only in a container: fewer nodes, then
            WATCHES.write_text(str(WATCHES_WANTED))
            WATCHES_BEFORE.write_text(before)


def _restore_watches() -> None:
    if WATCHES_BEFORE.exists():
        WATCHES.write_text(WATCHES_BEFORE.read_text())
        WATCHES_BEFORE.unlink()
