# SPDX-License-Identifier: Apache-2.0
"""SQL of how a command's invocations stand. Every change of an invocation moves the counts in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping

from patchwright.core.invocation import Detail
from patchwright.server.accounts import Scope
from patchwright.server.commands.model import Command
from patchwright.server.commands.tally import COLUMNS, ENDS, Standing
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql

_STATE = (
    "most_under_way",
    "most_errors",
    "cancelling",
    "ending",
    "spread_after",
    "end_by",
    "begin_within",
    "end_within",
)
_ALL = ", ".join((*_STATE, *COLUMNS))
_KEY = "account = $1 AND region = $2 AND command_id = $3"
_MOVE = ", ".join(f"{name} = {name} + ${place}" for place, name in enumerate(COLUMNS, start=4))


def begin(command: Command, *, from_turn: bool, end_by: float | None) -> UnitOfWork[None]:
    """Make the counts of a new command, all nought; its targets are yet to be looked for. The rest as in `sending.send`."""
    begin_within = command.request.timeout_seconds
    lasts = (begin_within, begin_within + command.execution_seconds) if from_turn else (None, None)
    yield sql(
        f"INSERT INTO command_tally (account, region, command_id, {_ALL})"
        f" VALUES ($1, $2, $3, 0, 0, 0, '', '', $4, $5, $6, {', '.join('0' for _ in COLUMNS)})",
        *command.scope,
        command.id,
        end_by,
        *lasts,
    )


def find(scope: Scope, command_id: str) -> UnitOfWork[Standing | None]:
    """How a command's invocations stand, or None."""
    rows = yield sql(f"SELECT {_ALL} FROM command_tally WHERE {_KEY}", *scope, command_id)
    return standing(rows[0]) if rows else None


def move(scope: Scope, command_id: str, changes: Mapping[str, int]) -> UnitOfWork[Standing]:
    """Add *changes* to the counts; returns how the invocations stand then."""
    rows = yield sql(
        f"UPDATE command_tally SET {_MOVE} WHERE {_KEY} RETURNING {_ALL}",
        *scope,
        command_id,
        *(changes.get(name, 0) for name in COLUMNS),
    )
    return standing(rows[0])


def go_on_after(scope: Scope, command_id: str, instance_id: str) -> UnitOfWork[None]:
    """Note the last node that was looked at."""
    yield sql(f"UPDATE command_tally SET spread_after = $4 WHERE {_KEY}", *scope, command_id, instance_id)


def close(scope: Scope, command_id: str, *, most_under_way: int, most_errors: int) -> UnitOfWork[Standing]:
    """Note that every target is known, and what the rates come to with so many."""
    rows = yield sql(
        "UPDATE command_tally SET spread_after = NULL, most_under_way = $4, most_errors = $5"
        f" WHERE {_KEY} RETURNING {_ALL}",
        *scope,
        command_id,
        most_under_way,
        most_errors,
    )
    return standing(rows[0])


def end_waiting(scope: Scope, command_id: str, detail: Detail, *, cancelling: bool) -> UnitOfWork[Standing]:
    """Note what those that wait end in; it stays what it was if it was noted before."""
    rows = yield sql(
        "UPDATE command_tally SET ending = CASE WHEN ending = '' THEN $4 ELSE ending END,"
        f" cancelling = CASE WHEN cancelling = 1 THEN 1 ELSE $5 END WHERE {_KEY} RETURNING {_ALL}",
        *scope,
        command_id,
        detail.value,
        int(cancelling),
    )
    return standing(rows[0])


def resume_at(scope: Scope, command_id: str, moment: float | None) -> UnitOfWork[None]:
    """Note when a job goes on with the command; None: nothing is left to do."""
    yield sql(f"UPDATE command_tally SET resume_at = $4 WHERE {_KEY}", *scope, command_id, moment)


def left(*, now: float, limit: int) -> UnitOfWork[list[tuple[Scope, str]]]:
    """The commands of any account that a job is to go on with, longest waiting first."""
    rows = yield sql(
        "SELECT account, region, command_id FROM command_tally WHERE resume_at IS NOT NULL AND resume_at <= $1"
        " ORDER BY resume_at LIMIT $2",
        now,
        limit,
    )
    return [(Scope(*row[:2]), row[2]) for row in rows]


def take(scope: Scope, command_id: str, *, now: float) -> UnitOfWork[Standing | None]:
    """How a command stands that a job is to go on with; None where another has taken it."""
    rows = yield sql(
        f"SELECT {_ALL} FROM command_tally WHERE {_KEY} AND resume_at IS NOT NULL AND resume_at <= $4 /* skip locked */",
        *scope,
        command_id,
        now,
    )
    return standing(rows[0]) if rows else None


def of_each(scope: Scope, command_ids: list[str]) -> UnitOfWork[dict[str, Standing]]:
    """How the invocations of several commands stand."""
    if not command_ids:
        return {}
    rows = yield sql(
        f"SELECT {_ALL}, command_id FROM command_tally"
        f" WHERE account = $1 AND region = $2 AND command_id IN ({placeholders(3, len(command_ids))})",
        *scope,
        *command_ids,
    )
    return {row[-1]: standing(row[:-1]) for row in rows}


def standing(row: Row) -> Standing:
    """The record of a row of `_ALL`."""
    named = dict(zip((*_STATE, *COLUMNS), row, strict=True))
    return Standing(
        most_under_way=named["most_under_way"],
        most_errors=named["most_errors"],
        waiting=named["waiting"],
        under_way=named["under_way"],
        begun=named["begun"],
        ended={detail: named[column] for detail, column in ENDS.items()},
        cancelling=bool(named["cancelling"]),
        ending=Detail(named["ending"]) if named["ending"] else None,
        spread_after=named["spread_after"],
        end_by=named["end_by"],
        begin_within=named["begin_within"],
        end_within=named["end_within"],
    )
