# SPDX-License-Identifier: Apache-2.0
"""
IAM and STS: what each operation is about (AWS's service authorization reference).

Users, roles, groups and policies are named without their paths, and their ARNs have them: they are looked up by the kinds
`user`, `role` and `group`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from patchwright.server.aws.authority.rules import (
    NO_KEYS,
    About,
    Access,
    Demand,
    Keys,
    Request,
    Rule,
    canonical,
    request_tags,
)
from patchwright.server.wire import Caller

LIST, READ, WRITE, TAGGING, PERMISSIONS = Access
USER, ROLE, GROUP = "user", "role", "group"


def _every(caller: Caller, _request: Request) -> Sequence[Demand]:
    return [Demand("*")]


def _user(caller: Caller, request: Request) -> Sequence[Demand]:
    """About the user that is named, or the one who asks."""
    name = request.get("UserName")
    return [_entity(caller, USER, name)] if name else [Demand(caller.principal)]


def _of(kind: str, member: str) -> About:
    return lambda caller, request: [_entity(caller, kind, request[member])]


def _entity(caller: Caller, kind: str, name: str) -> Demand:
    return Demand(f"arn:aws:iam::{caller.account}:{kind}/{name}", kind, name)


def _moved(kind: str, member: str) -> About:
    """About what gets another name or path, and about what it will be then."""

    def about(caller: Caller, request: Request) -> Sequence[Demand]:
        path, name = request.get("NewPath", "/"), request.get(f"New{member}", request[member])
        given = "NewPath" in request or f"New{member}" in request
        new = [Demand(f"arn:aws:iam::{caller.account}:{kind}{path}{name}")] if given else []
        return [_entity(caller, kind, request[member]), *new]

    return about


def _policy(_caller: Caller, request: Request) -> Sequence[Demand]:
    return [Demand(canonical(request["PolicyArn"]))]


def _new(kind: str, member: str, tagging: str = "") -> About:
    """About something that is made: where it will be."""

    def about(caller: Caller, request: Request) -> Sequence[Demand]:
        arn = f"arn:aws:iam::{caller.account}:{kind}{request.get('Path', '/')}{request[member]}"
        tags = [Demand(arn, action=tagging)] if tagging and request.get("Tags") else []
        return [Demand(arn), *tags]

    return about


def _assumed(_caller: Caller, request: Request) -> Sequence[Demand]:
    arn = canonical(request["RoleArn"])
    tags = [Demand(arn, action="sts:TagSession")] if request.get("Tags") or request.get("TransitiveTagKeys") else []
    return [Demand(arn), *tags]


def _tag_keys(request: Request) -> Keys:
    return request_tags(request.get("Tags", ()))


def _removed_keys(request: Request) -> Keys:
    return {"aws:TagKeys": list(request["TagKeys"])}


def _policy_keys(request: Request) -> Keys:
    return {"iam:PolicyARN": [canonical(request["PolicyArn"])]}


def _boundary_keys(request: Request) -> Keys:
    arn = request.get("PermissionsBoundary")
    return {**({"iam:PermissionsBoundary": [canonical(arn)]} if arn else NO_KEYS), **_tag_keys(request)}


def _session_keys(request: Request) -> Keys:
    keys: dict[str, Sequence[str]] = {"sts:RoleSessionName": [request["RoleSessionName"]], **_tag_keys(request)}
    if request.get("ExternalId"):
        keys["sts:ExternalId"] = [request["ExternalId"]]
    if request.get("SourceIdentity"):
        keys["sts:SourceIdentity"] = [request["SourceIdentity"]]
    if request.get("TransitiveTagKeys"):
        keys["sts:TransitiveTagKeys"] = list(request["TransitiveTagKeys"])
    return keys


_role, _group = _of(ROLE, "RoleName"), _of(GROUP, "GroupName")

_RULES: Mapping[About, Mapping[Access, str]] = {
    _every: {
        LIST: "ListUsers ListRoles ListGroups ListPolicies ListAccountAliases",
        READ: "GetAccessKeyLastUsed GetAccountSummary SimulateCustomPolicy GetAccountAuthorizationDetails",
    },
    _user: {
        READ: "GetUser GetUserPolicy GetLoginProfile",
        LIST: """ListAccessKeys ListAttachedUserPolicies ListGroupsForUser ListUserPolicies ListUserTags ListMFADevices
            ListServiceSpecificCredentials ListSigningCertificates ListSSHPublicKeys""",
        WRITE: "CreateAccessKey DeleteAccessKey DeleteUser UpdateAccessKey",
        TAGGING: "TagUser UntagUser",
        PERMISSIONS: """AttachUserPolicy DeleteUserPermissionsBoundary DeleteUserPolicy DetachUserPolicy
            PutUserPermissionsBoundary PutUserPolicy""",
    },
    _role: {
        READ: "GetRole GetRolePolicy",
        LIST: "ListAttachedRolePolicies ListRolePolicies ListRoleTags ListInstanceProfilesForRole",
        WRITE: "DeleteRole UpdateRole UpdateRoleDescription",
        TAGGING: "TagRole UntagRole",
        PERMISSIONS: """AttachRolePolicy DeleteRolePermissionsBoundary DeleteRolePolicy DetachRolePolicy
            PutRolePermissionsBoundary PutRolePolicy UpdateAssumeRolePolicy""",
    },
    _group: {
        READ: "GetGroup GetGroupPolicy",
        LIST: "ListAttachedGroupPolicies ListGroupPolicies",
        WRITE: "AddUserToGroup DeleteGroup RemoveUserFromGroup",
        PERMISSIONS: "AttachGroupPolicy DeleteGroupPolicy DetachGroupPolicy PutGroupPolicy",
    },
    _policy: {
        READ: "GetPolicy GetPolicyVersion",
        LIST: "ListEntitiesForPolicy ListPolicyTags ListPolicyVersions",
        TAGGING: "TagPolicy UntagPolicy",
        PERMISSIONS: "CreatePolicyVersion DeletePolicy DeletePolicyVersion SetDefaultPolicyVersion",
    },
    _moved(USER, "UserName"): {WRITE: "UpdateUser"},
    _moved(GROUP, "GroupName"): {WRITE: "UpdateGroup"},
    _new("user", "UserName", "iam:TagUser"): {WRITE: "CreateUser"},
    _new("role", "RoleName", "iam:TagRole"): {WRITE: "CreateRole"},
    _new("group", "GroupName"): {WRITE: "CreateGroup"},
    _new("policy", "PolicyName", "iam:TagPolicy"): {PERMISSIONS: "CreatePolicy"},
}
_KEYS: Mapping[str, Callable[[Request], Keys]] = {
    **dict.fromkeys(("CreatePolicy", "TagUser", "TagRole", "TagPolicy"), _tag_keys),
    **dict.fromkeys(("UntagUser", "UntagRole", "UntagPolicy"), _removed_keys),
    **dict.fromkeys(
        (f"{do}{kind}Policy" for do in ("Attach", "Detach") for kind in ("User", "Role", "Group")), _policy_keys
    ),
    **dict.fromkeys(
        ("CreateUser", "CreateRole", "PutUserPermissionsBoundary", "PutRolePermissionsBoundary"), _boundary_keys
    ),
}


def _principal(caller: Caller, request: Request) -> Sequence[Demand]:
    return [Demand(canonical(request["PolicySourceArn"]))]


RULES: Mapping[str, Rule] = {
    f"iam.{name}": Rule(f"iam:{name}", access, about, _KEYS.get(name))
    for about, levels in _RULES.items()
    for access, names in levels.items()
    for name in names.split()
} | {
    "iam.SimulatePrincipalPolicy": Rule("iam:SimulatePrincipalPolicy", READ, _principal),
    "sts.AssumeRole": Rule("sts:AssumeRole", WRITE, _assumed, _session_keys),
    # Who one is may always be asked; a session of one's own is no more than one has (AWS: no permission is needed).
    "sts.GetCallerIdentity": Rule("sts:GetCallerIdentity", READ, _every, free=True),
    "sts.GetSessionToken": Rule("sts:GetSessionToken", READ, _every, free=True),
}
