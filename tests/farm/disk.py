# SPDX-License-Identifier: Apache-2.0
"""A node's disk: what it writes, over the read-only layers it shares; limited, filled, copied away and put back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .commands import FarmError, host
from .roots import Overlay

BALLAST = "ballast"


class Disk:
    """
    The root directory of one node, mounted at `root`.

    Args:
        folder: Of the node; all this disk has is below it.
        lowers: The read-only layers, topmost first.
        limit: Bytes the node may write, 0 for as many as the machine has. Limited, it is kept in memory (a tmpfs).
    """

    def __init__(self, folder: Path, lowers: Sequence[Path], *, limit: int = 0) -> None:
        self._store = folder / "disk"
        self._snapshots = folder / "snapshots"
        self._limit = limit
        self._overlay = Overlay(self._store, lowers, root=folder / "root")
        self._kept = 0

    @property
    def root(self) -> Path:
        """Where it is mounted on the host."""
        return self._overlay.root

    def mount(self) -> None:
        """Make and mount it."""
        self._store.mkdir(parents=True)
        if self._limit:
            host(["mount", "-t", "tmpfs", "-o", f"size={self._limit},mode=700", "pwfarm", str(self._store)])
        self._overlay.mount()

    def unmount(self) -> None:
        """Unmount it; where it is limited, its content goes with it."""
        self._overlay.unmount()
        if self._limit:
            host(["umount", str(self._store)])

    def fill(self, leave: int) -> None:
        """
        Leave *leave* bytes to the node. What takes the rest lies beside its files, where it does not see it.

        Raises:
            FarmError: The disk is not limited, or fuller than that already.
        """
        if not self._limit:
            raise FarmError("only a limited disk can be filled: make the node with disk_bytes=…")
        self.free()
        left = os.statvfs(self._store)
        ballast = left.f_bavail * left.f_frsize - leave
        if ballast < 0:
            raise FarmError(f"only {ballast + leave} bytes are free")
        with (self._store / BALLAST).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, ballast))

    def free(self) -> None:
        """Give back what `fill` took."""
        (self._store / BALLAST).unlink(missing_ok=True)

    def keep(self) -> int:
        """Copy what the node has written so far, while nothing writes; the number of the copy, from 1."""
        self._snapshots.mkdir(exist_ok=True)
        self._kept += 1
        host(["cp", "--archive", "--reflink=auto", str(self._overlay.upper), str(self._snapshots / str(self._kept))])
        return self._kept

    def restore(self, number: int) -> None:
        """Make the disk what it was when copy *number* was made; the node is off. The copy can be used again."""
        kept = self._snapshots / str(number)
        if not kept.is_dir():
            raise FarmError(f"there is no snapshot {number}")
        self._overlay.unmount()
        shutil.rmtree(self._overlay.upper)
        shutil.rmtree(self._overlay.work)
        host(["cp", "--archive", "--reflink=auto", str(kept), str(self._overlay.upper)])
        self._overlay.mount()
