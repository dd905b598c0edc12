# SPDX-License-Identifier: Apache-2.0
"""
Which operations the audit trail has, and what of a request says on what they act. Held to what is served by a test.

    AUDITED     calls that change something: each has an entry, whatever came of it
    REPORTED    calls that write and change nothing anybody decided: what a node says of itself, what is computed on a read
    all others  only answer; a test compares the database before and after

Whoever is refused has an entry, whatever was asked for. Values are never among what is noted: resources are named by the
members below and by nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from patchwright.server.accounts import Act, Trail
from patchwright.server.wire import Caller, Refusal


class Noted(NamedTuple):
    """The members that name what a call acts on; and whether the ids of what it makes are known only afterwards."""

    members: tuple[str, ...] = ()
    makes: bool = False


def _on(*members: str) -> Noted:
    return Noted(members)


def _makes(*members: str) -> Noted:
    return Noted(members, makes=True)


_SSM: Mapping[str, Noted] = {
    "AddTagsToResource": _on("ResourceId"),
    "CancelCommand": _on("CommandId", "InstanceIds"),
    "CancelMaintenanceWindowExecution": _on("WindowExecutionId"),
    "CreateActivation": _makes(),
    "CreateDocument": _on("Name"),
    "CreateMaintenanceWindow": _makes(),
    "CreatePatchBaseline": _makes(),
    "CreateResourceDataSync": _on("SyncName"),
    "DeleteActivation": _on("ActivationId"),
    "DeleteDocument": _on("Name"),
    "DeleteInventory": _makes("TypeName"),
    "DeleteMaintenanceWindow": _on("WindowId"),
    "DeleteParameter": _on("Name"),
    "DeleteParameters": _on("Names"),
    "DeletePatchBaseline": _on("BaselineId"),
    "DeleteResourceDataSync": _on("SyncName"),
    "DeleteResourcePolicy": _on("ResourceArn", "PolicyId"),
    "DeregisterManagedInstance": _on("InstanceId"),
    "DeregisterPatchBaselineForPatchGroup": _on("BaselineId", "PatchGroup"),
    "DeregisterTargetFromMaintenanceWindow": _on("WindowId", "WindowTargetId"),
    "DeregisterTaskFromMaintenanceWindow": _on("WindowId", "WindowTaskId"),
    "LabelParameterVersion": _on("Name"),
    "ModifyDocumentPermission": _on("Name", "AccountIdsToAdd", "AccountIdsToRemove"),
    "PutComplianceItems": _on("ResourceId", "ComplianceType"),
    "PutInventory": _on("InstanceId"),
    "PutParameter": _on("Name"),
    "PutResourcePolicy": _on("ResourceArn", "PolicyId"),
    "RegisterDefaultPatchBaseline": _on("BaselineId"),
    "RegisterManagedInstance": _makes("ActivationId"),
    "RegisterPatchBaselineForPatchGroup": _on("BaselineId", "PatchGroup"),
    "RegisterTargetWithMaintenanceWindow": _makes("WindowId", "Targets"),
    "RegisterTaskWithMaintenanceWindow": _makes("WindowId", "TaskArn", "Targets"),
    "RemoveTagsFromResource": _on("ResourceId"),
    "ResetServiceSetting": _on("SettingId"),
    "SendCommand": _makes("DocumentName", "InstanceIds", "Targets"),
    "UnlabelParameterVersion": _on("Name"),
    "UpdateDocument": _on("Name"),
    "UpdateDocumentDefaultVersion": _on("Name"),
    "UpdateDocumentMetadata": _on("Name"),
    "UpdateMaintenanceWindow": _on("WindowId"),
    "UpdateMaintenanceWindowTarget": _on("WindowId", "WindowTargetId", "Targets"),
    "UpdateMaintenanceWindowTask": _on("WindowId", "WindowTaskId", "TaskArn", "Targets"),
    "UpdateManagedInstancePublicKey": _on(),
    "UpdateManagedInstanceRole": _on("InstanceId"),
    "UpdatePatchBaseline": _on("BaselineId"),
    "UpdateResourceDataSync": _on("SyncName"),
    "UpdateServiceSetting": _on("SettingId"),
}

_PATCHWRIGHT: Mapping[str, Noted] = {
    "BeginOperation": _makes("CommandId"),
    "CreateAccount": _makes("Name"),
    "CreateCalendarFeed": _makes("Name", "WindowId"),
    "DeleteCalendarFeed": _on("FeedId"),
    "DeleteSubscription": _on("Name"),
    "DisableAccount": _on("AccountId"),
    "EnableAccount": _on("AccountId"),
    "Enroll": _makes("ActivationId"),
    "ExportPatchReport": _on("BucketName"),
    "RunMaintenanceWindow": _makes("WindowId"),
    "PutSubscription": _on("Name"),
    "RedeliverEvents": _on("Name", "EventId"),
}

_IAM: Mapping[str, Noted] = {
    "AddUserToGroup": _on("GroupName", "UserName"),
    "AttachGroupPolicy": _on("GroupName", "PolicyArn"),
    "AttachRolePolicy": _on("RoleName", "PolicyArn"),
    "AttachUserPolicy": _on("UserName", "PolicyArn"),
    "CreateAccessKey": _makes("UserName"),
    "CreateGroup": _on("GroupName"),
    "CreatePolicy": _on("PolicyName"),
    "CreatePolicyVersion": _on("PolicyArn"),
    "CreateRole": _on("RoleName"),
    "CreateUser": _on("UserName"),
    "DeleteAccessKey": _on("UserName", "AccessKeyId"),
    "DeleteGroup": _on("GroupName"),
    "DeleteGroupPolicy": _on("GroupName", "PolicyName"),
    "DeletePolicy": _on("PolicyArn"),
    "DeletePolicyVersion": _on("PolicyArn", "VersionId"),
    "DeleteRole": _on("RoleName"),
    "DeleteRolePermissionsBoundary": _on("RoleName"),
    "DeleteRolePolicy": _on("RoleName", "PolicyName"),
    "DeleteUser": _on("UserName"),
    "DeleteUserPermissionsBoundary": _on("UserName"),
    "DeleteUserPolicy": _on("UserName", "PolicyName"),
    "DetachGroupPolicy": _on("GroupName", "PolicyArn"),
    "DetachRolePolicy": _on("RoleName", "PolicyArn"),
    "DetachUserPolicy": _on("UserName", "PolicyArn"),
    "PutGroupPolicy": _on("GroupName", "PolicyName"),
    "PutRolePermissionsBoundary": _on("RoleName", "PermissionsBoundary"),
    "PutRolePolicy": _on("RoleName", "PolicyName"),
    "PutUserPermissionsBoundary": _on("UserName", "PermissionsBoundary"),
    "PutUserPolicy": _on("UserName", "PolicyName"),
    "RemoveUserFromGroup": _on("GroupName", "UserName"),
    "SetDefaultPolicyVersion": _on("PolicyArn", "VersionId"),
    "TagPolicy": _on("PolicyArn"),
    "TagRole": _on("RoleName"),
    "TagUser": _on("UserName"),
    "UntagPolicy": _on("PolicyArn"),
    "UntagRole": _on("RoleName"),
    "UntagUser": _on("UserName"),
    "UpdateAccessKey": _on("UserName", "AccessKeyId", "Status"),
    "UpdateAssumeRolePolicy": _on("RoleName"),
    "UpdateGroup": _on("GroupName", "NewGroupName"),
    "UpdateRole": _on("RoleName"),
    "UpdateRoleDescription": _on("RoleName"),
    "UpdateUser": _on("UserName", "NewUserName"),
}

# They write nothing, and give somebody rights: who took them is what an auditor asks first.
_STS: Mapping[str, Noted] = {
    "AssumeRole": _on("RoleArn", "RoleSessionName"),
    "GetSessionToken": _on(),
}

AUDITED: Mapping[str, Noted] = {
    f"{prefix}.{name}": noted
    for prefix, group in (("AmazonSSM", _SSM), ("Patchwright", _PATCHWRIGHT), ("iam", _IAM), ("sts", _STS))
    for name, noted in group.items()
}

_OBJECT = _on("Bucket", "Key")
# What answers alone, or writes what a node says of itself, through another door; refused, it names what it was about.
_BUCKETS: Mapping[str, Noted] = {
    "s3.AbortMultipartUpload": _OBJECT,
    "s3.CompleteMultipartUpload": _OBJECT,
    "s3.CreateMultipartUpload": _OBJECT,
    "s3.GetEncryptionConfiguration": _on("Bucket"),
    "s3.GetObject": _OBJECT,
    "s3.HeadBucket": _on("Bucket"),
    "s3.ListObjects": _on("Bucket", "Prefix"),
    "s3.PutObject": _OBJECT,
    "s3.UploadPart": _OBJECT,
}

REPORTED: Mapping[str, str] = {
    "AmazonSSM.GetDeployablePatchSnapshotForInstance": "a snapshot is written by the first asker (design D13)",
    "AmazonSSM.RequestManagedInstanceRoleToken": "a node renews what it signs with",
    "AmazonSSM.UpdateInstanceAssociationStatus": "what an association came to on the node",
    "AmazonSSM.UpdateInstanceInformation": "presence",
    "EC2WindowsMessageDeliveryService.AcknowledgeMessage": "delivery; the invocation has it",
    "EC2WindowsMessageDeliveryService.FailMessage": "delivery; the invocation has it",
    "EC2WindowsMessageDeliveryService.GetMessages": "delivery; the invocation has it",
    "EC2WindowsMessageDeliveryService.SendReply": "the invocation has it",
    "Patchwright.PutBodies": "facts, kept by content",
    "Patchwright.PutFacts": "facts; the operation has them",
    "Patchwright.PutOutput": "what steps print; the output has it",
    "Patchwright.PutOverrides": "files given for an operation; the operation has them",
    "Patchwright.PutResolution": "the operation has it",
    "ssmmessages.CreateControlChannel": "a node opens its channel; the log has it",
}

# What a refusal is, beside a call that failed. Spelled by JSON services and by Query ones.
REFUSALS = frozenset({
    "AccessDenied", "AccessDeniedException", "ExpiredTokenException", "ExpiredToken", "IncompleteSignature",
    "IncompleteSignatureException", "InvalidClientTokenId", "InvalidSignatureException",
    "MissingAuthenticationToken", "MissingAuthenticationTokenException", "RequestExpired", "SignatureDoesNotMatch",
    "Throttling", "ThrottlingException", "UnrecognizedClientException",
})  # fmt: skip


class CallWatch:
    """
    What the endpoint tells the audit trail: the calls in AUDITED, and whatever is refused; with *reports* those in REPORTED as
    well, where they write something.
    """

    def __init__(self, trail: Trail, *, reports: bool = False) -> None:
        self._trail = trail
        self._reports = frozenset(REPORTED) if reports else frozenset()

    def during(self, caller: Caller, request: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
        """The call has an entry in the transaction of its change, if it is one that changes something."""
        noted = AUDITED.get(caller.target)
        if noted is not None:
            return self._trail.during(_act(caller, request, noted))
        if caller.target in self._reports:
            return self._trail.during(_act(caller, request, Noted()), quiet=True)
        return contextlib.nullcontext()

    def refused(self, refusal: Refusal) -> None:
        """The refusal has an entry, and so has the failure of a call that would have changed something."""
        noted = AUDITED.get(refusal.target)
        if noted is None and refusal.code not in REFUSALS:
            return
        caller = refusal.caller
        if caller is not None:
            act = _act(caller, refusal.request, noted or _BUCKETS.get(refusal.target) or Noted())
        else:
            act = Act(
                account=refusal.account,
                region="",
                principal="",
                key_id=refusal.key_id,
                source_ip=refusal.source_ip,
                target=refusal.target,
                request_id=refusal.request_id,
            )
        self._trail.refused(act, refusal.code)


def _act(caller: Caller, request: Mapping[str, Any], noted: Noted) -> Act:
    return Act(
        account=caller.account,
        region=caller.region,
        principal=caller.principal,
        key_id=caller.access_key_id,
        source_ip=caller.source_ip,
        target=caller.target,
        request_id=caller.request_id,
        resources=tuple(dict.fromkeys(one for member in noted.members for one in _names(request.get(member)))),
        makes=noted.makes,
        signed=caller.signed,
    )


def _names(value: Any) -> Iterator[str]:
    """The names in a member: a text, a list of them, or targets such as `tag:env=dev`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, dict):
                yield from (f"{one.get('Key', '')}={each}" for each in one.get("Values") or ())
            else:
                yield from _names(one)
