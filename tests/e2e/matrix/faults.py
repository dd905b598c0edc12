# SPDX-License-Identifier: Apache-2.0
"""What befalls a node that stands at a step, and how that is undone once it was felt."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence

from farm import FarmError, until

from .points import FAULTS
from .stage import Stage

TASKS = ("facts", "resolve", "install", "script")
KILL = ["sh", "-c", 'kill -KILL "$1"', "kill"]  # the shell's own: a small Debian has no program of that name
EVERYTHING = ["systemctl", "kill", "--kill-whom=all", "--signal=KILL", "agent"]
AGENT = ["systemctl", "kill", "--kill-whom=main", "--signal=KILL", "agent"]


def befall(stage: Stage, fault: str) -> None:
    """Let *fault* happen to a stage that stands at its stop, and everything go on."""
    _FAULTS[fault](stage)
    stage.stops.go()


def _agent_killed(stage: Stage) -> None:
    _run(stage, AGENT)


def _worker_killed(stage: Stage) -> None:
    _run(stage, [*KILL, _process(stage, "work")])


def _task_killed(stage: Stage) -> None:
    _run(stage, [*KILL, _process(stage, *TASKS)])


def _everything_killed(stage: Stage) -> None:
    _run(stage, EVERYTHING)


def _power_cut(stage: Stage) -> None:
    stage.node.crash()
    stage.node.start(wait=False)


def _server_killed(stage: Stage) -> None:
    stage.station.stop(signal.SIGKILL)
    with _missed(stage):
        stage.stops.go()
    stage.station.start()


def _network_cut(stage: Stage) -> None:
    stage.node.partition()
    with _missed(stage):
        stage.stops.go()
    stage.node.heal()


_FAULTS: dict[str, Callable[[Stage], None]] = {
    FAULTS["a"]: _agent_killed,
    FAULTS["w"]: _worker_killed,
    FAULTS["t"]: _task_killed,
    FAULTS["e"]: _everything_killed,
    FAULTS["p"]: _power_cut,
    FAULTS["s"]: _server_killed,
    FAULTS["n"]: _network_cut,
}


@contextlib.contextmanager
def _missed(stage: Stage) -> Iterator[None]:
    """
    Wait until the node has missed the server.

    Where the worker still has to speak, it is the worker that must have tried: the waiting agent asks all the time.
    """
    before = len(stage.stops.trace())
    yield

    def felt() -> bool:
        trace = stage.stops.trace()
        missed = {role for role, _, side, _ in trace[before:] if side == "unavailable"}
        done = any(step == "write the end" for _, _, _, step in trace)
        return "work" in missed or bool(missed and done)

    until(felt, what="the node has missed the server")


def _process(stage: Stage, *roles: str) -> str:
    """The pid, as the node counts, of the youngest process of the agent that has one of *roles*."""
    return [pid for role, pid, _, _ in stage.stops.trace() if role in roles][-1]


def _run(stage: Stage, argv: Sequence[str]) -> None:
    boots = stage.node.boots
    try:
        stage.node.run(argv)
    except FarmError:  # a node that is on its way down loses those processes anyway; nothing else excuses it
        until(lambda: stage.node.boots > boots, what=f"{' '.join(argv)} has an effect")
