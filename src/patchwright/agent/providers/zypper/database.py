# SPDX-License-Identifier: Apache-2.0
"""What is installed, as resolving and installing look at it."""

from __future__ import annotations

from typing import Dict, Iterable, NamedTuple, Tuple

from patchwright.agent.errors import MetadataUnreadable
from patchwright.agent.providers.rpm.database import Row, by_key
from patchwright.core.package import Package


class Installed(NamedTuple):
    """What is installed: versions by `name.arch`, oldest first; more than one where versions stand side by side."""

    versions: Dict[str, Tuple[str, ...]]
    packages: Tuple[Package, ...]

    def newest(self) -> Dict[str, str]:
        """The newest installed version by `name.arch`."""
        return {key: versions[-1] for key, versions in self.versions.items()}

    def has(self, key: str, version: str) -> bool:
        """Whether that version is installed."""
        return version in self.versions.get(key, ())


def of(rows: Iterable[Row]) -> Installed:
    """
    The rows of rpm's database.

    Raises MetadataUnreadable where there are none at all: rpm says nothing of a database that is lost, and a node without
    packages misses nothing.
    """
    several = by_key(rows)
    if not several:
        raise MetadataUnreadable("rpm knows no installed package: its database is lost, or lies elsewhere")
    versions = {key: tuple(dict.fromkeys(row.version for row in found)) for key, found in several.items()}
    return Installed(versions, tuple(row.package for found in several.values() for row in found))
