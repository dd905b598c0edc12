# SPDX-License-Identifier: Apache-2.0
"""
The course of an operation: what its facts lead to (design D4, D10, D13).

    before  facts an operation starts from   → DONE (Scan, nothing to do, no verdict) | RESOLVE an intent | REBOOT
    after   facts an Install ends with       → DONE | REBOOT

Units of work. Who asks, and whether the message is one for this operation, was settled in `operations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from patchwright.core.compliance import Operation as Kind
from patchwright.core.facts import NodeFacts, View
from patchwright.core.package import PackageState
from patchwright.core.plan import Intent, Plan
from patchwright.core.planning import intend
from patchwright.core.protocol import (
    MAX_REPLANS,
    Directive,
    FactsMessage,
    Next,
    RebootOption,
    Report,
    intent_from_json,
    intent_to_json,
)
from patchwright.server import nodes
from patchwright.server.infra import UnitOfWork
from patchwright.server.patching import durations, judging, overrides, report
from patchwright.server.patching import operation_store as store
from patchwright.server.patching.durations import NOTHING, Spent
from patchwright.server.patching.judging import Judged
from patchwright.server.patching.memory import Recall
from patchwright.server.patching.model import Operation, OperationRefused, OperationState, Snapshot


def before(
    operation: Operation,
    snapshot: Snapshot,
    seen: nodes.Observation,
    message: FactsMessage,
    *,
    recall: Recall,
    now: float,
) -> UnitOfWork[Directive]:
    """The facts an operation starts from: a Scan ends here, an Install gets its intent."""
    if operation.after_facts is not None:
        msg = "The operation has acted already; it takes the facts it ends with."
        raise OperationRefused(msg)
    if message.attempt < operation.attempt:
        msg = f"The operation is at attempt {operation.attempt}; facts of attempt {message.attempt} come too late."
        raise OperationRefused(msg)
    if operation.intent and (message.attempt, seen.id) == (operation.attempt, operation.before_facts):
        # The same again, perhaps long after: the plan that was made of these facts stands.
        return Directive(Next.RESOLVE, intent=intent_from_json(operation.intent))
    if operation.state is OperationState.PLANNED and message.attempt == operation.attempt:
        # The node has gone on to act: these were taken before, and held up until after it took and sent others.
        msg = f"The plan of attempt {operation.attempt} is made; other facts of that attempt come too late."
        raise OperationRefused(msg)
    if seen.facts.problems or not seen.facts.slices:
        return (yield from _fail(operation, report.unreachable(operation, seen.facts), now=now))
    if operation.state is OperationState.REBOOTING:
        return (yield from _rebooting(operation, snapshot, seen, now=now))
    operation = replace(
        operation,
        before_facts=seen.id,
        attempt=message.attempt,
        drift=message.drift,
        intent={},
        plan_digest="",  # whatever was planned is not what will be done
        looked_at=now if operation.looked_at is None else operation.looked_at,
    )
    if operation.kind is Kind.SCAN:
        judged = yield from judging.scan(operation, snapshot, seen, recall)
        return (yield from _finish(operation, snapshot, seen.facts, judged, now=now))
    view = (yield from nodes.load(operation.scope, seen.id)).view
    judgement = yield from judging.weigh(operation, snapshot, view, Kind.SCAN)
    if operation.listed:
        intent = yield from overrides.intend(operation, view)
    else:
        intent = intend(snapshot.definition.baseline, view, judgement)
    if not intent.wanted:
        judged = judging.summarise(judgement)
        return (yield from _conclude(operation, snapshot, view.facts, judged, acted=False, now=now))
    if message.attempt > MAX_REPLANS:
        return (yield from _give_up(operation, snapshot, view, intent, now=now))
    yield from store.put(replace(operation, state=OperationState.INTENDED, intent=intent_to_json(intent)))
    return Directive(Next.RESOLVE, intent=intent)


def after(
    operation: Operation, snapshot: Snapshot, seen: nodes.Observation, message: FactsMessage, *, now: float
) -> UnitOfWork[Directive]:
    """The facts an Install ends with, before its reboot or after it."""
    if operation.state is OperationState.REBOOTING:
        return (yield from _rebooting(operation, snapshot, seen, now=now))
    if operation.state is not OperationState.PLANNED:
        msg = f"The operation is {operation.state.value}: it has no plan that could have been carried out."
        raise OperationRefused(msg)
    plan = yield from store.find_plan(operation.scope, operation.plan_digest)
    view = (yield from nodes.load(operation.scope, seen.id)).view
    operation = replace(
        operation,
        after_facts=seen.id,
        acted_boot_id=message.acted_boot_id or view.facts.boot_id,
        failures=_failures(plan, view, message.failures),
        acted_at=now,
    )
    yield from store.put(operation)  # before it is judged: the history that judging reads includes this very plan
    judgement = yield from judging.weigh(operation, snapshot, view, Kind.INSTALL)
    acted = any(action.key not in operation.failures for action in plan.actions)
    judged = judging.summarise(judgement)
    return (yield from _conclude(operation, snapshot, view.facts, judged, acted=acted, now=now))


def _rebooting(
    operation: Operation, snapshot: Snapshot, seen: nodes.Observation, *, now: float
) -> UnitOfWork[Directive]:
    """The facts of a node that was told to restart: it has done so if and only if its boot id is another (design D10)."""
    if seen.facts.boot_id == operation.acted_boot_id:
        yield from store.put(operation)
        return Directive(Next.REBOOT)
    operation = replace(operation, after_facts=seen.id)
    view = (yield from nodes.load(operation.scope, seen.id)).view
    judgement = yield from judging.weigh(operation, snapshot, view, Kind.INSTALL)
    return (yield from _finish(operation, snapshot, view.facts, judging.summarise(judgement), now=now))


def _give_up(
    operation: Operation, snapshot: Snapshot, view: View, intent: Intent, *, now: float
) -> UnitOfWork[Directive]:
    """The node drifted away from every plan: nothing is done, and what drifted is named (design D4)."""
    drifted = {text.split(":", 1)[0]: text for text in operation.drift}
    failures = {
        item.key: f"the node drifted from each of {MAX_REPLANS + 1} plans; at last {drifted[item.key]}"
        if item.key in drifted
        else f"not attempted: the node drifted from each of {MAX_REPLANS + 1} plans ({'; '.join(operation.drift)})"
        for item in intent.wanted
    }
    operation = replace(operation, failures=failures, intent=intent_to_json(intent))
    judgement = yield from judging.weigh(operation, snapshot, view, Kind.INSTALL)
    return (yield from _finish(operation, snapshot, view.facts, judging.summarise(judgement), now=now))


def _conclude(
    operation: Operation, snapshot: Snapshot, facts: NodeFacts, judged: Judged, *, acted: bool, now: float
) -> UnitOfWork[Directive]:
    """
    Restart the node, or finish.

    RebootIfNeeded means what AWS means by it: restart if something was installed or is pending, whether or not the system
    asks for it (spec §3.5).
    """
    boot_id = operation.acted_boot_id or facts.boot_id
    restarted = boot_id != facts.boot_id
    wanted = operation.reboot_option is RebootOption.REBOOT_IF_NEEDED and (acted or judged.pending) and not restarted
    if not wanted:
        return (yield from _finish(operation, snapshot, facts, judged, now=now))
    yield from _put_judged(operation, judged, OperationState.REBOOTING, now=now, acted_boot_id=boot_id)
    return Directive(Next.REBOOT)


def _finish(
    operation: Operation, snapshot: Snapshot, facts: NodeFacts, judged: Judged, *, now: float
) -> UnitOfWork[Directive]:
    kept = report.finished(operation, snapshot, facts, judged.failures)
    took = durations.spent(operation, now=now)
    yield from _put_judged(operation, judged, OperationState.FINISHED, took, now=now, report=kept, ended_at=now)
    return Directive(Next.DONE, report=report.told(kept, judged.findings))


def _put_judged(
    operation: Operation, judged: Judged, state: OperationState, spent: Spent = NOTHING, *, now: float, **members: Any
) -> UnitOfWork[None]:
    """Store the operation in its next *state* with what was *judged*, rows included, and other *members*."""
    if judged.rows:
        yield from store.put_states(operation.scope, judged.digest, judged.rows, now=now)
    changed = replace(operation, state=state, states_digest=judged.digest, counts=judged.counts, **members)
    yield from store.put(changed, spent=spent)


def _fail(operation: Operation, text: Report, *, now: float) -> UnitOfWork[Directive]:
    yield from store.put(replace(operation, state=OperationState.FAILED, report=text, ended_at=now))
    return Directive(Next.DONE, report=text)


def _failures(plan: Plan, view: View, told: Mapping[str, str]) -> dict[str, str]:
    """
    Why what was to be installed is not, by `name.arch`: of the plan's packages, those and only those that failed.

    The package database decides, the node's word (*told*) only explains: a child that was killed may have installed some.
    """
    found = {(package.key, package.version): package.state for package in view.packages.packages}
    # A new version may be for `all` where the old one was for an architecture, and the other way round.
    turned = {
        (f"{package.name}.all" if package.arch != "all" else package.name, package.version): package.state
        for package in view.packages.packages
    }
    failures = dict(plan.unresolved)
    done = set()
    for action in plan.actions:
        other = action.key if action.arch == "all" else action.name
        state = found.get((action.key, action.after)) or turned.get((other, action.after))
        if state is None:
            failures[action.key] = "the run ended without installing it"
        elif not PackageState(state).usable:
            failures[action.key] = f"the package database says {state}"
        else:
            done.add(action.key)
    failures.update((key, reason) for key, reason in told.items() if key not in done)
    return failures
