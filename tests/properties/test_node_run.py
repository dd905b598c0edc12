# SPDX-License-Identifier: Apache-2.0
"""The node run under fire: random histories of one node and one server, and what must hold in every one of them."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from properties.node_run import history, seams
from properties.node_run.script import FAULTS, Fault, Order, Script, script, smaller

FULL = os.environ.get("PATCHWRIGHT_FULL", "") not in ("", "0")
SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))
COUNT = 20_000 if FULL else 300
SHARDS = 40 if FULL else 4  # so that a parallel run shares the work


@pytest.fixture(autouse=True)
def in_place() -> Iterator[None]:
    """The agent lives in the model's world."""
    with seams.in_place():
        yield


def explained(found: Script, number: int) -> str:
    """A failing history made small, as it can be run again, with what happened in it."""
    least = smaller(found, lambda candidate: bool(history.play(candidate)))
    again = f"PYTHONPATH=src:tests .venv/bin/python -m properties.node_run {SEED} {number} small"
    return f"history {number} of seed {SEED} ({again}); the smallest that breaks:\n{history.told(least)}"


@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_history_breaks_an_invariant(shard):
    """Nothing runs twice, nothing finished is lost, every run ends, and every report is the package database."""
    seen: Counter[str] = Counter()
    rare = () if FULL else ("reboot", "refresh", "poll")
    expected = ["Failed", *(place for place in FAULTS if place not in rare)]
    for number in itertools.count(shard, SHARDS):
        if number >= COUNT and (number >= 5 * COUNT or all(seen[what] for what in expected)):
            break  # what has luck to thank for what it draws goes on until all has been seen
        told = script(SEED, number)
        played = history.run(told)
        assert not played.world.problems, explained(told, number)
        seen.update(line.partition(" ")[0] for line in played.world.struck)
        seen.update(detail for _, detail, *_ in played.central.invocations())

    assert seen["Success"] > seen["Failed"] > 0, seen
    assert all(seen[what] for what in expected), seen


def test_a_history_is_the_same_every_time():
    """A seed and a number name a history for ever: the same faults strike, the same lines are written."""
    told = script(7, 11)
    first, again = history.run(told), history.run(told)
    lines, repeated = (
        [line.replace(one.central.instance_id, "the node") for line in one.world.trace] for one in (first, again)
    )

    assert len(lines) > 20
    assert lines == repeated
    assert first.world.struck == again.world.struck != []


def test_a_failing_history_is_made_small():
    """What does not matter for the failure is left out, one order and one fault after the other."""
    told = Script(
        1,
        (Order("Scan", "NoReboot", 0.0), Order("Install", "NoReboot", 5.0)),
        (Fault("write", 3, "kill"), Fault("call", 9, "lost"), Fault("write", 40, "power")),
        skew=200.0,
    )

    def fails(candidate: Script) -> bool:
        return Fault("call", 9, "lost") in candidate.faults and any(o.operation == "Install" for o in candidate.orders)

    assert smaller(told, fails) == Script(1, told.orders[1:], told.faults[1:2])
