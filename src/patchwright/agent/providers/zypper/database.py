# SPDX-License-Identifier: Apache-2.0
"""Reading what rpm says is installed."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Tuple

from patchwright.agent.errors import MetadataUnreadable
from patchwright.core.package import Package
from patchwright.core.version import Scheme, key

QUERY = "%{NAME}\\t%{ARCH}\\t%|EPOCH?{%{EPOCH}}:{0}|\\t%{VERSION}-%{RELEASE}\\n"
KEYS = "gpg-pubkey"  # the keys that rpm knows are rows of its database


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


def read(listing: str) -> Installed:
    """
    What `rpm -qa` lists with the format `QUERY`.

    Raises MetadataUnreadable where a line is none of the format, or there is no package at all: rpm says nothing of a
    database that is lost, and a node without packages misses nothing.
    """
    found: Dict[str, List[str]] = {}
    packages = []
    for line in listing.splitlines():
        fields = line.split("\t")
        if len(fields) != 4 or not all(fields):
            raise MetadataUnreadable(f"rpm lists {line[:200]!r}, which is no package")
        name, arch, epoch, version = fields
        if name == KEYS:
            continue
        version = version if epoch == "0" else f"{epoch}:{version}"
        packages.append(Package(name, arch, version))
        found.setdefault(f"{name}.{arch}", []).append(version)
    if not packages:
        raise MetadataUnreadable("rpm knows no installed package: its database is lost, or lies elsewhere")
    versions = {name: tuple(sorted(set(several), key=_order)) for name, several in found.items()}
    return Installed(versions, tuple(packages))


def _order(version: str) -> bytes:
    return key(Scheme.RPM, version)
