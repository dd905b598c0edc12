# SPDX-License-Identifier: Apache-2.0
"""
How invocations move, and their command with them; units of work (spec §5.2, §5.4).

Every move goes through `move`; what follows from it for the command, through `settle`. Whatever touches more than `TOGETHER`
invocations does so many, and leaves the rest to `jobs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from patchwright.core.document import STEPS_LIMIT
from patchwright.core.invocation import Detail, advance
from patchwright.server.accounts import Scope
from patchwright.server.commands import invocation_store, store, tally_store
from patchwright.server.commands.late import release_in_time
from patchwright.server.commands.model import (
    TOGETHER,
    Command,
    Invocation,
    Reply,
    StepResult,
    UnknownInvocation,
    hear,
)
from patchwright.server.commands.rate_control import next_batch
from patchwright.server.commands.tally import Standing
from patchwright.server.commands.telling import tell_command, tell_invocations
from patchwright.server.infra import UnitOfWork

OVERDUE_BATCH = 200  # invocations that one sweep ends in one transaction
_OPEN_STEPS = frozenset({"Pending", "InProgress"})
_WHY_TERMINATED = "more errors than allowed"


def record(scope: Scope, instance_id: str, reply: Reply, *, now: float) -> UnitOfWork[tuple[bool, list[str]]]:
    """
    Take a node's reply; a unit of work.

    A reply that was taken before changes nothing. Steps are merged: what is not mentioned stays, and a step that has a result
    is not under way again. After the end only steps that nothing was known of are added: replies overtake each other.

    Returns:
        Whether this reply ended the invocation, and the nodes that may start now.

    Raises:
        UnknownInvocation: The command was not sent to this node.
        ImpossibleTransition: What it reports cannot follow.
    """
    invocation = yield from invocation_store.find(scope, reply.command_id, instance_id)
    if invocation is None or not (invocation.released or invocation.detail.final):
        msg = f"Command {reply.command_id[:64]} was not sent to {instance_id}."
        raise UnknownInvocation(msg)
    heard = hear(invocation.heard, reply.id)
    if heard == invocation.heard:
        return False, []
    if invocation.detail.final:
        yield from _add_late(invocation, reply, heard, now=now)
        return False, []
    wanted = invocation.detail if _is_late_start(invocation, reply) else advance(invocation.detail, reply.detail)
    steps = merged(invocation.steps, reply.steps)
    changed = replace(
        invocation,
        detail=wanted,
        steps=steps,
        trace=reply.trace or invocation.trace,
        response_code=exit_code(steps) if wanted.final else -1,
        ended_at=now if wanted.final else None,
        heard=heard,
    )
    yield from invocation_store.acknowledge(scope, reply.command_id, instance_id, now=now)
    if changed.detail is Detail.CANCELLING:  # it runs: it has its whole time to end
        changed = replace(changed, due_at=invocation.begin_by + (yield from _execution_seconds(invocation)))
    stands = yield from move(changed, before=invocation, reason="reply", now=now)
    if stands is None or wanted is invocation.detail:
        return False, []  # a step's result: the command as a whole stands where it stood
    return wanted.final, (yield from settle(scope, reply.command_id, stands, now=now))


def expire(*, now: float) -> UnitOfWork[list[Invocation]]:
    """
    End invocations of any account whose time has run out (spec §5.3), at most `OVERDUE_BATCH`; a unit of work.

    What was being cancelled, and never reached its node, is cancelled. Returns those that were ended.
    """
    ended = []
    for invocation in (yield from invocation_store.overdue(now=now, limit=OVERDUE_BATCH)):
        unheard = invocation.detail is Detail.CANCELLING and invocation.acknowledged_at is None
        changed = replace(invocation, detail=Detail.CANCELLED if unheard else Detail.DELIVERY_TIMED_OUT, ended_at=now)
        if (yield from move(changed, before=invocation, reason="time ran out", now=now)):
            ended.append(changed)
    for scope, command_id in dict.fromkeys((one.scope, one.command_id) for one in ended):
        yield from _settle_now(scope, command_id, now=now)
    return ended


def abandon(scope: Scope, instance_id: str, *, now: float) -> UnitOfWork[tuple[list[str], list[str]]]:
    """
    End every open invocation of a node that is going away; a unit of work.

    What was being cancelled is cancelled, the rest cannot be delivered (spec §5.2).

    Returns:
        The commands that ended on this node, and the nodes whose turn comes by it.
    """
    ended = []
    for invocation in (yield from invocation_store.open_of(scope, instance_id)):
        detail = Detail.CANCELLED if invocation.detail is Detail.CANCELLING else Detail.UNDELIVERABLE
        changed = replace(invocation, detail=detail, ended_at=now)
        reason = "the node was deregistered"
        if (yield from move(changed, before=invocation, reason=reason, now=now)):
            ended.append(invocation.command_id)
    released: list[str] = []
    for command_id in ended:
        released += yield from _settle_now(scope, command_id, now=now)
    return ended, released


def move(changed: Invocation, *, before: Invocation, reason: str, now: float) -> UnitOfWork[Standing | None]:
    """
    Store an invocation that changed, and tell of it.

    Returns how all invocations of the command stand then; None where somebody else changed it meanwhile.
    """
    stands = yield from invocation_store.put(changed, before=before, reason=reason, now=now)
    if stands is not None and changed.detail is not before.detail:
        head = (yield from store.heads(changed.scope, [changed.command_id]))[changed.command_id]
        yield from tell_invocations(head, [changed.instance_id], changed.detail, now=now)
    return stands


def settle(scope: Scope, command_id: str, stands: Standing, *, now: float) -> UnitOfWork[list[str]]:
    """
    After a change: release what may start, or end what never will, and store what it all adds up to.

    *stands* is how the invocations stand after that change. Returns the nodes that may start now. At most `TOGETHER`
    invocations are released or ended; a job goes on with the rest.
    """
    released: list[str] = []
    if stands.spread_after is None:
        if stands.ending is None:
            released, stands = yield from _release(scope, command_id, stands, now=now)
        if stands.ending is not None and stands.waiting:
            stands = yield from end_waiting(scope, command_id, stands.ending, now=now)
            if stands.waiting:
                yield from tally_store.resume_at(scope, command_id, now)
    if (yield from store.set_detail(scope, command_id, stands.detail)):
        head = (yield from store.heads(scope, [command_id]))[command_id]
        yield from tell_command(head, stands.detail, now=now)
    return released


def end_waiting(scope: Scope, command_id: str, detail: Detail, *, now: float) -> UnitOfWork[Standing]:
    """End up to `TOGETHER` of those that were never released as *detail*, and tell of it."""
    ids, stands = yield from invocation_store.end_waiting(scope, command_id, detail, now=now, limit=TOGETHER)
    reason = _WHY_TERMINATED if detail is Detail.TERMINATED else "withdrawn"
    yield from invocation_store.add_history(scope, command_id, ids, detail, reason, now=now)
    head = (yield from store.heads(scope, [command_id]))[command_id]
    yield from tell_invocations(head, ids, detail, now=now)
    return stands


def _release(scope: Scope, command_id: str, stands: Standing, *, now: float) -> UnitOfWork[tuple[list[str], Standing]]:
    batch = next_batch(stands.tally, max_concurrency=stands.most_under_way, max_errors=stands.most_errors)
    if batch.stop:
        return [], (yield from tally_store.end_waiting(scope, command_id, Detail.TERMINATED, cancelling=False))
    if not batch.start:
        return [], stands
    if batch.start > TOGETHER:
        yield from tally_store.resume_at(scope, command_id, now)
    places = min(batch.start, TOGETHER)
    if stands.end_by is not None:
        return (yield from release_in_time(scope, command_id, stands, places, end_by=stands.end_by, now=now))
    return (yield from invocation_store.release(scope, command_id, stands, places, now=now))


def _settle_now(scope: Scope, command_id: str, *, now: float) -> UnitOfWork[list[str]]:
    stands = yield from tally_store.find(scope, command_id)
    return [] if stands is None else (yield from settle(scope, command_id, stands, now=now))


def _add_late(invocation: Invocation, reply: Reply, heard: str, *, now: float) -> UnitOfWork[None]:
    steps = dict(invocation.steps)
    for name, step in reply.steps.items():
        known = name in steps
        if step.status in _OPEN_STEPS or (known and steps[name].status not in _OPEN_STEPS):
            continue
        if known or len(steps) < STEPS_LIMIT:
            steps[name] = step
    if steps != invocation.steps:
        changed = replace(invocation, steps=steps, response_code=exit_code(steps), heard=heard)
        yield from invocation_store.put(changed, before=invocation, reason="late reply", now=now)


def merged(known: Mapping[str, StepResult], told: Mapping[str, StepResult]) -> dict[str, StepResult]:
    """
    What is known of the steps with what was told now: a step that has a result is not under way again.

    No more steps than a document may have: a node that makes up others is not listened to.
    """
    fresh = {
        name: step
        for name, step in told.items()
        if step.status not in _OPEN_STEPS or name not in known or known[name].status in _OPEN_STEPS
    }
    room = STEPS_LIMIT - len(known)
    beyond = [name for name in fresh if name not in known][max(room, 0) :]
    return {**known, **{name: step for name, step in fresh.items() if name not in beyond}}


def exit_code(steps: Mapping[str, StepResult]) -> int:
    """The exit code of an invocation: that of the first step that failed, else of the last one; -1 without any."""
    codes = [step.code for step in steps.values() if step.status not in _OPEN_STEPS]
    return next((code for code in codes if code), codes[-1] if codes else -1)


def _is_late_start(invocation: Invocation, reply: Reply) -> bool:
    """A start that is reported while the command is being cancelled changes nothing."""
    return reply.detail is Detail.IN_PROGRESS and invocation.detail is Detail.CANCELLING


def _execution_seconds(invocation: Invocation) -> UnitOfWork[int]:
    head: Command = (yield from store.heads(invocation.scope, [invocation.command_id]))[invocation.command_id]
    return head.execution_seconds
