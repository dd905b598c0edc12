# SPDX-License-Identifier: Apache-2.0
"""Resource policies (spec §1.15): kept and listed; who may call what is decided elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.aws.services import Services
from patchwright.server.aws.ssm import resources
from patchwright.server.infra import UnitOfWork, new_uuid
from patchwright.server.tags import InvalidPolicyParameter, PolicyLimit, ResourcePolicy
from patchwright.server.wire import ApiError, Caller, Handler

PAGE = 50
GROUP = "OpsItemGroup"  # of each account and region there is one, and it has one policy
_ARN = re.compile(r"arn:aws[a-z-]*:ssm:([a-z0-9-]+):([0-9]{12}):([a-z]+)/(.+)\Z", re.DOTALL)
_KINDS = {"opsitemgroup": GROUP, "parameter": tags.PARAMETER, "document": "Document"}


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    policies = PolicyOperations(services)
    return {
        "AmazonSSM.DeleteResourcePolicy": policies.delete_resource_policy,
        "AmazonSSM.GetResourcePolicies": policies.get_resource_policies,
        "AmazonSSM.PutResourcePolicy": policies.put_resource_policy,
    }


class PolicyOperations:
    """One method per operation."""

    def __init__(self, services: Services) -> None:
        self._database = services.database
        self._clock = services.clock
        self._pager = services.pager
        self._quotas = services.quotas

    async def put_resource_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutResourcePolicy: with PolicyId and PolicyHash a new version of that policy, else another policy."""
        replaces = (request.get("PolicyId", ""), request.get("PolicyHash", ""))
        try:
            fresh = tags.new_policy(request["Policy"], fresh_id=new_uuid(), salt=new_uuid(), now=self._clock.now())
            stored = await self._database.write(
                _put,
                caller.scope,
                request["ResourceArn"],
                fresh,
                replaces=replaces,
                limit=self._quotas.policies_per_resource,
            )
        except PolicyLimit as error:
            members = {"Limit": error.limit, "LimitType": error.what}
            raise ApiError("ResourcePolicyLimitExceededException", str(error), members=members) from error
        except InvalidPolicyParameter as error:
            raise _invalid(str(error), *error.names) from error
        return {"PolicyId": stored.id, "PolicyHash": stored.hash}

    async def get_resource_policies(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetResourcePolicies, in order of id."""
        limit = request.get("MaxResults", PAGE)
        after = self._pager.cursor(caller, request) or ""
        found = await self._database.read(_list, caller.scope, request["ResourceArn"], after=after, limit=limit + 1)
        answer: dict[str, Any] = {"Policies": [_describe(one) for one in found[:limit]]}
        if len(found) > limit:
            answer["NextToken"] = self._pager.token(caller, request, found[limit - 1].id)
        return answer

    async def delete_resource_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteResourcePolicy, as the version that PolicyHash names."""
        named = (request["PolicyId"], request["PolicyHash"])
        await self._database.write(_delete, caller.scope, request["ResourceArn"], *named)
        return {}


def _put(
    scope: Scope, arn: str, fresh: ResourcePolicy, *, replaces: tuple[str, str], limit: int
) -> UnitOfWork[ResourcePolicy]:
    kind, name = yield from _require(scope, arn)
    most = 1 if kind == GROUP else limit
    return (yield from tags.put_policy(scope, kind, name, fresh, replaces=replaces, limit=most))


def _list(scope: Scope, arn: str, *, after: str, limit: int) -> UnitOfWork[list[ResourcePolicy]]:
    kind, name = yield from _require(scope, arn)
    return (yield from tags.policies(scope, kind, name, after=after, limit=limit))


def _delete(scope: Scope, arn: str, policy_id: str, policy_hash: str) -> UnitOfWork[None]:
    kind, name = yield from _require(scope, arn)
    yield from tags.remove_policy(scope, kind, name, policy_id, policy_hash)


def _require(scope: Scope, arn: str) -> UnitOfWork[tuple[str, str]]:
    """Type and id of what the ARN names, which exists and may carry a policy; raises ApiError."""
    match = _ARN.match(arn)
    kind = _KINDS.get(match.group(3)) if match else None
    if match is None or kind is None:
        message = "ResourceArn is no ARN of an OpsItemGroup, a parameter or a document: nothing else carries a policy."
        raise _invalid(message, "ResourceArn")
    region, account, _, name = match.groups()
    unknown = ApiError("ResourceNotFoundException", f"{arn[:300]} could not be found.")
    if Scope(account, region) != scope or (kind == GROUP and name != "default"):
        raise unknown
    if kind == GROUP:
        return kind, name
    try:
        # In an ARN one slash parts the two, whether or not the parameter's name begins with one (spec §0.4).
        return kind, (yield from resources.require(scope, kind, f"/{name}" if kind == tags.PARAMETER else name))
    except resources.UnknownResource:
        raise unknown from None


def _invalid(message: str, *names: str) -> ApiError:
    return ApiError("ResourcePolicyInvalidParameterException", message, members={"ParameterNames": list(names)})


def _describe(one: ResourcePolicy) -> dict[str, Any]:
    return {"PolicyId": one.id, "PolicyHash": one.hash, "Policy": one.policy}
