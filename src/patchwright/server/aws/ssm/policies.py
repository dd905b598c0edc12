# SPDX-License-Identifier: Apache-2.0
"""Resource policies (spec §1.15): kept and listed; who may call what is decided elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from patchwright.server import settings
from patchwright.server.accounts import Scope
from patchwright.server.aws.services import Services
from patchwright.server.infra import UnitOfWork
from patchwright.server.settings import (
    InvalidPolicyParameter,
    PolicyLimit,
    Resource,
    ResourcePolicy,
)
from patchwright.server.wire import ApiError, Caller, Handler, Pager

PAGE = 50
_ARN = re.compile(r"arn:aws[a-z-]*:ssm:([a-z0-9-]+):([0-9]{12}):([a-z]+)/(.+)\Z", re.DOTALL)


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    policies = PolicyOperations(services.settings, services.pager)
    return {
        "AmazonSSM.DeleteResourcePolicy": policies.delete_resource_policy,
        "AmazonSSM.GetResourcePolicies": policies.get_resource_policies,
        "AmazonSSM.PutResourcePolicy": policies.put_resource_policy,
    }


class PolicyOperations:
    """One method per operation."""

    def __init__(self, service: settings.Service, pager: Pager) -> None:
        self._settings = service
        self._pager = pager

    async def put_resource_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutResourcePolicy: with PolicyId and PolicyHash a new version of that policy, else another policy."""
        arn = request["ResourceArn"]
        try:
            stored = await self._settings.put_policy(
                caller.scope,
                arn,
                request["Policy"],
                require=partial(_require, caller.scope, arn),
                policy_id=request.get("PolicyId", ""),
                policy_hash=request.get("PolicyHash", ""),
            )
        except PolicyLimit as error:
            members = {"Limit": error.limit, "LimitType": error.what}
            raise ApiError("ResourcePolicyLimitExceededException", str(error), members=members) from error
        except InvalidPolicyParameter as error:
            raise _invalid(str(error), *error.names) from error
        return {"PolicyId": stored.id, "PolicyHash": stored.hash}

    async def get_resource_policies(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetResourcePolicies, in order of id."""
        arn = request["ResourceArn"]
        limit = request.get("MaxResults", PAGE)
        found = await self._settings.policies(
            caller.scope,
            arn,
            require=partial(_require, caller.scope, arn),
            after=self._pager.cursor(caller, request) or "",
            limit=limit + 1,
        )
        answer: dict[str, Any] = {"Policies": [_describe(one) for one in found[:limit]]}
        if len(found) > limit:
            answer["NextToken"] = self._pager.token(caller, request, found[limit - 1].id)
        return answer

    async def delete_resource_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteResourcePolicy, as the version that PolicyHash names."""
        arn = request["ResourceArn"]
        await self._settings.delete_policy(
            caller.scope,
            arn,
            require=partial(_require, caller.scope, arn),
            policy_id=request["PolicyId"],
            policy_hash=request["PolicyHash"],
        )
        return {}


def _require(scope: Scope, arn: str) -> UnitOfWork[Resource]:
    """What the ARN names, which exists and may carry a policy; raises ApiError."""
    match = _ARN.match(arn)
    if match is None:
        raise _invalid("ResourceArn is no ARN of an OpsItemGroup, a parameter or a document.", "ResourceArn")
    region, account, kind, name = match.groups()
    if kind not in {"opsitemgroup", "parameter", "document"}:
        raise _invalid(
            f"A {kind[:100]} carries no policy; an OpsItemGroup, a parameter or a document does.", "ResourceArn"
        )
    if (region, account) == scope[::-1] and kind == "opsitemgroup" and name == "default":
        return Resource.OPS_ITEM_GROUP
    raise ApiError("ResourceNotFoundException", f"{arn[:300]} could not be found.")
    yield  # a unit of work, as those of resources that are rows


def _invalid(message: str, *names: str) -> ApiError:
    return ApiError("ResourcePolicyInvalidParameterException", message, members={"ParameterNames": list(names)})


def _describe(one: ResourcePolicy) -> dict[str, Any]:
    return {"PolicyId": one.id, "PolicyHash": one.hash, "Policy": one.policy}
