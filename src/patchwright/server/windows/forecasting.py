# SPDX-License-Identifier: Apache-2.0
"""What is known of a window's nodes, and what its next opening comes to by that (docs/adr/0036)."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from patchwright.server import commands, patching, tags
from patchwright.server.accounts import Scope
from patchwright.server.commands import Request, Target
from patchwright.server.infra import Clock, Database, UnitOfWork
from patchwright.server.windows import execution_store as executed
from patchwright.server.windows import store
from patchwright.server.windows.forecast import (
    ENOUGH,
    Basis,
    Bounds,
    Due,
    Errand,
    Foretold,
    Length,
    Outlook,
    Past,
    Round,
    Task,
    Verdict,
    errand,
    expected,
    foretell,
    length_of,
    parts,
    usual,
)
from patchwright.server.windows.model import HOUR, LAMBDA, RUN_COMMAND, InvalidWindow, Window, WindowTarget, WindowTask
from patchwright.server.windows.resolving import reached_by
from patchwright.server.windows.service import require

MUST_FIT = "patchwright:must-fit"  # the tag of a window that begins nothing which would not end before it closes
_LIKE = 200  # nodes of an operating system, whose history stands in for that of one without
_RUNS = 20  # executions of a window, by which a task is judged that is no patching
_KEPT = 4  # forecasts that a process remembers for their next pages
_KEPT_SECONDS = 300.0
_AT_ONCE = Length(0.0, 0.0)  # what is refused takes no time

Known = dict[str, Sequence[Length | None]]  # by operating system: one scan, installation and restart of its nodes


@dataclass(frozen=True)
class Forecast:
    """What is to be expected of an opening: *opens* in epoch seconds, everything else in seconds after it."""

    window: Window
    opens: float
    bounds: Bounds
    outlooks: Sequence[Outlook]
    tasks: Mapping[str, WindowTask]
    made_at: float

    def nodes(self, first: int) -> Iterator[tuple[int, Outlook, Foretold]]:
        """What is to be expected of every node, in the order of the tasks, from the place *first* on; with its place."""
        place = 0
        for outlook in self.outlooks:
            skipped = min(max(first - place, 0), len(outlook.nodes))
            for number in range(skipped, len(outlook.nodes)):
                yield place + number, outlook, outlook.nodes[number]
            place += len(outlook.nodes)


class Forecasts:
    """Forecasts of the windows of every account."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._kept: OrderedDict[tuple[Scope, str, float], Forecast] = OrderedDict()

    async def make(self, scope: Scope, window_id: str, *, at: float | None = None) -> Forecast:
        """
        What is to be expected of a window that opens at *at*; None: when it opens next.

        Errors: UnknownWindow; InvalidWindow for one that does not open again.
        """
        window = await self._database.read(require, scope, window_id)
        opens = window.next_at if at is None else at
        if opens is None:
            msg = f"{window_id} does not open again: name a moment with At."
            raise InvalidWindow(msg)
        refuses = await self._database.read(must_fit, scope, window_id)
        bounds = Bounds((window.duration - window.cutoff) * HOUR, window.duration * HOUR, refuses)
        registered = await self._database.read(store.targets, scope, window_id)
        found = await self._database.read(store.tasks, scope, window_id)
        known: Known = {}
        tasks = [await self._task(window, one, registered, known) for one in found]
        outlooks = await asyncio.to_thread(foretell, tasks, bounds)
        made = Forecast(window, opens, bounds, outlooks, {one.id: one for one in found}, self._clock.now())
        self._keep(made)
        return made

    async def again(self, scope: Scope, window_id: str, *, at: float) -> Forecast:
        """The forecast that was made for that opening a moment ago, or another one. Errors: UnknownWindow."""
        kept = self._kept.get((scope, window_id, at))
        if kept is not None and self._clock.now() - kept.made_at < _KEPT_SECONDS:
            return kept
        return await self.make(scope, window_id, at=at)

    def _keep(self, made: Forecast) -> None:
        key = (made.window.scope, made.window.id, made.opens)
        self._kept.pop(key, None)
        self._kept[key] = made
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    async def _task(self, window: Window, task: WindowTask, registered: Sequence[WindowTarget], known: Known) -> Task:
        cancels = task.cutoff_behavior == "CANCEL_TASK"
        made = Task(task.id, task.priority, cancels=cancels, patches=False)
        if task.type not in {RUN_COMMAND, LAMBDA}:
            return replace(made, whole=_AT_ONCE)
        asked = errand(task.arn, _request(task).parameters) if task.type == RUN_COMMAND else None
        if asked is None:
            runs = await self._database.read(executed.lengths, window.scope, window.id, task.id, limit=_RUNS)
            return replace(made, whole=length_of(runs) if len(runs) >= ENOUGH else None)
        rounds: list[list[Due]] = []
        for named, targets in _rounds(task, registered):
            nodes = await self._reached(window, targets, asked, known)
            if named:
                nodes = await self._named(window, registered, nodes, targets[0].values)
            rounds.append(nodes)
        at_once = commands.resolve_rate(task.max_concurrency, sum(map(len, rounds)), least=1)
        return replace(made, patches=True, rounds=[Round(nodes, at_once) for nodes in rounds])

    async def _reached(self, window: Window, targets: Sequence[Target], asked: Errand, known: Known) -> list[Due]:
        found: list[Due] = []
        after: str | None = ""
        try:
            while after is not None:
                ids, after = await self._database.read(commands.next_matching, window.scope, targets, after=after)
                found += await self._database.read(_due, window.scope, asked, ids, known)
        except commands.InvalidTargets:
            return []
        return found

    async def _named(
        self, window: Window, registered: Sequence[WindowTarget], nodes: Sequence[Due], ids: Sequence[str]
    ) -> list[Due]:
        """Those of *nodes* that a task may name itself, in the order in which it does."""
        by_id = {one.id: one for one in nodes}
        if not window.allow_unassociated_targets:
            reached = await self._database.read(reached_by, window.scope, registered)
            by_id = {name: one for name, one in by_id.items() if name in reached}
        return [by_id[name] for name in ids if name in by_id]


def must_fit(scope: Scope, window_id: str) -> UnitOfWork[bool]:
    """Whether a window begins nothing that would not end before it closes; a unit of work."""
    labels = yield from tags.of(scope, tags.MAINTENANCE_WINDOW, window_id)
    return labels.get(MUST_FIT, "").lower() == "true"


def needs(scope: Scope, request: Request, instance_ids: Sequence[str]) -> UnitOfWork[dict[str, float]]:
    """
    How many seconds a command takes on some nodes at most, by p95; those of which nothing is known are left out.

    A unit of work. Of what is no patching nothing is known.
    """
    asked = errand(request.document_name, request.parameters)
    if asked is None:
        return {}
    nodes = yield from _due(scope, asked, instance_ids, {})
    return {one.id: one.length.p95 for one in nodes if one.length is not None}


def counts(outlooks: Sequence[Outlook]) -> Counter[Verdict]:
    """How many nodes there are of each verdict; a node counts in every task that reaches it."""
    return Counter(one.verdict for one in chain.from_iterable(outlook.nodes for outlook in outlooks))


def _due(scope: Scope, asked: Errand, ids: Sequence[str], known: Known) -> UnitOfWork[list[Due]]:
    """How long some nodes are expected to take, in the order of *ids*. *known* is added to as it is needed."""
    found = yield from patching.histories(scope, ids)
    for system in sorted({one.operating_system for one in found.values()} - known.keys()):
        known[system] = yield from _of_system(scope, system)
    return [_length(one, asked, found.get(one), known) for one in ids]


def _length(node: str, asked: Errand, history: patching.History | None, known: Known) -> Due:
    if history is None:
        return Due(node, None, Basis.NONE)
    wanted = parts(asked, missing=history.missing, pending=history.pending)
    texts = (history.scans, history.installs, history.restarts)
    own = Past(*(patching.read_durations(text) if number else () for number, text in zip(wanted, texts, strict=True)))
    return Due(node, *expected(wanted, own, known[history.operating_system]))


def _of_system(scope: Scope, operating_system: str) -> UnitOfWork[list[Length | None]]:
    """p50 and p95 of one scan, installation and restart of an account's nodes of an operating system; None: too few."""
    if not operating_system:
        return [None, None, None]
    found = yield from patching.histories_of_system(scope, operating_system, limit=_LIKE)
    pools = ([one.scans for one in found], [one.installs for one in found], [one.restarts for one in found])
    values = [[each for text in pool for each in usual(patching.read_durations(text))] for pool in pools]
    return [length_of(each) if len(each) >= ENOUGH else None for each in values]


def _rounds(task: WindowTask, registered: Sequence[WindowTarget]) -> Iterator[tuple[bool, tuple[Target, ...]]]:
    """What is carried out one after the other (`running.invocations_of`): targets, and whether the task names them itself."""
    by_id = {target.id: target for target in registered}
    for target in task.targets:
        if target.key == "WindowTargetIds":
            yield from ((False, by_id[value].targets) for value in target.values if value in by_id)
        else:
            yield True, (target,)


def _request(task: WindowTask) -> Request:
    """As much of a task's command as tells how long it takes."""
    settings = task.invocation.get("RunCommand", {})
    return Request(
        document_name=task.arn,
        document_version=settings.get("DocumentVersion", "$DEFAULT"),
        parameters=settings.get("Parameters", {}),
    )
