# SPDX-License-Identifier: Apache-2.0
"""
Sending a document to nodes; units of work (spec §5.1).

The command is written with its first `TOGETHER` nodes in one transaction; `spread` adds as many more each time it is called,
and lets the first ones begin when the last one is known: rates in percent are of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

from patchwright.core import document
from patchwright.core.document import Document
from patchwright.core.invocation import Detail
from patchwright.server import documents, events, nodes
from patchwright.server.accounts import Scope
from patchwright.server.commands import invocation_store, references, runnable, store, tally_store
from patchwright.server.commands.model import (
    Command,
    DuplicateInstance,
    InvalidNotification,
    InvalidOutput,
    InvalidTargets,
    Needs,
    Permitted,
    Request,
    UnknownInstances,
    UnsupportedPlatform,
)
from patchwright.server.commands.moving import settle
from patchwright.server.commands.rate_control import resolve
from patchwright.server.commands.targets import check, window
from patchwright.server.commands.telling import tell_command, tell_invocations
from patchwright.server.commands.timing import execution_seconds, platforms
from patchwright.server.infra import Bucket, BucketRefused, UnitOfWork, check_key, joined, new_uuid

_LONGEST_PLACE = 240  # bytes of a key after its prefix: ids of a command and a node, a step and its action
_AT_ONCE = frozenset({Detail.ACCESS_DENIED, Detail.INVALID_PLATFORM})
_WHY = {
    Detail.ACCESS_DENIED: "whoever sent it may not send it here",
    Detail.INVALID_PLATFORM: "not for this platform, or this agent",
}


class Spread(NamedTuple):
    """What came of going on with a command: the nodes that may start now, and whether more of its targets are to be found."""

    released: list[str]
    more: bool


def send(
    scope: Scope,
    principal: str,
    request: Request,
    *,
    now: float,
    permitted: Permitted | None = None,
    owner: str = "",
    hold: float = 0.0,
    from_turn: bool = False,
    end_by: float | None = None,
    needs: Needs | None = None,
    most_waiting: int = 0,
) -> UnitOfWork[tuple[Command, list[str]]]:
    """
    Send a document to nodes; returns the command and the nodes that may start at once. A unit of work.

    What is refused is refused before anything is written. Nodes that are not *permitted* (None: all are) get an invocation
    that says so, and nothing else. With many targets a job goes on in *owner*'s name, in *hold* seconds at the earliest.
    *from_turn*: what TimeoutSeconds and the document say of time runs for each node from its turn on, so that the last ones of
    many have as much of it as the first; else from now on, for all of them (spec §5.3).
    A node of which *needs* says that it would not have ended by *end_by* when its turn comes is not begun (`late`);
    *most_waiting* as of `close`.

    Errors: those of `documents.select`, of `runnable.read` and of `references.resolve`; InvalidParameters, UnknownInstances,
    DuplicateInstance, InvalidTargets, UnsupportedPlatform, InvalidNotification, InvalidOutput.
    """
    filled, read, given = yield from _checked(scope, request, permitted, now=now)
    seconds = execution_seconds(read, document.bind(read, given, checked=True))
    command = Command(
        scope=scope,
        id=new_uuid(),
        request=request,
        content=filled,
        principal=principal,
        requested_at=now,
        expires_at=now + request.timeout_seconds + seconds,
        detail=Detail.PENDING,
        target_count=0,
        owner=owner,
        execution_seconds=seconds,
        resolved=None if given == request.parameters else given,
    )
    if request.instance_ids:
        yield from _check_named(command, read)
    yield from store.put(command)
    yield from tally_store.begin(command, from_turn=from_turn, end_by=end_by)
    yield from tell_command(command, Detail.PENDING, now=now)
    needs = needs if end_by is not None else None
    done = yield from _spread(
        command,
        read,
        after="",
        permitted=permitted,
        needs=needs,
        from_turn=from_turn,
        most_waiting=most_waiting,
        now=now,
    )
    if done.more:
        yield from tally_store.resume_at(scope, command.id, now + hold)
    stored = yield from store.find_with_counts(scope, command.id)
    return stored or command, done.released


def _checked(
    scope: Scope, request: Request, permitted: Permitted | None, *, now: float
) -> UnitOfWork[tuple[Mapping[str, Any], Document, Mapping[str, Sequence[str]]]]:
    """The document as it is sent, its content and that read, and the parameters that it gets. Errors: those of `send`."""
    found = yield from documents.select(scope, request.document_name, request.document_version)
    content, read = runnable.read(found, request)
    _check(scope, request)
    yield from _check_notification(scope, request)
    filled, given = yield from references.resolve(
        scope, content, read, request.parameters, permitted=permitted, now=now
    )
    if filled is not content:
        read = document.parse(filled)
    runnable.check(read, given)
    return filled, read, given


def spread(
    scope: Scope,
    command_id: str,
    *,
    permitted: Permitted | None,
    needs: Needs | None = None,
    most_waiting: int = 0,
    now: float,
) -> UnitOfWork[Spread]:
    """Go on to look for the targets of a command; nothing where they are all known. A unit of work."""
    stands = yield from tally_store.find(scope, command_id)
    command = yield from store.find(scope, command_id)
    if stands is None or command is None or stands.spread_after is None:
        return Spread([], False)
    read = document.parse(command.content)
    needs = needs if stands.end_by is not None else None
    done = yield from _spread(
        command,
        read,
        after=stands.spread_after,
        permitted=permitted,
        needs=needs,
        from_turn=stands.begin_within is not None,
        most_waiting=most_waiting,
        now=now,
    )
    if not done.more and not (yield from _unfinished(scope, command_id)):
        yield from tally_store.resume_at(scope, command_id, None)
    return done


def close(command: Command, *, most_waiting: int = 0, now: float) -> UnitOfWork[list[str]]:
    """
    Every target of a command is known, or no more are looked for: let the first ones begin. A unit of work.

    Where more than *most_waiting* invocations of its account and region would wait by it (0: any number may), none begins.
    """
    scope = command.scope
    beyond = most_waiting and (yield from invocation_store.waiting(scope, most=most_waiting + 1)) > most_waiting
    total = yield from store.count_targets(scope, command.id, 0)
    stands = yield from tally_store.close(
        scope,
        command.id,
        most_under_way=0 if beyond else resolve(command.request.max_concurrency, total, least=1),
        most_errors=resolve(command.request.max_errors, total, least=0),
    )
    if beyond:
        stands = yield from tally_store.end_waiting(scope, command.id, Detail.CANCELLED, cancelling=False)
    return (yield from settle(scope, command.id, stands, now=now))


def _unfinished(scope: Scope, command_id: str) -> UnitOfWork[bool]:
    """Whether more may start, or is to end, than one transaction does."""
    stands = yield from tally_store.find(scope, command_id)
    if stands is None or not stands.waiting:
        return False
    return stands.ending is not None or stands.under_way < stands.most_under_way


def _spread(
    command: Command,
    read: Document,
    *,
    after: str,
    permitted: Permitted | None,
    needs: Needs | None,
    from_turn: bool,
    most_waiting: int,
    now: float,
) -> UnitOfWork[Spread]:
    scope, request = command.scope, command.request
    last: str | None = None
    if request.instance_ids:
        ids = list(request.instance_ids)
    else:
        ids, last = yield from window(scope, request.targets, after=after)
    if ids:
        details = yield from _begin_as(command.scope, ids, read, permitted)
        first = yield from store.count_targets(scope, command.id, len(ids))
        needed = {} if needs is None else (yield from needs(scope, request, ids))
        yield from invocation_store.add(command, details, first=first - len(ids), needs=needed, from_turn=from_turn)
        yield from _tell_ended(command, details, now=now)
    if last is not None:
        yield from tally_store.go_on_after(scope, command.id, last)
        return Spread([], True)
    return Spread((yield from close(command, most_waiting=most_waiting, now=now)), False)


def _begin_as(
    scope: Scope, ids: Sequence[str], read: Document, permitted: Permitted | None
) -> UnitOfWork[Mapping[str, Detail]]:
    """What the invocations on some nodes begin as: pending, or ended where the document cannot be sent there."""
    allowed = set(ids) if permitted is None else (yield from permitted.nodes(scope, ids))
    machines = {node.id: node.machine for node in (yield from nodes.known(scope, ids))}
    wanted, agents = platforms(read), {machine.agent_name for machine in machines.values()}
    runs = {agent: not runnable.unserved(read, agent) for agent in agents}
    details = {}
    for one in ids:
        fits = one not in machines or (_fits(machines[one].platform_type, wanted) and runs[machines[one].agent_name])
        details[one] = (
            Detail.ACCESS_DENIED if one not in allowed else Detail.PENDING if fits else Detail.INVALID_PLATFORM
        )
    return details


def _fits(platform: str, wanted: Set[str]) -> bool:
    """Whether a document for these platforms runs on *platform*; a node that has not said what it is may be anything."""
    return not platform or platform.lower() in {one.lower() for one in wanted}


def _tell_ended(command: Command, details: Mapping[str, Detail], *, now: float) -> UnitOfWork[None]:
    for detail in sorted(_AT_ONCE):
        ids = [one for one, begun in details.items() if begun is detail]
        if ids:
            yield from invocation_store.add_history(command.scope, command.id, ids, detail, _WHY[detail], now=now)
            yield from tell_invocations(command, ids, detail, now=now)


def _check(scope: Scope, request: Request) -> None:
    resolve(request.max_concurrency, 1, least=1)
    resolve(request.max_errors, 1, least=0)
    if len(set(request.instance_ids)) != len(request.instance_ids):
        msg = "The same node is named twice."
        raise DuplicateInstance(msg)
    if bool(request.instance_ids) == bool(request.targets):
        msg = "Name the nodes with either InstanceIds or Targets."
        raise InvalidTargets(msg)
    check(request.targets)
    if request.output_bucket:
        bucket = Bucket(request.output_bucket, request.output_region or scope.region)
        try:
            check_key(bucket, joined(request.output_prefix, "x" * _LONGEST_PLACE))
        except BucketRefused as error:
            msg = f"Outputs cannot be written there: {error}."
            raise InvalidOutput(msg) from None
    if request.output_prefix and not request.output_bucket:
        msg = "A prefix for outputs goes with the name of a bucket."
        raise InvalidOutput(msg)


def _check_notification(scope: Scope, request: Request) -> UnitOfWork[None]:
    if request.notification is not None:
        try:
            yield from events.require_topic(scope, request.notification.arn)
        except events.InvalidTopic as error:
            raise InvalidNotification(str(error)) from None


def _check_named(command: Command, read: Document) -> UnitOfWork[None]:
    ids, wanted, name = command.request.instance_ids, platforms(read), command.request.document_name
    known = yield from nodes.known(command.scope, ids)
    unknown = sorted(set(ids) - {node.id for node in known})
    if unknown:
        msg = f"Not managed nodes of this account and region: {', '.join(unknown)}."
        raise UnknownInstances(msg)
    fitting = [node.machine.agent_name for node in known if _fits(node.machine.platform_type, wanted)]
    if not fitting:
        msg = f"None of these nodes can run {name}, which is for {', '.join(sorted(wanted)) or 'no platform'}."
        raise UnsupportedPlatform(msg)
    beyond = [runnable.unserved(read, agent) for agent in set(fitting)]
    if all(beyond):
        raise runnable.refused(name, beyond[0])
