# SPDX-License-Identifier: Apache-2.0
"""
Baselines and nodes made up from small pools, so that filters, lists and versions meet often.

Everything comes from the one `random.Random` that is passed in: a seed and a number name a case for ever.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Sequence
from dataclasses import dataclass

from patchwright.core.advisory import Notice
from patchwright.core.baseline import ApprovalRule, Baseline, ComplianceLevel, Filter, RejectedAction
from patchwright.core.compliance import History, Install, Operation
from patchwright.core.facts import NodeFacts, Pin, SliceRef, View
from patchwright.core.package import Manager, Offer, OffersSlice, Origin, Package, PackageSet, PackageState
from patchwright.core.plan import Action, Intent, Resolution
from patchwright.core.system import OperatingSystem

TODAY = datetime.date(2026, 11, 20)
NAMES = ["openssl", "libc6", "kernel", "a", "a-b"]
SECTIONS = ["libs", "admin", ""]
PRIORITIES = ["required", "Optional", "extra", ""]
CLASSES = ["Security", "Bugfix", "security", "Enhancement", ""]
SEVERITIES = ["Critical", "Important", "Moderate", "Medium", "low", "None", ""]
CVES = ["CVE-2026-1", "CVE-2026-2", "CVE-2026-33"]
BUGS = ["123", "1234"]
DEB_VERSIONS = ["1.0-1", "1.0-1+deb12u1", "1.0-1+deb12u2", "1.0~rc1-1", "2:0.9-1", "1.2", "1.10-1", "3.0.15-1~deb12u1"]
RPM_VERSIONS = [
    "1.0-1.el9",
    "1.00-1.el9",
    "1.0-2.el9",
    "1.0~rc1-1.el9",
    "2:0.9-1.el9",
    "1.2^git1-1.el9",
    "1.10-1.el9_2",
]
APT_ORIGINS = [
    Origin("Debian", "Debian", "stable", "bookworm", "main"),
    Origin("Debian", "Debian-Security", "stable-security", "bookworm-security", "main"),
    Origin("Ubuntu", "Ubuntu", "jammy-security", "jammy", "main"),
    Origin("Example", "Example", "x-security", "x", "main"),
    Origin("Debian", "Debian", "stable-updates", "bookworm-updates", "main"),
]
RPM_ORIGINS = [Origin(label="baseos"), Origin(label="updates"), Origin("Debian", "Debian-Security")]
STREAMS = ["perl:5.26", "perl:5.32"]
MANAGERS = {"apt": Manager.APT, "rpm": Manager.DNF, "suse": Manager.ZYPPER}
SYSTEMS = {
    "apt": [OperatingSystem.DEBIAN, OperatingSystem.UBUNTU],
    "rpm": [OperatingSystem.ROCKY_LINUX, OperatingSystem.ROCKY_LINUX, OperatingSystem.CENTOS],
    "suse": [OperatingSystem.SUSE],
}
PRODUCTS = {"apt": "Debian12", "rpm": "RockyLinux9.4", "suse": "Suse15"}
PINS = [500, 500, 500, 500, 990, 100, 1, 0, -1, 1000, 1001]
KEYS = [
    *("PRODUCT", "CLASSIFICATION", "SEVERITY", "PRIORITY", "SECTION", "NAME", "ARCH", "SECURITY", "EPOCH", "VERSION"),
    *("RELEASE", "REPOSITORY", "CVE_ID", "BUGZILLA_ID", "ADVISORY_ID", "MSRC_SEVERITY"),
]


@dataclass(frozen=True)
class Case:
    """One baseline, one node, and what the node did before."""

    baseline: Baseline
    view: View
    history: History
    operation: Operation


def case(source: random.Random) -> Case:
    """A case on apt, on rpm or on SUSE."""
    family = source.choice(["apt", "apt", "rpm", "rpm", "suse"])
    count = {"apt": 0, "rpm": 4, "suse": 6}[family]
    notices = [notice(source, number, family) for number in range(source.randint(0, count))]
    node = made_view(source, family, notices)
    return Case(made_baseline(source, family, node), node, made_history(source, node), source.choice(list(Operation)))


def some(source: random.Random, pool: Sequence, most: int, least: int = 0) -> list:
    """Between *least* and *most* of *pool*, without repetition."""
    return source.sample(list(pool), min(len(pool), source.randint(least, most)))


def day(source: random.Random) -> str:
    """A day from 380 days ago to 35 days ahead, often near a usual delay; sometimes none."""
    if source.random() < 0.15:
        return ""
    ago = source.choice([0, 1, 6, 7, 8, -1, source.randint(-35, 380)])
    return str(TODAY - datetime.timedelta(ago))


def notice(source: random.Random, number: int, family: str) -> Notice:
    """A notice with any of its members empty now and then; on SUSE mostly with packages, some of them in two versions."""
    packages = [
        (name, source.choice(["x86_64", "x86_64", "noarch"]), version)
        for name in some(source, NAMES, 3 if family == "suse" else 0)
        for version in some(source, RPM_VERSIONS, source.choice([1, 1, 2]), 1)
    ]
    return Notice(
        f"SUSE-SLE-2026-{number}" if family == "suse" else f"RLSA-2026:{number}",
        packages=tuple(packages),
        classification=source.choice(CLASSES),
        severity=source.choice(SEVERITIES),
        issued=day(source),
        updated=day(source),
        cves=tuple(some(source, CVES, 2)),
        bugzillas=tuple(some(source, BUGS, 1)),
    )


def made_view(source: random.Random, family: str, notices: Sequence[Notice]) -> View:
    """A node with up to four packages and three repositories; on rpm and SUSE versions may stand side by side."""
    apt = family == "apt"
    manager, arch = MANAGERS[family], "amd64" if apt else "x86_64"
    versions = DEB_VERSIONS if apt else RPM_VERSIONS
    packages = []
    for name in some(source, NAMES, 4):
        for version in some(source, versions, 1 if apt else source.choice([1, 1, 2]), 1):
            state = source.choice(list(PackageState)) if apt and source.random() < 0.3 else PackageState.INSTALLED
            packages.append(Package(name, arch, version, state.value))
    parts = []
    for origin in some(source, APT_ORIGINS if apt else RPM_ORIGINS, 3):
        rows = [
            Offer(
                name,
                arch,
                version,
                section=source.choice(SECTIONS),
                priority=source.choice(PRIORITIES),
                build_time=source.choice([0, 0, 1_795_100_000 - 86_400 * source.randint(-5, 380)]),
                module="" if family != "rpm" else source.choice(["", "", "", *STREAMS]),
                notices=tuple(some(source, [one.id for one in notices] + ["RLSA-gone"], 2)),
            )
            for name in NAMES
            for version in some(source, versions, 3)
        ]
        parts.append(OffersSlice.of(manager, origin, rows))
    pins = tuple(Pin(name, source.choice(versions), source.choice(PINS)) for name in some(source, NAMES, 1))
    made = PackageSet.of(manager, packages)
    facts = NodeFacts(
        manager,
        source.choice(SYSTEMS[family]),
        PRODUCTS[family],
        made.digest,
        slices=tuple(SliceRef(part.digest, source.choice(PINS)) for part in parts),
        pins=pins if apt and source.random() < 0.4 else (),
        boot_id=source.choice(["boot-1", "boot-1", ""]),
        held=tuple(package.key for package in some(source, made.packages, 1)),
        modules=tuple(some(source, STREAMS, 1)) if family == "rpm" else (),
    )
    known = {one.id: one for one in notices if source.random() < 0.9}
    return View(facts, made, tuple(parts), known)


def filters(source: random.Random, most: int) -> tuple[Filter, ...]:
    """Up to *most* filters whose values often meet something."""
    pools = {
        "PRODUCT": ["*", "Debian12", "rockylinux9.4", "Debian11", "suse15.0", "Suse15.6"],
        "CLASSIFICATION": ["security", "Bugfix", "*", "Enhancement"],
        "SEVERITY": SEVERITIES[:-1],
        "PRIORITY": ["Required", "optional", "EXTRA", "standard"],
        "SECTION": ["libs", "Admin", "web"],
        "NAME": NAMES,
        "ARCH": ["amd64", "x86_64", "i386"],
        "SECURITY": ["true", "False"],
        "EPOCH": ["0", "2"],
        "VERSION": ["1.0", "0.9", "1.2", "1.0-1", "1.10"],
        "RELEASE": ["1", "1.el9", ""],
        "REPOSITORY": ["bookworm", "bookworm-security", "baseos", "jammy"],
        "CVE_ID": CVES,
        "BUGZILLA_ID": BUGS,
        "ADVISORY_ID": ["rlsa-2026:0", "RLSA-2026:1"],
        "MSRC_SEVERITY": ["Critical", "*"],
    }
    # The first keys of the list are those that rules use in practice: they come up more often.
    keys = {source.choice(KEYS[: source.choice([5, 5, len(KEYS)])]) for _ in range(source.randint(0, most))}
    return tuple(Filter(key, tuple(some(source, pools[key], 3, 1))) for key in sorted(keys))


def rule(source: random.Random) -> ApprovalRule:
    """A rule with a delay, or now and then a cutoff."""
    until = source.random() < 0.25
    return ApprovalRule(
        filters(source, 3),
        level=source.choice(list(ComplianceLevel)),
        approve_after_days=None if until else source.choice([0, 0, 1, 7, 7, 14, source.randint(0, 360)]),
        approve_until=TODAY - datetime.timedelta(source.choice([0, 1, 7, -3, 200])) if until else None,
        enable_non_security=source.random() < 0.5,
    )


def entries(source: random.Random, family: str, node: View) -> tuple[str, ...]:
    """Up to three entries of an explicit list: names, full names, one or two stars, bugs, CVEs, advisories, patches."""
    pool = [*NAMES, "*", *CVES, *BUGS, "RLSA-2026:0", "RLSA-2026:1", "open*", "a-*", "*.x86_64", "*-1.0-*", "a*-*"]
    for part in node.slices:
        for offer in part.offers:
            bare = offer.version.split(":")[-1]
            pool += [f"{offer.name}-{offer.version}.{offer.arch}", f"{offer.name}-{bare}.{offer.arch}", f"*-{bare}.*"]
            pool += [f"{offer.name}-{bare[:3]}*{offer.arch}", f"{offer.name}-0:{bare}.{offer.arch}"]
            pool += [
                f"{offer.name}-{bare}.{offer.arch}*{offer.arch}"
            ]  # the star would have to stand for less than nothing
    if family == "suse":
        pool = ["SUSE-SLE-2026-0", "SUSE-SLE-2026-1", "SUSE-*-1", "*-2", "SUSE-*-2026-*", *CVES, *BUGS, *NAMES]
        for one in node.notices.values():
            bare = [(fixed, fixed.version.split(":")[-1]) for fixed in one.packages]
            pool += [f"{fixed.name}-{text}.{fixed.arch}.rpm" for fixed, text in bare] * 2
            pool += [f"{fixed.name}-*.rpm" for fixed, _ in bare] + [f"*-{text}.*" for _, text in bare]
    usual = NAMES if family == "apt" else pool
    return tuple(source.choice(usual if source.random() < 0.8 else pool) for _ in range(source.choice([0, 0, 1, 2, 3])))


def made_baseline(source: random.Random, family: str, node: View) -> Baseline:
    """A baseline for the node's system with up to four rules."""
    return Baseline(
        node.facts.operating_system,
        global_filters=filters(source, 1) if source.random() < 0.3 else (),
        rules=tuple(rule(source) for _ in range(source.randint(0, 4))),
        approved=entries(source, family, node),
        approved_level=source.choice(list(ComplianceLevel)),
        approved_non_security=source.random() < 0.5,
        rejected=entries(source, family, node) if source.random() < 0.6 else (),
        rejected_action=source.choice(list(RejectedAction)),
    )


def made_history(source: random.Random, node: View) -> History:
    """Installs and failures of some packages, of this boot or an earlier one, and of one that is gone."""
    installs = {
        package.key: Install(
            source.choice([package.version] * 3 + ["0"]), source.choice(["boot-1"] * 3 + ["boot-0", ""])
        )
        for package in some(source, node.packages.packages, 4)
    }
    failures = {package.key: "postinst" for package in some(source, node.packages.packages, 1)}
    tried = {key: source.choice(RPM_VERSIONS) for key in failures if source.random() < 0.3}
    return History(installs, {**failures, "gone.amd64": "x"} if source.random() < 0.4 else {}, tried)


def resolution(source: random.Random, intent: Intent, node: View) -> Resolution:
    """What a resolver might answer: mostly the truth, sometimes with one thing wrong."""
    manager = node.packages.manager
    versions = DEB_VERSIONS if manager is Manager.APT else RPM_VERSIONS
    arch = "amd64" if manager is Manager.APT else "x86_64"
    actions, unresolved = [], {}
    for wish in intent.wanted:
        if source.random() < 0.2:
            unresolved[wish.key] = source.choice(["held", "held", ""])
        else:
            actions.append(Action(wish.name, wish.arch, wish.installed, wish.version, True))
    for name in some(source, [*NAMES, "libnew"], 2):
        before = source.choice(["", *versions])
        actions.append(Action(name, arch, before, source.choice([*versions, ""]), source.random() < 0.1))
    if actions and source.random() < 0.2:
        place = source.randrange(len(actions))
        wrong = {"before": source.choice(versions), "after": source.choice(versions), "wanted": source.random() < 0.5}
        one = source.choice(list(wrong))
        actions[place] = Action(**{**vars(actions[place]), one: wrong[one]})
    if source.random() < 0.1:
        unresolved[source.choice(["libnew.amd64", "a.x86_64"])] = "not there"
    source.shuffle(actions)
    return Resolution(tuple(actions), unresolved)
