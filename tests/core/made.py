# SPDX-License-Identifier: Apache-2.0
"""Records made up for tests: each function fills in what a test does not care about."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from patchwright.core.advisory import Notice
from patchwright.core.baseline import ApprovalRule, Baseline, Filter, decide
from patchwright.core.compliance import History, Item, Judgement, Operation, judge
from patchwright.core.facts import NodeFacts, SliceRef, View
from patchwright.core.package import Manager, Offer, OffersSlice, Origin, Package, PackageSet
from patchwright.core.patch import Patch
from patchwright.core.system import Family, OperatingSystem

TODAY = datetime.date(2026, 11, 20)
MAIN = Origin("Debian", "Debian", "stable", "bookworm", "main")
SECURITY = Origin("Debian", "Debian-Security", "stable-security", "bookworm-security", "main")
BASEOS = Origin(label="baseos")
UPDATES = Origin(label="updates")


def deb(name: str = "openssl", version: str = "3.0.15-1", **more: Any) -> Patch:
    """A patch of a Debian node; from the security archive unless told otherwise."""
    members = {"arch": "amd64", "product": "Debian12", "security": True, "priority": "optional", "section": "libs"}
    return Patch(Family.APT, name, version=version, **{**members, **more})


def rpm(name: str = "openssl", version: str = "3.0.7-27.el9", **more: Any) -> Patch:
    """A patch of an EL node, without a notice unless told otherwise."""
    members = {"arch": "x86_64", "product": "RockyLinux9.4", "repositories": ("baseos",)}
    return Patch(Family.RPM, name, version=version, **{**members, **more})


def notice(name: str = "RLSA-2026:1", **more: Any) -> Notice:
    """A security notice of 13 November 2026."""
    members = {"classification": "Security", "severity": "Important", "updated": "2026-11-13"}
    return Notice(name, **{**members, **more})


def rule(*filters: tuple[str, str], days: int | None = 0, **more: Any) -> ApprovalRule:
    """A rule of filters written as `("KEY", "value,value")`."""
    read = tuple(Filter(key, tuple(values.split(","))) for key, values in filters)
    return ApprovalRule(read, approve_after_days=days, **more)


def debian(*rules: ApprovalRule, **more: Any) -> Baseline:
    """A baseline for Debian."""
    return Baseline(OperatingSystem.DEBIAN, rules=rules, **more)


def rocky(*rules: ApprovalRule, **more: Any) -> Baseline:
    """A baseline for Rocky Linux."""
    return Baseline(OperatingSystem.ROCKY_LINUX, rules=rules, **more)


def package(text: str, state: str = "installed") -> Package:
    """A package written as `name version`, with `name.arch version` for another architecture than amd64."""
    name, version = text.split()
    base, dot, arch = name.rpartition(".")
    return Package(base if dot else name, arch if dot else "amd64", version, state)


def offer(text: str, **more: Any) -> Offer:
    """An offer written as `name version`."""
    name, arch, version, _ = package(text)
    return Offer(name, arch, version, **{"section": "libs", "priority": "optional", **more})


def view(
    installed: Iterable[str | Package],
    *repositories: tuple[Origin, Iterable[str | Offer]],
    manager: Manager = Manager.APT,
    notices: Iterable[Notice] = (),
    **facts: Any,
) -> View:
    """A node that has *installed* and is offered what *repositories* hold."""
    packages = PackageSet.of(manager, [package(row) if isinstance(row, str) else row for row in installed])
    slices = tuple(
        OffersSlice.of(manager, origin, [offer(row) if isinstance(row, str) else row for row in rows])
        for origin, rows in repositories
    )
    members = {
        "operating_system": OperatingSystem.DEBIAN if manager is Manager.APT else OperatingSystem.ROCKY_LINUX,
        "product": "Debian12" if manager is Manager.APT else "RockyLinux9.4",
        "package_set": packages.digest,
        "slices": tuple(SliceRef(part.digest) for part in slices),
        "boot_id": "boot-1",
    }
    return View(NodeFacts(manager, **{**members, **facts}), packages, slices, {item.id: item for item in notices})


def judged(
    baseline: Baseline,
    seen: View,
    *,
    today: datetime.date = TODAY,
    history: History | None = None,
    operation: Operation = Operation.SCAN,
) -> Judgement:
    """The judgement on one day."""
    return judge(baseline, seen, lambda patch: decide(baseline, patch, today), history=history, operation=operation)


def only(judgement: Judgement) -> Item:
    """The one item of *judgement*."""
    (item,) = judgement.items
    return item
