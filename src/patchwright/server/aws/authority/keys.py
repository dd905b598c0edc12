# SPDX-License-Identifier: Apache-2.0
"""The condition keys of a request and of its resources."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from patchwright.server import documents, tags
from patchwright.server.accounts import Authority, Scope, find_identity, policy
from patchwright.server.aws.authority.identities import GROUP, ROLE, USER
from patchwright.server.aws.authority.rules import NO_KEYS, Demand, Keys
from patchwright.server.aws.authority.systems import DOCUMENT_PARAMETER
from patchwright.server.documents import DocumentsError
from patchwright.server.infra import UnitOfWork

_IDENTITIES = frozenset({USER, ROLE, GROUP})
_RESOURCE_TAG, _OF_DOCUMENT = "resourcetag/", DOCUMENT_PARAMETER.lower()


class Late(Mapping[str, Sequence[str]]):
    """Condition keys that are put together when a policy first asks for one: most ask for none."""

    def __init__(self, make: Callable[[], Keys]) -> None:
        self._make = make
        self._made: Keys | None = None

    def _all(self) -> Keys:
        if self._made is None:
            self._made = self._make()
        return self._made

    def __getitem__(self, key: str) -> Sequence[str]:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def of_request(
    authority: Authority,
    scope: Scope,
    *,
    now: float,
    source_ip: str = "",
    secure: bool | None = None,
    more: Keys = NO_KEYS,
) -> policy.Context:
    """The keys that hold for the whole of a request: of who asks, from where and when; and *more*, which it says itself."""
    moment = datetime.fromtimestamp(now, UTC)
    keys: dict[str, Sequence[str]] = {
        "aws:CurrentTime": [moment.strftime("%Y-%m-%dT%H:%M:%SZ")],
        "aws:EpochTime": [str(int(now))],
        "aws:RequestedRegion": [scope.region],
        "aws:ResourceAccount": [scope.account],
        **more,
    }
    if secure is not None:
        keys["aws:SecureTransport"] = ["true" if secure else "false"]
    if source_ip:
        keys["aws:SourceIp"] = [source_ip]
    session = authority.principal.session
    if session is not None:
        issued = datetime.fromtimestamp(session.issued_at, UTC)
        keys["aws:TokenIssueTime"] = [issued.strftime("%Y-%m-%dT%H:%M:%SZ")]
    return authority.context.extended(keys)


def must_look(authority: Authority, demands: Sequence[Demand]) -> bool:
    """Whether anything of the resources has to be read to decide on *demands*."""
    return any(demand.kind in _IDENTITIES for demand in demands) or (
        any(demand.kind for demand in demands) and _asks_of_resources(authority)
    )


def reads_tags(authority: Authority) -> bool:
    """Whether any policy asks for tags of resources."""
    return authority.mentions(_RESOURCE_TAG)


def looked_up(authority: Authority, scope: Scope, demands: Sequence[Demand]) -> UnitOfWork[list[Demand]]:
    """*demands* with what the resources say: their true ARNs, and the keys of their tags; a unit of work that only reads."""
    read = reads_tags(authority)
    kinds = [(demand.kind, demand.name) for demand in demands if demand.kind and demand.kind not in _IDENTITIES]
    labels = (yield from tags.of_all(scope, kinds)) if read and kinds else {}
    found = []
    for demand in demands:
        if demand.kind in _IDENTITIES:
            found.append((yield from _identity(scope.account, demand)))
        elif demand.kind and read:
            more = tag_keys("ssm", labels[demand.kind, demand.name])
            arn, kind, name, action, own = demand
            found.append(Demand(arn, kind, name, action, {**own, **more} if own else more))
        else:
            found.append(demand)
    return found


def defaults(authority: Authority, scope: Scope, reference: str, version: str, given: Keys) -> UnitOfWork[Keys]:
    """
    The keys of a document's parameters: *given* ones, and for the others what the document itself would take.

    Of a document that cannot be read the given ones; it will not be sent either.
    """
    if not authority.mentions(_OF_DOCUMENT):
        return given
    try:
        found = yield from documents.select(scope, reference, version)
    except DocumentsError:
        return given
    preset = {
        DOCUMENT_PARAMETER + one.name: _values(one.type, one.default)
        for one in found.version.reading.parameters
        if one.default is not None
    }
    return {**preset, **given}


def tag_keys(service: str, labels: Mapping[str, str]) -> Keys:
    """The keys of a resource's tags."""
    keys: dict[str, Sequence[str]] = {}
    for key, value in labels.items():
        keys[f"{service}:resourceTag/{key}"] = keys[f"aws:ResourceTag/{key}"] = [value]
    return keys


def _asks_of_resources(authority: Authority) -> bool:
    return reads_tags(authority) or authority.mentions(_OF_DOCUMENT)


def _identity(account: str, demand: Demand) -> UnitOfWork[Demand]:
    found = yield from find_identity(account, demand.kind, demand.name)
    if found is None:
        return demand
    identity, labels = found
    return demand._replace(arn=identity.arn, keys={**demand.keys, **tag_keys("iam", labels)})


def _values(kind: str, default: str) -> Sequence[str]:
    """A default, which is kept as its text, as the values of the key."""
    if kind == "String":
        return [default]
    try:
        values = json.loads(default)
    except ValueError:
        return [default]
    return (
        [one if isinstance(one, str) else json.dumps(one) for one in values] if isinstance(values, list) else [default]
    )
