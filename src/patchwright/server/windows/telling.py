# SPDX-License-Identifier: Apache-2.0
"""
What is told of windows (spec §7.7). Units of work, composed in the transaction of the change.

Ids follow from what is told: a unit that runs twice tells once.
"""

from __future__ import annotations

from typing import Any

from patchwright.server import events
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork
from patchwright.server.windows.model import Execution, Invocation, TaskExecution, Window, WindowTarget, WindowTask

CREATED, ENABLED, DISABLED, DELETED = "CREATED", "ENABLED", "DISABLED", "DELETED"
REGISTERED, UPDATED, DEREGISTERED = "REGISTERED", "UPDATED", "DEREGISTERED"


def window(scope: Scope, window_id: str, status: str, *, now: float) -> UnitOfWork[None]:
    """A window was made, turned on or off, or deleted."""
    detail = {"window-id": window_id, "status": status}
    yield from _told(scope, window_id, events.WINDOW, detail, now, window_id, status, now)


def switched(before: Window, after: Window, *, now: float) -> UnitOfWork[None]:
    """A window was changed: told where that turned it on or off."""
    if before.enabled != after.enabled:
        yield from window(after.scope, after.id, ENABLED if after.enabled else DISABLED, now=now)


def target(changed: WindowTarget, status: str, *, now: float) -> UnitOfWork[None]:
    """A registration of targets was made, changed or removed."""
    detail = {"window-target-id": changed.id, "window-id": changed.window_id, "status": status}
    about = (changed.id, status, now)
    own = f"windowtarget/{changed.id}"
    yield from _told(changed.scope, changed.window_id, events.WINDOW_TARGET, detail, now, *about, own=own)


def task(changed: WindowTask, status: str, *, now: float) -> UnitOfWork[None]:
    """A task was registered, changed or removed."""
    names = {"window-task-id": changed.id, "window-id": changed.window_id}
    detail = {**names, "owner-information": "", "status": status}
    about = (changed.id, status, now)
    own = f"windowtask/{changed.id}"
    yield from _told(changed.scope, changed.window_id, events.WINDOW_TASK, detail, now, *about, own=own)


def execution(changed: Execution, *, now: float) -> UnitOfWork[None]:
    """An execution stands otherwise than before."""
    status = changed.status.value
    detail = {
        **_times(changed.started_at, changed.ended_at),
        "window-id": changed.window_id,
        "window-execution-id": changed.id,
        "status": status,
    }
    yield from _told(changed.scope, changed.window_id, events.WINDOW_EXECUTION, detail, now, changed.id, status)


def task_execution(changed: TaskExecution, *, now: float) -> UnitOfWork[None]:
    """A task of an execution stands otherwise than before."""
    status, window_id = changed.status.value, changed.task.window_id
    detail = {
        **_times(changed.started_at, changed.ended_at),
        "task-execution-id": changed.id,
        "window-id": window_id,
        "window-execution-id": changed.execution_id,
        "status": status,
    }
    yield from _told(changed.scope, window_id, events.WINDOW_TASK_EXECUTION, detail, now, changed.id, status)


def invocation(changed: Invocation, window_id: str, *, whole: bool, now: float) -> UnitOfWork[None]:
    """
    A task on one registration stands otherwise than before.

    *whole*: with what it came to; without, its end is told as COMPLETE, as of every task that sends no command.
    """
    status = changed.status.value if whole or not changed.status.final else "COMPLETE"
    detail = {
        **_times(changed.started_at, changed.ended_at),
        "task-execution-id": changed.task_execution_id,
        "window-target-id": changed.window_target_id,
        "window-id": window_id,
        "window-execution-id": changed.execution_id,
        "owner-information": changed.owner_information,
        "status": status,
    }
    yield from _told(changed.scope, window_id, events.WINDOW_TASK_INVOCATION, detail, now, changed.id, status)


def _told(
    scope: Scope, window_id: str, detail_type: str, detail: dict[str, Any], now: float, *about: object, own: str = ""
) -> UnitOfWork[None]:
    """An event of *window_id*, which is told once of the same *about*; *own* is a second resource, of the same account."""
    resources = [events.window_arn(scope, window_id)]
    if own:
        resources.append(f"arn:aws:ssm:{scope.region}:{scope.account}:{own}")
    event_id = events.derived_id(detail_type, *about)
    yield from events.emit(scope, detail_type, resources, detail, now=now, id=event_id)


def _times(started_at: float | None, ended_at: float | None) -> dict[str, str]:
    times = {"start-time": started_at, "end-time": ended_at}
    return {name: events.iso_millis(at) for name, at in times.items() if at is not None}
