# SPDX-License-Identifier: Apache-2.0
"""
What each documented example presumes, made before its command runs: AWS's ids in the command become ids that exist here.

    SCENES["get-parameter 2"](stage)        # {"what the page names": "what is here"}

Each example has a region to itself. A page's scene serves all its commands that have none of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from patchwright.server.wire import Credential
from server.aws.served import Account
from server.patching.bench import OUTDATED

NODE = "i-1234567890abcdef0"
MACHINE = {
    "ComputerName": "web-1.example.com",
    "PlatformType": "Linux",
    "PlatformName": "Debian GNU/Linux",
    "PlatformVersion": "12",
    "AgentVersion": "3.3.0.0",
    "IPAddress": "192.0.2.10",
}
SETTING = "arn:aws:ssm:us-east-1:123456789012:servicesetting"
Names = Mapping[str, str]


class Stage:
    """A region for one example, with boto3 to furnish it."""

    def __init__(self, account: Account, folder: Path) -> None:
        self.account = account
        self.folder = folder
        self.ssm = account.client()
        self.signer: Credential | None = None  # a node's, where the page says that the node asks

    def node(self, **tags: str) -> Credential:
        """A managed node that told what it is and scanned once."""
        given = {key.replace("_", " "): value for key, value in tags.items()}
        node: Credential = self.account.enrol(tags=given, **MACHINE)
        self.scan(node)
        return node

    def scan(self, node: Credential) -> str:
        """A Scan that the node ran; returns the command's id."""
        return self.account.run(self._scan(node))

    async def _scan(self, node: Credential) -> str:
        await self.account.house.send(node)
        return await self.carry_out(node)

    async def carry_out(self, node: Credential) -> str:
        """What a node does with the Scan that waits for it; returns the command's id."""
        house = self.account.house
        (message,) = await house.messages(node)
        command = str(message["MessageId"].split(".")[2])
        answer = await house.put_facts(node, await house.begin(node, command), OUTDATED)
        step = {
            "status": "Success",
            "code": 0,
            "standardOutput": answer["Report"]["Text"],
            "startDateTime": "2026-11-20T12:00:00.000Z",
            "endDateTime": "2026-11-20T12:00:05.000Z",
        }
        replied = await house.reply(node, command, "Success", runtimeStatus={"PatchLinux": step})
        assert replied.status == 200, replied.body
        return command

    def baseline(self, **members: Any) -> str:
        """A patch baseline; Windows, as the API has it where nothing is said."""
        return str(self.ssm.create_patch_baseline(**{"Name": "ProdPatching", **members})["BaselineId"])

    def document(self, name: str, **members: Any) -> None:
        """A command document with a parameter."""
        self.ssm.create_document(**{"Name": name, "Content": COMMAND, "DocumentType": "Command", **members})

    def parameter(self, name: str, kind: str = "String", **members: Any) -> None:
        """A parameter."""
        self.ssm.put_parameter(**{"Name": name, "Type": kind, "Value": "Veni", **members})


def _command(*lines: str) -> str:
    step = {"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": ["{{ commands }}"]}}
    asked = {"commands": {"type": "StringList", "description": "(Required) What to run.", "default": list(lines)}}
    return json.dumps(
        {"schemaVersion": "2.2", "description": "Run a script.", "parameters": asked, "mainSteps": [step]}
    )


COMMAND = _command("echo one")
RUNBOOK = """\
description: Document Example
schemaVersion: "0.3"
assumeRole: "{{ AutomationAssumeRole }}"
parameters:
  AutomationAssumeRole: {type: String, description: Who acts., default: ""}
  InstanceId: {type: String, description: On which machine., default: ""}
mainSteps:
  - name: wait
    action: aws:sleep
    inputs: {Duration: PT1S}
"""


def nothing(_: Stage) -> Names:
    """What the page needs is there from the start."""
    return {}


def _tagged_parameter(stage: Stage) -> Names:
    stage.parameter("My-Parameter")
    return {}


def _tagged_document(stage: Stage) -> Names:
    stage.document("My-Document")
    return {}


def _runbook(stage: Stage) -> Names:
    (stage.folder / "exampleDocument.yml").write_text(RUNBOOK)
    return {}


def _activation(stage: Stage) -> Names:
    made = stage.ssm.create_activation(Description="Example1", IamRole="HybridWebServersRole", RegistrationLimit=5)
    return {"aa673477-d926-42c1-8757-1358cEXAMPLE": made["ActivationId"]}


def _example_document(stage: Stage) -> Names:
    stage.document("Example")
    return {}


def _shared_document(stage: Stage) -> Names:
    stage.document("Example")
    stage.ssm.modify_document_permission(Name="Example", PermissionType="Share", AccountIdsToAdd=["111122223333"])
    return {}


def _second_version(stage: Stage) -> Names:
    stage.document("Example")
    stage.ssm.update_document(Name="Example", Content=_command("echo two"), DocumentVersion="$LATEST")
    return {}


def _changed_script(stage: Stage) -> Names:
    stage.document("RunShellScript")
    (stage.folder / "RunShellScript.json").write_text(_command("echo two"))
    return {}


def _template(stage: Stage) -> Names:
    """A document that was sent for review, and approved once."""
    stage.document("MyChangeManagerTemplate")
    stage.ssm.update_document_metadata(Name="MyChangeManagerTemplate", DocumentReviews={"Action": "SendForReview"})
    said = [{"Type": "Comment", "Content": "I approve this template version"}]
    review = {"Action": "Approve", "Comment": said}
    stage.ssm.update_document_metadata(Name="MyChangeManagerTemplate", DocumentReviews=review)
    return {"MyChangeManageTemplate": "MyChangeManagerTemplate"}


def _unreviewed(stage: Stage) -> Names:
    stage.document("MyChangeManagerTemplate")
    stage.ssm.update_document_metadata(Name="MyChangeManagerTemplate", DocumentReviews={"Action": "SendForReview"})
    return {}


def _tagged_documents(stage: Stage) -> Names:
    stage.document("Example", Tags=[{"Key": "DocUse", "Value": "Testing"}], VersionName="First")
    return {}


def _racks(stage: Stage) -> Names:
    node = stage.node().instance_id
    item = {
        "TypeName": "Custom:RackInfo",
        "SchemaVersion": "1.0",
        "CaptureTime": "2019-01-22T10:01:01Z",
        "Content": [{"RackLocation": "Bay B/Row C/Rack D/Shelf E"}],
    }
    stage.ssm.put_inventory(InstanceId=node, Items=[item])
    return {NODE: str(node)}


def _applications(stage: Stage) -> Names:
    node = stage.node().instance_id
    content = {
        "Name": "bash",
        "Version": "5.2",
        "Architecture": "x86_64",
        "Publisher": "Debian",
        "PackageId": "bash",
        "InstalledTime": "2026-01-01T00:00:00Z",
    }
    item = {
        "TypeName": "AWS:Application",
        "SchemaVersion": "1.1",
        "CaptureTime": "2026-01-22T10:01:01Z",
        "Content": [content],
    }
    stage.ssm.put_inventory(InstanceId=node, Items=[item])
    return {NODE: str(node)}


def _deletion(stage: Stage) -> Names:
    _racks(stage)
    made = stage.ssm.delete_inventory(TypeName="Custom:RackInfo", SchemaDeleteOption="DeleteSchema")
    return {"d72ac9e8-1f60-4d40-b1c6-987654321c4d": made["DeletionId"]}


def _some_node(stage: Stage) -> Names:
    return {NODE: str(stage.node().instance_id)}


def _rack_node(stage: Stage) -> Names:
    return {"i-016648b75dd622dab": str(stage.node().instance_id)}


def _hybrid_node(stage: Stage) -> Names:
    return {"mi-08ab247cdfEXAMPLE": str(stage.node().instance_id)}


def _named_node(stage: Stage) -> Names:
    stage.account.enrol(**MACHINE)
    return {"i-028ea792daEXAMPLE": str(stage.node(DEV="yes").instance_id)}


def _asking_node(stage: Stage) -> Names:
    stage.signer = stage.node()
    return {NODE: str(stage.signer.instance_id)}


def _group(stage: Stage) -> Names:
    return {"Production": "Production", NODE: str(stage.node(Patch_Group="Production").instance_id)}


def _many_missing(stage: Stage) -> Names:
    """As many as this node misses: fewer than the page asks for."""
    return {**_group(stage), "Values=5": "Values=1"}


def _own_command_document(_: Stage) -> Names:
    """The predefined document that is here."""
    return {"AWS-RunShellScript": "AWS-RunPatchBaseline"}


def _two_groups(stage: Stage) -> Names:
    found = stage.baseline(Description="Patches for Production")
    for group in ("Production", "Development"):
        stage.ssm.register_patch_baseline_for_patch_group(BaselineId=found, PatchGroup=group)
    return {"pb-0ca44a362fEXAMPLE": found}


def _baseline(*named: str) -> Callable[[Stage], Names]:
    """A baseline of the caller's, wherever the page names one of *named*."""

    def make(stage: Stage) -> Names:
        rule = {
            "PatchFilterGroup": {"PatchFilters": [{"Key": "CLASSIFICATION", "Values": ["SecurityUpdates"]}]},
            "ApproveAfterDays": 7,
        }
        found = stage.baseline(
            Description="Patches for Production",
            ApprovalRules={"PatchRules": [rule]},
            Tags=[{"Key": "Environment", "Value": "Production"}, {"Key": "Region", "Value": "EMEA"}],
        )
        stage.ssm.register_patch_baseline_for_patch_group(BaselineId=found, PatchGroup="DEV")
        return dict.fromkeys(named, found)

    return make


def _unused_baseline(stage: Stage) -> Names:
    return dict.fromkeys(("pb-045f10b4f382baeda", "pb-abc123cf9bEXAMPLE"), stage.baseline())


def _predefined(stage: Stage) -> Names:
    """One of the predefined baselines, which the page names by its ARN in another region."""
    filters = [{"Key": "OWNER", "Values": ["AWS"]}, {"Key": "OPERATING_SYSTEM", "Values": ["WINDOWS"]}]
    found = stage.ssm.describe_patch_baselines(Filters=filters)["BaselineIdentities"][0]["BaselineId"]
    named = ("pb-020d361a05defe4ed", "pb-0574b43a65ea646ed")
    return {f"arn:aws:ssm:us-east-2:733109147000:patchbaseline/{name}": found for name in named}


def _parameters(stage: Stage) -> Names:
    for name in ("MyStringParameter", "MyParameter", "MyFirstParameter", "MySecondParameter", "parameterName"):
        stage.parameter(name, Description="This is a parameter")
        stage.parameter(name, Value="Vidi", Overwrite=True)
    stage.parameter("MyStringListParameter", "StringList", Value="a,b", Description="This is a list")
    stage.parameter("MySecureStringParameter", "SecureString", Value="16679b88-310b-4895-a943-e0764EXAMPLE")
    stage.parameter("MyConvertedParameter")
    stage.parameter("/site/newyork/department/one")
    stage.ssm.label_parameter_version(Name="MyParameter", ParameterVersion=2, Labels=["label"])
    stage.ssm.label_parameter_version(Name="parameterName", ParameterVersion=2, Labels=["label_1", "label_2"])
    return {}


def _parameters_with_policies(stage: Stage) -> Names:
    policy = {"Type": "Expiration", "Version": "1.0", "Attributes": {"Timestamp": "2036-07-07T22:30:00.000Z"}}
    stage.parameter("WithPolicy", Tier="Advanced", Policies=json.dumps([policy]))
    return _parameters(stage)


def _future(stage: Stage) -> Names:
    """A parameter policy that has not expired yet."""
    return {"2020-06-30T00:00:00.000Z": "2036-06-30T00:00:00.000Z"}


def _existing_future(stage: Stage) -> Names:
    stage.parameter("/Finance/Payroll/q2accesskey", "SecureString", Tier="Advanced")
    return _future(stage)


def _command_result(stage: Stage) -> Names:
    node = stage.node()
    return {NODE: str(node.instance_id), "ef7fdfd8-9b57-4151-a15c-db9a12345678": stage.scan(node)}


def _sent(stage: Stage) -> Names:
    """A command that waits for a node."""
    node = stage.account.enrol(**MACHINE)
    sent = stage.ssm.send_command(
        DocumentName="AWS-RunShellScript", InstanceIds=[node.instance_id], Parameters={"commands": ["date"]}
    )
    command_id = str(sent["Command"]["CommandId"])
    return {
        "0831e1a8-a1ac-4257-a1fd-c831bEXAMPLE": command_id,
        "662add3d-5831-4a10-b64a-f2ff3EXAMPLE": command_id,
        "i-02573cafcfEXAMPLE": str(node.instance_id),
    }


def _receiver(stage: Stage) -> Names:
    """A node, a document of one's own, a topic and the account that they belong to."""
    stage.document("ExampleDocument")
    hook = {"Name": "SNSTopicName", "Url": "https://hooks.example.com/"}
    stage.account.run(stage.account.house.ask("Patchwright.PutSubscription", hook, region=stage.account.region))
    region, account = stage.account.region, stage.account.house.account
    return {
        NODE: str(stage.account.enrol(**MACHINE).instance_id),
        "us-east-1:123456789012": f"{region}:{account}",
        "arn:aws:iam::123456789012": f"arn:aws:iam::{account}",
    }


def _all_sent(stage: Stage) -> Names:
    """Commands of every kind."""
    names = {**_sent(stage), **_receiver(stage)}
    topic = f"arn:aws:sns:{names['us-east-1:123456789012']}:SNSTopicName"
    stage.ssm.send_command(
        DocumentName="AWS-RunShellScript",
        Targets=[{"Key": "tag:Env", "Values": ["Dev"]}],
        Parameters={"commands": ["date"]},
        NotificationConfig={"NotificationArn": topic, "NotificationEvents": ["All"], "NotificationType": "Invocation"},
    )
    return names


def _setting(stage: Stage) -> Names:
    return {SETTING: f"arn:aws:ssm:{stage.account.region}:{stage.account.house.account}:servicesetting"}


def _changed_setting(stage: Stage) -> Names:
    name = "/ssm/parameter-store/high-throughput-enabled"
    stage.ssm.update_service_setting(SettingId=name, SettingValue="true")
    return _setting(stage)


def _sync(name: str) -> Callable[[Stage], Names]:
    """A resource data sync of that name."""

    def make(stage: Stage) -> Names:
        place = {"BucketName": "ssm-bucket", "SyncFormat": "JsonSerDe", "Region": "us-east-1"}
        stage.ssm.create_resource_data_sync(SyncName=name, S3Destination=place)
        return {}

    return make


def _finished_sync(stage: Stage) -> Names:
    stage.node()
    _sync("MyResourceDataSync")(stage)
    stage.account.run(stage.account.house.wired.writer.run_due())
    return {}


def _sync_from_regions(stage: Stage) -> Names:
    source = {"SourceType": "SingleAccountMultiRegions", "SourceRegions": ["us-east-1"]}
    stage.ssm.create_resource_data_sync(SyncName="exampleSync", SyncType="SyncFromSource", SyncSource=source)
    return {}


def _checked(stage: Stage) -> Names:
    node = str(stage.node().instance_id)
    stage.ssm.put_compliance_items(
        ResourceId=node,
        ResourceType="ManagedInstance",
        ComplianceType="Custom:AVCheck",
        ExecutionSummary={"ExecutionTime": 1_550_508_475, "ExecutionId": "1", "ExecutionType": "Command"},
        Items=[{"Id": "1", "Title": "ScanHost", "Severity": "CRITICAL", "Status": "COMPLIANT", "Details": {"a": "b"}}],
    )
    return {NODE: node}


SCENES: dict[str, Callable[[Stage], Names]] = {
    "add-tags-to-resource 2": _tagged_parameter,
    "add-tags-to-resource 3": _tagged_document,
    "create-activation": nothing,
    "create-document": _runbook,
    "create-patch-baseline": nothing,
    "create-resource-data-sync": nothing,
    "delete-activation": _activation,
    "delete-document": _example_document,
    "delete-inventory": _racks,
    "delete-parameter": _parameters,
    "delete-parameters": _parameters,
    "delete-patch-baseline": _unused_baseline,
    "delete-resource-data-sync": _sync("ssm-resource-data-sync"),
    "deregister-managed-instance": _hybrid_node,
    "deregister-patch-baseline-for-patch-group": _two_groups,
    "describe-activations": _activation,
    "describe-available-patches": nothing,
    "describe-document": _example_document,
    "describe-document-permission": _shared_document,
    "describe-effective-patches-for-patch-baseline 1": _baseline("pb-08b654cf9b9681f04"),
    "describe-effective-patches-for-patch-baseline 2": _predefined,
    "describe-instance-information": _named_node,
    "describe-instance-patch-states": _group,
    "describe-instance-patch-states-for-patch-group": _group,
    "describe-instance-patch-states-for-patch-group 2": _many_missing,
    "describe-instance-patches": _group,
    "describe-inventory-deletions": _deletion,
    "describe-parameters": _parameters_with_policies,
    "describe-patch-baselines": _baseline(),
    "describe-patch-group-state": _group,
    "describe-patch-groups": _two_groups,
    "describe-patch-properties": nothing,
    "get-command-invocation": _command_result,
    "get-connection-status": lambda stage: {NODE: str(stage.node().instance_id)},
    "get-default-patch-baseline": nothing,
    "get-deployable-patch-snapshot-for-instance": _asking_node,
    "get-document": _own_command_document,
    "get-inventory": _applications,
    "get-inventory-schema": nothing,
    "get-parameter": _parameters,
    "get-parameter-history": _parameters,
    "get-parameters": _parameters,
    "get-parameters-by-path": _parameters,
    "get-patch-baseline": _baseline("pb-0123456789abcdef0"),
    "get-patch-baseline-for-patch-group": _baseline(),
    "get-service-setting": _setting,
    "label-parameter-version": _parameters,
    "list-command-invocations": _command_result,
    "cancel-command": _sent,
    "list-commands": _sent,
    "list-commands 3": _all_sent,
    "send-command": _receiver,
    "list-compliance-items": _checked,
    "list-compliance-summaries": _checked,
    "list-document-metadata-history": _template,
    "list-document-versions": _second_version,
    "list-documents": _tagged_documents,
    "list-inventory-entries 1": _applications,
    "list-inventory-entries 2": _racks,
    "list-resource-compliance-summaries": _checked,
    "list-resource-data-sync": _finished_sync,
    "list-tags-for-resource": _baseline("pb-0123456789abcdef0"),
    "modify-document-permission": _example_document,
    "put-compliance-items": _some_node,
    "put-inventory": _rack_node,
    "put-parameter 1": _parameters,
    "put-parameter 2": nothing,
    "put-parameter 3": _parameters,
    "put-parameter 4": _future,
    "put-parameter 5": _existing_future,
    "register-default-patch-baseline 1": _unused_baseline,
    "register-default-patch-baseline 2": _predefined,
    "register-patch-baseline-for-patch-group": _unused_baseline,
    "remove-tags-from-resource": _baseline("pb-0123456789abcdef0"),
    "reset-service-setting": _changed_setting,
    "unlabel-parameter-version": _parameters,
    "update-document 2": _changed_script,
    "update-document-default-version": _second_version,
    "update-document-metadata": _unreviewed,
    "update-managed-instance-role": _hybrid_node,
    "update-patch-baseline": _baseline("pb-0123456789abcdef0", "pb-0713accee01234567"),
    "update-resource-data-sync": _sync_from_regions,
    "update-service-setting": _setting,
}
