# SPDX-License-Identifier: Apache-2.0
"""
Judging for an operation, and what an operation keeps of it (design D3).

What a Scan says is the same for all reports with the same packages, offers and rules, so it is remembered: most nodes of a
fleet have nothing new to say most of the time.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace

from patchwright.core.compliance import Judgement, PatchState, judge
from patchwright.core.compliance import Operation as Kind
from patchwright.core.facts import NodeFacts, View
from patchwright.server import nodes
from patchwright.server.infra import UnitOfWork
from patchwright.server.patching import operation_store as store
from patchwright.server.patching import overrides, report, states
from patchwright.server.patching.decisions import decider
from patchwright.server.patching.history import history
from patchwright.server.patching.memory import Recall
from patchwright.server.patching.model import Operation, Snapshot


@dataclass(frozen=True)
class Judged:
    """
    What an operation keeps of a judgement.

    *digest* names its rows, *counts* are its counters, *pending* says whether anything waits for a restart, *findings* and
    *failures* are what a person reads. *rows* are empty where they are stored already.
    """

    digest: str
    counts: Mapping[str, int]
    pending: bool
    findings: str
    failures: tuple[str, ...]
    rows: bytes = field(default=b"", repr=False)


def scan(operation: Operation, snapshot: Snapshot, seen: nodes.Observation, recall: Recall) -> UnitOfWork[Judged]:
    """What a Scan says of a node that was seen so; a unit of work."""
    acts = yield from store.acts_of_boot(operation.scope, operation.instance_id, seen.facts.boot_id)
    # The rules themselves: a predefined baseline may be frozen as two versions of this program knew it.
    rules = (snapshot.definition.baseline, snapshot.day)
    key = ("scan", operation.scope, rules, _basis(seen.facts), tuple(acts))
    known: Judged | None = recall.get(key)
    if known is not None:
        return known
    observed = yield from nodes.load(operation.scope, seen.id)
    judged = summarise((yield from weigh(operation, snapshot, observed.view, Kind.SCAN)))
    recall.put(key, replace(judged, rows=b""))
    return judged


def weigh(operation: Operation, snapshot: Snapshot, view: View, kind: Kind) -> UnitOfWork[Judgement]:
    """The judgement on a node, with all that earlier operations did to it; a unit of work."""
    past = yield from history(operation.scope, operation.instance_id, view.facts.boot_id, operation.failures)
    past = replace(past, attempted=overrides.attempted(operation))
    baseline = snapshot.definition.baseline
    # A list says what is installed: what else is approved was not tried, so it is missing and has not failed (spec §3.6).
    kind = Kind.SCAN if operation.listed else kind
    judgement = judge(baseline, view, decider(baseline, snapshot.day), history=past, operation=kind)
    return overrides.told(operation, judgement)


def summarise(judgement: Judgement) -> Judged:
    """What an operation keeps of *judgement*."""
    digest, rows, counts = states.freeze(judgement)
    pending = any(item.state is PatchState.INSTALLED_PENDING_REBOOT for item in judgement.items)
    return Judged(
        digest, counts, pending, report.findings(judgement.items, counts), report.failures(judgement.items), rows
    )


def _basis(facts: NodeFacts) -> Hashable:
    """All of a node's facts that judging looks at, but the boot: that is in what was done during it."""
    return (
        facts.operating_system,
        facts.product,
        facts.package_set,
        tuple((ref.digest, ref.pin) for ref in facts.slices),
        facts.notices,
        facts.pins,
        facts.held,
        facts.modules,
    )
