# SPDX-License-Identifier: Apache-2.0
"""
Baseline cases as data: `apt.toml`, `rpm.toml`, `suse.toml`, each written from the specification section that it names.

    name       a sentence; unique in its file
    spec       the section it comes from
    system     a value of OperatingSystem; `product` where it is not the usual one of that system
    today      the moment of the run; its UTC day counts
    installed  "NAME[.ARCH] VERSION [state=…]"
    offers     "NAME[.ARCH] VERSION [in=REPOSITORY] [of=NOTICE,NOTICE] [built=MOMENT] [module=NAME:STREAM] [section=…] [priority=…]"
    notices    id = "[type=…] [severity=…] [issued=MOMENT] [updated=MOMENT] [cves=…] [bugs=…] [brings=NAME/VERSION,…]"
    baseline   rules = [{KEY = "value,value", days = 7, until = "2026-11-16", level = "HIGH", nonsecurity = true}], global,
               approved, approved_level, approved_nonsecurity, rejected, action; `predefined = true`: the one AWS provides
    node       modules, held, pins = {repository = priority}
    past       installs = {NAME = "VERSION boot"} (the node now runs boot-1), failures = {NAME = "reason"}, operation
    decide     "NAME VERSION" or, on SUSE, a patch = "VERDICT [REASON] [day of the next change]"
    expect     every row: NAME or patch = "State [version] [LEVEL]"; `not_applicable` is their number

Architectures are amd64 and x86_64 unless named. A case can also be set up on a real node: `Case.request` is the body of
CreatePatchBaseline, and `Case.data` the lines as they stand here.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from patchwright.core.advisory import Notice
from patchwright.core.baseline import ApprovalRule, Baseline, ComplianceLevel, Filter, RejectedAction, read_day
from patchwright.core.compliance import History, Install, Operation
from patchwright.core.facts import DEFAULT_PIN, NodeFacts, SliceRef, View
from patchwright.core.package import Manager, Offer, OffersSlice, Origin, Package, PackageSet
from patchwright.core.predefined import default_of
from patchwright.core.system import Family, OperatingSystem

FAMILIES = {"apt": Manager.APT, "rpm": Manager.DNF, "suse": Manager.ZYPPER}
ARCHES = ("amd64", "i386", "all", "x86_64", "i686", "noarch")
PRODUCTS = {
    "DEBIAN": "Debian12",
    "UBUNTU": "Ubuntu22.04",
    "RASPBIAN": "RaspberryPiOS12",
    "AMAZON_LINUX": "AmazonLinux2018.03",
    "AMAZON_LINUX_2": "AmazonLinux2",
    "AMAZON_LINUX_2022": "AmazonLinux2022",
    "AMAZON_LINUX_2023": "AmazonLinux2023",
    "REDHAT_ENTERPRISE_LINUX": "RedhatEnterpriseLinux9.4",
    "ROCKY_LINUX": "RockyLinux9.4",
    "ALMA_LINUX": "AlmaLinux9.4",
    "ORACLE_LINUX": "OracleLinux8.9",
    "CENTOS": "CentOS8",
    "SUSE": "Suse15.6",
}
ORIGINS = {
    "main": Origin("Debian", "Debian", "stable", "bookworm", "main"),
    "updates": Origin("Debian", "Debian", "stable-updates", "bookworm-updates", "main"),
    "security": Origin("Debian", "Debian-Security", "stable-security", "bookworm-security", "main"),
    "buster-security": Origin("Debian", "Debian-Security", "oldoldstable", "buster", "updates/main"),
    "ubuntu": Origin("Ubuntu", "Ubuntu", "jammy", "jammy", "main"),
    "ubuntu-updates": Origin("Ubuntu", "Ubuntu", "jammy-updates", "jammy", "main"),
    "ubuntu-security": Origin("Ubuntu", "Ubuntu", "jammy-security", "jammy", "main"),
    "raspbian": Origin("Raspbian", "Raspbian", "stable", "bookworm", "main"),
    "ppa": Origin("LP-PPA-example", "Example", "x-security", "x-security", "main"),
}


def moment(text: str) -> datetime.datetime:
    """A moment written as `2026-11-13T23:59:59Z`, or the noon of a day."""
    return datetime.datetime.fromisoformat(text if "T" in text else f"{text}T12:00:00Z").astimezone(datetime.UTC)


@dataclass(frozen=True)
class Case:
    """One case. *data* is what the file says, with nothing filled in."""

    family: str
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What it says, as a sentence."""
        return self.data["name"]

    @property
    def manager(self) -> Manager:
        """Whose node it needs."""
        return FAMILIES[self.family]

    @property
    def system(self) -> OperatingSystem:
        """The operating system of node and baseline."""
        return OperatingSystem(self.data["system"])

    @property
    def today(self) -> datetime.date:
        """The UTC day of the run."""
        return moment(self.data.get("today", "2026-11-20")).date()

    @property
    def operation(self) -> Operation:
        """Scan unless it says otherwise."""
        return Operation(self.past.get("operation", "Scan"))

    @property
    def past(self) -> Mapping[str, Any]:
        """The table `past`."""
        return self.data.get("past", {})

    @property
    def rules(self) -> Mapping[str, Any]:
        """The table `baseline`."""
        return self.data.get("baseline", {})

    @property
    def expected(self) -> dict[str, list[str]]:
        """By key of a row, its state and what else is known of it."""
        return {self.key(name): text.split() for name, text in self.data["expect"].items()}

    def key(self, name: str) -> str:
        """The key of the row of a package or, on SUSE, a patch."""
        return name if name in self.data.get("notices", {}) else ".".join(self.named(name))

    def named(self, text: str) -> tuple[str, str]:
        """Name and architecture of `NAME[.ARCH]`."""
        name, _, arch = text.rpartition(".")
        if arch in ARCHES:
            return name, arch
        return text, "amd64" if self.family == "apt" else "x86_64"

    @cached_property
    def baseline(self) -> Baseline:
        """The baseline that decides."""
        data = self.rules
        if data.get("predefined"):
            return default_of(self.system).baseline
        return Baseline(
            self.system,
            global_filters=filters(data.get("global", {})),
            rules=tuple(rule(row) for row in data.get("rules", [])),
            approved=tuple(data.get("approved", ())),
            approved_level=ComplianceLevel(data.get("approved_level", "UNSPECIFIED")),
            approved_non_security=data.get("approved_nonsecurity", False),
            rejected=tuple(data.get("rejected", ())),
            rejected_action=RejectedAction(data.get("action", "ALLOW_AS_DEPENDENCY")),
        )

    @cached_property
    def view(self) -> View:
        """The node's facts."""
        node = self.data.get("node", {})
        packages = PackageSet.of(self.manager, [self.package(text) for text in self.data["installed"]])
        notices = {one.id: one for one in map(self.notice, self.data.get("notices", {}))}
        offers: dict[str, list[Offer]] = {}
        for text in self.data.get("offers", []):
            where, row = self.offer(text)
            offers.setdefault(where, []).append(row)
        origins = {name: self.origin(name) for name in offers or ["main"]}
        slices = [OffersSlice.of(self.manager, origin, offers.get(name, [])) for name, origin in origins.items()]
        pins = [node.get("pins", {}).get(name, DEFAULT_PIN) for name in origins]
        facts = NodeFacts(
            self.manager,
            self.system,
            self.data.get("product", PRODUCTS[self.system.value]),
            packages.digest,
            slices=tuple(SliceRef(part.digest, pin) for part, pin in zip(slices, pins, strict=True)),
            notices=tuple(sorted(one.digest for one in notices.values())),
            boot_id="boot-1",
            held=tuple(self.key(name) for name in node.get("held", ())),
            modules=tuple(node.get("modules", ())),
        )
        return View(facts, packages, tuple(slices), notices)

    @property
    def history(self) -> History:
        """What earlier runs did."""
        installs = {}
        for name, text in self.past.get("installs", {}).items():
            version, boot = text.split()
            installs[self.key(name)] = Install(version, boot)
        failures = {self.key(name): text for name, text in self.past.get("failures", {}).items()}
        return History(installs, failures)

    def package(self, text: str) -> Package:
        """An installed package."""
        name, version, *more = text.split()
        return Package(*self.named(name), version, **pairs(more))

    def origin(self, name: str) -> Origin:
        """The repository of that name; on rpm and SUSE the name is all there is."""
        return ORIGINS[name] if self.family == "apt" else Origin(label=name)

    def offer(self, text: str) -> tuple[str, Offer]:
        """The name of a repository, and what it offers."""
        name, version, *more = text.split()
        told = pairs(more)
        row = Offer(
            *self.named(name),
            version,
            section=told.get("section", ""),
            priority=told.get("priority", ""),
            build_time=int(moment(told["built"]).timestamp()) if "built" in told else 0,
            module=told.get("module", ""),
            notices=listed(told.get("of", "")),
        )
        return told.get("in", "main"), row

    def notice(self, name: str) -> Notice:
        """A notice, or on SUSE a patch."""
        told = pairs(self.data["notices"][name].split())
        days = {word: str(moment(told[word]).date()) for word in ("issued", "updated") if word in told}
        brings = [text.split("/") for text in listed(told.get("brings", ""))]
        return Notice(
            name,
            classification=told.get("type", ""),
            severity=told.get("severity", ""),
            cves=listed(told.get("cves", "")),
            bugzillas=listed(told.get("bugs", "")),
            packages=tuple((*self.named(package), version) for package, version in brings),
            **days,
        )

    @property
    def request(self) -> dict[str, Any]:
        """The body of a CreatePatchBaseline that makes this baseline; not for predefined ones."""
        made = self.baseline
        return {
            "Name": f"case-{self.family}",
            "OperatingSystem": made.operating_system.value,
            "GlobalFilters": {"PatchFilters": [shape(one) for one in made.global_filters]},
            "ApprovalRules": {"PatchRules": [rule_shape(one) for one in made.rules]},
            "ApprovedPatches": list(made.approved),
            "ApprovedPatchesComplianceLevel": made.approved_level.value,
            "ApprovedPatchesEnableNonSecurity": made.approved_non_security,
            "RejectedPatches": list(made.rejected),
            "RejectedPatchesAction": made.rejected_action.value,
        }


def pairs(words: list[str]) -> dict[str, str]:
    """`word=value` each."""
    return dict(word.split("=", 1) for word in words)


def listed(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(text.split(",")) if text else ()


def filters(table: Mapping[str, Any]) -> tuple[Filter, ...]:
    """The keys in capitals."""
    return tuple(Filter(key, listed(text)) for key, text in table.items() if key.isupper())


def rule(table: Mapping[str, Any]) -> ApprovalRule:
    """A rule; at once where it names neither days nor a day."""
    until = table.get("until")
    return ApprovalRule(
        filters(table),
        level=ComplianceLevel(table.get("level", "UNSPECIFIED")),
        approve_after_days=None if until else table.get("days", 0),
        approve_until=read_day(until) if until else None,
        enable_non_security=table.get("nonsecurity", False),
    )


def shape(one: Filter) -> dict[str, Any]:
    """A filter as the API has it."""
    return {"Key": one.key, "Values": list(one.values)}


def rule_shape(one: ApprovalRule) -> dict[str, Any]:
    """A rule as the API has it."""
    dated = {"ApproveUntilDate": str(one.approve_until)} if one.approve_until else {}
    return {
        "PatchFilterGroup": {"PatchFilters": [shape(item) for item in one.filters]},
        "ComplianceLevel": one.level.value,
        "EnableNonSecurity": one.enable_non_security,
        **(dated or {"ApproveAfterDays": one.approve_after_days}),
    }


@lru_cache
def read(family: str) -> tuple[Case, ...]:
    """The cases of one family: apt, rpm or suse."""
    text = Path(__file__).with_name(f"{family}.toml").read_text("utf-8")
    return tuple(Case(family, data) for data in tomllib.loads(text)["case"])


__all__ = ("FAMILIES", "Case", "Family", "read")
