# SPDX-License-Identifier: Apache-2.0
"""Use cases of commands that stand alone: send, follow, cancel (spec §5)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from patchwright.core import document
from patchwright.server import documents
from patchwright.server.accounts import Scope
from patchwright.server.commands import invocation_store, runnable, sending, steering, store
from patchwright.server.commands.model import (
    Command,
    Invocation,
    Permitted,
    Request,
    StepResult,
    UnknownCommand,
    UnknownInvocation,
    UnknownStep,
)
from patchwright.server.infra import Clock, Database, UnitOfWork, new_uuid

_REMEMBERED = 1000
_STEPS: dict[tuple[Scope, str], tuple[str, ...]] = {}  # of the last commands that were asked about: they never change
HOLD_SECONDS = 60.0  # how long whoever sends is given to resolve the targets, before a job does it


class Service:
    """
    Commands of every account. Of one and its region *most_waiting* invocations may wait for their turn when a command's targets are
    all known, else it does not begin; 0: any number.
    """

    def __init__(self, database: Database, clock: Clock, *, most_waiting: int = 0) -> None:
        self._database = database
        self._clock = clock
        self._most_waiting = most_waiting

    async def send(
        self, scope: Scope, principal: str, request: Request, *, permitted: Permitted | None = None, owner: str = ""
    ) -> tuple[Command, list[str]]:
        """
        Send a document to nodes; returns the command and the nodes that may start at once.

        Many targets are written a part at a time; if this process dies meanwhile, a job goes on in *owner*'s name. Nodes that
        are not *permitted* (None: all are) get an invocation that says so, and nothing else. Errors: as of `sending.send`.
        """
        # Read beforehand, in no transaction and not on the event loop: YAML takes its time. It is remembered.
        found = await self._database.read(documents.select, scope, request.document_name, request.document_version)
        if found.version.format == "YAML":
            await asyncio.to_thread(runnable.read, found, request)
        command, released = await self._database.write(
            sending.send,
            scope,
            principal,
            request,
            now=self._clock.now(),
            permitted=permitted,
            owner=owner,
            hold=HOLD_SECONDS,
            most_waiting=self._most_waiting,
        )
        return await self._spread(command, released, permitted)

    async def cancel(self, scope: Scope, command_id: str, instance_ids: Sequence[str] = ()) -> list[str]:
        """Cancel a command, on some nodes or as a whole; returns the nodes for which a message waits. Errors: as of `steering.cancel`."""
        return await self._database.write(
            steering.cancel, scope, command_id, tuple(instance_ids), now=self._clock.now()
        )

    async def command(self, scope: Scope, command_id: str) -> Command:
        """The command as it stands. Errors: UnknownCommand."""
        found = await self._database.read(store.find_with_counts, scope, command_id)
        if found is None:
            raise UnknownCommand(command_id)
        return found

    async def commands(
        self, scope: Scope, *, instance_id: str = "", before: tuple[float, str] | None = None, limit: int = 50
    ) -> list[Command]:
        """Up to *limit* commands, newest first, those to a node if one is given; *before* is (requested_at, id) of the last one seen."""
        return await self._database.read(store.page, scope, instance_id=instance_id, before=before, limit=limit)

    async def invocation(self, scope: Scope, command_id: str, instance_id: str) -> tuple[Command, Invocation]:
        """A command and its invocation on a node. Errors: UnknownInvocation."""
        found = await self._database.read(_invocation, scope, command_id, instance_id)
        if found is None:
            msg = f"Command {command_id} has no invocation on {instance_id}."
            raise UnknownInvocation(msg)
        return found

    async def steps(self, scope: Scope, command_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The names of the steps of commands, in the order of their documents; unknown commands are passed over."""
        wanted = [one for one in dict.fromkeys(command_ids) if (scope, one) not in _STEPS]
        for one, content in (await self._database.read(store.contents, scope, wanted)).items():
            _STEPS[scope, one] = tuple(step.name for step in document.parse(content).steps)
        found = {one: _STEPS[scope, one] for one in command_ids if (scope, one) in _STEPS}
        while len(_STEPS) > _REMEMBERED:
            _STEPS.pop(next(iter(_STEPS)), None)
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

    async def _spread(
        self, command: Command, released: list[str], permitted: Permitted | None
    ) -> tuple[Command, list[str]]:
        if released or command.detail.final or not command.request.targets:
            return command, released
        more = True
        while more:
            done = await self._database.write(
                sending.spread,
                command.scope,
                command.id,
                permitted=permitted,
                most_waiting=self._most_waiting,
                now=self._clock.now(),
            )
            released, more = [*released, *done.released], done.more
        return await self.command(command.scope, command.id), released


def step_result(command: Command, invocation: Invocation, name: str = "") -> tuple[str, StepResult]:
    """
    Name and result of a step; *name* empty: the document's only one. A step without report is Pending.

    Errors: UnknownStep.
    """
    names = step_names(command)
    if not name and len(names) != 1:
        msg = f"The document has {len(names)} steps: name one of {', '.join(names)}."
        raise UnknownStep(msg)
    chosen = name or names[0]
    if chosen not in names:
        msg = f"The document has no step {chosen[:128]}; it has {', '.join(names)}."
        raise UnknownStep(msg)
    return chosen, invocation.steps.get(chosen, StepResult("Pending"))


def step_names(command: Command) -> list[str]:
    """The names of the steps of a command's document, in order."""
    return [step.name for step in document.parse(command.content).steps]


def fresh_ids() -> Iterator[str]:
    """New ids for events, without end."""
    while True:
        yield new_uuid()


def _invocation(scope: Scope, command_id: str, instance_id: str) -> UnitOfWork[tuple[Command, Invocation] | None]:
    command = yield from store.find(scope, command_id)
    invocation = yield from invocation_store.find(scope, command_id, instance_id)
    return None if command is None or invocation is None else (command, invocation)


def _invocations(
    scope: Scope, *, command_id: str, instance_id: str, before: tuple[float, str, str] | None, limit: int
) -> UnitOfWork[list[tuple[Command, Invocation]]]:
    if command_id and (yield from store.detail_of(scope, command_id)) is None:
        raise UnknownCommand(command_id)
    seen = before or (9e15, "", "")
    if command_id and instance_id:
        one = yield from invocation_store.find(scope, command_id, instance_id)
        page = [] if one is None or before else [one]
    elif command_id:
        page = yield from invocation_store.of_command(scope, command_id, after=seen[2], limit=limit)
    elif instance_id:
        page = yield from invocation_store.of_node(scope, instance_id, before=seen[:2], limit=limit)
    else:
        page = yield from _along_commands(scope, before=seen, limit=limit)
    heads = yield from store.heads(scope, sorted({invocation.command_id for invocation in page}))
    return [(heads[one.command_id], one) for one in page if one.command_id in heads]


def _along_commands(scope: Scope, *, before: tuple[float, str, str], limit: int) -> UnitOfWork[list[Invocation]]:
    """
    Invocations of every command, newest first: as many commands are read whole as fit into the page, of the next one a part.

    So no more is read than is shown, however many nodes a command went to.
    """
    requested, command_id, node = before
    page: list[Invocation] = []
    if command_id:
        page = yield from invocation_store.of_command(scope, command_id, after=node, limit=limit)
    while len(page) < limit:
        whole: list[str] = []
        room, part = limit - len(page), ""
        sizes = yield from store.sizes(scope, before=(requested, command_id), limit=room)
        for name, size in sizes:
            if size > room:
                part = name
                break
            whole.append(name)
            room -= size
        read = yield from invocation_store.of_commands(scope, whole)
        page += sorted(read, key=lambda one: (whole.index(one.command_id), one.instance_id))
        if part:
            page += yield from invocation_store.of_command(scope, part, after="", limit=limit - len(page))
        if not sizes or part:
            break
        command_id = sizes[-1][0]
        requested = (yield from store.heads(scope, [command_id]))[command_id].requested_at
    return page
