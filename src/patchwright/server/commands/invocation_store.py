# SPDX-License-Identifier: Apache-2.0
"""SQL of invocations and their history."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchwright.core.invocation import FINAL, Detail
from patchwright.server.accounts import Scope
from patchwright.server.commands import tally_store
from patchwright.server.commands.model import Command, Invocation, StepResult
from patchwright.server.commands.tally import Standing, let_go, moved
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql, sql_each

_INVOCATION = (
    "account, region, command_id, instance_id, position, detail, released, requested_at, due_at, begin_by,"
    " acknowledged_at, deliveries, response_code, steps, trace, ended_at, cancel_id, heard"
)
_NAMES = tuple(name.strip() for name in _INVOCATION.split(","))
_OF_COMMAND = "account = $1 AND region = $2 AND command_id = $3"
_ONE = f"{_OF_COMMAND} AND instance_id = $4"
_NO_TURN_YET = 253_402_300_799.0  # the end of the year 9999: nothing runs out before
_CANCELLING = Detail.CANCELLING.value
_DETAILS = {detail.value: detail for detail in Detail}
_NO_STEPS = "{}"


@dataclass(slots=True)
class Reported:
    """What nodes say of an invocation, and whether it was released; for who changes many of them at once."""

    instance_id: str
    detail: Detail
    released: bool
    response_code: int
    steps: Mapping[str, StepResult]
    trace: str
    ended_at: float | None
    heard: str


def add(
    command: Command, details: Mapping[str, Detail], *, first: int, needs: Mapping[str, float], from_turn: bool
) -> UnitOfWork[Standing]:
    """
    Store invocations of a command, none of them released; returns how all of them stand then.

    *details* by node: what they begin as, which may be an end. *first* is the place of the first one. *needs* are the
    seconds that it takes at most, by node, as far as they are known and asked for. *from_turn*: their time runs from when
    they are released.
    """
    at = command.requested_at
    begin_by, due_at = at + command.request.timeout_seconds, command.expires_at
    if from_turn:
        begin_by = due_at = _NO_TURN_YET
    yield sql_each(
        "INSERT INTO invocation (account, region, command_id, instance_id, position, detail, released, requested_at,"
        " due_at, begin_by, visible_at, deliveries, response_code, steps, trace, ended_at, needs)"
        " VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $7, 0, -1, '{}', '', $10, $11)",
        [
            (
                *command.scope,
                command.id,
                instance_id,
                place,
                detail.value,
                at,
                due_at,
                begin_by,
                ended,
                needs.get(instance_id),
            )
            for place, (instance_id, detail) in enumerate(details.items(), start=first)
            for ended in [at if detail in FINAL else None]
        ],
    )
    changes = moved(None, Detail.PENDING, released=False, number=0)
    for detail, number in Counter(details.values()).items():
        changes.update(moved(None, detail, released=False, number=number))
    return (yield from tally_store.move(command.scope, command.id, changes))


def release(
    scope: Scope, command_id: str, stands: Standing, number: int, *, now: float
) -> UnitOfWork[tuple[list[str], Standing]]:
    """
    Let the next *number* invocations be delivered, in the order of the targets; returns their nodes.

    Where their time runs from their turn, it runs from *now* on.
    """
    begin_by = None if stands.begin_within is None else now + stands.begin_within
    due_at = None if stands.end_within is None else now + stands.end_within
    rows = yield sql(
        "UPDATE invocation SET released = 1, begin_by = COALESCE(CAST($5 AS DOUBLE PRECISION), begin_by),"
        " due_at = COALESCE(CAST($6 AS DOUBLE PRECISION), due_at)"
        " WHERE account = $1 AND region = $2 AND command_id = $3 AND instance_id IN"
        f" (SELECT instance_id FROM invocation WHERE {_OF_COMMAND} AND released = 0 AND ended_at IS NULL"
        " ORDER BY position LIMIT $4) RETURNING position, instance_id",
        *scope,
        command_id,
        number,
        begin_by,
        due_at,
    )
    stands = yield from tally_store.move(scope, command_id, let_go(len(rows)))
    return [row[1] for row in sorted(rows)], stands


def waiting(scope: Scope, *, most: int) -> UnitOfWork[int]:
    """How many invocations of an account and region wait for their turn, counted up to *most*."""
    rows = yield sql(
        "SELECT COUNT(*) FROM (SELECT 1 FROM invocation WHERE account = $1 AND region = $2"
        " AND released = 0 AND ended_at IS NULL LIMIT $3) AS found",
        *scope,
        most,
    )
    return int(rows[0][0])


def end_waiting(
    scope: Scope, command_id: str, detail: Detail, *, now: float, limit: int
) -> UnitOfWork[tuple[list[str], Standing]]:
    """End up to *limit* of those that were never released; returns their nodes."""
    rows = yield sql(
        "UPDATE invocation SET detail = $4, ended_at = $5"
        " WHERE account = $1 AND region = $2 AND command_id = $3 AND instance_id IN"
        f" (SELECT instance_id FROM invocation WHERE {_OF_COMMAND} AND released = 0 AND ended_at IS NULL"
        " ORDER BY position LIMIT $6) RETURNING instance_id",
        *scope,
        command_id,
        detail.value,
        now,
        limit,
    )
    changes = moved(Detail.PENDING, detail, released=False, number=len(rows))
    stands = yield from tally_store.move(scope, command_id, changes)
    return sorted(row[0] for row in rows), stands


def front(scope: Scope, command_id: str, *, limit: int) -> UnitOfWork[list[tuple[str, float | None]]]:
    """Those whose turn comes next, in the order of the targets: node, and the seconds that it takes at most."""
    rows = yield sql(
        f"SELECT instance_id, needs FROM invocation WHERE {_OF_COMMAND} AND released = 0 AND ended_at IS NULL"
        " ORDER BY position LIMIT $4",
        *scope,
        command_id,
        limit,
    )
    return [(row[0], row[1]) for row in rows]


def turn_away(
    scope: Scope, command_id: str, whys: Mapping[str, str], detail: Detail, *, now: float
) -> UnitOfWork[Standing]:
    """End some of those that were never released, each with what is said of it; returns how all stand then."""
    yield sql_each(
        f"UPDATE invocation SET detail = $5, ended_at = $6, trace = $7 WHERE {_ONE}",
        [(*scope, command_id, node, detail.value, now, why) for node, why in whys.items()],
    )
    changes = moved(Detail.PENDING, detail, released=False, number=len(whys))
    return (yield from tally_store.move(scope, command_id, changes))


def count_turned_away(scope: Scope, command_id: str, detail: Detail) -> UnitOfWork[int]:
    """How many were ended by `turn_away`."""
    rows = yield sql(
        f"SELECT COUNT(*) FROM invocation WHERE {_OF_COMMAND} AND released = 0 AND detail = $4 AND trace <> ''",
        *scope,
        command_id,
        detail.value,
    )
    return int(rows[0][0])


def uncancelled(scope: Scope, command_id: str, *, limit: int) -> UnitOfWork[list[Invocation]]:
    """Up to *limit* invocations that were released, have not ended, and are not being cancelled."""
    rows = yield sql(
        f"SELECT {_INVOCATION} FROM invocation WHERE {_OF_COMMAND} AND released = 1 AND ended_at IS NULL"
        " AND detail <> $4 ORDER BY instance_id LIMIT $5",
        *scope,
        command_id,
        _CANCELLING,
        limit,
    )
    return [_invocation(row) for row in rows]


def find(scope: Scope, command_id: str, instance_id: str) -> UnitOfWork[Invocation | None]:
    """The invocation, or None."""
    rows = yield sql(f"SELECT {_INVOCATION} FROM invocation WHERE {_ONE}", *scope, command_id, instance_id)
    return _invocation(rows[0]) if rows else None


def reported(scope: Scope, command_id: str, instance_ids: Sequence[str]) -> UnitOfWork[dict[str, Reported]]:
    """How a command's invocations on some nodes stand, as far as nodes say it, by node."""
    rows = yield sql(
        "SELECT instance_id, detail, released, response_code, steps, trace, ended_at, heard FROM invocation"
        f" WHERE {_OF_COMMAND} AND instance_id IN ({placeholders(4, len(instance_ids))})",
        *scope,
        command_id,
        *instance_ids,
    )
    return {row[0]: Reported(row[0], _DETAILS[row[1]], bool(row[2]), row[3], _steps(row[4]), *row[5:]) for row in rows}


def put_reported(scope: Scope, command_id: str, changed: Sequence[Reported], *, now: float) -> UnitOfWork[None]:
    """
    Store what nodes reported of a command's invocations, which thereby are acknowledged.

    For who has read them in the same transaction, and found that they were under way.
    """
    yield sql_each(
        "UPDATE invocation SET detail = $5, response_code = $6, steps = $7, trace = $8, ended_at = $9, heard = $10,"
        f" acknowledged_at = COALESCE(acknowledged_at, $11) WHERE {_ONE}",
        [
            (
                *scope,
                command_id,
                one.instance_id,
                one.detail.value,
                one.response_code,
                _text(one.steps),
                one.trace,
                one.ended_at,
                one.heard,
                now,
            )
            for one in changed
        ],
    )


def of_command(scope: Scope, command_id: str, *, after: str, limit: int) -> UnitOfWork[list[Invocation]]:
    """Up to *limit* invocations of a command on nodes behind *after*, in order of node."""
    rows = yield sql(
        f"SELECT {_INVOCATION} FROM invocation WHERE {_OF_COMMAND} AND instance_id > $4 ORDER BY instance_id LIMIT $5",
        *scope,
        command_id,
        after,
        limit,
    )
    return [_invocation(row) for row in rows]


def of_commands(scope: Scope, command_ids: Sequence[str]) -> UnitOfWork[list[Invocation]]:
    """The invocations of several commands, which together should have few, in order of command and node."""
    if not command_ids:
        return []
    rows = yield sql(
        f"SELECT {_INVOCATION} FROM invocation"
        f" WHERE account = $1 AND region = $2 AND command_id IN ({placeholders(3, len(command_ids))})"
        " ORDER BY command_id, instance_id",
        *scope,
        *command_ids,
    )
    return [_invocation(row) for row in rows]


def of_node(scope: Scope, instance_id: str, *, before: tuple[float, str], limit: int) -> UnitOfWork[list[Invocation]]:
    """Up to *limit* invocations on a node, newest first; *before* is (requested_at, command id) of the last one seen."""
    rows = yield sql(
        f"SELECT {_INVOCATION} FROM invocation WHERE account = $1 AND region = $2 AND instance_id = $3"
        " AND requested_at <= $4 AND (requested_at < $4 OR command_id > $5)"
        " ORDER BY requested_at DESC, command_id LIMIT $6",
        *scope,
        instance_id,
        *before,
        limit,
    )
    return [_invocation(row) for row in rows]


def put(invocation: Invocation, *, before: Invocation, reason: str, now: float) -> UnitOfWork[Standing | None]:
    """
    Store an invocation that changed, if it still is in the detail that *before* has; with it the line of its history.

    Returns how all invocations of the command stand then; None, and stores nothing, if somebody else changed it meanwhile.
    """
    key = (*invocation.scope, invocation.command_id, invocation.instance_id)
    cancelled = invocation.cancel_id != before.cancel_id
    rows = yield sql(
        "UPDATE invocation SET detail = $6, response_code = $7, steps = $8, trace = $9, ended_at = $10, due_at = $11,"
        " cancel_id = $12, cancel_visible_at = CASE WHEN $13 = 1 THEN $14 ELSE cancel_visible_at END, heard = $15"
        f" WHERE {_ONE} AND detail = $5 RETURNING released",
        *key,
        before.detail.value,
        invocation.detail.value,
        invocation.response_code,
        _text(invocation.steps),
        invocation.trace,
        invocation.ended_at,
        invocation.due_at,
        invocation.cancel_id,
        int(cancelled),
        now,
        invocation.heard,
    )
    if not rows:
        return None
    if invocation.detail is before.detail:
        return (yield from tally_store.find(invocation.scope, invocation.command_id))
    nodes = [invocation.instance_id]
    yield from add_history(invocation.scope, invocation.command_id, nodes, invocation.detail, reason, now=now)
    changes = moved(before.detail, invocation.detail, released=bool(rows[0][0]))
    return (yield from tally_store.move(invocation.scope, invocation.command_id, changes))


def add_history(
    scope: Scope, command_id: str, instance_ids: Sequence[str], detail: Detail, reason: str, *, now: float
) -> UnitOfWork[None]:
    """Note that the invocations of a command on some nodes became *detail*, and why."""
    yield sql_each(
        "INSERT INTO invocation_event (account, region, command_id, instance_id, detail, reason, recorded_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [(*scope, command_id, node, detail.value, reason, now) for node in instance_ids],
    )


def deliverable(scope: Scope, instance_id: str, *, now: float, limit: int) -> UnitOfWork[list[str]]:
    """
    The commands that wait for a node, oldest first: released, unacknowledged, not on their way already.

    What has not begun within its TimeoutSeconds does not begin any more (SendCommand in the model): so what begins has the
    document's execution time left before it is called timed out.
    """
    rows = yield sql(
        "SELECT command_id FROM invocation WHERE account = $1 AND region = $2 AND instance_id = $3"
        " AND visible_at <= $4 AND begin_by > $4 AND acknowledged_at IS NULL AND ended_at IS NULL AND released = 1"
        " AND detail <> $6 ORDER BY requested_at, command_id LIMIT $5",
        *scope,
        instance_id,
        now,
        limit,
        _CANCELLING,
    )
    return [row[0] for row in rows]


def cancels(scope: Scope, instance_id: str, *, now: float, limit: int) -> UnitOfWork[list[tuple[str, str]]]:
    """The cancel messages that wait for a node: (command, id of the message)."""
    rows = yield sql(
        "SELECT command_id, cancel_id FROM invocation WHERE account = $1 AND region = $2 AND instance_id = $3"
        " AND cancel_visible_at IS NOT NULL AND cancel_visible_at <= $4 AND ended_at IS NULL"
        " ORDER BY cancel_visible_at, command_id LIMIT $5",
        *scope,
        instance_id,
        now,
        limit,
    )
    return [(row[0], row[1]) for row in rows]


def deliverable_to(instance_ids: Sequence[str], *, now: float) -> UnitOfWork[dict[str, list[tuple[Scope, str, int]]]]:
    """What is `deliverable` to each of some nodes, without a limit: (scope, command, how often it was delivered)."""
    rows = yield sql(
        "SELECT instance_id, account, region, command_id, deliveries FROM invocation"
        " WHERE visible_at <= $1 AND begin_by > $1 AND acknowledged_at IS NULL AND ended_at IS NULL AND released = 1"
        f" AND detail <> $2 AND instance_id IN ({placeholders(3, _rounded(len(instance_ids)))})"
        " ORDER BY requested_at, command_id",
        now,
        _CANCELLING,
        *_padded(instance_ids),
    )
    found: dict[str, list[tuple[Scope, str, int]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append((Scope(row[1], row[2]), row[3], row[4]))
    return found


def with_cancels(instance_ids: Sequence[str], *, now: float) -> UnitOfWork[set[str]]:
    """Those of some nodes for which a cancel message waits."""
    rows = yield sql(
        "SELECT DISTINCT instance_id FROM invocation WHERE cancel_visible_at IS NOT NULL AND cancel_visible_at <= $1"
        f" AND ended_at IS NULL AND instance_id IN ({placeholders(2, _rounded(len(instance_ids)))})",
        now,
        *_padded(instance_ids),
    )
    return {row[0] for row in rows}


def mark_first_delivered(which: Sequence[tuple[Scope, str, str]], *, visible_at: float) -> UnitOfWork[None]:
    """Note that commands (scope, command, node) are on their way for the first time."""
    yield sql_each(
        f"UPDATE invocation SET visible_at = $5, deliveries = deliveries + 1 WHERE {_ONE}",
        [(*scope, command_id, instance_id, visible_at) for scope, command_id, instance_id in which],
    )


def mark_delivered(scope: Scope, command_id: str, instance_id: str, *, visible_at: float) -> UnitOfWork[int]:
    """Note that a command is on its way; unacknowledged, it is delivered again at *visible_at*. Returns how often it was."""
    rows = yield sql(
        f"UPDATE invocation SET visible_at = $5, deliveries = deliveries + 1 WHERE {_ONE} RETURNING deliveries",
        *scope,
        command_id,
        instance_id,
        visible_at,
    )
    return int(rows[0][0]) if rows else 0


def mark_cancel_delivered(
    scope: Scope, instance_id: str, command_ids: Sequence[str], *, visible_at: float
) -> UnitOfWork[None]:
    """Note that cancel messages are on their way; unacknowledged, they are delivered again at *visible_at*."""
    yield sql_each(
        f"UPDATE invocation SET cancel_visible_at = $5 WHERE {_ONE}",
        [(*scope, command_id, instance_id, visible_at) for command_id in command_ids],
    )


def postpone(scope: Scope, command_id: str, instance_id: str, *, until: float) -> UnitOfWork[None]:
    """Deliver again at *until* what is not acknowledged."""
    yield sql(f"UPDATE invocation SET visible_at = $5 WHERE {_ONE}", *scope, command_id, instance_id, until)


def acknowledge(scope: Scope, command_id: str, instance_id: str, *, now: float) -> UnitOfWork[bool]:
    """
    Note that the node has the command. What is being cancelled there has its whole time again: it may be running.

    False where the command was not sent to the node.
    """
    rows = yield sql(
        "UPDATE invocation SET acknowledged_at = COALESCE(acknowledged_at, $5), due_at = CASE WHEN detail = $6 AND"
        " acknowledged_at IS NULL THEN begin_by + (SELECT c.execution_seconds FROM command c WHERE c.account = $1"
        f" AND c.region = $2 AND c.id = $3) ELSE due_at END WHERE {_ONE} RETURNING command_id",
        *scope,
        command_id,
        instance_id,
        now,
        _CANCELLING,
    )
    return bool(rows)


def acknowledge_cancel(scope: Scope, instance_id: str, cancel_id: str) -> UnitOfWork[bool]:
    """Note that the node has the cancel message; false where there was none with this id."""
    rows = yield sql(
        "UPDATE invocation SET cancel_visible_at = NULL WHERE account = $1 AND region = $2 AND instance_id = $3"
        " AND cancel_id = $4 AND cancel_visible_at IS NOT NULL RETURNING command_id",
        *scope,
        instance_id,
        cancel_id,
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


def _rounded(number: int) -> int:
    """The next power of two: few texts, so that they are prepared once."""
    return 1 << (number - 1).bit_length()


def _padded(values: Sequence[str]) -> list[str]:
    return [*values, *[values[-1]] * (_rounded(len(values)) - len(values))]


def _invocation(row: Row) -> Invocation:
    values: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    scope = Scope(values.pop("account"), values.pop("region"))
    values["detail"] = Detail(values["detail"])
    values["released"] = bool(values["released"])
    values["steps"] = _steps(values["steps"])
    return Invocation(scope=scope, **values)


def _steps(text: str) -> dict[str, StepResult]:
    return {} if text == _NO_STEPS else {name: StepResult(**step) for name, step in json.loads(text).items()}


def _text(steps: Mapping[str, StepResult]) -> str:
    return json.dumps({name: vars(step) for name, step in steps.items()}) if steps else _NO_STEPS
