# SPDX-License-Identifier: Apache-2.0
"""Somebody who was not there finds out, from the API alone, what happened on a node, when, and at whose word."""

from __future__ import annotations

import json

from patchwright.server import events
from server.aws.granted import new_user, statement
from server.patching.bench import OUTDATED

SCRIPT = "AWS-RunShellScript"
READING = (
    *("patchwright:ListEvents", "patchwright:ListAuditEntries", "ssm:ListCommands", "ssm:ListCommandInvocations"),
    "ssm:GetCommandInvocation",
)
STEP = {"aws:runShellScript": {"status": "Failed", "code": 3, "standardError": "disk full"}}


async def the_story(house):
    """What happened: a minute apart each, on one node."""
    node = await house.enrol(ComputerName="web-1")
    ops = await new_user(house, "ops", statement("ssm:SendCommand", "ssm:CancelCommand"))
    intern = await new_user(house, "intern", statement("ssm:ListCommands"))
    body = {"DocumentName": SCRIPT, "InstanceIds": [node.instance_id], "Parameters": {"commands": ["./backup"]}}

    async def send(key):
        house.clock.time += 60
        return (await house.ask("AmazonSSM.SendCommand", body, key=key))["Command"]["CommandId"]

    assert await house.code("AmazonSSM.SendCommand", body, key=intern) == "AccessDeniedException"
    await house.wired.trail.flush(everything=True)  # refusals are written some seconds later
    failing = await send(ops)
    await house.messages(node)
    await house.reply(node, failing, "InProgress")
    house.clock.time += 60
    await house.reply(node, failing, "Failed", runtimeStatus=STEP)
    stopped = await send(ops)
    await house.messages(node)
    await house.reply(node, stopped, "InProgress")
    house.clock.time += 60
    await house.ask("AmazonSSM.CancelCommand", {"CommandId": stopped}, key=ops)
    await house.messages(node)
    await house.reply(node, stopped, "Cancelled")
    house.clock.time += 60
    await house.scan(node, OUTDATED)
    late = await send(ops)
    house.clock.time += 60
    await house.ask("AmazonSSM.DeregisterManagedInstance", {"InstanceId": node.instance_id})
    return node.instance_id, {failing: "the first", stopped: "the second", late: "the last"}


async def told_again(house, stranger, instance_id):
    """The story as somebody tells it who may read, and was not there: lines in order of time."""

    async def pages(target, listed, **members):
        found, more = [], {}
        while True:
            answer = await house.ask(target, {**members, **more}, key=stranger)
            found += answer[listed]
            if "NextToken" not in answer:
                return found
            more = {"NextToken": answer["NextToken"]}

    commands = {one["CommandId"]: one for one in await pages("AmazonSSM.ListCommands", "Commands")}
    mine = await pages("AmazonSSM.ListCommandInvocations", "CommandInvocations", InstanceId=instance_id, Details=True)
    about = {instance_id, *(one["CommandId"] for one in mine)}
    lines = []
    trail = await pages("Patchwright.ListAuditEntries", "Entries", MaxResults=7)
    for place, entry in enumerate(reversed(trail)):
        if about & set(entry["Resources"]) or any(instance_id in one for one in entry["Resources"]):
            who = entry["Principal"].rpartition("/")[2].rpartition(":")[2]
            lines.append(
                (entry["Time"], "asked", place, f"{who} {entry['Operation'].partition('.')[2]} {entry['Result']}")
            )
    for event in await pages("Patchwright.ListEvents", "Events", Subject=instance_id, MaxResults=5):
        detail = json.loads(event["Event"])["detail"]
        said = detail.get("status") or detail["compliance-status"]
        what = detail.get("document-name") or detail["compliance-type"]
        lines.append((event["Time"], "happened", event["Sequence"], f"{what} {said}"))
    results = {one["CommandId"]: one["StatusDetails"] for one in mine}
    (broken,) = [one for one in mine if one["StatusDetails"] == "Failed"]
    (plugin,) = broken["CommandPlugins"]
    script = commands[broken["CommandId"]]["Parameters"]["commands"]
    return [line for *_, line in sorted(lines)], results, (script, plugin["ResponseCode"], plugin["Output"])


async def test_a_stranger_finds_out_what_happened_on_a_node(house):
    """Who asked for what and was refused, what it came to on the node, with which output; nothing but reading it takes."""
    instance_id, names = await the_story(house)
    await house.wired.trail.flush(everything=True)
    await house.wired.audit.seal()
    await events.number_waiting(house.wired.database)
    stranger = await new_user(house, "stranger", statement(*READING))

    lines, results, found = await told_again(house, stranger, instance_id)

    assert lines == [
        "anonymous Enroll Succeeded",
        "intern SendCommand AccessDeniedException",
        "ops SendCommand Succeeded",
        f"{SCRIPT} InProgress",
        f"{SCRIPT} Failed",
        "ops SendCommand Succeeded",
        f"{SCRIPT} InProgress",
        "ops CancelCommand Succeeded",
        f"{SCRIPT} Cancelling",
        f"{SCRIPT} Cancelled",
        "root SendCommand Succeeded",
        f"{instance_id} BeginOperation Succeeded",
        "Patch non_compliant",
        "AWS-RunPatchBaseline Success",
        "ops SendCommand Succeeded",
        "root DeregisterManagedInstance Succeeded",
        f"{SCRIPT} Failed",
    ]
    assert {names.get(one, "the scan"): result for one, result in results.items()} == {
        "the first": "Failed",
        "the second": "Cancelled",
        "the scan": "Success",
        "the last": "Undeliverable",
    }
    assert found == (["./backup"], 3, "\n----------ERROR-------\ndisk full")
