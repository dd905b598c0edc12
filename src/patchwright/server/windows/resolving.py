# SPDX-License-Identifier: Apache-2.0
"""Which nodes a window's targets reach (spec §4.3); units of work."""

from __future__ import annotations

import re
from collections.abc import Sequence

from patchwright.server import commands
from patchwright.server.accounts import Scope
from patchwright.server.commands import Target
from patchwright.server.infra import UnitOfWork
from patchwright.server.windows.model import InvalidWindow, WindowTarget

KEYS = "InstanceIds, tag:KEY or tag-key"
_INSTANCE_ID = re.compile(r"(i-(\w{8}|\w{17})|mi-\w{17})\Z", re.ASCII)  # as the model has it
_GROUP = "resource-groups:Name"
_GROUP_TYPES = "resource-groups:ResourceTypeFilters"
_PLAIN = frozenset({"InstanceIds", "tag-key", _GROUP, _GROUP_TYPES})


def check_registered(targets: Sequence[Target]) -> None:
    """Raise InvalidWindow for targets that no window can have (spec §4.3). A resource group is one: it is stored."""
    if not targets:
        msg = "Targets must name at least one target."
        raise InvalidWindow(msg)
    by_key = {target.key: target.values for target in targets}
    for target in targets:
        if target.key not in _PLAIN and not re.match("tag:.", target.key, re.DOTALL):
            msg = f"{target.key!r} is no target; use {KEYS}, or {_GROUP}."
            raise InvalidWindow(msg)
        check_values(target)
    if len(by_key.get(_GROUP, ("",))) != 1:
        msg = f"{_GROUP} names exactly one resource group."
        raise InvalidWindow(msg)
    if _GROUP_TYPES in by_key and _GROUP not in by_key:
        msg = f"{_GROUP_TYPES} goes with {_GROUP}."
        raise InvalidWindow(msg)


def check_values(target: Target) -> None:
    """Raise InvalidWindow for a target without values, or by the id of what cannot be a node."""
    if not target.values:
        msg = f"The target {target.key!r} names no value."
        raise InvalidWindow(msg)
    wrong = [value for value in target.values if target.key == "InstanceIds" and not _INSTANCE_ID.match(value)]
    if wrong:
        msg = f"{wrong[0][:64]!r} is no id of a managed node."
        raise InvalidWindow(msg)


def matches(scope: Scope, targets: Sequence[Target]) -> UnitOfWork[list[str]]:
    """The managed nodes that match every target, in order of id; a resource group reaches none, since there are none."""
    try:
        return (yield from commands.matching(scope, targets))
    except commands.InvalidTargets:
        return []


def reached_by(scope: Scope, registered: Sequence[WindowTarget]) -> UnitOfWork[set[str]]:
    """The nodes that at least one of the registrations reaches."""
    reached: set[str] = set()
    for target in registered:
        reached.update((yield from matches(scope, target.targets)))
    return reached
