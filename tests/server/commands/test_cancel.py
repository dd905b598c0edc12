# SPDX-License-Identifier: Apache-2.0
"""Holding commands back: what was not handed over ends, the rest is told, until it says that it has heard (spec §5.7)."""

from __future__ import annotations

import pytest

from patchwright.core.invocation import Detail
from patchwright.core.protocol import CANCEL_COMMAND_TOPIC, SEND_COMMAND_TOPIC
from patchwright.server import commands
from patchwright.server.commands import DuplicateInstance, StepResult, UnknownCommand, UnknownInstances
from server.commands.bench import VISIBILITY

UNKNOWN = "00000000-0000-0000-0000-000000000000"


async def test_what_nobody_has_ends_at_once(bench):
    """Released or not, it was never handed over: it is cancelled, and so is the command; nothing is delivered any more."""
    ids = await bench.nodes(3)
    command, _ = await bench.send(*ids, max_concurrency="1")

    assert await bench.cancel(command) == []

    assert await bench.details(command) == ["Cancelled"] * 3
    assert await bench.detail(command) == "Cancelled"
    assert [await bench.take(node) for node in ids] == [[], [], []]


async def test_what_runs_is_told_to_stop_until_it_has_heard(bench):
    """By a message with an id of its own, which comes again until it is acknowledged; the node says when it has stopped."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)
    (sent,) = await bench.take(node)
    assert (sent.topic, sent.message_id) == (SEND_COMMAND_TOPIC, f"aws.ssm.{command.id}.{node}")
    assert await bench.heard(node, sent.message_id)
    await bench.reply(command, node, Detail.IN_PROGRESS)

    assert await bench.cancel(command) == [node]
    assert (await bench.detail(command), await bench.detail(command, node)) == ("Cancelling", "Cancelling")

    (told,) = await bench.take(node)
    assert (told.topic, told.payload) == (CANCEL_COMMAND_TOPIC, {"CancelMessageId": sent.message_id})
    assert await bench.take(node) == []
    bench.clock.time += VISIBILITY
    (again,) = await bench.take(node)
    assert again.message_id == told.message_id
    assert [await bench.heard(node, told.message_id) for _ in range(2)] == [True, False]
    bench.clock.time += VISIBILITY
    assert await bench.take(node) == []

    killed = StepResult("Cancelled", 137)
    await bench.reply(command, node, Detail.IN_PROGRESS)  # said before it had heard
    assert await bench.detail(command, node) == "Cancelling"
    assert await bench.reply(command, node, Detail.CANCELLED, steps={"PatchLinux": killed}) == (True, [])
    assert (await bench.detail(command), await bench.detail(command, node)) == ("Cancelled", "Cancelled")


async def test_a_command_that_is_cancelled_may_end_before_the_node_hears(bench):
    """Then it ended as it did; the message is not delivered any more."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)
    await bench.take(node)
    await bench.cancel(command)

    await bench.reply(command, node, Detail.SUCCESS)

    assert (await bench.detail(command), await bench.take(node)) == ("Success", [])


async def test_what_was_handed_over_and_never_got_there_ends_after_a_minute(alone):
    """It is not handed over again; if the node says that it has it after all, it has its whole time to stop."""
    bench = alone
    lost, late = await bench.nodes(2)
    command, _ = await bench.send(lost, late)
    (sent,) = await bench.take(late)
    await bench.take(lost)
    await bench.cancel(command)
    bench.clock.time += VISIBILITY
    assert {one.topic for one in await bench.take(lost, limit=9)} == {CANCEL_COMMAND_TOPIC}
    assert await bench.heard(late, sent.message_id)

    bench.clock.time += 60
    assert [(one.instance_id, one.detail) for one in await bench.expire()] == [(lost, Detail.CANCELLED)]

    assert await bench.detail(command, late) == "Cancelling"
    bench.clock.time = command.expires_at
    await bench.expire()
    assert await bench.detail(command, late) == "DeliveryTimedOut"
    assert await bench.detail(command) == "Cancelled"


async def test_some_nodes_of_a_command_are_spared(bench):
    """The others go on, and the next one's turn comes."""
    ids = await bench.nodes(4)
    command, _ = await bench.send(*ids, max_concurrency="1")

    assert await bench.cancel(command, ids[0], ids[2]) == [ids[1]]

    assert await bench.details(command) == ["Cancelled", "Pending", "Cancelled", "Pending"]
    await bench.reply(command, ids[1], Detail.SUCCESS)
    await bench.reply(command, ids[3], Detail.SUCCESS)
    assert await bench.detail(command) == "Incomplete"


async def test_naming_every_node_is_cancelling_the_command(bench):
    """It is Cancelled as a whole."""
    ids = await bench.nodes(2)
    command, _ = await bench.send(*ids)

    await bench.cancel(command, *ids)

    assert await bench.detail(command) == "Cancelled"


async def test_what_has_ended_stays_as_it_is(bench):
    """Cancelling it is no error, and changes nothing."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)
    await bench.reply(command, node, Detail.FAILED)
    before = await bench.service.invocation(bench.scope, command.id, node)

    for _ in range(2):
        assert await bench.cancel(command) == await bench.cancel(command, node) == []

    assert await bench.service.invocation(bench.scope, command.id, node) == before


async def test_only_what_there_is_can_be_cancelled(bench):
    """Unknown commands, nodes it was not sent to, and nodes named twice are refused; nothing is cancelled."""
    ids = await bench.nodes(2)
    command, _ = await bench.send(ids[0])

    with pytest.raises(UnknownCommand):
        await bench.service.cancel(bench.scope, UNKNOWN)
    with pytest.raises(UnknownInstances):
        await bench.cancel(command, ids[1])
    with pytest.raises(UnknownInstances):
        await bench.cancel(command, *ids)
    with pytest.raises(DuplicateInstance):
        await bench.cancel(command, ids[0], ids[0])

    assert await bench.detail(command) == "Pending"


async def test_a_node_without_room_has_the_command_delayed(bench):
    """It is handed over again when the node asked for it, and says Delayed until then; the command is InProgress."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)
    (sent,) = await bench.take(node)

    await bench.database.write(
        commands.postpone,
        bench.scope,
        node,
        sent.message_id,
        until=bench.clock.time + 30,
        now=bench.clock.time,
    )

    assert (await bench.detail(command, node), await bench.detail(command)) == ("Delayed", "InProgress")
    bench.clock.time += 29
    assert await bench.take(node) == []
    bench.clock.time += 1
    assert [one.message_id for one in await bench.take(node)] == [sent.message_id]
    await bench.reply(command, node, Detail.SUCCESS)
    assert await bench.detail(command) == "Success"


async def test_a_command_that_is_not_acknowledged_is_delayed(bench):
    """The second time it is handed over."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)

    await bench.take(node)
    assert await bench.detail(command, node) == "Pending"
    bench.clock.time += VISIBILITY
    await bench.take(node)

    assert await bench.detail(command, node) == "Delayed"


async def test_steps_that_are_told_of_late_are_added(bench):
    """Replies overtake each other: the end comes first, and what a step came to is not lost; the end stays what it was."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)
    await bench.reply(command, node, Detail.FAILED, steps={"one": StepResult("InProgress")})

    late = {"one": StepResult("Failed", 7, stdout="why"), "two": StepResult("Success", 0)}
    assert await bench.reply(command, node, Detail.IN_PROGRESS, steps=late) == (False, [])
    await bench.reply(command, node, Detail.IN_PROGRESS, steps={"one": StepResult("InProgress")})

    _, invocation = await bench.service.invocation(bench.scope, command.id, node)
    assert (invocation.detail, invocation.response_code) == (Detail.FAILED, 7)
    assert {name: step.status for name, step in invocation.steps.items()} == {"one": "Failed", "two": "Success"}
