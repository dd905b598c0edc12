# SPDX-License-Identifier: Apache-2.0
"""
Ready-made policies. They only allow, so that one's own policies decide where they deny.

administrator   everything
operator        runs a fleet: everything of Systems Manager but what opens the account to others, and of live verdicts and
                reports; no identities, no accounts, no audit trail
auditor         reads everything but secrets, the audit trail as well, and changes nothing
node            what an enrolled node does. That it may do so only as itself is not said here: it is checked apart, always

AWS's names are in `MANAGED` for tools that attach them. They allow what AWS's own documents of these names do, as far as it
exists here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_NODE_ACTIONS = (
    "ssm:DescribeAssociation",
    "ssm:DescribeDocument",
    "ssm:GetDeployablePatchSnapshotForInstance",
    "ssm:GetDocument",
    "ssm:GetManifest",
    "ssm:GetParameter",
    "ssm:GetParameters",
    "ssm:ListAssociations",
    "ssm:ListInstanceAssociations",
    "ssm:PutComplianceItems",
    "ssm:PutConfigurePackageResult",
    "ssm:PutInventory",
    "ssm:UpdateAssociationStatus",
    "ssm:UpdateInstanceAssociationStatus",
    "ssm:UpdateInstanceInformation",
)
_CHANNEL_ACTIONS = (
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
    "ec2messages:AcknowledgeMessage",
    "ec2messages:DeleteMessage",
    "ec2messages:FailMessage",
    "ec2messages:GetEndpoint",
    "ec2messages:GetMessages",
    "ec2messages:SendReply",
)
# Not in AWS's document: a node's key and token belong to its enrolment there.
_OUR_NODE_ACTIONS = (
    "ssm:RequestManagedInstanceRoleToken",
    "ssm:UpdateManagedInstancePublicKey",
    "patchwright:BeginOperation",
    "patchwright:DescribeAgent",
    "patchwright:GetPatchCheck",
    "patchwright:PutBodies",
    "patchwright:PutFacts",
    "patchwright:PutOutput",
    "patchwright:PutOverrides",
    "patchwright:PutResolution",
    "s3:GetEncryptionConfiguration",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
)
# Named one by one where a wildcard would take in what lets data out of the account (syncs, sharing, policies of resources) or
# changes the rules for everybody in it (service settings, roles of nodes).
_OPERATOR_ACTIONS = (
    "ssm:AddTagsToResource",
    "ssm:CancelCommand",
    "ssm:CancelMaintenanceWindowExecution",
    "ssm:CreateActivation",
    "ssm:CreateAssociation*",
    "ssm:CreateDocument",
    "ssm:CreateMaintenanceWindow",
    "ssm:CreateOps*",
    "ssm:CreatePatchBaseline",
    "ssm:DeleteActivation",
    "ssm:DeleteAssociation",
    "ssm:DeleteDocument",
    "ssm:DeleteInventory",
    "ssm:DeleteMaintenanceWindow",
    "ssm:DeleteOps*",
    "ssm:DeleteParameter*",
    "ssm:DeletePatchBaseline",
    "ssm:Deregister*",
    "ssm:Describe*",
    "ssm:Get*",
    "ssm:LabelParameterVersion",
    "ssm:List*",
    "ssm:PutComplianceItems",
    "ssm:PutInventory",
    "ssm:PutParameter",
    "ssm:RegisterDefaultPatchBaseline",
    "ssm:RegisterPatchBaselineForPatchGroup",
    "ssm:RegisterT*",
    "ssm:RemoveTagsFromResource",
    "ssm:SendAutomationSignal",
    "ssm:SendCommand",
    "ssm:StartA*",
    "ssm:StartChangeRequestExecution",
    "ssm:StopAutomationExecution",
    "ssm:UnlabelParameterVersion",
    "ssm:UpdateAssociation*",
    "ssm:UpdateDocument*",
    "ssm:UpdateMaintenanceWindow*",
    "ssm:UpdateOps*",
    "ssm:UpdatePatchBaseline",
    "patchwright:DescribeSchedule",
    "patchwright:ExportPatchReport",
    "patchwright:GetCalendar",
    "patchwright:GetForecast",
    "patchwright:GetOutput",
    "patchwright:GetPatchReport",
    "patchwright:GetVerdict",
    "patchwright:ListEvents",
    "patchwright:ListOutputs",
    "patchwright:RunMaintenanceWindow",
    "s3:GetObject",
    "patchwright:StreamEvents",
    "sts:GetCallerIdentity",
)
_AUDITOR_ACTIONS = (
    "ssm:Describe*",
    "ssm:GetAutomationExecution",
    "ssm:GetC*",
    "ssm:GetD*",
    "ssm:GetExecutionPreview",
    "ssm:GetInventory*",
    "ssm:GetMaintenanceWindow*",
    "ssm:GetOps*",
    "ssm:GetPatch*",
    "ssm:GetResourcePolicies",
    "ssm:GetServiceSetting",
    "ssm:List*",
    "iam:Get*",
    "iam:List*",
    "iam:Simulate*",
    "sts:GetCallerIdentity",
    "patchwright:DescribeSchedule",
    "patchwright:ExportAuditTrail",
    "patchwright:Get*",
    "patchwright:List*",
    "patchwright:StreamEvents",
    "patchwright:VerifyAuditTrail",
)


# Parameters, of secrets only their ciphers: an auditor has to know what is there, not to be able to use it.
_PLAIN_PARAMETERS: Mapping[str, Any] = {
    "Sid": "NoSecrets",
    "Effect": "Allow",
    "Action": "ssm:GetParameter*",
    "Resource": "*",
    "Condition": {"BoolIfExists": {"ssm:WithDecryption": "false"}},
}


def _document(sid: str, *actions: str, more: Mapping[str, Any] | None = None) -> str:
    """A document that allows *actions* on everything, and what the statement *more* allows."""
    statement: Mapping[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement, *([more] if more else [])]}, indent=4)


# By what they are for.
READY: Mapping[str, str] = {
    "administrator": _document("Administrator", "*"),
    "operator": _document("Operator", *_OPERATOR_ACTIONS),
    "auditor": _document("Auditor", *_AUDITOR_ACTIONS, more=_PLAIN_PARAMETERS),
    "node": _document("Node", *_NODE_ACTIONS, *_CHANNEL_ACTIONS, *_OUR_NODE_ACTIONS),
}

# By the name in their ARN, arn:aws:iam::aws:policy/NAME.
MANAGED: Mapping[str, str] = {
    **{f"Patchwright{name.capitalize()}": document for name, document in READY.items()},
    "AdministratorAccess": READY["administrator"],
    "AmazonSSMFullAccess": _document("FullAccess", "ssm:*", "ec2messages:*", "ssmmessages:*"),
    "AmazonSSMReadOnlyAccess": _document("ReadOnly", "ssm:Describe*", "ssm:Get*", "ssm:List*"),
    "AmazonSSMManagedInstanceCore": _document("Node", *_NODE_ACTIONS, *_CHANNEL_ACTIONS),
}
