# SPDX-License-Identifier: Apache-2.0
"""The two answers (design D5): the last operation, and the live verdict. Nothing here mixes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from patchwright.core import source
from patchwright.core.compliance import Doubt, Item, Judgement, Standing, doubts, judge, standing
from patchwright.core.compliance import Operation as Kind
from patchwright.core.facts import NodeFacts, View
from patchwright.core.protocol import intent_from_json
from patchwright.server import nodes, tags
from patchwright.server.accounts import Scope
from patchwright.server.infra import Clock, Database, UnitOfWork, today
from patchwright.server.patching import baselines, states
from patchwright.server.patching import operation_store as store
from patchwright.server.patching.decisions import decider
from patchwright.server.patching.history import history
from patchwright.server.patching.model import LastOperation, Operation, PatchBaseline


@dataclass(frozen=True)
class PatchRow:
    """One patch state as the last operation reported it. *installed_at* is 0 for what is not installed."""

    item: Item
    installed_at: float


@dataclass(frozen=True)
class Verdict:
    """
    The live verdict: today's baseline over the newest facts.

    *judgement*, *facts*, *baseline*, *age_seconds* are None for a node that has reported no facts yet.
    """

    node: nodes.Node
    standing: Standing
    doubts: Sequence[Doubt]
    patch_group: str
    baseline: PatchBaseline | None
    judgement: Judgement | None
    facts: NodeFacts | None
    age_seconds: float | None
    last: LastOperation | None


class Verdicts:
    """What is known of the compliance of nodes."""

    def __init__(self, database: Database, clock: Clock, *, stale_after: float) -> None:
        self._database = database
        self._clock = clock
        self._stale_after = stale_after

    async def last(self, scope: Scope, instance_ids: Sequence[str]) -> list[LastOperation]:
        """
        The last operation of each of these nodes, in order of id; nodes without one are passed over.

        Of the operations what a listing shows: no drift, intent, failures and report.
        """
        return await self._database.read(store.last_of_each, scope, sorted(set(instance_ids)))

    async def rows(self, scope: Scope, instance_id: str) -> list[PatchRow]:
        """The patch states of the node's last operation, in order of key; none without one. Errors: UnknownNode."""
        return await self._database.read(_rows, scope, instance_id)

    async def live(self, scope: Scope, instance_id: str) -> Verdict:
        """The live verdict on a node. Errors: UnknownNode."""
        return await self._database.read(
            _live, scope, instance_id, now=self._clock.now(), stale_after=self._stale_after
        )


def items(scope: Scope, digest: str) -> UnitOfWork[Sequence[Item]]:
    """The rows of a judgement by their digest, which is known to exist, in order of key; a unit of work."""
    return states.thaw((yield from store.find_states(scope, digest)))


def installed_times(
    scope: Scope, instance_id: str, rows: Sequence[Item], *, until: float
) -> UnitOfWork[dict[str, float]]:
    """By key, when what each of *rows* speaks of had appeared on the node, as known at *until*; 0 for what is not there."""
    first, changed = yield from nodes.since(scope, instance_id, until=until)
    return {item.key: _installed_at(item, first, changed) for item in rows}


def _rows(scope: Scope, instance_id: str) -> UnitOfWork[list[PatchRow]]:
    yield from nodes.require(scope, instance_id)
    operation = yield from store.last(scope, instance_id)
    if operation is None:
        return []
    items = states.thaw((yield from store.find_states(scope, operation.states_digest)))
    first, changed = yield from nodes.since(scope, instance_id, until=operation.ended_at or 0.0)
    return [PatchRow(item, _installed_at(item, first, changed)) for item in items]


def _installed_at(item: Item, first: float, changed: Mapping[str, float]) -> float:
    """
    When what the row speaks of was first seen on the node in that version; 0 where it is not there (spec §3.1).

    A patch of several packages (SUSE) is there since the last of them.
    """
    if item.installed != item.version:
        return 0.0
    return max(changed.get(key, first) for key in item.packages)


def _live(scope: Scope, instance_id: str, *, now: float, stale_after: float) -> UnitOfWork[Verdict]:
    node = yield from nodes.require(scope, instance_id)
    group = tags.patch_group((yield from tags.of(scope, tags.MANAGED_INSTANCE, instance_id)))
    observed = yield from nodes.latest(scope, instance_id)
    last = next(iter((yield from store.last_of_each(scope, [instance_id], whole=True))), None)
    if observed is None:
        found = doubts(None, 0.0)
        return Verdict(node, standing(None, found), found, group, None, None, None, None, last)
    baseline = yield from baselines.effective(scope, group, observed.view.facts.operating_system)
    wanted = source.digest(baseline.definition.sources_for(observed.view.facts.product))
    view, covered = yield from _through(scope, instance_id, observed.view, wanted)
    facts, rules = view.facts, baseline.definition.baseline
    failures, attempted = _standing_failures(last.operation) if last else ({}, {})
    past = yield from history(scope, instance_id, facts.boot_id, failures)
    past = replace(past, attempted=attempted)
    judgement = judge(rules, view, decider(rules, today(now)), history=past)
    # Facts may have waited on the node while the server was away: they are as old as when they were taken.
    age = max(now - observed.recorded_at, now - facts.observed_at - facts.clock_offset, 0.0)
    found = doubts(view, age, baseline=rules, stale_after=stale_after)
    if not covered:
        found = (*found, Doubt.OTHER_SOURCES)
    if (yield from store.failed_since(scope, instance_id, observed.recorded_at)):
        found = (*found, Doubt.LATER_RUN_FAILED)
    return Verdict(
        node=node,
        # What other repositories offer says nothing of what is missing from these.
        standing=standing(judgement if facts.sources == wanted else None, found),
        doubts=found,
        patch_group=group,
        baseline=baseline,
        judgement=judgement,
        facts=facts,
        age_seconds=age,
        last=last,
    )


def _through(scope: Scope, instance_id: str, newest: View, sources: str) -> UnitOfWork[tuple[View, bool]]:
    """
    The newest facts as seen through the repositories with that digest, and whether these say all there is to say of them.

    Where the newest were taken with others, what is installed is theirs, and what is offered is of the last ones that were
    taken so: of names that were not installed then nothing is known. Without any the newest are all there is.
    """
    if newest.facts.sources == sources:
        return newest, True
    former = yield from nodes.former(scope, instance_id, sources)
    if former is None:
        return newest, False
    then = former.view.facts
    facts = replace(
        newest.facts,
        slices=then.slices,
        notices=then.notices,
        pins=then.pins,
        problems=then.problems,
        refreshed_at=then.refreshed_at,
        sources=then.sources,
    )
    view = View(facts, newest.packages, former.view.slices, former.view.notices)
    return view, set(newest.packages.by_key()) <= set(former.view.packages.by_key())


def _standing_failures(operation: Operation) -> tuple[dict[str, str], dict[str, str]]:
    """By `name.arch`, why the last Install could not install something, and in which version: another was not tried."""
    if operation.kind is not Kind.INSTALL or not operation.intent:
        return {}, {}
    failed = [item for item in intent_from_json(operation.intent).wanted if item.key in operation.failures]
    reasons = {item.key: operation.failures[item.key] for item in failed}
    return reasons, {item.key: item.version for item in failed}
