# SPDX-License-Identifier: Apache-2.0
"""
Patches: the unit that a baseline approves and a compliance state belongs to (design D3, spec §2.5).

On apt and rpm a patch is one `name.arch` in one version, as all repositories of a node together describe it. It says nothing
of what is installed, so that one decision serves every node that sees the same offer. On SUSE it is the vendor's patch, which
goes by its name and brings several packages; it carries those of them whose names the node has.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Collection, Dict, Iterable, List, Mapping, Optional, Tuple

from patchwright.core.advisory import Fixed, Notice, severity_rank
from patchwright.core.package import Manager, Offer, OffersSlice, Origin
from patchwright.core.system import Family

SECURITY = "Security"  # the classification of a patch that comes from an apt security archive (spec §2.5)


@dataclass(frozen=True)
class Patch:
    """
    One version of one package, with all that rules can ask about it.

    *security* is true where at least one repository that offers it is a security archive (apt). *notices* are those that name
    exactly this version (rpm), or the patch itself (SUSE). *build_time* is in epoch seconds, 0 where unknown. *advised* is
    false where no repository of the node has a notice for anything it has (rpm). *packages*, on SUSE alone, are those of the
    patch that the node has in some version; there *arch* and *version* are empty.
    """

    family: Family
    name: str
    arch: str
    version: str
    product: str = ""
    security: bool = False
    section: str = ""
    priority: str = ""
    repositories: Tuple[str, ...] = ()
    build_time: int = 0
    notices: Tuple[Notice, ...] = ()
    advised: bool = True
    packages: Tuple[Fixed, ...] = ()

    @property
    def key(self) -> str:
        """`name.arch`, AWS's KBId on Linux; on SUSE the patch's name."""
        return self.name if self.family is Family.ZYPP else f"{self.name}.{self.arch}"

    @property
    def title(self) -> str:
        """AWS's Title on Linux: `name.arch:epoch:version-release` on rpm, `name.arch:version` on apt; on SUSE the name."""
        return self.name if self.family is Family.ZYPP else title(self.family, self.key, self.version)

    @property
    def classification(self) -> str:
        """The kind of its weightiest notice, as the API spells it; on apt Security or nothing (spec §2.5)."""
        if self.family is Family.APT:
            return SECURITY if self.security else ""
        best = self._weightiest()
        return _capital(best.classification) if best else ""

    @property
    def severity(self) -> str:
        """The highest severity of its notices; on apt the priority of the package (spec §2.5)."""
        if self.family is Family.APT:
            return self.priority.capitalize()
        best = self._weightiest()
        return _capital(best.severity) if best else ""

    @property
    def cves(self) -> Tuple[str, ...]:
        """Every CVE id its notices name, sorted."""
        return tuple(sorted({cve for notice in self.notices for cve in notice.cves}))

    @property
    def epoch(self) -> str:
        """The epoch of its version, 0 where there is none."""
        epoch, colon, _ = self.version.partition(":")
        return epoch if colon else "0"

    @property
    def upstream(self) -> str:
        """Its version without epoch and release."""
        return self._bare.rpartition("-")[0] or self._bare

    @property
    def release(self) -> str:
        """What follows the last hyphen of its version, dpkg's revision; empty where there is none."""
        return self._bare.rpartition("-")[2] if "-" in self._bare else ""

    @property
    def _bare(self) -> str:
        epoch, colon, rest = self.version.partition(":")
        return rest if colon else epoch

    @property
    def day(self) -> Optional[datetime.date]:
        """The latest UTC day of its notices, else that on which it was built, where known (spec §2.4)."""
        return max((notice.date for notice in self.notices if notice.date), default=None) or self.build_day

    @property
    def build_day(self) -> Optional[datetime.date]:
        """The UTC day on which the package was built, where known."""
        if not self.build_time:
            return None
        return datetime.datetime.fromtimestamp(self.build_time, datetime.timezone.utc).date()

    def _weightiest(self) -> Optional[Notice]:
        ranked = sorted(self.notices, key=lambda notice: (severity_rank(notice.severity), notice.id))
        return ranked[0] if ranked else None


def _capital(word: str) -> str:
    """A vendor's word as the API spells it: `Security`, not `security`."""
    return word[:1].upper() + word[1:]


def title(family: Family, key: str, version: str) -> str:
    """The Title of a package row: rpm versions always show their epoch, dpkg's only where there is one."""
    if family is not Family.APT and ":" not in version:
        version = "0:" + version
    return f"{key}:{version}"


def patches(
    family: Family,
    product: str,
    slices: Iterable[OffersSlice],
    notices: Mapping[str, Notice],
    *,
    modules: Collection[str] = (),
    installed: Collection[str] = (),
) -> Tuple[Patch, ...]:
    """
    Every patch that *slices* together offer, sorted by name, architecture and version text.

    Args:
        family: How the node's system selects patches.
        product: The node's product, such as `Debian12`; each patch carries it for PRODUCT filters.
        slices: One a repository. The same version in several of them is one patch.
        notices: By id. An id that is missing here is treated as if no notice named the package.
        modules: The enabled module streams, `name:stream`: what belongs to another is no patch of this node (rpm).
        installed: The `name.arch` that the node has. Needed on SUSE alone, where each notice that lists packages is a patch.
    """
    if family is Family.ZYPP:
        return _vendor_patches(product, slices, notices, frozenset(installed))
    offers: Dict[Tuple[str, ...], List[_Offered]] = {}
    for part in slices:
        origin = part.origin
        repository = origin.name
        ordinary = not (part.manager is Manager.APT and origin.is_security)
        for offer in part.offers:
            if not offer.module or offer.module in modules:
                offers.setdefault(offer[:3], []).append((ordinary, origin, offer, repository))
    advised = family is not Family.RPM or bool(notices)
    return tuple(_merge(family, product, found, notices, advised) for _, found in sorted(offers.items()))


def _vendor_patches(
    product: str, slices: Iterable[OffersSlice], notices: Mapping[str, Notice], installed: Collection[str]
) -> Tuple[Patch, ...]:
    repositories: Dict[str, List[str]] = {}
    for part in slices:
        for name in {name for offer in part.offers for name in offer.notices}:
            repositories.setdefault(name, []).append(part.origin.name)
    return tuple(
        Patch(
            Family.ZYPP,
            name,
            arch="",
            version="",
            product=product,
            repositories=tuple(sorted(set(repositories.get(name, ())))),
            notices=(notice,),
            packages=tuple(package for package in notice.packages if package.key in installed),
        )
        for name, notice in sorted(notices.items())
        if notice.packages
    )


_Offered = Tuple[bool, Origin, Offer, str]  # not from a security archive, where from, what, the repository's short name


def _merge(family: Family, product: str, found: List[_Offered], notices: Mapping[str, Notice], advised: bool) -> Patch:
    # Where repositories disagree on section or priority, the security archive's word counts, then the first in order.
    if len(found) > 1:
        found.sort()
    ordinary, _, offer, repository = found[0]
    section, priority, build_time, ids = offer.section, offer.priority, offer.build_time, offer.notices
    repositories: Tuple[str, ...] = (repository,)
    if len(found) > 1:
        others = [row[2] for row in found]
        section = next((other.section for other in others if other.section), "")
        priority = next((other.priority for other in others if other.priority), "")
        build_time = max(other.build_time for other in others)
        ids = tuple(sorted({name for other in others for name in other.notices}))
        repositories = tuple(sorted({row[3] for row in found}))
    return Patch(
        family=family,
        name=offer.name,
        arch=offer.arch,
        version=offer.version,
        product=product,
        security=not ordinary,
        section=section,
        priority=priority,
        repositories=repositories,
        build_time=build_time,
        notices=tuple([notices[name] for name in ids if name in notices]) if ids else (),
        advised=advised,
    )
