# SPDX-License-Identifier: Apache-2.0
"""Entries of a baseline's explicit lists, and which packages and patches they name (spec §2.6)."""

from __future__ import annotations

from patchwright.core.system import Family

ANY = "*"


def names_package(family: Family, entry: str, name: str, arch: str, version: str) -> bool:
    """
    Whether an entry of an explicit list names this package version.

    apt: the bare name, which covers every version. rpm: `name-version-release.arch`, with or without the epoch. SUSE: the rpm
    file `name-version-release.arch.rpm`, which never shows an epoch. On rpm and SUSE one `*` may stand for anything; more than
    one name nothing. It is the whole text that must match, in its own case.
    """
    if family is Family.APT:
        return entry == name
    epoch, colon, bare = version.partition(":")
    if not colon:
        epoch, bare = "0", version
    if family is Family.ZYPP:
        return matches(entry, rpm_file(name, arch, version))
    return matches(entry, f"{name}-{bare}.{arch}") or matches(entry, f"{name}-{epoch}:{bare}.{arch}")


def rpm_file(name: str, arch: str, version: str) -> str:
    """The name of the file that holds a package: `name-version-release.arch.rpm`, without the epoch."""
    epoch, colon, bare = version.partition(":")
    return f"{name}-{bare if colon else epoch}.{arch}.rpm"


def matches(entry: str, text: str) -> bool:
    """Whether *entry*, in which one `*` may stand for anything, is all of *text*."""
    if ANY not in entry:
        return entry == text
    if entry.count(ANY) > 1:
        return False
    head, _, tail = entry.partition(ANY)
    return len(text) >= len(head) + len(tail) and text.startswith(head) and text.endswith(tail)
