# SPDX-License-Identifier: Apache-2.0
"""
Which nodes targets reach (spec §5.1, §4.3).

There is no service of resource groups: a group called NAME is the nodes that carry the tag `patchwright:resource-group` with
that value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from patchwright.server import nodes, tags
from patchwright.server.accounts import Scope
from patchwright.server.commands.model import TOGETHER, InvalidTargets, Request, Target
from patchwright.server.infra import UnitOfWork

GROUP_TAG = "patchwright:resource-group"
_IDS, _TAG, _TAG_KEY = "InstanceIds", "tag:", "tag-key"
_GROUP, _GROUP_TYPES = "resource-groups:Name", "resource-groups:ResourceTypeFilters"
_NODE_TYPE = "AWS::SSM::ManagedInstance"
_EVERY = ("*",)

_Window = Callable[[str], UnitOfWork[list[str]]]  # the next ids after one


def by_id(target: Target) -> bool:
    """Whether a target names nodes by their ids; that key may be written in any case."""
    return target.key.lower() == _IDS.lower()


def named_nodes(request: Request) -> list[str]:
    """The nodes that *request* names by their ids."""
    by_target = [one for target in request.targets if by_id(target) for one in target.values if one not in _EVERY]
    return [*request.instance_ids, *dict.fromkeys(by_target)]


def check(targets: Sequence[Target]) -> None:
    """Raise InvalidTargets for a target by something that is not served, or without values."""
    for target in targets:
        if not target.values:
            msg = f"The target {target.key!r} names no value. To reach every node with a tag, use tag-key."
            raise InvalidTargets(msg)
        known = by_id(target) or target.key in {_TAG_KEY, _GROUP, _GROUP_TYPES}
        if not known and not (target.key.startswith(_TAG) and len(target.key) > len(_TAG)):
            msg = (
                f"Targets by {target.key!r} are not served; use InstanceIds, tag:KEY, tag-key or resource-groups:Name."
            )
            raise InvalidTargets(msg)
        if by_id(target) and "*" in target.values and target.values != _EVERY:
            msg = "InstanceIds names nodes, or is * alone."
            raise InvalidTargets(msg)
    keys = {target.key for target in targets}
    if _GROUP_TYPES in keys and _GROUP not in keys:
        msg = f"{_GROUP_TYPES} goes with {_GROUP}."
        raise InvalidTargets(msg)


def window(scope: Scope, targets: Sequence[Target], *, after: str) -> UnitOfWork[tuple[list[str], str | None]]:
    """
    Of the next `TOGETHER` nodes after *after* that one of *targets* reaches, those that all of them reach; a unit of work.

    Values of one target are alternatives. Returns the nodes in order of id, and the last that was looked at, None at the end.
    Errors: InvalidTargets.
    """
    check(targets)
    if any(target.key == _GROUP_TYPES and _NODE_TYPE not in target.values for target in targets):
        return [], None
    candidates = yield from _narrowest(scope, targets)(after)
    last = candidates[-1] if len(candidates) >= TOGETHER else None
    known = yield from nodes.existing(scope, candidates)
    labels = (yield from tags.of_each(scope, tags.MANAGED_INSTANCE, known)) if known else {}
    return [one for one in known if all(_reaches(target, one, labels[one]) for target in targets)], last


def matching(scope: Scope, targets: Sequence[Target]) -> UnitOfWork[list[str]]:
    """
    The managed nodes that match every target (values of one are alternatives), in order of id; a unit of work.

    Errors: InvalidTargets for a target by something that is not served, or without values.
    """
    found: list[str] = []
    after: str | None = "" if targets else None
    while after is not None:
        some, after = yield from window(scope, targets, after=after)
        found += some
    return found


def _narrowest(scope: Scope, targets: Sequence[Target]) -> _Window:
    """Where the nodes come from that are looked at: named ones, else carriers of a tag, else all there are."""
    for target in targets:
        if by_id(target) and target.values != _EVERY:
            return lambda after: _named(target.values, after)
    for target in targets:
        if not by_id(target) and target.key != _GROUP_TYPES:
            keys, values = _tag_of(target)
            return lambda after: tags.carriers(scope, tags.MANAGED_INSTANCE, keys, values, after=after, limit=TOGETHER)
    return lambda after: nodes.ids_after(scope, after=after, limit=TOGETHER)


def _named(values: Sequence[str], after: str) -> UnitOfWork[list[str]]:
    yield from ()
    return [one for one in sorted(set(values)) if one > after][:TOGETHER]


def _tag_of(target: Target) -> tuple[Sequence[str], Sequence[str]]:
    """The keys, of which one is wanted, and the values, of which one is wanted unless there are none."""
    if target.key == _TAG_KEY:
        return target.values, ()
    return (GROUP_TAG if target.key == _GROUP else target.key.removeprefix(_TAG),), target.values


def _reaches(target: Target, instance_id: str, labels: Mapping[str, str]) -> bool:
    if by_id(target):
        return target.values == _EVERY or instance_id in target.values
    if target.key == _GROUP_TYPES:
        return True
    keys, values = _tag_of(target)
    return any(key in labels and (not values or labels[key] in values) for key in keys)
