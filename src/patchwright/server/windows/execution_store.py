# SPDX-License-Identifier: Apache-2.0
"""SQL of what was executed of maintenance windows."""

from __future__ import annotations

from patchwright.server.accounts import Scope
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql, sql_each
from patchwright.server.windows.model import Execution, Invocation, Status, TaskExecution
from patchwright.server.windows.store import dump, dump_task, load, read_targets, read_task

_EXECUTION = "id, window_id, scheduled_at, cutoff_at, ends_at, status, details, started_at, ended_at"
_TASK = "id, task_id, type, priority, position, content, status, details, started_at, ended_at"
_OF_TASK = ", ".join(f"t.{name}" for name in _TASK.split(", "))
_INVOCATION = (
    "execution_id, task_execution_id, id, position, window_target_id, targets, owner_information, command_id, parameters, "
    "status, details, started_at, ended_at"
)
_OPEN = "status IN ('PENDING', 'IN_PROGRESS', 'CANCELLING')"


def add(execution: Execution) -> UnitOfWork[bool]:
    """Store a new execution; false if the window has one for that scheduled moment."""
    rows = yield sql(
        f"INSERT INTO window_execution (account, region, {_EXECUTION}) VALUES ({placeholders(1, 11)})"
        " ON CONFLICT (account, region, window_id, scheduled_at) DO NOTHING RETURNING id",
        *execution.scope,
        execution.id,
        execution.window_id,
        execution.scheduled_at,
        execution.cutoff_at,
        execution.ends_at,
        execution.status.value,
        execution.details,
        execution.started_at,
        execution.ended_at,
    )
    return bool(rows)


def put(execution: Execution) -> UnitOfWork[None]:
    """Store how an execution stands; one that has ended stays as it ended."""
    yield sql(
        "UPDATE window_execution SET status = $4, details = $5, ended_at = $6"
        f" WHERE account = $1 AND region = $2 AND id = $3 AND {_OPEN}",
        *execution.scope,
        execution.id,
        execution.status.value,
        execution.details,
        execution.ended_at,
    )


def find(scope: Scope, execution_id: str) -> UnitOfWork[Execution | None]:
    """The execution with this id, or None."""
    rows = yield sql(
        f"SELECT account, region, {_EXECUTION} FROM window_execution WHERE account = $1 AND region = $2 AND id = $3",
        *scope,
        execution_id,
    )
    return _execution(rows[0]) if rows else None


def has_open(scope: Scope, window_id: str) -> UnitOfWork[bool]:
    """Whether an execution of the window has not ended."""
    rows = yield sql(
        "SELECT 1 FROM window_execution"
        f" WHERE account = $1 AND region = $2 AND window_id = $3 AND ended_at IS NULL AND {_OPEN} LIMIT 1",
        *scope,
        window_id,
    )
    return bool(rows)


def running(scope: Scope, *, limit: int) -> UnitOfWork[int]:
    """How many executions of an account and region are under way, counted up to *limit*; those that wait are not."""
    rows = yield sql(
        "SELECT count(*) FROM (SELECT 1 FROM window_execution WHERE account = $1 AND region = $2 AND ended_at IS NULL"
        " AND status IN ('IN_PROGRESS', 'CANCELLING') LIMIT $3) AS counted",
        *scope,
        limit,
    )
    return int(rows[0][0])


def first_waiting(scope: Scope) -> UnitOfWork[str]:
    """The execution that has waited longest for its turn; empty: none waits."""
    rows = yield sql(
        "SELECT id FROM window_execution WHERE account = $1 AND region = $2 AND ended_at IS NULL AND status = 'PENDING'"
        " ORDER BY scheduled_at, id LIMIT 1",
        *scope,
    )
    return str(rows[0][0]) if rows else ""


def unfinished(*, after: str, limit: int) -> UnitOfWork[list[Execution]]:
    """Up to *limit* executions of any account that have not ended, in order of id."""
    rows = yield sql(
        f"SELECT account, region, {_EXECUTION} FROM window_execution WHERE ended_at IS NULL AND id > $1 ORDER BY id LIMIT $2",
        after,
        limit,
    )
    return [_execution(row) for row in rows]


def page(scope: Scope, window_id: str, *, before: tuple[float, str] | None, limit: int) -> UnitOfWork[list[Execution]]:
    """Up to *limit* executions of a window, newest first, older than *before* (started_at, id)."""
    older = " AND (started_at < $5 OR (started_at = $5 AND id < $6))" if before else ""
    rows = yield sql(
        f"SELECT account, region, {_EXECUTION} FROM window_execution"
        f" WHERE account = $1 AND region = $2 AND window_id = $3{older}"
        " ORDER BY started_at DESC, id DESC LIMIT $4",
        *scope,
        window_id,
        limit,
        *(before or ()),
    )
    return [_execution(row) for row in rows]


def forget_missed(scope: Scope, window_id: str, *, after: float) -> UnitOfWork[None]:
    """Remove what is noted of openings of a window later than *after* that were missed: nothing was done in them."""
    yield sql(
        "DELETE FROM window_execution WHERE account = $1 AND region = $2 AND window_id = $3 AND scheduled_at > $4"
        " AND status IN ('TIMED_OUT', 'SKIPPED_OVERLAPPING') AND NOT EXISTS (SELECT 1 FROM window_task_execution t"
        " WHERE t.account = $1 AND t.region = $2 AND t.execution_id = window_execution.id)",
        *scope,
        window_id,
        after,
    )


def add_tasks(tasks: list[TaskExecution]) -> UnitOfWork[None]:
    """Store the tasks of a new execution."""
    yield sql_each(
        f"INSERT INTO window_task_execution (account, region, execution_id, {_TASK}) VALUES ({placeholders(1, 13)})",
        [
            (
                *one.scope,
                one.execution_id,
                one.id,
                one.task.id,
                one.task.type,
                one.task.priority,
                one.position,
                dump_task(one.task),
                one.status.value,
                one.details,
                one.started_at,
                one.ended_at,
            )
            for one in tasks
        ],
    )


def put_task(task: TaskExecution) -> UnitOfWork[None]:
    """Store how a task stands; one that has ended stays as it ended."""
    yield sql(
        "UPDATE window_task_execution SET status = $5, details = $6, started_at = $7, ended_at = $8"
        f" WHERE account = $1 AND region = $2 AND execution_id = $3 AND id = $4 AND {_OPEN}",
        *task.scope,
        task.execution_id,
        task.id,
        task.status.value,
        task.details,
        task.started_at,
        task.ended_at,
    )


def tasks(scope: Scope, execution_id: str) -> UnitOfWork[list[TaskExecution]]:
    """The tasks of an execution, by priority and position."""
    rows = yield sql(
        f"SELECT e.window_id, {_OF_TASK} FROM window_task_execution t"
        " JOIN window_execution e ON e.account = t.account AND e.region = t.region AND e.id = t.execution_id"
        " WHERE t.account = $1 AND t.region = $2 AND t.execution_id = $3 ORDER BY t.priority, t.position",
        *scope,
        execution_id,
    )
    return [_task(scope, execution_id, row) for row in rows]


def lengths(scope: Scope, window_id: str, task_id: str, *, limit: int) -> UnitOfWork[list[float]]:
    """How many seconds a task took in those of the window's last *limit* executions in which it succeeded."""
    rows = yield sql(
        "SELECT t.ended_at - t.started_at FROM (SELECT id FROM window_execution WHERE account = $1 AND region = $2"
        " AND window_id = $3 ORDER BY started_at DESC LIMIT $5) e"
        " JOIN window_task_execution t ON t.account = $1 AND t.region = $2 AND t.execution_id = e.id"
        " WHERE t.task_id = $4 AND t.status = 'SUCCESS' AND t.started_at IS NOT NULL",
        *scope,
        window_id,
        task_id,
        limit,
    )
    return [max(row[0], 0.0) for row in rows]  # a clock may have gone back


def add_invocations(invocations: list[Invocation]) -> UnitOfWork[None]:
    """Store the invocations of a task that starts."""
    yield sql_each(
        f"INSERT INTO window_invocation (account, region, {_INVOCATION}) VALUES ({placeholders(1, 15)})",
        [
            (
                *one.scope,
                one.execution_id,
                one.task_execution_id,
                one.id,
                one.position,
                one.window_target_id,
                dump(one.targets),
                one.owner_information,
                one.command_id,
                one.parameters,
                one.status.value,
                one.details,
                one.started_at,
                one.ended_at,
            )
            for one in invocations
        ],
    )


def put_invocation(invocation: Invocation) -> UnitOfWork[None]:
    """Store how an invocation stands; one that has ended stays as it ended."""
    yield sql(
        "UPDATE window_invocation SET command_id = $6, parameters = $7, status = $8, details = $9, started_at = $10,"
        f" ended_at = $11 WHERE account = $1 AND region = $2 AND execution_id = $3 AND task_execution_id = $4 AND id = $5"
        f" AND {_OPEN}",
        *invocation.scope,
        invocation.execution_id,
        invocation.task_execution_id,
        invocation.id,
        invocation.command_id,
        invocation.parameters,
        invocation.status.value,
        invocation.details,
        invocation.started_at,
        invocation.ended_at,
    )


def invocations(scope: Scope, execution_id: str, task_execution_id: str) -> UnitOfWork[list[Invocation]]:
    """The invocations of a task, in the order in which they are carried out; there are few."""
    rows = yield sql(
        f"SELECT {_INVOCATION} FROM window_invocation"
        " WHERE account = $1 AND region = $2 AND execution_id = $3 AND task_execution_id = $4 ORDER BY position",
        *scope,
        execution_id,
        task_execution_id,
    )
    return [_invocation(scope, row) for row in rows]


def forget(*, before: float, limit: int) -> UnitOfWork[int]:
    """Remove up to *limit* executions of any account that ended before that moment, with all that belongs to them."""
    rows = yield sql(
        "SELECT account, region, id FROM window_execution WHERE ended_at < $1 ORDER BY ended_at LIMIT $2", before, limit
    )
    for table, column in (
        ("window_invocation", "execution_id"),
        ("window_task_execution", "execution_id"),
        ("window_execution", "id"),
    ):
        yield sql_each(f"DELETE FROM {table} WHERE account = $1 AND region = $2 AND {column} = $3", rows)
    return len(rows)


def _execution(row: Row) -> Execution:
    members = dict(zip(_EXECUTION.split(", "), row[2:], strict=True))
    return Execution(Scope(row[0], row[1]), **{**members, "status": Status(members["status"])})


def _task(scope: Scope, execution_id: str, row: Row) -> TaskExecution:
    window_id, own_id, task_id, kind, priority, position, content, status, details, started_at, ended_at = row
    task = read_task(scope, window_id, task_id, kind, priority, content, 0.0)
    return TaskExecution(scope, execution_id, own_id, task, position, Status(status), details, started_at, ended_at)


def _invocation(scope: Scope, row: Row) -> Invocation:
    members = dict(zip(_INVOCATION.split(", "), row, strict=True))
    members["targets"], members["status"] = read_targets(load(members["targets"])), Status(members["status"])
    return Invocation(scope, **members)
