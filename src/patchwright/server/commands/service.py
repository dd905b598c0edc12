# SPDX-License-Identifier: Apache-2.0
"""Use cases of commands: send, look at, and the units of work by which the gateway moves them (spec §5)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from patchwright.core import document
from patchwright.core.invocation import Detail, advance, aggregate
from patchwright.server import documents, nodes
from patchwright.server.accounts import Scope
from patchwright.server.commands import runnable, store
from patchwright.server.commands.model import (
    EXECUTION_TIMEOUT_SECONDS,
    Command,
    Delivery,
    DuplicateInstance,
    InvalidTargets,
    Invocation,
    Permitted,
    Reply,
    Request,
    StepResult,
    UnknownCommand,
    UnknownInstances,
    UnknownInvocation,
    UnknownStep,
)
from patchwright.server.commands.rate_control import next_batch, resolve
from patchwright.server.commands.targets import matching
from patchwright.server.infra import Clock, Database, UnitOfWork, new_uuid

OVERDUE_BATCH = 200  # invocations that one sweep ends in one transaction


class Service:
    """Commands of every account."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def send(
        self, scope: Scope, principal: str, request: Request, *, permitted: Permitted | None = None
    ) -> tuple[Command, list[str]]:
        """
        Send a document to nodes; returns the command and the nodes that may start at once.

        Nodes that are not *permitted* (None: all are) get an invocation that says so, and nothing else. Errors: those of `documents.select` and of `runnable.read`; InvalidParameters, UnknownInstances,
        DuplicateInstance, InvalidTargets.
        """
        # Read beforehand, in no transaction and not on the event loop: YAML takes its time. It is remembered.
        found = await self._database.read(documents.select, scope, request.document_name, request.document_version)
        if found.version.format == "YAML":
            await asyncio.to_thread(runnable.read, found, request)
        return await self._database.write(send, scope, principal, request, now=self._clock.now(), permitted=permitted)

    async def command(self, scope: Scope, command_id: str) -> Command:
        """The command as it stands. Errors: UnknownCommand."""
        found = await self._database.read(store.find_with_counts, scope, command_id)
        if found is None:
            raise UnknownCommand(command_id)
        return found

    async def invocation(self, scope: Scope, command_id: str, instance_id: str) -> tuple[Command, Invocation]:
        """A command and its invocation on a node. Errors: UnknownInvocation."""
        found = await self._database.read(_invocation, scope, command_id, instance_id)
        if found is None:
            msg = f"Command {command_id} has no invocation on {instance_id}."
            raise UnknownInvocation(msg)
        return found

    async def invocations(
        self,
        scope: Scope,
        *,
        command_id: str = "",
        instance_id: str = "",
        before: tuple[float, str, str] | None = None,
        limit: int = 50,
    ) -> list[tuple[Command, Invocation]]:
        """
        Up to *limit* invocations with their commands, newest first.

        *before* is (requested_at, command id, instance id) of the last one seen. Errors: UnknownCommand.
        """
        return await self._database.read(
            _invocations, scope, command_id=command_id, instance_id=instance_id, before=before, limit=limit
        )


def send(
    scope: Scope, principal: str, request: Request, *, now: float, permitted: Permitted | None = None
) -> UnitOfWork[tuple[Command, list[str]]]:
    """
    Send a document to nodes; returns the command and the nodes that may start at once. A unit of work.

    What is refused is refused before anything is written. Errors: as of `Service.send`.
    """
    found = yield from documents.select(scope, request.document_name, request.document_version)
    content, read = runnable.read(found, request)
    runnable.check(read, request.parameters)
    resolve(request.max_concurrency, 1, least=1)
    resolve(request.max_errors, 1, least=0)
    if len(set(request.instance_ids)) != len(request.instance_ids):
        msg = "The same node is named twice."
        raise DuplicateInstance(msg)
    if bool(request.instance_ids) == bool(request.targets):
        msg = "Name the nodes with either InstanceIds or Targets."
        raise InvalidTargets(msg)
    command = Command(
        scope=scope,
        id=new_uuid(),
        request=request,
        content=content,
        principal=principal,
        requested_at=now,
        expires_at=now + request.timeout_seconds + EXECUTION_TIMEOUT_SECONDS,
        detail=Detail.PENDING,
        target_count=0,
    )
    return (yield from _send(command, permitted))


def step_result(command: Command, invocation: Invocation, name: str = "") -> tuple[str, StepResult]:
    """
    Name and result of a step; *name* empty: the document's only one. A step without report is Pending.

    Errors: UnknownStep.
    """
    names = [step.name for step in document.parse(command.content).steps]
    if not name and len(names) != 1:
        msg = f"The document has {len(names)} steps: name one of {', '.join(names)}."
        raise UnknownStep(msg)
    chosen = name or names[0]
    if chosen not in names:
        msg = f"The document has no step {chosen[:128]}; it has {', '.join(names)}."
        raise UnknownStep(msg)
    return chosen, invocation.steps.get(chosen, StepResult("Pending"))


def deliveries(
    scope: Scope, instance_id: str, *, now: float, visibility: float, limit: int = 1
) -> UnitOfWork[list[Delivery]]:
    """
    The commands that wait for a node, now on their way; a unit of work.

    Unacknowledged within *visibility* seconds they are delivered again.
    """
    ids = yield from store.deliverable(scope, instance_id, now=now, limit=limit)
    if ids:
        yield from store.mark_delivered(scope, instance_id, ids, visible_at=now + visibility)
    found = []
    for command_id in ids:
        command = yield from store.find_command(scope, command_id)
        if command is not None:
            found.append(Delivery(command_id, instance_id, command.requested_at, _payload(command)))
    return found


def waiting(scope: Scope, instance_id: str, *, now: float) -> UnitOfWork[bool]:
    """Whether a command waits for the node; a unit of work that only reads."""
    return bool((yield from store.deliverable(scope, instance_id, now=now, limit=1)))


def acknowledge(scope: Scope, command_id: str, instance_id: str, *, now: float) -> UnitOfWork[None]:
    """Note that the node has the command: it is not delivered again; a unit of work."""
    yield from store.acknowledge(scope, command_id, instance_id, now=now)


def parameters_of_step(scope: Scope, command_id: str, instance_id: str, step: str) -> UnitOfWork[dict[str, object]]:
    """The inputs of a step of a command that was sent to the node; a unit of work. Errors: UnknownInvocation, UnknownStep."""
    command = yield from store.find_command(scope, command_id)
    invocation = yield from store.find(scope, command_id, instance_id)
    if command is None or invocation is None or invocation.detail.final:
        msg = f"No command {command_id[:64]} is under way on {instance_id}."
        raise UnknownInvocation(msg)
    read = document.parse(command.content)
    for candidate in read.steps:
        if candidate.name == step:
            values = document.bind(read, command.request.parameters, checked=True)
            return dict(document.interpolate(dict(candidate.inputs), values))
    msg = f"The document has no step {step[:128]}."
    raise UnknownStep(msg)


def document_of(scope: Scope, command_id: str) -> UnitOfWork[tuple[str, str]]:
    """Name and version of the document that a command carries out; both empty where the command is not known."""
    return (yield from store.document_of(scope, command_id))


def record(
    scope: Scope, instance_id: str, reply: Reply, *, now: float, fresh_ids: Iterator[str]
) -> UnitOfWork[tuple[bool, list[str]]]:
    """
    Take a node's reply; a unit of work.

    A reply that was taken before, or that comes after the end, changes nothing. Steps are merged: what was known of one is
    replaced by what is said of it now, never lost. *fresh_ids* gives the ids of the events.

    Returns:
        Whether this reply ended the invocation, and the nodes that may start now.

    Raises:
        UnknownInvocation: The command was not sent to this node.
    """
    invocation = yield from store.find(scope, reply.command_id, instance_id)
    if invocation is None:
        msg = f"Command {reply.command_id[:64]} was not sent to {instance_id}."
        raise UnknownInvocation(msg)
    fresh = yield from store.take_reply(scope, instance_id, reply.id, now=now)
    if not fresh or invocation.detail.final:
        return False, []
    wanted = invocation.detail if _is_late_start(invocation, reply) else advance(invocation.detail, reply.detail)
    steps = {**invocation.steps, **reply.steps}
    codes = [step.code for step in steps.values() if step.status not in {"Pending", "InProgress"}]
    changed = replace(
        invocation,
        detail=wanted,
        steps=steps,
        trace=reply.trace or invocation.trace,
        response_code=next((code for code in codes if code), codes[-1] if codes else -1) if wanted.final else -1,
        ended_at=now if wanted.final else None,
    )
    yield from store.put(changed, before=invocation.detail, event_id=next(fresh_ids), reason="reply", now=now)
    yield from store.acknowledge(scope, reply.command_id, instance_id, now=now)
    if wanted is invocation.detail:
        return False, []  # a step's result: the command as a whole stands where it stood
    released = yield from settle(scope, reply.command_id, now=now, fresh_ids=fresh_ids)
    return wanted.final, released


def expire(*, now: float, fresh_ids: Iterator[str]) -> UnitOfWork[list[Invocation]]:
    """
    End invocations of any account whose time has run out (spec §5.3), at most `OVERDUE_BATCH`; a unit of work.

    Returns those that were ended. Nobody's turn comes by it: all invocations of a command are due at the same moment.
    """
    ended = []
    for invocation in (yield from store.overdue(now=now, limit=OVERDUE_BATCH)):
        changed = replace(invocation, detail=Detail.DELIVERY_TIMED_OUT, ended_at=now)
        if (
            yield from store.put(
                changed, before=invocation.detail, event_id=next(fresh_ids), reason="time ran out", now=now
            )
        ):
            ended.append(changed)
    for scope, command_id in dict.fromkeys((one.scope, one.command_id) for one in ended):
        yield from settle(scope, command_id, now=now, fresh_ids=fresh_ids)
    return ended


def abandon(
    scope: Scope, instance_id: str, *, now: float, fresh_ids: Iterator[str]
) -> UnitOfWork[tuple[list[str], list[str]]]:
    """
    End every open invocation of a node that is going away; a unit of work.

    What was being cancelled is cancelled, the rest cannot be delivered (spec §5.2).

    Returns:
        The commands that ended on this node, and the nodes whose turn comes by it.
    """
    ended = []
    for invocation in (yield from store.open_of(scope, instance_id)):
        detail = Detail.CANCELLED if invocation.detail is Detail.CANCELLING else Detail.UNDELIVERABLE
        changed = replace(invocation, detail=detail, ended_at=now)
        reason = "the node was deregistered"
        if (yield from store.put(changed, before=invocation.detail, event_id=next(fresh_ids), reason=reason, now=now)):
            ended.append(invocation.command_id)
    released: list[str] = []
    for command_id in ended:
        released += yield from settle(scope, command_id, now=now, fresh_ids=fresh_ids)
    return ended, released


def any_overdue(*, now: float) -> UnitOfWork[bool]:
    """Whether `expire` would end anything at *now*; a unit of work that only reads."""
    return (yield from store.any_overdue(now=now))


def fresh_ids() -> Iterator[str]:
    """New ids for events, without end."""
    while True:
        yield new_uuid()


def _is_late_start(invocation: Invocation, reply: Reply) -> bool:
    """A start that is reported while the command is being cancelled changes nothing."""
    return reply.detail is Detail.IN_PROGRESS and invocation.detail is Detail.CANCELLING


def _send(command: Command, permitted: Permitted | None) -> UnitOfWork[tuple[Command, list[str]]]:
    scope, request = command.scope, command.request
    targets = list(request.instance_ids) or (yield from matching(scope, request.targets))
    if request.instance_ids:
        known = yield from nodes.known(scope, targets)
        unknown = sorted(set(targets) - {node.id for node in known})
        if unknown:
            msg = f"Not managed nodes of this account and region: {', '.join(unknown)}."
            raise UnknownInstances(msg)
    allowed = set(targets) if permitted is None else (yield from permitted(scope, targets))
    denied = [instance_id for instance_id in targets if instance_id not in allowed]
    detail = Detail.PENDING if allowed else aggregate([Detail.ACCESS_DENIED] * len(denied))
    command = replace(command, target_count=len(targets), detail=detail)
    yield from store.put_command(command)
    yield from store.put_invocations(command, targets, denied=set(denied))
    concurrency = resolve(request.max_concurrency, len(targets), least=1)
    released = yield from store.release(scope, command.id, concurrency)
    return command, released


def settle(scope: Scope, command_id: str, *, now: float, fresh_ids: Iterator[str]) -> UnitOfWork[list[str]]:
    """After a change: release what may start, or end what never will, and store what it all adds up to."""
    command = yield from store.find_command(scope, command_id)
    if command is None:
        return []
    request, total = command.request, command.target_count
    max_errors = resolve(request.max_errors, total, least=0)
    stands = yield from store.standing(scope, command_id)
    batch = next_batch(
        stands.tally,
        max_concurrency=resolve(request.max_concurrency, total, least=1),
        max_errors=max_errors,
    )
    released = (yield from store.release(scope, command_id, batch.start)) if batch.start else []
    if batch.stop:
        for left in (yield from store.waiting(scope, command_id)):
            ended = replace(left, detail=Detail.TERMINATED, ended_at=now)
            yield from store.put(
                ended, before=left.detail, event_id=next(fresh_ids), reason="more errors than allowed", now=now
            )
        stands = yield from store.standing(scope, command_id)
    details = [detail for detail, number in stands.details.items() for _ in range(number)]
    whole = aggregate(details, max_errors=max_errors)
    if whole is not command.detail:
        yield from store.set_command_detail(scope, command_id, whole)
    return released


def _invocation(scope: Scope, command_id: str, instance_id: str) -> UnitOfWork[tuple[Command, Invocation] | None]:
    command = yield from store.find_command(scope, command_id)
    invocation = yield from store.find(scope, command_id, instance_id)
    return None if command is None or invocation is None else (command, invocation)


def _invocations(
    scope: Scope, *, command_id: str, instance_id: str, before: tuple[float, str, str] | None, limit: int
) -> UnitOfWork[list[tuple[Command, Invocation]]]:
    if command_id and (yield from store.find_command(scope, command_id)) is None:
        raise UnknownCommand(command_id)
    page = yield from store.page(scope, command_id=command_id, instance_id=instance_id, before=before, limit=limit)
    commands = {}
    for each in {invocation.command_id for invocation in page}:
        commands[each] = yield from store.find_command(scope, each)
    return [(command, invocation) for invocation in page if (command := commands[invocation.command_id]) is not None]


def _payload(command: Command) -> dict[str, object]:
    """What the node receives (spec agent-protocol §8.1): the whole document, and every value as its type wants it."""
    read = document.parse(command.content)
    given = document.bind(read, command.request.parameters, checked=True)
    return {
        "Parameters": given,
        "DocumentContent": dict(command.content),
        "CommandId": command.id,
        "DocumentName": command.request.document_name,
        "OutputS3KeyPrefix": "",
        "OutputS3BucketName": "",
        "CloudWatchLogGroupName": "",
        "CloudWatchOutputEnabled": "false",
    }
