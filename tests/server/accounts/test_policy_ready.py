# SPDX-License-Identifier: Apache-2.0
"""What the ready-made policies let one do, and what not."""

from __future__ import annotations

import json

import pytest

from patchwright.server.accounts import policy

READS = [
    *("ssm:DescribeInstanceInformation", "ssm:GetPatchBaseline", "ssm:ListCommands", "ssm:GetParameter"),
    *("ssm:ListComplianceItems", "ssm:GetInventory", "ssm:DescribeMaintenanceWindows"),
]
RUNS = [
    *("ssm:SendCommand", "ssm:CancelCommand", "ssm:CreatePatchBaseline", "ssm:RegisterTaskWithMaintenanceWindow"),
    *("ssm:RegisterDefaultPatchBaseline", "ssm:RegisterTargetWithMaintenanceWindow"),
    *("ssm:UpdateMaintenanceWindowTarget", "ssm:AddTagsToResource", "ssm:CreateActivation", "ssm:PutParameter"),
    *(
        "ssm:DeleteDocument",
        "ssm:UpdateDocumentDefaultVersion",
        "ssm:DeregisterManagedInstance",
        "ssm:DeleteParameters",
    ),
    *("ssm:RegisterPatchBaselineForPatchGroup", "ssm:PutComplianceItems", "ssm:StartAutomationExecution"),
]
OPENS = [
    *("ssm:CreateResourceDataSync", "ssm:UpdateResourceDataSync", "ssm:DeleteResourceDataSync"),
    *("ssm:ModifyDocumentPermission", "ssm:PutResourcePolicy", "ssm:DeleteResourcePolicy"),
    *("ssm:UpdateServiceSetting", "ssm:ResetServiceSetting", "ssm:UpdateManagedInstanceRole", "ssm:StartSession"),
]
IDENTITIES = ["iam:CreateUser", "iam:AttachUserPolicy", "iam:CreateAccessKey", "sts:AssumeRole"]
IDENTITIES_READ = ["iam:GetUser", "iam:ListAccessKeys", "iam:SimulatePrincipalPolicy"]
ACCOUNTS = ["patchwright:CreateAccount", "patchwright:DisableAccount"]
AUDIT = ["patchwright:ListAuditEntries", "patchwright:ExportAuditTrail", "patchwright:VerifyAuditTrail"]
REPORTS = ["patchwright:GetVerdict", "patchwright:GetPatchReport"]
NODES = [
    *("ssm:UpdateInstanceInformation", "ssm:PutInventory", "ssm:GetDeployablePatchSnapshotForInstance"),
    *("ec2messages:GetMessages", "ec2messages:SendReply", "ssmmessages:OpenControlChannel", "ssm:GetDocument"),
]
NOT_FOR_PEOPLE = ["ec2messages:GetMessages", "ssm:RegisterManagedInstance", "ssm:UpdateInstanceInformation"]
OUR_NODES = [
    *("patchwright:PutFacts", "patchwright:BeginOperation", "patchwright:PutBodies", "patchwright:PutResolution"),
    *("ssm:RequestManagedInstanceRoleToken", "ssm:UpdateManagedInstancePublicKey"),
]
MAY = {
    "administrator": [READS, RUNS, OPENS, IDENTITIES, IDENTITIES_READ, ACCOUNTS, AUDIT, REPORTS, NODES, OUR_NODES],
    "operator": [READS, RUNS, REPORTS, ["patchwright:ExportPatchReport", "sts:GetCallerIdentity"]],
    "auditor": [READS, IDENTITIES_READ, AUDIT, REPORTS, ["sts:GetCallerIdentity"]],
    "node": [NODES, OUR_NODES, ["ssm:GetParameters", "ssm:PutComplianceItems"]],
    "AmazonSSMFullAccess": [READS, RUNS, OPENS, NODES],
    "AmazonSSMReadOnlyAccess": [READS],
    "AmazonSSMManagedInstanceCore": [NODES],
}
MAY_NOT = {
    "administrator": [],
    "operator": [OPENS, IDENTITIES, IDENTITIES_READ, ACCOUNTS, AUDIT, OUR_NODES, NOT_FOR_PEOPLE],
    "auditor": [RUNS, OPENS, IDENTITIES, ACCOUNTS, OUR_NODES, ["patchwright:ExportPatchReport"]],
    "node": [
        RUNS[:5],
        OPENS,
        IDENTITIES,
        IDENTITIES_READ,
        ACCOUNTS,
        AUDIT,
        REPORTS,
        READS[:3],
        ["ssm:GetParametersByPath"],
    ],
    "AmazonSSMFullAccess": [IDENTITIES, IDENTITIES_READ, ACCOUNTS, AUDIT, ["sts:AssumeRole"]],
    "AmazonSSMReadOnlyAccess": [RUNS, OPENS, IDENTITIES, IDENTITIES_READ, ACCOUNTS, AUDIT],
    "AmazonSSMManagedInstanceCore": [RUNS[:5], OPENS, IDENTITIES, ACCOUNTS, AUDIT, OUR_NODES],
}
DOCUMENTS = {**policy.READY, **policy.MANAGED}


@pytest.mark.parametrize("name", MAY)
def test_a_ready_policy_allows_what_it_is_for_and_nothing_else(name):
    """On anything; what it does not allow it does not deny either, so that another policy may add it."""
    evaluator = policy.Evaluator([policy.parse(DOCUMENTS[name])])

    for wanted, actions in ((True, MAY[name]), (False, MAY_NOT[name])):
        for action in (one for several in actions for one in several):
            ruling = evaluator.decide(policy.Asked(action, "arn:aws:ssm:us-east-1:111122223333:document/x"))

            assert (ruling.allowed, ruling.explicit) == (wanted, wanted), action


def test_the_ready_policies_have_names_that_tools_know():
    """Ours, and those of AWS; ours say the same under both of their names."""
    assert set(policy.READY) == {"administrator", "operator", "auditor", "node"}
    assert {f"Patchwright{name.capitalize()}" for name in policy.READY} < set(policy.MANAGED)
    assert all(policy.MANAGED[f"Patchwright{name.capitalize()}"] == text for name, text in policy.READY.items())
    assert policy.MANAGED["AdministratorAccess"] == policy.READY["administrator"]


@pytest.mark.parametrize("name", policy.MANAGED)
def test_a_ready_policy_is_as_small_as_a_managed_policy_has_to_be(name):
    """6,144 characters, of the language's newer version, and it denies nothing."""
    text = policy.MANAGED[name]

    assert policy.size(text) <= 6_144
    assert json.loads(text)["Version"] == "2012-10-17"
    assert not any(one.denies for one in policy.parse(text).statements)
