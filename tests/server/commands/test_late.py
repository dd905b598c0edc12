# SPDX-License-Identifier: Apache-2.0
"""Commands that have to end by some moment: what would last longer is not begun, and says so."""

from __future__ import annotations

import random

import pytest

from drawing import SEED
from patchwright.core.invocation import Detail
from patchwright.server import commands
from patchwright.server.commands import late
from patchwright.server.commands.late import spelt, why
from patchwright.server.infra import sql

LATE = "DeliveryTimedOut"


def needing(seconds):
    """What is known of nodes, by id."""

    def needs(_scope, _request, ids):
        yield from ()
        return {node: seconds[node] for node in ids if seconds.get(node) is not None}

    return needs


async def send(bench, nodes, seconds, *, lasts, **members):
    """Send a Scan that has to end in *lasts* seconds, to nodes that take so many *seconds* (None: nobody knows)."""
    request = bench.request(instance_ids=tuple(nodes), **members)
    now = bench.clock.now()
    needs = needing(dict(zip(nodes, seconds, strict=True)))
    return await bench.database.write(
        commands.send, bench.scope, "arn", request, now=now, end_by=now + lasts, needs=needs
    )


async def trace(bench, command, node):
    """What is said of a node."""
    _, invocation = await bench.service.invocation(bench.scope, command.id, node)
    return invocation.trace


async def test_a_node_that_would_end_too_late_is_not_begun(bench):
    """It ends at once, says what it needs and what is left, counts as no error, and its place is another's."""
    one, two, three = await bench.nodes(3)
    command, released = await send(bench, [one, two, three], [540.0, 800.1, None], lasts=540.0, max_concurrency="2")

    assert released == [one, three]  # what takes just as long as there is time fits; of the last one nothing is known
    assert await bench.details(command) == ["Pending", LATE, "Pending"]
    assert await trace(bench, command, two) == "Not begun: needs 14 min (p95), 9 min left."
    for node in released:
        await bench.reply(command, node, Detail.SUCCESS)
    found = await bench.service.command(bench.scope, command.id)
    assert (found.detail.value, found.delivery_timed_out_count, found.error_count) == ("Incomplete", 1, 0)


async def test_a_node_is_judged_when_its_turn_comes(bench):
    """What would have fitted at first does not when the one before it has taken too long."""
    one, two, three = await bench.nodes(3)
    command, released = await send(bench, [one, two, three], [10.0, 60.0, 20.0], lasts=100.0, max_concurrency="1")
    assert released == [one]
    bench.clock.time += 70.0

    assert await bench.reply(command, one, Detail.SUCCESS) == (True, [three])
    assert await bench.details(command) == ["Success", LATE, "Pending"]
    assert await trace(bench, command, two) == "Not begun: needs 60 s (p95), 30 s left."


async def test_nothing_is_begun_when_no_time_is_left(bench):
    """Not even a node of which nothing is known."""
    one, two = await bench.nodes(2)
    command, _ = await send(bench, [one, two], [None, None], lasts=100.0, max_concurrency="1", max_errors="1")
    bench.clock.time += 100.0

    assert await bench.reply(command, one, Detail.FAILED) == (True, [])
    assert await bench.details(command) == ["Failed", LATE]
    assert await trace(bench, command, two) == "Not begun: no time is left."


async def test_a_command_of_which_nothing_is_begun_has_timed_out(bench):
    """Its status is that of its invocations, with an event for each and one for the whole."""
    nodes = await bench.nodes(3)
    command, released = await send(bench, nodes, [100.0] * 3, lasts=99.0, max_concurrency="1")

    assert (released, await bench.detail(command)) == ([], LATE)
    assert await bench.database.read(commands.turned_away, bench.scope, command.id) == (3, True)
    assert await bench.take(nodes[0]) == []
    reasons = await bench.database.read(_reasons, bench.scope, command.id)
    assert reasons == ["Not begun: needs 100 s (p95), 99 s left."] * 3


def _reasons(scope, command_id):
    rows = yield sql(
        "SELECT reason FROM invocation_event WHERE account = $1 AND region = $2 AND command_id = $3", *scope, command_id
    )
    return [row[0] for row in rows]


async def test_many_are_turned_away_step_by_step(bench, monkeypatch):
    """More than one transaction looks at: a job goes on, and whoever fits is begun all the same."""
    monkeypatch.setattr(late, "TOGETHER", 20)
    monkeypatch.setattr(late, "_AHEAD", 7)
    everybody = await bench.nodes(33, spread="yes")
    seconds = dict.fromkeys(everybody, 1000.0)
    seconds[everybody[-1]] = seconds[everybody[25]] = 5.0
    request = bench.request(targets=(commands.Target("tag:spread", ("yes",)),), max_concurrency="1")
    now, needs = bench.clock.now(), needing(seconds)
    command, released = await bench.database.write(
        commands.send, bench.scope, "arn", request, now=now, end_by=now + 100.0, needs=needs
    )
    woken = []
    await commands.tend(bench.database, bench.clock, woken.extend, _everything, needs=needs)

    begun = [one for one in [*released, *woken] if one in seconds]
    assert (released, begun) == ([], [everybody[25]])
    await bench.reply(command, begun[0], Detail.SUCCESS)
    await commands.tend(bench.database, bench.clock, woken.extend, _everything, needs=needs)
    found = await bench.service.command(bench.scope, command.id)
    assert (found.delivery_timed_out_count, found.completed_count) == (len(everybody) - 2, len(everybody) - 1)
    assert await bench.detail(command, everybody[-1]) == "Pending"


def _everything(*_asked):
    yield from ()


async def test_what_has_no_end_is_never_turned_away(bench):
    """Without a moment to end by nothing is asked, and nothing kept."""
    (node,) = await bench.nodes(1)
    command, released = await bench.database.write(
        commands.send, bench.scope, "arn", bench.request(instance_ids=(node,)), now=bench.clock.now(), needs=_not_asked
    )

    assert released == [node]
    assert await bench.database.read(commands.turned_away, bench.scope, command.id) == (0, True)


def _not_asked(*_asked):
    raise AssertionError("nobody needs to know")


async def test_an_error_or_a_cancel_besides_is_told_as_ever(bench):
    """Too many errors stop the command; what waits is terminated and not judged."""
    one, two, three = await bench.nodes(3)
    command, _ = await send(bench, [one, two, three], [5.0, 500.0, 5.0], lasts=100.0, max_concurrency="1")
    await bench.reply(command, one, Detail.FAILED)

    assert await bench.details(command) == ["Failed", "Terminated", "Terminated"]
    assert await bench.database.read(commands.turned_away, bench.scope, command.id) == (0, False)


async def test_at_no_time_does_anything_begin_that_would_end_too_late(bench):
    """Whatever nodes need, and however long they really take: each begins if and only if it fits in its turn."""
    chance = random.Random(f"{SEED} late")
    nodes = await bench.nodes(12)
    needs = {node: chance.choice([None, chance.uniform(1, 120)]) for node in nodes}
    at_once = chance.randint(1, 4)
    end_by = bench.clock.now() + 150.0
    command, released = await send(
        bench, nodes, [needs[node] for node in nodes], lasts=150.0, max_concurrency=str(at_once)
    )
    under_way, begun = {}, []
    while True:
        for node in released:
            assert end_by - bench.clock.now() >= (needs[node] or 1e-9)
            under_way[node] = bench.clock.now() + chance.uniform(1, 90)
            begun.append(node)
        assert len(under_way) <= at_once
        if not under_way:
            break
        node = min(under_way, key=under_way.get)
        bench.clock.time = under_way.pop(node)
        _, released = await bench.reply(command, node, Detail.SUCCESS)

    assert begun == sorted(begun, key=nodes.index)
    for node in nodes:
        assert await bench.detail(command, node) == ("Success" if node in begun else LATE)


@pytest.mark.parametrize(
    ("seconds", "up", "text"),
    [
        (0.2, False, "0 s"),
        (0.2, True, "1 s"),
        (119.9, False, "119 s"),
        (119.9, True, "120 s"),
        (120.0, True, "2 min"),
        (539.0, False, "8 min"),
        (840.0, True, "14 min"),
        (7200.0, True, "2 h 0 min"),
        (7500.0, False, "2 h 5 min"),
    ],
)
def test_seconds_are_told_so_that_needs_never_look_too_small(seconds, up, text):
    """What is needed is rounded up, what is left down."""
    assert spelt(seconds, up=up) == text


def test_what_does_not_fit_never_reads_as_if_it_did():
    """A second too long."""
    assert why(541.0, 540.0) == "Not begun: needs 10 min (p95), 9 min left."
