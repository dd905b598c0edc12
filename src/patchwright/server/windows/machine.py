# SPDX-License-Identifier: Apache-2.0
"""
What happens when a window opens (spec §4.4, §4.5): units of work, each a step that can be taken by any process, once.

`open_window` makes an execution of a window that is due. `advance` looks at what is under way, starts what may start, and ends
what has ended; taken again it changes nothing until something else has. A command is sent in the transaction that notes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from patchwright.core.errors import PatchwrightError
from patchwright.core.invocation import Detail
from patchwright.server import commands
from patchwright.server.accounts import Scope, recall, root_arn
from patchwright.server.infra import InfraError, UnitOfWork
from patchwright.server.windows import calling, rates, store, telling
from patchwright.server.windows import execution_store as executed
from patchwright.server.windows.forecasting import must_fit, needs
from patchwright.server.windows.model import (
    HOUR,
    KEPT_SECONDS,
    LAMBDA,
    NO_TASKS,
    RUN_COMMAND,
    SOME_FAILED,
    Execution,
    InvalidWindow,
    Invocation,
    Rights,
    Status,
    TaskExecution,
    UnknownWindow,
    Window,
    WindowBusy,
    WindowTask,
)
from patchwright.server.windows.running import invocations_of, request_of

_OF_COMMAND = {
    Detail.SUCCESS: Status.SUCCESS,
    Detail.NO_INSTANCES_IN_TAG: Status.SUCCESS,
    Detail.DELIVERY_TIMED_OUT: Status.TIMED_OUT,
    Detail.EXECUTION_TIMED_OUT: Status.TIMED_OUT,
    Detail.CANCELLED: Status.CANCELLED,
    Detail.TERMINATED: Status.CANCELLED,
}
_WORST_FIRST = (Status.FAILED, Status.TIMED_OUT, Status.CANCELLED)
_CUTOFF = "The cutoff time was reached."
_LATE = "of its nodes were not begun, since they would not have ended before the window closes."
_CANCELLED = "The execution was cancelled."
_DELETED = "The window was deleted before the task began."
_AHEAD = HOUR  # no two clocks of processes are that far apart
_CALLS_TOGETHER = 100  # that one step makes
_DENIED = "Who registered the task may not send it to any of its nodes."


def open_window(
    scope: Scope, window_id: str, *, now: float, fresh_ids: Iterator[str], most_open: int | None = None
) -> UnitOfWork[Execution | None]:
    """
    Make the execution of a window that is due, and note when it opens next; None if it is not due (any more).

    Where *most_open* windows of the account and region are open already it waits for its turn, until its cutoff.

    Late is better than never only before the cutoff: a window that should have opened while no server ran, and whose cutoff has
    passed, ends TIMED_OUT and says so. Openings missed longer ago than history is kept are passed over.
    """
    window = yield from store.find(scope, window_id)
    if window is None or not window.enabled or window.next_at is None or window.next_at > now:
        return None
    scheduled = window.next_at
    if scheduled < now - KEPT_SECONDS:
        yield from store.put(replace(window, next_at=window.compiled().next(now - KEPT_SECONDS)))
        return None
    yield from store.put(replace(window, next_at=window.compiled().next(scheduled)))
    execution = _opening(window, next(fresh_ids), scheduled, now)
    tasks = yield from store.tasks(scope, window_id)
    if now >= execution.cutoff_at:
        missed = f"No server was running when the window opened at {_shown(scheduled)}; its cutoff has passed."
        execution = replace(execution, status=Status.TIMED_OUT, details=missed, ended_at=now)
    elif (yield from executed.has_open(scope, window_id)):
        skipped = "The window's execution before this one has not ended."
        execution = replace(execution, status=Status.SKIPPED_OVERLAPPING, details=skipped, ended_at=now)
    elif not tasks:
        execution = replace(execution, status=Status.SUCCESS, details=NO_TASKS, ended_at=now)
    else:
        execution = yield from _admitted(execution, most_open)
    if not (yield from executed.add(execution)):
        return None
    yield from _made(execution, tasks, fresh_ids, now=now)
    return execution


def passes_over(window: Window, *, now: float) -> bool:
    """Whether an enabled window opens next behind an opening to come. What is less than `_AHEAD` ahead may be open already."""
    coming = window.compiled().next(now + _AHEAD)
    return coming is not None and (window.next_at is None or window.next_at > coming)


def recount(scope: Scope, window_id: str, *, now: float) -> UnitOfWork[bool]:
    """Let a window that passes over an opening to come open then; false if there is none such (any more)."""
    window = yield from store.find(scope, window_id)
    if window is None or not window.enabled or not passes_over(window, now=now):
        return False
    yield from executed.forget_missed(scope, window_id, after=now + _AHEAD)
    yield from store.put(replace(window, next_at=window.compiled().next(now)))
    return True


def open_now(
    scope: Scope, window_id: str, *, now: float, fresh_ids: Iterator[str], most_open: int | None = None
) -> UnitOfWork[Execution]:
    """
    Make an execution of a window by hand, out of its schedule, which goes on as it was; of a disabled window too.

    Where *most_open* windows are open already it waits, as with `open_window`.

    Errors: UnknownWindow; WindowBusy where one is under way; InvalidWindow where there is nothing to do.
    """
    window = yield from store.find(scope, window_id)
    if window is None:
        msg = f"Maintenance window {window_id} does not exist"
        raise UnknownWindow(msg)
    tasks = yield from store.tasks(scope, window_id)
    if not tasks:
        msg = f"{window_id} has no tasks: register one with RegisterTaskWithMaintenanceWindow."
        raise InvalidWindow(msg)
    execution = yield from _admitted(_opening(window, next(fresh_ids), now, now), most_open)
    if (yield from executed.has_open(scope, window_id)) or not (yield from executed.add(execution)):
        msg = f"An execution of {window_id} has not ended, or began in this moment: wait for it, or cancel it."
        raise WindowBusy(msg)
    yield from _made(execution, tasks, fresh_ids, now=now)
    return execution


def advance(
    scope: Scope,
    execution_id: str,
    *,
    now: float,
    fresh_ids: Iterator[str],
    rights: Rights,
    most_open: int | None = None,
) -> UnitOfWork[list[str]]:
    """
    Take an execution as far as it goes at *now*; returns the nodes for which a command waits now.

    *rights* says what the owner of a task may do; *most_open* as of `open_window`.
    """
    execution = yield from executed.find(scope, execution_id)
    if execution is None or execution.status.final:
        return []
    if execution.status is Status.PENDING and now < execution.cutoff_at:
        if not (yield from _has_its_turn(execution, most_open)):
            return []
        execution = replace(execution, status=Status.IN_PROGRESS, details="")
        yield from executed.put(execution)
        yield from telling.execution(execution, now=now)
    step = _Step(execution, now, fresh_ids, rights)
    tasks = yield from executed.tasks(scope, execution_id)
    for place, task in enumerate(tasks):
        if task.status is Status.IN_PROGRESS:
            tasks[place] = yield from step.go_on(task)
    while not any(task.status is Status.IN_PROGRESS for task in tasks):
        turn = next((task.task.priority for task in tasks if task.status is Status.PENDING), None)
        if turn is None:
            yield from _finish(execution, tasks, now=now)
            break
        for place, task in enumerate(tasks):
            if task.status is Status.PENDING and task.task.priority == turn:
                tasks[place] = yield from step.begin(task)
    return step.released


def cancel(scope: Scope, execution_id: str, *, now: float) -> UnitOfWork[bool]:
    """Let nothing of an execution start any more; what is under way runs to its end. False for an unknown one."""
    execution = yield from executed.find(scope, execution_id)
    if execution is None:
        return False
    if not execution.status.final:
        cancelling = replace(execution, status=Status.CANCELLING, details=_CANCELLED)
        yield from executed.put(cancelling)
        yield from telling.execution(cancelling, now=now)
        for task in (yield from executed.tasks(scope, execution_id)):
            if task.status is Status.IN_PROGRESS:
                for one in (yield from executed.invocations(scope, execution_id, task.id)):
                    if one.command_id and not one.status.final:
                        yield from commands.withdraw(scope, one.command_id, now=now)
    return True


class _Step:
    """One transaction's worth of an execution. *released* gathers the nodes for which a command waits."""

    def __init__(self, execution: Execution, now: float, fresh_ids: Iterator[str], rights: Rights) -> None:
        self.execution = execution
        self.now = now
        self.fresh_ids = fresh_ids
        self.rights = rights
        self.released: list[str] = []

    def begin(self, task: TaskExecution) -> UnitOfWork[TaskExecution]:
        """Start a task whose turn it is, unless nothing may start any more."""
        if self.execution.status is Status.CANCELLING:
            return (yield from self._end(task, Status.CANCELLED, _CANCELLED))
        if (yield from store.find(task.scope, task.task.window_id)) is None:
            return (yield from self._end(task, Status.CANCELLED, _DELETED))
        if self.now >= self.execution.cutoff_at:
            return (yield from self._end(task, Status.TIMED_OUT, f"{_CUTOFF} The task was not started."))
        if task.task.type not in {RUN_COMMAND, LAMBDA}:
            task = replace(task, started_at=self.now)
            return (yield from self._end(task, Status.FAILED, f"Tasks of type {task.task.type} are not served yet."))
        task = replace(task, status=Status.IN_PROGRESS, started_at=self.now)
        registered = yield from store.targets(task.scope, task.task.window_id)
        planned = invocations_of(task, registered, self.fresh_ids)
        if task.task.type == LAMBDA:
            try:
                planned = yield from calling.for_each_node(planned, self.fresh_ids)
            except InvalidWindow as error:
                return (yield from self._end(task, Status.FAILED, str(error)))
        yield from executed.add_invocations(planned)
        yield from executed.put_task(task)
        yield from telling.task_execution(task, now=self.now)
        if task.task.type == RUN_COMMAND:
            for one in planned:
                yield from telling.invocation(one, self.execution.window_id, whole=True, now=self.now)
        return (yield from self.go_on(task))

    def go_on(self, task: TaskExecution) -> UnitOfWork[TaskExecution]:
        """Look at a task under way: one registration of targets after the other."""
        late = self.now >= self.execution.cutoff_at and task.task.cutoff_behavior == "CANCEL_TASK"
        found = yield from executed.invocations(task.scope, task.execution_id, task.id)
        yield from (self._go_on_calls if task.task.type == LAMBDA else self._go_on_commands)(task, found, late=late)
        if not all(one.status.final for one in found):
            return task
        worst = next((bad for bad in _WORST_FIRST if any(one.status is bad for one in found)), Status.SUCCESS)
        details = next((one.details for one in found if one.status is worst and one.details), "")
        if any(one.details == rates.TOO_MANY for one in found):
            worst, details = Status.FAILED, details if worst is Status.FAILED else rates.TOO_MANY
        return (yield from self._end(task, worst, details if found else "No targets."))

    def _go_on_commands(self, task: TaskExecution, found: list[Invocation], *, late: bool) -> UnitOfWork[None]:
        """Take *found*, the task's invocations, further, in their places, up to the first that has not ended."""
        for place, one in enumerate(found):
            if one.status is Status.IN_PROGRESS:
                found[place] = yield from self._look_at(task, one, late=late)
            elif one.status is Status.PENDING:
                rated = yield from rates.limited(task, found)
                found[place] = yield from (
                    self._invoke(rated, one, late=late) if rated is not None else self._stop(task, one)
                )
            if not found[place].status.final:
                return

    def _go_on_calls(self, task: TaskExecution, found: list[Invocation], *, late: bool) -> UnitOfWork[None]:
        """As `_go_on_commands`, with as many calls at once as the task allows."""
        for place, one in enumerate(found):
            if one.status is Status.IN_PROGRESS:
                found[place] = yield from self._look_at_call(task, one, late=late)
        ending, made = late or self.execution.status is Status.CANCELLING, 0
        while any(one.status is Status.PENDING for one in found):
            waiting = [place for place, one in enumerate(found) if one.status is Status.PENDING]
            planned = rates.next_calls(task, found, most=_CALLS_TOGETHER - made)
            for place in waiting if ending or planned.stop else planned.start:
                one = found[place]
                found[place] = yield from (
                    self._stop(task, one) if planned.stop and not ending else self._invoke(task, one, late=late)
                )
                made += 1
            if not (ending or planned.stop or planned.start):
                return

    def _stop(self, task: TaskExecution, invocation: Invocation) -> UnitOfWork[Invocation]:
        """End an invocation that is not begun, since there were too many errors before it."""
        stopped = replace(invocation, status=Status.CANCELLED, details=rates.TOO_MANY, ended_at=self.now)
        return (yield from self._put(task, stopped))

    def _look_at(self, task: TaskExecution, invocation: Invocation, *, late: bool) -> UnitOfWork[Invocation]:
        detail = yield from commands.detail(invocation.scope, invocation.command_id)
        if detail is not None and not detail.final:
            if not late:
                return invocation
            self.released += yield from commands.cancel(invocation.scope, invocation.command_id, (), now=self.now)
            status, details = Status.TIMED_OUT, f"{_CUTOFF} What had begun on a node was told to stop there."
        elif detail is None:
            status, details = Status.FAILED, "The command is gone."
        else:
            status = _OF_COMMAND.get(detail, Status.FAILED)
            details = "" if status is Status.SUCCESS else f"Command {invocation.command_id}: {detail.value}."
            away = yield from commands.turned_away(invocation.scope, invocation.command_id)
            if away.number:
                status = Status.TIMED_OUT if away.rest_succeeded else status
                details = f"{away.number} {_LATE} {details}".strip()
        return (yield from self._put(task, replace(invocation, status=status, details=details, ended_at=self.now)))

    def _look_at_call(self, task: TaskExecution, invocation: Invocation, *, late: bool) -> UnitOfWork[Invocation]:
        status, details = yield from calling.look(task, invocation, now=self.now)
        if not status.final:
            if not late:
                return invocation
            yield from calling.withdraw(task, invocation, reason=_CUTOFF, now=self.now)
            status, details = Status.TIMED_OUT, f"{_CUTOFF} {details}".strip()
        return (yield from self._put(task, replace(invocation, status=status, details=details, ended_at=self.now)))

    def _invoke(self, task: TaskExecution, invocation: Invocation, *, late: bool) -> UnitOfWork[Invocation]:
        """Send the command of an invocation whose turn it is, or call its function."""
        stopped = Status.CANCELLED if self.execution.status is Status.CANCELLING else Status.TIMED_OUT if late else None
        if stopped is not None:
            details = _CANCELLED if stopped is Status.CANCELLED else _CUTOFF
            stopped_now = replace(invocation, status=stopped, details=details, ended_at=self.now)
            return (yield from self._put(task, stopped_now))
        invocation = replace(invocation, started_at=self.now)
        try:
            begun = yield from (self._call if task.task.type == LAMBDA else self._send)(task, invocation)
        except InfraError:
            raise
        except PatchwrightError as error:  # a room's refusal, raised before anything is written
            begun = replace(invocation, status=Status.FAILED, details=str(error), ended_at=self.now)
        return (yield from self._put(task, begun))

    def _call(self, task: TaskExecution, invocation: Invocation) -> UnitOfWork[Invocation]:
        told = yield from calling.call(self.execution, task, invocation, now=self.now)
        return replace(invocation, status=Status.IN_PROGRESS, parameters=told)

    def _send(self, task: TaskExecution, invocation: Invocation) -> UnitOfWork[Invocation]:
        request, shown = yield from request_of(self.execution, task, invocation)
        permitted = yield from self.rights(task.scope, task.task.owner, request, self.now)
        command, released = yield from commands.send(
            task.scope,
            _sender(task),
            request,
            now=self.now,
            permitted=permitted,
            owner=task.task.owner,
            from_turn=True,
            end_by=self.execution.ends_at if (yield from must_fit(task.scope, self.execution.window_id)) else None,
            needs=needs,
        )
        self.released += released
        sent = replace(invocation, status=Status.IN_PROGRESS, command_id=command.id, parameters=shown)
        if command.detail is Detail.NO_INSTANCES_IN_TAG:
            return replace(sent, status=Status.SUCCESS, details="No targets.", ended_at=self.now)
        if command.detail.final and command.detail is not Detail.DELIVERY_TIMED_OUT:  # none of them would end in time
            return replace(sent, status=Status.FAILED, details=_DENIED, ended_at=self.now)
        return sent

    def _put(self, task: TaskExecution, invocation: Invocation) -> UnitOfWork[Invocation]:
        yield from executed.put_invocation(invocation)
        whole = task.task.type == RUN_COMMAND
        yield from telling.invocation(invocation, self.execution.window_id, whole=whole, now=self.now)
        return invocation

    def _end(self, task: TaskExecution, status: Status, details: str) -> UnitOfWork[TaskExecution]:
        ended = replace(task, status=status, details=details, ended_at=self.now)
        yield from executed.put_task(ended)
        yield from telling.task_execution(ended, now=self.now)
        return ended


def _opening(window: Window, execution_id: str, scheduled: float, now: float) -> Execution:
    ends_at = scheduled + window.duration * HOUR
    cutoff_at = ends_at - window.cutoff * HOUR
    return Execution(
        window.scope, execution_id, window.id, scheduled, cutoff_at, ends_at, Status.IN_PROGRESS, "", started_at=now
    )


def _admitted(execution: Execution, most_open: int | None) -> UnitOfWork[Execution]:
    """A new execution: under way, or waiting where as many are as may be, which it says."""
    if most_open is None or (yield from executed.running(execution.scope, limit=most_open)) < most_open:
        return execution
    return replace(execution, status=Status.PENDING, details=_waits(most_open))


def _has_its_turn(execution: Execution, most_open: int | None) -> UnitOfWork[bool]:
    """Whether one that waits may begin: there is room, and none has waited longer."""
    if most_open is not None and (yield from executed.running(execution.scope, limit=most_open)) >= most_open:
        return False
    return (yield from executed.first_waiting(execution.scope)) == execution.id


def _waits(most_open: int) -> str:
    return f"Waits until one of the {most_open} windows that may be open at once has ended."


def _made(
    execution: Execution, tasks: Sequence[WindowTask], fresh_ids: Iterator[str], *, now: float
) -> UnitOfWork[None]:
    """Tell of a new execution, which begins as PENDING unless it has ended already, and give it its tasks."""
    if execution.status is Status.IN_PROGRESS:
        yield from telling.execution(replace(execution, status=Status.PENDING), now=now)
    yield from telling.execution(execution, now=now)
    if execution.status.final:
        return
    made = [
        TaskExecution(execution.scope, execution.id, next(fresh_ids), task, position)
        for position, task in enumerate(tasks)
    ]
    yield from executed.add_tasks(made)
    for one in made:
        yield from telling.task_execution(one, now=now)


def _sender(task: TaskExecution) -> str:
    """The ARN of the one whose rights a task runs with."""
    return recall(task.task.owner).arn if task.task.owner else root_arn(task.scope.account)


def _finish(execution: Execution, tasks: list[TaskExecution], *, now: float) -> UnitOfWork[None]:
    worst = next((bad for bad in _WORST_FIRST if any(task.status is bad for task in tasks)), Status.SUCCESS)
    if execution.status is Status.CANCELLING:
        worst = Status.CANCELLED
    details = {Status.SUCCESS: "", Status.FAILED: SOME_FAILED, Status.CANCELLED: _CANCELLED}.get(worst, _CUTOFF)
    if execution.status is Status.PENDING:
        details = f"{_CUTOFF} {execution.details.replace('Waits', 'It waited')}"
    if worst is Status.CANCELLED and any(task.details == _DELETED for task in tasks):
        details = _DELETED
    if worst is Status.TIMED_OUT:
        details = next((task.details for task in tasks if task.status is worst and _LATE in task.details), details)
    ended = replace(execution, status=worst, details=details, ended_at=now)
    yield from executed.put(ended)
    yield from telling.execution(ended, now=now)


def _shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%MZ")
