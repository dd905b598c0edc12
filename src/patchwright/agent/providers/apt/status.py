# SPDX-License-Identifier: Apache-2.0
"""Reading dpkg's database: its status file, and the changes of an interrupted dpkg that are not yet merged into it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Dict, Iterable, NamedTuple, Optional, Set, Tuple

from patchwright.agent.errors import MetadataUnreadable
from patchwright.core.package import Package, PackageState

_FIELD = re.compile(rb"^(Package|Status|Architecture|Version):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
# Neither a field, nor more of the field above, nor the end of a stanza: dpkg would not read it, and neither do we.
_NO_LINE = re.compile(rb"\n(?![ \t\n]|[!-9;-~]+:|\Z)")
_ABSENT = ("not-installed", "config-files")
_LIST = ".list"  # dpkg's list of the files of each package that is there, `name.list` or `name:arch.list`


class Row(NamedTuple):
    """One package as dpkg knows it. *reinstall* means dpkg will do nothing with it until it is unpacked again."""

    name: str
    arch: str
    version: str
    state: str
    held: bool = False
    reinstall: bool = False

    @property
    def key(self) -> str:
        """`name.arch`."""
        return f"{self.name}.{self.arch}"

    @property
    def done(self) -> bool:
        """Whether nothing is left to do for this version."""
        return PackageState(self.state).usable and not self.reinstall

    @property
    def package(self) -> Package:
        """The row of a package set."""
        wrecked = self.reinstall and PackageState(self.state).usable
        return Package(self.name, self.arch, self.version, PackageState.HALF_INSTALLED.value if wrecked else self.state)


def read(status: Path) -> Dict[str, Row]:
    """
    Every installed package by `name.arch`, whatever its state; what is gone but for its configuration is left out.

    Args:
        status: dpkg's status file; the `updates` directory beside it holds what a killed dpkg had not merged, and counts.

    Raises:
        MetadataUnreadable: There is no status file, it was cut off or written over, or packages are lost from it: what it
            does not name would be taken for absent, and a node without packages misses nothing.
    """
    before = _version(status)
    try:
        return _read(status)
    except MetadataUnreadable:
        if _version(status) == before:
            raise
    return _read(status)  # a dpkg at work had merged its changes while we read


def _version(status: Path) -> Optional[Tuple[int, int]]:
    """Another one after every time that dpkg wrote the status file; None where there is none."""
    try:
        found = status.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _read(status: Path) -> Dict[str, Row]:
    updates, info = status.parent / "updates", status.parent / "info"
    try:
        listed = _listed(info)  # first: a dpkg at work may add packages meanwhile
        parts = [(status, status.read_bytes())]
        pending = sorted(path for path in updates.iterdir() if path.name.isdigit()) if updates.is_dir() else []
        parts.extend((path, path.read_bytes()) for path in pending)
    except OSError as error:
        raise MetadataUnreadable(f"dpkg's database cannot be read: {error}") from None
    for path, content in parts:
        _check(path, content)
    known: Set[str] = set()
    rows = _rows((stanza for _, content in parts for stanza in content.split(b"\n\n")), known)
    lost = sorted(file for file in listed if file[: -len(_LIST)].partition(":")[0] not in known)
    lost = [file for file in lost if (info / file).exists()]  # nor may it have removed them
    if lost:
        more = f" and {len(lost) - 1} more" if lost[1:] else ""
        raise MetadataUnreadable(
            f"dpkg's database has lost {lost[0][: -len(_LIST)]}{more}: {info} still lists the files; restore it, or remove"
            " the lists of what is gone for good"
        )
    return rows


def is_interrupted(status: Path) -> bool:
    """Whether a dpkg was killed and left changes that the next one merges."""
    updates = status.parent / "updates"
    return updates.is_dir() and any(path.name.isdigit() for path in updates.iterdir())


def _listed(info: Path) -> Set[str]:
    """The names of dpkg's file lists; none where there are none at all."""
    try:
        return {name for name in os.listdir(str(info)) if name.endswith(_LIST)}  # noqa: PTH208 - thousands
    except FileNotFoundError:
        return set()


def _check(path: Path, content: bytes) -> None:
    """Raise MetadataUnreadable where *content* is no file as dpkg writes it."""
    if content and not content.endswith(b"\n"):
        raise MetadataUnreadable(f"dpkg's database is damaged: {path} ends in the middle of a line")
    wrong = _NO_LINE.search(b"\n" + content)
    if wrong or b"\0" in content:
        line = content.count(b"\n", 0, wrong.start() if wrong else content.index(b"\0")) + 1
        raise MetadataUnreadable(f"dpkg's database is damaged: line {line} of {path} is none that dpkg writes")


def _rows(stanzas: Iterable[bytes], known: Set[str]) -> Dict[str, Row]:
    """What is installed; the names of all stanzas, of what is gone too, are added to *known*."""
    rows: Dict[str, Row] = {}
    states = {state.value for state in PackageState}
    for stanza in stanzas:
        fields = {name: value.decode("utf-8", "replace") for name, value in _FIELD.findall(stanza)}
        if b"Package" not in fields:
            continue
        name, arch = fields[b"Package"], fields.get(b"Architecture", "")
        known.add(name)
        words = fields.get(b"Status", "").split()
        key = f"{name}.{arch}"
        if not words or words[-1] in _ABSENT:
            rows.pop(key, None)  # an unmerged change may say that it is gone
            continue
        if len(words) != 3 or words[2] not in states:
            raise MetadataUnreadable(f"dpkg's database says {words[-1]!r} of {key}, a state that is not known here")
        if not fields.get(b"Version") or not arch:
            raise MetadataUnreadable(f"dpkg's database does not say which version of {key} is {words[2]}")
        rows[key] = Row(name, arch, fields[b"Version"], words[2], words[0] == "hold", words[1] == "reinstreq")
    return rows
