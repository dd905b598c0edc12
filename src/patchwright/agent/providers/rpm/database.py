# SPDX-License-Identifier: Apache-2.0
"""The rpm database: what is installed, since when, and what is there twice."""

from __future__ import annotations

from typing import Dict, Iterable, List, NamedTuple, Tuple

from patchwright.agent.errors import MetadataUnreadable
from patchwright.agent.shell import Shell
from patchwright.core.package import Package
from patchwright.core.version import Scheme, compare
from patchwright.core.version import key as version_key

TIMEOUT_SECONDS = 300.0
FORMAT = "%{NAME}\\t%{ARCH}\\t%{EPOCHNUM}\\t%{VERSION}-%{RELEASE}\\t%{INSTALLTIME}\\n"
NO_PACKAGES = ("gpg-pubkey",)  # keys, which rpm keeps as if they were packages


class Row(NamedTuple):
    """One installed package. *installed_at* is in epoch seconds."""

    name: str
    arch: str
    version: str
    installed_at: int

    @property
    def key(self) -> str:
        """`name.arch`."""
        return f"{self.name}.{self.arch}"

    @property
    def package(self) -> Package:
        """The row as the package set has it: rpm knows nothing that is half installed."""
        return Package(self.name, self.arch, self.version)


def read(shell: Shell) -> Tuple[Row, ...]:
    """Every installed package; raises CommandError where rpm cannot say, MetadataUnreadable where its words make no sense."""
    return parse(shell.run(["rpm", "-qa", "--queryformat", FORMAT], timeout=TIMEOUT_SECONDS).stdout)


def parse(text: str) -> Tuple[Row, ...]:
    """The rows that `rpm -qa --queryformat FORMAT` prints, keys left out."""
    rows = []
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) != 5 or not all(fields) or not fields[4].isdigit():
            raise MetadataUnreadable(f"rpm says {line[:200]!r} of a package")
        name, arch, epoch, version, installed_at = fields
        if name not in NO_PACKAGES:
            rows.append(Row(name, arch, evr(epoch, version), int(installed_at)))
    return tuple(rows)


def evr(epoch: str, version: str) -> str:
    """`epoch:version-release`, the epoch only where it is not 0. An epoch that is left out may be written `(none)`."""
    return version if epoch in ("", "0", "(none)") else f"{epoch}:{version}"


def by_key(rows: Iterable[Row]) -> Dict[str, List[Row]]:
    """The rows by `name.arch`, the oldest version first; more than one for what is installed side by side."""
    found: Dict[str, List[Row]] = {}
    for row in rows:
        found.setdefault(row.key, []).append(row)
    for several in found.values():
        several.sort(key=lambda row: sort_key(row.version))
    return found


def newest(rows: Iterable[Row]) -> Dict[str, str]:
    """The newest installed version by `name.arch`."""
    return {key: several[-1].version for key, several in by_key(rows).items()}


def is_newer(one: str, other: str) -> bool:
    """Whether version *one* is newer than *other*."""
    return compare(Scheme.RPM, one, other) > 0


def nevra(name: str, arch: str, version: str) -> str:
    """`name-epoch:version-release.arch`, as dnf and rpm take it for one package and no other."""
    full = version if ":" in version else f"0:{version}"
    return f"{name}-{full}.{arch}"


def sort_key(version: str) -> bytes:
    """Bytes that sort as rpm sorts versions."""
    return version_key(Scheme.RPM, version)
