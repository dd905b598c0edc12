# SPDX-License-Identifier: Apache-2.0
"""Which of the machine's mounts a twin gets, and how: read from /proc/self/mountinfo, decided without touching anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

LOCAL = frozenset(
    ("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "nilfs2", "bcachefs", "zfs", "tmpfs", "ramfs")
)
COPIED = frozenset(("vfat", "exfat", "msdos"))  # overlayfs refuses them: their names are case-insensitive
COPY_LIMIT_BYTES = 300 * 1024 * 1024
FRESH = ("/proc", "/sys", "/dev", "/run", "/tmp")  # every twin has its own
# What the machine's name resolution is made of. Containers mount single files there.
COPIED_FILES = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
# Where packages put their files, and where the package manager keeps its own. A twin without them is none.
_PACKAGED = ("/usr", "/etc", "/boot", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_KEPT = ("/", "/var", "/var/lib", "/var/lib/dpkg", "/var/lib/apt", "/var/cache", "/var/cache/apt", "/var/log")
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo. *writable*: mounted for writing, and the file system behind it too."""

    id: int
    target: str
    kind: str
    source: str
    writable: bool
    directory: bool = True
    used_bytes: int = 0


class How(Enum):
    """What a twin gets in the place of a mount."""

    OVERLAY = "an overlay: reads from the machine, writes to the twin"
    COPY = "a copy"
    HIDDEN = "nothing"


@dataclass(frozen=True)
class Layer:
    """One mount and what the twin gets for it. *essential*: without it there is no twin."""

    target: str
    how: How
    essential: bool
    why: str = ""


class Unisolated(Exception):
    """What cannot be kept apart from the machine, each with its reason."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


def read(mountinfo: str) -> list[Mount]:
    """The mounts of a mountinfo file, in its order. What is not in the file (directory, size) has its default."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, source, options) = before.split(), after.split(maxsplit=2)
        writable = "rw" in fields[5].split(",") and "rw" in options.split(",")
        found.append(Mount(int(fields[0]), _plain(fields[4]), kind, _plain(source), writable))
    return found


def is_essential(target: str) -> bool:
    """Whether packages or the package manager keep files there."""
    path = PurePosixPath(target)
    if target.startswith("/usr/local/"):
        return False
    return target in _KEPT or any(path == base or base in path.parents for base in map(PurePosixPath, _PACKAGED))


def plan(mounts: Iterable[Mount], *, visible: Callable[[Mount], bool] = lambda _: True) -> list[Layer]:
    """
    What a twin gets for every mount that is *visible* (not covered by another), parents first.

    Raises Unisolated where a mount that the twin cannot do without can neither be overlaid nor copied.
    """
    layers, reasons = [], []
    for mount in mounts:
        if is_fresh(mount.target) or not visible(mount):
            continue
        layer = _layer(mount)
        if layer.how is How.HIDDEN and layer.essential:
            reasons.append(f"{mount.target} {layer.why}")
        layers.append(layer)
    if reasons:
        raise Unisolated(reasons)
    return sorted(layers, key=lambda layer: PurePosixPath(layer.target).parts)


def _layer(mount: Mount) -> Layer:
    essential = mount.directory and is_essential(mount.target)
    if not mount.directory:
        how = How.COPY if mount.target in COPIED_FILES else How.HIDDEN
        return Layer(mount.target, how, essential, "is a single mounted file")
    if not mount.writable:
        return Layer(mount.target, How.HIDDEN, essential, "is mounted read-only: no package can be installed there")
    if mount.kind in LOCAL or (mount.kind == "overlay" and mount.target == "/"):
        return Layer(mount.target, How.OVERLAY, essential)
    if mount.kind in COPIED and mount.used_bytes <= COPY_LIMIT_BYTES:
        return Layer(mount.target, How.COPY, essential)
    return Layer(mount.target, How.HIDDEN, essential, f"is a {mount.kind} mount, which cannot be overlaid")


def is_fresh(target: str) -> bool:
    """Whether every twin has its own of that."""
    return any(target == base or target.startswith(f"{base}/") for base in FRESH)


def _plain(text: str) -> str:
    """mountinfo writes blanks and the like as octal numbers."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
