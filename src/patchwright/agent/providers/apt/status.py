# SPDX-License-Identifier: Apache-2.0
"""Reading dpkg's database: its status file, and the changes of an interrupted dpkg that are not yet merged into it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple

from patchwright.agent.errors import MetadataUnreadable
from patchwright.core.package import Package, PackageState

_FIELD = re.compile(rb"^(Package|Status|Architecture|Version):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_ABSENT = ("not-installed", "config-files")


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
        return Package(self.name, self.arch, self.version, self.state)


def read(status: Path) -> Dict[str, Row]:
    """
    Every installed package by `name.arch`, whatever its state; what is gone but for its configuration is left out.

    Args:
        status: dpkg's status file; the `updates` directory beside it holds what a killed dpkg had not merged, and counts.

    Raises:
        MetadataUnreadable: There is no status file, or a stanza of it has an unknown state.
    """
    try:
        stanzas: List[bytes] = status.read_bytes().split(b"\n\n")
        updates = status.parent / "updates"
        pending = sorted(path for path in updates.iterdir() if path.name.isdigit()) if updates.is_dir() else []
        stanzas.extend(part for path in pending for part in path.read_bytes().split(b"\n\n"))
    except OSError as error:
        raise MetadataUnreadable(f"dpkg's database cannot be read: {error}") from None
    return _rows(stanzas)


def is_interrupted(status: Path) -> bool:
    """Whether a dpkg was killed and left changes that the next one merges."""
    updates = status.parent / "updates"
    return updates.is_dir() and any(path.name.isdigit() for path in updates.iterdir())


def _rows(stanzas: Iterable[bytes]) -> Dict[str, Row]:
    rows: Dict[str, Row] = {}
    states = {state.value for state in PackageState}
    for stanza in stanzas:
        fields = {name: value.decode("utf-8", "replace") for name, value in _FIELD.findall(stanza)}
        if b"Package" not in fields:
            continue
        name, arch = fields[b"Package"], fields.get(b"Architecture", "")
        words = fields.get(b"Status", "").split()
        key = f"{name}.{arch}"
        if len(words) != 3 or words[2] in _ABSENT or not fields.get(b"Version"):
            rows.pop(key, None)  # an unmerged change may say that it is gone
            continue
        if words[2] not in states:
            raise MetadataUnreadable(f"dpkg's database says {words[2]!r} of {key}, a state that is not known here")
        rows[key] = Row(name, arch, fields[b"Version"], words[2], words[0] == "hold", words[1] == "reinstreq")
    return rows
