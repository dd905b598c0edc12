# SPDX-License-Identifier: Apache-2.0
"""
What a node has and what its repositories offer: packages, package sets, offers slices, and their digests.

Sets and slices are content-addressed (design D2): the digest is the SHA-256 of the canonical form below, prefixed by the
name of the format. Nodes that have the same packages share one set, whoever they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from patchwright.core.errors import DigestMismatch, MalformedFacts
from patchwright.core.version import Scheme

SET_FORMAT = "set1"
SLICE_FORMAT = "slice1"
FACTS_LIMIT_BYTES = 32 * 1024 * 1024  # of one canonical form; a full Debian main slice of one node is about 200 KB
ROWS_LIMIT = 200_000
FIELD_LIMIT = 512  # characters of one field; no longer than the longest version that can be compared
NOTICES_LIMIT = 32 * 1024  # characters of the notice ids of one offer, all together
BUILD_TIME_LIMIT = 253_402_300_800  # the year 10000, which dates do not reach


class Manager(Enum):
    """The package managers a node can have. The value names the provider's file and the purl type's origin."""

    APT = "apt"
    DNF = "dnf"
    ZYPPER = "zypper"

    @property
    def scheme(self) -> Scheme:
        """The version order of this manager."""
        return Scheme.DPKG if self is Manager.APT else Scheme.RPM


class PackageState(str, Enum):
    """What the package database says of an installed package. Anything but INSTALLED is unfinished work."""

    INSTALLED = "installed"
    UNPACKED = "unpacked"
    HALF_CONFIGURED = "half-configured"
    HALF_INSTALLED = "half-installed"
    TRIGGERS_AWAITED = "triggers-awaited"
    TRIGGERS_PENDING = "triggers-pending"

    @property
    def usable(self) -> bool:
        """Whether the package is configured. Pending triggers belong to other packages' work: dpkg runs them later."""
        return self in (PackageState.INSTALLED, PackageState.TRIGGERS_AWAITED, PackageState.TRIGGERS_PENDING)


class Package(NamedTuple):
    """One installed package. *version* is the manager's full form: `epoch:upstream-revision`, epoch only if not 0."""

    name: str
    arch: str
    version: str
    state: str = PackageState.INSTALLED.value

    @property
    def key(self) -> str:
        """`name.arch`, what AWS calls KBId on Linux."""
        return f"{self.name}.{self.arch}"


class Offer(NamedTuple):
    """One version that one repository offers for an installed name and architecture."""

    name: str
    arch: str
    version: str
    section: str = ""
    priority: str = ""
    build_time: int = 0  # epoch seconds; 0: not known
    module: str = ""  # module stream, `name:stream`; empty: none
    notices: Tuple[str, ...] = ()  # notice ids, sorted

    @property
    def key(self) -> str:
        """`name.arch`."""
        return f"{self.name}.{self.arch}"


class Origin(NamedTuple):
    """Which repository a slice comes from, without its address: mirrors of one archive share their slices."""

    origin: str = ""
    label: str = ""
    suite: str = ""
    codename: str = ""
    component: str = ""

    @property
    def name(self) -> str:
        """What REPOSITORY filters call it."""
        return self.codename or self.suite or self.label

    @property
    def is_security(self) -> bool:
        """
        Whether this is a distribution's security archive on apt (spec §2.5).

        Debian says it in the label and the code name (`bookworm-security`, up to buster `buster/updates`),
        Ubuntu in the suite (`jammy-security`), where the code name is the plain release.
        """
        if self.label == "Debian-Security":
            return True
        names = (self.suite, self.codename)
        return self.origin in ("Debian", "Ubuntu", "Raspbian") and any(name.endswith("-security") for name in names)


@dataclass(frozen=True)
class PackageSet:
    """Every installed package of a node, sorted, with its state. Equal sets have equal digests."""

    manager: Manager
    packages: Tuple[Package, ...]

    @classmethod
    def of(cls, manager: Manager, packages: Iterable[Package]) -> PackageSet:
        """The set of *packages* in canonical order. Raises MalformedFacts where a row cannot be written down."""
        rows = sorted(set(packages))
        _check_count(len(rows))
        for package in rows:
            _check_fields(package, package[:3])
        return cls(manager, tuple(rows))

    def canonical(self) -> bytes:
        """The form that is hashed and sent: a header line, then one tab-separated line a package, in order."""
        lines = [f"{SET_FORMAT}\t{self.manager.value}"]
        lines.extend("\t".join(package) for package in self.packages)
        return ("\n".join(lines) + "\n").encode()

    @property
    def digest(self) -> str:
        """`set1:` and the SHA-256 of the canonical form."""
        return _digest(SET_FORMAT, self.canonical())

    @classmethod
    def parse(cls, body: bytes) -> PackageSet:
        """Read a canonical form; anything else raises MalformedFacts, a body in another order too."""
        header, rows = _read(body, SET_FORMAT, header_fields=2, row_fields=4)
        states = {state.value for state in PackageState}
        packages = [Package(*row) for row in rows]
        for package in packages:
            if package.state not in states:
                raise MalformedFacts(f"package {package.key} has the unknown state {package.state!r}")
        result = cls.of(_manager(header[1]), packages)
        if result.canonical() != body:
            raise MalformedFacts("the package set is not in canonical order")
        return result

    def by_key(self) -> Dict[str, Tuple[Package, ...]]:
        """Packages by `name.arch`; more than one where the manager installs versions side by side (kernels on rpm)."""
        result: Dict[str, List[Package]] = {}
        for package in self.packages:
            result.setdefault(package.key, []).append(package)
        return {key: tuple(packages) for key, packages in result.items()}


@dataclass(frozen=True)
class OffersSlice:
    """What one repository offers for the installed names of a node: every version, older ones too."""

    manager: Manager
    origin: Origin
    offers: Tuple[Offer, ...]

    @classmethod
    def of(cls, manager: Manager, origin: Origin, offers: Iterable[Offer]) -> OffersSlice:
        """The slice of *offers* in canonical order. Raises MalformedFacts where a row cannot be written down."""
        rows = sorted({offer._replace(notices=tuple(sorted(set(offer.notices)))) for offer in offers})
        _check_count(len(rows))
        _check_fields(origin, ())
        for offer in rows:
            _check_fields((*offer[:5], offer.module), offer[:3])
            _check_offer(offer)
        return cls(manager, origin, tuple(rows))

    def canonical(self) -> bytes:
        """The form that is hashed and sent: a header line with the origin, then one line an offer, in order."""
        lines = ["\t".join((SLICE_FORMAT, self.manager.value, *tuple(self.origin)))]
        lines.extend("\t".join(_offer_row(offer)) for offer in self.offers)
        return ("\n".join(lines) + "\n").encode()

    @property
    def digest(self) -> str:
        """`slice1:` and the SHA-256 of the canonical form."""
        return _digest(SLICE_FORMAT, self.canonical())

    @classmethod
    def parse(cls, body: bytes) -> OffersSlice:
        """Read a canonical form; anything else raises MalformedFacts, a body in another order too."""
        header, rows = _read(body, SLICE_FORMAT, header_fields=7, row_fields=8)
        offers = [_read_offer(row) for row in rows]
        result = cls.of(_manager(header[1]), Origin(*header[2:]), offers)
        if result.canonical() != body:
            raise MalformedFacts("the offers slice is not in canonical order")
        return result


def check_digest(claimed: str, body: bytes) -> None:
    """Raise DigestMismatch unless *body* is what *claimed* (`format:hex`) names."""
    actual = _digest(claimed.partition(":")[0], body)
    if actual != claimed:
        raise DigestMismatch(claimed, actual)


def purl(manager: Manager, package: Package, *, namespace: str = "") -> str:
    """The package URL of *package*: `pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64`."""
    kind = "deb" if manager is Manager.APT else "rpm"
    middle = f"{_percent(namespace)}/" if namespace else ""
    return f"pkg:{kind}/{middle}{_percent(package.name)}@{_percent(package.version)}?arch={_percent(package.arch)}"


def _percent(text: str) -> str:
    plain = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:")
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in text.encode())


def _digest(form: str, body: bytes) -> str:
    return f"{form}:{hashlib.sha256(body).hexdigest()}"


def _manager(name: str) -> Manager:
    try:
        return Manager(name)
    except ValueError:
        raise MalformedFacts(f"{name!r} is no package manager known here") from None


def _offer_row(offer: Offer) -> Tuple[str, ...]:
    build_time = str(offer.build_time) if offer.build_time else ""
    return (*offer[:5], build_time, offer.module, ",".join(offer.notices))


def _read_offer(row: Tuple[str, ...]) -> Offer:
    build_time: Optional[int] = 0
    if row[5]:
        build_time = int(row[5]) if row[5].isascii() and row[5].isdigit() and len(row[5]) < 16 else None
    if build_time is None:
        raise MalformedFacts(f"the build time {row[5]!r} of {row[0]} is no number of seconds")
    if len(row[7]) > NOTICES_LIMIT:
        raise MalformedFacts(f"the notices of {row[0][:80]!r} are longer than the {NOTICES_LIMIT} characters allowed")
    notices = tuple(row[7].split(",")) if row[7] else ()
    return Offer(row[0], row[1], row[2], row[3], row[4], build_time, row[6], notices)


def _check_count(count: int) -> None:
    if count > ROWS_LIMIT:
        raise MalformedFacts(f"{count} rows, more than the {ROWS_LIMIT} allowed")


def _check_fields(fields: Sequence[str], identity: Sequence[str]) -> None:
    """Whether *fields* can be written down, and none of *identity* (name, architecture, version) is empty."""
    for field in fields:
        if len(field) > FIELD_LIMIT:
            raise MalformedFacts(f"a field of {len(field)} characters, starting {field[:40]!r}")
        if not field.isprintable():
            raise MalformedFacts(f"a field with a control character: {field[:80]!r}")
    if not all(identity):
        raise MalformedFacts(f"a row without a name, an architecture or a version: {tuple(identity)!r}")


def _check_offer(offer: Offer) -> None:
    if not 0 <= offer.build_time < BUILD_TIME_LIMIT:
        raise MalformedFacts(f"the build time {offer.build_time} of {offer.key} is no number of seconds")
    written = ",".join(offer.notices)
    if len(written) > NOTICES_LIMIT:
        raise MalformedFacts(f"{len(offer.notices)} notices of {offer.key}, longer than the {NOTICES_LIMIT} allowed")
    for notice in offer.notices:
        if not notice or "," in notice or not notice.isprintable():
            raise MalformedFacts(f"{notice[:80]!r} is no notice id")


def _read(
    body: bytes, form: str, *, header_fields: int, row_fields: int
) -> Tuple[Tuple[str, ...], List[Tuple[str, ...]]]:
    if len(body) > FACTS_LIMIT_BYTES:
        raise MalformedFacts(f"a body of {len(body)} bytes, more than the {FACTS_LIMIT_BYTES} allowed")
    _check_count(body.count(b"\n") - 1)  # before it is taken apart: a line takes a hundred times its bytes in memory
    try:
        lines = body.decode().split("\n")
    except UnicodeDecodeError as error:
        raise MalformedFacts(f"the body is not UTF-8: {error}") from None
    header = tuple(lines[0].split("\t", header_fields))
    if header[0] != form or len(header) != header_fields or lines[-1] != "":
        raise MalformedFacts(f"the body does not start as {form} does, or does not end with a line end")
    rows = [tuple(line.split("\t", row_fields)) for line in lines[1:-1]]
    for row in rows:
        if len(row) != row_fields:
            number = "more" if len(row) > row_fields else str(len(row))
            raise MalformedFacts(f"a line of {number} fields where {form} has {row_fields}")
    return header, rows
