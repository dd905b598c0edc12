# SPDX-License-Identifier: Apache-2.0
"""The commands room over a database, and nodes that take and report commands as agents would."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from patchwright.core.invocation import Detail
from patchwright.server import commands, nodes
from patchwright.server.accounts import Scope
from patchwright.server.commands import Command, Delivery, Invocation, Reply, Request, StepResult
from patchwright.server.infra import Database
from patchwright.server.nodes import Machine
from server.clocks import FakeClock
from server.nodes.made import enrol_many

NOW = 1_795_147_200.0
VISIBILITY = 10.0
SCAN = {"Operation": ["Scan"]}


def everything(*_asked: Any) -> Any:
    """Rights of root."""
    yield from ()


@dataclass
class Bench:
    """The room, an account, and a clock that stands still."""

    database: Database
    scope: Scope
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))

    def __post_init__(self) -> None:
        self.service = commands.Service(self.database, self.clock)
        self._replies = itertools.count(1)

    async def nodes(self, number: int, **own_tags: str) -> list[str]:
        """The ids of new nodes, in order."""
        return await enrol_many(self.database, self.clock, self.scope, number, own_tags=own_tags)

    def request(self, **members: Any) -> Request:
        """What is asked for with SendCommand: a Scan, unless told otherwise."""
        return Request(**{"document_name": "AWS-RunPatchBaseline", "parameters": SCAN, **members})

    async def on(self, platform: str, node: str) -> None:
        """A node says that it runs on another platform."""
        await nodes.Service(self.database, self.clock).ping(self.scope, node, Machine(platform_type=platform))

    async def forget(self) -> int:
        """What ended long ago goes."""
        return await commands.forget(self.database, self.clock)

    async def send(self, *instance_ids: str, **members: Any) -> tuple[Command, list[str]]:
        """Send a Scan; returns the command and who may start."""
        request = self.request(**{"instance_ids": instance_ids, **members})
        return await self.service.send(self.scope, "arn:aws:iam::000000000001:root", request)

    async def take(self, node: str, *, limit: int = 1) -> list[Delivery]:
        """What waits for a node, now on its way."""
        return await self.database.write(
            commands.deliveries, self.scope, node, now=self.clock.now(), visibility=VISIBILITY, limit=limit
        )

    async def acknowledge(self, command: Command, node: str) -> None:
        """The node has it."""
        await self.database.write(commands.acknowledge, self.scope, command.id, node, now=self.clock.now())

    async def heard(self, node: str, message: str) -> bool:
        """The node has a message."""
        return await self.database.write(commands.acknowledge_message, self.scope, node, message, now=self.clock.now())

    async def cancel(self, command: Command, *nodes: str) -> list[str]:
        """Cancel a command, or cancel it on some nodes; returns those for which a message waits."""
        return await self.service.cancel(self.scope, command.id, nodes)

    async def tend(self) -> list[str]:
        """The job goes on with everything, of every account; returns those of this one's nodes that it wakes."""
        woken: list[str] = []
        await commands.tend(self.database, self.clock, woken.extend, everything)
        own = {node.id for node in await self.database.read(nodes.known, self.scope, sorted(set(woken)))}
        return [one for one in woken if one in own]

    async def reply(
        self,
        command: Command,
        node: str,
        detail: Detail,
        *,
        steps: Mapping[str, StepResult] | None = None,
        reply_id: str = "",
        trace: str = "",
    ) -> tuple[bool, list[str]]:
        """Report; returns whether that ended the invocation, and who may start now."""
        reply = Reply(reply_id or f"reply-{next(self._replies)}", command.id, detail, trace, steps or {})
        return await self.database.write(commands.record, self.scope, node, reply, now=self.clock.now())

    async def expire(self) -> list[Invocation]:
        """End what has run out of time, of every account."""
        return await self.database.write(commands.expire, now=self.clock.now())

    async def detail(self, command: Command, node: str = "") -> str:
        """StatusDetails of the command, or of its invocation on *node*."""
        if node:
            _, invocation = await self.service.invocation(self.scope, command.id, node)
            return invocation.detail.value
        return (await self.service.command(self.scope, command.id)).detail.value

    async def details(self, command: Command) -> list[str]:
        """StatusDetails of the command's invocations, in order of node."""
        found = await self.service.invocations(self.scope, command_id=command.id)
        return [invocation.detail.value for _, invocation in sorted(found, key=lambda pair: pair[1].instance_id)]
