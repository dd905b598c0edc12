# SPDX-License-Identifier: Apache-2.0
"""Ending what has run out of time, so that nothing stays in progress for ever (design D9, D10)."""

from __future__ import annotations

from patchwright.server import commands, compliance, patching
from patchwright.server.infra import Clock, Database, UnitOfWork

SWEEP_SECONDS = 5.0


async def sweep(database: Database, clock: Clock) -> int:
    """End every invocation whose time has run out; returns how many those were."""
    total = 0
    while True:
        now = clock.now()
        if not await database.read(commands.any_overdue, now=now):
            return total
        ended = await database.write(_expire, now=now)
        total += ended
        if not ended:  # another process is at it
            return total


def _expire(*, now: float) -> UnitOfWork[int]:
    ended = yield from commands.expire(now=now)
    for invocation in ended:
        reason = "The command's time ran out before the operation ended."
        scope, instance_id = invocation.scope, invocation.instance_id
        if (yield from patching.close(scope, instance_id, invocation.command_id, now=now, reason=reason)):
            yield from compliance.refresh(scope, instance_id)
    return len(ended)
