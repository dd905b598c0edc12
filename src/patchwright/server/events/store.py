# SPDX-License-Identifier: Apache-2.0
"""SQL of events: added once, numbered once, read in the order of their numbers, and removed when they are old."""

from __future__ import annotations

import json
from collections.abc import Sequence

from patchwright.server.accounts import Scope
from patchwright.server.events.model import Event
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql, sql_each

_NUMBERED_TOGETHER = 500
_IMPLAUSIBLE_SECONDS = 30 * 86400.0
_EVENT = "account, region, id, sequence, detail_type, subject, resources, detail, at"


def add(rows: Sequence[Row]) -> UnitOfWork[None]:
    """Store events, not numbered yet; the same one again changes nothing. Rows: as the columns here."""
    yield sql_each(
        "INSERT INTO event (account, region, id, detail_type, subject, resources, detail, at, place)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (account, region, id) DO NOTHING",
        rows,
    )


def unnumbered(limit: int) -> UnitOfWork[list[tuple[Scope, str]]]:
    """Up to *limit* events that have no number yet, oldest first."""
    rows = yield sql(
        "SELECT account, region, id FROM event WHERE sequence IS NULL ORDER BY at, place, id LIMIT $1", limit
    )
    return [(Scope(account, region), event_id) for account, region, event_id in rows]


def number(scope: Scope, event_ids: Sequence[str]) -> UnitOfWork[None]:
    """
    Give events, one at least, the next numbers, in the order given.

    The head is written first: whoever else is at it waits there, or begins anew and finds them numbered.
    """
    head = yield sql(
        "INSERT INTO event_head (account, region, sequence) VALUES ($1, $2, 0)"
        " ON CONFLICT (account, region) DO UPDATE SET sequence = event_head.sequence RETURNING sequence",
        *scope,
    )
    waiting = yield sql(
        "SELECT id FROM event WHERE account = $1 AND region = $2 AND sequence IS NULL"
        f" AND id IN ({placeholders(3, len(event_ids))})",
        *scope,
        *event_ids,
    )
    left = {event_id for (event_id,) in waiting}
    chosen = [event_id for event_id in event_ids if event_id in left]
    yield sql_each(
        "UPDATE event SET sequence = $4 WHERE account = $1 AND region = $2 AND id = $3",
        [(*scope, event_id, head[0][0] + place) for place, event_id in enumerate(chosen, start=1)],
    )
    yield sql(
        "UPDATE event_head SET sequence = $3 WHERE account = $1 AND region = $2", *scope, head[0][0] + len(chosen)
    )


def number_all(scope: Scope) -> UnitOfWork[int]:
    """Give every event of an account and region its number, in this transaction; returns the newest number."""
    rows = yield sql(  # from the index of what has no number: SQLite would read every event of the account by its key
        "SELECT id FROM event WHERE account || '' = $1 AND region || '' = $2 AND sequence IS NULL"
        " ORDER BY at, place, id",
        *scope,
    )
    for start in range(0, len(rows), _NUMBERED_TOGETHER):
        yield from number(scope, [event_id for (event_id,) in rows[start : start + _NUMBERED_TOGETHER]])
    return (yield from head(scope))


def head(scope: Scope) -> UnitOfWork[int]:
    """The number of the newest event that has one; 0: there was none."""
    rows = yield sql("SELECT sequence FROM event_head WHERE account = $1 AND region = $2", *scope)
    return rows[0][0] if rows else 0


def after(scope: Scope, sequence: int, limit: int) -> UnitOfWork[list[Event]]:
    """Up to *limit* events whose number is above *sequence*, in order."""
    rows = yield sql(
        f"SELECT {_EVENT} FROM event WHERE account = $1 AND region = $2 AND sequence > $3 ORDER BY sequence LIMIT $4",
        *scope,
        sequence,
        limit,
    )
    return [_event(row) for row in rows]


def before(scope: Scope, sequence: int, limit: int, *, subject: str = "") -> UnitOfWork[list[Event]]:
    """Up to *limit* events whose number is below *sequence*, newest first; of *subject* alone unless it is empty."""
    if subject:
        rows = yield sql(
            f"SELECT {_EVENT} FROM event WHERE account = $1 AND region = $2 AND subject = $3 AND sequence < $4"
            " ORDER BY sequence DESC LIMIT $5",
            *scope,
            subject,
            sequence,
            limit,
        )
    else:
        rows = yield sql(
            f"SELECT {_EVENT} FROM event WHERE account = $1 AND region = $2 AND sequence < $3"
            " ORDER BY sequence DESC LIMIT $4",
            *scope,
            sequence,
            limit,
        )
    return [_event(row) for row in rows]


def find(scope: Scope, event_id: str) -> UnitOfWork[Event | None]:
    """The event, or None."""
    rows = yield sql(f"SELECT {_EVENT} FROM event WHERE account = $1 AND region = $2 AND id = $3", *scope, event_id)
    return _event(rows[0]) if rows else None


def remove_older(moment: float, limit: int) -> UnitOfWork[int]:
    """
    Remove up to *limit* events from before *moment*; returns how many.

    In the order of their numbers, which is that of time, so that there need be no index of all moments. What is from long
    after *moment*, when a clock was wrong, is in the way there: it goes as well.
    """
    removed = 0
    for account, region in (yield sql("SELECT account, region FROM event_head ORDER BY account, region")):
        rows = yield sql(
            "DELETE FROM event WHERE account = $1 AND region = $2 AND sequence IN (SELECT sequence FROM event"
            " WHERE account = $1 AND region = $2 AND sequence > 0 ORDER BY sequence LIMIT $3)"
            " AND (at < $4 OR at > $5) RETURNING sequence",
            account,
            region,
            limit - removed,
            moment,
            moment + _IMPLAUSIBLE_SECONDS,
        )
        removed += len(rows)
        if removed == limit:
            break
    return removed


def _event(row: Row) -> Event:
    account, region, event_id, sequence, detail_type, subject, resources, detail, at = row
    return Event(
        Scope(account, region),
        event_id,
        detail_type,
        tuple(json.loads(resources)),
        json.loads(detail),
        at,
        subject=subject,
        sequence=sequence or 0,
    )
