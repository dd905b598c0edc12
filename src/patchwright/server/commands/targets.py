# SPDX-License-Identifier: Apache-2.0
"""Which nodes targets reach (spec §5.1, §4.3)."""

from __future__ import annotations

from collections.abc import Sequence

from patchwright.server import nodes, tags
from patchwright.server.accounts import Scope
from patchwright.server.commands.model import InvalidTargets, Target
from patchwright.server.infra import UnitOfWork

_FEW = 1000  # nodes that one statement names


def matching(scope: Scope, targets: Sequence[Target]) -> UnitOfWork[list[str]]:
    """
    The managed nodes that match every target (values of one are alternatives), in order of id; a unit of work.

    Errors: InvalidTargets for a target by something that is not served, or without values.
    """
    found: set[str] | None = None
    for target in targets:
        if not target.values:
            msg = f"The target {target.key!r} names no value. To reach every node with a tag, use tag-key."
            raise InvalidTargets(msg)
        one = set((yield from _of(scope, target)))
        found = one if found is None else found & one
    if not found:
        return []
    if len(found) > _FEW:
        return [instance_id for instance_id in (yield from nodes.all_ids(scope)) if instance_id in found]
    return [node.id for node in (yield from nodes.known(scope, sorted(found)))]


def _of(scope: Scope, target: Target) -> UnitOfWork[list[str]]:
    if target.key == "InstanceIds":
        return (yield from nodes.all_ids(scope)) if target.values == ("*",) else list(target.values)
    if target.key.startswith("tag:"):
        key = target.key.removeprefix("tag:")
        return (yield from tags.tagged(scope, tags.MANAGED_INSTANCE, key, target.values))
    if target.key == "tag-key":
        carriers: list[str] = []
        for key in target.values:
            carriers += yield from tags.tagged(scope, tags.MANAGED_INSTANCE, key, ())
        return carriers
    msg = f"Targets by {target.key!r} are not served; use InstanceIds, tag:KEY or tag-key."
    raise InvalidTargets(msg)
