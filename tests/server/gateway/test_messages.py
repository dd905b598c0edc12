# SPDX-License-Identifier: Apache-2.0
"""Enrolment, presence, long poll and replies, as an agent sends them (spec agent-protocol §6, §8)."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from patchwright.core.protocol import LONG_POLL_SECONDS, message_id
from patchwright.server.gateway import messages

MESSAGES = "EC2WindowsMessageDeliveryService"
SOON = 60.0  # long before the next look, which is put off
STEP = {"PatchLinux": {"status": "Success", "code": 0, "standardOutput": "out", "standardError": ""}}


@pytest.fixture(autouse=True)
def no_look_but_the_first(monkeypatch):
    """A parked poll looks again when it is woken, and not of itself."""
    monkeypatch.setattr(messages, "LOOK_AGAIN_SECONDS", 600.0)


async def invocation(house, node, command_id):
    """GetCommandInvocation."""
    return await house.ask("AmazonSSM.GetCommandInvocation", {"CommandId": command_id, "InstanceId": node.instance_id})


async def information(house, node):
    """DescribeInstanceInformation of one node."""
    filters = [{"Key": "InstanceIds", "Values": [node.instance_id]}]
    answer = await house.ask("AmazonSSM.DescribeInstanceInformation", {"Filters": filters}, region=node.region)
    (found,) = answer["InstanceInformationList"]
    return found


async def test_a_node_enrols_with_an_activation_and_signs_from_then_on(house):
    """Its tags are the activation's; the secret has 32 bytes."""
    node = await house.enrol(
        tags={"Patch Group": "web"}, ComputerName="host", PlatformName="Debian GNU/Linux", PlatformVersion="12"
    )

    assert len(base64.b64decode(node.secret)) == 32
    found = await information(house, node)
    assert (found["ComputerName"], found["PlatformName"], found["PingStatus"]) == ("host", "Debian GNU/Linux", "Online")
    tags = await house.ask(
        "AmazonSSM.ListTagsForResource", {"ResourceType": "ManagedInstance", "ResourceId": node.instance_id}
    )
    assert tags["TagList"] == [{"Key": "Patch Group", "Value": "web"}]
    await house.ask("AmazonSSM.UpdateInstanceInformation", {"InstanceId": node.instance_id}, key=node)


async def test_the_same_token_gets_the_same_node_and_secret(house):
    """An answer that was lost is asked for again."""
    activation = await house.ask("AmazonSSM.CreateActivation", {"IamRole": "node"})
    request = {**activation, "EnrollmentToken": "t" * 32}

    first, second = await house.ask("Patchwright.Enroll", request), await house.ask("Patchwright.Enroll", request)

    assert first == second
    assert await house.code("Patchwright.Enroll", {**request, "EnrollmentToken": "u" * 32}) == "InvalidActivation"


async def test_activation_that_cannot_be_used_is_refused_and_leaves_no_node(house):
    """Unknown, wrong code, expired, used up: InvalidActivation, and not one row."""
    activation = await house.ask("AmazonSSM.CreateActivation", {"IamRole": "node"})
    good = {**activation, "EnrollmentToken": "t" * 32}
    before = await house.dump()
    for change in (
        {"ActivationId": "00000000-0000-0000-0000-000000000000"},
        {"ActivationCode": "x" * 24},
    ):
        assert await house.code("Patchwright.Enroll", {**good, **change}) == "InvalidActivation"
    house.clock.time += 24 * 3600
    assert await house.code("Patchwright.Enroll", good) == "InvalidActivation"

    assert await house.dump() == before


async def test_a_ping_keeps_what_it_does_not_mention(house):
    """A node that says only that it is there stays what it was."""
    node = await house.enrol(PlatformType="Windows", ComputerName="host", AgentVersion="1.2")
    house.clock.time += 60

    await house.ask("AmazonSSM.UpdateInstanceInformation", {"InstanceId": node.instance_id}, key=node)

    found = await information(house, node)
    assert (found["PlatformType"], found["ComputerName"], found["AgentVersion"]) == ("Windows", "host", "1.2")
    assert found["LastPingDateTime"] == house.clock.now()


async def test_a_node_that_is_silent_for_long_has_lost_its_connection(house):
    """Eleven minutes by default; a ping brings it back."""
    node = await house.enrol()
    house.clock.time += 11 * 60
    assert (await information(house, node))["PingStatus"] == "Online"
    house.clock.time += 1
    assert (await information(house, node))["PingStatus"] == "ConnectionLost"

    await house.ask("AmazonSSM.UpdateInstanceInformation", {"InstanceId": node.instance_id}, key=node)

    assert (await information(house, node))["PingStatus"] == "Online"


async def test_a_command_is_delivered_acknowledged_and_reported(house):
    """The whole life of one message."""
    node = await house.enrol()
    command = await house.send(node)
    (message,) = await house.messages(node)

    assert message["MessageId"] == message_id(command["CommandId"], node.instance_id)
    assert (message["Destination"], message["Topic"]) == (node.instance_id, "aws.ssm.sendCommand")
    assert message["CreatedDate"] == "2026-11-20T04:00:00.000Z"
    assert json.loads(message["Payload"])["CommandId"] == command["CommandId"]
    await house.ask(f"{MESSAGES}.AcknowledgeMessage", {"MessageId": message["MessageId"]}, key=node)
    assert (await invocation(house, node, command["CommandId"]))["Status"] == "Pending"
    assert (await house.reply(node, command["CommandId"], "InProgress")).status == 200
    assert (await invocation(house, node, command["CommandId"]))["Status"] == "InProgress"
    assert (await house.reply(node, command["CommandId"], "Success", runtimeStatus=STEP)).status == 200

    found = await invocation(house, node, command["CommandId"])
    assert (found["Status"], found["ResponseCode"], found["StandardOutputContent"]) == ("Success", 0, "out")


async def test_a_parked_poll_gets_a_command_as_soon_as_it_is_sent(house):
    """It does not wait for its next look."""
    node = await house.enrol()
    poll = asyncio.create_task(house.messages(node))
    while not house.wired.waking.is_parked(node.instance_id):
        await asyncio.sleep(0)

    command = await house.send(node)
    (message,) = await asyncio.wait_for(poll, SOON)

    assert json.loads(message["Payload"])["CommandId"] == command["CommandId"]
    assert not house.wired.waking.is_parked(node.instance_id)


async def test_a_poll_that_nothing_comes_for_ends_empty(house):
    """After the long poll's time (spec agent-protocol §6)."""
    node = await house.enrol()
    poll = asyncio.create_task(house.messages(node))
    while not house.wired.waking.is_parked(node.instance_id):
        await asyncio.sleep(0)

    house.clock.time += LONG_POLL_SECONDS
    house.wired.waking.wake([node.instance_id])

    assert await asyncio.wait_for(poll, SOON) == []


async def test_a_later_poll_takes_the_place_of_an_earlier_one(house):
    """The earlier one belongs to a connection the node has given up: it ends empty, and the command goes to the later."""
    node = await house.enrol()
    given_up = asyncio.create_task(house.messages(node))
    while not house.wired.waking.is_parked(node.instance_id):
        await asyncio.sleep(0)
    later = asyncio.create_task(house.messages(node))

    assert await asyncio.wait_for(given_up, SOON) == []
    await house.send(node)
    assert len(await asyncio.wait_for(later, SOON)) == 1


async def test_the_end_of_one_invocation_wakes_the_next_node(house):
    """Rate control lets it start, and its poll hears of it at once."""
    first, second = sorted([await house.enrol(), await house.enrol()], key=lambda key: key.instance_id)
    command = await house.send(first, second, MaxConcurrency="1")
    poll = asyncio.create_task(house.messages(second))
    while not house.wired.waking.is_parked(second.instance_id):
        await asyncio.sleep(0)

    await house.reply(first, command["CommandId"], "Success")

    assert len(await asyncio.wait_for(poll, SOON)) == 1


async def test_a_message_a_node_cannot_take_has_failed_there(house):
    """FailMessage ends the invocation with the reason."""
    node = await house.enrol()
    command = await house.send(node)
    (message,) = await house.messages(node)

    body = {"MessageId": message["MessageId"], "FailureType": "NoHandlerExists"}
    for _ in range(2):
        await house.ask(f"{MESSAGES}.FailMessage", body, key=node)

    found = await invocation(house, node, command["CommandId"])
    assert found["Status"] == "Failed"
    assert "NoHandlerExists" in found["StandardErrorContent"]


async def test_a_node_speaks_for_itself_alone(house):
    """What it says of another, by name or by message id, is refused and changes nothing."""
    node, other = await house.enrol(), await house.enrol()
    command = await house.send(node, other)
    await house.messages(other)
    stolen = message_id(command["CommandId"], other.instance_id)
    before = await house.dump()

    for target, body in (
        ("AmazonSSM.UpdateInstanceInformation", {"InstanceId": other.instance_id}),
        (
            f"{MESSAGES}.GetMessages",
            {"Destination": other.instance_id, "MessagesRequestId": "1", "VisibilityTimeoutInSeconds": 9},
        ),
        (f"{MESSAGES}.AcknowledgeMessage", {"MessageId": stolen}),
        (f"{MESSAGES}.FailMessage", {"MessageId": stolen, "FailureType": "NoHandlerExists"}),
        (f"{MESSAGES}.SendReply", {"MessageId": stolen, "ReplyId": "1", "Payload": '{"documentStatus": "Failed"}'}),
    ):
        assert await house.code(target, body, key=node) == "AccessDeniedException", target
    assert await house.dump() == before


async def test_a_command_that_was_not_sent_to_a_node_cannot_be_reported_by_it(house):
    """The invocation does not exist for it."""
    node, other = await house.enrol(), await house.enrol()
    command = await house.send(other)
    before = await house.dump()

    assert (await house.reply(node, command["CommandId"], "Failed")).code == "InvocationDoesNotExist"

    assert await house.dump() == before


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "nonsense",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"documentStatus": "Great"}',
        '{"documentStatus": ["Success"]}',
        '{"documentStatus": "Success", "runtimeStatus": [1]}',
        '{"documentStatus": "Success", "runtimeStatus": {"a": 1}}',
        '{"documentStatus": "Success", "runtimeStatus": {"a": {}}}',
        '{"documentStatus": "Success", "runtimeStatus": {"a": {"status": "Great"}}}',
        '{"documentStatus": "Success", "runtimeStatus": {"a": {"status": "Success", "code": "many"}}}',
        '{"documentStatus": "Success", "runtimeStatus": {"a": {"status": "Success", "code": 1e999}}}',
        '{"documentStatus": "Success", "runtimeStatus": {"a": {"status": "Success", "code": NaN}}}',
        '{"documentStatus": "Success", "runtimeStatus": {"a": {"status": "Failed", "code": 99999999999999999999}}}',
        '{"documentStatus": "Success", "runtimeStatus": ' + json.dumps({str(n): {} for n in range(51)}) + "}",
        "[" * 20_000,
        '{"documentStatus": ' + "9" * 5_000 + "}",
    ],
    ids=lambda payload: payload[:60] or "empty",
)
async def test_a_reply_that_cannot_be_read_is_refused(house, payload):
    """Nothing of it is kept, and the node can send a proper one."""
    node = await house.enrol()
    command = await house.send(node)
    body = {"MessageId": message_id(command["CommandId"], node.instance_id), "Payload": payload, "ReplyId": "1"}
    before = await house.dump()

    assert await house.code(f"{MESSAGES}.SendReply", body, key=node) == "ValidationException"

    assert await house.dump() == before
    assert (await house.reply(node, command["CommandId"], "Success")).status == 200


async def test_output_that_no_database_can_hold_is_kept_readable(house):
    """A script may print NUL and bytes that are no text: what it did is reported all the same."""
    node = await house.enrol()
    command = await house.send(node)
    dirty = "a\0b\ud800c"
    step = {
        "PatchLinux": {
            "status": "Failed",
            "code": 1,
            "standardOutput": dirty,
            "standardError": dirty,
            "startDateTime": dirty,
        }
    }

    answer = await house.reply(node, command["CommandId"], "Failed", documentTraceOutput=dirty, runtimeStatus=step)

    assert answer.status == 200
    found = await invocation(house, node, command["CommandId"])
    assert found["Status"] == "Failed"
    assert found["StandardOutputContent"] == "a\ufffdb\ufffdc"


async def test_output_is_cut_where_the_api_cuts_it(house):
    """24,000 and 8,000 characters, with the mark that says so (spec §5.5)."""
    node = await house.enrol()
    command = await house.send(node)
    step = {
        "PatchLinux": {"status": "Success", "code": 0, "standardOutput": "o" * 30_000, "standardError": "e" * 30_000}
    }

    await house.reply(node, command["CommandId"], "Success", runtimeStatus=step)

    found = await invocation(house, node, command["CommandId"])
    for text, limit in ((found["StandardOutputContent"], 24_000), (found["StandardErrorContent"], 8_000)):
        assert len(text) == limit
        assert text.endswith("--output truncated--")


async def test_message_ids_that_are_none_are_refused(house):
    """A node cannot make the server look for anything but commands."""
    node = await house.enrol()

    for text in (
        "x",
        "aws.ssm..",
        f"aws.ssm.1.{node.instance_id}.2",
        f"aws.other.1.{node.instance_id}",
        f"aws.ssm..{node.instance_id}",
    ):
        assert (
            await house.code(f"{MESSAGES}.AcknowledgeMessage", {"MessageId": text}, key=node) == "ValidationException"
        )


async def test_acknowledging_what_was_never_sent_changes_nothing(house):
    """A command of long ago may be gone: the node's word is taken, and nothing is stored."""
    node = await house.enrol()
    before = await house.dump()

    unknown = message_id("00000000-0000-0000-0000-000000000000", node.instance_id)
    await house.ask(f"{MESSAGES}.AcknowledgeMessage", {"MessageId": unknown}, key=node)

    assert await house.dump() == before
