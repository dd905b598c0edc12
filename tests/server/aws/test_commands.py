# SPDX-License-Identifier: Apache-2.0
"""Run Command through boto3 (spec §1.5, §5)."""

from __future__ import annotations

import pytest

DOCUMENT = "AWS-RunPatchBaseline"
SCAN = {"Operation": ["Scan"]}
STEP = {
    "PatchLinux": {
        "status": "Success",
        "code": 0,
        "startDateTime": "2026-11-20T04:00:00.000Z",
        "endDateTime": "2026-11-20T04:00:00.091Z",
        "standardOutput": "o" * 3000,
        "standardError": "warning",
    }
}


def send(ssm, *nodes, **members):
    """A Scan."""
    ids = {"InstanceIds": [node.instance_id for node in nodes]} if nodes else {}
    return ssm.send_command(**{"DocumentName": DOCUMENT, "Parameters": SCAN, **ids, **members})["Command"]


def test_a_command_comes_back_with_its_placeholders(aws, ssm):
    """Unset members as AWS's empty placeholders (spec §5.1)."""
    node = aws.enrol()

    command = send(ssm, node, Comment="nightly", TimeoutSeconds=600)

    assert (command["Status"], command["StatusDetails"], command["TargetCount"]) == ("Pending", "Pending", 1)
    assert (command["ExpiresAfter"] - command["RequestedDateTime"]).total_seconds() == 600 + 7200
    assert (command["MaxConcurrency"], command["MaxErrors"], command["Comment"]) == ("50", "0", "nightly")
    assert command["Parameters"] == SCAN
    assert (command["InstanceIds"], command["Targets"]) == ([node.instance_id], [])
    assert (command["ServiceRole"], command["OutputS3BucketName"]) == ("", "")
    assert command["NotificationConfig"] == {"NotificationArn": "", "NotificationEvents": [], "NotificationType": ""}
    assert command["CloudWatchOutputConfig"] == {"CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": False}
    assert (command["CompletedCount"], command["ErrorCount"], command["DeliveryTimedOutCount"]) == (0, 0, 0)


def test_targets_reach_whoever_carries_the_tag(aws, ssm):
    """Without ids in the command, and with the count of those that were found."""
    nodes = [aws.enrol(tags={"role": "web"}) for _ in range(2)]

    command = send(ssm, Targets=[{"Key": "tag:role", "Values": ["web"]}])
    nobody = send(ssm, Targets=[{"Key": "tag:role", "Values": ["db"]}])

    assert (command["InstanceIds"], command["TargetCount"]) == ([], 2)
    assert (nobody["Status"], nobody["StatusDetails"], nobody["TargetCount"]) == ("Success", "NoInstancesInTag", 0)
    found = ssm.list_command_invocations(CommandId=command["CommandId"])["CommandInvocations"]
    assert sorted(one["InstanceId"] for one in found) == sorted(node.instance_id for node in nodes)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"DocumentName": "AWS-RunNothing"}, "InvalidDocument"),
        ({"DocumentVersion": "9"}, "InvalidDocumentVersion"),
        ({"Parameters": {}}, "InvalidParameters"),
        ({"Parameters": {"Operation": ["Destroy"]}}, "InvalidParameters"),
        ({"Parameters": {**SCAN, "InstallOverrideList": ["nowhere"]}}, "InvalidParameters"),
        ({"InstanceIds": ["mi-00000000000000000"]}, "InvalidInstanceId"),
        ({"InstanceIds": ["x"]}, "ValidationException"),
        ({"InstanceIds": []}, "ValidationException"),
        ({"InstanceIds": ["mi-00000000000000000"] * 51}, "ValidationException"),
        ({"Targets": [{"Key": "tag:a", "Values": ["b"]}]}, "ValidationException"),
        ({"MaxConcurrency": "0"}, "ValidationException"),
        ({"MaxErrors": "101%"}, "ValidationException"),
        ({"TimeoutSeconds": 29}, "ValidationException"),
        ({"Comment": "x" * 101}, "ValidationException"),
        ({"OutputS3BucketName": "LOGS"}, "InvalidOutputFolder"),
        ({"NotificationConfig": {"NotificationArn": "arn:aws:sns:x"}}, "InvalidNotificationConfig"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_a_command_that_cannot_be_carried_out_is_refused(aws, ssm, members, code):
    """With the class AWS has for it, and no command."""
    node = aws.enrol()

    with pytest.raises(ssm.exceptions.ClientError) as refused:
        send(ssm, **{"InstanceIds": [node.instance_id], **members})

    assert refused.value.response["Error"]["Code"] == code
    assert ssm.list_command_invocations()["CommandInvocations"] == []


def test_the_same_node_twice_is_a_duplicate(aws, ssm):
    """DuplicateInstanceId."""
    node = aws.enrol()

    with pytest.raises(ssm.exceptions.DuplicateInstanceId):
        send(ssm, node, node)


def test_an_invocation_is_read_as_it_goes_on(aws, ssm):
    """Pending, then with what the step reported (spec §5.5)."""
    node = aws.enrol()
    command_id = send(ssm, node)["CommandId"]
    key = {"CommandId": command_id, "InstanceId": node.instance_id}

    pending = ssm.get_command_invocation(**key)
    assert (pending["Status"], pending["ResponseCode"], pending["PluginName"]) == ("Pending", -1, "PatchLinux")
    assert (pending["ExecutionStartDateTime"], pending["ExecutionElapsedTime"]) == ("", "")

    aws.run(aws.house.reply(node, command_id, "Success", runtimeStatus=STEP))
    done = ssm.get_command_invocation(**key, PluginName="PatchLinux")
    assert (done["Status"], done["StatusDetails"], done["ResponseCode"]) == ("Success", "Success", 0)
    assert (done["ExecutionStartDateTime"], done["ExecutionElapsedTime"]) == ("2026-11-20T04:00:00.000Z", "PT0.091S")
    assert (len(done["StandardOutputContent"]), done["StandardErrorContent"]) == (3000, "warning")


def test_the_waiter_of_the_sdk_ends(aws, ssm):
    """CommandExecuted succeeds on Success and fails on Failed (spec §0.4)."""
    from botocore.exceptions import WaiterError

    node = aws.enrol()
    good, bad = send(ssm, node)["CommandId"], send(ssm, node)["CommandId"]
    aws.run(aws.house.reply(node, good, "Success", runtimeStatus=STEP))
    aws.run(aws.house.reply(node, bad, "Failed"))
    waiter = ssm.get_waiter("command_executed")

    waiter.wait(CommandId=good, InstanceId=node.instance_id, WaiterConfig={"Delay": 1, "MaxAttempts": 1})
    with pytest.raises(WaiterError, match="Failed"):
        waiter.wait(CommandId=bad, InstanceId=node.instance_id, WaiterConfig={"Delay": 1, "MaxAttempts": 1})


def test_invocations_that_are_none_have_their_own_classes(aws, ssm):
    """InvocationDoesNotExist, InvalidPluginName, InvalidCommandId."""
    node, other = aws.enrol(), aws.enrol()
    command_id = send(ssm, node)["CommandId"]
    unknown = "00000000-0000-0000-0000-000000000000"

    with pytest.raises(ssm.exceptions.InvocationDoesNotExist):
        ssm.get_command_invocation(CommandId=command_id, InstanceId=other.instance_id)
    with pytest.raises(ssm.exceptions.InvocationDoesNotExist):
        ssm.get_command_invocation(CommandId=unknown, InstanceId=node.instance_id)
    with pytest.raises(ssm.exceptions.InvalidPluginName):
        ssm.get_command_invocation(CommandId=command_id, InstanceId=node.instance_id, PluginName="PatchMacOS")
    with pytest.raises(ssm.exceptions.InvalidCommandId):
        ssm.list_command_invocations(CommandId=unknown)


def test_invocations_are_listed_newest_first_in_pages_of_any_size(aws, ssm):
    """By command, by node, and all of them; details add the steps, cut to 2,500 characters."""
    nodes = sorted([aws.enrol() for _ in range(3)], key=lambda node: node.instance_id)
    sent = [send(ssm, *nodes)["CommandId"] for _ in range(3)]
    aws.run(aws.house.reply(nodes[0], sent[0], "Success", runtimeStatus=STEP))
    pages = ssm.get_paginator("list_command_invocations")

    def listed(size=50, **arguments):
        found = pages.paginate(**arguments, PaginationConfig={"PageSize": size})
        return [(one["CommandId"], one["InstanceId"]) for page in found for one in page["CommandInvocations"]]

    every = [(command_id, node.instance_id) for command_id in reversed(sent) for node in nodes]
    for size in (1, 2, 4, 9, 50):
        assert listed(size) == every
    assert listed(2, CommandId=sent[1]) == [pair for pair in every if pair[0] == sent[1]]
    assert listed(2, InstanceId=nodes[1].instance_id) == [pair for pair in every if pair[1] == nodes[1].instance_id]
    assert listed(Filters=[{"key": "Status", "value": "Success"}]) == [(sent[0], nodes[0].instance_id)]

    (plain,) = ssm.list_command_invocations(CommandId=sent[0], InstanceId=nodes[0].instance_id)["CommandInvocations"]
    assert (plain["CommandPlugins"], plain["InstanceName"], plain["Status"]) == ([], "", "Success")
    (full,) = ssm.list_command_invocations(CommandId=sent[0], InstanceId=nodes[0].instance_id, Details=True)[
        "CommandInvocations"
    ]
    (plugin,) = full["CommandPlugins"]
    assert (plugin["Name"], plugin["Status"], plugin["ResponseCode"], len(plugin["Output"])) == (
        "PatchLinux",
        "Success",
        0,
        2500,
    )


def test_invocations_are_filtered_by_status_document_and_time(aws, ssm):
    """The status filter matches Status or StatusDetails (spec §5.5)."""
    node = aws.enrol()
    good, bad = send(ssm, node)["CommandId"], send(ssm, node)["CommandId"]
    aws.run(aws.house.reply(node, good, "Success", runtimeStatus=STEP))
    aws.run(aws.house.reply(node, bad, "TimedOut"))

    def listed(*filters):
        given = [{"key": key, "value": value} for key, value in filters]
        return {one["CommandId"] for one in ssm.list_command_invocations(Filters=given)["CommandInvocations"]}

    assert listed(("Status", "TimedOut")) == listed(("Status", "ExecutionTimedOut")) == {bad}
    assert listed(("Status", "Success"), ("DocumentName", DOCUMENT)) == {good}
    assert listed(("DocumentName", "other")) == set()
    assert listed(("InvokedAfter", "2020-01-01T00:00:00Z")) == {good, bad}
    assert listed(("InvokedBefore", "2020-01-01T00:00:00Z")) == set()


def test_filters_that_are_none_are_refused_though_there_is_no_command(ssm):
    """InvalidFilterKey."""
    for key, value in (("ExecutionStage", "Executing"), ("InvokedAfter", "yesterday"), ("InvokedBefore", "")):
        with pytest.raises(ssm.exceptions.ClientError) as refused:
            ssm.list_command_invocations(Filters=[{"key": key, "value": value}])
        assert refused.value.response["Error"]["Code"] in {"InvalidFilterKey", "ValidationException"}
