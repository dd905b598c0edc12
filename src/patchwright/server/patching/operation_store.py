# SPDX-License-Identifier: Apache-2.0
"""SQL of operations, plans and patch states."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from patchwright.core.compliance import Operation as Kind
from patchwright.core.compliance import PatchState
from patchwright.core.plan import Plan
from patchwright.core.protocol import RebootOption, Report
from patchwright.core.system import OperatingSystem
from patchwright.server.accounts import Scope
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql
from patchwright.server.patching import durations, states
from patchwright.server.patching.durations import NOTHING, History, Spent
from patchwright.server.patching.model import (
    Bound,
    Finished,
    LastOperation,
    Operation,
    OperationState,
    Override,
)

_ORIGIN = (
    "account, region, id, instance_id, command_id, step, kind, reboot_option, patch_group, operating_system,"
    " snapshot_id, baseline_id, started_at"
)
_COURSE = (
    "state, attempt, drift, intent, plan_digest, acted_boot_id, failures, before_facts, after_facts, states_digest, counts,"
    " report, ended_at, association_id, overrides, looked_at, acted_at, heard"
)
_COLUMNS = f"{_ORIGIN}, {_COURSE}"
_STEPS = [name.strip() for name in _COURSE.split(",")]
_ADD = f"INSERT INTO operation ({_COLUMNS}) VALUES ({placeholders(1, 31)})"
_PUT = (
    f"UPDATE operation SET {', '.join(f'{name} = ${number}' for number, name in enumerate(_STEPS, start=4))}"
    " WHERE account = $1 AND region = $2 AND id = $3"
)

COUNTERS = {  # columns of last_operation, by counter
    **{state.value: state.name.lower() for state in PatchState},
    states.CRITICAL: "critical",
    states.SECURITY: "security",
    states.OTHER: "other",
}
_SIGNS = {"=": "=", "<>": "<>", "<": "<", ">": ">"}
_TIMES = ("scans", "installs", "restarts")
_HISTORY = (
    f"l.operating_system, l.missing + l.failed, l.installed_pending_reboot, {', '.join(f'l.{one}' for one in _TIMES)}"
)
_OF_LAST = ", ".join(f"o.{name.strip()}" for name in _COLUMNS.split(","))
_BLANK = {"drift": "'[]'", "intent": "''", "failures": "'{}'", "report": "''"}  # long, and not for listings
_BRIEF = ", ".join(_BLANK.get(name.strip(), f"o.{name.strip()}") for name in _COLUMNS.split(","))
_TALLY = ", ".join(
    f"CAST(COALESCE(SUM(CASE WHEN {name} > 0 THEN 1 ELSE 0 END), 0) AS BIGINT)" for name in COUNTERS.values()
)
_LAST = ["operation_id", "ended_at", *COUNTERS.values(), "operating_system"]
_PUT_LAST = (
    f"INSERT INTO last_operation (account, region, instance_id, no_reboot_install_at, {', '.join([*_LAST, *_TIMES])})"
    f" VALUES ({placeholders(1, 4 + len(_LAST) + len(_TIMES))}) ON CONFLICT (account, region, instance_id) DO UPDATE SET"
    " no_reboot_install_at = COALESCE(excluded.no_reboot_install_at, last_operation.no_reboot_install_at),"
    f" {', '.join(f'{name} = excluded.{name}' for name in _LAST)},"
    f" {', '.join(f'{name} = substr(excluded.{name} || last_operation.{name}, 1, {durations.WIDTH})' for name in _TIMES)}"
    " WHERE last_operation.ended_at <= excluded.ended_at"
)


def add(operation: Operation) -> UnitOfWork[None]:
    """Store a new operation."""
    yield sql(_ADD, *_origin(operation), *_course(operation))


def put(operation: Operation, *, spent: Spent = NOTHING) -> UnitOfWork[None]:
    """Store how far an operation has come that was stored before; *spent* is how long it took, where it has finished."""
    yield sql(_PUT, *operation.scope, operation.id, *_course(operation))
    if operation.state is OperationState.FINISHED:
        yield from _put_last(operation, spent)


def put_given(operation: Operation) -> UnitOfWork[None]:
    """Store whose rules an operation is judged by, and its course, once it is known what was given for it."""
    yield sql(
        "UPDATE operation SET baseline_id = $4 WHERE account = $1 AND region = $2 AND id = $3",
        *operation.scope,
        operation.id,
        operation.baseline_id,
    )
    yield from put(operation)


def _put_last(operation: Operation, spent: Spent) -> UnitOfWork[None]:
    """Make a finished operation its node's last, unless one that ended later is."""
    no_reboot = operation.kind is Kind.INSTALL and operation.reboot_option is RebootOption.NO_REBOOT
    yield sql(
        _PUT_LAST,
        *operation.scope,
        operation.instance_id,
        operation.ended_at if no_reboot else None,
        operation.id,
        operation.ended_at,
        *(operation.counts.get(counter, 0) for counter in COUNTERS),
        operation.operating_system.value,
        *spent,
    )


def find(scope: Scope, operation_id: str) -> UnitOfWork[Operation | None]:
    """The operation with this id, or None."""
    return (yield from _one(scope, "id = $3", operation_id))


def of_step(scope: Scope, instance_id: str, command_id: str, step: str) -> UnitOfWork[Operation | None]:
    """The operation that a command's step began on a node, or None."""
    return (yield from _one(scope, "instance_id = $3 AND command_id = $4 AND step = $5", instance_id, command_id, step))


def has_later(operation: Operation) -> UnitOfWork[bool]:
    """Whether the node has sent facts for an operation that began after this one."""
    rows = yield sql(
        "SELECT 1 FROM operation WHERE account = $1 AND region = $2 AND instance_id = $3 AND started_at > $4"
        " AND before_facts IS NOT NULL LIMIT 1",
        *operation.scope,
        operation.instance_id,
        operation.started_at,
    )
    return bool(rows)


def unfinished(scope: Scope, instance_id: str) -> UnitOfWork[list[Operation]]:
    """The node's operations that have not ended, oldest first."""
    rows = yield sql(
        f"SELECT {_COLUMNS} FROM operation"
        " WHERE account = $1 AND region = $2 AND instance_id = $3 AND ended_at IS NULL ORDER BY started_at, id",
        *scope,
        instance_id,
    )
    return [_operation(row) for row in rows]


def with_unfinished(scope: Scope, instance_ids: Sequence[str]) -> UnitOfWork[set[str]]:
    """Those of some nodes that have an operation which has not ended."""
    if not instance_ids:
        return set()
    rows = yield sql(
        "SELECT DISTINCT instance_id FROM operation WHERE account = $1 AND region = $2 AND ended_at IS NULL"
        f" AND instance_id IN ({placeholders(3, len(instance_ids))})",
        *scope,
        *instance_ids,
    )
    return {row[0] for row in rows}


def last(scope: Scope, instance_id: str) -> UnitOfWork[Operation | None]:
    """The node's last operation that finished (one that failed has no verdict), or None."""
    found = yield from last_of_each(scope, [instance_id], whole=True)
    return found[0].operation if found else None


def last_of_each(
    scope: Scope, instance_ids: Sequence[str], bounds: Sequence[Bound] = (), *, limit: int = 1_000, whole: bool = False
) -> UnitOfWork[list[LastOperation]]:
    """
    Up to *limit* last operations of these nodes, in order of the nodes' ids, with counters within all of *bounds*.

    Without drift, intent, failures and report, unless they are to be *whole*.
    """
    if not instance_ids:
        return []
    # Joined, not in an IN list, which a plan that PostgreSQL keeps looks through for every row; and between bounds, since
    # before it has counted its rows it may read them all.
    wanted = "), (".join(f"${6 + i}" for i in range(len(instance_ids)))
    first = 6 + len(instance_ids)
    narrowed = "".join(
        f" AND l.{COUNTERS[bounds[i].counter]} {_SIGNS[bounds[i].sign]} ${first + i}" for i in range(len(bounds))
    )
    columns = _OF_LAST if whole else _BRIEF
    rows = yield sql(
        f"WITH wanted (id) AS (VALUES ({wanted}))"
        f" SELECT {columns}, l.no_reboot_install_at FROM wanted w"
        " JOIN last_operation l ON l.account = $1 AND l.region = $2 AND l.instance_id = w.id"
        " AND l.instance_id >= $4 AND l.instance_id <= $5"
        " JOIN operation o ON o.account = l.account AND o.region = l.region AND o.id = l.operation_id"
        f" WHERE 1 = 1{narrowed} ORDER BY l.instance_id LIMIT $3",
        *scope,
        limit,
        min(instance_ids),
        max(instance_ids),
        *instance_ids,
        *(one.number for one in bounds),
    )
    return [LastOperation(_operation(row), row[-1]) for row in rows]


def last_finished(scope: Scope, instance_id: str) -> UnitOfWork[Finished | None]:
    """What `last` finds, without all that it was about."""
    rows = yield sql(
        "SELECT o.id, o.command_id, o.patch_group, o.baseline_id, o.states_digest, o.ended_at, o.association_id"
        " FROM last_operation l JOIN operation o"
        " ON o.account = l.account AND o.region = l.region AND o.id = l.operation_id"
        " WHERE l.account = $1 AND l.region = $2 AND l.instance_id = $3",
        *scope,
        instance_id,
    )
    return Finished(*rows[0]) if rows else None


def tally(scope: Scope, instance_ids: Sequence[str]) -> UnitOfWork[dict[str, int]]:
    """By counter, how many of these nodes had at least one at the end of their last operation."""
    if not instance_ids:
        return dict.fromkeys(COUNTERS, 0)
    # As in last_of_each: joined, between bounds.
    wanted = "), (".join(f"${5 + i}" for i in range(len(instance_ids)))
    rows = yield sql(
        f"WITH wanted (id) AS (VALUES ({wanted})) SELECT {_TALLY} FROM wanted w"
        " JOIN last_operation l ON l.account = $1 AND l.region = $2 AND l.instance_id = w.id"
        " AND l.instance_id >= $3 AND l.instance_id <= $4",
        *scope,
        min(instance_ids),
        max(instance_ids),
        *instance_ids,
    )
    return dict(zip(COUNTERS, rows[0], strict=True))


def histories(scope: Scope, instance_ids: Sequence[str]) -> UnitOfWork[dict[str, History]]:
    """What is known of some nodes; of one without a last operation there is nothing."""
    if not instance_ids:
        return {}
    # As in last_of_each: joined, between bounds.
    wanted = "), (".join(f"${5 + i}" for i in range(len(instance_ids)))
    rows = yield sql(
        f"WITH wanted (id) AS (VALUES ({wanted})) SELECT {_HISTORY}, l.instance_id FROM wanted w"
        " JOIN last_operation l ON l.account = $1 AND l.region = $2 AND l.instance_id = w.id"
        " AND l.instance_id >= $3 AND l.instance_id <= $4",
        *scope,
        min(instance_ids),
        max(instance_ids),
        *instance_ids,
    )
    return {row[-1]: History(*row[:-1]) for row in rows}


def histories_of_system(scope: Scope, operating_system: str, *, limit: int) -> UnitOfWork[list[History]]:
    """What is known of up to *limit* nodes of an operating system, in order of their ids, which are random."""
    rows = yield sql(
        f"SELECT {_HISTORY} FROM last_operation l WHERE l.account = $1 AND l.region = $2 AND l.operating_system = $3"
        " ORDER BY l.instance_id LIMIT $4",
        *scope,
        operating_system,
        limit,
    )
    return [History(*row) for row in rows]


def forget_last(scope: Scope, instance_id: str) -> UnitOfWork[None]:
    """Let a node that goes away have no last operation; what it did stays."""
    yield sql("DELETE FROM last_operation WHERE account = $1 AND region = $2 AND instance_id = $3", *scope, instance_id)


def failed_since(scope: Scope, instance_id: str, moment: float) -> UnitOfWork[bool]:
    """Whether an operation failed after *moment* that had taken no facts, or may have acted since it took them."""
    rows = yield sql(
        "SELECT 1 FROM operation WHERE account = $1 AND region = $2 AND instance_id = $3"
        " AND state = 'failed' AND ended_at > $4 AND (before_facts IS NULL OR plan_digest <> '') LIMIT 1",
        *scope,
        instance_id,
        moment,
    )
    return bool(rows)


def plans_of_boot(scope: Scope, instance_id: str, boot_id: str) -> UnitOfWork[list[tuple[Plan, dict[str, str]]]]:
    """The plans that were carried out on the node while it ran as *boot_id*, oldest first, each with what failed of it."""
    rows = yield sql(
        "SELECT p.content, o.failures FROM operation o JOIN plan p"
        " ON p.account = o.account AND p.region = o.region AND p.digest = o.plan_digest"
        " WHERE o.account = $1 AND o.region = $2 AND o.instance_id = $3 AND o.acted_boot_id = $4"
        " ORDER BY o.started_at, o.id",
        *scope,
        instance_id,
        boot_id,
    )
    return [(Plan.from_json(_load(plan)), _load(failures)) for plan, failures in rows]


def acts_of_boot(scope: Scope, instance_id: str, boot_id: str) -> UnitOfWork[list[tuple[str, str]]]:
    """What was done to the node while it ran as *boot_id*: digests of plans, oldest first, each with what failed, as JSON."""
    if not boot_id:
        return []
    rows = yield sql(
        "SELECT plan_digest, failures FROM operation"
        " WHERE account = $1 AND region = $2 AND instance_id = $3 AND acted_boot_id = $4 AND plan_digest <> ''"
        " ORDER BY started_at, id",
        *scope,
        instance_id,
        boot_id,
    )
    return [(row[0], row[1]) for row in rows]


def put_plan(scope: Scope, plan: Plan, *, now: float) -> UnitOfWork[None]:
    """Store a plan under its digest; one that is there stays."""
    yield sql(
        "INSERT INTO plan (account, region, digest, content, created_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (account, region, digest) DO NOTHING",
        *scope,
        plan.digest,
        plan.canonical().decode(),
        now,
    )


def find_plan(scope: Scope, digest: str) -> UnitOfWork[Plan]:
    """The plan with this digest, which is known to exist."""
    rows = yield sql("SELECT content FROM plan WHERE account = $1 AND region = $2 AND digest = $3", *scope, digest)
    return Plan.from_json(_load(rows[0][0]))


def put_states(scope: Scope, digest: str, body: bytes, *, now: float) -> UnitOfWork[None]:
    """Store the rows of a judgement under their digest; what is there stays."""
    yield sql(
        "INSERT INTO patch_states (account, region, digest, content, created_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (account, region, digest) DO NOTHING",
        *scope,
        digest,
        zlib.compress(body),
        now,
    )


def find_states(scope: Scope, digest: str) -> UnitOfWork[bytes]:
    """The rows of a judgement by their digest, which is known to exist."""
    rows = yield sql(
        "SELECT content FROM patch_states WHERE account = $1 AND region = $2 AND digest = $3", *scope, digest
    )
    return zlib.decompress(rows[0][0])


def _one(scope: Scope, condition: str, *params: Any) -> UnitOfWork[Operation | None]:
    rows = yield sql(
        f"SELECT {_COLUMNS} FROM operation WHERE account = $1 AND region = $2 AND {condition}", *scope, *params
    )
    return _operation(rows[0]) if rows else None


def _origin(operation: Operation) -> Sequence[Any]:
    return (
        *operation.scope,
        operation.id,
        operation.instance_id,
        operation.command_id,
        operation.step,
        operation.kind.value,
        operation.reboot_option.value,
        operation.patch_group,
        operation.operating_system.value,
        operation.snapshot_id,
        operation.baseline_id,
        operation.started_at,
    )


def _course(operation: Operation) -> Sequence[Any]:
    return (
        operation.state.value,
        operation.attempt,
        _dump(operation.drift),
        _dump(operation.intent) if operation.intent else "",
        operation.plan_digest,
        operation.acted_boot_id,
        _dump(operation.failures),
        operation.before_facts,
        operation.after_facts,
        operation.states_digest,
        _dump(operation.counts),
        _dump(operation.report) if operation.report else "",
        operation.ended_at,
        operation.association_id,
        _dump(operation.overrides) if operation.overrides else "",
        operation.looked_at,
        operation.acted_at,
        operation.heard,
    )


def _operation(row: Row) -> Operation:
    # By position, in the order of the columns, which is that of the record's members: this is read with every message.
    return Operation(
        Scope(row[0], row[1]),
        row[2],
        row[3],
        row[4],
        row[5],
        Kind(row[6]),
        RebootOption(row[7]),
        row[8],
        OperatingSystem(row[9]),
        row[10],
        row[11],
        row[12],
        OperationState(row[13]),
        row[14],
        tuple(_load(row[15])),
        _load(row[16]) if row[16] else {},
        row[17],
        row[18],
        _load(row[19]),
        row[20],
        row[21],
        row[22],
        _load(row[23]),
        Report(**_load(row[24])) if row[24] else None,
        row[25],
        row[26],
        {name: Override(*one) for name, one in _load(row[27]).items()} if row[27] else {},
        row[28],
        row[29],
        row[30],
    )


def _dump(value: Any) -> str:
    """JSON of a mapping, a sequence or a record, names in order."""
    return _ENCODER.encode(value).decode()


_ENCODER = msgspec.json.Encoder(order="sorted")
_load = msgspec.json.Decoder().decode
