# SPDX-License-Identifier: Apache-2.0
"""Use cases of maintenance windows: what opens when, for which targets, to do what (spec §4.1, §4.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.commands import Target
from patchwright.server.config import Quotas
from patchwright.server.infra import (
    ClientToken,
    Clock,
    Database,
    UnitOfWork,
    new_id,
    new_uuid,
    once,
)
from patchwright.server.windows import pseudo, store, telling
from patchwright.server.windows.model import (
    RUN_COMMAND,
    InvalidWindow,
    TargetInUse,
    TooMany,
    UnknownWindow,
    Window,
    WindowTarget,
    WindowTask,
    moment,
)
from patchwright.server.windows.resolving import check_registered, check_values, matches, reached_by

_BATCH = 200  # windows looked at in one read
_SCHEDULE = (
    "schedule",
    "zone",
    "schedule_offset",
    "start_date",
    "end_date",
    "enabled",
)  # a change of these counts anew


class Service:
    """Maintenance windows of every account."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas

    async def create(self, window: Window, *, own_tags: Mapping[str, str], token: ClientToken | None = None) -> str:
        """
        Make *window*, whose id and times are set here; returns its id. The same request with the same *token* makes it once.

        Errors: MalformedSchedule, InvalidWindow, TooMany, TokenReused, InvalidTag, TooManyTags.
        """
        now = self._clock.now()
        made = replace(window, id=new_id("mw"), created_at=now, modified_at=now, scheduled_from=now)
        made = replace(made, next_at=_checked(made, now).first())
        make = partial(_create, made, own_tags, limit=self._quotas.maintenance_windows)
        return await self._database.write(once, *made.scope, token, make, now=made.created_at)

    async def get(self, scope: Scope, window_id: str) -> Window:
        """The window. Errors: UnknownWindow."""
        return await self._database.read(require, scope, window_id)

    async def update(self, scope: Scope, window_id: str, change: Callable[[Window], Window]) -> Window:
        """
        Give a window what *change*, which is pure, makes of it. A changed schedule counts from now.

        Errors: what *change* raises; UnknownWindow, MalformedSchedule, InvalidWindow.
        """
        return await self._database.write(_update, scope, window_id, change, now=self._clock.now())

    async def delete(self, scope: Scope, window_id: str) -> None:
        """Remove a window with its targets, tasks and tags; an unknown one is passed over."""
        await self._database.write(_delete, scope, window_id, now=self._clock.now())

    async def page(self, scope: Scope, *, after: str, limit: int) -> list[Window]:
        """Up to *limit* windows whose id comes after *after*, in order of id."""
        return await self._database.read(store.page, scope, after=after, limit=limit)

    async def add_target(self, target: WindowTarget, *, token: ClientToken | None = None) -> str:
        """Register *target*, whose id is set here; returns it. Errors: UnknownWindow, TooMany, TokenReused."""
        made = replace(target, id=new_uuid(), created_at=self._clock.now())
        make = partial(_add_target, made, limit=self._quotas.targets_per_window)
        return await self._database.write(once, *made.scope, token, make, now=made.created_at)

    async def update_target(
        self, scope: Scope, window_id: str, target_id: str, change: Callable[[WindowTarget], WindowTarget]
    ) -> WindowTarget:
        """Give a target what *change* makes of it. Errors: UnknownWindow."""
        return await self._database.write(_update_target, scope, window_id, target_id, change, now=self._clock.now())

    async def remove_target(self, scope: Scope, window_id: str, target_id: str, *, safe: bool) -> None:
        """Remove a target; *safe*: only if no task names it. Errors: UnknownWindow, TargetInUse."""
        await self._database.write(_remove_target, scope, window_id, target_id, safe=safe, now=self._clock.now())

    async def targets(self, scope: Scope, window_id: str) -> list[WindowTarget]:
        """The window's targets, oldest first. Errors: UnknownWindow."""
        return await self._database.read(_targets, scope, window_id)

    async def add_task(self, task: WindowTask, *, token: ClientToken | None = None) -> str:
        """Register *task*, whose id is set here; returns it. Errors: UnknownWindow, InvalidWindow, TooMany, TokenReused."""
        made = replace(task, id=new_uuid(), created_at=self._clock.now())
        make = partial(_add_task, made, limit=self._quotas.tasks_per_window)
        return await self._database.write(once, *made.scope, token, make, now=made.created_at)

    async def update_task(
        self, scope: Scope, window_id: str, task_id: str, change: Callable[[WindowTask], WindowTask]
    ) -> WindowTask:
        """Give a task what *change* makes of it. Errors: UnknownWindow, InvalidWindow."""
        return await self._database.write(_update_task, scope, window_id, task_id, change, now=self._clock.now())

    async def task(self, scope: Scope, window_id: str, task_id: str) -> WindowTask:
        """A task of a window. Errors: UnknownWindow."""
        return await self._database.read(require_task, scope, window_id, task_id)

    async def remove_task(self, scope: Scope, window_id: str, task_id: str) -> None:
        """Remove a task; executions that began go on with it. Errors: UnknownWindow."""
        await self._database.write(_remove_task, scope, window_id, task_id, now=self._clock.now())

    async def tasks(self, scope: Scope, window_id: str) -> list[WindowTask]:
        """The window's tasks, by priority, then oldest first. Errors: UnknownWindow."""
        return await self._database.read(_tasks, scope, window_id)

    async def for_targets(self, scope: Scope, wanted: Sequence[Target], *, resource_type: str) -> list[Window]:
        """The windows with a registration of *resource_type* that reaches one of the *wanted* targets, in order of id."""
        return await self._database.read(_for_targets, scope, tuple(wanted), resource_type)


def require(scope: Scope, window_id: str) -> UnitOfWork[Window]:
    """The window with this id; a unit of work. Errors: UnknownWindow."""
    found = yield from store.find(scope, window_id)
    if found is None:
        msg = f"Maintenance window {window_id} does not exist"
        raise UnknownWindow(msg)
    return found


def _checked(window: Window, now: float) -> Window:
    """*window*, if it does not contradict itself. Errors: MalformedSchedule, InvalidWindow."""
    if window.cutoff >= window.duration:
        msg = f"Cutoff ({window.cutoff} hours) must be less than Duration ({window.duration} hours)."
        raise InvalidWindow(msg)
    window.compiled()
    end = moment(window.end_date)
    if end is not None and end <= now:
        msg = f"EndDate {window.end_date} has passed."
        raise InvalidWindow(msg)
    return window


def _create(window: Window, own_tags: Mapping[str, str], *, limit: int) -> UnitOfWork[str]:
    if (yield from store.count(window.scope)) >= limit:
        raise _too_many(limit, "maintenance windows in this account and region")
    yield from store.put(window)
    yield from telling.window(window.scope, window.id, telling.CREATED, now=window.created_at)
    if own_tags:
        yield from tags.add(window.scope, tags.MAINTENANCE_WINDOW, window.id, own_tags)
    return window.id


def _update(scope: Scope, window_id: str, change: Callable[[Window], Window], *, now: float) -> UnitOfWork[Window]:
    stored = yield from require(scope, window_id)
    changed = change(stored)
    if changed == stored:
        return stored
    changed = replace(changed, modified_at=now)
    if any(getattr(changed, name) != getattr(stored, name) for name in _SCHEDULE):
        changed = replace(changed, scheduled_from=now)
        changed = replace(changed, next_at=_checked(changed, now).first())
    elif changed.cutoff >= changed.duration:
        _checked(changed, now)
    yield from store.put(changed)
    yield from telling.switched(stored, changed, now=now)
    return changed


def _delete(scope: Scope, window_id: str, *, now: float) -> UnitOfWork[None]:
    if (yield from store.find(scope, window_id)) is None:
        return
    yield from store.remove(scope, window_id)
    yield from telling.window(scope, window_id, telling.DELETED, now=now)
    yield from tags.forget(scope, tags.MAINTENANCE_WINDOW, window_id)


def _targets(scope: Scope, window_id: str) -> UnitOfWork[list[WindowTarget]]:
    yield from require(scope, window_id)
    return (yield from store.targets(scope, window_id))


def _tasks(scope: Scope, window_id: str) -> UnitOfWork[list[WindowTask]]:
    yield from require(scope, window_id)
    return (yield from store.tasks(scope, window_id))


def _add_target(target: WindowTarget, *, limit: int) -> UnitOfWork[str]:
    if len((yield from _targets(target.scope, target.window_id))) >= limit:
        raise _too_many(limit, "targets in this maintenance window")
    check_registered(target.targets)
    yield from store.put_target(target)
    yield from telling.target(target, telling.REGISTERED, now=target.created_at)
    return target.id


def _target(scope: Scope, window_id: str, target_id: str) -> UnitOfWork[WindowTarget]:
    for found in (yield from _targets(scope, window_id)):
        if found.id == target_id:
            return found
    msg = f"Target {target_id} is not registered with maintenance window {window_id}"
    raise UnknownWindow(msg)


def _update_target(
    scope: Scope, window_id: str, target_id: str, change: Callable[[WindowTarget], WindowTarget], *, now: float
) -> UnitOfWork[WindowTarget]:
    changed = change((yield from _target(scope, window_id, target_id)))
    check_registered(changed.targets)
    yield from store.put_target(changed)
    yield from telling.target(changed, telling.UPDATED, now=now)
    return changed


def _remove_target(scope: Scope, window_id: str, target_id: str, *, safe: bool, now: float) -> UnitOfWork[None]:
    removed = yield from _target(scope, window_id, target_id)
    users = [
        task.id
        for task in (yield from store.tasks(scope, window_id))
        for target in task.targets
        if target.key == "WindowTargetIds" and target_id in target.values
    ]
    if safe and users:
        msg = f"Target {target_id} is named by the tasks {', '.join(users)}: change or remove these first."
        raise TargetInUse(msg)
    yield from store.remove_target(scope, window_id, target_id)
    yield from telling.target(removed, telling.DEREGISTERED, now=now)


def _add_task(task: WindowTask, *, limit: int) -> UnitOfWork[str]:
    if len((yield from _tasks(task.scope, task.window_id))) >= limit:
        raise _too_many(limit, "tasks in this maintenance window")
    yield from _check_task(task)
    yield from store.put_task(task)
    yield from telling.task(task, telling.REGISTERED, now=task.created_at)
    return task.id


def require_task(scope: Scope, window_id: str, task_id: str) -> UnitOfWork[WindowTask]:
    """A task of a window; a unit of work. Errors: UnknownWindow."""
    for found in (yield from _tasks(scope, window_id)):
        if found.id == task_id:
            return found
    msg = f"Task {task_id} is not registered with maintenance window {window_id}"
    raise UnknownWindow(msg)


def _update_task(
    scope: Scope, window_id: str, task_id: str, change: Callable[[WindowTask], WindowTask], *, now: float
) -> UnitOfWork[WindowTask]:
    changed = change((yield from require_task(scope, window_id, task_id)))
    yield from _check_task(changed)
    yield from store.put_task(changed)
    yield from telling.task(changed, telling.UPDATED, now=now)
    return changed


def _remove_task(scope: Scope, window_id: str, task_id: str, *, now: float) -> UnitOfWork[None]:
    removed = yield from require_task(scope, window_id, task_id)
    yield from store.remove_task(scope, window_id, task_id)
    yield from telling.task(removed, telling.DEREGISTERED, now=now)


def _check_task(task: WindowTask) -> UnitOfWork[None]:
    """Raise InvalidWindow or UnknownWindow unless the task fits its window (spec §4.3)."""
    if task.type == RUN_COMMAND and not task.targets:
        msg = "A task of type RUN_COMMAND needs Targets."
        raise InvalidWindow(msg)
    if not task.targets and (task.max_concurrency or task.max_errors):
        msg = "MaxConcurrency and MaxErrors are for tasks with Targets."
        raise InvalidWindow(msg)
    if task.targets and not (task.max_concurrency and task.max_errors):
        msg = "A task with Targets needs MaxConcurrency and MaxErrors."
        raise InvalidWindow(msg)
    pseudo.check(task)
    window = yield from require(task.scope, task.window_id)
    registered = yield from store.targets(task.scope, task.window_id)
    known = {target.id for target in registered}
    for target in task.targets:
        check_values(target)
        if target.key == "WindowTargetIds":
            unknown = [value for value in target.values if value not in known]
            if unknown:
                msg = f"Target {unknown[0]} is not registered with maintenance window {task.window_id}"
                raise UnknownWindow(msg)
        elif target.key != "InstanceIds":
            msg = f"Targets of a task are InstanceIds or WindowTargetIds, not {target.key!r}."
            raise InvalidWindow(msg)
        elif not window.allow_unassociated_targets:
            yield from _check_associated(task, registered, target.values)


def _check_associated(
    task: WindowTask, registered: Sequence[WindowTarget], instance_ids: Sequence[str]
) -> UnitOfWork[None]:
    reached = yield from reached_by(task.scope, registered)
    outside = [instance_id for instance_id in instance_ids if instance_id not in reached]
    if outside:
        msg = (
            f"{outside[0]} belongs to no target registered with maintenance window {task.window_id},"
            " which does not allow unassociated targets."
        )
        raise InvalidWindow(msg)


def _for_targets(scope: Scope, wanted: Sequence[Target], resource_type: str) -> UnitOfWork[list[Window]]:
    asked: set[str] = set()
    for one in wanted:
        asked.update((yield from matches(scope, (one,))))
    found = []
    after = ""
    while True:
        batch = yield from store.page(scope, after=after, limit=_BATCH)
        registered = yield from store.targets_of(scope, [window.id for window in batch])
        hit = set()
        for target in registered:
            if target.resource_type == resource_type and target.window_id not in hit:
                same = set(target.targets) & set(wanted)
                if same or (asked and asked & set((yield from matches(scope, target.targets)))):
                    hit.add(target.window_id)
        found += [window for window in batch if window.id in hit]
        if len(batch) < _BATCH:
            return found
        after = batch[-1].id


def _too_many(limit: int, what: str) -> TooMany:
    return TooMany(f"There are {limit} {what}, which is all there may be.")
