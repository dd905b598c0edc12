# SPDX-License-Identifier: Apache-2.0
"""IAM: what somebody's policies would say, asked without doing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from patchwright.server.accounts import ROLE, USER, Authority, Principal, authority_of, find_identity
from patchwright.server.aws.iam.answers import Marks
from patchwright.server.aws.services import Services
from patchwright.server.infra import Database, UnitOfWork
from patchwright.server.wire import ApiError, Caller, Handler

_NOT_HERE = ("PolicyInputList", "PermissionsBoundaryPolicyInputList", "PolicyExclusionList", "ResourcePolicy")
_MOST = 1_000  # actions times resources


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = Simulation(services.database, Marks(services.pager))
    return {"iam.SimulatePrincipalPolicy": own.simulate_principal_policy}


class _Asked(NamedTuple):
    number: int
    action: str
    resource: str


class Simulation:
    """One method per operation."""

    def __init__(self, database: Database, marks: Marks) -> None:
        self._database = database
        self._marks = marks

    async def simulate_principal_policy(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """SimulatePrincipalPolicy: of users and roles, with the policies and the boundary that they have now."""
        for name in _NOT_HERE:
            if request.get(name):
                raise ApiError("InvalidInputException", f"{name} is not simulated here.")
        arn = request["PolicySourceArn"]
        authority = await self._database.read(_authority, caller.account, arn)
        if authority is None:
            raise ApiError("NoSuchEntityException", f"The user or role {arn} cannot be found.")
        resources = request.get("ResourceArns") or ["*"]
        pairs = [(action, resource) for action in request["ActionNames"] for resource in resources]
        if len(pairs) > _MOST:
            raise ApiError("InvalidInputException", f"At most {_MOST} actions and resources are simulated together.")
        context = _context(authority, request.get("ContextEntries", ()))
        after = self._marks.after(caller, request) or 0
        rows = [_Asked(number, *pair) for number, pair in enumerate(pairs, start=1) if number > after]
        shown, more = self._marks.cut(caller, request, rows, lambda row: row.number)
        return {"EvaluationResults": [_result(authority, context, row) for row in shown], **more}


def _authority(account: str, arn: str) -> UnitOfWork[Authority | None]:
    kind, _, rest = arn.rpartition(":")[2].partition("/")
    found = (yield from find_identity(account, kind, rest.rpartition("/")[2])) if kind in {USER, ROLE} else None
    if found is None or found[0].arn != arn:
        return None
    identity = found[0]
    return (yield from authority_of(Principal(account, arn, kind, identity.id)))


def _context(authority: Authority, entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[str]]:
    given = {one["ContextKeyName"]: list(one.get("ContextKeyValues", ())) for one in entries if "ContextKeyName" in one}
    return authority.context.extended(given)


def _result(authority: Authority, context: Mapping[str, Sequence[str]], asked: _Asked) -> dict[str, Any]:
    verdict = authority.decide(asked.action, asked.resource, context)
    denied = "explicitDeny" if "explicit deny" in verdict.reason else "implicitDeny"
    return {
        "EvalActionName": asked.action,
        "EvalResourceName": asked.resource,
        "EvalDecision": "allowed" if verdict.allowed else denied,
        "MatchedStatements": [],
        "MissingContextValues": [],
    }
