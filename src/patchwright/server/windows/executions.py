# SPDX-License-Identifier: Apache-2.0
"""What was executed of windows, as callers see it; and the job that opens windows and takes executions further."""

from __future__ import annotations

import math
from collections.abc import Callable

import structlog

from patchwright.core.errors import PatchwrightError
from patchwright.server import commands
from patchwright.server.accounts import Scope
from patchwright.server.infra import Clock, Database, InfraError, UnitOfWork
from patchwright.server.windows import execution_store as executed
from patchwright.server.windows import machine, store
from patchwright.server.windows.model import (
    KEPT_SECONDS,
    Execution,
    Invocation,
    Rights,
    TaskExecution,
    UnknownWindow,
    Window,
)

TEND_SECONDS = 2.0  # between two looks
RECOUNT_SECONDS = 600.0
_BATCH = 100
_MOST_DUE = 1000  # openings of one look: after a long outage there are many

_log = structlog.get_logger("patchwright.windows")


class Executions:
    """The executions of windows of every account."""

    def __init__(self, database: Database, clock: Clock, *, most_open: int | None = None) -> None:
        self._database = database
        self._clock = clock
        self._most_open = most_open

    async def page(
        self, scope: Scope, window_id: str, *, before: tuple[float, str] | None, limit: int
    ) -> list[Execution]:
        """Up to *limit* executions of a window, newest first, older than *before* (started_at, id)."""
        return await self._database.read(executed.page, scope, window_id, before=before, limit=limit)

    async def get(self, scope: Scope, execution_id: str) -> tuple[Execution, list[TaskExecution]]:
        """An execution with its tasks, by priority. Errors: UnknownWindow."""
        return await self._database.read(_get, scope, execution_id)

    async def task(self, scope: Scope, execution_id: str, task_id: str) -> tuple[TaskExecution, list[Invocation]]:
        """A task of an execution with its invocations, in order. Errors: UnknownWindow."""
        return await self._database.read(_task, scope, execution_id, task_id)

    async def run(self, scope: Scope, window_id: str) -> Execution:
        """
        Open a window now, out of its schedule; what it does begins with the next look of `tend`.

        Errors: UnknownWindow, WindowBusy, InvalidWindow.
        """
        now, fresh_ids = self._clock.now(), commands.fresh_ids()
        return await self._database.write(
            machine.open_now, scope, window_id, now=now, fresh_ids=fresh_ids, most_open=self._most_open
        )

    async def cancel(self, scope: Scope, execution_id: str) -> None:
        """Let nothing of an execution start any more. Errors: UnknownWindow."""
        if not await self._database.write(machine.cancel, scope, execution_id, now=self._clock.now()):
            raise _unknown(execution_id)


async def tend(
    database: Database,
    clock: Clock,
    wake: Callable[[list[str]], None],
    rights: Rights,
    *,
    most_open: int | None = None,
) -> int:
    """
    Open the windows that are due, take every execution as far as it goes, forget old ones; returns how many were opened.

    Safe to run in several processes at once, and again after any of them died: each step is one transaction that looks anew.
    A window that cannot be opened and an execution that cannot be advanced hold up no other one; why that is is raised at the
    end.
    *wake* is given the nodes for which a command waits; *rights* says what the owner of a task may do. Of an account and
    region *most_open* windows (None: any number) are open at once; the others wait for their turn (spec §1.20, §4.4).
    """
    failures = list[Exception]()
    opened = await _open_due(database, clock, most_open, failures)
    after = ""
    while under_way := await database.read(executed.unfinished, after=after, limit=_BATCH):
        for execution in under_way:
            try:
                released = await database.write(
                    machine.advance,
                    execution.scope,
                    execution.id,
                    now=clock.now(),
                    fresh_ids=commands.fresh_ids(),
                    rights=rights,
                    most_open=most_open,
                )
            except InfraError:
                raise
            except Exception as error:  # noqa: BLE001 - what is wrong with one account's window is not held against all
                failures.append(error)
            else:
                wake(released)
        after = under_way[-1].id
    await database.write(executed.forget, before=clock.now() - KEPT_SECONDS, limit=_BATCH)
    if failures:
        raise failures[0]
    return opened


async def recount(database: Database, clock: Clock) -> int:
    """
    Count anew when windows open that pass over an opening to come: a clock that was ahead made them do so; returns how many.

    What was noted of openings to come that were missed by that clock goes, so that they are not missed.
    """
    counted = 0
    after = ("", "", "")
    while found := await database.read(store.enabled, after=after, limit=_BATCH):
        for window in found:
            try:
                if machine.passes_over(window, now=clock.now()):
                    counted += await database.write(machine.recount, window.scope, window.id, now=clock.now())
            except InfraError:
                raise
            except PatchwrightError as error:
                _log.warning(
                    "a window cannot be counted", window=window.id, account=window.scope.account, error=str(error)
                )
        after = (*found[-1].scope, found[-1].id)
    return counted


async def _open_due(database: Database, clock: Clock, most_open: int | None, failures: list[Exception]) -> int:
    """Open what is due; returns how much was opened. So much at a time that what is under way has its turn as well."""
    opened = looked = 0
    after = (-math.inf, "")
    while looked < _MOST_DUE and (due := await database.read(store.due, now=clock.now(), after=after, limit=_BATCH)):
        for window in due:
            try:
                opened += await _open(database, clock, window, most_open)
            except InfraError:
                raise
            except Exception as error:  # noqa: BLE001 - as in `tend`
                failures.append(error)
        looked += len(due)
        after = (due[-1].next_at or 0.0, due[-1].id)
    return opened


async def _open(database: Database, clock: Clock, window: Window, most_open: int | None) -> bool:
    made = await database.write(
        machine.open_window,
        window.scope,
        window.id,
        now=clock.now(),
        fresh_ids=commands.fresh_ids(),
        most_open=most_open,
    )
    return made is not None


def _get(scope: Scope, execution_id: str) -> UnitOfWork[tuple[Execution, list[TaskExecution]]]:
    execution = yield from executed.find(scope, execution_id)
    if execution is None:
        raise _unknown(execution_id)
    return execution, (yield from executed.tasks(scope, execution_id))


def _task(scope: Scope, execution_id: str, task_id: str) -> UnitOfWork[tuple[TaskExecution, list[Invocation]]]:
    _, tasks = yield from _get(scope, execution_id)
    for task in tasks:
        if task.id == task_id:
            return task, (yield from executed.invocations(scope, execution_id, task_id))
    msg = f"Task execution {task_id} does not exist in window execution {execution_id}"
    raise UnknownWindow(msg)


def _unknown(execution_id: str) -> UnknownWindow:
    return UnknownWindow(f"Maintenance window execution {execution_id} does not exist")
