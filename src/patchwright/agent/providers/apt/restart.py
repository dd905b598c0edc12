# SPDX-License-Identifier: Apache-2.0
"""Whether a Debian system asks for a restart: packages that say so, and kernels newer than the running one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import List, Mapping, Optional, Tuple

from patchwright.agent.providers.apt.status import Row
from patchwright.core.version import Scheme, compare

# 6.1.0-42-cloud-amd64, 6.12.57+deb13-amd64, 6.8.0-1021-aws: the flavour starts at the first word after a hyphen.
_FLAVOUR = re.compile(r"-([A-Za-z].*)$")
_DEBIAN_BUILD = re.compile(r"\bDebian (\d\S*) \(")


def reasons(root: Path, running: str, rows: Mapping[str, Row]) -> Tuple[str, ...]:
    """
    Why the system below *root* asks for a restart, sorted.

    Args:
        root: Where its files are.
        running: The release of the running kernel.
        rows: What is installed.
    """
    found = _asked(root)
    if not _is_container(root):
        found.extend(_newer_kernels(root, running))
        found.extend(_rebuilt_kernel(root, running, rows))
    return tuple(sorted(set(found)))


def _asked(root: Path) -> List[str]:
    """What /run/reboot-required says; Ubuntu's packages write it, and Debian's where its helpers are installed."""
    if not (root / "run/reboot-required").exists():
        return []
    try:
        names = (root / "run/reboot-required.pkgs").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        names = []
    return [f"{name[:100]} asks for a restart" for name in names[:100]] or ["the system asks for a restart"]


def _is_container(root: Path) -> bool:
    """Whether the running kernel is somebody else's."""
    return any((root / path).exists() for path in ("run/systemd/container", ".dockerenv", "run/.containerenv"))


def _newer_kernels(root: Path, running: str) -> List[str]:
    flavour = _flavour(running)
    try:
        images = [path.name.partition("-")[2] for path in (root / "boot").iterdir() if path.name.startswith("vmlinuz-")]
    except OSError:
        return []
    images = [release for release in images if flavour and _flavour(release) == flavour]
    newest = ""
    for release in images:
        if not newest or compare(Scheme.DPKG, release, newest) > 0:
            newest = release
    if newest and compare(Scheme.DPKG, newest, running) > 0:
        return [f"kernel {newest} is installed, {running} is running"]
    return []


def _rebuilt_kernel(root: Path, running: str, rows: Mapping[str, Row]) -> List[str]:
    """A security update may keep the kernel's release; Debian then still shows its version in /proc/version."""
    try:
        built = _DEBIAN_BUILD.search((root / "proc/version").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return []
    row: Optional[Row] = next((row for row in rows.values() if row.name == f"linux-image-{running}"), None)
    if built and row and row.done and compare(Scheme.DPKG, row.version, built.group(1)) > 0:
        return [f"kernel {running} is installed as {row.version}, {built.group(1)} is running"]
    return []


def _flavour(release: str) -> str:
    found = _FLAVOUR.search(release)
    return found.group(1) if found else ""
