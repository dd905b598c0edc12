# SPDX-License-Identifier: Apache-2.0
"""Records what comes over control channels: everything that waits goes into one unit of work, then the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from patchwright.server import commands, compliance, patching
from patchwright.server.accounts import Scope
from patchwright.server.commands import Recorded, Said, Waking
from patchwright.server.infra import Clock, Database, Unavailable, UnitOfWork

_TOGETHER = 1024  # replies in one unit of work


class Recorder:
    """Takes replies, in the order in which they come."""

    def __init__(self, database: Database, clock: Clock, *, waking: Waking) -> None:
        self._database = database
        self._clock = clock
        self._waking = waking
        self._waiting: list[tuple[Said, asyncio.Future[None]]] = []
        self._at_work: asyncio.Task[None] | None = None

    def take(self, said: Said) -> asyncio.Future[None]:
        """
        Record *said* soon; the future is done once it is durable.

        It raises what is wrong with the reply (UnknownInvocation, ImpossibleTransition), or InfraError.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append((said, future))
        if self._at_work is None:
            self._at_work = loop.create_task(self._work())
        return future

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
                await self._record(batch)
        finally:
            self._at_work = None

    async def _record(self, batch: Sequence[tuple[Said, asyncio.Future[None]]]) -> None:
        try:
            recorded = await self._write([said for said, _ in batch])
        except Unavailable as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - what is wrong with one of them must not be held against all
            if len(batch) == 1:
                _fail(batch, error)
                return
            for one in batch:
                await self._record([one])
        else:
            self._waking.wake(recorded.released)
            for place, (_, future) in enumerate(batch):
                if future.done():
                    continue
                refusal = recorded.refused.get(place)
                if refusal is None:
                    future.set_result(None)
                else:
                    future.set_exception(refusal)

    async def _write(self, said: Sequence[Said]) -> Recorded:
        return await self._database.write(_recorded, said, now=self._clock.now())


def _fail(batch: Sequence[tuple[Said, asyncio.Future[None]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)


def _recorded(said: Sequence[Said], *, now: float) -> UnitOfWork[Recorded]:
    """Record replies; what a command began on a node and did not finish ends with it."""
    recorded = yield from commands.record_all(said, now=now)
    ended: dict[Scope, list[str]] = {}
    for one in recorded.ended:
        ended.setdefault(one.scope, []).append(one.instance_id)
    begun: set[tuple[Scope, str]] = set()
    for scope, ids in ended.items():
        begun.update((scope, one) for one in (yield from patching.with_unfinished(scope, ids)))
    for scope, instance_id, command_id, reply in recorded.ended:
        if (scope, instance_id) not in begun:
            continue
        ended_as = "" if reply is None else reply.detail.value
        reason = f"The command ended as {ended_as} before the operation did."
        if (yield from patching.close(scope, instance_id, command_id, now=now, reason=reason)):
            yield from compliance.refresh(scope, instance_id)
    return recorded
