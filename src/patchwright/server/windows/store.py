# SPDX-License-Identifier: Apache-2.0
"""SQL of maintenance windows, their targets and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from patchwright.server.accounts import Scope
from patchwright.server.commands import Target
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql
from patchwright.server.windows.model import Window, WindowTarget, WindowTask

_WINDOW = (
    "id, name, schedule, duration, cutoff, allow_unassociated_targets, description, zone, schedule_offset, start_date, "
    "end_date, enabled, created_at, modified_at, scheduled_from, next_at"
)
_CHANGED = ", ".join(f"{name} = excluded.{name}" for name in _WINDOW.split(", ") if name not in {"id", "created_at"})
_TARGET = "window_id, id, resource_type, targets, owner_information, name, description, created_at"
_TASK = "window_id, id, type, priority, content, created_at"


def put(window: Window) -> UnitOfWork[None]:
    """Store a new window, or one that has changed."""
    yield sql(
        f"INSERT INTO maintenance_window (account, region, {_WINDOW}) VALUES ({placeholders(1, 18)})"
        f" ON CONFLICT (account, region, id) DO UPDATE SET {_CHANGED}",
        *window.scope,
        window.id,
        window.name,
        window.schedule,
        window.duration,
        window.cutoff,
        int(window.allow_unassociated_targets),
        window.description,
        window.zone,
        window.schedule_offset,
        window.start_date,
        window.end_date,
        int(window.enabled),
        window.created_at,
        window.modified_at,
        window.scheduled_from,
        window.next_at,
    )


def find(scope: Scope, window_id: str) -> UnitOfWork[Window | None]:
    """The window with this id, or None."""
    rows = yield sql(
        f"SELECT account, region, {_WINDOW} FROM maintenance_window WHERE account = $1 AND region = $2 AND id = $3",
        *scope,
        window_id,
    )
    return _window(rows[0]) if rows else None


def count(scope: Scope) -> UnitOfWork[int]:
    """How many windows there are."""
    rows = yield sql("SELECT COUNT(*) FROM maintenance_window WHERE account = $1 AND region = $2", *scope)
    return int(rows[0][0])


def page(scope: Scope, *, after: str, limit: int) -> UnitOfWork[list[Window]]:
    """Up to *limit* windows whose id comes after *after*, in order of id."""
    rows = yield sql(
        f"SELECT account, region, {_WINDOW} FROM maintenance_window"
        " WHERE account = $1 AND region = $2 AND id > $3 ORDER BY id LIMIT $4",
        *scope,
        after,
        limit,
    )
    return [_window(row) for row in rows]


def due(*, now: float, after: tuple[float, str], limit: int) -> UnitOfWork[list[Window]]:
    """Enabled windows of any account that should have opened by *now*, the longest due first, behind *after* (next_at, id)."""
    rows = yield sql(
        f"SELECT account, region, {_WINDOW} FROM maintenance_window"
        " WHERE enabled = 1 AND next_at <= $1 AND (next_at, id) > ($2, $3) ORDER BY next_at, id LIMIT $4",
        now,
        *after,
        limit,
    )
    return [_window(row) for row in rows]


def enabled(*, after: tuple[str, str, str], limit: int) -> UnitOfWork[list[Window]]:
    """Up to *limit* enabled windows of any account behind *after* (account, region, id), in that order."""
    rows = yield sql(
        f"SELECT account, region, {_WINDOW} FROM maintenance_window"
        " WHERE enabled = 1 AND (account, region, id) > ($1, $2, $3) ORDER BY account, region, id LIMIT $4",
        *after,
        limit,
    )
    return [_window(row) for row in rows]


def remove(scope: Scope, window_id: str) -> UnitOfWork[None]:
    """Remove a window with its targets and tasks; what was executed of it stays."""
    for table, column in (("maintenance_window", "id"), ("window_target", "window_id"), ("window_task", "window_id")):
        yield sql(f"DELETE FROM {table} WHERE account = $1 AND region = $2 AND {column} = $3", *scope, window_id)


def put_target(target: WindowTarget) -> UnitOfWork[None]:
    """Store a new target, or one that has changed."""
    yield sql(
        f"INSERT INTO window_target (account, region, {_TARGET}) VALUES ({placeholders(1, 10)})"
        " ON CONFLICT (account, region, window_id, id) DO UPDATE SET targets = excluded.targets,"
        " owner_information = excluded.owner_information, name = excluded.name, description = excluded.description",
        *target.scope,
        target.window_id,
        target.id,
        target.resource_type,
        dump(target.targets),
        target.owner_information,
        target.name,
        target.description,
        target.created_at,
    )


def targets(scope: Scope, window_id: str) -> UnitOfWork[list[WindowTarget]]:
    """Every target of a window, oldest first; there are few."""
    rows = yield sql(
        f"SELECT {_TARGET} FROM window_target WHERE account = $1 AND region = $2 AND window_id = $3"
        " ORDER BY created_at, id",
        *scope,
        window_id,
    )
    return [_target(scope, row) for row in rows]


def targets_of(scope: Scope, window_ids: Sequence[str]) -> UnitOfWork[list[WindowTarget]]:
    """Every target of these windows."""
    if not window_ids:
        return []
    rows = yield sql(
        f"SELECT {_TARGET} FROM window_target WHERE account = $1 AND region = $2"
        f" AND window_id IN ({placeholders(3, len(window_ids))}) ORDER BY window_id, created_at, id",
        *scope,
        *window_ids,
    )
    return [_target(scope, row) for row in rows]


def remove_target(scope: Scope, window_id: str, target_id: str) -> UnitOfWork[None]:
    """Remove a target."""
    yield sql(
        "DELETE FROM window_target WHERE account = $1 AND region = $2 AND window_id = $3 AND id = $4",
        *scope,
        window_id,
        target_id,
    )


def put_task(task: WindowTask) -> UnitOfWork[None]:
    """Store a new task, or one that has changed."""
    yield sql(
        f"INSERT INTO window_task (account, region, {_TASK}) VALUES ({placeholders(1, 8)})"
        " ON CONFLICT (account, region, window_id, id) DO UPDATE SET priority = excluded.priority, content = excluded.content",
        *task.scope,
        task.window_id,
        task.id,
        task.type,
        task.priority,
        dump_task(task),
        task.created_at,
    )


def tasks(scope: Scope, window_id: str) -> UnitOfWork[list[WindowTask]]:
    """Every task of a window, by priority, then oldest first; there are few."""
    rows = yield sql(
        f"SELECT {_TASK} FROM window_task WHERE account = $1 AND region = $2 AND window_id = $3"
        " ORDER BY priority, created_at, id",
        *scope,
        window_id,
    )
    return [read_task(scope, *row) for row in rows]


def remove_task(scope: Scope, window_id: str, task_id: str) -> UnitOfWork[None]:
    """Remove a task."""
    yield sql(
        "DELETE FROM window_task WHERE account = $1 AND region = $2 AND window_id = $3 AND id = $4",
        *scope,
        window_id,
        task_id,
    )


def dump_task(task: WindowTask) -> str:
    """The members of a task that are kept together, as JSON."""
    return dump(
        {
            "arn": task.arn,
            "targets": task.targets,
            "service_role": task.service_role,
            "invocation": task.invocation,
            "max_concurrency": task.max_concurrency,
            "max_errors": task.max_errors,
            "name": task.name,
            "description": task.description,
            "cutoff_behavior": task.cutoff_behavior,
            "extra": task.extra,
            "owner": task.owner,
        }
    )


def read_task(scope: Scope, window_id: str, task_id: str, kind: str, priority: int, *rest: Any) -> WindowTask:
    """A task from its columns: `content` and `created_at` stand last."""
    content, created_at = rest
    members = load(content)
    members["targets"] = read_targets(members["targets"])
    return WindowTask(scope, window_id, task_id, kind, priority=priority, created_at=created_at, **members)


def read_targets(data: Sequence[Sequence[Any]]) -> tuple[Target, ...]:
    """Targets from their JSON."""
    return tuple(Target(key, tuple(values)) for key, values in data)


def _window(row: Row) -> Window:
    members = dict(zip(_WINDOW.split(", "), row[2:], strict=True))
    for name in ("allow_unassociated_targets", "enabled"):
        members[name] = bool(members[name])
    return Window(Scope(row[0], row[1]), **members)


def _target(scope: Scope, row: Row) -> WindowTarget:
    return WindowTarget(scope, row[0], row[1], row[2], read_targets(load(row[3])), *row[4:])


def dump(value: Any) -> str:
    """JSON, names in order."""
    return _ENCODER.encode(value).decode()


_ENCODER = msgspec.json.Encoder(order="sorted")
load = msgspec.json.Decoder().decode
