# SPDX-License-Identifier: Apache-2.0
"""Commands of users: parameters of the store that they may not read, and what steps of a longer document are shown as."""

from __future__ import annotations

import json

from server.aws.granted import new_user, statement

SCRIPT = "AWS-RunShellScript"
MOMENT = "2026-11-20T04:21:54.755Z"
TWO_STEPS = {
    "schemaVersion": "2.2",
    "mainSteps": [
        {"action": "aws:runShellScript", "name": name, "inputs": {"runCommand": ["true"]}}
        for name in ("first", "second")
    ],
}


async def test_who_may_not_read_a_parameter_cannot_have_a_node_print_it(house):
    """Neither in a parameter of the command nor in a document of one's own; who may read it can send it."""
    node = await house.enrol()
    await house.ask("AmazonSSM.PutParameter", {"Name": "/ours/word", "Value": "open sesame", "Type": "String"})
    document = json.dumps(TWO_STEPS).replace('"true"', '"echo {{ssm:/ours/word}}"')
    await house.ask("AmazonSSM.CreateDocument", {"Name": "Echo", "Content": document, "DocumentType": "Command"})
    sender = await new_user(house, "sender", statement("ssm:SendCommand"))
    reader = await new_user(house, "reader", statement("ssm:SendCommand", "ssm:GetParameters"))
    where = {"InstanceIds": [node.instance_id]}
    bodies = (
        {"DocumentName": SCRIPT, "Parameters": {"commands": ["echo {{ssm:/ours/word}}"]}, **where},
        {"DocumentName": "Echo", **where},
    )

    for body in bodies:
        assert await house.code("AmazonSSM.SendCommand", body, key=sender) == "InvalidParameters"
        await house.ask("AmazonSSM.SendCommand", body, key=reader)
    assert len((await house.ask("AmazonSSM.ListCommands", {}))["Commands"]) == 2


async def test_each_step_of_a_document_has_a_result_of_its_own(house):
    """The one asked for; of a step that nothing was heard of, what the invocation says."""
    node = await house.enrol()
    await house.ask(
        "AmazonSSM.CreateDocument", {"Name": "Two", "Content": json.dumps(TWO_STEPS), "DocumentType": "Command"}
    )
    sent = await house.ask("AmazonSSM.SendCommand", {"DocumentName": "Two", "InstanceIds": [node.instance_id]})
    command_id = sent["Command"]["CommandId"]
    await house.messages(node)

    async def shown(step):
        asked = {"CommandId": command_id, "InstanceId": node.instance_id, "PluginName": step}
        found = await house.ask("AmazonSSM.GetCommandInvocation", asked)
        return found["Status"], found["ResponseCode"], found["StandardOutputContent"]

    unnamed = {"CommandId": command_id, "InstanceId": node.instance_id}
    assert await house.code("AmazonSSM.GetCommandInvocation", unnamed) == "InvalidPluginName"
    assert await shown("first") == ("Pending", -1, "")
    done = {"first": {"status": "Success", "code": 0, "standardOutput": "1"}}
    await house.reply(node, command_id, "InProgress", runtimeStatus=done)
    assert (await shown("first"), await shown("second")) == (("Success", 0, "1"), ("InProgress", -1, ""))

    await house.reply(node, command_id, "Failed")  # the end overtakes what the second step came to
    assert (await shown("first"), (await shown("second"))[0]) == (("Success", 0, "1"), "Failed")
    late = {"second": {"status": "Failed", "code": 4, "standardOutput": "2"}}
    await house.reply(node, command_id, "InProgress", runtimeStatus=late)
    assert await shown("second") == ("Failed", 4, "2")
    listed = await house.ask("AmazonSSM.ListCommandInvocations", {"CommandId": command_id, "Details": True})
    plugins = listed["CommandInvocations"][0]["CommandPlugins"]
    assert [(one["Name"], one["Status"], one["Output"]) for one in plugins] == [
        ("first", "Success", "1"),
        ("second", "Failed", "2"),
    ]


async def test_the_steps_of_a_command_are_listed_in_the_order_of_its_document(house):
    """While it goes on all of them, the first without a word as under way, whichever was told of first; then those told of."""
    node = await house.enrol()
    names = ("zero", "first", "last1")
    steps = [{**TWO_STEPS["mainSteps"][0], "name": name} for name in names]
    content = json.dumps({**TWO_STEPS, "mainSteps": steps})
    await house.ask("AmazonSSM.CreateDocument", {"Name": "Three", "Content": content, "DocumentType": "Command"})
    sent = await house.ask("AmazonSSM.SendCommand", {"DocumentName": "Three", "InstanceIds": [node.instance_id]})
    command_id = sent["Command"]["CommandId"]

    async def listed():
        asked = {"CommandId": command_id, "Details": True}
        (one,) = (await house.ask("AmazonSSM.ListCommandInvocations", asked))["CommandInvocations"]
        return [(plugin["Name"], plugin["Status"], plugin["ResponseCode"]) for plugin in one["CommandPlugins"]]

    async def last(step):
        asked = {"CommandId": command_id, "InstanceId": node.instance_id, "PluginName": step}
        return (await house.ask("AmazonSSM.GetCommandInvocation", asked))["Status"]

    assert await listed() == [(name, "Pending", -1) for name in names]
    await house.messages(node)
    await house.reply(node, command_id, "InProgress")
    assert await listed() == [("zero", "InProgress", -1), ("first", "Pending", -1), ("last1", "Pending", -1)]
    assert (await last("zero"), await last("last1")) == ("InProgress", "Pending")
    done = {"status": "Success", "code": 0, "standardOutput": ""}
    await house.reply(node, command_id, "InProgress", runtimeStatus={"last1": done})
    await house.reply(node, command_id, "InProgress", runtimeStatus={"zero": {**done, "status": "Failed", "code": 3}})
    assert await listed() == [("zero", "Failed", 3), ("first", "InProgress", -1), ("last1", "Success", 0)]
    again = {**done, "status": "SuccessAndReboot", "code": 194, "startDateTime": MOMENT, "endDateTime": MOMENT}
    await house.reply(node, command_id, "SuccessAndReboot", runtimeStatus={"first": again})
    assert (await listed())[1] == ("first", "InProgress", -1)  # the restart is no end, though its reply has one
    asked = {"CommandId": command_id, "InstanceId": node.instance_id, "PluginName": "first"}
    found = await house.ask("AmazonSSM.GetCommandInvocation", asked)
    shown = [found[f"Execution{name}"] for name in ("StartDateTime", "EndDateTime", "ElapsedTime")]
    assert shown == [MOMENT, "", ""]
    await house.reply(node, command_id, "Failed", runtimeStatus={"unheard": done})
    assert await listed() == [
        ("zero", "Failed", 3),
        ("first", "Failed", 194),
        ("last1", "Success", 0),
        ("unheard", "Success", 0),
    ]
