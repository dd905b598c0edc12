# SPDX-License-Identifier: Apache-2.0
"""
What goes on with commands that nobody waits for: targets of large commands, what was cancelled or stopped, and history.

Safe in several processes at once, and again after any of them died.
"""

from __future__ import annotations

from collections.abc import Callable

from patchwright.core.errors import PatchwrightError
from patchwright.core.invocation import Detail
from patchwright.server.accounts import Scope
from patchwright.server.commands import store, tally_store
from patchwright.server.commands.model import HISTORY_SECONDS, TOGETHER, Command, Needs, Permitted, Rights
from patchwright.server.commands.moving import settle
from patchwright.server.commands.sending import close, spread
from patchwright.server.commands.steering import cancel_released
from patchwright.server.infra import Clock, Database, InfraError, UnitOfWork

TEND_SECONDS = 1.0
FORGET_SECONDS = 3600.0
_COMMANDS = 20  # that are looked up together
_STEPS = 1000  # of one round


async def tend(
    database: Database,
    clock: Clock,
    wake: Callable[[list[str]], None],
    rights: Rights,
    *,
    needs: Needs | None = None,
) -> int:
    """
    Go on with every command of which something is left; returns how many steps that took.

    *wake* is given the nodes for which a message waits; *rights* says what the owner of a command may do, and *needs* how
    long it takes on nodes where that counts.
    """
    steps = 0
    while steps < _STEPS and (found := await database.read(tally_store.left, now=clock.now(), limit=_COMMANDS)):
        for scope, command_id in found:
            wake(await database.write(go_on, scope, command_id, now=clock.now(), rights=rights, needs=needs))
            steps += 1
    return steps


def go_on(
    scope: Scope, command_id: str, *, now: float, rights: Rights, needs: Needs | None = None
) -> UnitOfWork[list[str]]:
    """Do some of what is left to do of a command; returns the nodes for which a message waits. A unit of work."""
    stands = yield from tally_store.take(scope, command_id, now=now)
    command = yield from store.find(scope, command_id)
    if stands is None or command is None:
        return []
    yield from tally_store.resume_at(scope, command_id, None)  # unless what follows leaves something
    if stands.spread_after is not None:
        return (yield from _spread(command, now=now, rights=rights, needs=needs))
    released = yield from settle(scope, command_id, stands, now=now)
    if stands.cancelling:
        released += yield from cancel_released(command, now=now)
    return released


async def forget(database: Database, clock: Clock) -> int:
    """Delete commands that ended, and were sent more than 30 days ago (spec §1.20); returns how many steps that took."""
    steps = 0
    before = clock.now() - HISTORY_SECONDS
    while (oldest := await database.read(store.oldest_ended, before=before)) is not None:
        await database.write(store.forget, *oldest, limit=TOGETHER)
        steps += 1
    return steps


def _spread(command: Command, *, now: float, rights: Rights, needs: Needs | None) -> UnitOfWork[list[str]]:
    scope = command.scope
    try:
        permitted: Permitted | None = yield from rights(scope, command.owner, command.request, now)
    except InfraError:
        raise
    except PatchwrightError:  # its owner may not send it any more: nobody begins
        yield from tally_store.end_waiting(scope, command.id, Detail.ACCESS_DENIED, cancelling=False)
        return (yield from close(command, now=now))
    done = yield from spread(scope, command.id, permitted=permitted, needs=needs, now=now)
    if done.more:
        yield from tally_store.resume_at(scope, command.id, now)
    return done.released
