# SPDX-License-Identifier: Apache-2.0
"""IAM: managed policies and their versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from patchwright.server.accounts import ManagedPolicy, Policies
from patchwright.server.aws.iam.answers import Marks, describe_policy, describe_version, listed_tags
from patchwright.server.aws.members import tags_of
from patchwright.server.aws.services import Services
from patchwright.server.wire import ApiError, Caller, Handler

_VERSION = re.compile(r"v([1-9][0-9]{0,8})(?:\.[0-9.A-Za-z-]+)?\Z", re.ASCII)
_READY, _OWN = "1", "2"  # where a listing is: among the policies of the product, or the account's own


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = PolicyOperations(services.access.policies, Marks(services.pager))
    return {
        "iam.CreatePolicy": own.create_policy,
        "iam.GetPolicy": own.get_policy,
        "iam.ListPolicies": own.list_policies,
        "iam.DeletePolicy": own.delete_policy,
        "iam.CreatePolicyVersion": own.create_policy_version,
        "iam.GetPolicyVersion": own.get_policy_version,
        "iam.ListPolicyVersions": own.list_policy_versions,
        "iam.SetDefaultPolicyVersion": own.set_default_policy_version,
        "iam.DeletePolicyVersion": own.delete_policy_version,
        "iam.TagPolicy": own.tag_policy,
        "iam.UntagPolicy": own.untag_policy,
        "iam.ListPolicyTags": own.list_policy_tags,
    }


class PolicyOperations:
    """One method per operation."""

    def __init__(self, policies: Policies, marks: Marks) -> None:
        self._policies = policies
        self._marks = marks

    async def create_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreatePolicy."""
        tags = tags_of(request)
        made = await self._policies.create(
            caller.account,
            request["PolicyName"],
            request["PolicyDocument"],
            path=request.get("Path", "/"),
            description=request.get("Description", ""),
            tags=tags,
        )
        return {"Policy": describe_policy(made, 0, tags, whole=False)}

    async def get_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetPolicy."""
        return {"Policy": describe_policy(*await self._policies.get(caller.account, request["PolicyArn"]))}

    async def list_policies(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListPolicies: those of the product first, then the account's own, each in order of name."""
        scope, prefix = request.get("Scope", "All"), request.get("PathPrefix", "/")
        place = self._marks.after(caller, request) or _READY
        rows: list[tuple[ManagedPolicy, int]] = []
        if scope != "Local" and place.startswith(_READY):
            ready = await self._policies.ready(caller.account)
            rows += [row for row in ready if row[0].name > place[1:] and row[0].path.startswith(prefix)]
        if scope != "AWS":
            after = place[1:] if place.startswith(_OWN) else ""
            rows += await self._policies.page(
                caller.account, prefix=prefix, after=after, limit=self._marks.limit(request) + 1
            )
        shown, more = self._marks.cut(caller, request, rows, lambda row: _place(row[0]))
        only = request.get("OnlyAttached", False)
        return {"Policies": [describe_policy(*row, whole=False) for row in shown if row[1] or not only], **more}

    async def delete_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeletePolicy."""
        await self._policies.delete(caller.account, request["PolicyArn"])
        return {}

    async def create_policy_version(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreatePolicyVersion."""
        default = request.get("SetAsDefault", False)
        made = await self._policies.add_version(
            caller.account, request["PolicyArn"], request["PolicyDocument"], default=default
        )
        return {"PolicyVersion": describe_version(made, made.number if default else 0)}

    async def get_policy_version(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetPolicyVersion."""
        number = _number(request)
        policy, versions = await self._policies.versions(caller.account, request["PolicyArn"])
        found = next((one for one in versions if one.number == number), None)
        if found is None:
            raise _no_version(request)
        return {"PolicyVersion": describe_version(found, policy.default_version, whole=True)}

    async def list_policy_versions(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListPolicyVersions: the newest first."""
        policy, versions = await self._policies.versions(caller.account, request["PolicyArn"])
        after = self._marks.after(caller, request)
        rows = [one for one in versions if not after or one.number < after]
        shown, more = self._marks.cut(caller, request, rows, lambda row: row.number)
        return {"Versions": [describe_version(one, policy.default_version) for one in shown], **more}

    async def set_default_policy_version(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """SetDefaultPolicyVersion."""
        await self._policies.set_default(caller.account, request["PolicyArn"], _number(request))
        return {}

    async def delete_policy_version(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeletePolicyVersion."""
        await self._policies.delete_version(caller.account, request["PolicyArn"], _number(request))
        return {}

    async def tag_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """TagPolicy."""
        await self._policies.tag(caller.account, request["PolicyArn"], tags_of(request))
        return {}

    async def untag_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UntagPolicy."""
        await self._policies.untag(caller.account, request["PolicyArn"], request["TagKeys"])
        return {}

    async def list_policy_tags(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListPolicyTags."""
        *_, tags = await self._policies.get(caller.account, request["PolicyArn"])
        shown, more = self._marks.few(caller, request, listed_tags(tags), lambda tag: tag["Key"])
        return {"Tags": list(shown), **more}


def _place(policy: ManagedPolicy) -> str:
    return _READY + policy.name if policy.account == "aws" else _OWN + policy.name.lower()


def _number(request: Mapping[str, Any]) -> int:
    found = _VERSION.match(request["VersionId"])
    if found is None:
        raise _no_version(request)
    return int(found[1])


def _no_version(request: Mapping[str, Any]) -> ApiError:
    message = f"Policy {request['PolicyArn']} version {request['VersionId'][:64]} does not exist or is not attachable."
    return ApiError("NoSuchEntityException", message)
