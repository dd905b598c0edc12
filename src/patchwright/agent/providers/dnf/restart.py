# SPDX-License-Identifier: Apache-2.0
"""Whether an rpm system asks for a restart: a kernel newer than the running one, and what was installed since the boot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Collection, Dict, List, Sequence, Set, Tuple

from patchwright.agent.providers.rpm.database import Row, sort_key

# What dnf's own needs-restarting counts, and the microcode that the kernel loads at its start.
CORE = (
    "kernel", "kernel-core", "kernel-PAE", "kernel-rt", "kernel-rt-core", "kernel-uek", "kernel-uek-core", "kernel-default",
    "glibc", "hal", "linux-firmware", "microcode_ctl", "systemd", "udev", "dbus", "dbus-broker", "dbus-daemon",
    "openssl-libs", "gnutls", "zlib",
)  # fmt: skip
KERNELS = tuple(name for name in CORE if name.startswith("kernel"))
CONTAINER = ("run/systemd/container", ".dockerenv", "run/.containerenv")
Identity = Tuple[str, str, str]


def reasons(
    root: Path,
    *,
    running: str,
    booted_at: float,
    rows: Sequence[Row],
    suggested: Callable[[Set[Identity]], Collection[Tuple[Identity, str]]],
) -> Tuple[str, ...]:
    """
    Why the system below *root* asks for a restart, sorted.

    Args:
        root: Where its files are.
        running: The release of the running kernel.
        booted_at: Epoch seconds.
        rows: What is installed.
        suggested: Of some packages, those for which a notice suggests a restart, with the notice's id.
    """
    found: List[str] = []
    if not any((root / path).exists() for path in CONTAINER):
        found.extend(_newer_kernel(rows, running))
    since = {row[:3]: row for row in rows if row.installed_at > booted_at}
    core = {*CORE, *_named(root)}
    told: Dict[str, str] = {}
    for row in since.values():
        if row.name in core:
            told[row.key] = f"{row.name} {row.version} was installed since the system started"
    others = {identity for identity, row in since.items() if row.key not in told}
    for (name, arch, version), notice in suggested(others) if others else ():
        told.setdefault(f"{name}.{arch}", f"{notice} asks for a restart after installing {name} {version}")
    return tuple(sorted({*found, *told.values()}))


def _newer_kernel(rows: Sequence[Row], running: str) -> List[str]:
    """A kernel of the running one's kind with a higher version."""
    releases = {f"{row.version.rpartition(':')[2]}.{row.arch}": row for row in rows if row.name in KERNELS}
    current = releases.get(running)
    if current is None:
        return []
    newest = max((row for row in rows if row.key == current.key), key=lambda row: sort_key(row.version))
    if newest.version == current.version:
        return []
    return [f"kernel {newest.version} is installed, {running} is running"]


def _named(root: Path) -> List[str]:
    """Further names that the node's own configuration of needs-restarting has."""
    directory = root / "etc/dnf/plugins/needs-restarting.d"
    names: List[str] = []
    for path in sorted(directory.glob("*.conf")) if directory.is_dir() else []:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        names.extend(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    return names


def booted_at(now: float, proc: Path = Path("/proc")) -> float:
    """When this system's init started, in epoch seconds; a container's is later than its host's. 0 where it cannot be read."""
    try:
        fields = (proc / "1/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        uptime = (proc / "uptime").read_text(encoding="ascii", errors="replace").split()[0]
        return now - float(uptime) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
