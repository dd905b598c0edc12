# SPDX-License-Identifier: Apache-2.0
"""What nodes are handed, and that they have it; units of work (spec agent-protocol §6, §8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from patchwright.core import document
from patchwright.core.errors import MalformedMessage
from patchwright.core.invocation import Detail
from patchwright.core.protocol import CANCEL_COMMAND_TOPIC, SEND_COMMAND_TOPIC, command_of, message_id
from patchwright.server.accounts import Scope
from patchwright.server.commands import invocation_store, store
from patchwright.server.commands.model import Command, Delivery, LogGroup
from patchwright.server.commands.moving import move, settle
from patchwright.server.infra import UnitOfWork

_REMEMBERED = 32
_SENT: dict[tuple[Scope, str], tuple[float, Mapping[str, Any]]] = {}


def deliveries(
    scope: Scope, instance_id: str, *, now: float, visibility: float, limit: int = 1
) -> UnitOfWork[list[Delivery]]:
    """
    The messages that wait for a node, at most *limit*, now on their way: what is cancelled first, then commands, oldest first.

    Unacknowledged within *visibility* seconds they are delivered again: then a command is Delayed.
    """
    cancels = yield from invocation_store.cancels(scope, instance_id, now=now, limit=limit)
    if cancels:
        which = [command_id for command_id, _ in cancels]
        yield from invocation_store.mark_cancel_delivered(scope, instance_id, which, visible_at=now + visibility)
    found = [
        Delivery(
            command_id,
            instance_id,
            now,
            {"CancelMessageId": message_id(command_id, instance_id)},
            cancel_id,
            CANCEL_COMMAND_TOPIC,
        )
        for command_id, cancel_id in cancels
    ]
    if len(found) == limit:
        return found
    ids = yield from invocation_store.deliverable(scope, instance_id, now=now, limit=limit - len(found))
    for command_id in ids:
        times = yield from invocation_store.mark_delivered(scope, command_id, instance_id, visible_at=now + visibility)
        if times > 1:
            yield from _delay(scope, command_id, instance_id, deliveries=2, now=now)
        found += yield from _delivery(scope, command_id, instance_id)
    return found


def deliveries_to_each(
    whom: Sequence[tuple[Scope, str]], *, now: float, visibility: float, limit: int
) -> UnitOfWork[dict[str, list[Delivery]]]:
    """`deliveries` to each of several nodes, by node; what is delivered for the first time is found and noted together."""
    ids = [instance_id for _, instance_id in whom]
    if not ids:
        return {}
    waiting_there = yield from invocation_store.deliverable_to(ids, now=now)
    cancelled = yield from invocation_store.with_cancels(ids, now=now)
    found: dict[str, list[Delivery]] = {}
    fresh: list[tuple[Scope, str, str]] = []
    for scope, instance_id in whom:
        there = waiting_there.get(instance_id, [])[:limit]
        if instance_id in cancelled or any(where != scope or times for where, _, times in there):
            found[instance_id] = yield from deliveries(scope, instance_id, now=now, visibility=visibility, limit=limit)
            continue
        found[instance_id] = []
        for _, command_id, _ in there:
            fresh.append((scope, command_id, instance_id))
            found[instance_id] += yield from _delivery(scope, command_id, instance_id)
    yield from invocation_store.mark_first_delivered(fresh, visible_at=now + visibility)
    return {instance_id: some for instance_id, some in found.items() if some}


def waiting(scope: Scope, instance_id: str, *, now: float) -> UnitOfWork[bool]:
    """Whether a message waits for the node; a unit of work that only reads."""
    if (yield from invocation_store.deliverable(scope, instance_id, now=now, limit=1)):
        return True
    return bool((yield from invocation_store.cancels(scope, instance_id, now=now, limit=1)))


def acknowledge(scope: Scope, command_id: str, instance_id: str, *, now: float) -> UnitOfWork[None]:
    """Note that the node has the command: it is not delivered again; a unit of work."""
    yield from invocation_store.acknowledge(scope, command_id, instance_id, now=now)


def acknowledge_message(scope: Scope, instance_id: str, message: str, *, now: float) -> UnitOfWork[bool]:
    """
    Note that the node has a message, which is not delivered again; a unit of work.

    False where there was no such message to this node, or it was acknowledged before as one that cancels.
    """
    command_id = _command_to(instance_id, message)
    if command_id:
        return (yield from invocation_store.acknowledge(scope, command_id, instance_id, now=now))
    return (yield from invocation_store.acknowledge_cancel(scope, instance_id, message))


def postpone(scope: Scope, instance_id: str, message: str, *, until: float, now: float) -> UnitOfWork[None]:
    """The node has no room for a command now: it is Delayed, and delivered again at *until*; a unit of work."""
    command_id = _command_to(instance_id, message)
    if command_id:
        yield from invocation_store.postpone(scope, command_id, instance_id, until=until)
        yield from _delay(scope, command_id, instance_id, deliveries=1, now=now)


def document_of(scope: Scope, command_id: str) -> UnitOfWork[tuple[str, str]]:
    """Name and version of the document that a command carries out; both empty where the command is not known."""
    return (yield from store.document_of(scope, command_id))


def _delay(scope: Scope, command_id: str, instance_id: str, *, deliveries: int, now: float) -> UnitOfWork[None]:
    """Say that a command is Delayed which was handed over *deliveries* times, and was never acknowledged."""
    invocation = yield from invocation_store.find(scope, command_id, instance_id)
    if invocation is None or invocation.detail is not Detail.PENDING or invocation.deliveries < deliveries:
        return
    if invocation.acknowledged_at is not None or not invocation.released:
        return
    changed = replace(invocation, detail=Detail.DELAYED)
    stands = yield from move(changed, before=invocation, reason="not acknowledged in time", now=now)
    if stands is not None:
        yield from settle(scope, command_id, stands, now=now)


def _sent(scope: Scope, command_id: str) -> UnitOfWork[tuple[float, Mapping[str, Any]] | None]:
    """When a command was sent, and what nodes receive of it, which never changes: the last few are remembered."""
    known = _SENT.get((scope, command_id))
    if known is None:
        command = yield from store.find(scope, command_id)
        if command is None:
            return None
        known = _SENT[scope, command_id] = command.requested_at, _payload(command)
        while len(_SENT) > _REMEMBERED:
            _SENT.pop(next(iter(_SENT)), None)
    return known


def _delivery(scope: Scope, command_id: str, instance_id: str) -> UnitOfWork[list[Delivery]]:
    """The message that a command is; none where it is gone."""
    sent = yield from _sent(scope, command_id)
    if sent is None:
        return []
    requested_at, payload = sent
    whole = message_id(command_id, instance_id)
    return [Delivery(command_id, instance_id, requested_at, payload, whole, SEND_COMMAND_TOPIC)]


def _command_to(instance_id: str, message: str) -> str:
    """The command that *message* delivers to the node; empty for any other message."""
    try:
        command_id = command_of(message)
    except MalformedMessage:
        return ""
    return command_id if message == message_id(command_id, instance_id) else ""


def _payload(command: Command) -> dict[str, object]:
    """What the node receives (spec agent-protocol §8.1): the whole document, and every value as its type wants it."""
    read = document.parse(command.content)
    request = command.request
    group = request.log_group or LogGroup()
    return {
        "Parameters": document.bind(read, command.parameters, checked=True),
        "DocumentContent": dict(command.content),
        "CommandId": command.id,
        "DocumentName": request.document_name,
        "OutputS3KeyPrefix": request.output_prefix,
        "OutputS3BucketName": request.output_bucket,
        "CloudWatchLogGroupName": group.name,
        "CloudWatchOutputEnabled": "true" if group.enabled else "false",
    }
