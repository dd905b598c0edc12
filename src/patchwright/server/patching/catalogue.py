# SPDX-License-Identifier: Apache-2.0
"""
The catalogue: every patch that the repositories of the account's nodes offer, and what a baseline says of each (design D3).

It is the union of what nodes reported last, made once for each distinct collection of it and remembered.
"""

from __future__ import annotations

import asyncio
import bisect
import datetime
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import NamedTuple, TypeAlias, TypeVar

from patchwright.core.advisory import Notice
from patchwright.core.baseline import Baseline, Decision, Filter, Verdict, decide, fold
from patchwright.core.entries import ANY
from patchwright.core.facts import View
from patchwright.core.package import Manager, Offer, OffersSlice, Origin
from patchwright.core.patch import Patch, patches
from patchwright.core.system import Family, OperatingSystem
from patchwright.server import nodes
from patchwright.server.accounts import Scope
from patchwright.server.infra import Clock, Database, today
from patchwright.server.patching import baselines, offers
from patchwright.server.patching.model import PatchBaseline
from patchwright.server.patching.offers import Offers

Kept = TypeVar("Kept")
Cursor: TypeAlias = tuple[str, str, str, str, str]  # operating system, product, name, architecture, version

_KEPT = 100_000  # patches that are remembered, about 1 KB each, over all accounts; and as many answers of baselines
_VENDORS = {  # who signs notices whose ids begin so
    **dict.fromkeys(("RHSA-", "RHBA-", "RHEA-"), "Red Hat"),
    **dict.fromkeys(("ELSA-", "ELBA-", "ELEA-"), "Oracle"),
    **dict.fromkeys(("RLSA-", "RLBA-", "RLEA-"), "Rocky Enterprise Software Foundation"),
    **dict.fromkeys(("ALSA-", "ALBA-", "ALEA-"), "AlmaLinux OS Foundation"),
    **dict.fromkeys(("ALAS",), "Amazon"),
    **dict.fromkeys(("CESA-", "CEBA-", "CEEA-"), "CentOS"),
    **dict.fromkeys(("SUSE-", "openSUSE-"), "SUSE"),
}


class Available(NamedTuple):
    """A patch that some node's repositories offer. *vendor* is whose repository or notice it is, empty where unknown."""

    operating_system: OperatingSystem
    patch: Patch
    vendor: str

    @property
    def place(self) -> Cursor:
        """Where it stands in the catalogue."""
        patch = self.patch
        return (self.operating_system.value, patch.product, patch.name, patch.arch, patch.version)


class Effective(NamedTuple):
    """A patch and what a baseline says of it today."""

    available: Available
    decision: Decision


class Catalogue:
    """The catalogues of every account."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._shelves: dict[Hashable, tuple[Available, ...]] = {}
        self._lists: dict[Hashable, tuple[Effective, ...]] = {}
        self._building: defaultdict[Scope, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def available(
        self, scope: Scope, filters: Sequence[Filter] = (), *, after: Cursor | None = None, limit: int
    ) -> tuple[list[Available], Cursor | None]:
        """
        Up to *limit* patches that match all of *filters* and come *after*; and what the next page comes after, None on the last.

        In order of operating system, product, name, architecture and version text. A value `*` is any.
        """
        found: list[Available] = []
        wanted = [(item.key, {fold(item.key, value) for value in item.values}) for item in filters]
        for parts in _by_product(await self._database.read(offers.distinct, scope)):
            first = parts[0]
            if after is not None and (first.operating_system, first.product) < after[:2]:
                continue
            if not all(_matches(key, values, (first.product,)) for key, values in wanted if key == "PRODUCT"):
                continue
            shelf = await self._shelf(scope, parts)
            found += await asyncio.to_thread(_chosen, shelf, wanted, after, most=limit + 1 - len(found))
            if len(found) > limit:
                return found[:limit], found[limit - 1].place
        return found, None

    async def effective(
        self, scope: Scope, baseline_id: str, *, after: Cursor | None = None, limit: int
    ) -> tuple[PatchBaseline, list[Effective], Cursor | None]:
        """
        The baseline, up to *limit* patches it approves, will approve or rejects, and what the next page comes after.

        In the order of the catalogue. Errors: UnknownBaseline, MalformedBaselineId.
        """
        baseline = await self._database.read(baselines.require, scope, baseline_id)
        rules, day = baseline.definition.baseline, today(self._clock.now())
        found: list[Effective] = []
        for parts in _by_product(await self._database.read(offers.distinct, scope)):
            first = parts[0]
            if first.operating_system != rules.operating_system.value:
                continue
            if after is not None and (first.operating_system, first.product) < after[:2]:
                continue
            decided = await self._decided(scope, parts, rules, day)
            start = bisect.bisect_right(decided, after, key=lambda one: one.available.place) if after is not None else 0
            found += decided[start : start + limit + 1 - len(found)]
            if len(found) > limit:
                return baseline, found[:limit], found[limit - 1].available.place
        return baseline, found, None

    async def _shelf(self, scope: Scope, parts: Sequence[Offers]) -> tuple[Available, ...]:
        """Every patch of one product, in order: what *parts* offer together."""
        key = (scope, tuple(part.name for part in parts))
        if key not in self._shelves:
            async with self._building[scope]:  # whoever waited finds it made
                if key not in self._shelves:
                    _keep(self._shelves, key, await self._build(scope, parts))
                return self._shelves[key]
        return self._shelves[key]

    async def _build(self, scope: Scope, parts: Sequence[Offers]) -> tuple[Available, ...]:
        together = _Together()
        for part in parts:  # a short read each
            together.add((await self._database.read(nodes.load, scope, part.facts_id)).view)
        return await asyncio.to_thread(together.patches, OperatingSystem(parts[0].operating_system), parts[0].product)

    async def _decided(
        self, scope: Scope, parts: Sequence[Offers], rules: Baseline, day: datetime.date
    ) -> tuple[Effective, ...]:
        shelf = await self._shelf(scope, parts)
        key = (scope, rules, day, tuple(part.name for part in parts))
        if key not in self._lists:
            _keep(self._lists, key, await asyncio.to_thread(_decide, shelf, rules, day))
        return self._lists[key]


class _Together:
    """What several nodes are offered, put together: each offer of each repository once."""

    def __init__(self) -> None:
        self.slices: dict[tuple[Manager, Origin], set[Offer]] = {}
        self.notices: dict[str, Notice] = {}
        self.seen: set[str] = set()

    def add(self, view: View) -> None:
        for ref, part in zip(view.facts.slices, view.slices, strict=True):
            if ref.digest not in self.seen:
                self.seen.add(ref.digest)
                self.slices.setdefault((part.manager, part.origin), set()).update(part.offers)
        for notice in view.notices.values():
            known = self.notices.get(notice.id)
            # Two nodes may have read the same notice before and after the vendor changed it.
            if known is None or (known.updated, known.digest) < (notice.updated, notice.digest):
                self.notices[notice.id] = notice

    def patches(self, system: OperatingSystem, product: str) -> tuple[Available, ...]:
        slices = [OffersSlice(manager, origin, tuple(rows)) for (manager, origin), rows in _in_order(self.slices)]
        keys = {offer.key for part in slices for offer in part.offers}
        modules = {offer.module for part in slices for offer in part.offers if offer.module}
        found = patches(system.family, product, slices, self.notices, modules=modules, installed=keys)
        whose = {part.origin.name: part.origin.origin for part in slices}
        shelf = (Available(system, patch, _vendor(patch, whose)) for patch in found)
        return tuple(sorted(shelf, key=lambda one: one.place))


def _in_order(
    slices: Mapping[tuple[Manager, Origin], set[Offer]],
) -> list[tuple[tuple[Manager, Origin], set[Offer]]]:
    return sorted(slices.items(), key=lambda item: (item[0][0].value, item[0][1]))


def _vendor(patch: Patch, whose: Mapping[str, str]) -> str:
    if patch.family is Family.APT:
        return next((whose[name] for name in patch.repositories if whose.get(name)), "")
    ids = [notice.id for notice in patch.notices]
    return next((vendor for start, vendor in _VENDORS.items() if any(name.startswith(start) for name in ids)), "")


def _by_product(found: Iterable[Offers]) -> Iterator[list[Offers]]:
    for _, parts in groupby(sorted(found), key=lambda one: one[:2]):
        yield list(parts)


def _chosen(
    shelf: Sequence[Available], wanted: Sequence[tuple[str, set[str]]], after: Cursor | None, *, most: int
) -> list[Available]:
    """Up to *most* patches of a shelf that come *after* and have one of the *wanted* values under each key."""
    start = bisect.bisect_right(shelf, after, key=lambda one: one.place) if after is not None else 0
    fitting = (
        one
        for one in islice(shelf, start, None)
        if all(_matches(key, values, _values(key, one)) for key, values in wanted)
    )
    return list(islice(fitting, most))


def _matches(key: str, wanted: set[str], values: Iterable[str]) -> bool:
    return ANY in wanted or any(fold(key, value) in wanted for value in values)


def _values(key: str, one: Available) -> Iterable[str]:
    """What a patch has under a filter key; nothing under one that its kind does not have."""
    patch = one.patch
    if key in {"ADVISORY_ID", "BUGZILLA_ID", "CVE_ID"}:
        return {
            "ADVISORY_ID": [notice.id for notice in patch.notices],
            "BUGZILLA_ID": [number for notice in patch.notices for number in notice.bugzillas],
            "CVE_ID": patch.cves,
        }[key]
    if key == "REPOSITORY":
        return patch.repositories
    if key == "PRODUCT":
        return (patch.product,)
    if key == "VERSION":
        return (patch.upstream, patch.version)
    names = {
        "NAME": "name",
        "ARCH": "arch",
        "EPOCH": "epoch",
        "RELEASE": "release",
        "SEVERITY": "severity",
        "CLASSIFICATION": "classification",
        "PRIORITY": "priority",
        "SECTION": "section",
    }
    return (getattr(patch, names[key]),) if key in names else ()


def _decide(shelf: Sequence[Available], rules: Baseline, day: datetime.date) -> tuple[Effective, ...]:
    decided = (Effective(one, decide(rules, one.patch, day)) for one in shelf)
    return tuple(one for one in decided if one.decision.verdict is not Verdict.NOT_APPROVED)


def _keep(kept: dict[Hashable, tuple[Kept, ...]], key: Hashable, value: tuple[Kept, ...]) -> None:
    """Remember *value*, and forget what was remembered first where it is too much together."""
    kept.pop(key, None)  # two may have made it at once: it is the newest again
    kept[key] = value
    while len(kept) > 1 and sum(len(one) for one in kept.values()) > _KEPT:
        del kept[next(iter(kept))]
