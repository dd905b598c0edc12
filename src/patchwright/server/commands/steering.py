# SPDX-License-Identifier: Apache-2.0
"""How whoever sent a command follows it and holds it back; units of work (spec §5.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from patchwright.core.invocation import Detail
from patchwright.server.accounts import Scope
from patchwright.server.commands import invocation_store, store, tally_store
from patchwright.server.commands.model import (
    Command,
    DuplicateInstance,
    Invocation,
    UnknownCommand,
    UnknownInstances,
)
from patchwright.server.commands.moving import move, settle
from patchwright.server.commands.sending import close
from patchwright.server.commands.tally import Standing
from patchwright.server.infra import UnitOfWork, new_uuid

CANCEL_TOGETHER = 200  # invocations on nodes that one transaction cancels
CANCEL_GRACE_SECONDS = 60.0  # how long a command that was handed over, and is cancelled, may take to be acknowledged


def detail(scope: Scope, command_id: str) -> UnitOfWork[Detail | None]:
    """How a command stands; None for an unknown one."""
    return (yield from store.detail_of(scope, command_id))


def counts(scope: Scope, command_id: str) -> UnitOfWork[tuple[int, int]]:
    """How many nodes a command is for, and on how many of them it ended in an error; of an unknown one none."""
    stands = yield from tally_store.find(scope, command_id)
    return (0, 0) if stands is None else (stands.waiting + stands.under_way + stands.completed, stands.errors)


def withdraw(scope: Scope, command_id: str, *, now: float) -> UnitOfWork[None]:
    """End what waits for its turn of a command, as cancelled; what has begun runs to its end."""
    command = yield from store.find(scope, command_id)
    if command is not None and not command.detail.final:
        yield from _end_waiting(command, now=now, cancelling=False)


def cancel(scope: Scope, command_id: str, instance_ids: Sequence[str], *, now: float) -> UnitOfWork[list[str]]:
    """
    Cancel a command on some nodes, or (without any) as a whole: what was not handed over ends, the rest is told to stop.

    What has ended stays as it is. Returns the nodes for which a message waits now, and those whose turn comes by it; a job
    goes on with the rest of many. Errors: UnknownCommand, DuplicateInstance, UnknownInstances.
    """
    command = yield from store.find(scope, command_id)
    if command is None:
        raise UnknownCommand(command_id)
    if len(set(instance_ids)) != len(instance_ids):
        msg = "The same node is named twice."
        raise DuplicateInstance(msg)
    if instance_ids and len(instance_ids) < command.target_count:
        return (yield from _cancel_some(command, instance_ids, now=now))
    yield from _require_targets(command, instance_ids)
    if command.detail.final:
        return []
    yield from _end_waiting(command, now=now, cancelling=True)
    return (yield from cancel_released(command, now=now))


def cancel_released(command: Command, *, now: float) -> UnitOfWork[list[str]]:
    """Cancel up to `CANCEL_TOGETHER` invocations that were released; returns the nodes for which a message waits."""
    told = []
    found = yield from invocation_store.uncancelled(command.scope, command.id, limit=CANCEL_TOGETHER)
    for invocation in found:
        told += yield from _cancel_one(invocation, now=now)
    if len(found) == CANCEL_TOGETHER:
        yield from tally_store.resume_at(command.scope, command.id, now)
    yield from _settle(command, now=now)
    return told


def _cancel_some(command: Command, instance_ids: Sequence[str], *, now: float) -> UnitOfWork[list[str]]:
    told: list[str] = []
    for one in (yield from _require_targets(command, instance_ids)):
        if not one.detail.final and one.detail is not Detail.CANCELLING:
            told += yield from _cancel_one(one, now=now)
    return [*told, *(yield from _settle(command, now=now))]


def _require_targets(command: Command, instance_ids: Sequence[str]) -> UnitOfWork[list[Invocation]]:
    """The invocations on these nodes. Raises UnknownInstances."""
    found: list[Invocation] = []
    for instance_id in instance_ids:
        one = yield from invocation_store.find(command.scope, command.id, instance_id)
        if one is None:
            msg = f"Command {command.id} was not sent to {instance_id}."
            raise UnknownInstances(msg)
        found.append(one)
    return found


def _cancel_one(invocation: Invocation, *, now: float) -> UnitOfWork[list[str]]:
    """End an invocation that no node has, or have its node told; then the node is returned."""
    handed_over = invocation.deliveries > 0 or invocation.acknowledged_at is not None
    if not handed_over:
        changed = replace(invocation, detail=Detail.CANCELLED, ended_at=now)
    else:
        due_at = invocation.due_at
        if invocation.acknowledged_at is None:  # it may never have got there: then nobody will say that it ended
            due_at = min(due_at, now + CANCEL_GRACE_SECONDS)
        changed = replace(invocation, detail=Detail.CANCELLING, cancel_id=new_uuid(), due_at=due_at)
    stands = yield from move(changed, before=invocation, reason="cancelled", now=now)
    return [invocation.instance_id] if handed_over and stands is not None else []


def _end_waiting(command: Command, *, now: float, cancelling: bool) -> UnitOfWork[None]:
    stands: Standing | None = yield from tally_store.find(command.scope, command.id)
    if stands is None:
        return
    looking = stands.spread_after is not None
    stands = yield from tally_store.end_waiting(command.scope, command.id, Detail.CANCELLED, cancelling=cancelling)
    if looking:
        yield from close(command, now=now)
    else:
        yield from settle(command.scope, command.id, stands, now=now)


def _settle(command: Command, *, now: float) -> UnitOfWork[list[str]]:
    stands = yield from tally_store.find(command.scope, command.id)
    return [] if stands is None else (yield from settle(command.scope, command.id, stands, now=now))
