# SPDX-License-Identifier: Apache-2.0
"""Snapshots for those who download them: the baseline of a run, frozen for a node (spec §1.19, design D13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from patchwright.core.system import OperatingSystem, of_platform
from patchwright.server import nodes, tags
from patchwright.server.accounts import Scope
from patchwright.server.infra import Clock, Database, UnitOfWork
from patchwright.server.patching import baseline_store as store
from patchwright.server.patching import baselines, offers, overrides
from patchwright.server.patching.model import Definition, Snapshot, UnsupportedSystem

Override: TypeAlias = Callable[[OperatingSystem], Definition]


class Deployable(NamedTuple):
    """Which snapshot a node may download. *override* is the digest of a baseline given for the run, empty if none was."""

    instance_id: str
    snapshot_id: str
    operating_system: OperatingSystem
    product: str
    patch_group: str
    override: str = ""


class Snapshots:
    """Snapshots of every account."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def deploy(
        self, scope: Scope, instance_id: str, snapshot_id: str, override: Override | None = None
    ) -> Deployable:
        """
        Freeze the baseline that a node gets in the run *snapshot_id*, unless the run has it.

        *override* makes, for the node's operating system, the baseline to use instead; it is kept for three days, and is never
        a baseline of the account. Errors: UnknownNode, UnsupportedSystem, what *override* raises.
        """
        return await self._database.write(
            _deploy, scope, instance_id, snapshot_id, override=override, now=self._clock.now()
        )

    async def content(self, scope: Scope, what: Deployable) -> Snapshot | None:
        """What `deploy` froze, or None where it is no longer there."""
        return await self._database.read(_content, scope, what)


def _deploy(
    scope: Scope, instance_id: str, snapshot_id: str, *, override: Override | None, now: float
) -> UnitOfWork[Deployable]:
    node = yield from nodes.require(scope, instance_id)
    system, product = yield from _system(scope, node)
    group = tags.patch_group((yield from tags.of(scope, tags.MANAGED_INSTANCE, instance_id)))
    if override is None:
        yield from baselines.freeze(scope, group, system, snapshot_id, now=now)
        return Deployable(instance_id, snapshot_id, system, product, group)
    definition = override(system)
    digest = yield from overrides.freeze(scope, snapshot_id, definition, now=now)
    return Deployable(instance_id, snapshot_id, system, product, group, digest)


def _system(scope: Scope, node: nodes.Node) -> UnitOfWork[tuple[OperatingSystem, str]]:
    """Operating system and product of a node: what its facts say, else what its agent says of the machine."""
    offered = yield from offers.of(scope, node.id)
    if offered is not None:
        return OperatingSystem(offered.operating_system), offered.product
    found = of_platform(node.machine.platform_name, node.machine.platform_version)
    if found is None:
        msg = f"No patch baseline can cover the operating system of {node.id} ({node.machine.platform_name or 'unknown'})."
        raise UnsupportedSystem(msg)
    return found.operating_system, found.product


def _content(scope: Scope, what: Deployable) -> UnitOfWork[Snapshot | None]:
    if not what.override:
        return (yield from store.find_snapshot(scope, what.operating_system, what.patch_group, what.snapshot_id))
    kept = yield from store.find_override(scope, what.override)
    return Snapshot(what.snapshot_id, what.patch_group, "", 0, *kept) if kept else None
