# SPDX-License-Identifier: Apache-2.0
"""
Replies of Amazon's agent in the order in which they do not come (spec agent-protocol §8.3).

Its senders overtake each other, what got no answer is sent again, a second delivery is answered with a fresh start, and the
last reply names no step. Whatever the order, what people see in the end is the same.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import uuid

import pytest

from farm.amazon_agent import AmazonAgent
from server.gateway.amazon import Amazon, keys

SEED = os.environ.get("PATCHWRIGHT_SEED", "20261120")
SEND = "EC2WindowsMessageDeliveryService.SendReply"
FINAL = {"Success", "Failed", "Cancelled", "TimedOut"}
CODES = {"first": 0, "second": 7, "third": 0}


class Recorder:
    """Keeps what an agent says instead of sending it."""

    def __init__(self):
        self.said = []

    def reply(self, message_id, content, reply_id):
        self.said.append((content, reply_id))

    def acknowledge(self, message_id, status):
        pass


def replies(tmp_path, message):
    """What the agent says about a document of three steps, in its order; and a fresh start, as for a second delivery."""
    codes = iter(CODES.values())

    def run(script, environment, *, seconds, cancelled):
        return next(codes), f"{script}\n", ""

    agent = AmazonAgent("http://127.0.0.1:1", tmp_path, run=run)
    agent._keep(message["Destination"], next(keys()))
    agent.share_credentials = lambda: tmp_path / "credentials"
    recorder = Recorder()
    for _ in range(2):
        agent.take(message["MessageId"], message["Topic"], message["Payload"], recorder)
    return recorder.said


async def sent(house):
    """A node, and the message of a command of three steps to it."""
    node = await Amazon.registered(house)
    steps = [
        {"action": "aws:runShellScript", "name": name, "inputs": {"runCommand": [f"echo {name}"]}} for name in CODES
    ]
    content = json.dumps({"schemaVersion": "2.2", "mainSteps": steps})
    name = f"Three-{node.instance_id}"
    await house.ask("AmazonSSM.CreateDocument", {"Content": content, "Name": name, "DocumentType": "Command"})
    body = {"DocumentName": name, "InstanceIds": [node.instance_id]}
    command = (await house.ask("AmazonSSM.SendCommand", body))["Command"]["CommandId"]
    asked = {"Destination": node.instance_id, "MessagesRequestId": "1", "VisibilityTimeoutInSeconds": 10}
    (message,) = (await node.ask("EC2WindowsMessageDeliveryService.GetMessages", asked))["Messages"]
    return node, command, message


async def seen(house, node, command):
    """Status and code of the invocation; status and output of each step."""
    asked = {"CommandId": command, "InstanceId": node.instance_id, "Details": True}
    (found,) = (await house.ask("AmazonSSM.ListCommandInvocations", asked))["CommandInvocations"]
    return found["Status"], {one["Name"]: (one["Status"], one["Output"]) for one in found["CommandPlugins"]}


@pytest.mark.parametrize("number", range(60 if os.environ.get("PATCHWRIGHT_FULL") else 3))
async def test_the_order_of_replies_makes_no_difference_in_the_end(house, tmp_path, number):
    """Shuffled, some of them twice: no end is taken back on the way, nothing that was told of a step is lost."""
    node, command, message = await sent(house)
    said = replies(tmp_path, message)
    chance = random.Random(f"{SEED} replies {number}")
    order = said + chance.sample(said, 3)
    chance.shuffle(order)
    results = {}

    for content, reply_id in order:
        answer = await node.call(SEND, {"MessageId": message["MessageId"], "Payload": content, "ReplyId": reply_id})
        assert answer.status == 200 or answer.code == "ThrottlingException", answer.body  # the very same, in one second
        house.clock.time += 3
        status, steps = await seen(house, node, command)
        now = {"whole": (status, ""), **steps}
        taken_back = [name for name, before in results.items() if before[0] in FINAL and now[name] != before]
        assert taken_back == []
        results = now

    assert results == {
        "whole": ("Failed", ""),
        "first": ("Success", "echo first\n"),
        "second": ("Failed", "echo second\n"),
        "third": ("Success", "echo third\n"),
    }


async def test_every_order_of_the_last_two_replies_is_understood(house, tmp_path):
    """The end before the last step, and the other way round; the code is that of the step that failed."""
    for number, swapped in enumerate((False, True)):
        node, command, message = await sent(house)
        (tmp_path / str(number)).mkdir()
        said = replies(tmp_path / str(number), message)[:-1]
        ordered = [*said[:-2], said[-1], said[-2]] if swapped else said
        for content, reply_id in ordered:
            await node.ask(SEND, {"MessageId": message["MessageId"], "Payload": content, "ReplyId": reply_id})
        found = await house.ask(
            "AmazonSSM.GetCommandInvocation",
            {"CommandId": command, "InstanceId": node.instance_id, "PluginName": "second"},
        )
        assert (found["Status"], found["ResponseCode"]) == ("Failed", 7)


async def test_a_restart_that_is_asked_for_is_not_the_end(house):
    """SuccessAndReboot is under way, for the document and for its step; what follows replaces it."""
    node, command, message = await sent(house)
    numbers = itertools.count()

    async def say(status, **runtime):
        content = {"documentStatus": status, "documentTraceOutput": "", "runtimeStatus": runtime}
        reply = {"MessageId": message["MessageId"], "Payload": json.dumps(content), "ReplyId": f"r{next(numbers)}"}
        await node.ask(SEND, reply)
        return await seen(house, node, command)

    step = {"name": "aws:runShellScript", "code": 194, "standardOutput": "before\n", "output": "before\n"}
    status, steps = await say("SuccessAndReboot", first={**step, "status": "SuccessAndReboot"})
    assert (status, steps["first"][0]) == ("InProgress", "InProgress")
    status, steps = await say("PassedAndReboot", first={**step, "status": "PassedAndReboot"})
    assert (status, steps["first"][0]) == ("InProgress", "InProgress")

    status, steps = await say("Success", first={**step, "status": "Success", "code": 0, "standardOutput": "after\n"})

    assert (status, steps["first"]) == ("Success", ("Success", "after\n"))


async def test_times_that_are_none_are_not_shown(house):
    """What was never begun has the year 1 in the agent's replies."""
    node, command, message = await sent(house)
    step = {"status": "Cancelled", "code": 137, "startDateTime": "0001-01-01T00:00:00.000Z", "endDateTime": ""}
    content = {"documentStatus": "Cancelled", "runtimeStatus": {"first": step}}
    await node.ask(SEND, {"MessageId": message["MessageId"], "Payload": json.dumps(content), "ReplyId": "r"})

    found = await house.ask(
        "AmazonSSM.GetCommandInvocation",
        {"CommandId": command, "InstanceId": node.instance_id, "PluginName": "first"},
    )

    assert (found["Status"], found["ExecutionStartDateTime"]) == ("Cancelled", "")


async def say(node, message, status, steps=None):
    """A reply."""
    content = {"documentStatus": status, "runtimeStatus": steps or {}}
    said = {"MessageId": message["MessageId"], "Payload": json.dumps(content), "ReplyId": str(uuid.uuid4())}
    await node.ask(SEND, said)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("2026-11-20T04:21:54.755Z", "2026-11-20T04:21:54.755Z"),
        ("2026-11-20T04:21:54.755123456Z", "2026-11-20T04:21:54.755Z"),
        ("2026-11-20T05:21:54+01:00", "2026-11-20T04:21:54.000Z"),
        ("yesterday", ""),
        ("0001-01-01T00:00:00+01:00", ""),
    ],
)
async def test_times_are_shown_in_one_form(house, said, shown):
    """That of the API (spec §0.4), or not at all."""
    node, command, message = await sent(house)
    step = {"status": "Success", "code": 0, "startDateTime": said, "endDateTime": said}
    await say(node, message, "InProgress", {"first": step})

    asked = {"CommandId": command, "InstanceId": node.instance_id, "PluginName": "first"}
    found = await house.ask("AmazonSSM.GetCommandInvocation", asked)
    assert (found["ExecutionStartDateTime"], found["ExecutionEndDateTime"]) == (shown, shown)


async def test_exit_codes_of_windows_are_those_of_a_program_that_reads_them_as_signed(house):
    """4294967295 is -1: a reply that was refused for it would be lost, and the command never end."""
    node, command, message = await sent(house)
    step = {"status": "Failed", "code": 4294967295}
    await say(node, message, "InProgress", {"first": step})

    asked = {"CommandId": command, "InstanceId": node.instance_id, "PluginName": "first"}
    assert (await house.ask("AmazonSSM.GetCommandInvocation", asked))["ResponseCode"] == -1


async def test_a_node_cannot_fill_a_command_with_steps_that_it_makes_up(house):
    """However many replies it sends: there are no more steps than a document may have; those of the document are kept."""
    node, command, message = await sent(house)
    done = {"status": "Success", "code": 0}
    await say(node, message, "InProgress", {"first": done})
    for number in range(3):
        made_up = {f"made-up-{number}-{step}": done for step in range(40)}
        await say(node, message, "InProgress", made_up)
    await say(node, message, "Success")
    await say(node, message, "Success", {f"late-{step}": done for step in range(40)})

    _, steps = await seen(house, node, command)
    assert ("first" in steps, len(steps)) == (True, 50)
