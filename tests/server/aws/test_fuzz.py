# SPDX-License-Identifier: Apache-2.0
"""
Made-up requests to everything that is served, from the models, seeded: never a 500, never an answer a client cannot read,
never a row of a request that was refused.
"""

from __future__ import annotations

import json
import os
import random
from types import SimpleNamespace

import pytest

from patchwright.core.protocol import FactsMessage, Phase, message_id
from patchwright.server.wire import ApiError
from server.accounts.tenants import new_account
from server.aws.storm import Storm
from server.aws.test_bad_input import NODE_TARGETS
from server.aws.test_unserved import OUR_OWN, SERVED
from server.gateway.house import build
from server.patching.bench import OUTDATED, bodies_of

SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))
FULL = os.environ.get("PATCHWRIGHT_FULL") == "1"
LEAST = 100_000  # calls, where everything is tested
TOGETHER = 5  # rounds in one account
USER_TARGETS = [*(f"AmazonSSM.{name}" for name in sorted(SERVED)), *OUR_OWN]
TARGETS = [*USER_TARGETS, *NODE_TARGETS, "Patchwright.Enroll"]
# What a storm may never be answered by, and why: a poll waits, this kind of sync has nothing that may change, and a window has
# to have begun a task while its ids are still remembered.
UNMET = {
    "EC2WindowsMessageDeliveryService.GetMessages",
    "AmazonSSM.UpdateResourceDataSync",
    "AmazonSSM.DescribeMaintenanceWindowExecutionTaskInvocations",
    "AmazonSSM.GetMaintenanceWindowExecutionTask",
    "AmazonSSM.GetMaintenanceWindowExecutionTaskInvocation",
}
REPLIES = [
    {"documentStatus": "InProgress", "runtimeStatus": {"PatchLinux": {"status": "InProgress"}}},
    {"documentStatus": "Success", "runtimeStatus": {"PatchLinux": {"status": "Success", "code": 0}}},
    {
        "documentStatus": "Failed",
        "documentTraceOutput": "\0\ud800",
        "runtimeStatus": {"x": {"status": "Failed", "code": 1}},
    },
    {"documentStatus": [], "runtimeStatus": 7},
]


INVENTORY = [
    {"TypeName": name, "SchemaVersion": version, "CaptureTime": "2026-11-20T04:00:00Z", "Content": rows}
    for name, version, rows in (
        ("AWS:Application", "1.1", [{"Name": "foo", "Version": "1"}]),
        ("AWS:ComplianceItem", "1.0", [{"ComplianceType": "Patch"}]),
        ("Custom:Rack", "1.0", [{"Row": "7"}]),
    )
]


WINDOW = {
    "Name": "nightly",
    "Schedule": "rate(1 day)",
    "Duration": 3,
    "Cutoff": 1,
    "AllowUnassociatedTargets": True,
}
PARAMETER = {"Name": "/app/colour", "Value": "red", "Type": "String"}
DESTINATION = {"BucketName": "reports", "SyncFormat": "JsonSerDe", "Region": "us-east-1"}
DOCUMENT = {
    "schemaVersion": "2.2",
    "description": "Made up.",
    "parameters": {"Words": {"type": "String", "default": "x"}},
    "mainSteps": [{"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": ["echo {{ Words }}"]}}],
}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": "111122223333"},
            "Action": ["ssm:GetParameter"],
            "Resource": "arn:aws:ssm:us-east-1:111122223333:parameter/app/colour",
        }
    ],
}
# What free text has to be, by the shape that is to have it.
SHAPES = {
    "MaintenanceWindowSchedule": ["rate(1 day)", "cron(0 2 ? * SUN *)", "at(2027-01-01T00:00:00)"],
    "MaintenanceWindowTimezone": ["Etc/UTC", "Europe/Berlin"],
    "MaintenanceWindowStringDateTime": ["2026-12-24T06:00:00Z", "2027-12-24T06:00:00Z"],
    "MaintenanceWindowDurationHours": [3, 4],
    "MaintenanceWindowCutoff": [0, 1],
    "DocumentContent": [json.dumps(DOCUMENT), json.dumps({**DOCUMENT, "description": "Another."})],
    "DocumentVersion": ["$LATEST", "$DEFAULT", "1"],
    "PSParameterName": ["/app/colour", "/app/size", "plain"],
    "ParametersFilterKey": ["Name", "Type"],
    "ParameterStringFilterKey": ["Name", "Type", "Path", "tag:x"],
    "ParameterKeyId": ["alias/aws/ssm"],
    "AllowedPattern": [".*", "[a-z]+"],
    "Path": ["/", "/app"],
    "PSParameterVersion": [1, 2],
    "ServiceSettingId": ["/ssm/parameter-store/default-parameter-tier", "/ssm/managed-instance/activation-tier"],
    "ServiceSettingValue": ["Standard", "Advanced", "standard", "advanced"],
    "Policy": [json.dumps(POLICY)],
    "Targets": [[{"Key": "InstanceIds", "Values": ["*"]}], [{"Key": "tag:Patch Group", "Values": ["web"]}]],
    "PatchGroup": ["web", "db"],
    "SubscriptionName": ["ops", "pager"],
    "SubscriptionUrl": ["https://hook.invalid/x"],
    "SubscriptionSecret": [f"whsec_{'QUJD' * 8}"],
    "EventPattern": ['{"source": ["aws.ssm"]}', '{"detail": {"name": [{"exists": true}]}}'],
    "EventSubject": ["/app/colour", "plain"],
    "EventDetailType": ["Parameter Store Change"],
    "DocumentName": ["AWS-RunPatchBaseline"],
    "Parameters": [{"Operation": ["Scan"]}, {"Operation": ["Install"], "RebootOption": ["NoReboot"]}],
    "OperatingSystem": ["DEBIAN", "UBUNTU"],
    "StepName": ["PatchLinux"],
    "PluginName": ["PatchLinux"],
    "Payload": [json.dumps(reply) for reply in REPLIES],
    "Resolution": [{"Actions": [], "Unresolved": {}}, {"Actions": [["foo", "amd64", "1", "2", True]]}],
    "EnrollmentToken": ["t" * 32, "u" * 40],
    "Key": ["tag:x", "tag-key", "InstanceIds", "OWNER", "NAME_PREFIX", "PRIORITY", "State", "KBId"],
    "key": ["Status", "InvokedAfter", "InvokedBefore", "DocumentName", "PingStatus"],
    "value": ["Success", "2026-11-20T00:00:00Z", "0001-01-01T00:00:00+14:00"],
    "Values": [["*"], ["AWS"], ["Missing"], ["Optional"]],
    "MaxConcurrency": ["1", "10%"],
    "MaxErrors": ["0", "100%"],
    "ComplianceTypeName": ["Patch", "Association", "Custom:AV"],
    "ComplianceResourceType": ["ManagedInstance"],
    "ComplianceItemContentHash": ["h1"],
    "ComplianceStringFilterKey": ["ComplianceType", "Status", "ExecutionTime", "PatchState", "OverallSeverity"],
    "ComplianceFilterValue": ["Patch", "COMPLIANT", "2026-11-20T04:00:00Z", "0001-01-01T00:00:00+14:00", "LOW"],
    "InventoryItem": INVENTORY,
    "InventoryItemTypeName": ["AWS:Application", "AWS:InstanceInformation", "AWS:PatchSummary", "Custom:Rack"],
    "InventoryItemTypeNameFilter": ["AWS:", "Custom:Rack"],
    "InventoryItemSchemaVersion": ["1.0", "1.1"],
    "InventoryItemCaptureTime": ["2026-11-20T04:00:00Z"],
    "InventoryAggregatorExpression": [
        "AWS:Application.Name",
        "AWS:PatchSummary.MissingCount",
        "Custom:Rack.Row",
    ],
    "InventoryFilterKey": ["AWS:Application.Name", "AWS:InstanceInformation.AgentVersion", "TypeName"],
    "InventoryFilterValueList": [["foo"], ["AWS:Application", "Custom:Rack"]],
}


async def furnish(house, node, region):
    """One of everything, so that made-up requests meet things that exist: them, by member or shape."""

    async def ask(operation, body):
        return await house.ask(f"AmazonSSM.{operation}", body, region=region)

    rules = {"PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 0}]}
    created = {"Name": "web", "OperatingSystem": "DEBIAN", "ApprovalRules": rules}
    baseline = (await ask("CreatePatchBaseline", created))["BaselineId"]
    await ask("RegisterPatchBaselineForPatchGroup", {"BaselineId": baseline, "PatchGroup": "web"})
    scanned = await house.scan(node, OUTDATED)
    command = (await house.send(node, operation="Install"))["CommandId"]
    spare = (await house.send(node))["CommandId"]  # for replies: the Install goes on
    operation = await house.begin(node, command)
    facts = FactsMessage(operation, Phase.BEFORE, OUTDATED.facts).to_json()
    await house.put_facts(node, operation, OUTDATED)  # the node's closure is waited for
    await ask("PutInventory", {"InstanceId": node.instance_id, "Items": INVENTORY})
    activation = await ask("CreateActivation", {"IamRole": "x", "RegistrationLimit": 1000})
    bodies = [{"Digest": digest, "Body": body.decode()} for digest, body in bodies_of(OUTDATED).items()]
    arn = f"arn:aws:ssm:{region}:075727635805:patchbaseline/pb-09a5f8eb62bde80b1"
    ids = [node.instance_id, "mi-00000000000000000", "i-12345678"]
    window = (await ask("CreateMaintenanceWindow", WINDOW))["WindowId"]
    await ask("PutParameter", PARAMETER)
    await ask("CreateDocument", {"Name": "our-own", "Content": json.dumps(DOCUMENT), "DocumentType": "Command"})
    there = SimpleNamespace(
        node=node.instance_id,
        baseline=baseline,
        window=window,
        command=command,
        operation=operation,
        facts=facts,
        bodies=bodies,
    )
    return {
        **SHAPES,
        **requests_about(there),
        "ResourceArnString": [f"arn:aws:ssm:{region}:{house.account}:parameter/app/colour"],
        "WindowId": [window],
        "InstanceId": ids,
        "Destination": ids[1:],
        "BaselineId": [baseline, arn, "pb-00000000000000000", "pb-09a5f8eb62bde80b1"],
        "ResourceId": [node.instance_id, baseline, arn],
        "CommandId": [command, scanned],
        "OperationId": [operation],
        "InstanceIds": [ids[:1], ids[:2]],
        "MessageId": [message_id(spare, ids[0]), message_id(scanned, ids[0]), message_id(command, ids[1])],
        "Facts": [facts["Facts"], {**facts["Facts"], "operating_system": "UBUNTU"}],
        "Bodies": [bodies, bodies[:1], [{**bodies[0], "Body": "x"}]],
        "ActivationId": [activation["ActivationId"]],
        "ActivationCode": [activation["ActivationCode"]],
        "ComplianceResourceId": ids,
    }


FILES = [
    ("InstallOverrideList", "patches: [{id: foo, title: foo}]"),
    ("BaselineOverride", '[{"OperatingSystem": "DEBIAN"}]'),
]


def requests_about(there):
    """Whole requests that are answered, by the shape of the input."""
    target = {"Key": "InstanceIds", "Values": [there.node]}
    tagged = {"ResourceType": "PatchBaseline", "ResourceId": there.baseline}
    unresolved = {"foo.amd64": "kept back", "bar.amd64": "kept back"}
    return {
        "PutFactsRequest": [there.facts],
        "PutBodiesRequest": [{"OperationId": there.operation, "Bodies": there.bodies}],
        "PutOverridesRequest": [
            {"OperationId": there.operation, "Files": [{"Name": name, "Body": body}]} for name, body in FILES
        ],
        "AddTagsToResourceRequest": [{**tagged, "Tags": [{"Key": "x", "Value": "y"}]}],
        "ListTagsForResourceRequest": [tagged],
        "RemoveTagsFromResourceRequest": [{**tagged, "TagKeys": ["x"]}],
        "CreateMaintenanceWindowRequest": [WINDOW],
        "RegisterTargetWithMaintenanceWindowRequest": [
            {"WindowId": there.window, "ResourceType": "INSTANCE", "Targets": [target]}
        ],
        "RegisterTaskWithMaintenanceWindowRequest": [
            {
                "WindowId": there.window,
                "TaskArn": "AWS-RunPatchBaseline",
                "TaskType": "RUN_COMMAND",
                "Targets": [target],
                "MaxConcurrency": "1",
                "MaxErrors": "1",
                "TaskInvocationParameters": {"RunCommand": {"Parameters": {"Operation": ["Scan"]}}},
            }
        ],
        "SendCommandRequest": [
            {
                "DocumentName": "AWS-RunPatchBaseline",
                "Parameters": {"Operation": ["Scan"]},
                "InstanceIds": [there.node],
            }
        ],
        "PutComplianceItemsRequest": [
            {
                "ResourceId": there.node,
                "ResourceType": "ManagedInstance",
                "ComplianceType": "Custom:Rack",
                "ExecutionSummary": {"ExecutionTime": 1_795_000_000},
                "Items": [{"Id": "a", "Severity": "HIGH", "Status": "NON_COMPLIANT"}],
            }
        ],
        "PutResolutionRequest": [
            {"OperationId": there.operation, "Attempt": 0, "Resolution": {"Actions": [], "Unresolved": unresolved}}
        ],
        "CreateResourceDataSyncRequest": [{"SyncName": "out", "S3Destination": DESTINATION}],
        "PutParameterRequest": [PARAMETER, {**PARAMETER, "Overwrite": True}],
        "PutOutputRequest": [
            {"CommandId": there.command, "StepName": "PatchLinux", "Stream": "stdout", "Offset": 0, "Body": "eA=="}
        ],
        "BeginOperationRequest": [
            {"CommandId": there.command, "StepName": "PatchLinux", "OperatingSystem": "DEBIAN", "Product": "Debian12"}
        ],
    }


@pytest.fixture
async def alone(database_url, tmp_path):
    """A house with a database of its own: the jobs of its worker touch nobody else's things."""
    built = await build(tmp_path, database_url, new_account())
    yield built
    await built.close()


async def blow(house, region, number, calls):
    """A storm of its own over a region; returns it for its counts."""
    node = await house.enrol(region=region, tags={"Patch Group": "web"})
    pools = await furnish(house, node, region)
    storm = Storm(house, node, pools, random.Random(f"{SEED} {number}"), region=region)
    await storm.blow(calls, TARGETS)
    return storm


async def test_made_up_requests_are_answered_or_refused(alone, request):
    """A sample, drawn by PATCHWRIGHT_SEED; fewer on PostgreSQL, where a call takes longer."""
    rounds = 1 if "postgres" in request.node.name else 3
    for number in range(rounds):
        storm = await blow(alone, f"xx-storm-{number}", number, 1000)
        assert storm.counts["calls"] == 1000
        assert len(storm.served) > len(TARGETS) // 2


@pytest.mark.skipif(not FULL, reason="a hundred thousand calls, with PATCHWRIGHT_FULL=1")
@pytest.mark.timeout(3600)
@pytest.mark.slow
async def test_a_hundred_thousand_made_up_requests(database_url, tmp_path, request):
    """
    Of which every operation answers some, and refuses some for a reason other than its form.

    Every few rounds in another account: all that an account has is compared around each refusal, its audit trail too.
    """
    calls, rounds = (20_000, 20) if "postgres" in request.node.name else (LEAST, 100)
    made, served, codes = 0, set(), set()
    for first in range(0, rounds, TOGETHER):
        house = await build(tmp_path, database_url, new_account())
        for number in range(first, first + TOGETHER):
            storm = await blow(house, f"xx-storm-{number}", f"full {number}", calls // rounds)
            made += storm.counts["calls"]
            served |= storm.served.keys()
            codes |= storm.codes
        await house.close()
    print(f"{made} calls of {len(TARGETS)} operations, seed {SEED}: {len(codes)} kinds of refusal")
    assert made >= calls
    assert set(TARGETS) - served <= UNMET or made < LEAST


async def test_a_refusal_that_wrote_would_be_found(house):
    """The storm notices a row that a refused request left behind."""

    async def write_and_refuse(caller, body):
        await house.ask("AmazonSSM.CreateActivation", {"IamRole": "left-behind"})
        raise ApiError("ServiceSettingNotFound", "No such setting.")

    endpoint = house.wired.application._endpoint
    endpoint._router._operations["AmazonSSM.GetServiceSetting"] = write_and_refuse
    storm = Storm(house, await house.enrol(), {}, random.Random(SEED), region="us-east-1")

    with pytest.raises(AssertionError):
        await storm.hold("AmazonSSM.GetServiceSetting", b'{"SettingId": "/ssm/x"}', {})


async def test_a_code_of_other_operations_would_be_found(house):
    """The storm names a refusal whose class no client of this operation waits for."""

    async def refuse(caller, body):
        raise ApiError("InvalidActivation", "There is no such activation.")

    house.wired.application._endpoint._router._operations["AmazonSSM.GetServiceSetting"] = refuse
    storm = Storm(house, await house.enrol(), {}, random.Random(SEED), region="us-east-1")

    with pytest.raises(AssertionError, match="InvalidActivation"):
        await storm.hold("AmazonSSM.GetServiceSetting", b'{"SettingId": "/ssm/x"}', {})


async def test_an_answer_that_fails_would_be_found(house):
    """The storm names the request that made the server fail."""

    async def fail(caller, body):
        raise RuntimeError("unexpected")

    house.wired.application._endpoint._router._operations["AmazonSSM.GetServiceSetting"] = fail
    storm = Storm(house, await house.enrol(), {}, random.Random(SEED), region="us-east-1")

    with pytest.raises(AssertionError, match="GetServiceSetting"):
        await storm.hold("AmazonSSM.GetServiceSetting", b'{"SettingId": "/ssm/x"}', {})
