# SPDX-License-Identifier: Apache-2.0
"""Stands before every operation: nobody gets through who is not allowed to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import Any

from patchwright.server import tags
from patchwright.server.accounts import (
    NODE_PRINCIPAL,
    ROOT,
    Authorities,
    Authority,
    Principal,
    Scope,
    authority_of,
    policy,
    recall,
    remember,
    root_arn,
    root_of,
)
from patchwright.server.aws.authority import keys, nodes, systems
from patchwright.server.aws.authority.rules import NO_KEYS, NODE, Demand, Keys, Request, Rule, node, whole
from patchwright.server.aws.authority.table import TABLE
from patchwright.server.commands import InvalidOutput, Permitted, Rights
from patchwright.server.commands import Request as Command
from patchwright.server.infra import BucketOwners, Clock, Database, UnitOfWork
from patchwright.server.wire import ApiError, Caller, Handler, access_denied

_SEND, _READ_PARAMETER, _READ_OBJECT = "ssm:SendCommand", "ssm:GetParameters", "s3:GetObject"
_BY_PATH = "AmazonSSM.GetParametersByPath"
_TOGETHER = 2_000  # nodes whose tags are read by one statement


class Warden:
    """
    Decides by the policies of who asks.

    A refused call never reaches its handler. What only the handler finds out (which nodes a target reaches) it asks for by
    `permitted`.
    """

    def __init__(
        self, database: Database, clock: Clock, authorities: Authorities, table: Mapping[str, Rule] = TABLE
    ) -> None:
        self._database = database
        self._clock = clock
        self._authorities = authorities
        self._table = table

    def guarded(self, served: Mapping[str, Handler]) -> dict[str, Handler]:
        """*served*, each handler behind its check."""
        return {target: partial(self._pass, target, handler) for target, handler in served.items()}

    async def admit(self, caller: Caller, action: str) -> None:
        """Raise ApiError unless *caller* may do *action*, one of our own that is no operation, on nothing in particular."""
        authority = await self._of(caller)
        if not authority.unlimited:
            context = keys.of_request(authority, caller.scope, **self._whence(caller), more=NO_KEYS)
            _require(authority, action, whole("patchwright")(caller, {}), context)

    async def may(self, owner: str, scope: Scope, action: str, *, source_ip: str, secure: bool) -> bool:
        """
        Whether the one of whom `owner_of` made *owner* may do *action* now, one that is about nothing in particular.

        For requests that show no key of that one's: they come from *source_ip*, *secure* or not.
        """
        authority = await self._authorities.of(recall(owner) if owner else root_of(scope.account))
        arn = f"arn:aws:patchwright:{scope.region}:{scope.account}:*"
        now = self._clock.now()
        return (
            authority.unlimited
            or authority.decide(
                action, arn, keys.of_request(authority, scope, now=now, source_ip=source_ip, secure=secure)
            ).allowed
        )

    async def permitted(self, caller: Caller, request: Request) -> Permitted | None:
        """Which of the nodes that the targets of a SendCommand reach its caller may send to; None: all of them."""
        authority = await self._of(caller)
        if authority.unlimited:
            return None
        asked = await self._database.read(
            keys.defaults,
            authority,
            caller.scope,
            request["DocumentName"],
            request.get("DocumentVersion", ""),
            systems.command_keys(request),
        )
        context = keys.of_request(authority, caller.scope, **self._whence(caller), more=asked)
        return _permitted(authority, context)

    async def _pass(self, target: str, handler: Handler, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        rule = self._table.get(target)
        if rule is None or not rule.free:
            await self._check(target, rule, caller, request)
        answer = await handler(caller, request)
        return await self._spared(caller, request, answer) if target == _BY_PATH else answer

    async def _check(self, target: str, rule: Rule | None, caller: Caller, request: Request) -> None:
        authority = await self._of(caller)
        if authority.unlimited:
            return
        if rule is None:
            raise access_denied(f"{caller.principal} is not authorized to perform: {target}; it is for root alone.")
        demands = rule.about(caller, request)
        if caller.kind == NODE_PRINCIPAL:
            _as_itself(rule, caller, demands)
            if request.get("WithDecryption"):
                await self._withhold(rule, caller, demands)
        more = NO_KEYS if rule.keys is None else rule.keys(request)
        scope = caller.scope
        if keys.must_look(authority, demands):
            demands, more = await self._database.read(_looked_up, authority, scope, demands, request, more)
        make = partial(keys.of_request, authority, scope, **self._whence(caller), more=more)
        _require(authority, rule.action, demands, keys.Late(make))

    async def _withhold(self, rule: Rule, caller: Caller, demands: Sequence[Demand]) -> None:
        """Raise where a node asks for a secret that is not for nodes."""
        secret = await self._database.read(nodes.withheld, caller.scope, demands)
        if secret is not None:
            raise access_denied(
                f"{caller.principal} is not authorized to perform: {rule.action} on resource: {secret.arn}"
                f" because the secret is not tagged {'='.join(nodes.NODE_ACCESS)}"
            )

    async def _spared(self, caller: Caller, request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        """GetParametersByPath's *answer* without what a statement denies: that the path is allowed does not beat it."""
        authority, rule = await self._of(caller), self._table.get(_BY_PATH)
        found = answer["Parameters"]
        if authority.unlimited or rule is None or not found:
            return answer
        demands: Sequence[Demand] = [systems.parameter(caller.scope, one["ARN"]) for one in found]
        if keys.must_look(authority, demands):
            demands = await self._database.read(keys.looked_up, authority, caller.scope, demands)
        more = NO_KEYS if rule.keys is None else rule.keys(request)
        context = keys.of_request(authority, caller.scope, **self._whence(caller), more=more)
        spared = [
            one
            for one, demand in zip(found, demands, strict=True)
            if not authority.decide(rule.action, demand.arn, _extended(context, demand.keys)).explicit
        ]
        return {**answer, "Parameters": spared}

    def _whence(self, caller: Caller) -> dict[str, Any]:
        """When a call comes, from where, and how."""
        return {"now": self._clock.now(), "source_ip": caller.source_ip, "secure": caller.secure}

    async def _of(self, caller: Caller) -> Authority:
        return await self._authorities.of(caller.identity or _principal(caller))


def owner_of(caller: Caller) -> str:
    """Who asks, as a text with which `rights_of_task` does something in that one's name later; empty: root."""
    principal = caller.identity or _principal(caller)
    return "" if principal.kind == ROOT and principal.session is None else remember(principal)


def rights_of_task(scope: Scope, owner: str, command: Command, now: float) -> UnitOfWork[Permitted | None]:
    """
    Which nodes a window's task may send *command* to: those that its owner could send it to now; None: all of them.

    *owner* is what `owner_of` made. Raises ApiError where the owner may not send the document, or not
    to a node that is named. A unit of work.
    """
    principal = recall(owner) if owner else root_of(scope.account)
    authority = yield from authority_of(principal)
    if authority.unlimited:
        return None
    request = _as_request(command)
    demands = [
        systems.document(scope, command.document_name),
        *(node(scope, one) for one in systems.named_nodes(request)),
    ]
    asked = yield from keys.defaults(
        authority, scope, command.document_name, command.document_version, systems.command_keys(request)
    )
    demands = yield from keys.looked_up(authority, scope, demands)
    context = keys.of_request(authority, scope, now=now, more=asked)
    _require(authority, _SEND, demands, context)
    return _permitted(authority, context)


def rights_of_windows(owners: BucketOwners) -> Rights:
    """`rights_of_task`, which also refuses a command whose outputs would be written to another account's bucket."""

    def rights(scope: Scope, owner: str, command: Command, now: float) -> UnitOfWork[Permitted | None]:
        require_own_bucket(owners, scope, command.output_bucket)
        return (yield from rights_of_task(scope, owner, command, now))

    return rights


def require_own_bucket(owners: BucketOwners, scope: Scope, bucket: str) -> None:
    """Raise InvalidOutput where outputs are to be written to a bucket that is another account's; none is nobody's."""
    if bucket and not owners.has(scope.account, bucket):
        msg = f"Outputs cannot be written there: the bucket {bucket} is not for account {scope.account}."
        raise InvalidOutput(msg)


def may_read_objects(scope: Scope, owner: str, arns: Sequence[str], now: float) -> UnitOfWork[Set[str]]:
    """
    Those of some objects of buckets that the one in whose name a command runs may read: the node reads with that one's rights.

    *owner* is what `owner_of` made. A unit of work.
    """
    authority = yield from authority_of(recall(owner) if owner else root_of(scope.account))
    if authority.unlimited:
        return set(arns)
    context = keys.of_request(authority, scope, now=now)
    return {arn for arn in arns if authority.decide(_READ_OBJECT, arn, context).allowed}


def _as_request(command: Command) -> Request:
    return {
        "InstanceIds": list(command.instance_ids),
        "Targets": [{"Key": target.key, "Values": list(target.values)} for target in command.targets],
        "Parameters": command.parameters,
    }


def _permitted(authority: Authority, context: policy.Context) -> Permitted:
    return Permitted(partial(_permitted_nodes, authority, context), partial(_readable, authority, context))


def _permitted_nodes(
    authority: Authority, context: policy.Context, scope: Scope, ids: Sequence[str]
) -> UnitOfWork[Set[str]]:
    """Those of *ids* that a command may be sent to; a unit of work that only reads."""
    allowed = set()
    labelled = keys.reads_tags(authority)
    for start in range(0, len(ids), _TOGETHER):
        some = ids[start : start + _TOGETHER]
        labels = (yield from tags.of_each(scope, NODE, some)) if labelled else {}
        for one in some:
            asked = context.extended(keys.tag_keys("ssm", labels[one])) if labels else context
            if authority.decide(_SEND, node(scope, one).arn, asked).allowed:
                allowed.add(one)
    return allowed


def _readable(
    authority: Authority, context: policy.Context, scope: Scope, names: Sequence[str]
) -> UnitOfWork[Set[str]]:
    """Those of the parameters called *names* whose values a command may be given; a unit of work that only reads."""
    demands = yield from keys.looked_up(authority, scope, [systems.parameter(scope, one) for one in names])
    return {
        name
        for name, demand in zip(names, demands, strict=True)
        if authority.decide(_READ_PARAMETER, demand.arn, _extended(context, demand.keys)).allowed
    }


def _looked_up(
    authority: Authority, scope: Scope, demands: Sequence[Demand], request: Request, more: Keys
) -> UnitOfWork[tuple[list[Demand], Keys]]:
    found = yield from keys.looked_up(authority, scope, demands)
    if "DocumentName" in request:
        version = request.get("DocumentVersion", "")
        more = yield from keys.defaults(authority, scope, request["DocumentName"], version, more)
    return found, more


def _require(
    authority: Authority, action: str, demands: Sequence[Demand], context: Mapping[str, Sequence[str]]
) -> None:
    """Raise ApiError (AccessDeniedException) unless every demand is allowed."""
    for demand in demands:
        asked = context
        if demand.keys:
            asked = keys.Late(partial(_extended, context, demand.keys))
        wanted = demand.action or action
        verdict = authority.decide(wanted, demand.arn, asked)
        if not verdict.allowed:
            raise _refusal(authority, wanted, demand, verdict.reason)


def _extended(context: Mapping[str, Sequence[str]], more: Keys) -> policy.Context:
    return (context if isinstance(context, policy.Context) else policy.Context(context)).extended(more)


def _refusal(authority: Authority, action: str, demand: Demand, reason: str) -> ApiError:
    return access_denied(
        f"User: {authority.principal.arn} is not authorized to perform: {action} on resource: {demand.arn} {reason}"
    )


def _as_itself(rule: Rule, caller: Caller, demands: Sequence[Demand]) -> None:
    """A node speaks for itself alone, whatever a policy says."""
    for demand in demands:
        if demand.kind == NODE and demand.name != caller.instance_id:
            raise access_denied(
                f"{caller.principal} is not authorized to perform: {rule.action} on resource: {demand.arn}"
                " because a node speaks for itself alone"
            )


def _principal(caller: Caller) -> Principal:
    """Who asks, where the wire says no more than the ARN. A user of whom nothing else is known may do nothing."""
    if caller.kind == NODE_PRINCIPAL:
        return Principal(caller.account, caller.principal, NODE_PRINCIPAL, caller.instance_id or "")
    if caller.principal == root_arn(caller.account):
        return root_of(caller.account)
    return Principal(caller.account, caller.principal, "user", "")
