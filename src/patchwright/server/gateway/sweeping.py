# SPDX-License-Identifier: Apache-2.0
"""Ending what has run out of time, so that nothing stays in progress for ever (design D9, D10)."""

from __future__ import annotations

import structlog

from patchwright.server import commands, patching
from patchwright.server.commands import Waking
from patchwright.server.infra import Clock, Database, InfraError, UnitOfWork

SWEEP_SECONDS = 5.0
_log = structlog.get_logger("patchwright.sweep")


async def sweep_for_ever(database: Database, clock: Clock, waking: Waking) -> None:
    """Sweep every few seconds until cancelled. A database that cannot be reached is tried again."""
    while True:
        try:
            waking.wake(await sweep(database, clock))
        except InfraError as error:
            _log.warning("sweep", error=str(error))
        await clock.sleep(SWEEP_SECONDS)


async def sweep(database: Database, clock: Clock) -> list[str]:
    """End every invocation whose time has run out; returns the nodes whose turn it is now."""
    woken: list[str] = []
    while True:
        now = clock.now()
        if not await database.read(commands.any_overdue, now=now):
            return woken
        woken += await database.write(_expire, now=now)


def _expire(*, now: float) -> UnitOfWork[list[str]]:
    ended, released = yield from commands.expire(now=now, fresh_ids=commands.fresh_ids())
    for invocation in ended:
        reason = "The command's time ran out before the operation ended."
        yield from patching.close(
            invocation.scope, invocation.instance_id, invocation.command_id, now=now, reason=reason
        )
    return released
