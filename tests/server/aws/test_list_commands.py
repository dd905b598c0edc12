# SPDX-License-Identifier: Apache-2.0
"""ListCommands, CancelCommand, and what else SendCommand takes, through boto3 (spec §1.5, §5)."""

from __future__ import annotations

import pytest

from server.aws.test_commands import DOCUMENT, STEP, send

SCRIPT = "AWS-RunShellScript"
UNKNOWN = "00000000-0000-0000-0000-000000000000"


def script(ssm, *nodes, **members):
    """A script."""
    return send(ssm, *nodes, DocumentName=SCRIPT, Parameters={"commands": ["date"]}, **members)


def test_commands_are_listed_newest_first_in_pages_of_any_size(aws, ssm):
    """All of them, those to a node, and one by its id; each as SendCommand answered it."""
    nodes = [aws.enrol() for _ in range(2)]
    sent = [send(ssm, nodes[number % 2]) for number in range(5)]
    pages = ssm.get_paginator("list_commands")

    def listed(size=50, **arguments):
        found = pages.paginate(**arguments, PaginationConfig={"PageSize": size})
        return [one["CommandId"] for page in found for one in page["Commands"]]

    every = [one["CommandId"] for one in reversed(sent)]
    for size in (1, 2, 5, 50):
        assert sorted(listed(size)) == sorted(every)
        assert len(listed(size)) == 5
    assert sorted(listed(2, InstanceId=nodes[0].instance_id)) == sorted(one["CommandId"] for one in sent[::2])
    (one,) = ssm.list_commands(CommandId=sent[0]["CommandId"])["Commands"]
    assert one == sent[0]
    assert listed(CommandId=sent[0]["CommandId"], InstanceId=nodes[1].instance_id) == []
    with pytest.raises(ssm.exceptions.InvalidCommandId):
        ssm.list_commands(CommandId=UNKNOWN)


def test_commands_are_filtered_by_status_stage_document_and_time(aws, ssm):
    """The status filter matches Status or StatusDetails; a page of a filter may be short, and none is left out."""
    node = aws.enrol()
    good, bad, open_ = (send(ssm, node)["CommandId"] for _ in range(3))
    other = script(ssm, node)["CommandId"]
    aws.run(aws.house.reply(node, good, "Success", runtimeStatus=STEP))
    aws.run(aws.house.reply(node, bad, "TimedOut"))
    nobody = send(ssm, Targets=[{"Key": "tag:a", "Values": ["b"]}])["CommandId"]

    def listed(*filters, **members):
        given = [{"key": key, "value": value} for key, value in filters]
        return {one["CommandId"] for one in ssm.list_commands(Filters=given, **members)["Commands"]}

    assert listed(("Status", "Success")) == {good, nobody}
    assert listed(("Status", "NoInstancesInTag")) == {nobody}
    assert listed(("Status", "Failed")) == {bad}
    assert listed(("ExecutionStage", "Complete")) == {good, bad, nobody}
    assert listed(("ExecutionStage", "Executing")) == {open_, other}
    assert listed(("ExecutionStage", "Executing"), ("DocumentName", DOCUMENT)) == {open_}
    assert listed(("DocumentName", SCRIPT), InstanceId=node.instance_id) == {other}
    assert listed(("InvokedAfter", "2020-01-01T00:00:00Z")) == {good, bad, open_, other, nobody}
    assert listed(("InvokedBefore", "2020-01-01T00:00:00Z")) == set()
    assert listed(("Status", "Failed"), CommandId=bad) == {bad}
    assert listed(("Status", "Success"), CommandId=bad) == set()


def test_filters_of_commands_that_are_none_are_refused(ssm):
    """InvalidFilterKey, though there is no command."""
    for key, value in (("ExecutionStage", "Done"), ("InvokedAfter", "yesterday")):
        with pytest.raises(ssm.exceptions.InvalidFilterKey):
            ssm.list_commands(Filters=[{"key": key, "value": value}])


def test_a_command_is_cancelled_as_a_whole_or_in_part(aws, ssm):
    """Each class has its reason; what has ended is left, without an error."""
    nodes = [aws.enrol() for _ in range(2)]
    ids = [node.instance_id for node in nodes]
    elsewhere = aws.enrol().instance_id
    command_id = send(ssm, *nodes)["CommandId"]

    for members, refusal in (
        ({"CommandId": UNKNOWN}, ssm.exceptions.InvalidCommandId),
        ({"CommandId": command_id, "InstanceIds": [elsewhere]}, ssm.exceptions.InvalidInstanceId),
        ({"CommandId": command_id, "InstanceIds": [ids[0], ids[0]]}, ssm.exceptions.DuplicateInstanceId),
    ):
        with pytest.raises(refusal):
            ssm.cancel_command(**members)

    answer = ssm.cancel_command(CommandId=command_id, InstanceIds=ids[:1])
    assert set(answer) == {"ResponseMetadata"}
    shown = {one["InstanceId"]: one["Status"] for one in ssm.list_command_invocations()["CommandInvocations"]}
    assert shown == {ids[0]: "Cancelled", ids[1]: "Pending"}
    for _ in range(2):
        ssm.cancel_command(CommandId=command_id)
    (command,) = ssm.list_commands()["Commands"]
    assert (command["Status"], command["CompletedCount"]) == ("Cancelled", 2)


def test_a_node_is_told_of_a_cancel_by_a_message(aws, ssm):
    """The poll brings it, with a topic of its own."""
    node = aws.enrol()
    command_id = send(ssm, node)["CommandId"]
    (message,) = aws.run(aws.house.messages(node))
    aws.run(aws.house.reply(node, command_id, "InProgress"))

    ssm.cancel_command(CommandId=command_id)

    (cancel,) = aws.run(aws.house.messages(node))
    assert cancel["Topic"].startswith("aws.ssm.cancelCommand")
    assert cancel["Payload"] == '{"CancelMessageId": "' + message["MessageId"] + '"}'
    assert ssm.list_commands()["Commands"][0]["StatusDetails"] == "Cancelling"


def test_what_a_command_is_sent_with_is_shown_again(aws, ssm):
    """Where its output goes, whose role it has, and which log group."""
    node = aws.enrol()
    role = f"arn:aws:iam::{node.account}:role/ops/Teller"
    members = {
        "OutputS3BucketName": "logs",
        "OutputS3KeyPrefix": "runs/",
        "OutputS3Region": "eu-west-1",
        "CloudWatchOutputConfig": {"CloudWatchLogGroupName": "runs", "CloudWatchOutputEnabled": True},
    }

    command = script(ssm, node, ServiceRoleArn=role, **members)

    assert {name: command[name] for name in members} == members
    assert command["ServiceRole"] == role
    (invocation,) = ssm.list_command_invocations()["CommandInvocations"]
    assert (invocation["ServiceRole"], invocation["CloudWatchOutputConfig"]) == (
        role,
        members["CloudWatchOutputConfig"],
    )


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"ServiceRoleArn": "arn:aws:iam::999999999999:role/Theirs"}, "InvalidRole"),
        ({"ServiceRoleArn": "Teller"}, "InvalidRole"),
        ({"OutputS3BucketName": "No_Bucket"}, "InvalidOutputFolder"),
        ({"OutputS3BucketName": "logs..ours"}, "InvalidOutputFolder"),
        ({"OutputS3BucketName": "logs", "OutputS3KeyPrefix": "../elsewhere"}, "InvalidOutputFolder"),
        ({"OutputS3BucketName": "logs", "OutputS3KeyPrefix": "/commands"}, "InvalidOutputFolder"),
        ({"OutputS3BucketName": "logs", "OutputS3KeyPrefix": "\u20ac" * 300}, "InvalidOutputFolder"),
        ({"OutputS3KeyPrefix": "p"}, "InvalidOutputFolder"),
        ({"NotificationConfig": {"NotificationEvents": ["All"]}}, "InvalidNotificationConfig"),
        ({"NotificationConfig": {"NotificationArn": "arn:aws:sns:us-east-1:1:x"}}, "InvalidNotificationConfig"),
        ({"AlarmConfiguration": {"Alarms": [{"Name": "a"}]}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["{{ssm:none}}"]}}, "InvalidParameters"),
        ({"Parameters": {"commands": []}}, "InvalidParameters"),
        ({"DocumentHash": "0" * 64, "DocumentHashType": "Sha256"}, "InvalidDocument"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_what_cannot_be_acted_on_is_refused(aws, ssm, members, code):
    """With the class AWS has for it, and no command."""
    node = aws.enrol()

    with pytest.raises(ssm.exceptions.ClientError) as refused:
        send(
            ssm,
            **{
                "DocumentName": SCRIPT,
                "InstanceIds": [node.instance_id],
                "Parameters": {"commands": ["date"]},
                **members,
            },
        )

    assert refused.value.response["Error"]["Code"] == code
    assert ssm.list_commands()["Commands"] == []


def test_a_document_for_other_platforms_is_refused_where_nobody_can_run_it(aws, ssm):
    """UnsupportedPlatformType; with one node that can, the others have an invocation that says so."""
    content = (
        '{"schemaVersion": "2.2", "mainSteps": [{"action": "aws:runShellScript", "name": "s", "inputs": {"runCommand": []},'
        ' "precondition": {"StringEquals": ["platformType", "MacOS"]}}]}'
    )
    ssm.create_document(Name="ForMac", Content=content, DocumentType="Command")
    node = aws.enrol()

    with pytest.raises(ssm.exceptions.UnsupportedPlatformType):
        ssm.send_command(DocumentName="ForMac", InstanceIds=[node.instance_id])
    command = ssm.send_command(DocumentName="ForMac", Targets=[{"Key": "InstanceIds", "Values": ["*"]}])["Command"]

    assert (command["Status"], command["CompletedCount"]) == ("Failed", 1)
    (invocation,) = ssm.list_command_invocations()["CommandInvocations"]
    assert (invocation["Status"], invocation["StatusDetails"]) == ("Failed", "InvalidPlatform")


def test_a_command_expires_by_what_its_steps_may_take(aws, ssm):
    """TimeoutSeconds, and the document's execution timeout: an hour each unless told otherwise (spec §5.1)."""
    node = aws.enrol()

    def lifetime(**members):
        command = script(ssm, node, **members)
        return round((command["ExpiresAfter"] - command["RequestedDateTime"]).total_seconds())

    assert lifetime() == 3600 + 3600
    assert lifetime(TimeoutSeconds=30) == 30 + 3600
    quick = send(ssm, node, DocumentName=SCRIPT, Parameters={"commands": ["date"], "executionTimeout": ["60"]})
    assert round((quick["ExpiresAfter"] - quick["RequestedDateTime"]).total_seconds()) == 3600 + 60
