# SPDX-License-Identifier: Apache-2.0
"""IAM: users, roles and groups, their tags, and what limits them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from patchwright.server.accounts import GROUP, ROLE, USER, Identities
from patchwright.server.aws.iam.answers import Marks, describe, listed_tags, member, own_name
from patchwright.server.aws.members import tags_of
from patchwright.server.aws.services import Services
from patchwright.server.wire import Caller, Handler

KINDS = (USER, ROLE, GROUP)


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = IdentityOperations(services.access.identities, Marks(services.pager))
    served: dict[str, Handler] = {
        "iam.GetUser": own.get_user,
        "iam.GetRole": own.get_role,
        "iam.UpdateRole": own.update_role,
        "iam.UpdateRoleDescription": own.update_role_description,
        "iam.UpdateAssumeRolePolicy": own.update_trust,
        "iam.ListInstanceProfilesForRole": own.list_instance_profiles,
    }
    for kind in KINDS:
        served[f"iam.Create{member(kind)}"] = partial(own.create, kind)
        served[f"iam.List{member(kind)}s"] = partial(own.list, kind)
        served[f"iam.Delete{member(kind)}"] = partial(own.delete, kind)
    for kind in (USER, GROUP):
        served[f"iam.Update{member(kind)}"] = partial(own.move, kind)
    for kind in (USER, ROLE):
        served[f"iam.Tag{member(kind)}"] = partial(own.tag, kind)
        served[f"iam.Untag{member(kind)}"] = partial(own.untag, kind)
        served[f"iam.List{member(kind)}Tags"] = partial(own.list_tags, kind)
        served[f"iam.Put{member(kind)}PermissionsBoundary"] = partial(own.put_boundary, kind)
        served[f"iam.Delete{member(kind)}PermissionsBoundary"] = partial(own.delete_boundary, kind)
    return served


class IdentityOperations:
    """One method per operation, for every *kind* that has it."""

    def __init__(self, identities: Identities, marks: Marks) -> None:
        self._identities = identities
        self._marks = marks

    async def create(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreateUser, CreateRole, CreateGroup."""
        tags = tags_of(request)
        more: dict[str, Any] = {
            "description": request.get("Description"),
            "trust": request.get("AssumeRolePolicyDocument"),
            "session_seconds": request.get("MaxSessionDuration"),
            "boundary": request.get("PermissionsBoundary"),
        }
        made = await self._identities.create(
            caller.account,
            kind,
            request[member(kind, "Name")],
            path=request.get("Path", "/"),
            tags=tags,
            **{name: value for name, value in more.items() if value is not None},
        )
        return {member(kind): describe(made, tags)}

    async def get_user(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetUser: without a name, who asks."""
        name = own_name(caller, request)
        if not name:
            return {
                "User": {
                    "Path": "/",
                    "UserName": "root",
                    "UserId": caller.account,
                    "Arn": caller.principal,
                    "CreateDate": 0.0,
                }
            }
        return {"User": describe(*await self._identities.get(caller.account, USER, name))}

    async def get_role(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetRole."""
        found = describe(*await self._identities.get(caller.account, ROLE, request["RoleName"]))
        return {"Role": {**found, "RoleLastUsed": {}}}

    async def list(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListUsers, ListRoles, ListGroups: in order of name, whatever its case."""
        rows = await self._identities.page(
            caller.account,
            kind,
            prefix=request.get("PathPrefix", "/"),
            after=self._marks.after(caller, request),
            limit=self._marks.limit(request) + 1,
        )
        shown, more = self._marks.cut(caller, request, rows, lambda row: row.name.lower())
        return {f"{member(kind)}s": [describe(row) for row in shown], **more}

    async def move(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateUser, UpdateGroup: another name or path."""
        await self._identities.move(
            caller.account,
            kind,
            request[member(kind, "Name")],
            new_name=request.get(f"New{member(kind, 'Name')}", ""),
            new_path=request.get("NewPath", ""),
        )
        return {}

    async def update_role(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateRole."""
        await self._identities.describe(
            caller.account,
            request["RoleName"],
            description=request.get("Description"),
            session_seconds=request.get("MaxSessionDuration"),
        )
        return {}

    async def update_role_description(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateRoleDescription."""
        changed = await self._identities.describe(
            caller.account, request["RoleName"], description=request["Description"]
        )
        return {"Role": describe(changed)}

    async def update_trust(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateAssumeRolePolicy."""
        await self._identities.set_trust(caller.account, request["RoleName"], request["PolicyDocument"])
        return {}

    async def delete(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteUser, DeleteRole, DeleteGroup."""
        await self._identities.delete(caller.account, kind, request[member(kind, "Name")])
        return {}

    async def tag(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """TagUser, TagRole."""
        await self._identities.tag(caller.account, kind, request[member(kind, "Name")], tags_of(request))
        return {}

    async def untag(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UntagUser, UntagRole."""
        await self._identities.untag(caller.account, kind, request[member(kind, "Name")], request["TagKeys"])
        return {}

    async def list_tags(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListUserTags, ListRoleTags."""
        _, tags = await self._identities.get(caller.account, kind, request[member(kind, "Name")])
        shown, more = self._marks.few(caller, request, listed_tags(tags), lambda tag: tag["Key"])
        return {"Tags": list(shown), **more}

    async def put_boundary(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutUserPermissionsBoundary, PutRolePermissionsBoundary."""
        name, arn = request[member(kind, "Name")], request["PermissionsBoundary"]
        await self._identities.set_boundary(caller.account, kind, name, arn)
        return {}

    async def delete_boundary(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteUserPermissionsBoundary, DeleteRolePermissionsBoundary."""
        await self._identities.set_boundary(caller.account, kind, request[member(kind, "Name")], "")
        return {}

    async def list_instance_profiles(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListInstanceProfilesForRole: there are none; Terraform asks before it deletes a role."""
        await self._identities.get(caller.account, ROLE, request["RoleName"])
        return {"InstanceProfiles": [], "IsTruncated": False}
