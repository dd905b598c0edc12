# SPDX-License-Identifier: Apache-2.0
"""
What a baseline's decisions mean for one node: patch states, counts and verdict (spec §3.1, §3.2).

`judge` is a join of what is installed with what was decided. It is pure; history comes in as an argument.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from patchwright.core.advisory import Fixed
from patchwright.core.baseline import Baseline, ComplianceLevel, Decision, RejectedAction
from patchwright.core.entries import matches
from patchwright.core.facts import View
from patchwright.core.package import Package, PackageState
from patchwright.core.patch import Patch, title
from patchwright.core.system import Family
from patchwright.core.version import Scheme
from patchwright.core.version import key as version_key


class PatchState(str, Enum):
    """The states of spec §3.1, spelt as on the wire."""

    INSTALLED = "Installed"
    INSTALLED_OTHER = "InstalledOther"
    INSTALLED_PENDING_REBOOT = "InstalledPendingReboot"
    INSTALLED_REJECTED = "InstalledRejected"
    MISSING = "Missing"
    FAILED = "Failed"
    NOT_APPLICABLE = "NotApplicable"
    AVAILABLE_SECURITY_UPDATE = "AvailableSecurityUpdate"

    @property
    def compliant(self) -> bool:
        """False for the states that make a node non-compliant."""
        return self not in NON_COMPLIANT


NON_COMPLIANT = frozenset(
    {PatchState.INSTALLED_PENDING_REBOOT, PatchState.INSTALLED_REJECTED, PatchState.MISSING, PatchState.FAILED}
)


class Operation(str, Enum):
    """What a patch run does."""

    SCAN = "Scan"
    INSTALL = "Install"


@dataclass(frozen=True)
class Install:
    """That one of our Install operations brought a package to *version* while the node ran as *boot_id*."""

    version: str
    boot_id: str


@dataclass(frozen=True)
class History:
    """
    What judging needs to know of earlier runs.

    *installs* by `name.arch`: what our operations installed. *failures* by `name.arch`: the reason the last Install gave for
    not bringing the package to its version; *attempted* says which version that was, so that another one counts as not tried;
    a key that is not there stands for every version. Keys that no longer matter are ignored.
    """

    installs: Mapping[str, Install] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    attempted: Mapping[str, str] = field(default_factory=dict)

    def failure(self, key: str, version: str) -> Optional[str]:
        """Why the last Install did not bring *key* to *version*; None where it did, or did not try."""
        return self.failures.get(key) if self.attempted.get(key, version) == version else None


@dataclass(frozen=True)
class Item:
    """
    The state of one patch on one node.

    *installed* is the version on the node, empty where a patch is not installed at all; *version* is the version the state
    speaks of: the approved one where the state is Missing or Failed, else the installed one. On SUSE, where a patch brings
    several packages, both are lists of `name.arch:epoch:version-release`, and key and title are the patch's name.
    """

    key: str
    title: str
    state: PatchState
    installed: str
    version: str
    level: ComplianceLevel = ComplianceLevel.UNSPECIFIED
    classification: str = ""
    severity: str = ""
    cves: Tuple[str, ...] = ()
    reason: str = ""

    @property
    def packages(self) -> Tuple[str, ...]:
        """The `name.arch` of every package it speaks of: its key, on SUSE those of the patch."""
        if self.key != self.title:
            return (self.key,)
        return tuple(text.partition(":")[0] for text in self.version.split(_AND))


_AND = ", "


@dataclass(frozen=True)
class Counts:
    """The counters of InstancePatchState (spec §3.2)."""

    by_state: Mapping[PatchState, int]
    critical_non_compliant: int
    security_non_compliant: int
    other_non_compliant: int


@dataclass(frozen=True)
class Judgement:
    """Every patch state of a node under one baseline on one day. *items* are sorted by key."""

    items: Tuple[Item, ...]
    not_applicable: int = 0

    @property
    def compliant(self) -> bool:
        """Whether no item is in a non-compliant state."""
        return all(item.state.compliant for item in self.items)

    def counts(self) -> Counts:
        """The counters; every state has one, 0 where nothing is in it."""
        by_state = dict.fromkeys(PatchState, 0)
        for item in self.items:
            by_state[item.state] += 1
        by_state[PatchState.NOT_APPLICABLE] = self.not_applicable
        bad = [
            (item.level is ComplianceLevel.CRITICAL, item.classification.lower() == "security")
            for item in self.items
            if not item.state.compliant
        ]
        critical, security = sum(pair[0] for pair in bad), sum(pair[1] for pair in bad)
        return Counts(by_state, critical, security, bad.count((False, False)))


def judge(
    baseline: Baseline,
    view: View,
    decide: Callable[[Patch], Decision],
    *,
    history: Optional[History] = None,
    operation: Operation = Operation.SCAN,
) -> Judgement:
    """
    The state of every patch on a node.

    Args:
        baseline: Whose rejected list is asked about installed packages; approvals come through *decide* alone.
        view: The node's facts with their bodies.
        decide: The baseline's decision on a patch, on the day of the run.
        history: What earlier runs did; None is a node without any.
        operation: After an Install nothing is Missing: what is not there has Failed (spec §3.3).

    Returns:
        One item for each installed `name.arch`; where versions stand side by side, the newest one speaks for all, unless
        another is rejected and blocked. On SUSE one for each patch that is installed or is to be, and one for each installed
        package that the rejected list names.
    """
    if view.facts.operating_system.family is Family.ZYPP:
        return _PatchBench(baseline, view, history or History(), operation).judgement(view, decide)
    offered: Dict[str, List[Tuple[Patch, Decision]]] = {}
    for patch in view.patches():
        offered.setdefault(patch.key, []).append((patch, decide(patch)))
    bench = _Bench(baseline, view, history or History(), operation)
    items, not_applicable = [], 0
    for key, packages in sorted(view.installed().items()):
        decided = offered.get(key, [])
        items.append(bench.item(packages, decided))
        approved = sum(1 for _, decision in decided if decision.approved)
        not_applicable += max(approved - 1, 0)
    return Judgement(tuple(items), not_applicable)


class _Bench:
    """One judging: what stays the same for all packages of a node."""

    def __init__(self, baseline: Baseline, view: View, history: History, operation: Operation) -> None:
        self.baseline = baseline
        self.family = view.facts.operating_system.family
        self.scheme = view.packages.manager.scheme
        self.boot_id = view.facts.boot_id
        self.held = frozenset(view.facts.held)
        self.history = history
        installs = history.installs.items()
        ours = [(key, install.version) for key, install in installs if install.boot_id == self.boot_id != ""]
        self.brought = frozenset(ours)
        self.brought_names = frozenset((key.rpartition(".")[0], version) for key, version in ours)
        self.operation = operation
        self.candidates = view.candidates() if self.family is Family.APT else {}

    def item(self, packages: Sequence[Package], decided: Sequence[Tuple[Patch, Decision]]) -> Item:
        """The item of one `name.arch`; *packages* are its installed versions, *decided* what repositories offer."""
        package = packages[0]
        if len(packages) > 1:
            package = max(packages, key=lambda package: self.order(package.version))
        wanted, met = self.around(package, decided)
        if wanted is not None:
            # An approved update counts for more than a rejected installed version: it is what leads away from it.
            return self.outstanding(package, *wanted)
        rejection = self.rejection(package, packages)
        if rejection is not None:
            return self.rejected(*rejection)
        if met is None:
            return self.other(package)
        if not PackageState(package.state).usable:
            return self.unfinished(package, *met)
        pending = self.waits_for_reboot(package)
        state = PatchState.INSTALLED_PENDING_REBOOT if pending else PatchState.INSTALLED
        reason = "installed since the node was started" if pending else met[1].reasons[0].text
        return self.row(package, state, *met, reason=reason)

    def waits_for_reboot(self, package: Package) -> bool:
        """Whether one of our operations brought it in this boot, perhaps for `all` where it is for an architecture, or back."""
        if package.arch == "all":
            return (package.name, package.version) in self.brought_names
        return any((key, package.version) in self.brought for key in (package.key, f"{package.name}.all"))

    def around(
        self, package: Package, decided: Sequence[Tuple[Patch, Decision]]
    ) -> Tuple[Optional[Tuple[Patch, Decision]], Optional[Tuple[Patch, Decision]]]:
        """
        The approved update that the node lacks, and the newest approved patch at or below the installed version; or None.

        Lacking, on apt: the candidate and no other version (spec §2.5); on rpm: the newest approved version above.
        """
        approved = [pair for pair in decided if pair[1].approved]
        if not approved:
            return None, None
        installed = self.order(package.version)
        older = [pair for pair in approved if self.order(pair[0].version) <= installed]
        newer = [pair for pair in approved if self.order(pair[0].version) > installed]
        if self.family is Family.APT:
            newer = [pair for pair in newer if pair[0].version == self.candidates.get(package.key)]
        return self.newest(newer), self.newest(older)

    def newest(self, pairs: Sequence[Tuple[Patch, Decision]]) -> Optional[Tuple[Patch, Decision]]:
        return max(pairs, key=lambda pair: self.order(pair[0].version), default=None)

    def rejection(self, newest: Package, packages: Sequence[Package]) -> Optional[Tuple[Package, str]]:
        """The installed version that the rejected list names, with the entry: any where it blocks, else the newest."""
        blocks = self.baseline.rejected_action is RejectedAction.BLOCK
        for package in packages if blocks else (newest,):
            entry = self.baseline.rejection(package.name, package.arch, package.version)
            if entry is not None:
                return package, entry
        return None

    def outstanding(self, package: Package, patch: Patch, decision: Decision) -> Item:
        failure = self.failure(package.key, patch.version)
        if failure is not None:
            return self.row(package, PatchState.FAILED, patch, decision, reason=failure, version=patch.version)
        reason = decision.reasons[0].text
        if package.key in self.held:
            reason += "; the package is held on the node"
        return self.row(package, PatchState.MISSING, patch, decision, reason=reason, version=patch.version)

    def failure(self, key: str, version: str) -> Optional[str]:
        """Why the package could not be brought to *version*; None where nobody has tried."""
        failure = self.history.failure(key, version)
        if failure is None and self.operation is Operation.INSTALL:
            failure = "the package is held on the node" if key in self.held else "the run ended without installing it"
        return failure

    def unfinished(self, package: Package, patch: Patch, decision: Decision) -> Item:
        reason = self.history.failure(package.key, package.version) or f"the package database says {package.state}"
        return self.row(package, PatchState.FAILED, patch, decision, reason=reason)

    def rejected(self, package: Package, entry: str) -> Item:
        blocked = self.baseline.rejected_action is RejectedAction.BLOCK
        state = PatchState.INSTALLED_REJECTED if blocked else PatchState.INSTALLED_OTHER
        return Item(
            key=package.key,
            title=title(self.family, package.key, package.version),
            state=state,
            installed=package.version,
            version=package.version,
            reason=f"the rejected list names it ({entry})",
        )

    def other(self, package: Package) -> Item:
        return Item(
            key=package.key,
            title=title(self.family, package.key, package.version),
            state=PatchState.INSTALLED_OTHER,
            installed=package.version,
            version=package.version,
        )

    def row(
        self, package: Package, state: PatchState, patch: Patch, decision: Decision, *, reason: str, version: str = ""
    ) -> Item:
        shown = version or package.version
        return Item(
            key=package.key,
            title=title(self.family, package.key, shown),
            state=state,
            installed=package.version,
            version=shown,
            level=decision.level,
            classification=patch.classification,
            severity=patch.severity,
            cves=patch.cves if state in (PatchState.MISSING, PatchState.FAILED) else (),
            reason=reason,
        )

    def order(self, version: str) -> bytes:
        return version_key(self.scheme, version)


class _PatchBench(_Bench):
    """One judging where the vendor's patch is the unit: satisfied when no package of it that is installed is below (SUSE)."""

    def __init__(self, baseline: Baseline, view: View, history: History, operation: Operation) -> None:
        super().__init__(baseline, view, history, operation)
        self.newest_of = view.newest()

    def judgement(self, view: View, decide: Callable[[Patch], Decision]) -> Judgement:
        """Every patch that has a state here. What is approved and brings nothing that the node has is only counted."""
        items, not_applicable = [], 0
        for patch in view.patches():
            decision = decide(patch)
            if patch.packages:
                items.extend(self.items(patch, decision))
            else:
                not_applicable += decision.approved
        for key, packages in view.installed().items():
            rejection = self.rejection(self.newest_of[key], packages)
            if rejection is not None:
                items.append(self.rejected(*rejection))
        return Judgement(tuple(sorted(items, key=lambda item: item.key)), not_applicable)

    def items(self, patch: Patch, decision: Decision) -> List[Item]:
        """The item of one patch of which the node has something; none where it is needed and not approved."""
        needed = outstanding_packages(patch, self.newest_of, self.scheme)
        if not needed:
            return [self.satisfied(patch, decision)]
        return [self.needed(patch, decision, needed)] if decision.approved else []

    def needed(self, patch: Patch, decision: Decision, needed: Sequence[Fixed]) -> Item:
        failures = [(fixed.key, self.failure(fixed.key, fixed.version)) for fixed in needed]
        failed = [f"{key}: {failure}" for key, failure in failures if failure is not None]
        if failed:
            return self.patch_item(patch, PatchState.FAILED, decision, needed=needed, reason="; ".join(failed))
        reason = decision.reasons[0].text
        locked = sorted(fixed.key for fixed in needed if fixed.key in self.held)
        if locked:
            reason += f"; held on the node: {', '.join(locked)}"
        return self.patch_item(patch, PatchState.MISSING, decision, needed=needed, reason=reason)

    def satisfied(self, patch: Patch, decision: Decision) -> Item:
        if decision.approved:
            pending = any(self.waits_for_reboot(self.newest_of[package.key]) for package in patch.packages)
            state = PatchState.INSTALLED_PENDING_REBOOT if pending else PatchState.INSTALLED
            reason = "installed since the node was started" if pending else decision.reasons[0].text
            return self.patch_item(patch, state, decision, reason=reason)
        # An entry for one of its packages speaks of that package's version, which has an item of its own where it is there.
        entry = next((entry for entry in self.baseline.rejected if matches(entry, patch.name)), None)
        if entry is None:
            return self.patch_item(patch, PatchState.INSTALLED_OTHER)
        blocked = self.baseline.rejected_action is RejectedAction.BLOCK
        state = PatchState.INSTALLED_REJECTED if blocked else PatchState.INSTALLED_OTHER
        return self.patch_item(patch, state, reason=f"the rejected list names it ({entry})")

    def patch_item(
        self,
        patch: Patch,
        state: PatchState,
        decision: Optional[Decision] = None,
        *,
        needed: Sequence[Fixed] = (),
        reason: str = "",
    ) -> Item:
        """The row of a patch; without a *decision* one that says no more than that it is there."""
        shown = needed or patch.packages
        installed = _AND.join(
            title(self.family, key, self.newest_of[key].version) for key in sorted({fixed.key for fixed in shown})
        )
        wanted = _AND.join(title(self.family, fixed.key, fixed.version) for fixed in needed)
        return Item(
            key=patch.key,
            title=patch.title,
            state=state,
            installed=installed,
            version=wanted or installed,
            level=decision.level if decision else ComplianceLevel.UNSPECIFIED,
            classification=patch.classification if decision else "",
            severity=patch.severity if decision else "",
            cves=patch.cves if needed else (),
            reason=reason,
        )


def outstanding_packages(patch: Patch, newest: Mapping[str, Package], scheme: Scheme) -> List[Fixed]:
    """
    Of a SUSE patch, the packages that are installed below its version: it needs nothing else (design D3).

    *newest* is by `name.arch` the newest installed version. Of several versions of one package the highest is named.
    """
    found: Dict[str, Fixed] = {}
    for fixed in patch.packages:
        order = version_key(scheme, fixed.version)
        below = version_key(scheme, newest[fixed.key].version) < order
        if below and (fixed.key not in found or version_key(scheme, found[fixed.key].version) < order):
            found[fixed.key] = fixed
    return [found[key] for key in sorted(found)]


class Doubt(str, Enum):
    """Why newest facts cannot tell whether a node is compliant."""

    NO_FACTS = "NO_FACTS"
    FACTS_STALE = "FACTS_STALE"
    METADATA_STALE = "METADATA_STALE"
    REPOSITORY_UNREACHABLE = "REPOSITORY_UNREACHABLE"
    NO_REPOSITORIES = "NO_REPOSITORIES"
    NO_SECURITY_REPOSITORY = "NO_SECURITY_REPOSITORY"  # the baseline approves what comes from one, and nothing else
    NO_NOTICES = "NO_NOTICES"  # the baseline approves what a notice names, and nothing else; no repository has any
    PACKAGES_UNFINISHED = "PACKAGES_UNFINISHED"  # the package manager began with some and could not finish them
    OTHER_SOURCES = "OTHER_SOURCES"  # the facts were taken with other repositories than the baseline says
    LATER_RUN_FAILED = "LATER_RUN_FAILED"  # the node was asked again, and no facts came of it


class Standing(str, Enum):
    """The live verdict on a node (design D5)."""

    COMPLIANT = "COMPLIANT"
    NON_COMPLIANT = "NON_COMPLIANT"
    UNKNOWN = "UNKNOWN"


STALE_AFTER_SECONDS = 2 * 24 * 3600.0


def doubts(
    view: Optional[View],
    age_seconds: float,
    *,
    baseline: Optional[Baseline] = None,
    stale_after: float = STALE_AFTER_SECONDS,
) -> Tuple[Doubt, ...]:
    """
    The reasons not to trust *view* as the node's present state, in the order of the enum. OTHER_SOURCES and LATER_RUN_FAILED
    are for those to add who know of sources and runs: a `Baseline` and a `View` do not.

    Args:
        view: The newest facts, None where there are none.
        age_seconds: How long ago they were taken.
        baseline: What the node is judged by; None asks nothing that depends on it.
        stale_after: From which age on facts and repository metadata count as stale, in seconds.
    """
    if view is None:
        return (Doubt.NO_FACTS,)
    facts, found = view.facts, []
    if age_seconds > stale_after:
        found.append(Doubt.FACTS_STALE)
    if not facts.refreshed_at or facts.observed_at - facts.refreshed_at + age_seconds > stale_after:
        found.append(Doubt.METADATA_STALE)
    if facts.problems:
        found.append(Doubt.REPOSITORY_UNREACHABLE)
    if not facts.slices:
        found.append(Doubt.NO_REPOSITORIES)
    elif baseline is not None and _lacks_security(baseline, view):
        found.append(Doubt.NO_SECURITY_REPOSITORY)
    elif baseline is not None and _lacks_notices(baseline, view):
        found.append(Doubt.NO_NOTICES)
    if not all(PackageState(package.state).usable for package in view.packages.packages):
        found.append(Doubt.PACKAGES_UNFINISHED)
    return tuple(found)


def _lacks_security(baseline: Baseline, view: View) -> bool:
    """Whether *baseline* approves only what security archives bring, and the node has none: nothing can then be missing."""
    if view.facts.operating_system.family is not Family.APT or not baseline.security_only:
        return False
    return not any(part.origin.is_security for part in view.slices)


def _lacks_notices(baseline: Baseline, view: View) -> bool:
    """Whether *baseline* approves only what notices name, and none names anything here: nothing can then be missing (§2.5)."""
    if view.facts.operating_system.family not in (Family.RPM, Family.ZYPP) or view.notices:
        return False
    return baseline.needs_notices


def standing(judgement: Optional[Judgement], found: Sequence[Doubt]) -> Standing:
    """NON_COMPLIANT where something known is wrong, else UNKNOWN where anything is in doubt, else COMPLIANT."""
    if judgement is not None and not judgement.compliant:
        return Standing.NON_COMPLIANT
    return Standing.UNKNOWN if judgement is None or found else Standing.COMPLIANT
