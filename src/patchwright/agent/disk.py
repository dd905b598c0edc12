# SPDX-License-Identifier: Apache-2.0
"""
Files that are either there or not: written beside, synced, renamed, and the directory synced.

A reserve file keeps room on a full disk, so that what a run has done can still be written down and reported (design D10).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from patchwright.agent import log
from patchwright.agent.clock import Clock
from patchwright.core.errors import PatchwrightError

RESERVE_NAME = "reserve"
LOOKS, LOOK_SECONDS = 20, 0.01
_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(PatchwrightError):
    """The state directory cannot be written, even with the reserve given up."""


class Damaged(PatchwrightError):
    """A file of the state directory that is not what was written: no JSON object, or cut short."""


class Disk:
    """
    The agent's state directory.

    *reserve_bytes* is the size of the reserve file; 0 keeps none. Every write is durable when it returns.
    """

    def __init__(self, root: Path, reserve_bytes: int = 0) -> None:
        self.root = root
        self._reserve_bytes = reserve_bytes

    def write(self, path: Path, data: bytes) -> None:
        """Write *path* (mode 0600) so that a crash leaves the old content or the new. Raises DiskFull, OSError."""
        try:
            _write(path, data)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            log.error(f"the disk is full: the reserve is given up to write {path.name}")
            self.release_reserve()
            try:
                _write(path, data)
            except OSError as again:
                if again.errno not in _FULL:
                    raise
                raise DiskFull(f"{path} cannot be written: the disk is full") from again

    def write_json(self, path: Path, value: Any) -> None:
        """Write *value* as JSON; see `write`."""
        self.write(path, json.dumps(value, separators=(",", ":")).encode())

    def remove(self, path: Path) -> None:
        """Remove *path* durably; one that is not there is as good."""
        try:
            path.unlink()
        except FileNotFoundError:
            return
        sync_directory(path.parent)

    def directory(self, *parts: str) -> Path:
        """The directory of that name below the root, made durably (mode 0700) where it is not there, and those above it."""
        path = missing = self.root.joinpath(*parts)
        above = []
        while not missing.is_dir():
            above.append(missing)
            missing = missing.parent
        for one in reversed(above):
            one.mkdir(exist_ok=True, mode=0o700)
            sync_directory(one.parent)
        return path

    def release_reserve(self) -> None:
        """Give the reserve's room back to the disk."""
        self.remove(self.root / RESERVE_NAME)

    @property
    def reserve(self) -> Tuple[str, int]:
        """The reserve file and its size in bytes."""
        return str(self.root / RESERVE_NAME), self._reserve_bytes

    def keep_reserve(self) -> bool:
        """Make the reserve where it is missing. False: there is no room for it, and no new work should be accepted."""
        path = self.root / RESERVE_NAME
        if not self._reserve_bytes or (path.exists() and path.stat().st_size == self._reserve_bytes):
            return True
        try:
            _allocate(path, self._reserve_bytes)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self.remove(path)
            return False
        return True

    def has_room(self) -> bool:
        """Whether the reserve is there and as much again is free: too little to begin anything where not."""
        if not self.keep_reserve():
            return False
        left = os.statvfs(str(self.root))
        return left.f_bavail * left.f_frsize >= self._reserve_bytes


class Lock:
    """
    A lock that ends with its holder: whoever holds it is alive, whatever process ids say.

    Not inherited by started processes. `take` answers False where another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: Optional[int] = None

    def take(self) -> bool:
        """Take the lock without waiting."""
        descriptor = os.open(str(self._path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        self._descriptor = descriptor
        return True

    def take_from_lookers(self, clock: Clock) -> bool:
        """Take the lock, with patience for those who only look whether it is held: looking takes it for a moment."""
        for _ in range(LOOKS):
            if self.take():
                return True
            clock.sleep(LOOK_SECONDS)
        return False

    @property
    def descriptor(self) -> int:
        """The descriptor that holds the lock; raises ValueError where it is not held."""
        if self._descriptor is None:
            raise ValueError(f"{self._path} is not locked")
        return self._descriptor

    def take_over(self, descriptor: int) -> None:
        """Hold the lock by its *descriptor*, in the program that the process which took it has become."""
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; not holding it is as good."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def held(self) -> bool:
        """Whether some process, this one included, holds the lock now."""
        if self._descriptor is not None:
            return True
        if not self._path.exists():
            return False
        if self.take():
            self.release()
            return False
        return True


def read_json(path: Path) -> Dict[str, Any]:
    """The JSON object in *path*. Raises FileNotFoundError; Damaged where it is anything else."""
    data = path.read_bytes()
    try:
        value = json.loads(data.decode())
    except ValueError as error:
        raise Damaged(f"{path} is damaged: {error}") from None
    if not isinstance(value, dict):
        raise Damaged(f"{path} is damaged: no JSON object")
    return value


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(str(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(str(beside), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        beside.rename(path)
    except OSError:
        beside.unlink() if beside.exists() else None
        raise
    sync_directory(path.parent)


def _allocate(path: Path, size: int) -> None:
    descriptor = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
