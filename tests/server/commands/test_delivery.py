# SPDX-License-Identifier: Apache-2.0
"""From release to the last reply: delivered until acknowledged, recorded once, ended for good (design D10)."""

from __future__ import annotations

import asyncio

import pytest

from patchwright.core.invocation import Detail
from patchwright.server import commands
from patchwright.server.commands import StepResult, UnknownInvocation, Waking
from patchwright.server.infra import sql
from server.commands.bench import NOW, VISIBILITY

STARTED, ENDED = "2026-11-20T04:00:00Z", "2026-11-20T04:00:09Z"


async def events(bench, command):
    """Every change of the command's invocations, oldest first."""

    def read():
        rows = yield sql(
            "SELECT detail, reason FROM invocation_event WHERE account = $1 AND command_id = $2 ORDER BY recorded_at",
            bench.scope.account,
            command.id,
        )
        return rows

    return await bench.database.read(read)


async def test_what_is_delivered_is_the_document_with_its_values(bench):
    """The payload of spec agent-protocol §8.1."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)

    (delivery,) = await bench.take(node)

    assert (delivery.command_id, delivery.instance_id, delivery.requested_at) == (command.id, node, NOW)
    assert delivery.payload["CommandId"] == command.id
    assert delivery.payload["DocumentName"] == "AWS-RunPatchBaseline"
    assert delivery.payload["DocumentContent"]["schemaVersion"] == "2.2"
    assert delivery.payload["Parameters"]["Operation"] == "Scan"
    assert delivery.payload["Parameters"]["RebootOption"] == "RebootIfNeeded"


async def test_a_command_on_its_way_is_invisible_until_its_time_has_passed(bench):
    """Unacknowledged, it is delivered again."""
    (node,) = await bench.nodes(1)
    await bench.send(node)

    assert len(await bench.take(node)) == 1
    bench.clock.time += VISIBILITY - 0.001
    assert await bench.take(node) == []
    bench.clock.time += 0.001
    assert len(await bench.take(node)) == 1


async def test_an_acknowledged_command_is_not_delivered_again(bench):
    """However long it takes; acknowledging twice is as good as once."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)
    await bench.take(node)
    for _ in range(2):
        await bench.acknowledge(command, node)
        bench.clock.time += 1000

    assert await bench.take(node) == []
    _, invocation = await bench.service.invocation(bench.scope, command.id, node)
    assert invocation.acknowledged_at == NOW


async def test_a_reply_acknowledges(bench):
    """A node that reports has the command."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)
    await bench.take(node)
    await bench.reply(command, node, Detail.IN_PROGRESS)
    bench.clock.time += VISIBILITY + 1

    assert await bench.take(node) == []


async def test_commands_are_delivered_oldest_first_and_one_at_a_time(bench):
    """Two polls at the same moment never get the same command."""
    (node,) = await bench.nodes(1)
    sent = []
    for _ in range(3):
        bench.clock.time += 1
        sent.append((await bench.send(node))[0].id)

    both = await asyncio.gather(bench.take(node), bench.take(node))
    third = await bench.take(node, limit=9)

    assert sorted(one.command_id for found in both for one in found) == sorted(sent[:2])
    assert [one.command_id for one in third] == sent[2:]


async def test_what_waits_is_seen_without_taking_it(bench):
    """The long poll looks before it writes."""
    (node,) = await bench.nodes(1)

    async def waiting():
        return await bench.database.read(commands.waiting, bench.scope, node, now=bench.clock.now())

    assert await waiting() is False
    await bench.send(node)
    assert await waiting() is True
    await bench.take(node)
    assert await waiting() is False


async def test_a_reply_ends_an_invocation_with_what_its_steps_reported(bench):
    """Status, code, output; and the change is an event."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)
    step = StepResult("Failed", 3, STARTED, ENDED, "out", "err")

    assert (await bench.reply(command, node, Detail.FAILED, steps={"PatchLinux": step}, trace="why"))[0] is True

    _, invocation = await bench.service.invocation(bench.scope, command.id, node)
    assert commands.step_result(command, invocation) == ("PatchLinux", step)
    assert (invocation.detail, invocation.response_code, invocation.trace) == (Detail.FAILED, 3, "why")
    assert invocation.ended_at == NOW
    assert await events(bench, command) == [("Failed", "reply")]


async def test_a_step_that_ended_starts_nobody(bench):
    """Its result is kept; the command stands where it stood until the node is done."""
    ids = await bench.nodes(2)
    command, _ = await bench.send(*ids, max_concurrency="1")
    await bench.reply(command, ids[0], Detail.IN_PROGRESS)
    step = StepResult("Success", 0, STARTED, ENDED, "out", "")

    assert await bench.reply(command, ids[0], Detail.IN_PROGRESS, steps={"PatchLinux": step}) == (False, [])

    _, invocation = await bench.service.invocation(bench.scope, command.id, ids[0])
    assert commands.step_result(command, invocation) == ("PatchLinux", step)
    assert (await bench.service.command(bench.scope, command.id)).detail is Detail.IN_PROGRESS


async def test_a_reply_counts_once(bench):
    """The same again changes nothing, and starts nobody twice."""
    ids = await bench.nodes(3)
    command, _ = await bench.send(*ids, max_concurrency="1")

    assert await bench.reply(command, ids[0], Detail.SUCCESS, reply_id="r") == (True, [ids[1]])
    assert await bench.reply(command, ids[0], Detail.SUCCESS, reply_id="r") == (False, [])

    assert await bench.details(command) == ["Success", "Pending", "Pending"]
    assert await events(bench, command) == [("Success", "reply")]


async def test_the_same_reply_many_times_at_once_counts_once(bench):
    """Whoever comes first."""
    ids = await bench.nodes(2)
    command, _ = await bench.send(*ids, max_concurrency="1")

    results = await asyncio.gather(*(bench.reply(command, ids[0], Detail.SUCCESS, reply_id="r") for _ in range(5)))

    assert sorted(results) == [(False, [])] * 4 + [(True, [ids[1]])]


async def test_replies_of_all_nodes_at_once_add_up(bench):
    """No result is lost, and the command ends."""
    ids = await bench.nodes(12)
    command, _ = await bench.send(*ids, max_concurrency="100%")

    await asyncio.gather(*(bench.reply(command, node, Detail.SUCCESS) for node in ids))

    ended = await bench.service.command(bench.scope, command.id)
    assert (ended.detail, ended.completed_count) == (Detail.SUCCESS, 12)


async def test_a_crowd_of_replies_to_one_command_is_taken(bench):
    """They all move the same counts; none is refused, however often it meets others."""
    ids = await bench.nodes(150)
    command, _ = await bench.send(targets=(commands.Target("InstanceIds", ("*",)),), max_concurrency="100%")

    await asyncio.gather(*(bench.reply(command, node, Detail.SUCCESS) for node in ids))

    ended = await bench.service.command(bench.scope, command.id)
    assert (ended.detail, ended.completed_count) == (Detail.SUCCESS, 150)


async def test_steps_are_merged_whatever_order_replies_come_in(bench):
    """What is said of a step replaces what was known of it; what is not mentioned stays."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)
    await bench.reply(
        command, node, Detail.IN_PROGRESS, steps={"one": StepResult("Success", 0), "two": StepResult("InProgress")}
    )
    await bench.reply(command, node, Detail.IN_PROGRESS, steps={"two": StepResult("Success", 0, stdout="2")})
    await bench.reply(command, node, Detail.SUCCESS, steps={"three": StepResult("Success", 0)}, trace="")

    _, invocation = await bench.service.invocation(bench.scope, command.id, node)
    assert {name: step.status for name, step in invocation.steps.items()} == dict.fromkeys(
        ("one", "two", "three"), "Success"
    )
    assert invocation.steps["two"].stdout == "2"
    assert invocation.response_code == 0


async def test_a_terminal_state_is_final(bench):
    """A start that is told after the end, and another end, change nothing (design D10)."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)
    await bench.reply(command, node, Detail.SUCCESS, steps={"PatchLinux": StepResult("Success", 0, stdout="done")})

    for detail in (Detail.IN_PROGRESS, Detail.FAILED, Detail.CANCELLED):
        late = {"PatchLinux": StepResult("Failed", 1, stdout="late")}
        assert await bench.reply(command, node, detail, steps=late) == (False, [])

    _, invocation = await bench.service.invocation(bench.scope, command.id, node)
    assert (invocation.detail, invocation.steps["PatchLinux"].stdout) == (Detail.SUCCESS, "done")
    assert await events(bench, command) == [("Success", "reply")]


async def test_only_nodes_that_were_sent_a_command_report_on_it(bench):
    """Nothing is noted of anyone else."""
    ids = await bench.nodes(2)
    command, _ = await bench.send(ids[0])

    with pytest.raises(UnknownInvocation):
        await bench.reply(command, ids[1], Detail.FAILED, reply_id="stolen")

    assert await bench.detail(command, ids[0]) == "Pending"

    def heard():
        return (yield sql("SELECT heard FROM invocation WHERE command_id = $1", command.id))

    assert await bench.database.read(heard) == [("",)]


async def test_time_runs_out_for_whoever_has_not_ended(alone):
    """Pending or in progress: DeliveryTimedOut, at the very second; whoever ended stays as it is (spec §5.3)."""
    bench = alone
    ids = await bench.nodes(4)
    command, _ = await bench.send(*ids, timeout_seconds=30, max_concurrency="3")
    await bench.reply(command, ids[0], Detail.SUCCESS)
    await bench.reply(command, ids[1], Detail.IN_PROGRESS)
    bench.clock.time = command.expires_at - 0.001
    assert await bench.expire() == []

    bench.clock.time = command.expires_at
    assert await bench.database.read(commands.any_overdue, now=bench.clock.now()) is True
    assert await bench.take(ids[2]) == []
    ended = await bench.expire()

    assert sorted(one.instance_id for one in ended) == ids[1:]
    assert await bench.details(command) == ["Success"] + ["DeliveryTimedOut"] * 3
    over = await bench.service.command(bench.scope, command.id)
    assert (over.detail.value, over.delivery_timed_out_count, over.completed_count) == ("Incomplete", 3, 4)
    assert await bench.database.read(commands.any_overdue, now=bench.clock.now()) is False
    assert await bench.reply(command, ids[1], Detail.SUCCESS) == (False, [])
    assert await bench.take(ids[2]) == []


async def test_many_run_out_of_time_in_batches(alone):
    """Each sweep ends so many; the next goes on; nothing is forgotten and nothing ends twice."""
    bench = alone
    ids = await bench.nodes(210)
    command, _ = await bench.send(targets=(commands.Target("InstanceIds", ("*",)),), max_concurrency="10%")
    bench.clock.time = command.expires_at + 1

    sizes = [len(await bench.expire()) for _ in range(3)]

    assert sizes == [200, 10, 0]
    over = await bench.service.command(bench.scope, command.id)
    assert (over.detail.value, over.completed_count, over.error_count) == ("DeliveryTimedOut", len(ids), 0)
    assert len(await events(bench, command)) == 210


async def test_a_parked_poll_is_woken_and_a_missed_one_is_not(bench):
    """Park first, then look: what is released in between is not missed."""
    waking = Waking()
    event = waking.park("mi-1")
    waking.wake(["mi-2"])
    assert not event.is_set()

    waking.wake(["mi-1", "mi-3"])
    await waking.wait("mi-1", event, seconds=30)
    assert event.is_set()

    event.clear()
    await waking.wait("mi-1", event, seconds=0)
    waking.leave("mi-1", event)
    waking.leave("mi-1", event)
    waking.wake(["mi-1"])
    assert not event.is_set()


async def test_a_server_that_stops_keeps_no_poll(bench):
    """Those that wait are woken, those to come do not begin to wait."""
    waking = Waking()
    event = waking.park("mi-1")

    waking.close()

    assert not await waking.wait("mi-1", event, seconds=30)
    assert not await waking.wait("mi-2", waking.park("mi-2"), seconds=30)


async def test_what_has_not_begun_in_time_does_not_begin(alone):
    """TimeoutSeconds is how long a command may wait to begin; what does begin has its execution time before it."""
    bench = alone
    (instance_id,) = await bench.nodes(1)
    command, _ = await bench.send(instance_id, timeout_seconds=30)
    begin_until = command.requested_at + 30

    bench.clock.time = begin_until
    assert await bench.take(instance_id) == []
    bench.clock.time = begin_until - 0.001
    assert [one.command_id for one in await bench.take(instance_id)] == [command.id]


async def test_what_is_open_on_a_node_that_goes_away_ends(bench):
    """Undeliverable, or cancelled where that was asked for; those whose turn comes by it are told; nothing ends twice."""
    gone, other = await bench.nodes(2)
    command, _ = await bench.send(gone, other, max_concurrency="1")
    await bench.take(gone)

    async def abandon():
        return await bench.database.write(commands.abandon, bench.scope, gone, now=bench.clock.now())

    ended, released = await abandon()

    assert (ended, released) == ([command.id], [other])
    _, invocation = await bench.service.invocation(bench.scope, command.id, gone)
    assert (invocation.detail, invocation.ended_at) == (Detail.UNDELIVERABLE, bench.clock.now())
    assert ("Undeliverable", "the node was deregistered") in await events(bench, command)
    assert await abandon() == ([], [])
    assert await bench.details(command) == [one.value for one in (Detail.UNDELIVERABLE, Detail.PENDING)]
    assert await bench.detail(command) == "InProgress"
