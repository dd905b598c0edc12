# SPDX-License-Identifier: Apache-2.0
"""Records of the patching room: baselines as resources, snapshots, operations; and the room's errors."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from patchwright.core import source
from patchwright.core.baseline import (
    ApprovalRule,
    Baseline,
    ComplianceLevel,
    Filter,
    RejectedAction,
)
from patchwright.core.compliance import Operation as Kind
from patchwright.core.errors import PatchwrightError
from patchwright.core.patch_step import BASELINE_OVERRIDE, INSTALL_OVERRIDE_LIST
from patchwright.core.protocol import RebootOption, Report
from patchwright.core.source import Sources
from patchwright.core.system import OperatingSystem
from patchwright.server.accounts import Scope

UNUSED = "unused"


class PatchingError(PatchwrightError):
    """The root of this room's errors."""


class UnknownBaseline(PatchingError):
    """No patch baseline with this id."""

    def __init__(self, baseline_id: str) -> None:
        super().__init__(f"Patch baseline {baseline_id} does not exist.")
        self.baseline_id = baseline_id


class MalformedBaselineId(PatchingError):
    """Neither the id nor the ARN of a patch baseline."""


class ReadOnlyBaseline(PatchingError):
    """A predefined baseline cannot be changed."""


class GroupTaken(PatchingError):
    """The patch group has a baseline for this operating system already."""


class TooManyBaselines(PatchingError):
    """The account has as many patch baselines as it may have."""


class BaselineInUse(PatchingError):
    """A baseline that a patch group or an operating system gets cannot be deleted."""


class UnsupportedSystem(PatchingError):
    """No baseline can be for the operating system of this node, or the one given is for another."""


class TooManyGroups(PatchingError):
    """The baseline has as many patch groups as one may have."""


class UnknownOperation(PatchingError):
    """No such operation of this node."""


class OperationRefused(PatchingError):
    """An operation that cannot begin, or a message that does not fit where it stands."""


@dataclass(frozen=True)
class Source:
    """An alternative repository of a baseline, and the products of the nodes it is for; `*` is all of them (spec §2.9)."""

    name: str
    products: tuple[str, ...]
    configuration: str = field(repr=False)  # may hold credentials


@dataclass(frozen=True)
class Definition:
    """What a patch baseline says: its name, what people wrote about it, and the part that decides."""

    name: str
    baseline: Baseline
    description: str = ""
    sources: tuple[Source, ...] = ()
    available_security_updates: str = ""

    def sources_for(self, product: str) -> Sources:
        """The repositories that stand in the place of a node's own, in order; none for its product: its own are used."""
        return tuple(
            source.Source(one.name, one.configuration)
            for one in self.sources
            if "*" in one.products or product in one.products
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back to an equal value."""
        baseline = self.baseline
        return {
            "name": self.name,
            "description": self.description,
            "operatingSystem": baseline.operating_system.value,
            "globalFilters": _filters(baseline.global_filters),
            "rules": [_rule(rule) for rule in baseline.rules],
            "approved": list(baseline.approved),
            "approvedLevel": baseline.approved_level.value,
            "approvedNonSecurity": baseline.approved_non_security,
            "rejected": list(baseline.rejected),
            "rejectedAction": baseline.rejected_action.value,
            "sources": [[one.name, list(one.products), one.configuration] for one in self.sources],
            "availableSecurityUpdates": self.available_security_updates,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Definition:
        """Read what `to_json` wrote."""
        baseline = Baseline(
            operating_system=OperatingSystem(data["operatingSystem"]),
            global_filters=_read_filters(data["globalFilters"]),
            rules=tuple(_read_rule(rule) for rule in data["rules"]),
            approved=tuple(data["approved"]),
            approved_level=ComplianceLevel(data["approvedLevel"]),
            approved_non_security=data["approvedNonSecurity"],
            rejected=tuple(data["rejected"]),
            rejected_action=RejectedAction(data["rejectedAction"]),
        )
        sources = tuple(Source(name, tuple(products), text) for name, products, text in data["sources"])
        return cls(data["name"], baseline, data["description"], sources, data["availableSecurityUpdates"])


@dataclass(frozen=True)
class PatchBaseline:
    """
    A patch baseline as a resource. *id* is what the API shows: the bare id, the ARN for predefined ones.

    *revision* counts its changes from 1. *groups* are filled in where they are asked for.
    """

    id: str
    revision: int
    definition: Definition
    created_at: float
    modified_at: float
    predefined: bool = False
    groups: tuple[str, ...] = ()


class Listed(NamedTuple):
    """A patch baseline as a listing shows it. *default* says whether its operating system gets it where nothing else is said."""

    id: str
    name: str
    description: str
    operating_system: str
    predefined: bool = False
    default: bool = False


@dataclass(frozen=True)
class Snapshot:
    """A baseline as frozen for one run: its rules and the UTC day on which they are read (design D13)."""

    id: str
    patch_group: str
    baseline_id: str
    revision: int
    definition: Definition
    day: datetime.date


class Selection(NamedTuple):
    """Which baselines or groups a listing shows: those whose name starts as one of each of *prefixes*, of one of each of *systems*."""

    prefixes: tuple[tuple[str, ...], ...] = ()
    systems: tuple[tuple[str, ...], ...] = ()

    def shows(self, name: str, operating_system: str) -> bool:
        """Whether it shows what is called so."""
        return all(name.startswith(one) for one in self.prefixes) and all(
            operating_system in one for one in self.systems
        )


class GroupMapping(NamedTuple):
    """A patch group and the baseline it has for one operating system."""

    group: str
    baseline: Listed


class OperationState(str, Enum):
    """Where an operation stands. *FAILED* ended without a verdict; what was known before it stays."""

    BEGUN = "begun"
    INTENDED = "intended"
    PLANNED = "planned"
    REBOOTING = "rebooting"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return self in {OperationState.FINISHED, OperationState.FAILED}


class Override(NamedTuple):
    """
    A file that is given for one operation: where it is, and by which digest what it says is kept: empty before the node has
    sent it, `UNUSED` where it says nothing of the node's operating system.
    """

    url: str
    digest: str = ""


class GivenBaseline(NamedTuple):
    """A baseline that is given for one run, and the id that its author calls it by, empty for none."""

    id: str
    definition: Definition


@dataclass(frozen=True)
class Operation:
    """One Scan or Install on one node, as far as it has come. Times are epoch seconds."""

    scope: Scope
    id: str
    instance_id: str
    command_id: str
    step: str
    kind: Kind
    reboot_option: RebootOption
    patch_group: str
    operating_system: OperatingSystem
    snapshot_id: str
    baseline_id: str
    started_at: float
    state: OperationState = OperationState.BEGUN
    attempt: int = 0
    drift: tuple[str, ...] = ()
    intent: Mapping[str, Any] = field(default_factory=dict)
    plan_digest: str = ""
    acted_boot_id: str = ""
    failures: Mapping[str, str] = field(default_factory=dict)
    before_facts: str | None = None
    after_facts: str | None = None
    states_digest: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    report: Report | None = None
    ended_at: float | None = None
    association_id: str = ""
    overrides: Mapping[str, Override] = field(default_factory=dict)
    looked_at: float | None = None  # when it first knew what was to be done
    acted_at: float | None = None  # when it had acted on its plan, before any restart
    heard: int = 0  # the number of the last facts

    @property
    def awaited(self) -> dict[str, str]:
        """The URLs, by parameter, of the files that the node has yet to send."""
        return {name: one.url for name, one in self.overrides.items() if not one.digest}

    @property
    def listed(self) -> str:
        """The digest of the list that decides what is installed, empty without one."""
        return self.overrides[INSTALL_OVERRIDE_LIST].digest if INSTALL_OVERRIDE_LIST in self.overrides else ""

    @property
    def install_override_list(self) -> str:
        """Where that list is from."""
        return self.overrides[INSTALL_OVERRIDE_LIST].url if INSTALL_OVERRIDE_LIST in self.overrides else ""

    @property
    def baseline_override(self) -> str:
        """The digest of the baseline that was given for this run, empty where the node's own counts."""
        digest = self.overrides[BASELINE_OVERRIDE].digest if BASELINE_OVERRIDE in self.overrides else ""
        return "" if digest == UNUSED else digest


class Finished(NamedTuple):
    """What others build on a node's last finished operation: whose rules they were, and which rows came of it."""

    id: str
    command_id: str
    patch_group: str
    baseline_id: str
    states_digest: str
    ended_at: float
    association_id: str = ""


@dataclass(frozen=True)
class LastOperation:
    """A node's last finished operation; *no_reboot_install_at* is when its last Install with NoReboot ended."""

    operation: Operation
    no_reboot_install_at: float | None


class Bound(NamedTuple):
    """A bound on a counter of last operations: *sign* is =, <>, < or >."""

    counter: str
    sign: str
    number: int


def _filters(filters: tuple[Filter, ...]) -> list[list[Any]]:
    return [[item.key, list(item.values)] for item in filters]


def _read_filters(rows: list[list[Any]]) -> tuple[Filter, ...]:
    return tuple(Filter(key, tuple(values)) for key, values in rows)


def _rule(rule: ApprovalRule) -> dict[str, Any]:
    return {
        "filters": _filters(rule.filters),
        "level": rule.level.value,
        "approveAfterDays": rule.approve_after_days,
        "approveUntil": rule.approve_until.isoformat() if rule.approve_until else None,
        "enableNonSecurity": rule.enable_non_security,
    }


def _read_rule(data: Mapping[str, Any]) -> ApprovalRule:
    until = data["approveUntil"]
    return ApprovalRule(
        filters=_read_filters(data["filters"]),
        level=ComplianceLevel(data["level"]),
        approve_after_days=data["approveAfterDays"],
        approve_until=datetime.date.fromisoformat(until) if until else None,
        enable_non_security=data["enableNonSecurity"],
    )
