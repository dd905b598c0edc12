# SPDX-License-Identifier: Apache-2.0
"""
An account and a region with several of everything, and a request to each operation that meets them.

Every tenant has the same names; ids are its own, and so is its mark, which stands in whatever takes free text.
"""

from __future__ import annotations

import datetime
import json
import zlib
from collections.abc import Mapping
from typing import Any

from patchwright.server import events
from server.gateway.house import House
from server.patching.bench import FIXED, RELEASE, debian
from server.wire.client import Answer

SNAPSHOT = "6e0b0bc0-0f53-4c3f-9d38-1b6a4f0c2d11"
DOCUMENT = {
    "schemaVersion": "2.2",
    "mainSteps": [{"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": ["true"]}}],
}
WINDOW = {"Schedule": "rate(1 day)", "Duration": 3, "Cutoff": 1, "AllowUnassociatedTargets": True}
RACK = {"TypeName": "Custom:Rack", "SchemaVersion": "1.0", "CaptureTime": "2026-11-20T04:00:00Z"}


class Tenant:
    """A region of *house*'s account with *many* of everything there can be many of."""

    def __init__(self, house: House, region: str, *, many: int = 2) -> None:
        self.house = house
        self.region = region
        self.many = many
        self.mark = f"mark-of-{house.account}-{region}"
        self.friend = f"{zlib.crc32(self.mark.encode()):012}"  # an account nobody has

    async def ask(self, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of an operation that is to succeed."""
        return await self.house.ask(f"AmazonSSM.{operation}", dict(body), region=self.region)

    async def call(self, operation: str, body: Mapping[str, Any]) -> Answer:
        """What an operation answers."""
        target = operation if "." in operation else f"AmazonSSM.{operation}"
        return await self.house.call(target, dict(body), region=self.region)

    async def furnish(self) -> Tenant:
        """Several of everything."""
        own = [f"{self.mark}-{number}" for number in range(self.many)]
        view = debian(
            (*RELEASE, *(f"{name} 1.0-1" for name in own)),
            security=(*FIXED, *(f"{name} 1.0-1+deb12u1" for name in own)),
        )
        tags = {"Patch Group": "web", "mark": self.mark}
        self.nodes = [await self.house.enrol(region=self.region, tags=tags) for _ in range(self.many)]
        self.ids = [str(node.instance_id) for node in self.nodes]
        self.activation = (await self.ask("CreateActivation", {"IamRole": "x", "Description": self.mark}))[
            "ActivationId"
        ]
        await self._baselines()
        self.command, *_ = [await self.house.scan(node, view) for node in self.nodes]
        await self._documents()
        await self._parameters()
        await self._windows()
        await self._reports()
        return self

    async def _baselines(self) -> None:
        members = {"OperatingSystem": "DEBIAN", "Description": self.mark, "Tags": [{"Key": "mark", "Value": self.mark}]}
        rule = {"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 0}
        for name in ("database", "web"):
            created = {"Name": name, **members, "ApprovalRules": {"PatchRules": [rule]}}
            self.baseline = (await self.ask("CreatePatchBaseline", created))["BaselineId"]
            await self.ask("RegisterPatchBaselineForPatchGroup", {"BaselineId": self.baseline, "PatchGroup": name})

    async def _documents(self) -> None:
        for name in ("one", "two"):
            content = {**DOCUMENT, "description": self.mark}
            made = {"Name": f"our-{name}", "Content": json.dumps(content), "DocumentType": "Command"}
            await self.ask("CreateDocument", {**made, "VersionName": self.mark})
            for number in range(1, self.many):
                content = json.dumps({**content, "description": f"{self.mark} {number}"})
                await self.ask(
                    "UpdateDocument", {"Name": made["Name"], "Content": content, "DocumentVersion": "$LATEST"}
                )
                content = json.loads(content)
        share = {"Name": "our-one", "PermissionType": "Share", "AccountIdsToAdd": [self.friend, "999999999999"]}
        await self.ask("ModifyDocumentPermission", share)
        review = {"Action": "SendForReview", "Comment": [{"Type": "Comment", "Content": self.mark}]}
        await self.ask("UpdateDocumentMetadata", {"Name": "our-one", "DocumentReviews": review})

    async def _parameters(self) -> None:
        for number in range(self.many):
            named = {"Name": f"/app/p{number}", "Type": "String", "Description": self.mark}
            await self.ask("PutParameter", {**named, "Value": self.mark})
        for number in range(self.many):
            again = {"Name": "/app/p0", "Value": f"{self.mark} {number}", "Overwrite": True}
            await self.ask("PutParameter", again)
        await self.ask("LabelParameterVersion", {"Name": "/app/p0", "Labels": ["live"], "ParameterVersion": 1})
        self.parameter = f"arn:aws:ssm:{self.region}:{self.house.account}:parameter/app/p0"
        allow = {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "ssm:GetParameter"}
        statement = {**allow, "Resource": self.parameter, "Sid": self.mark.replace("-", "")}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.policy = await self.ask("PutResourcePolicy", {"ResourceArn": self.parameter, "Policy": policy})
        setting = (
            f"arn:aws:ssm:{self.region}:{self.house.account}:servicesetting/ssm/parameter-store/default-parameter-tier"
        )
        self.setting = {"SettingId": setting}
        await self.ask("UpdateServiceSetting", {**self.setting, "SettingValue": "Advanced"})

    async def _windows(self) -> None:
        described = {"Description": self.mark}
        end = datetime.datetime.fromtimestamp(self.house.clock.now() + 30 * 86400, datetime.UTC).isoformat()
        targets = [{"Key": "InstanceIds", "Values": self.ids[:1]}]
        made = [{**WINDOW, "Name": f"window-{number:02}", "EndDate": end, **described} for number in range(self.many)]
        windows = [(await self.ask("CreateMaintenanceWindow", one))["WindowId"] for one in made]
        self.window = {"WindowId": windows[0]}
        node = {**self.window, "ResourceType": "INSTANCE", "Targets": targets, **described}
        task = {
            **self.window,
            "TaskArn": "AWS-RunPatchBaseline",
            "TaskType": "RUN_COMMAND",
            "Targets": targets,
            **described,
        }
        task |= {"MaxConcurrency": "1", "MaxErrors": "0"}
        for _ in range(self.many):
            self.target = (await self.ask("RegisterTargetWithMaintenanceWindow", node))["WindowTargetId"]
            self.task = (await self.ask("RegisterTaskWithMaintenanceWindow", task))["WindowTaskId"]
            wish = {"Name": self.mark, **self.window}
            made = await self.house.ask("Patchwright.CreateCalendarFeed", wish, region=self.region)
            self.feed = made["CalendarFeed"]["FeedId"]

    async def _reports(self) -> None:
        rows = [{"Row": f"{number:02}", self.mark: self.mark} for number in range(self.many)]
        item = {"Id": "a", "Severity": "HIGH", "Status": "NON_COMPLIANT", "Title": self.mark}
        for one in self.ids:
            await self.ask("PutInventory", {"InstanceId": one, "Items": [{**RACK, "Content": rows}]})
            await self.ask("PutComplianceItems", {**self.rack(one), "Items": [item, {**item, "Id": "b"}]})
        for number in range(self.many):
            old = {**RACK, "TypeName": f"Custom:Old{number}", "Content": [{"Mark": self.mark}]}
            await self.ask("PutInventory", {"InstanceId": self.ids[0], "Items": [old]})
            gone = {"TypeName": old["TypeName"], "SchemaDeleteOption": "DeleteSchema"}
            self.deletion = (await self.ask("DeleteInventory", gone))["DeletionId"]
        for number in range(min(self.many, 4)):  # there may be five
            await self.ask("CreateResourceDataSync", self.sync(f"sync-{number:02}"))
        for number in range(self.many):
            await self.house.ask("Patchwright.PutSubscription", self.hook(number), region=self.region)
        await events.number_waiting(self.house.wired.database)

    def known(self) -> set[str]:
        """What is this tenant's and nobody else's, as text in any answer."""
        windows = {*self.window.values(), self.target, self.task, self.deletion, self.setting["SettingId"]}
        return {
            self.mark,
            self.friend,
            *self.ids,
            self.activation,
            self.baseline,
            self.command,
            *windows,
            self.policy["PolicyId"],
        }

    def hook(self, number: int) -> dict[str, Any]:
        """The members of a subscription to events."""
        return {"Name": f"hook-{number:02}", "Url": "https://hook.example/", "Description": self.mark}

    def sync(self, name: str) -> dict[str, Any]:
        """The members of a resource data sync."""
        destination = {"BucketName": self.mark, "SyncFormat": "JsonSerDe", "Region": self.region}
        return {"SyncName": name, "S3Destination": {**destination, "Prefix": name}}

    def rack(self, node: str) -> dict[str, Any]:
        """The members of compliance items of a type of one's own."""
        return {
            "ResourceId": node,
            "ResourceType": "ManagedInstance",
            "ComplianceType": "Custom:Rack",
            "ExecutionSummary": {"ExecutionTime": 1_795_000_000, "ExecutionId": self.mark},
        }

    def reads(self) -> dict[str, dict[str, Any]]:
        """A request to each operation that only answers, as wide as can be."""
        node, own = {"InstanceId": self.ids[0]}, {"Key": "OWNER", "Values": ["Self"]}
        platforms = {"AggregatorType": "Count", "TypeName": "Instance", "AttributeName": "PlatformType"}
        return {
            **self._reads_of_windows(),
            **self._reads_of_texts(),
            "DescribeActivations": {},
            "DescribeAvailablePatches": {},
            "DescribeEffectivePatchesForPatchBaseline": {"BaselineId": self.baseline},
            "DescribeInstanceInformation": {},
            "DescribeInstancePatchStates": {"InstanceIds": self.ids},
            "DescribeInstancePatchStatesForPatchGroup": {"PatchGroup": "web"},
            "DescribeInstancePatches": node,
            "DescribeInstanceProperties": {},
            "DescribeInventoryDeletions": {},
            "DescribePatchBaselines": {"Filters": [own]},
            "DescribePatchGroupState": {"PatchGroup": "web"},
            "DescribePatchGroups": {},
            "DescribePatchProperties": {"OperatingSystem": "DEBIAN", "Property": "PRIORITY"},
            "GetCommandInvocation": {**node, "CommandId": self.command},
            "GetConnectionStatus": {"Target": self.ids[0]},
            "GetDefaultPatchBaseline": {"OperatingSystem": "DEBIAN"},
            "GetDeployablePatchSnapshotForInstance": {**node, "SnapshotId": SNAPSHOT},
            "GetInventory": {},
            "GetInventorySchema": {},
            "GetPatchBaseline": {"BaselineId": self.baseline},
            "GetPatchBaselineForPatchGroup": {"PatchGroup": "web", "OperatingSystem": "DEBIAN"},
            "ListCommandInvocations": {"Details": True},
            "ListCommands": {},
            "ListComplianceItems": {"ResourceIds": self.ids[:1], "ResourceTypes": ["ManagedInstance"]},
            "ListComplianceSummaries": {},
            "ListInventoryEntries": {**node, "TypeName": "Custom:Rack"},
            "ListNodes": {},
            "ListNodesSummary": {"Aggregators": [platforms]},
            "ListResourceComplianceSummaries": {},
            "ListResourceDataSync": {},
            "ListTagsForResource": {"ResourceType": "PatchBaseline", "ResourceId": self.baseline},
            "Patchwright.ExportAuditTrail": {},
            "Patchwright.GetPatchReport": {},
            "Patchwright.GetSubscription": {"Name": "hook-00"},
            "Patchwright.GetOutput": {**node, "CommandId": self.command},
            "Patchwright.GetVerdict": node,
            "Patchwright.ListAuditEntries": {},
            "Patchwright.ListDeliveries": {"Name": "hook-00"},
            "Patchwright.ListEvents": {},
            "Patchwright.ListOutputs": {"CommandId": self.command},
            "Patchwright.ListSubscriptions": {},
            "Patchwright.VerifyAuditTrail": {},
        }

    def _reads_of_windows(self) -> dict[str, dict[str, Any]]:
        targets = [{"Key": "InstanceIds", "Values": self.ids[:1]}]
        execution = {"WindowExecutionId": SNAPSHOT}  # there is none before windows run
        return {
            "DescribeMaintenanceWindowExecutionTaskInvocations": {**execution, "TaskId": self.task},
            "DescribeMaintenanceWindowExecutionTasks": execution,
            "DescribeMaintenanceWindowExecutions": self.window,
            "DescribeMaintenanceWindowSchedule": self.window,
            "DescribeMaintenanceWindowTargets": self.window,
            "DescribeMaintenanceWindowTasks": self.window,
            "DescribeMaintenanceWindows": {},
            "DescribeMaintenanceWindowsForTarget": {"ResourceType": "INSTANCE", "Targets": targets},
            "GetMaintenanceWindow": self.window,
            "Patchwright.DescribeSchedule": {"Schedule": "rate(1 day)"},
            "Patchwright.GetCalendar": {"Days": 366},
            "Patchwright.GetForecast": self.window,
            "Patchwright.ListCalendarFeeds": {},
            "GetMaintenanceWindowExecution": execution,
            "GetMaintenanceWindowExecutionTask": {**execution, "TaskId": self.task},
            "GetMaintenanceWindowExecutionTaskInvocation": {**execution, "TaskId": self.task, "InvocationId": SNAPSHOT},
            "GetMaintenanceWindowTask": {**self.window, "WindowTaskId": self.task},
        }

    def _reads_of_texts(self) -> dict[str, dict[str, Any]]:
        """Of documents, parameters, policies and settings."""
        document = {"Name": "our-one"}
        return {
            "DescribeDocument": document,
            "DescribeDocumentPermission": {**document, "PermissionType": "Share"},
            "DescribeParameters": {},
            "GetDocument": document,
            "GetParameter": {"Name": "/app/p0"},
            "GetParameterHistory": {"Name": "/app/p0"},
            "GetParameters": {"Names": ["/app/p0", "/app/p1", "none"]},
            "GetParametersByPath": {"Path": "/", "Recursive": True},
            "GetResourcePolicies": {"ResourceArn": self.parameter},
            "GetServiceSetting": self.setting,
            "ListDocumentMetadataHistory": {**document, "Metadata": "DocumentReviews"},
            "ListDocumentVersions": document,
            "ListDocuments": {"Filters": [{"Key": "Owner", "Values": ["Self"]}]},
        }

    def writes(self) -> dict[str, dict[str, Any]]:
        """A request to each operation that changes what is there. Those that take away come last."""
        node, document = {"InstanceId": self.ids[0]}, {"Name": "our-one"}
        instance = {"ResourceType": "ManagedInstance", "ResourceId": self.ids[0]}
        scan = {"DocumentName": "AWS-RunPatchBaseline", "Parameters": {"Operation": ["Scan"]}}
        content = json.dumps({**DOCUMENT, "description": "changed"})
        return {
            **self._writes_of_windows(),
            "AddTagsToResource": {**instance, "Tags": [{"Key": "a", "Value": "1"}]},
            "CancelCommand": {"CommandId": self.command},
            "CreateActivation": {"IamRole": "y"},
            "CreateDocument": {"Name": "our-third", "Content": content, "DocumentType": "Command"},
            "CreatePatchBaseline": {"Name": "another", "OperatingSystem": "DEBIAN"},
            "CreateResourceDataSync": self.sync("another"),
            "LabelParameterVersion": {"Name": "/app/p0", "Labels": ["next"], "ParameterVersion": 2},
            "Patchwright.PutSubscription": {**self.hook(0), "Enabled": False},
            "Patchwright.RedeliverEvents": {"Name": "hook-00"},
            "ModifyDocumentPermission": {**document, "PermissionType": "Share", "AccountIdsToAdd": ["999999999993"]},
            "PutComplianceItems": {**self.rack(self.ids[0]), "Items": []},
            "PutInventory": {**node, "Items": [{**RACK, "Content": [{"Row": "other"}]}]},
            "PutParameter": {"Name": "/app/p1", "Value": "changed", "Overwrite": True},
            "PutResourcePolicy": {"ResourceArn": self.parameter, "Policy": "{}"},
            "RegisterDefaultPatchBaseline": {"BaselineId": self.baseline},
            "RegisterPatchBaselineForPatchGroup": {"BaselineId": self.baseline, "PatchGroup": "x"},
            "SendCommand": {**scan, "InstanceIds": self.ids},
            "UpdateDocument": {**document, "Content": content, "DocumentVersion": "$LATEST"},
            "UpdateDocumentDefaultVersion": {**document, "DocumentVersion": "2"},
            "UpdateDocumentMetadata": {**document, "DocumentReviews": {"Action": "Approve"}},
            "UpdateManagedInstanceRole": {**node, "IamRole": "changed"},
            "UpdatePatchBaseline": {"BaselineId": self.baseline, "Name": "changed"},
            "UpdateResourceDataSync": {
                "SyncName": "sync-00",
                "SyncType": "SyncFromSource",
                "SyncSource": {"SourceType": "x", "SourceRegions": ["x"]},
            },
            "UpdateServiceSetting": {**self.setting, "SettingValue": "Standard"},
            **self._removals(),
        }

    def _writes_of_windows(self) -> dict[str, dict[str, Any]]:
        target, task = {**self.window, "WindowTargetId": self.target}, {**self.window, "WindowTaskId": self.task}
        return {
            "CancelMaintenanceWindowExecution": {"WindowExecutionId": SNAPSHOT},
            "CreateMaintenanceWindow": {**WINDOW, "Name": "another"},
            "Patchwright.CreateCalendarFeed": {"Name": "another", **self.window},
            "Patchwright.RunMaintenanceWindow": self.window,
            "RegisterTargetWithMaintenanceWindow": {
                **self.window,
                "ResourceType": "INSTANCE",
                "Targets": [{"Key": "InstanceIds", "Values": self.ids}],
            },
            "RegisterTaskWithMaintenanceWindow": {
                **self.window,
                "TaskArn": "AWS-RunPatchBaseline",
                "TaskType": "RUN_COMMAND",
            },
            "UpdateMaintenanceWindow": {**self.window, "Name": "changed"},
            "UpdateMaintenanceWindowTarget": {**target, "Name": "changed"},
            "UpdateMaintenanceWindowTask": {**task, "Name": "changed"},
        }

    def _removals(self) -> dict[str, dict[str, Any]]:
        node, document = {"InstanceId": self.ids[0]}, {"Name": "our-one"}
        instance = {"ResourceType": "ManagedInstance", "ResourceId": self.ids[0]}
        group = {"BaselineId": self.baseline, "PatchGroup": "web"}
        target, task = {**self.window, "WindowTargetId": self.target}, {**self.window, "WindowTaskId": self.task}
        policy = {"ResourceArn": self.parameter, "PolicyId": self.policy["PolicyId"]}
        return {
            "ResetServiceSetting": self.setting,
            "UnlabelParameterVersion": {"Name": "/app/p0", "ParameterVersion": 1, "Labels": ["live"]},
            "Patchwright.DeleteCalendarFeed": {"FeedId": self.feed},
            "Patchwright.DeleteSubscription": {"Name": "hook-00"},
            "Patchwright.ExportPatchReport": {},
            "RemoveTagsFromResource": {**instance, "TagKeys": ["mark"]},
            "DeleteActivation": {"ActivationId": self.activation},
            "DeleteInventory": {"TypeName": "Custom:Rack"},
            "DeleteParameter": {"Name": "/app/p0"},
            "DeleteParameters": {"Names": ["/app/p0", "/app/p1"]},
            "DeleteResourceDataSync": {"SyncName": "sync-00"},
            "DeleteResourcePolicy": {**policy, "PolicyHash": self.policy["PolicyHash"]},
            "DeregisterPatchBaselineForPatchGroup": group,
            "DeletePatchBaseline": {"BaselineId": self.baseline},
            "DeregisterTargetFromMaintenanceWindow": target,
            "DeregisterTaskFromMaintenanceWindow": task,
            "DeleteMaintenanceWindow": self.window,
            "DeleteDocument": document,
            "DeregisterManagedInstance": node,
        }
