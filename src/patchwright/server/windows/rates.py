# SPDX-License-Identifier: Apache-2.0
"""
How much of a task may be under way, and when nothing of it starts any more (spec §4.4): MaxConcurrency and MaxErrors are the
task's as a whole, however many registrations of targets it goes through, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from patchwright.server import commands
from patchwright.server.infra import UnitOfWork
from patchwright.server.windows.model import Invocation, Status, TaskExecution
from patchwright.server.windows.resolving import matches

TOO_MANY = "More errors than MaxErrors allows: it was not started."


def limited(task: TaskExecution, found: Sequence[Invocation]) -> UnitOfWork[TaskExecution | None]:
    """
    *task* with the rates that its next command is to have, of *found*, all its invocations; None: no further one may start.

    A percentage is of the nodes that all of them reach; the errors of those before it are spent.
    """
    if len(found) == 1:
        return task
    wanted = task.task
    relative = "%" in wanted.max_concurrency + wanted.max_errors
    nodes = errors = 0
    for one in found:
        if one.command_id:
            sent, failed = yield from commands.counts(one.scope, one.command_id)
            nodes, errors = nodes + sent, errors + failed
            continue
        errors += one.status is Status.FAILED  # refused before it was sent
        nodes += len((yield from matches(one.scope, one.targets))) if relative else 0
    left = commands.resolve_rate(wanted.max_errors, nodes, least=0) - errors
    if left < 0:
        return None
    at_once = commands.resolve_rate(wanted.max_concurrency, nodes, least=1)
    return replace(task, task=replace(wanted, max_concurrency=str(at_once), max_errors=str(left)))


class Next(NamedTuple):
    """Which of the calls of a task are to be made now; or (*stop*) that those to come never are."""

    start: Sequence[int] = ()
    stop: bool = False


def next_calls(task: TaskExecution, found: Sequence[Invocation], *, most: int) -> Next:
    """
    What is to be called now, by its place in *found*, at most *most* of it. Pure.

    One registration of targets after the other; of each as many at once as the task may have under way.
    """
    errors = sum(one.status is Status.FAILED for one in found)
    if errors > commands.resolve_rate(task.task.max_errors or "0", len(found), least=0):
        return Next(stop=True)
    open_ones = [place for place, one in enumerate(found) if not one.status.final]
    turn = [place for place in open_ones if found[place].window_target_id == found[open_ones[0]].window_target_id]
    waiting = [place for place in turn if found[place].status is Status.PENDING]
    free = commands.resolve_rate(task.task.max_concurrency or "1", len(found), least=1) - (len(turn) - len(waiting))
    return Next(waiting[: max(min(free, most), 0)])
