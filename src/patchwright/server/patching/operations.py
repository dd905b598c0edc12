# SPDX-License-Identifier: Apache-2.0
"""
The patch exchange, from the server's side (design D4): facts up, decisions here, plans down.

Every message may come again: an operation answers a repetition as it answered the first. What a message needs to know of the
time and of new ids comes in as arguments, since a unit of work may be run again by the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from patchwright.core import source
from patchwright.core.compliance import Operation as Kind
from patchwright.core.errors import MalformedFacts
from patchwright.core.facts import NodeFacts, View
from patchwright.core.override import OverrideList
from patchwright.core.package import ROWS_LIMIT, Manager
from patchwright.core.plan import Plan, Resolution
from patchwright.core.planning import settle
from patchwright.core.protocol import (
    Begun,
    Directive,
    FactsMessage,
    Next,
    Phase,
    RebootOption,
    Report,
    intent_from_json,
)
from patchwright.core.source import Sources
from patchwright.core.system import Family, OperatingSystem
from patchwright.server import nodes, tags
from patchwright.server.accounts import Scope
from patchwright.server.infra import Clock, Database, UnitOfWork, new_uuid
from patchwright.server.patching import baseline_store as snapshots
from patchwright.server.patching import baselines, course, offers, overrides, report, states
from patchwright.server.patching import operation_store as store
from patchwright.server.patching.memory import Memory, Recall
from patchwright.server.patching.model import (
    GivenBaseline,
    Operation,
    OperationRefused,
    OperationState,
    Override,
    Snapshot,
    UnknownOperation,
)

BODIES_LIMIT = 2_000  # of one message
NO_FILES: Mapping[str, str] = MappingProxyType({})
WhenFinished: TypeAlias = Callable[[Scope, str], UnitOfWork[None]]
_SYSTEMS = {system.value: system for system in OperatingSystem}


class Operations:
    """
    Scans and Installs of every node.

    *finished* is a unit of work that is carried out with a node's scope and id in every transaction in which an operation of
    the node may have finished: once too often rather than once too seldom.
    """

    def __init__(self, database: Database, clock: Clock, *, finished: WhenFinished | None = None) -> None:
        self._database = database
        self._clock = clock
        self._finished = finished or _unnoticed
        self._memory = Memory()

    async def begin(
        self,
        scope: Scope,
        instance_id: str,
        *,
        command_id: str,
        step: str,
        kind: Kind,
        snapshot_id: str,
        reboot_option: RebootOption,
        operating_system: str,
        product: str,
        files: Mapping[str, str] = NO_FILES,
        association_id: str = "",
    ) -> Begun:
        """
        Begin the operation of a command's step, or find the one that was begun.

        *files* are the URLs, by parameter, of what is given for it alone. *snapshot_id* empty means the command's id (design D13). What *kind*, snapshot and reboot option are is the command's
        word, not the node's. A system that no baseline can cover is refused, and the refusal is kept as a failed operation:
        whatever is known of the node, it is not how it is now. Errors: OperationRefused, UnknownNode.
        """
        system = _SYSTEMS.get(operating_system)
        known = system or await self._database.read(_system_before, scope, instance_id)
        if known is None:
            raise _uncovered(operating_system)
        fresh = Operation(
            scope=scope,
            id=new_uuid(),
            instance_id=instance_id,
            command_id=command_id,
            step=step,
            kind=kind,
            reboot_option=reboot_option,
            patch_group="",
            operating_system=known,
            snapshot_id=snapshot_id or command_id,
            baseline_id="",
            started_at=self._clock.now(),
            association_id=association_id,
            overrides={name: Override(url) for name, url in files.items()},
        )
        if system is None:
            refusal = _uncovered(operating_system)
            await self._database.write(_refuse, fresh, reason=str(refusal))
            raise refusal
        return await self._database.write(_begin, fresh, product=product, finished=self._finished)

    async def put_overrides(
        self,
        scope: Scope,
        instance_id: str,
        operation_id: str,
        *,
        product: str,
        listed: OverrideList | None = None,
        given: Mapping[OperatingSystem, GivenBaseline] | None = None,
    ) -> Begun:
        """Take what was in the files that an operation waits for. Errors: OperationRefused, UnknownOperation."""
        return await self._database.write(
            _put_overrides,
            scope,
            instance_id,
            operation_id,
            product=product,
            listed=listed,
            given=given,
            now=self._clock.now(),
        )

    async def put_bodies(self, scope: Scope, instance_id: str, operation_id: str, bodies: Mapping[str, bytes]) -> None:
        """Take the bodies that an answer to facts asked for. Errors: MalformedFacts, UnknownOperation."""
        if len(bodies) > BODIES_LIMIT:
            msg = f"One message carries at most {BODIES_LIMIT} bodies."
            raise OperationRefused(msg)
        packed = await asyncio.to_thread(nodes.pack, bodies)
        await self._database.write(_put_bodies, scope, instance_id, operation_id, packed, now=self._clock.now())

    async def put_facts(self, scope: Scope, instance_id: str, message: FactsMessage) -> Directive:
        """Take the facts an operation starts from or ends with, and say what comes next. Errors: UnknownOperation."""
        directive, recall = await self._database.write(
            _put_facts,
            scope,
            instance_id,
            message,
            memory=self._memory,
            finished=self._finished,
            now=self._clock.now(),
        )
        self._memory.keep(recall)
        return directive

    async def put_resolution(
        self, scope: Scope, instance_id: str, operation_id: str, *, attempt: int, resolution: Resolution
    ) -> Plan:
        """
        Make the plan of what the node resolved. Errors: PlanRefused, OperationRefused, UnknownOperation.
        """
        return await self._database.write(
            _put_resolution,
            scope,
            instance_id,
            operation_id,
            attempt=attempt,
            resolution=resolution,
            now=self._clock.now(),
        )


def with_unfinished(scope: Scope, instance_ids: Sequence[str]) -> UnitOfWork[set[str]]:
    """Those of some nodes for which `close` may have something to do; a unit of work."""
    return (yield from store.with_unfinished(scope, instance_ids))


def close(scope: Scope, instance_id: str, command_id: str, *, now: float, reason: str) -> UnitOfWork[bool]:
    """
    End what a command began on a node and did not finish, since the command itself has ended; a unit of work.

    An Install that had reported and only waited for its reboot keeps the states it reported: it has finished, which the
    answer says.
    """
    finished = False
    for operation in (yield from store.unfinished(scope, instance_id)):
        if operation.command_id == command_id:
            finished |= yield from _end(operation, now=now, reason=reason)
    return finished


def _unnoticed(_scope: Scope, _instance_id: str) -> UnitOfWork[None]:
    """Nobody wants to know."""
    yield from ()


def forget(scope: Scope, instance_id: str) -> UnitOfWork[None]:
    """
    Let a node that goes away leave the listings: its last operation and what it was offered. A unit of work.

    What it did, and what came of it, stays (design D5).
    """
    yield from store.forget_last(scope, instance_id)
    yield from offers.forget(scope, instance_id)


def _uncovered(operating_system: str) -> OperationRefused:
    return OperationRefused(f"No patch baseline can cover the operating system {operating_system[:64]!r}.")


def _system_before(scope: Scope, instance_id: str) -> UnitOfWork[OperatingSystem | None]:
    """The operating system that the node's newest facts are of; None without any."""
    observed = yield from nodes.latest(scope, instance_id)
    return observed.view.facts.operating_system if observed else None


def _refuse(fresh: Operation, *, reason: str) -> UnitOfWork[None]:
    """Keep that an operation could not begin."""
    if (yield from store.of_step(fresh.scope, fresh.instance_id, fresh.command_id, fresh.step)) is None:
        report = Report(False, "", reason)
        yield from store.add(replace(fresh, state=OperationState.FAILED, ended_at=fresh.started_at, report=report))


def _begin(fresh: Operation, *, product: str, finished: WhenFinished) -> UnitOfWork[Begun]:
    scope, instance_id = fresh.scope, fresh.instance_id
    yield from nodes.require(scope, instance_id)
    known = yield from store.of_step(scope, instance_id, fresh.command_id, fresh.step)
    if known is not None:
        return (yield from _begun(known, product))
    for other in (yield from store.unfinished(scope, instance_id)):
        if (yield from _end(other, now=fresh.started_at, reason="The node began another operation.")):
            yield from finished(scope, instance_id)
    group = tags.patch_group((yield from tags.of(scope, tags.MANAGED_INSTANCE, instance_id)))
    snapshot = yield from baselines.freeze(
        scope, group, fresh.operating_system, fresh.snapshot_id, now=fresh.started_at
    )
    operation = replace(fresh, patch_group=group, baseline_id=snapshot.baseline_id)
    yield from store.add(operation)
    return (yield from _begun(operation, product))


def _begun(operation: Operation, product: str) -> UnitOfWork[Begun]:
    """What the node is told of an operation that has begun."""
    sources: Sources = ()
    if not operation.awaited:
        kept = yield from _frozen(operation)
        sources = kept.definition.sources_for(product) if kept else ()
    return Begun(
        operation.id,
        operation.kind.value,
        operation.snapshot_id,
        operation.reboot_option,
        sources,
        operation.awaited,
    )


def _frozen(operation: Operation) -> UnitOfWork[Snapshot | None]:
    """The rules that an operation is judged by, as frozen for its run; None where they are gone."""
    if operation.baseline_override:
        return (yield from overrides.snapshot(operation))
    return (
        yield from snapshots.find_snapshot(
            operation.scope, operation.operating_system, operation.patch_group, operation.snapshot_id
        )
    )


def _put_overrides(
    scope: Scope,
    instance_id: str,
    operation_id: str,
    *,
    product: str,
    listed: OverrideList | None,
    given: Mapping[OperatingSystem, GivenBaseline] | None,
    now: float,
) -> UnitOfWork[Begun]:
    operation = yield from _require(scope, instance_id, operation_id)
    if operation.awaited and not operation.state.ended:
        operation = yield from overrides.keep(operation, listed, given, now=now)
    return (yield from _begun(operation, product))


def _end(operation: Operation, *, now: float, reason: str) -> UnitOfWork[bool]:
    """End an operation before its time; whether it has finished all the same, since it had reported."""
    reported = operation.state is OperationState.REBOOTING and operation.states_digest != ""
    state = OperationState.FINISHED if reported else OperationState.FAILED
    if operation.state is OperationState.PLANNED and not operation.acted_boot_id:
        # It may have acted on its plan and never said so: what the plan brought waits for a restart all the same.
        before = yield from nodes.load(operation.scope, operation.before_facts or "")
        operation = replace(operation, acted_boot_id=before.view.facts.boot_id)
    yield from store.put(replace(operation, state=state, ended_at=now, report=Report(False, "", reason)))
    return reported


def _put_bodies(
    scope: Scope, instance_id: str, operation_id: str, bodies: Sequence[nodes.Packed], *, now: float
) -> UnitOfWork[None]:
    yield from _require(scope, instance_id, operation_id)
    yield from nodes.put_bodies(scope, bodies, now=now)


def _put_facts(
    scope: Scope, instance_id: str, message: FactsMessage, *, memory: Memory, finished: WhenFinished, now: float
) -> UnitOfWork[tuple[Directive, Recall]]:
    recall = memory.recall()  # anew each time the unit is run: what one learned that came to nothing is not there
    directive = yield from _directive(scope, instance_id, message, recall=recall, now=now)
    if directive.next is Next.DONE:
        yield from finished(scope, instance_id)
    return directive, recall


def _directive(
    scope: Scope, instance_id: str, message: FactsMessage, *, recall: Recall, now: float
) -> UnitOfWork[Directive]:
    operation = yield from _require(scope, instance_id, message.operation_id)
    if message.number and message.number < operation.heard:
        msg = f"These facts come too late: the node took and sent others after them ({message.number}, {operation.heard})."
        raise OperationRefused(msg)
    operation = replace(operation, heard=message.number or operation.heard)
    seen = nodes.observation(instance_id, message.facts)
    if operation.state.ended and (message.phase is Phase.BEFORE or seen.id == operation.after_facts):
        return (yield from _ended(operation))
    if message.facts.operating_system is not operation.operating_system:
        msg = f"The operation began on {operation.operating_system.value}, the facts are of {message.facts.operating_system.value}."
        raise OperationRefused(msg)
    snapshot = None
    if operation.awaited and not operation.state.ended:
        msg = f"The operation waits for {' and '.join(operation.awaited)}; facts come after that. A node's agent that knows nothing of files is older than this server: update it."
        raise OperationRefused(msg)
    if not operation.state.ended:
        snapshot = yield from _snapshot(operation, recall)
        _check_sources(snapshot, message.facts)
    if snapshot is None and (yield from store.has_later(operation)):  # held up on the way: newer ones are known by now
        return (yield from _too_late(operation, message))
    recorded = yield from nodes.record(scope, instance_id, seen, now=now)
    if recorded.missing:
        return Directive(Next.SEND_BODIES, missing=tuple(recorded.missing))
    if recorded.changed:
        _check((yield from nodes.load(scope, seen.id)).view)
        yield from offers.note(scope, instance_id, seen.id, message.facts)
    if snapshot is None:  # too late for the operation; the live verdict still wants to know how it left the node
        return (yield from _too_late(operation, message))
    if message.phase is Phase.AFTER:
        return (yield from course.after(operation, snapshot, seen, message, now=now))
    return (yield from course.before(operation, snapshot, seen, message, recall=recall, now=now))


def _too_late(operation: Operation, message: FactsMessage) -> UnitOfWork[Directive]:
    """What is said to facts of an operation that has ended."""
    if message.acted_boot_id and operation.plan_digest:
        # What it did, and in which boot, is true all the same: the packages wait for a restart of that one.
        yield from store.put(replace(operation, acted_boot_id=message.acted_boot_id))
    return (yield from _ended(operation))


def _ended(operation: Operation) -> UnitOfWork[Directive]:
    """What is said of an operation that has ended, as often as it is asked."""
    kept = operation.report or Report(False, "", "The operation has ended.")
    if not operation.states_digest:
        return Directive(Next.DONE, report=kept)
    items = states.thaw((yield from store.find_states(operation.scope, operation.states_digest)))
    return Directive(Next.DONE, report=report.told(kept, report.findings(items, operation.counts)))


def _put_resolution(
    scope: Scope, instance_id: str, operation_id: str, *, attempt: int, resolution: Resolution, now: float
) -> UnitOfWork[Plan]:
    operation = yield from _require(scope, instance_id, operation_id)
    if operation.state is OperationState.PLANNED and operation.attempt == attempt:
        return (yield from store.find_plan(scope, operation.plan_digest))
    if operation.state is not OperationState.INTENDED or operation.attempt != attempt:
        msg = f"The operation is {operation.state.value} at attempt {operation.attempt}: it waits for no resolution {attempt}."
        raise OperationRefused(msg)
    observed = yield from nodes.load(scope, operation.before_facts or "")
    manager = observed.view.packages.manager
    resolution = overrides.reworded(operation, resolution)
    plan = settle(intent_from_json(operation.intent), resolution, manager=manager, snapshot_id=operation.snapshot_id)
    yield from store.put_plan(scope, plan, now=now)
    yield from store.put(replace(operation, state=OperationState.PLANNED, plan_digest=plan.digest))
    return plan


def _require(scope: Scope, instance_id: str, operation_id: str) -> UnitOfWork[Operation]:
    operation = yield from store.find(scope, operation_id)
    if operation is None or operation.instance_id != instance_id:
        msg = f"There is no operation {operation_id[:64]} of {instance_id}."
        raise UnknownOperation(msg)
    return operation


def _snapshot(operation: Operation, recall: Recall) -> UnitOfWork[Snapshot]:
    run = (operation.patch_group, operation.snapshot_id, operation.baseline_override, operation.baseline_id)
    key = ("snapshot", operation.scope, operation.operating_system, *run)
    snapshot: Snapshot | None = recall.get(key)
    if snapshot is None:
        snapshot = yield from _frozen(operation)
        recall.put(key, snapshot)
    if snapshot is None:
        msg = f"The snapshot {operation.snapshot_id} of the operation is gone."
        raise OperationRefused(msg)
    return snapshot


def _check_sources(snapshot: Snapshot, facts: NodeFacts) -> None:
    """Raise OperationRefused unless the facts were taken with the repositories that the baseline says."""
    sources = snapshot.definition.sources_for(facts.product)
    if facts.sources == source.digest(sources):
        return
    if not sources:
        msg = "The facts were taken with other repositories than the node's own, and the baseline names none."
    else:
        names = ", ".join(repr(one.name) for one in sources)
        msg = (
            f"The baseline {snapshot.baseline_id} names the repositories {names} for {facts.product}, and the facts were not"
            " taken with them. The node's agent may be older than this: install the newest one from /agent/install.sh."
        )
    raise OperationRefused(msg)


def _check(view: View) -> None:
    """Raise MalformedFacts unless all of it is of one package manager, and can be judged in a short transaction."""
    offers = sum(len(part.offers) for part in view.slices)
    if offers > ROWS_LIMIT:  # each slice is within it; a slice may be named twice, at two priorities
        msg = f"The slices have {offers} offers together, more than the {ROWS_LIMIT} allowed."
        raise MalformedFacts(msg)
    managers = {view.facts.manager, view.packages.manager, *(part.manager for part in view.slices)}
    if len(managers) > 1 or (view.facts.manager is Manager.APT) != (view.facts.operating_system.family is Family.APT):
        msg = "The facts mix package managers, or are of one that the operating system does not have."
        raise MalformedFacts(msg)


__all__: Sequence[str] = ("Operations", "close", "forget")
