# SPDX-License-Identifier: Apache-2.0
"""
Patch baselines and the decision they make on a patch (spec §2.1, §2.2, §2.4, §2.6).

`decide` is pure: a baseline, a patch and a UTC day in, a decision with its reason out. It never asks what is installed.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from enum import Enum
from typing import Callable, Iterable, List, Optional, Sequence, Tuple

from patchwright.core.advisory import Notice, severity_word
from patchwright.core.entries import ANY, matches, names_package
from patchwright.core.errors import MalformedBaseline
from patchwright.core.patch import Patch
from patchwright.core.system import Family, OperatingSystem

MAX_DELAY_DAYS = 360

# Where no repository of a node publishes notices, rules approve nothing on these, non-security updates included (spec §2.5).
NEEDING_NOTICES = frozenset(
    {OperatingSystem.REDHAT_ENTERPRISE_LINUX, OperatingSystem.ROCKY_LINUX, OperatingSystem.ALMA_LINUX}
)


class ComplianceLevel(str, Enum):
    """How much a missing patch matters, most severe first. It never alters what is installed (spec §2.8)."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    INFORMATIONAL = "INFORMATIONAL"
    UNSPECIFIED = "UNSPECIFIED"

    @property
    def rank(self) -> int:
        """0 for the most severe."""
        return list(ComplianceLevel).index(self)


class RejectedAction(str, Enum):
    """What a rejection means (spec §2.7)."""

    ALLOW_AS_DEPENDENCY = "ALLOW_AS_DEPENDENCY"
    BLOCK = "BLOCK"


@dataclass(frozen=True)
class Filter:
    """One key of the API's filter keys and the values of which one must match; `*` matches anything."""

    key: str
    values: Tuple[str, ...]


@dataclass(frozen=True)
class ApprovalRule:
    """
    One approval rule: filters that must all match, and a date condition.

    Exactly one of *approve_after_days* (0 to 360) and *approve_until* is set (spec §1.19).
    """

    filters: Tuple[Filter, ...] = ()
    level: ComplianceLevel = ComplianceLevel.UNSPECIFIED
    approve_after_days: Optional[int] = None
    approve_until: Optional[datetime.date] = None
    enable_non_security: bool = False

    def __post_init__(self) -> None:
        if (self.approve_after_days is None) == (self.approve_until is None):
            raise MalformedBaseline("an approval rule takes exactly one of ApproveAfterDays and ApproveUntilDate")
        if self.approve_after_days is not None and not 0 <= self.approve_after_days <= MAX_DELAY_DAYS:
            raise MalformedBaseline(f"ApproveAfterDays must be between 0 and {MAX_DELAY_DAYS}")


@dataclass(frozen=True)
class Baseline:
    """The part of a patch baseline that decides. Names, tags and dates belong to the server's record of it."""

    operating_system: OperatingSystem
    global_filters: Tuple[Filter, ...] = ()
    rules: Tuple[ApprovalRule, ...] = ()
    approved: Tuple[str, ...] = ()
    approved_level: ComplianceLevel = ComplianceLevel.UNSPECIFIED
    approved_non_security: bool = False
    rejected: Tuple[str, ...] = ()
    rejected_action: RejectedAction = RejectedAction.ALLOW_AS_DEPENDENCY

    @property
    def security_only(self) -> bool:
        """Whether it approves something, and on apt nothing but what comes from a security archive (spec §2.5)."""
        approving = [rule.enable_non_security for rule in self.rules]
        approving += [self.approved_non_security] if self.approved else []
        return bool(approving) and not any(approving)

    @property
    def needs_notices(self) -> bool:
        """Whether it approves something, and nothing where no repository has notices (rpm) or patches (SUSE; spec §2.5)."""
        if self.operating_system.family is Family.ZYPP:
            return bool(self.rules or self.approved)
        if self.operating_system in NEEDING_NOTICES and self.rules:
            return not (self.approved and self.approved_non_security)
        return self.security_only

    def rejection(self, name: str, arch: str, version: str) -> Optional[str]:
        """The entry of the rejected list that names this package version, or None."""
        family = self.operating_system.family
        return next((entry for entry in self.rejected if names_package(family, entry, name, arch, version)), None)

    def rejection_of(self, patch: Patch) -> Optional[str]:
        """The entry of the rejected list that names *patch*, or None; on SUSE an entry may name a package that it brings."""
        return next((entry for entry in self.rejected if _names_patch(entry, patch)), None)


class Verdict(str, Enum):
    """What a baseline says of a patch."""

    APPROVED = "APPROVED"
    PENDING = "PENDING"  # only the date condition of some rule stands between it and approval
    NOT_APPROVED = "NOT_APPROVED"
    REJECTED = "REJECTED"


class Because(str, Enum):
    """Why: the code of a reason. What it says in words is in `Reason.text`."""

    RULE = "RULE"
    APPROVED_LIST = "APPROVED_LIST"
    REJECTED_LIST = "REJECTED_LIST"
    GLOBAL_FILTER = "GLOBAL_FILTER"
    FILTER = "FILTER"
    NOT_SECURITY = "NOT_SECURITY"
    NO_NOTICES = "NO_NOTICES"
    TOO_NEW = "TOO_NEW"
    AFTER_CUTOFF = "AFTER_CUTOFF"
    NO_RULES = "NO_RULES"


@dataclass(frozen=True)
class Reason:
    """
    One step of the way to a verdict.

    *rule* is the index of the rule that spoke (from 0), *detail* the filter key, list entry or day concerned.
    """

    because: Because
    rule: Optional[int] = None
    detail: str = ""

    @property
    def text(self) -> str:
        """The reason as a sentence."""
        where = f"rule {self.rule + 1}" if self.rule is not None else "the approved list"
        return _SENTENCES[self.because].format(where=where, detail=self.detail)


_SENTENCES = {
    Because.RULE: "{where} approves it",
    Because.APPROVED_LIST: "the approved list names it ({detail})",
    Because.REJECTED_LIST: "the rejected list names it ({detail})",
    Because.GLOBAL_FILTER: "the global filter on {detail} leaves it out",
    Because.FILTER: "{where} does not match on {detail}",
    Because.NOT_SECURITY: "{where} takes security updates only, and this is none",
    Because.NO_NOTICES: "{where} needs notices on this operating system, and the node's repositories have none",
    Because.TOO_NEW: "{where} approves it on {detail}",
    Because.AFTER_CUTOFF: "{where} takes only what was released up to {detail}",
    Because.NO_RULES: "the baseline has no approval rules",
}


@dataclass(frozen=True)
class Decision:
    """
    The answer for one patch on one UTC day.

    *reasons* explain the verdict, the deciding one first; for a patch that is not approved there is one for each rule.
    *changes_on* is the next day on which the same question has another answer, None if only a change of the baseline or of
    the patch can alter it. *since* is the first day on which a rule approved it, None where no rule does or none has a date.
    """

    verdict: Verdict
    reasons: Tuple[Reason, ...]
    level: ComplianceLevel = ComplianceLevel.UNSPECIFIED
    changes_on: Optional[datetime.date] = None
    since: Optional[datetime.date] = None

    @property
    def approved(self) -> bool:
        """Whether the patch is to be installed where it applies."""
        return self.verdict is Verdict.APPROVED


def decide(baseline: Baseline, patch: Patch, today: datetime.date) -> Decision:
    """
    What *baseline* says of *patch* on *today* (a UTC day), in the order of spec §2.2.

    Global filters drop, rules approve, the approved list adds even what was dropped, the rejected list wins over all. Several
    approvals give the most severe of their levels. On apt the date conditions are ignored, since its archives carry no dates.
    On rpm the day is that of the notice, or that on which the package was built; what has neither has waited long enough.
    """
    entry = baseline.rejection_of(patch)
    if entry is not None:
        return Decision(Verdict.REJECTED, (Reason(Because.REJECTED_LIST, detail=entry),))
    outcomes = _rule_outcomes(baseline, patch, today)
    approvals = [(outcome.reason, outcome.level) for outcome in outcomes if outcome.approves]
    listed = _listed(baseline, patch)
    if listed is not None and listed.because is Because.APPROVED_LIST:
        approvals.insert(0, (listed, baseline.approved_level))
    level = min((level for _, level in approvals), key=lambda level: level.rank, default=ComplianceLevel.UNSPECIFIED)
    later = [
        outcome.approves_on
        for outcome in outcomes
        if outcome.approves_on is not None and (not approvals or outcome.level.rank < level.rank)
    ]
    changes_on = min(later, default=None)
    if approvals:
        since = min((outcome.since for outcome in outcomes if outcome.since is not None), default=None)
        return Decision(Verdict.APPROVED, tuple(reason for reason, _ in approvals), level, changes_on, since)
    reasons = tuple(([listed] if listed else []) + [outcome.reason for outcome in outcomes])
    verdict = Verdict.PENDING if changes_on else Verdict.NOT_APPROVED
    return Decision(verdict, reasons or (Reason(Because.NO_RULES),), ComplianceLevel.UNSPECIFIED, changes_on)


@dataclass(frozen=True)
class _Outcome:
    """What one rule says: approval and since when, where there is a date; or why not, and the day on which it will approve."""

    reason: Reason
    level: ComplianceLevel
    approves: bool = False
    approves_on: Optional[datetime.date] = None
    since: Optional[datetime.date] = None


def _rule_outcomes(baseline: Baseline, patch: Patch, today: datetime.date) -> List[_Outcome]:
    dropped = _failed_filter(baseline.global_filters, patch, patch.notices or (None,))
    if dropped is not None:
        level = ComplianceLevel.UNSPECIFIED
        return [_Outcome(Reason(Because.GLOBAL_FILTER, detail=dropped), level)]
    if not patch.advised and baseline.operating_system in NEEDING_NOTICES:
        return [_Outcome(Reason(Because.NO_NOTICES, index), rule.level) for index, rule in enumerate(baseline.rules)]
    return [_rule_outcome(rule, index, patch, today) for index, rule in enumerate(baseline.rules)]


def _rule_outcome(rule: ApprovalRule, index: int, patch: Patch, today: datetime.date) -> _Outcome:
    candidates: Sequence[Optional[Notice]] = patch.notices or (None,)
    failed = _failed_filter(rule.filters, patch, candidates)
    if failed is not None:
        return _Outcome(Reason(Because.FILTER, index, failed), rule.level)
    if not rule.enable_non_security and not _is_security(patch):
        return _Outcome(Reason(Because.NOT_SECURITY, index), rule.level)
    if patch.family is Family.APT:
        return _Outcome(Reason(Because.RULE, index), rule.level, approves=True)
    matching = [notice for notice in candidates if _failed_filter(rule.filters, patch, (notice,)) is None]
    return _dated(rule, index, [_day(patch, notice) for notice in matching], today)


def _dated(rule: ApprovalRule, index: int, days: Sequence[Optional[datetime.date]], today: datetime.date) -> _Outcome:
    """The date condition over the days of every matching notice: the earliest one decides (spec §2.4)."""
    if rule.approve_until is not None:
        # What has no date cannot be shown to be late; the delay rule treats it as due at once for the same reason (D3).
        if any(day is None or day <= rule.approve_until for day in days):
            since = min((day for day in days if day is not None), default=None)
            return _Outcome(Reason(Because.RULE, index), rule.level, approves=True, since=since)
        return _Outcome(Reason(Because.AFTER_CUTOFF, index, rule.approve_until.isoformat()), rule.level)
    due = min(_after(day, rule.approve_after_days or 0) if day is not None else datetime.date.min for day in days)
    if due <= today:
        since = None if due == datetime.date.min else due
        return _Outcome(Reason(Because.RULE, index), rule.level, approves=True, since=since)
    return _Outcome(Reason(Because.TOO_NEW, index, due.isoformat()), rule.level, approves_on=due)


def _after(day: datetime.date, days: int) -> datetime.date:
    """*day* and *days* more, or the last day there is: a vendor may write 9999-12-31."""
    return datetime.date.fromordinal(min(day.toordinal() + days, datetime.date.max.toordinal()))


def _day(patch: Patch, notice: Optional[Notice]) -> Optional[datetime.date]:
    return (notice.date if notice is not None else None) or patch.build_day


def _is_security(patch: Patch) -> bool:
    """The implicit test of EnableNonSecurity=false: a security suite on apt, any notice elsewhere (spec §2.5)."""
    return patch.security if patch.family is Family.APT else bool(patch.notices)


def _listed(baseline: Baseline, patch: Patch) -> Optional[Reason]:
    """What the approved list says: APPROVED_LIST, NOT_SECURITY where it names a patch it may not approve, or None."""
    for entry in baseline.approved:
        if _names_patch(entry, patch) or _names_notice(entry, patch):
            if baseline.approved_non_security or _is_security(patch):
                return Reason(Because.APPROVED_LIST, detail=entry)
            return Reason(Because.NOT_SECURITY, detail=entry)
    return None


# --- filters -----------------------------------------------------------------------------------------------------------------

_PATCH_VALUES: dict[str, Callable[[Patch], Iterable[str]]] = {
    "ARCH": lambda patch: (patch.arch,),
    "NAME": lambda patch: (patch.name,),
    "PRIORITY": lambda patch: (patch.priority,),
    "PRODUCT": lambda patch: (patch.product,),
    "RELEASE": lambda patch: (patch.release,),
    "REPOSITORY": lambda patch: patch.repositories,
    "SECTION": lambda patch: (patch.section,),
    "SECURITY": lambda patch: ("true" if _is_security(patch) else "false",),
    "VERSION": lambda patch: (patch.version, patch.upstream),
    "EPOCH": lambda patch: (patch.epoch,),
}

_NOTICE_VALUES: dict[str, Callable[[Notice], Iterable[str]]] = {
    "ADVISORY_ID": lambda notice: (notice.id,),
    "BUGZILLA_ID": lambda notice: notice.bugzillas,
    "CLASSIFICATION": lambda notice: (notice.classification,),
    "CVE_ID": lambda notice: notice.cves,
    "SEVERITY": lambda notice: (notice.severity or "None",),
}


def _failed_filter(filters: Sequence[Filter], patch: Patch, notices: Sequence[Optional[Notice]]) -> Optional[str]:
    """
    The key of the filter that leaves *patch* out, None if all match.

    All filters on a notice's attributes must be met by one and the same notice; the key reported is the first that the
    best-placed notice fails.
    """
    failures = [_first_failure(filters, patch, notice) for notice in notices]
    if any(failure is None for failure in failures):
        return None
    last = max(index for index in failures if index is not None)
    return filters[last].key


def _first_failure(filters: Sequence[Filter], patch: Patch, notice: Optional[Notice]) -> Optional[int]:
    for index, item in enumerate(filters):
        if ANY not in item.values and not _matches(item, patch, notice):
            return index
    return None


def _matches(item: Filter, patch: Patch, notice: Optional[Notice]) -> bool:
    if item.key in _PATCH_VALUES:
        values = _PATCH_VALUES[item.key](patch)
    elif item.key in _NOTICE_VALUES and notice is not None:
        values = _NOTICE_VALUES[item.key](notice)
    elif item.key == "CLASSIFICATION" and patch.family is Family.APT:
        values = (patch.classification,)
    else:
        return False
    wanted = {fold(item.key, value) for value in item.values}
    return any(fold(item.key, value) in wanted for value in values)


# os-release leaves out the zero that the API's list of products writes: AmazonLinux2.0, Suse15.0.
_POINT_ZERO = re.compile(r"(amazonlinux2|suse[0-9]+)\.0\Z")


def fold(key: str, value: str) -> str:
    """The value of a filter as it is compared: in lower case, and two ways to write one thing are one."""
    if key == "SEVERITY":
        return severity_word(value)
    word = value.strip().lower()
    return _POINT_ZERO.sub(r"\1", word) if key == "PRODUCT" else word


# --- explicit lists (spec §2.6) ----------------------------------------------------------------------------------------------


def _names_notice(entry: str, patch: Patch) -> bool:
    """Whether an entry of the approved list is a Bugzilla id, a CVE or an advisory id of one of the patch's notices (rpm)."""
    if patch.family is not Family.RPM:
        return False
    if entry.isdigit():
        return any(entry in notice.bugzillas for notice in patch.notices)
    return any(entry == notice.id or entry.upper() in notice.cves for notice in patch.notices)


def _names_patch(entry: str, patch: Patch) -> bool:
    """Whether an entry names the patch as both lists may; on SUSE by its own name, or by an rpm file that the node needs."""
    if patch.family is not Family.ZYPP:
        return names_package(patch.family, entry, patch.name, patch.arch, patch.version)
    return matches(entry, patch.name) or any(names_package(Family.ZYPP, entry, *package) for package in patch.packages)


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def read_day(text: str) -> datetime.date:
    """The day of an ApproveUntilDate, `YYYY-MM-DD`; anything else raises MalformedBaseline."""
    if _DAY.match(text):
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:
            pass
    raise MalformedBaseline(f"{text!r} is no date in the form YYYY-MM-DD")
