# SPDX-License-Identifier: Apache-2.0
"""IAM: policies of users, roles and groups, attached and inline."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from patchwright.server.accounts import GROUP, ROLE, USER, Attachments
from patchwright.server.aws.iam.answers import Marks, encoded, member
from patchwright.server.aws.services import Services
from patchwright.server.wire import ApiError, Caller, Handler

_FILTERS = {"User": USER, "Role": ROLE, "Group": GROUP}


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = AttachmentOperations(services.access.attachments, Marks(services.pager))
    served: dict[str, Handler] = {"iam.ListEntitiesForPolicy": own.list_entities}
    for kind in (USER, ROLE, GROUP):
        word = member(kind)
        served[f"iam.Attach{word}Policy"] = partial(own.attach, kind)
        served[f"iam.Detach{word}Policy"] = partial(own.detach, kind)
        served[f"iam.ListAttached{word}Policies"] = partial(own.list_attached, kind)
        served[f"iam.Put{word}Policy"] = partial(own.put, kind)
        served[f"iam.Get{word}Policy"] = partial(own.get, kind)
        served[f"iam.Delete{word}Policy"] = partial(own.delete, kind)
        served[f"iam.List{word}Policies"] = partial(own.list, kind)
    return served


class AttachmentOperations:
    """One method per operation, for every *kind*."""

    def __init__(self, attachments: Attachments, marks: Marks) -> None:
        self._attachments = attachments
        self._marks = marks

    async def attach(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """AttachUserPolicy, AttachRolePolicy, AttachGroupPolicy."""
        name, arn = request[member(kind, "Name")], request["PolicyArn"]
        await self._attachments.attach(caller.account, kind, name, arn)
        return {}

    async def detach(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DetachUserPolicy, DetachRolePolicy, DetachGroupPolicy."""
        name, arn = request[member(kind, "Name")], request["PolicyArn"]
        await self._attachments.detach(caller.account, kind, name, arn)
        return {}

    async def list_attached(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListAttachedUserPolicies, ListAttachedRolePolicies, ListAttachedGroupPolicies."""
        prefix = request.get("PathPrefix", "/")
        arns = await self._attachments.attached(caller.account, kind, request[member(kind, "Name")])
        below = [arn for arn in arns if arn.partition(":policy")[2].startswith(prefix)]
        shown, more = self._marks.few(caller, request, below, lambda arn: arn)
        policies = [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in shown]
        return {"AttachedPolicies": policies, **more}

    async def put(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutUserPolicy, PutRolePolicy, PutGroupPolicy."""
        await self._attachments.put(
            caller.account,
            kind,
            request[member(kind, "Name")],
            policy=request["PolicyName"],
            document=request["PolicyDocument"],
        )
        return {}

    async def get(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetUserPolicy, GetRolePolicy, GetGroupPolicy."""
        owner, name = request[member(kind, "Name")], request["PolicyName"]
        document = (await self._attachments.inline(caller.account, kind, owner)).get(name)
        if document is None:
            raise ApiError("NoSuchEntityException", f"The {kind} policy with name {name} cannot be found.")
        return {member(kind, "Name"): owner, "PolicyName": name, "PolicyDocument": encoded(document)}

    async def delete(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteUserPolicy, DeleteRolePolicy, DeleteGroupPolicy."""
        owner, name = request[member(kind, "Name")], request["PolicyName"]
        await self._attachments.remove(caller.account, kind, owner, name)
        return {}

    async def list(self, kind: str, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListUserPolicies, ListRolePolicies, ListGroupPolicies."""
        names = await self._attachments.inline(caller.account, kind, request[member(kind, "Name")])
        shown, more = self._marks.few(caller, request, list(names), lambda name: name)
        return {"PolicyNames": list(shown), **more}

    async def list_entities(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListEntitiesForPolicy: users, roles and groups that a policy is attached to."""
        rows = await self._attachments.attached_to(
            caller.account,
            request["PolicyArn"],
            after=self._marks.after(caller, request),
            limit=self._marks.limit(request) + 1,
        )
        shown, more = self._marks.cut(caller, request, rows, lambda row: row[0])
        wanted = _FILTERS.get(request.get("EntityFilter", ""))
        found: dict[str, Any] = {"PolicyUsers": [], "PolicyRoles": [], "PolicyGroups": []}
        for identity, kind, name in shown:
            if wanted in {None, kind}:
                entity = {member(kind, "Name"): name, member(kind, "Id"): identity}
                found[f"Policy{member(kind)}s"].append(entity)
        return {**found, **more}
