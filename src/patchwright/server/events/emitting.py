# SPDX-License-Identifier: Apache-2.0
"""
How events come into being: units of work, composed in the transaction of the change that an event tells of.

An event has no number when it is written. `number_waiting` gives numbers afterwards, so that writers never wait for each
other, and whoever reads in the order of numbers misses none that was committed late (docs/adr/0027).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from patchwright.server.accounts import Scope
from patchwright.server.events import store
from patchwright.server.events.model import MOST_RESOURCES, Event, compact, quoted, subject_of
from patchwright.server.infra import Database, Row, UnitOfWork

NUMBERED_TOGETHER = 500

_BY_ID = itemgetter(2)
_PLACES = itertools.count(1)  # tells events of one moment apart, in the order in which they were emitted


def emit(
    scope: Scope,
    detail_type: str,
    resources: Sequence[str],
    detail: Mapping[str, Any],
    *,
    now: float,
    id: str,  # noqa: A002 - as the envelope calls it
    subject: str = "",
) -> UnitOfWork[None]:
    """
    Say that something happened, in the caller's transaction: both are kept, or neither is.

    Args:
        scope: Whose event it is.
        detail_type: One of `DETAIL_TYPES`.
        resources: ARNs; of more than `MOST_RESOURCES` the first ones.
        detail: As spec §7.7 has it: what JSON can say, and no secret.
        now: When it happened.
        id: A fresh UUID. An event with the same id again is the same event, and changes nothing.
        subject: The bare id by which it is found; empty: that of the first resource.
    """
    yield from emit_all([Event(scope, id, detail_type, tuple(resources), detail, now, subject=subject)])


def emit_all(events: Iterable[Event]) -> UnitOfWork[None]:
    """Say that several things happened, in this order; otherwise as `emit`."""
    rows = [_row(event) for event in events]
    if rows:
        yield from store.add(rows)


def emit_of_each(
    scope: Scope,
    detail_type: str,
    subjects: Iterable[tuple[str, str, str]],
    detail: Mapping[str, Any],
    *,
    member: str,
    now: float,
) -> UnitOfWork[None]:
    """
    Say that the same happened to many, in this order; otherwise as `emit`.

    Args:
        scope: Whose events they are.
        detail_type: One of `DETAIL_TYPES`.
        subjects: Of each its bare id, its ARN, and the event's id, which may best be of `ids_in_time`.
        detail: What is said of all of them.
        member: The member of the detail that is each one's bare id; it comes last.
        now: When it happened.
    """
    before = compact({**detail, member: ""})[:-3]  # all but '""}'
    rows = [
        (*scope, event_id, detail_type, subject, f"[{quoted(arn)}]", f"{before}{quoted(subject)}}}", now, next(_PLACES))
        for subject, arn, event_id in subjects
    ]
    if rows:
        rows.sort(key=_BY_ID)  # which is the order in which they are stored; told they are in that of their places
        yield from store.add(rows)


async def number_waiting(database: Database) -> int:
    """Give every event that waits its number; returns how many there were. Safe in several processes at once."""
    count = 0
    while True:
        waiting = await database.read(store.unnumbered, NUMBERED_TOGETHER)
        by_scope: dict[Scope, list[str]] = {}
        for scope, event_id in waiting:
            by_scope.setdefault(scope, []).append(event_id)
        for scope, event_ids in by_scope.items():
            await database.write(store.number, scope, event_ids)
        count += len(waiting)
        if len(waiting) < NUMBERED_TOGETHER:
            return count


def _row(event: Event) -> Row:
    return (
        *event.scope,
        event.id,
        event.detail_type,
        event.subject or subject_of(event.resources),
        compact(event.resources[:MOST_RESOURCES]),
        compact(event.detail),
        event.at,
        next(_PLACES),
    )
