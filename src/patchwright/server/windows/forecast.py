# SPDX-License-Identifier: Apache-2.0
"""
Whether what a window does fits into it, going by how long it took before (docs/adr/0036). Pure.

Everything is worked out twice: with what half of the earlier runs took at most (p50), and with what nineteen of twenty took at
most (p95). Times are seconds after the opening.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

ENOUGH = 3  # durations of one kind, before a node's own say anything
MANY, BEYOND = 5, 4  # values, and how many times as large as the next the largest of them may be
_PATCHES, _WITH_HOOKS = "AWS-RunPatchBaseline", "AWS-RunPatchBaselineWithHooks"
_HALF, _NEARLY_ALL = 50, 95


class Length(NamedTuple):
    """Seconds: of half of the runs at most, of nineteen in twenty at most."""

    p50: float
    p95: float


class Verdict(str, Enum):
    """Whether what is due on a node fits into the window."""

    FITS = "FITS"
    DOES_NOT_FIT = "DOES_NOT_FIT"
    UNKNOWN = "UNKNOWN"


class Basis(str, Enum):
    """Whose earlier runs a length is from: the node's own, those of nodes with the same operating system, or nobody's."""

    OWN = "OWN"
    PLATFORM = "PLATFORM"
    NONE = "NONE"


class Errand(NamedTuple):
    """What a patch task asks of every node."""

    installs: bool
    restarts: bool
    hooks: bool


class Parts(NamedTuple):
    """How often a node scans, installs and restarts."""

    scans: int
    installs: int = 0
    restarts: int = 0


class Past(NamedTuple):
    """Durations in seconds, newest first."""

    scans: Sequence[float] = ()
    installs: Sequence[float] = ()
    restarts: Sequence[float] = ()


class Due(NamedTuple):
    """A node that a task reaches, and how long that is expected to take; None: nothing is known."""

    id: str
    length: Length | None
    basis: Basis = Basis.NONE


class Round(NamedTuple):
    """The nodes of one registration, in the order in which they begin, and how many are under way at once."""

    nodes: Sequence[Due]
    at_once: int


@dataclass(frozen=True)
class Task:
    """
    A task: its rounds come one after the other. *whole* is how long a task takes that is no patching; None: not known.

    *cancels*: at the cutoff it lets nothing more begin.
    """

    id: str
    priority: int
    rounds: Sequence[Round] = ()
    whole: Length | None = None
    patches: bool = True
    cancels: bool = False


class Foretold(NamedTuple):
    """What is to be expected of a node in a task. *starts* and *ends* by p95; None: it is never begun."""

    due: Due
    starts: float | None
    ends: float | None
    verdict: Verdict


class Outlook(NamedTuple):
    """What is to be expected of a task. *starts* None: it is not reached before the cutoff; *ends*: p50 and p95 of it."""

    task: Task
    starts: float | None
    ends: Length | None
    certain: bool
    nodes: Sequence[Foretold]


class Bounds(NamedTuple):
    """The window: from *cutoff* on no task begins, at *closes* it ends. *refuses*: what would not end by then is not begun."""

    cutoff: float
    closes: float
    refuses: bool = False


def ranked(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile of some values: the smallest of which so many percent are at most that."""
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]


def length_of(values: Sequence[float]) -> Length:
    """p50 and p95 of some durations."""
    return Length(ranked(values, _HALF), ranked(values, _NEARLY_ALL))


def usual(values: Sequence[float]) -> Sequence[float]:
    """
    *values* without the largest, where there are `MANY` and it is more than `BEYOND` times the next one.

    A node that was switched off for a day while it restarted is not a node that needs a day to restart; what comes twice counts.
    """
    if len(values) < MANY:
        return values
    *others, largest = sorted(values)
    return others if largest > BEYOND * others[-1] else values


def errand(document: str, parameters: Mapping[str, Sequence[str]]) -> Errand | None:
    """What a command asks of a node, by the name or ARN of its document; None: no patching, or none that is known."""
    name = document.rpartition("/")[2]
    if name not in {_PATCHES, _WITH_HOOKS}:
        return None
    installs = _first(parameters, "Operation") == "Install"
    return Errand(installs, installs and _first(parameters, "RebootOption") != "NoReboot", name == _WITH_HOOKS)


def parts(asked: Errand, *, missing: int, pending: int) -> Parts:
    """What a node does that misses so many patches, and has so many wait for a restart (spec §3.5, §3.8)."""
    restarts = int(asked.restarts and (missing > 0 or pending > 0))
    installs = int(asked.installs and missing > 0)
    if asked.hooks and (restarts or installs):  # a Scan first, an Install then, and a third operation that restarts
        return Parts(2 + restarts, installs, restarts)
    return Parts(1, installs, restarts)


def expected(wanted: Parts, own: Past, others: Sequence[Length | None]) -> tuple[Length | None, Basis]:
    """
    How long a node takes for *wanted*, and by whose history: its own where there are `ENOUGH`, else that of *others*.

    *others* are the lengths of one scan, installation and restart of the nodes with the same operating system.
    """
    p50 = p95 = 0.0
    basis = Basis.OWN
    for number, past, of_others in zip(wanted, own, others, strict=True):
        if not number:
            continue
        known = length_of(usual(past)) if len(past) >= ENOUGH else of_others
        if known is None:
            return None, Basis.NONE
        if len(past) < ENOUGH:
            basis = Basis.PLATFORM
        p50, p95 = p50 + number * known.p50, p95 + number * known.p95
    return Length(p50, p95), basis


def foretell(tasks: Sequence[Task], bounds: Bounds) -> list[Outlook]:
    """
    What is to be expected of *tasks*, given by priority, as the machine carries them out (spec §4.4).

    Those of one priority begin together, the next priority when all of them have ended. Of a task whose length is not known
    it is assumed that it takes no time: whatever does not fit behind it does not fit, and of the rest nothing is certain.
    """
    found: list[Outlook] = []
    begins, certain = Length(0.0, 0.0), True
    for priority in sorted({task.priority for task in tasks}):
        turn = [_task(task, begins, certain, bounds) for task in tasks if task.priority == priority]
        found += turn
        certain = all(one.certain for one in turn)
        ends = [one.ends for one in turn if one.ends is not None]
        begins = Length(
            max((one.p50 for one in ends), default=begins.p50), max((one.p95 for one in ends), default=begins.p95)
        )
    return found


def schedule(
    needs: Sequence[float], at_once: int, begins: float, *, last: float = math.inf, latest: Sequence[float] = ()
) -> list[float | None]:
    """
    When each of some nodes begins that take so long, *at_once* of them at a time, in their order.

    None: it is not begun, since its turn comes at *last* or later, or later than its own *latest*; the next one takes its
    place. Longer work and fewer places never let anything begin earlier, without *latest*.
    """
    free = [begins] * max(min(at_once, len(needs)), 1)
    found: list[float | None] = []
    for place, need in enumerate(needs):
        start = free[0]
        if start >= last or (latest and start > latest[place]):
            found.append(None)
            continue
        found.append(start)
        heapq.heapreplace(free, start + need)
    return found


class _Span(NamedTuple):
    """When a node begins and ends; None: it does not."""

    starts: float | None
    ends: float | None


_NEVER = _Span(None, None)


def _task(task: Task, begins: Length, certain: bool, bounds: Bounds) -> Outlook:
    reached = begins.p95 < bounds.cutoff
    if not task.patches:
        took = task.whole or Length(0.0, 0.0)
        ends = Length(begins.p50 + took.p50, begins.p95 + took.p95)
        certain = certain and task.whole is not None
        return Outlook(task, begins.p95, ends, certain, ()) if reached else Outlook(task, None, None, certain, ())
    nodes = [one for turn in task.rounds for one in turn.nodes]
    known = [one.length for one in nodes if one.length is not None]
    usual = (
        Length(ranked([one.p50 for one in known], _HALF), ranked([one.p95 for one in known], _NEARLY_ALL))
        if known
        else Length(0.0, 0.0)
    )
    if not reached:
        return Outlook(task, None, None, certain, [_foretold(one, _NEVER, certain, bounds) for one in nodes])
    _, p50 = _run(task, begins.p50, [[(one.length or usual).p50 for one in turn.nodes] for turn in task.rounds], bounds)
    spans, p95 = _run(
        task, begins.p95, [[(one.length or usual).p95 for one in turn.nodes] for turn in task.rounds], bounds
    )
    certain = certain and bool(known or not nodes)
    told = [_foretold(one, span, certain, bounds) for one, span in zip(nodes, spans, strict=True)]
    return Outlook(task, begins.p95, Length(p50, p95), certain, told)


def _run(task: Task, begins: float, needs: Sequence[Sequence[float]], bounds: Bounds) -> tuple[list[_Span], float]:
    """When each node of a task begins and ends, round after round, and when the task has ended."""
    end = bounds.cutoff if task.cancels else math.inf
    spans: list[_Span] = []
    for turn, needed in zip(task.rounds, needs, strict=True):
        latest = [_latest(one, bounds) for one in turn.nodes] if bounds.refuses else ()
        starts = schedule(needed, turn.at_once, begins, last=end, latest=latest)
        some = [
            _NEVER if start is None else _Span(start, start + need) for start, need in zip(starts, needed, strict=True)
        ]
        begins = max([begins, *(one.ends for one in some if one.ends is not None)])
        spans += some
    return spans, min(begins, end)


def _latest(due: Due, bounds: Bounds) -> float:
    """The last moment at which a node is begun where nothing may last longer than the window."""
    if due.length is None:
        return math.nextafter(bounds.closes, -math.inf)
    return bounds.closes - due.length.p95


def _foretold(due: Due, span: _Span, certain: bool, bounds: Bounds) -> Foretold:
    if span.starts is None or span.ends is None or span.starts >= bounds.cutoff:
        verdict = Verdict.DOES_NOT_FIT
    elif due.length is None:
        verdict = Verdict.UNKNOWN
    elif span.ends > bounds.closes:
        verdict = Verdict.DOES_NOT_FIT
    else:
        verdict = Verdict.FITS if certain else Verdict.UNKNOWN
    return Foretold(due, span.starts, span.ends, verdict)


def _first(parameters: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(parameters.get(name, ())), "")
