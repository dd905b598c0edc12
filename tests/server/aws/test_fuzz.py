# SPDX-License-Identifier: Apache-2.0
"""
Made-up requests to everything that is served, from the models, seeded: never a 500, never an answer a client cannot read,
never a row of a request that was refused.
"""

from __future__ import annotations

import json

import pytest
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchwright.core.protocol import FactsMessage, Phase, message_id
from server.aws.served import Account, new_region
from server.aws.shapes import Maker
from server.aws.test_bad_input import NODE_TARGETS
from server.aws.test_unserved import SERVED
from server.patching.bench import OUTDATED, bodies_of
from server.wire.client import MODELS

USER_TARGETS = [f"AmazonSSM.{name}" for name in sorted(SERVED)] + ["Patchwright.GetVerdict"]
# A poll for the node itself waits until something comes: its pool has no such destination.
TARGETS = [*USER_TARGETS, *NODE_TARGETS, "Patchwright.Enroll"]
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


class Town:
    """One of everything, so that made-up requests meet things that exist."""

    def __init__(self, served):
        self.account = Account(served, new_region())
        self.house = self.account.house
        self.node = self.account.enrol(tags={"Patch Group": "web"})
        self.pools = self.account.run(self._furnish())
        self.parsers = {}
        self.rows = {}

    async def _furnish(self):
        house, region, node = self.house, self.account.region, self.node

        async def ask(operation, body):
            return await house.ask(f"AmazonSSM.{operation}", body, region=region)

        baseline = (await ask("CreatePatchBaseline", {"Name": "web", "OperatingSystem": "DEBIAN"}))["BaselineId"]
        await ask("RegisterPatchBaselineForPatchGroup", {"BaselineId": baseline, "PatchGroup": "web"})
        scanned = await house.scan(node, OUTDATED)
        command = (await house.send(node, operation="Install"))["CommandId"]
        spare = (await house.send(node))["CommandId"]  # for replies: the Install goes on
        operation = await house.begin(node, command)
        facts = FactsMessage(operation, Phase.BEFORE, OUTDATED.facts).to_json()
        await ask("PutInventory", {"InstanceId": node.instance_id, "Items": INVENTORY})
        activation = await ask("CreateActivation", {"IamRole": "x", "RegistrationLimit": 1000})
        bodies = [{"Digest": digest, "Body": body.decode()} for digest, body in bodies_of(OUTDATED).items()]
        arn = f"arn:aws:ssm:{region}:075727635805:patchbaseline/pb-09a5f8eb62bde80b1"
        ids = [node.instance_id, "mi-00000000000000000", "i-12345678"]
        return {
            "InstanceId": ids,
            "Destination": ids[1:],
            "BaselineId": [baseline, arn, "pb-00000000000000000", "pb-09a5f8eb62bde80b1"],
            "ResourceId": [node.instance_id, baseline, arn],
            "CommandId": [command, scanned],
            "OperationId": [operation],
            "InstanceIds": [ids[:1], ids[:2]],
            "Targets": [[{"Key": "InstanceIds", "Values": ["*"]}], [{"Key": "tag:Patch Group", "Values": ["web"]}]],
            "PatchGroup": ["web", "db"],
            "DocumentName": ["AWS-RunPatchBaseline"],
            "Parameters": [{"Operation": ["Scan"]}, {"Operation": ["Install"], "RebootOption": ["NoReboot"]}],
            "OperatingSystem": ["DEBIAN", "UBUNTU"],
            "StepName": ["PatchLinux"],
            "PluginName": ["PatchLinux"],
            "MessageId": [message_id(spare, ids[0]), message_id(scanned, ids[0]), message_id(command, ids[1])],
            "Payload": [json.dumps(reply) for reply in REPLIES],
            "Facts": [facts["Facts"], {**facts["Facts"], "operating_system": "UBUNTU"}],
            "Resolution": [{"Actions": [], "Unresolved": {}}, {"Actions": [["foo", "amd64", "1", "2", True]]}],
            "Bodies": [bodies, bodies[:1], [{**bodies[0], "Body": "x"}]],
            "ActivationId": [activation["ActivationId"]],
            "ActivationCode": [activation["ActivationCode"]],
            "EnrollmentToken": ["t" * 32, "u" * 40],
            "Key": ["tag:x", "tag-key", "InstanceIds", "OWNER", "NAME_PREFIX", "PRIORITY", "State", "KBId"],
            "key": ["Status", "InvokedAfter", "InvokedBefore", "DocumentName", "PingStatus"],
            "value": ["Success", "2026-11-20T00:00:00Z", "0001-01-01T00:00:00+14:00"],
            "Values": [["*"], ["AWS"], ["Missing"], ["Optional"]],
            "MaxConcurrency": ["1", "10%"],
            "MaxErrors": ["0", "100%"],
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

    def requests(self, target):
        """Made-up requests to *target*."""
        prefix, _, name = target.partition(".")
        model = MODELS.service(prefix).model
        shape = model["operations"][name]["input"]["shape"]
        return Maker(model["shapes"], self.pools).value(shape)

    async def try_out(self, target, request):
        """Call, and hold answer, log and database to what is promised."""
        house, key = self.house, None if target in USER_TARGETS else self.node
        before = self.rows or await house.dump()
        body = json.dumps(request).encode()
        answer = await house.call(target, body, key=key, region=self.account.region)
        (line,) = house.lines
        assert line["request_id"] == answer.headers["x-amzn-requestid"]
        assert answer.status in {200, 400, 413}, (request, line)
        assert (line["status"], line["error"]) == (answer.status, None if answer.status == 200 else answer.code)
        self.parse(target, answer)
        self.rows = await house.dump()
        if answer.status != 200:
            assert self.rows == before

    def parse(self, target, answer):
        """Read *answer* as botocore does."""
        prefix, _, name = target.partition(".")
        if prefix not in self.parsers:
            self.parsers[prefix] = ServiceModel(MODELS.service(prefix).model, prefix)
        shape = self.parsers[prefix].operation_model(name).output_shape
        response = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
        parsed = create_parser("json").parse(response, shape)
        if answer.status != 200:
            assert parsed["Error"]["Code"] == answer.code
            assert parsed["Error"]["Message"]
        assert parsed["ResponseMetadata"]["RequestId"] == answer.headers["x-amzn-requestid"]


@pytest.fixture(scope="module")
def town(served):
    """A region with one of everything, for the whole module."""
    return Town(served)


@pytest.mark.parametrize("target", TARGETS)
def test_made_up_requests_are_answered_or_refused(town, target):
    """Whatever the model lets one think of."""

    @settings(max_examples=20, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(request=town.requests(target))
    def hold(request):
        town.account.run(town.try_out(target, request))

    hold()


@settings(max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    body=st.binary(min_size=1, max_size=200) | st.text(min_size=1, max_size=200).map(str.encode),
    target=st.sampled_from(TARGETS),
)
def test_bytes_that_are_no_request_are_refused(town, body, target):
    """And nothing is written."""
    key = None if target in USER_TARGETS else town.node
    before = town.account.run(town.house.dump())

    answer = town.account.run(town.house.call(target, body, key=key, region=town.account.region))

    assert (answer.status, answer.code) in {(400, "SerializationException"), (400, "ValidationException")}
    assert town.account.run(town.house.dump()) == before
