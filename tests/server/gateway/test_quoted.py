# SPDX-License-Identifier: Apache-2.0
"""Requests of Amazon's agent byte for byte as they were seen, and what it makes of the answers (docs/reference/spec/agent-protocol.md)."""

from __future__ import annotations

import json

import pytest

from farm import amazon_wire
from server.gateway.amazon import HOST, Amazon, keys, register

MESSAGES = "EC2WindowsMessageDeliveryService"
SHORT = '{"AgentName":"amazon-ssm-agent","AgentVersion":"3.3.0.0","InstanceId":"%s","PlatformType":"Linux"}'
FULL = (
    '{"AgentName":"amazon-ssm-agent","AgentStatus":"Active","AgentVersion":"3.3.0.0","AvailabilityZone":"",'
    '"AvailabilityZoneId":"","ComputerName":"proto-node","IPAddress":"127.0.0.1","InstanceId":"%s",'
    '"PlatformName":"Debian GNU/Linux","PlatformType":"Linux","PlatformVersion":"12","SSMConnectionChannel":"%s"}'
)
REPLY = (
    '{"additionalInfo":{"agent":{"lang":"en-US","name":"amazon-ssm-agent","os":"linux","osver":"1","ver":"3.3.0.0"},'
    '"dateTime":"2026-11-20T04:21:54.755Z","runId":"","runtimeStatusCounts":{"Success":1},"ableToOpenMGSConnection":false},'
    '"documentStatus":"Success","documentTraceOutput":"","runtimeStatus":{"runShellScript":{"status":"Success","code":0,'
    '"name":"aws:runShellScript","output":"hello\\n\\n----------ERROR-------\\noops\\n",'
    '"startDateTime":"2026-11-20T04:21:54.155Z","endDateTime":"2026-11-20T04:21:54.555Z","outputS3BucketName":"",'
    '"outputS3KeyPrefix":"","stepName":"","standardOutput":"hello\\n","standardError":"oops\\n"}}}'
)


async def say(node, target, body):
    """Send *body* as it is, within the node's session."""
    session = node.session or await node.refresh()
    now = node.house.clock.now()
    headers, _ = amazon_wire.session_request(
        HOST, target, json.loads(body), session=session, region="us-east-1", now=now
    )
    content = body.encode()
    headers["content-length"] = str(len(content))
    service = "ec2messages" if target.startswith(MESSAGES) else "ssm"
    headers["authorization"] = amazon_wire.authorization(
        headers, content, key_id=session.key_id, region="us-east-1", service=service,
        sign=session.signer(headers["x-amz-date"][:8], "us-east-1", service),
        signed="content-length;content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
    )  # fmt: skip
    return await node.house.knock(headers, content)


async def information(house, node):
    """DescribeInstanceInformation of the node."""
    (found,) = (await house.ask("AmazonSSM.DescribeInstanceInformation", {}))["InstanceInformationList"]
    return found


async def test_it_is_there_in_the_short_form_and_in_the_full_one(house):
    """The short one takes nothing back that the full one said; empty members say nothing."""
    node = await Amazon.registered(house)
    for body in (SHORT % node.instance_id, FULL % (node.instance_id, ""), FULL % (node.instance_id, "ec2messages")):
        answer = await say(node, "AmazonSSM.UpdateInstanceInformation", body)
        assert (answer.status, answer.body) == (200, b"{}")
    house.clock.time += 1
    assert (await say(node, "AmazonSSM.UpdateInstanceInformation", SHORT % node.instance_id)).status == 200

    found = await information(house, node)

    assert (found["ComputerName"], found["IPAddress"], found["PlatformVersion"]) == ("proto-node", "127.0.0.1", "12")
    assert (found["AgentVersion"], found["PlatformType"], found["ResourceType"]) == (
        "3.3.0.0",
        "Linux",
        "ManagedInstance",
    )


async def test_a_poll_brings_a_command_with_every_member_that_the_agent_takes_apart(house):
    """MessageId, CreatedDate and Topic in the forms it parses; the payload has the whole document; it is taken and answered."""
    node = await Amazon.registered(house)
    sent = {
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": [node.instance_id],
        "Parameters": {"commands": ["echo hello", "echo oops >&2"]},
    }
    command = (await house.ask("AmazonSSM.SendCommand", sent))["Command"]["CommandId"]
    poll = f'{{"Destination":"{node.instance_id}","MessagesRequestId":"7f2d","VisibilityTimeoutInSeconds":10}}'

    answer = (await say(node, f"{MESSAGES}.GetMessages", poll)).json

    assert (answer["Destination"], answer["MessagesRequestId"]) == (node.instance_id, "7f2d")
    (message,) = answer["Messages"]
    assert message["MessageId"] == f"aws.ssm.{command}.{node.instance_id}"
    assert message["Topic"].startswith("aws.ssm.sendCommand")
    assert message["CreatedDate"] == "2026-11-20T04:00:00.000Z"
    payload = json.loads(message["Payload"])
    assert payload["Parameters"]["commands"] == ["echo hello", "echo oops >&2"]
    assert isinstance(payload["DocumentContent"], dict)
    assert payload["DocumentContent"]["schemaVersion"] in {"1.2", "2.2"}
    assert {name: payload[name] for name in ("CommandId", "DocumentName", "CloudWatchOutputEnabled")} == {
        "CommandId": command,
        "DocumentName": "AWS-RunShellScript",
        "CloudWatchOutputEnabled": "false",
    }
    assert {payload[name] for name in ("OutputS3KeyPrefix", "OutputS3BucketName", "CloudWatchLogGroupName")} == {""}
    acknowledged = await say(node, f"{MESSAGES}.AcknowledgeMessage", f'{{"MessageId":"{message["MessageId"]}"}}')
    assert (acknowledged.status, acknowledged.body) == (200, b"{}")

    (name,) = [step["name"] for step in payload["DocumentContent"].get("mainSteps", [{"name": "aws:runShellScript"}])]
    body = json.dumps(
        {"MessageId": message["MessageId"], "Payload": REPLY.replace("runShellScript", name, 1), "ReplyId": "r"}
    )
    assert (await say(node, f"{MESSAGES}.SendReply", body)).body == b"{}"

    found = await house.ask("AmazonSSM.GetCommandInvocation", {"CommandId": command, "InstanceId": node.instance_id})
    assert (found["Status"], found["ResponseCode"]) == ("Success", 0)
    assert (found["StandardOutputContent"], found["StandardErrorContent"]) == ("hello\n", "oops\n")


async def test_a_cancel_is_a_message_of_its_own(house):
    """Its id is nothing that names the command; what it cancels stands in it."""
    node = await Amazon.registered(house)
    sent = {
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": [node.instance_id],
        "Parameters": {"commands": ["sleep 9"]},
    }
    command = (await house.ask("AmazonSSM.SendCommand", sent))["Command"]["CommandId"]
    poll = f'{{"Destination":"{node.instance_id}","MessagesRequestId":"%s","VisibilityTimeoutInSeconds":10}}'
    (message,) = (await say(node, f"{MESSAGES}.GetMessages", poll % "1")).json["Messages"]
    await say(node, f"{MESSAGES}.AcknowledgeMessage", f'{{"MessageId":"{message["MessageId"]}"}}')
    await house.ask("AmazonSSM.CancelCommand", {"CommandId": command})

    (cancel,) = (await say(node, f"{MESSAGES}.GetMessages", poll % "2")).json["Messages"]

    assert cancel["Topic"].startswith("aws.ssm.cancelCommand")
    assert json.loads(cancel["Payload"]) == {"CancelMessageId": message["MessageId"]}
    assert command not in cancel["MessageId"]
    acknowledged = await say(node, f"{MESSAGES}.AcknowledgeMessage", f'{{"MessageId":"{cancel["MessageId"]}"}}')
    assert acknowledged.body == b"{}"
    failed = f'{{"FailureType":"NoHandlerExists","MessageId":"{cancel["MessageId"]}"}}'
    assert (await say(node, f"{MESSAGES}.FailMessage", failed)).body == b"{}"


@pytest.mark.parametrize("failure", ["InternalHandlerException", "NoHandlerExists"])
async def test_a_message_it_makes_nothing_of_has_failed(house, failure):
    """FailMessage ends the command there."""
    node = await Amazon.registered(house)
    sent = {
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": [node.instance_id],
        "Parameters": {"commands": ["true"]},
    }
    command = (await house.ask("AmazonSSM.SendCommand", sent))["Command"]["CommandId"]
    poll = f'{{"Destination":"{node.instance_id}","MessagesRequestId":"1","VisibilityTimeoutInSeconds":10}}'
    (message,) = (await say(node, f"{MESSAGES}.GetMessages", poll)).json["Messages"]

    answer = await say(
        node, f"{MESSAGES}.FailMessage", f'{{"FailureType":"{failure}","MessageId":"{message["MessageId"]}"}}'
    )

    assert answer.status == 200
    found = await house.ask("AmazonSSM.GetCommandInvocation", {"CommandId": command, "InstanceId": node.instance_id})
    assert found["Status"] == "Failed"


async def test_an_error_has_the_form_it_reads(house):
    """`__type` and a message, as JSON of its version: it prints them and ends."""
    activation = {"ActivationCode": "b9799bc2b3df6796b448", "ActivationId": "091c7ed1-9422-4a09-ab29-f74886c7cada"}

    answer = await register(house, activation, next(keys()))

    assert answer.status == 400
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.json["__type"] == "InvalidActivation"
    assert answer.json["message"]


async def test_what_it_asks_for_and_nobody_knows_is_refused_as_such(house):
    """The step that asked fails with the message; nothing else follows from it."""
    node = await Amazon.registered(house)

    answer = await say(node, "AmazonSSM.GetManifest", '{"PackageName":"AWSPVDriver","PackageVersion":"latest"}')

    assert (answer.status, answer.code) == (400, "UnknownOperationException")


async def test_what_a_newer_agent_says_besides_is_passed_over(house):
    """Members that nobody here knows, in every call it makes before it can run anything."""
    made = keys()
    activation = await house.ask("AmazonSSM.CreateActivation", {"IamRole": "node"})
    answer = await register(house, activation, next(made), SomethingNew="x", Later={"a": [1]})
    assert answer.status == 200
    node = Amazon(house, answer.json["InstanceId"], next(keys()))
    token = await node.asymmetric(
        "RequestManagedInstanceRoleToken", {"Fingerprint": node.fingerprint, "SomethingNew": 1}
    )
    assert token.status == 200
    said = json.loads(SHORT % node.instance_id)
    assert (
        await say(node, "AmazonSSM.UpdateInstanceInformation", json.dumps({**said, "SomethingNew": []}))
    ).status == 200
    asked = {"Destination": node.instance_id, "MessagesRequestId": "1", "VisibilityTimeoutInSeconds": 10}
    sent = {
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": [node.instance_id],
        "Parameters": {"commands": ["true"]},
    }
    await house.ask("AmazonSSM.SendCommand", sent)
    polled = await say(node, f"{MESSAGES}.GetMessages", json.dumps({**asked, "SomethingNew": "x"}))
    assert len(polled.json["Messages"]) == 1


async def test_a_fault_that_passes_is_never_a_denial(house):
    """After a denial the agent sleeps for half an hour: while the database is away it is told that the fault is ours."""
    node = await Amazon.registered(house)
    session = await node.refresh()
    await house.wired.database.close()

    for answer in (
        await node.token(),
        await node.call("AmazonSSM.UpdateInstanceInformation", {"InstanceId": node.instance_id}, session=session),
    ):
        assert answer.status >= 500
        assert answer.code in {"ServiceUnavailableException", "InternalServerError"}
