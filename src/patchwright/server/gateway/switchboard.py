# SPDX-License-Identifier: Apache-2.0
"""
The control channels that this process holds, and what goes out over them (spec agent-protocol §7, design D9).

What waits for several nodes is taken in one unit of work, however many there are: whoever is woken waits for the next turn,
and turns follow each other as fast as the database takes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from patchwright.server import commands
from patchwright.server.accounts import Scope
from patchwright.server.commands import Delivery, Held
from patchwright.server.gateway.channel import LATER_SECONDS, Channel
from patchwright.server.gateway.rendering import Rendering
from patchwright.server.infra import Clock, Database, InfraError, UnitOfWork, new_uuid

LOOK_SECONDS = 3.0  # for what another process released, and for what was not acknowledged in time
_HELD_SECONDS = 60.0
_TURN = 200  # nodes that one unit of work takes
_AT_ONCE = 5  # messages to one node in one turn
_PAGE = 1000

_log = structlog.get_logger("patchwright.channel")


class Switchboard:
    """
    The channels of this process, by node. Of two of a node the later counts, here and between processes.

    *active* says whether an account may still speak.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        rendering: Rendering,
        waking: commands.Waking,
        active: Callable[[str], Awaitable[bool]],
    ) -> None:
        self.gateway = new_uuid()
        self._rendering = rendering
        self._database = database
        self._clock = clock
        self._active = active
        self._channels: dict[str, Channel] = {}
        self._woken: dict[str, None] = {}  # in the order in which they were woken
        self._at_work: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._checked = clock.monotonic()
        waking.listen(self.wake)

    def __len__(self) -> int:
        return len(self._channels)

    async def enter(self, channel: Channel) -> None:
        """Hold *channel* from now on, and give it what waits for its node. The node's earlier one is closed."""
        scope, instance_id = channel.scope, channel.instance_id
        channel.held = await self._database.write(
            commands.hold, scope, instance_id, self.gateway, now=self._clock.now()
        )
        before, self._channels[instance_id] = self._channels.get(instance_id), channel
        if before is not None:
            before.supersede()
        self.wake([instance_id])

    async def leave(self, channel: Channel) -> None:
        """Let *channel* go, which is closed. What it did not acknowledge is delivered again, to whatever the node has then."""
        if self._channels.get(channel.instance_id) is channel:
            del self._channels[channel.instance_id]
        if channel.held is not None:
            await self._database.write(
                commands.let_go, channel.held, self.gateway, list(channel.offered), now=self._clock.now()
            )

    def wake(self, instance_ids: Iterable[str]) -> None:
        """Something may wait for these nodes."""
        self._woken.update(dict.fromkeys(one for one in instance_ids if one in self._channels))
        if self._woken and self._at_work is None:
            self._at_work = asyncio.get_running_loop().create_task(self._work())

    async def look(self) -> None:
        """Find what nobody woke this process for; from time to time also whether its channels still count."""
        if not self._channels:
            return
        after = ""
        while found := await self._database.read(
            commands.held_with_work, self.gateway, now=self._clock.now(), after=after, limit=_PAGE
        ):
            self.wake(found)
            after = found[-1]
        if self._clock.monotonic() - self._checked >= _HELD_SECONDS:
            self._checked = self._clock.monotonic()
            await self._check()

    async def _check(self) -> None:
        """Close the channels that another process holds meanwhile, whose node is gone or whose account is disabled."""
        channels = list(self._channels.values())
        closed = {account for account in {one.scope.account for one in channels} if not await self._active(account)}
        for start in range(0, len(channels), _PAGE):
            page = channels[start : start + _PAGE]
            held = await self._database.read(
                commands.still_held, self.gateway, [one.held for one in page if one.held is not None]
            )
            for channel in page:
                if channel.held not in held or channel.scope.account in closed:
                    channel.supersede()

    async def _work(self) -> None:
        try:
            while self._woken:
                turn = list(self._woken)[:_TURN]
                for instance_id in turn:
                    del self._woken[instance_id]
                await self._turn([self._channels[one] for one in turn if one in self._channels])
        except InfraError as error:  # who was in this turn is looked at again soon
            _log.warning("not delivered", error=str(error))
        finally:
            self._at_work = None
            if self._woken:
                self.wake(())

    async def _turn(self, channels: Sequence[Channel]) -> None:
        open_ones = {one.held: one for one in channels if one.held is not None and one.has_room}
        held, found = await self._database.write(
            _deliveries,
            self._rendering,
            self.gateway,
            list(open_ones),
            now=self._clock.now(),
            visibility=LATER_SECONDS,
        )
        for key, channel in open_ones.items():
            if key not in held:
                channel.supersede()
        for key, deliveries in found:
            task = asyncio.get_running_loop().create_task(open_ones[key].offer(deliveries))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            if len(deliveries) >= _AT_ONCE:  # there may be more
                self.wake([key.instance_id])


def _deliveries(
    rendering: Rendering, gateway: str, channels: Sequence[Held], *, now: float, visibility: float
) -> UnitOfWork[tuple[set[Held], list[tuple[Held, list[Delivery]]]]]:
    """Which of *channels* this process still holds, and what waits for each of those, now on its way."""
    held = yield from commands.still_held(gateway, channels)
    whom = [(Scope(*one.scope), one.instance_id) for one in channels if one in held]
    found = yield from rendering.deliveries_to_each(whom, now=now, visibility=visibility, limit=_AT_ONCE)
    return held, [(one, found[one.instance_id]) for one in channels if one in held and one.instance_id in found]
