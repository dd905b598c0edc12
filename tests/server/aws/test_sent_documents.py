# SPDX-License-Identifier: Apache-2.0
"""Documents of one's own and of other accounts, sent to nodes (spec §5.1, §6.1)."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from patchwright.core.parameter import PATTERN_TEXT_LIMIT
from server.aws.test_documents import STEP, create, refusal
from server.gateway.house import build
from server.patching.bench import OUTDATED

SCAN = {"Operation": {"type": "String", "allowedValues": ["Scan", "Install"]}}
FIXED = {"name": "PatchLinux", "action": "patchwright:patch", "inputs": {"Operation": "Scan"}}


def content(*steps, parameters=None):
    """A command document."""
    return json.dumps({"schemaVersion": "2.2", "parameters": parameters or {}, "mainSteps": list(steps or [FIXED])})


def send(aws, ssm, name="Nightly", **members):
    """SendCommand to a node; returns the command."""
    given = {"DocumentName": name, "InstanceIds": [aws.enrol().instance_id], **members}
    return ssm.send_command(**given)["Command"]


def test_a_document_of_ones_own_patches_a_node(aws, ssm):
    """From SendCommand to the states of its patches, as the product's does; its step has the same name."""
    create(ssm, content=content(STEP | {"name": "PatchLinux"}, parameters=SCAN))
    house, node = aws.house, aws.enrol()
    command = ssm.send_command(
        DocumentName="Nightly", InstanceIds=[node.instance_id], Parameters={"Operation": ["Scan"]}
    )["Command"]

    async def work():
        (message,) = await house.messages(node)
        answer = await house.put_facts(node, await house.begin(node, command["CommandId"]), OUTDATED)
        step = {"PatchLinux": {"status": "Success", "code": 0, "standardOutput": answer["Report"]["Text"]}}
        await house.reply(node, command["CommandId"], "Success", runtimeStatus=step)
        return json.loads(message["Payload"])

    payload = aws.run(work())

    assert payload["DocumentName"] == "Nightly"
    assert payload["DocumentContent"]["mainSteps"][0]["action"] == "patchwright:patch"
    assert payload["Parameters"] == {"Operation": "Scan"}
    (state,) = ssm.describe_instance_patch_states(InstanceIds=[node.instance_id])["InstancePatchStates"]
    assert (state["Operation"], state["MissingCount"]) == ("Scan", 2)
    found = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=node.instance_id)
    assert (found["Status"], found["DocumentName"], found["PluginName"]) == ("Success", "Nightly", "PatchLinux")


def test_the_version_that_is_named_is_sent(aws, ssm):
    """$DEFAULT where none is; and what is sent stays as it was sent."""
    create(ssm, content=content({**FIXED, "name": "first"}))
    text = "schemaVersion: 2.2\nmainSteps:\n- {name: second, action: 'patchwright:patch', inputs: {Operation: Scan}}\n"
    ssm.update_document(Name="Nightly", Content=text, DocumentFormat="YAML")
    node = aws.enrol()

    for version, step in (
        ({}, "first"),
        ({"DocumentVersion": "$LATEST"}, "second"),
        ({"DocumentVersion": "1"}, "first"),
    ):
        command = ssm.send_command(DocumentName="Nightly", InstanceIds=[node.instance_id], **version)["Command"]
        asked = {"CommandId": command["CommandId"], "InstanceId": node.instance_id}
        assert ssm.get_command_invocation(**asked)["PluginName"] == step
        assert command["DocumentVersion"] == version.get("DocumentVersion", "$DEFAULT")
    assert refusal(send, aws=aws, ssm=ssm, DocumentVersion="3")[0] == "InvalidDocumentVersion"
    ssm.delete_document(Name="Nightly")
    assert ssm.get_command_invocation(**asked)["PluginName"] == "first"
    assert refusal(send, aws=aws, ssm=ssm)[0] == "InvalidDocument"


def test_a_hash_that_is_named_is_checked(aws, ssm):
    """SHA-256 or SHA-1 of the content as it was given (spec §5.1)."""
    text = content()
    create(ssm, content=text)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    sha1 = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    for members in (
        {"DocumentHash": sha256},
        {"DocumentHash": sha256.upper(), "DocumentHashType": "Sha256"},
        {"DocumentHash": sha1, "DocumentHashType": "Sha1"},
    ):
        assert send(aws, ssm, **members)["Status"] == "Pending"
    for members in (
        {"DocumentHash": sha1},
        {"DocumentHash": sha256, "DocumentHashType": "Sha1"},
        {"DocumentHash": "x"},
    ):
        assert refusal(send, aws=aws, ssm=ssm, **members)[0] == "InvalidDocument"


@pytest.mark.parametrize(
    ("members", "code", "part"),
    [
        (
            {"Content": content({"name": "a", "action": "aws:configurePackage"})},
            "InvalidDocument",
            "aws:configurePackage",
        ),
        ({"Content": content(FIXED, {"name": "a", "action": "my:own"})}, "InvalidDocument", "my:own"),
        (
            {"Content": '{"schemaVersion": "1.2", "runtimeConfig": {"aws:runDockerAction": {}}}'},
            "InvalidDocument",
            "aws:runDockerAction",
        ),
        (
            {"Content": '{"schemaVersion": "1.0", "sessionType": "Port"}', "DocumentType": "Session"},
            "InvalidDocument",
            "Session",
        ),
        (
            {"Content": content(), "Attachments": [{"Key": "SourceUrl", "Values": ["s3://b/k"]}]},
            "InvalidDocument",
            "attachments",
        ),
    ],
    ids=range(5),
)
def test_what_nodes_do_not_run_yet_is_refused_by_name(aws, ssm, members, code, part):
    """When it is sent; it can be made and kept."""
    ssm.create_document(Name="Nightly", **members)

    found, message = refusal(send, aws=aws, ssm=ssm)
    assert found == code
    assert part in message


@pytest.mark.parametrize(
    "text",
    [
        content(FIXED, {"name": "a", "action": "aws:psModule"}),
        content(FIXED, {"name": "a", "action": "my:own", "precondition": {"StringEquals": ["platformType", "MacOS"]}}),
        content({"name": "a", "action": "my:own", "precondition": {"StringLike": ["platformType", "Linux"]}}),
        content({"name": "a", "action": "aws:runShellScript"}).replace("2.2", "2.0"),
        '{"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {"properties": [{"runCommand": ["true"]}]}}}',
    ],
    ids=["windows", "mac", "fault", "2.0", "1.2"],
)
def test_what_no_node_comes_to_is_no_reason_to_refuse(aws, ssm, text):
    """Steps for other systems are skipped, those whose precondition is none fail; every schema is run."""
    create(ssm, content=text)

    assert send(aws, ssm)["Status"] == "Pending"


def test_what_only_amazons_agent_runs_goes_to_its_nodes_alone(aws, ssm):
    """Named, a node of ours refuses the command; reached by a tag, it alone has an invocation that says so."""
    create(ssm, content=content({"name": "a", "action": "aws:runDockerAction", "inputs": {"action": "info"}}))
    ours, amazons = aws.enrol(), aws.enrol()
    told = {"InstanceId": amazons.instance_id, "AgentName": "amazon-ssm-agent", "AgentVersion": "3.3.0.0"}
    told |= {"AgentStatus": "Active", "PlatformType": "Linux", "PlatformName": "Debian", "PlatformVersion": "12"}
    aws.run(aws.house.ask("AmazonSSM.UpdateInstanceInformation", told, key=amazons))

    found, message = refusal(ssm.send_command, DocumentName="Nightly", InstanceIds=[ours.instance_id])
    assert (found, "aws:runDockerAction" in message) == ("InvalidDocument", True)
    both = [ours.instance_id, amazons.instance_id]
    command = ssm.send_command(DocumentName="Nightly", InstanceIds=both)["Command"]["CommandId"]
    invocations = ssm.list_command_invocations(CommandId=command)["CommandInvocations"]
    assert {one["InstanceId"]: one["StatusDetails"] for one in invocations} == {
        ours.instance_id: "InvalidPlatform",
        amazons.instance_id: "Pending",
    }


@pytest.mark.parametrize(
    ("name", "parameters", "step"),
    [
        ("AWS-RunShellScript", {"commands": ["echo a", "echo b"]}, "aws:runShellScript"),
        ("AWS-RunPowerShellScript", {"commands": ["Get-Date"]}, "runPowerShellScript"),
        ("AWS-RunPatchBaseline", {"Operation": ["Scan"]}, "PatchLinux"),
        ("AWS-RunPatchBaselineWithHooks", {"Operation": ["Install"]}, "OnExitHook"),
        (
            "AWS-RunRemoteScript",
            {"sourceType": ["S3"], "sourceInfo": ['{"path": "x"}'], "commandLine": ["ls"]},
            "runShellScript",
        ),
        ("AWS-RunDocument", {"sourceType": ["SSMDocument"], "sourceInfo": ['{"name": "Doc"}']}, "runDocument"),
        ("AWS-GatherSoftwareInventory", {}, "collectSoftwareInventoryItems"),
        ("AWS-UpdateSSMAgent", {}, "updateSsmAgent"),
        ("AWS-RefreshAssociation", {}, "refreshAssociation"),
        ("AWS-Noop", {}, "Noop"),
    ],
)
def test_every_document_of_the_product_can_be_sent(aws, ssm, name, parameters, step):
    """With what it requires; its steps have names, and the node is given the values that its parameters have."""
    node = aws.enrol()
    command = ssm.send_command(DocumentName=name, InstanceIds=[node.instance_id], Parameters=parameters)["Command"]
    asked = {"CommandId": command["CommandId"], "InstanceId": node.instance_id, "PluginName": step}

    assert ssm.get_command_invocation(**asked)["Status"] == "Pending"
    (message,) = aws.run(aws.house.messages(node))
    given = json.loads(message["Payload"])["Parameters"]
    assert set(parameters) <= set(given)
    if "sourceInfo" in parameters:
        assert given["sourceInfo"] == json.loads(parameters["sourceInfo"][0])


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"Operation": "Reboot"},
        {"Operation": ["Scan"]},
        {"Operation": "{{ Operation }}"},
        {"Operation": "{{ Free }}"},
        {"Operation": "Scan", "SnapshotId": "mine"},
        {"Operation": "Scan", "SnapshotId": 7},
        {"Operation": "Scan", "RebootOption": "Always"},
    ],
    ids=range(8),
)
def test_a_patch_step_that_says_nothing_sensible_is_refused(aws, ssm, inputs):
    """Before anything is sent: no node could begin it."""
    free = {"Free": {"type": "String"}}
    create(ssm, content=content({**FIXED, "inputs": inputs}, parameters=free))

    assert refusal(send, aws=aws, ssm=ssm, Parameters={"Free": ["whatever"]})[0] == "InvalidParameters"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "InvalidParameters"),
        ({"Operation": ["Reboot"]}, "InvalidParameters"),
        ({"Operation": ["Scan"], "Other": ["x"]}, "InvalidParameters"),
        ({"Operation": ["Scan"], "Names": []}, "InvalidParameters"),
        ({"Operation": ["Scan"], "Names": ["a"] * 3}, "InvalidParameters"),
        ({"Operation": ["Scan"], "Id": ["x y"]}, "InvalidParameters"),
        ({"Operation": ["Scan"], "Evil": ["a" * PATTERN_TEXT_LIMIT]}, "InvalidParameters"),
        ({"Operation": ["Scan"], "Names": ["x" * 70_000]}, "MaxDocumentSizeExceeded"),
    ],
    ids=range(8),
)
def test_parameters_are_held_to_the_document(aws, ssm, parameters, code):
    """Whatever its author wrote: a pattern that would take for ever is no way to hold the server."""
    declared = {
        **SCAN,
        "Names": {"type": "StringList", "minItems": 1, "maxItems": 2, "default": ["a"]},
        "Id": {"type": "String", "allowedPattern": "^[a-z]+$", "default": "a"},
        "Evil": {"type": "String", "allowedPattern": "(?=(.*.*.*)*x)" * 3 + "y", "default": ""},
    }
    create(ssm, content=content(FIXED, parameters=declared))

    assert refusal(send, aws=aws, ssm=ssm, Parameters=parameters)[0] == code
    fine = {"Operation": ["Scan"], "Names": ["a", "b"], "Id": ["abc"]}
    assert send(aws, ssm, Parameters=fine)["Parameters"] == fine


def test_document_and_parameters_share_sixty_four_kilobytes(aws, ssm):
    """MaxDocumentSizeExceeded, as AWS says of both together."""
    create(ssm, content=content(FIXED, parameters={"Text": {"type": "String", "default": ""}}))

    assert send(aws, ssm, Parameters={"Text": ["x" * 60_000]})["Status"] == "Pending"
    code, message = refusal(send, aws=aws, ssm=ssm, Parameters={"Text": ["x" * 65_500]})
    assert (code, "65536" in message) == ("MaxDocumentSizeExceeded", True)


# ------------------------------------------------------------------------------------------------------ other accounts


@pytest.fixture
async def neighbour(house, shared_url, master_key, tmp_path):
    """Another account of the same installation."""
    (tmp_path / "other").mkdir()
    shutil.copy(master_key, tmp_path / "other" / "master.key")
    other = await build(tmp_path / "other", shared_url, "7" + house.account[1:])
    yield other
    await other.close()


async def test_a_shared_document_is_used_by_its_arn_until_it_is_not(house, neighbour):
    """Read, described, listed and sent to the other account's own nodes (spec §6.1)."""
    arn = f"arn:aws:ssm:us-east-1:{house.account}:document/Nightly"
    node = await neighbour.enrol()
    command = {"DocumentName": arn, "InstanceIds": [node.instance_id]}
    by_arn = {
        "GetDocument": {"Name": arn},
        "DescribeDocument": {"Name": arn},
        "ListDocumentVersions": {"Name": arn},
        "SendCommand": command,
    }
    tags = [{"Key": "secret", "Value": "1"}]
    await house.ask("AmazonSSM.CreateDocument", {"Name": "Nightly", "Content": content(), "Tags": tags})
    for operation, body in by_arn.items():
        assert await neighbour.code(f"AmazonSSM.{operation}", body) == "InvalidDocument"
    share = {"Name": "Nightly", "PermissionType": "Share", "AccountIdsToAdd": [neighbour.account]}
    await house.ask("AmazonSSM.ModifyDocumentPermission", share)

    answers = {operation: await neighbour.ask(f"AmazonSSM.{operation}", body) for operation, body in by_arn.items()}
    assert (answers["GetDocument"]["Name"], answers["GetDocument"]["Content"]) == (arn, content())
    described = answers["DescribeDocument"]["Document"]
    assert (described["Name"], described["Owner"], described["Tags"]) == (arn, house.account, [])
    assert len(answers["ListDocumentVersions"]["DocumentVersions"]) == 1
    assert answers["SendCommand"]["Command"]["DocumentName"] == arn
    (message,) = await neighbour.messages(node)
    assert json.loads(message["Payload"])["DocumentName"] == arn
    private = {"Filters": [{"Key": "Owner", "Values": ["Private"]}]}
    (listed,) = (await neighbour.ask("AmazonSSM.ListDocuments", private))["DocumentIdentifiers"]
    assert (listed["Name"], listed["Owner"], listed["Tags"]) == (arn, house.account, [])
    assert await neighbour.code("AmazonSSM.SendCommand", {**command, "DocumentName": "Nightly"}) == "InvalidDocument"
    for body, region in ((arn.replace("us-east", "eu-west"), "us-east-1"), (arn, "eu-west-1")):
        assert await neighbour.code("AmazonSSM.GetDocument", {"Name": body}, region=region) == "InvalidDocument"

    await house.ask("AmazonSSM.UpdateDocument", {"Name": "Nightly", "Content": content({**FIXED, "name": "new"})})
    assert await neighbour.code("AmazonSSM.GetDocument", {"Name": arn, "DocumentVersion": "2"}) == (
        "InvalidDocumentVersion"
    )
    await house.ask("AmazonSSM.UpdateDocumentDefaultVersion", {"Name": "Nightly", "DocumentVersion": "2"})
    assert (await neighbour.ask("AmazonSSM.GetDocument", {"Name": arn}))["DocumentVersion"] == "2"
    unshare = {"Name": "Nightly", "PermissionType": "Share", "AccountIdsToRemove": [neighbour.account]}
    await house.ask("AmazonSSM.ModifyDocumentPermission", unshare)
    for operation, body in by_arn.items():
        assert await neighbour.code(f"AmazonSSM.{operation}", body) == "InvalidDocument"
    assert (await neighbour.ask("AmazonSSM.ListDocuments", private))["DocumentIdentifiers"] == []


async def test_a_neighbour_sees_nothing_of_what_is_not_shared(house, neighbour):
    """Neither in a listing nor by any name."""
    await house.ask("AmazonSSM.CreateDocument", {"Name": "Nightly", "Content": content()})
    arn = f"arn:aws:ssm:us-east-1:{house.account}:document/Nightly"

    for owner in ("Self", "Private", "Public", "ThirdParty"):
        filters = {"Filters": [{"Key": "Owner", "Values": [owner]}]}
        answer = await neighbour.ask("AmazonSSM.ListDocuments", filters)
        assert not [one for one in answer["DocumentIdentifiers"] if house.account in one["Name"]], owner
    for name in ("Nightly", arn):
        assert await neighbour.code("AmazonSSM.GetDocument", {"Name": name}) == "InvalidDocument"
    assert await neighbour.code("AmazonSSM.DeleteDocument", {"Name": "Nightly"}) == "InvalidDocument"
    assert await neighbour.code("AmazonSSM.UpdateDocument", {"Name": "Nightly", "Content": "{}"}) == "InvalidDocument"
    assert (await house.ask("AmazonSSM.GetDocument", {"Name": "Nightly"}))["Content"] == content()
