# SPDX-License-Identifier: Apache-2.0
"""
Systems Manager: what each operation is about (spec §11.1, AWS's service authorization reference).

Listings are allowed by their action alone, as on AWS: what they are about is nothing in particular.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from patchwright.core.errors import PatchwrightError
from patchwright.server import parameters, patching
from patchwright.server.accounts import Scope
from patchwright.server.aws.authority.rules import (
    BASELINE,
    DOCUMENT,
    NO_KEYS,
    NODE,
    PARAMETER,
    WINDOW,
    About,
    Access,
    Demand,
    Keys,
    Request,
    Rule,
    canonical,
    node,
    request_tags,
    resource,
    tagged_at_birth,
    whole,
    window,
)
from patchwright.server.wire import Caller

LIST, READ, WRITE, TAGGING, PERMISSIONS = Access
DOCUMENT_PARAMETER = "ssm:DocumentParameter/"
_DOCUMENT_ARN = re.compile(r"arn:aws:ssm:([^:]*):([^:]*):document/(.+)\Z", re.DOTALL)
_RESERVED = re.compile(r"(?i)(aws|amazon|amzn)")
_EVERY = whole("ssm")
_PASSED_TO = {"iam:PassedToService": ["ssm.amazonaws.com"]}


def document(scope: Scope, reference: str) -> Demand:
    """About a document: by its name, or by its ARN. The product's have an ARN without account."""
    match = _DOCUMENT_ARN.match(canonical(reference)) if ":" in reference else None
    region, account, name = match.groups() if match else (scope.region, scope.account, reference)
    if _RESERVED.match(name) and account in {"", scope.account}:
        return Demand(f"arn:aws:ssm:{region}::document/{name}")
    arn = f"arn:aws:ssm:{region}:{account}:document/{name}"
    return Demand(arn, DOCUMENT, name) if (account, region) == scope else Demand(arn)


def baseline(scope: Scope, reference: str) -> Demand:
    """About a patch baseline: by its id, or by its ARN."""
    arn = patching.arn_of(scope, canonical(reference))
    own = arn == resource(scope, "patchbaseline", arn.rpartition("/")[2])
    return Demand(arn, BASELINE, arn.rpartition("/")[2]) if own else Demand(arn)


def parameter(scope: Scope, reference: str) -> Demand:
    """About a parameter: by its name or its ARN, with or without a selector."""
    try:
        path = parameters.reference(scope, canonical(reference)).path
    except PatchwrightError:  # it will be refused for what it is, if its caller may ask at all
        return Demand(resource(scope, "parameter", reference.strip().removeprefix("/")))
    return Demand(parameters.arn(scope, path), PARAMETER, path)


def _path(scope: Scope, path: str) -> Demand:
    return Demand(resource(scope, "parameter", path.strip().strip("/")))


def _setting(scope: Scope, reference: str) -> Demand:
    given = canonical(reference)
    return Demand(given if given.startswith("arn:") else resource(scope, "servicesetting", given.removeprefix("/")))


def _sync(scope: Scope, name: str) -> Demand:
    return Demand(resource(scope, "resource-data-sync", name))


def _tagged(caller: Caller, request: Request) -> Sequence[Demand]:
    """About whatever AddTagsToResource and its like name."""
    scope, kind, name = caller.scope, request["ResourceType"], request["ResourceId"]
    if kind == DOCUMENT:
        return [document(scope, name)]
    if kind == NODE:
        return [node(scope, name)]
    if kind == PARAMETER:
        return [parameter(scope, name)]
    if kind == BASELINE:
        return [baseline(scope, name)]
    if kind == WINDOW:
        return [window(scope, name)]
    return [Demand(resource(scope, kind.lower(), name))]


def _with_policy(caller: Caller, request: Request) -> Sequence[Demand]:
    return [Demand(canonical(request["ResourceArn"]))]


def pass_role(scope: Scope, role: str) -> Demand:
    """What it takes to hand a role to the service."""
    arn = canonical(role) if role.startswith("arn:") else f"arn:aws:iam::{scope.account}:role/{role}"
    return Demand(arn, action="iam:PassRole", keys=_PASSED_TO)


def _new(kind: str) -> About:
    """About something that has no id yet."""

    def about(caller: Caller, request: Request) -> Sequence[Demand]:
        arn = resource(caller.scope, kind, "*")
        return [Demand(arn), *tagged_at_birth(arn, request)]

    return about


def _new_activation(caller: Caller, request: Request) -> Sequence[Demand]:
    scope = caller.scope
    tags = tagged_at_birth(resource(scope, "managed-instance", "*"), request)  # they become those of its nodes
    return [*_EVERY(caller, request), pass_role(scope, request["IamRole"]), *tags]


def _new_document(caller: Caller, request: Request) -> Sequence[Demand]:
    made = document(caller.scope, request["Name"])
    return [made, *tagged_at_birth(made.arn, request)]


def _new_parameter(caller: Caller, request: Request) -> Sequence[Demand]:
    made = parameter(caller.scope, request["Name"])
    return [made, *tagged_at_birth(made.arn, request)]


def _window_task(caller: Caller, request: Request) -> Sequence[Demand]:
    role = request.get("ServiceRoleArn")
    passed = [pass_role(caller.scope, role)] if role else []
    return [window(caller.scope, request["WindowId"]), *passed]


def _node_role(caller: Caller, request: Request) -> Sequence[Demand]:
    return [node(caller.scope, request["InstanceId"]), pass_role(caller.scope, request["IamRole"])]


def _compliance(caller: Caller, request: Request) -> Sequence[Demand]:
    return [node(caller.scope, request["ResourceId"])]


def _presence(caller: Caller, request: Request) -> Sequence[Demand]:
    return [node(caller.scope, request.get("InstanceId") or caller.instance_id or "")]


def _schedule(caller: Caller, request: Request) -> Sequence[Demand]:
    return [window(caller.scope, request["WindowId"])] if "WindowId" in request else _EVERY(caller, request)


def _send_command(caller: Caller, request: Request) -> Sequence[Demand]:
    """The document, and every node that is named. Nodes that targets reach are asked for one by one when they are known."""
    scope = caller.scope
    role = request.get("ServiceRoleArn")
    named = named_nodes(request)
    passed = [pass_role(scope, role)] if role else []
    return [document(scope, request["DocumentName"]), *(node(scope, one) for one in named), *passed]


def named_nodes(request: Request) -> list[str]:
    """The nodes that a SendCommand names by id, each once."""
    ids = list(request.get("InstanceIds", ()))
    for target in request.get("Targets", ()):
        if target.get("Key", "").lower() == "instanceids":
            ids += [one for one in target.get("Values", ()) if one != "*"]
    return list(dict.fromkeys(ids))


def command_keys(request: Request) -> Keys:
    """The keys of a command's parameters, `ssm:DocumentParameter/NAME`: ours, AWS has none."""
    given: Mapping[str, Sequence[str]] = request.get("Parameters", NO_KEYS)
    if not given:
        return NO_KEYS
    return {DOCUMENT_PARAMETER + name: list(values) for name, values in given.items()}


def _tag_keys(request: Request) -> Keys:
    return request_tags(request.get("Tags", ()))


def _removed_keys(request: Request) -> Keys:
    return {"aws:TagKeys": list(request["TagKeys"])}


def _document_keys(request: Request) -> Keys:
    return {"ssm:DocumentType": [request.get("DocumentType", "Command")], **_tag_keys(request)}


def _sync_keys(request: Request) -> Keys:
    return {"ssm:SyncType": [request.get("SyncType", "SyncToDestination")]}


def _overwrite_keys(request: Request) -> Keys:
    policies = {"ssm:Policies": [request["Policies"]]} if request.get("Policies") else {}
    return {"ssm:Overwrite": [_bool(request.get("Overwrite"))], **policies, **_tag_keys(request)}


def _decryption_keys(request: Request) -> Keys:
    return {"ssm:WithDecryption": [_bool(request.get("WithDecryption"))]}


def _path_keys(request: Request) -> Keys:
    return {"ssm:Recursive": [_bool(request.get("Recursive"))], **_decryption_keys(request)}


def _bool(value: object) -> str:
    return "true" if value else "false"


def _one(make: Callable[[Scope, str], Demand], member: str) -> About:
    """About what *member* names."""
    return lambda caller, request: [make(caller.scope, request[member])]


def _each(make: Callable[[Scope, str], Demand], member: str) -> About:
    """About each of what *member* names, once."""
    return lambda caller, request: [make(caller.scope, one) for one in dict.fromkeys(request[member])]


_RULES: Mapping[About, Mapping[Access, str]] = {
    _EVERY: {
        LIST: """DescribeActivations DescribeAvailablePatches DescribeInstanceInformation DescribeInstancePatchStates
            DescribeInstancePatchStatesForPatchGroup DescribeInstancePatches DescribeInstanceProperties
            DescribeInventoryDeletions DescribeMaintenanceWindowExecutionTaskInvocations
            DescribeMaintenanceWindowExecutionTasks DescribeMaintenanceWindows DescribeMaintenanceWindowsForTarget
            DescribeParameters DescribePatchBaselines DescribePatchGroups DescribePatchProperties ListCommandInvocations
            ListCommands ListComplianceItems ListComplianceSummaries ListDocuments ListInventoryEntries ListNodes
            ListNodesSummary ListResourceComplianceSummaries ListResourceDataSync""",
        READ: """DescribePatchGroupState GetCommandInvocation GetDefaultPatchBaseline GetInventory GetInventorySchema
            GetMaintenanceWindowExecution GetMaintenanceWindowExecutionTask GetMaintenanceWindowExecutionTaskInvocation
            GetPatchBaselineForPatchGroup""",
        WRITE: "CancelCommand CancelMaintenanceWindowExecution DeleteActivation DeleteInventory",
    },
    _one(node, "InstanceId"): {
        READ: "GetDeployablePatchSnapshotForInstance",
        WRITE: "DeregisterManagedInstance PutInventory",
    },
    _one(node, "Target"): {READ: "GetConnectionStatus"},
    _compliance: {WRITE: "PutComplianceItems"},
    _presence: {
        READ: "ListInstanceAssociations",
        WRITE: "UpdateInstanceAssociationStatus UpdateInstanceInformation RequestManagedInstanceRoleToken UpdateManagedInstancePublicKey",
    },
    _node_role: {WRITE: "UpdateManagedInstanceRole"},
    _send_command: {WRITE: "SendCommand"},
    _one(document, "Name"): {
        READ: "DescribeDocument DescribeDocumentPermission GetDocument",
        LIST: "ListDocumentMetadataHistory ListDocumentVersions",
        WRITE: "DeleteDocument UpdateDocument UpdateDocumentDefaultVersion UpdateDocumentMetadata",
        PERMISSIONS: "ModifyDocumentPermission",
    },
    _new_document: {WRITE: "CreateDocument"},
    _new_activation: {WRITE: "CreateActivation"},
    _new("maintenancewindow"): {WRITE: "CreateMaintenanceWindow"},
    _new("patchbaseline"): {WRITE: "CreatePatchBaseline"},
    _one(window, "WindowId"): {
        LIST: "DescribeMaintenanceWindowExecutions DescribeMaintenanceWindowTargets DescribeMaintenanceWindowTasks",
        READ: "GetMaintenanceWindow GetMaintenanceWindowTask",
        WRITE: """DeleteMaintenanceWindow DeregisterTargetFromMaintenanceWindow DeregisterTaskFromMaintenanceWindow
            RegisterTargetWithMaintenanceWindow UpdateMaintenanceWindow UpdateMaintenanceWindowTarget""",
    },
    _window_task: {WRITE: "RegisterTaskWithMaintenanceWindow UpdateMaintenanceWindowTask"},
    _schedule: {LIST: "DescribeMaintenanceWindowSchedule"},
    _one(baseline, "BaselineId"): {
        READ: "DescribeEffectivePatchesForPatchBaseline GetPatchBaseline",
        WRITE: """DeletePatchBaseline DeregisterPatchBaselineForPatchGroup RegisterDefaultPatchBaseline
            RegisterPatchBaselineForPatchGroup UpdatePatchBaseline""",
    },
    _one(parameter, "Name"): {
        READ: "GetParameter GetParameterHistory",
        WRITE: "DeleteParameter LabelParameterVersion UnlabelParameterVersion",
    },
    _each(parameter, "Names"): {READ: "GetParameters", WRITE: "DeleteParameters"},
    _one(_path, "Path"): {READ: "GetParametersByPath"},
    _new_parameter: {WRITE: "PutParameter"},
    _one(_setting, "SettingId"): {READ: "GetServiceSetting", WRITE: "ResetServiceSetting UpdateServiceSetting"},
    _one(_sync, "SyncName"): {WRITE: "CreateResourceDataSync DeleteResourceDataSync UpdateResourceDataSync"},
    _tagged: {READ: "ListTagsForResource", TAGGING: "AddTagsToResource RemoveTagsFromResource"},
    _with_policy: {READ: "GetResourcePolicies", PERMISSIONS: "DeleteResourcePolicy PutResourcePolicy"},
}
_KEYS = {
    "AddTagsToResource": _tag_keys,
    "CreateActivation": _tag_keys,
    "CreateDocument": _document_keys,
    "CreateMaintenanceWindow": _tag_keys,
    "CreatePatchBaseline": _tag_keys,
    "CreateResourceDataSync": _sync_keys,
    "DeleteResourceDataSync": _sync_keys,
    "GetParameter": _decryption_keys,
    "GetParameterHistory": _decryption_keys,
    "GetParameters": _decryption_keys,
    "GetParametersByPath": _path_keys,
    "PutParameter": _overwrite_keys,
    "RemoveTagsFromResource": _removed_keys,
    "SendCommand": command_keys,
    "UpdateResourceDataSync": _sync_keys,
}

RULES: Mapping[str, Rule] = {
    f"AmazonSSM.{name}": Rule(f"ssm:{name}", access, about, _KEYS.get(name))
    for about, levels in _RULES.items()
    for access, names in levels.items()
    for name in names.split()
} | {
    # A machine that has nothing yet but an activation's code, which is checked.
    "AmazonSSM.RegisterManagedInstance": Rule("ssm:RegisterManagedInstance", WRITE, _EVERY, free=True),
}
