# SPDX-License-Identifier: Apache-2.0
"""SQL of commands, invocations, their events, and replies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, replace
from typing import Any, NamedTuple

from patchwright.core.invocation import ERRORS, FINAL, Detail
from patchwright.server.accounts import Scope
from patchwright.server.commands.model import (
    EXECUTION_TIMEOUT_SECONDS,
    Command,
    Invocation,
    Request,
    StepResult,
    Target,
)
from patchwright.server.commands.rate_control import Tally
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql, sql_each

_COMMAND = (
    "account, region, id, document_name, document_version, content, parameters, targets, instance_ids, comment,"
    " principal, timeout_seconds, max_concurrency, max_errors, requested_at, expires_at, detail, target_count"
)
_INVOCATION = (
    "account, region, command_id, instance_id, position, detail, released, requested_at, due_at, acknowledged_at,"
    " deliveries, response_code, steps, trace, ended_at"
)
_PENDING, _DENIED = Detail.PENDING.value, Detail.ACCESS_DENIED.value


class Standing(NamedTuple):
    """The invocations of one command: how many are in each detail, and what rate control asks about them."""

    details: Mapping[Detail, int]
    tally: Tally


def put_command(command: Command) -> UnitOfWork[None]:
    """Store a new command."""
    request = command.request
    yield sql(
        f"INSERT INTO command ({_COMMAND}) VALUES ({placeholders(1, 18)})",
        *command.scope,
        command.id,
        request.document_name,
        request.document_version,
        json.dumps(command.content),
        json.dumps({name: list(values) for name, values in request.parameters.items()}),
        json.dumps(request.targets),
        json.dumps(request.instance_ids),
        request.comment,
        command.principal,
        request.timeout_seconds,
        request.max_concurrency,
        request.max_errors,
        command.requested_at,
        command.expires_at,
        command.detail.value,
        command.target_count,
    )


def put_invocations(command: Command, instance_ids: Sequence[str], *, denied: Set[str]) -> UnitOfWork[None]:
    """Store the invocations of a new command, none of them released yet; those on nodes of *denied* have ended."""
    at = command.requested_at
    yield sql_each(
        "INSERT INTO invocation (account, region, command_id, instance_id, position, detail, released, requested_at,"
        " due_at, visible_at, deliveries, response_code, steps, trace, ended_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $7, 0, -1, '{}', '', $9)",
        [
            (*command.scope, command.id, instance_id, position)
            + (
                (_DENIED, at, command.expires_at, at)
                if instance_id in denied
                else (_PENDING, at, command.expires_at, None)
            )
            for position, instance_id in enumerate(instance_ids)
        ],
    )


def find_command(scope: Scope, command_id: str) -> UnitOfWork[Command | None]:
    """The command without the counts of its invocations, or None."""
    rows = yield sql(
        f"SELECT {_COMMAND} FROM command WHERE account = $1 AND region = $2 AND id = $3", *scope, command_id
    )
    return _command(rows[0]) if rows else None


def document_of(scope: Scope, command_id: str) -> UnitOfWork[tuple[str, str]]:
    """Name and version of a command's document; both empty without the command."""
    rows = yield sql(
        "SELECT document_name, document_version FROM command WHERE account = $1 AND region = $2 AND id = $3",
        *scope,
        command_id,
    )
    return (rows[0][0], rows[0][1]) if rows else ("", "")


def find_with_counts(scope: Scope, command_id: str) -> UnitOfWork[Command | None]:
    """The command, its invocations counted as they stand, or None. Reads every invocation of it."""
    found = yield from find_command(scope, command_id)
    if found is None:
        return None
    counts = (yield from standing(scope, command_id)).details
    return replace(
        found,
        completed_count=sum(number for detail, number in counts.items() if detail in FINAL),
        error_count=sum(number for detail, number in counts.items() if detail in ERRORS),
        delivery_timed_out_count=counts.get(Detail.DELIVERY_TIMED_OUT, 0),
    )


def standing(scope: Scope, command_id: str) -> UnitOfWork[Standing]:
    """How a command's invocations stand: by detail, and for rate control. Reads every one of them, once."""
    rows = yield sql(
        "SELECT detail, released, COUNT(*) FROM invocation"
        " WHERE account = $1 AND region = $2 AND command_id = $3 GROUP BY detail, released",
        *scope,
        command_id,
    )
    counted = [(Detail(detail), bool(released), number) for detail, released, number in rows]
    details = Counter[Detail]()
    for detail, _, number in counted:
        details[detail] += number
    tally = Tally(
        waiting=sum(number for detail, released, number in counted if not released and not detail.final),
        under_way=sum(number for detail, released, number in counted if released and not detail.final),
        errors=sum(number for detail, number in details.items() if detail in ERRORS),
    )
    return Standing(details, tally)


def release(scope: Scope, command_id: str, number: int) -> UnitOfWork[list[str]]:
    """Let the next *number* invocations be delivered, in the order of the targets; returns their nodes."""
    rows = yield sql(
        "SELECT instance_id FROM invocation WHERE account = $1 AND region = $2 AND command_id = $3"
        " AND released = 0 AND ended_at IS NULL ORDER BY position LIMIT $4",
        *scope,
        command_id,
        number,
    )
    ids = [row[0] for row in rows]
    yield sql_each(
        "UPDATE invocation SET released = 1"
        " WHERE account = $1 AND region = $2 AND command_id = $3 AND instance_id = $4",
        [(*scope, command_id, instance_id) for instance_id in ids],
    )
    return ids


def waiting(scope: Scope, command_id: str) -> UnitOfWork[list[Invocation]]:
    """The invocations that were never released and have not ended."""
    rows = yield sql(
        f"SELECT {_INVOCATION} FROM invocation WHERE account = $1 AND region = $2 AND command_id = $3"
        " AND released = 0 AND ended_at IS NULL ORDER BY position",
        *scope,
        command_id,
    )
    return [_invocation(row) for row in rows]


def set_command_detail(scope: Scope, command_id: str, detail: Detail) -> UnitOfWork[None]:
    """Store what the invocations add up to."""
    yield sql(
        "UPDATE command SET detail = $4 WHERE account = $1 AND region = $2 AND id = $3",
        *scope,
        command_id,
        detail.value,
    )


def find(scope: Scope, command_id: str, instance_id: str) -> UnitOfWork[Invocation | None]:
    """The invocation, or None."""
    rows = yield sql(
        f"SELECT {_INVOCATION} FROM invocation"
        " WHERE account = $1 AND region = $2 AND command_id = $3 AND instance_id = $4",
        *scope,
        command_id,
        instance_id,
    )
    return _invocation(rows[0]) if rows else None


def page(
    scope: Scope, *, command_id: str, instance_id: str, before: tuple[float, str, str] | None, limit: int
) -> UnitOfWork[list[Invocation]]:
    """
    Up to *limit* invocations, newest first; empty texts do not narrow.

    *before* is (requested_at, command id, instance id) of the last one seen.
    """
    requested, last_command, last_instance = before or (9e15, "", "")
    rows = yield sql(
        f"SELECT {_INVOCATION} FROM invocation WHERE account = $1 AND region = $2"
        " AND (CAST($3 AS TEXT) = '' OR command_id = $3) AND (CAST($4 AS TEXT) = '' OR instance_id = $4)"
        " AND (requested_at < $5 OR (requested_at = $5 AND (command_id > $6 OR (command_id = $6 AND instance_id > $7))))"
        " ORDER BY requested_at DESC, command_id, instance_id LIMIT $8",
        *scope,
        command_id,
        instance_id,
        requested,
        last_command,
        last_instance,
        limit,
    )
    return [_invocation(row) for row in rows]


def deliverable(scope: Scope, instance_id: str, *, now: float, limit: int) -> UnitOfWork[list[str]]:
    """
    The commands that wait for a node, oldest first: released, unacknowledged, not on their way already.

    What has not begun within its TimeoutSeconds does not begin any more (SendCommand in the model): so what begins has the
    document's execution time left before it is called timed out.
    """
    rows = yield sql(
        "SELECT command_id FROM invocation WHERE account = $1 AND region = $2 AND instance_id = $3"
        " AND visible_at <= $4 AND due_at > $6 AND acknowledged_at IS NULL AND ended_at IS NULL AND released = 1"
        " ORDER BY requested_at, command_id LIMIT $5",
        *scope,
        instance_id,
        now,
        limit,
        now + EXECUTION_TIMEOUT_SECONDS,
    )
    return [row[0] for row in rows]


def mark_delivered(
    scope: Scope, instance_id: str, command_ids: Sequence[str], *, visible_at: float
) -> UnitOfWork[None]:
    """Note that commands are on their way; unacknowledged, they are delivered again at *visible_at*."""
    yield sql_each(
        "UPDATE invocation SET visible_at = $5, deliveries = deliveries + 1"
        " WHERE account = $1 AND region = $2 AND command_id = $3 AND instance_id = $4",
        [(*scope, command_id, instance_id, visible_at) for command_id in command_ids],
    )


def acknowledge(scope: Scope, command_id: str, instance_id: str, *, now: float) -> UnitOfWork[None]:
    """Note that the node has the command."""
    yield sql(
        "UPDATE invocation SET acknowledged_at = COALESCE(acknowledged_at, $5)"
        " WHERE account = $1 AND region = $2 AND command_id = $3 AND instance_id = $4",
        *scope,
        command_id,
        instance_id,
        now,
    )


def put(invocation: Invocation, *, before: Detail, event_id: str, reason: str, now: float) -> UnitOfWork[bool]:
    """
    Store an invocation that changed, if it still is in the detail *before*, and the event of the change with it.

    Returns false, and stores nothing, if somebody else changed it meanwhile.
    """
    key = (*invocation.scope, invocation.command_id, invocation.instance_id)
    rows = yield sql(
        "UPDATE invocation SET detail = $6, response_code = $7, steps = $8, trace = $9, ended_at = $10"
        " WHERE account = $1 AND region = $2 AND command_id = $3 AND instance_id = $4 AND detail = $5"
        " RETURNING command_id",
        *key,
        before.value,
        invocation.detail.value,
        invocation.response_code,
        json.dumps({name: asdict(step) for name, step in invocation.steps.items()}),
        invocation.trace,
        invocation.ended_at,
    )
    if rows and invocation.detail is not before:
        yield sql(
            "INSERT INTO invocation_event (account, region, command_id, instance_id, id, detail, reason, recorded_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            *key,
            event_id,
            invocation.detail.value,
            reason,
            now,
        )
    return bool(rows)


def take_reply(scope: Scope, instance_id: str, reply_id: str, *, now: float) -> UnitOfWork[bool]:
    """Note a reply; false if it was taken before."""
    rows = yield sql(
        "INSERT INTO reply (account, region, instance_id, id, recorded_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (account, region, instance_id, id) DO NOTHING RETURNING id",
        *scope,
        instance_id,
        reply_id,
        now,
    )
    return bool(rows)


def open_of(scope: Scope, instance_id: str) -> UnitOfWork[list[Invocation]]:
    """Every invocation on a node that has not ended."""
    rows = yield sql(
        f"SELECT {_INVOCATION} FROM invocation"
        " WHERE account = $1 AND region = $2 AND instance_id = $3 AND ended_at IS NULL ORDER BY requested_at, command_id",
        *scope,
        instance_id,
    )
    return [_invocation(row) for row in rows]


def overdue(*, now: float, limit: int) -> UnitOfWork[list[Invocation]]:
    """Up to *limit* invocations of any account whose time has run out."""
    rows = yield sql(
        f"SELECT {_INVOCATION} FROM invocation WHERE ended_at IS NULL AND due_at <= $1"
        " ORDER BY due_at LIMIT $2 /* skip locked */",
        now,
        limit,
    )
    return [_invocation(row) for row in rows]


def any_overdue(*, now: float) -> UnitOfWork[bool]:
    """Whether the time of any invocation has run out."""
    return bool((yield sql("SELECT 1 FROM invocation WHERE ended_at IS NULL AND due_at <= $1 LIMIT 1", now)))


def _command(row: Row) -> Command:
    request = Request(
        document_name=row[3],
        document_version=row[4],
        parameters=json.loads(row[6]),
        targets=tuple(Target(key, tuple(values)) for key, values in json.loads(row[7])),
        instance_ids=tuple(json.loads(row[8])),
        comment=row[9],
        timeout_seconds=row[11],
        max_concurrency=row[12],
        max_errors=row[13],
    )
    return Command(
        scope=Scope(*row[:2]),
        id=row[2],
        request=request,
        content=json.loads(row[5]),
        principal=row[10],
        requested_at=row[14],
        expires_at=row[15],
        detail=Detail(row[16]),
        target_count=row[17],
    )


def _invocation(row: Row) -> Invocation:
    values: dict[str, Any] = dict(zip([name.strip() for name in _INVOCATION.split(",")], row, strict=True))
    scope = Scope(values.pop("account"), values.pop("region"))
    values["detail"] = Detail(values["detail"])
    values["released"] = bool(values["released"])
    values["steps"] = {name: StepResult(**step) for name, step in json.loads(values["steps"]).items()}
    return Invocation(scope=scope, **values)
