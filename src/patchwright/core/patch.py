# SPDX-License-Identifier: Apache-2.0
"""
Patches: the unit that a baseline approves and a compliance state belongs to (design D3, spec §2.5).

On apt and rpm a patch is one `name.arch` in one version, as all repositories of a node together describe it. It says nothing
of what is installed, so that one decision serves every node that sees the same offer.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Dict, Iterable, List, Mapping, Optional, Tuple

from patchwright.core.advisory import Notice, severity_rank
from patchwright.core.package import Manager, Offer, OffersSlice
from patchwright.core.system import Family

SECURITY = "Security"  # the classification of a patch that comes from an apt security archive (spec §2.5)


@dataclass(frozen=True)
class Patch:
    """
    One version of one package, with all that rules can ask about it.

    *security* is true where at least one repository that offers it is a security archive (apt). *notices* are those that name
    exactly this version (rpm, SUSE). *build_time* is in epoch seconds, 0 where unknown.
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

    @property
    def key(self) -> str:
        """`name.arch`, AWS's KBId on Linux."""
        return f"{self.name}.{self.arch}"

    @property
    def title(self) -> str:
        """AWS's Title on Linux: `name.arch:epoch:version-release` on rpm, `name.arch:version` on apt."""
        return title(self.family, self.key, self.version)

    @property
    def classification(self) -> str:
        """The kind of its weightiest notice; on apt Security or nothing (spec §2.5)."""
        if self.family is Family.APT:
            return SECURITY if self.security else ""
        best = self._weightiest()
        return best.classification if best else ""

    @property
    def severity(self) -> str:
        """The highest severity of its notices; on apt the priority of the package (spec §2.5)."""
        if self.family is Family.APT:
            return self.priority.capitalize()
        best = self._weightiest()
        return best.severity if best else ""

    @property
    def cves(self) -> Tuple[str, ...]:
        """Every CVE id its notices name, sorted."""
        return tuple(sorted({cve for notice in self.notices for cve in notice.cves}))

    @property
    def build_day(self) -> Optional[datetime.date]:
        """The UTC day on which the package was built, where known."""
        if not self.build_time:
            return None
        return datetime.datetime.fromtimestamp(self.build_time, datetime.timezone.utc).date()

    def _weightiest(self) -> Optional[Notice]:
        ranked = sorted(self.notices, key=lambda notice: (severity_rank(notice.severity), notice.id))
        return ranked[0] if ranked else None


def title(family: Family, key: str, version: str) -> str:
    """The Title of a package row: rpm versions always show their epoch, dpkg's only where there is one."""
    if family is Family.RPM and ":" not in version:
        version = "0:" + version
    return f"{key}:{version}"


def patches(
    family: Family, product: str, slices: Iterable[OffersSlice], notices: Mapping[str, Notice]
) -> Tuple[Patch, ...]:
    """
    Every patch that *slices* together offer, sorted by name, architecture and version text.

    Args:
        family: How the node's system selects patches.
        product: The node's product, such as `Debian12`; each patch carries it for PRODUCT filters.
        slices: One a repository. The same version in several of them is one patch.
        notices: By id. An id that is missing here is treated as if no notice named the package.
    """
    offers: Dict[Tuple[str, str, str], List[Tuple[Offer, OffersSlice]]] = {}
    for part in slices:
        for offer in part.offers:
            offers.setdefault((offer.name, offer.arch, offer.version), []).append((offer, part))
    return tuple(_merge(family, product, found, notices) for _, found in sorted(offers.items()))


def _merge(
    family: Family, product: str, found: List[Tuple[Offer, OffersSlice]], notices: Mapping[str, Notice]
) -> Patch:
    # Where repositories disagree on section or priority, the security archive's word counts, then the first in order.
    found = sorted(found, key=lambda pair: (not pair[1].origin.is_security, pair[1].origin, pair[0]))
    offers = [offer for offer, _ in found]
    ids = sorted({notice for offer in offers for notice in offer.notices})
    security = any(part.manager is Manager.APT and part.origin.is_security for _, part in found)
    return Patch(
        family=family,
        name=offers[0].name,
        arch=offers[0].arch,
        version=offers[0].version,
        product=product,
        security=security,
        section=next((offer.section for offer in offers if offer.section), ""),
        priority=next((offer.priority for offer in offers if offer.priority), ""),
        repositories=tuple(
            sorted({part.origin.codename or part.origin.suite or part.origin.label for _, part in found})
        ),
        build_time=max(offer.build_time for offer in offers),
        notices=tuple(notices[name] for name in ids if name in notices),
    )
