# SPDX-License-Identifier: Apache-2.0
"""Whether a SUSE system asks for a restart: libzypp's own mark, and kernels newer than the running one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import List, Tuple

from patchwright.core.errors import MalformedVersion
from patchwright.core.version import Scheme, compare

# What `zypper needs-rebooting` looks at: libzypp writes it when it installs what /etc/zypp/needreboot names, or a package
# that provides installhint(reboot-needed); it lies in memory and is gone after a restart.
MARK = "run/reboot-needed"

_IMAGES = ("vmlinuz-", "vmlinux-", "Image-", "image-")
_FLAVOUR = re.compile(r"-([A-Za-z].*)$")
_CONTAINERS = ("run/systemd/container", ".dockerenv", "run/.containerenv")


def reasons(root: Path, running: str) -> Tuple[str, ...]:
    """
    Why the system below *root* asks for a restart, sorted.

    Args:
        root: Where its files are.
        running: The release of the running kernel.
    """
    found: List[str] = []
    if (root / MARK).exists():
        found.append("core libraries or services were updated")
    if not any((root / path).exists() for path in _CONTAINERS):
        found.extend(_newer_kernel(root, running))
    return tuple(sorted(found))


def _newer_kernel(root: Path, running: str) -> List[str]:
    """The newest kernel of the running one's flavour, as its image in /boot and its modules name it."""
    flavour, newest = _flavour(running), running
    for release in {*_images(root / "boot"), *_modules(root)}:
        if flavour and _flavour(release) == flavour and _is_newer(release, newest):
            newest = release
    return [f"kernel {newest} is installed, {running} is running"] if newest != running else []


def _images(directory: Path) -> List[str]:
    try:
        names = [path.name for path in directory.iterdir()]
    except OSError:
        return []
    return [name[len(prefix) :] for name in names for prefix in _IMAGES if name.startswith(prefix)]


def _modules(root: Path) -> List[str]:
    """Where the kernel's image lies with its modules, as newer releases have it."""
    return [path.parent.name for tree in ("lib", "usr/lib") for path in root.glob(f"{tree}/modules/*/vmlinuz")]


def _is_newer(one: str, other: str) -> bool:
    try:
        return compare(Scheme.RPM, one, other) > 0
    except MalformedVersion:
        return False


def _flavour(release: str) -> str:
    found = _FLAVOUR.search(release)
    return found.group(1) if found else ""
