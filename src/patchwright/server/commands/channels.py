# SPDX-License-Identifier: Apache-2.0
"""Which process holds the control channel of which node, and what waits for those that one holds (design D9). Units of work."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from patchwright.core.invocation import Detail
from patchwright.core.protocol import command_of
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork, placeholders, sql, sql_each


class Held(NamedTuple):
    """A channel that a process holds."""

    scope: Scope
    instance_id: str
    epoch: int


def hold(scope: Scope, instance_id: str, gateway: str, *, now: float) -> UnitOfWork[Held]:
    """A node's channel is held by process *gateway* from now on. Whoever held it before holds it no more."""
    rows = yield sql(
        "INSERT INTO channel (account, region, instance_id, gateway, epoch, opened_at) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (account, region, instance_id) DO UPDATE SET gateway = $4, opened_at = $6,"
        " epoch = CASE WHEN channel.epoch < $5 THEN $5 ELSE channel.epoch + 1 END RETURNING epoch",
        *scope,
        instance_id,
        gateway,
        int(now * 1000),
        now,
    )
    return Held(scope, instance_id, rows[0][0])


def let_go(held: Held, gateway: str, offered: Collection[str] = (), *, now: float) -> UnitOfWork[None]:
    """
    A channel was closed; a later one of the same node stays.

    What it was *offered* (ids of messages) and did not acknowledge is delivered again at once.
    """
    yield sql_each(
        "UPDATE invocation SET visible_at = $5 WHERE account = $1 AND region = $2 AND instance_id = $3"
        " AND command_id = $4 AND visible_at > $5 AND acknowledged_at IS NULL AND ended_at IS NULL",
        [(*held.scope, held.instance_id, command_of(one), now) for one in offered if one.startswith("aws.ssm.")],
    )
    yield sql_each(
        "UPDATE invocation SET cancel_visible_at = $5 WHERE account = $1 AND region = $2 AND instance_id = $3"
        " AND cancel_id = $4 AND cancel_visible_at > $5 AND ended_at IS NULL",
        [(*held.scope, held.instance_id, one, now) for one in offered if not one.startswith("aws.ssm.")],
    )
    yield sql(
        "DELETE FROM channel WHERE account = $1 AND region = $2 AND instance_id = $3 AND gateway = $4 AND epoch = $5",
        *held.scope,
        held.instance_id,
        gateway,
        held.epoch,
    )


def forget_channel(scope: Scope, instance_id: str) -> UnitOfWork[None]:
    """Nobody holds the channel of a node that is going away; who did finds out when it looks."""
    yield sql("DELETE FROM channel WHERE account = $1 AND region = $2 AND instance_id = $3", *scope, instance_id)


def still_held(gateway: str, channels: Sequence[Held]) -> UnitOfWork[set[Held]]:
    """Those of *channels*, at most 10,000, that process *gateway* holds still."""
    if not channels:
        return set()
    rows = yield sql(
        "SELECT account, region, instance_id, epoch FROM channel WHERE gateway = $1"
        f" AND instance_id IN ({placeholders(2, len(channels))})",
        gateway,
        *(one.instance_id for one in channels),
    )
    return {Held(Scope(*row[:2]), row[2], row[3]) for row in rows}.intersection(channels)


def held_with_work(gateway: str, *, now: float, after: str, limit: int) -> UnitOfWork[list[str]]:
    """
    Up to *limit* nodes whose channel process *gateway* holds and for which something may wait, in order of id, those behind
    *after*.
    """
    # From the indexes of what waits: who holds fifty thousand channels does not look through them all every few seconds.
    commands = yield sql(
        "SELECT DISTINCT i.instance_id FROM invocation i WHERE i.instance_id > $2 AND i.visible_at <= $3"
        " AND i.begin_by > $3 AND i.acknowledged_at IS NULL AND i.ended_at IS NULL AND i.released = 1 AND i.detail <> $5"
        " AND EXISTS (SELECT 1 FROM channel c WHERE c.gateway = $1 AND c.instance_id = i.instance_id)"
        " ORDER BY i.instance_id LIMIT $4",
        gateway,
        after,
        now,
        limit,
        Detail.CANCELLING.value,
    )
    cancels = yield sql(
        "SELECT DISTINCT i.instance_id FROM invocation i WHERE i.instance_id > $2 AND i.cancel_visible_at IS NOT NULL"
        " AND i.cancel_visible_at <= $3 AND i.ended_at IS NULL"
        " AND EXISTS (SELECT 1 FROM channel c WHERE c.gateway = $1 AND c.instance_id = i.instance_id)"
        " ORDER BY i.instance_id LIMIT $4",
        gateway,
        after,
        now,
        limit,
    )
    return sorted({row[0] for row in (*commands, *cancels)})[:limit]
