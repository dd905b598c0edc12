# SPDX-License-Identifier: Apache-2.0
"""Use cases of patch baselines and patch groups (spec §1.19, §2.11)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from patchwright.core.system import OperatingSystem
from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.infra import (
    ClientToken,
    Clock,
    Database,
    UnitOfWork,
    earlier_result,
    keep_result,
    new_id,
    today,
)
from patchwright.server.patching import baseline_store as store
from patchwright.server.patching import predefined
from patchwright.server.patching.model import (
    Definition,
    GroupTaken,
    Listed,
    MalformedBaselineId,
    PatchBaseline,
    ReadOnlyBaseline,
    Snapshot,
    TooManyBaselines,
    TooManyGroups,
    UnknownBaseline,
)

_BARE = re.compile(r"pb-[0-9a-f]{17}\Z")
_ARN = re.compile(r"arn:aws[a-z-]*:ssm:([a-z0-9-]+):([0-9]{12}):patchbaseline/(pb-[0-9a-f]{17})\Z")


class Baselines:
    """Patch baselines of every account."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas

    async def create(
        self,
        scope: Scope,
        definition: Definition,
        *,
        own_tags: Mapping[str, str],
        token: ClientToken | None = None,
    ) -> str:
        """
        Make a baseline; returns its id. The same request with the same *token* returns the id made before.

        Errors: TokenReused, InvalidTag, TooManyTags, TooManyBaselines.
        """
        return await self._database.write(
            _create,
            scope,
            definition,
            own_tags=own_tags,
            token=token,
            limit=self._quotas.patch_baselines,
            baseline_id=new_id("pb"),
            now=self._clock.now(),
        )

    async def get(self, scope: Scope, baseline_id: str) -> PatchBaseline:
        """The baseline with its groups. Errors: UnknownBaseline, MalformedBaselineId."""
        return await self._database.read(_get, scope, baseline_id)

    async def update(self, scope: Scope, baseline_id: str, change: Callable[[Definition], Definition]) -> PatchBaseline:
        """
        Give a baseline the definition that *change* makes of the one it has; the operating system stays.

        *change* is pure, since it may be called again. A changed definition is a new revision. Snapshots and operations made
        before keep what they saw. The answer is without groups. Errors: what *change* raises; UnknownBaseline, MalformedBaselineId, ReadOnlyBaseline.
        """
        return await self._database.write(_update, scope, baseline_id, change, now=self._clock.now())

    async def listed(self, scope: Scope, *, own: bool = True, standard: bool = True) -> list[Listed]:
        """The account's own baselines, oldest first, then the *standard* (predefined) ones; either kind may be left out."""
        found = await self._database.read(store.own, scope) if own else []
        return [*found, *predefined.listed(scope.region)] if standard else found

    async def register_group(self, scope: Scope, baseline_id: str, group: str) -> str:
        """
        Make a baseline the one its operating system's nodes in *group* get; returns the baseline's id as the API shows it.

        Errors: UnknownBaseline, MalformedBaselineId, GroupTaken, TooManyGroups.
        """
        limit = self._quotas.patch_groups_per_baseline
        return await self._database.write(
            _register_group, scope, baseline_id, group, limit=limit, now=self._clock.now()
        )

    async def for_group(self, scope: Scope, group: str, operating_system: OperatingSystem) -> PatchBaseline:
        """The baseline that a node of *group* gets: the group's, else the default of its operating system."""
        return await self._database.read(effective, scope, group, operating_system)


def effective(scope: Scope, group: str, operating_system: OperatingSystem) -> UnitOfWork[PatchBaseline]:
    """The baseline in force for a group (empty: none) and operating system today (spec §2.11); a unit of work."""
    baseline_id = (yield from store.baseline_of_group(scope, group, operating_system)) if group else None
    found = (yield from _find(scope, baseline_id)) if baseline_id else None
    return found or predefined.default_of(scope.region, operating_system)


def require(scope: Scope, baseline_id: str) -> UnitOfWork[PatchBaseline]:
    """The baseline with this id or ARN; a unit of work. Errors: UnknownBaseline, MalformedBaselineId."""
    found = yield from _find(scope, _bare(scope, baseline_id))
    if found is None:
        raise UnknownBaseline(baseline_id)
    return found


def freeze(
    scope: Scope, group: str, operating_system: OperatingSystem, snapshot_id: str, *, now: float
) -> UnitOfWork[Snapshot]:
    """
    The snapshot of a run, made of today's baseline if this is the first to ask; a unit of work (design D13).

    All nodes of a group and operating system that ask with the same *snapshot_id* get the same rules and the same UTC day.
    """
    found = yield from store.find_snapshot(scope, operating_system, group, snapshot_id)
    if found is not None:
        return found
    baseline = yield from effective(scope, group, operating_system)
    snapshot = Snapshot(snapshot_id, group, baseline.id, baseline.revision, baseline.definition, today(now))
    yield from store.put_snapshot(scope, operating_system, snapshot, now=now)
    return snapshot


def _create(
    scope: Scope,
    definition: Definition,
    *,
    own_tags: Mapping[str, str],
    token: ClientToken | None,
    limit: int,
    baseline_id: str,
    now: float,
) -> UnitOfWork[str]:
    before = yield from earlier_result(*scope, token)
    if before is not None:
        return before
    if (yield from store.count(scope)) >= limit:
        msg = f"There are {limit} patch baselines in this account and region, which is all there may be: delete one."
        raise TooManyBaselines(msg)
    yield from store.put(scope, PatchBaseline(baseline_id, 1, definition, now, now))
    if own_tags:
        yield from tags.add(scope, tags.PATCH_BASELINE, baseline_id, own_tags)
    yield from keep_result(*scope, token, baseline_id, now=now)
    return baseline_id


def _get(scope: Scope, baseline_id: str) -> UnitOfWork[PatchBaseline]:
    baseline = yield from require(scope, baseline_id)
    groups = yield from store.groups(scope, baseline.id)
    return replace(baseline, groups=groups)


def _update(
    scope: Scope, baseline_id: str, change: Callable[[Definition], Definition], *, now: float
) -> UnitOfWork[PatchBaseline]:
    stored = yield from require(scope, baseline_id)
    if stored.predefined:
        if baseline_id != stored.id:  # the bare id is none of this account's (spec §1.19)
            raise UnknownBaseline(baseline_id)
        msg = f"{stored.definition.name} is a predefined baseline: create one of your own and change that."
        raise ReadOnlyBaseline(msg)
    changed = change(stored.definition)
    if changed == stored.definition:
        return stored
    new = replace(stored, revision=stored.revision + 1, definition=changed, modified_at=now)
    yield from store.put(scope, new)
    return new


def _register_group(scope: Scope, baseline_id: str, group: str, *, limit: int, now: float) -> UnitOfWork[str]:
    baseline = yield from require(scope, baseline_id)
    operating_system = baseline.definition.baseline.operating_system
    groups = yield from store.groups(scope, baseline.id)
    if len(groups) >= limit and group not in groups:
        msg = f"A patch baseline can be registered for at most {limit} patch groups."
        raise TooManyGroups(msg)
    if not (yield from store.put_group(scope, group, operating_system, baseline.id, now=now)):
        msg = f"Patch Group baseline already has a baseline registered for OperatingSystem {operating_system.value}."
        raise GroupTaken(msg)
    return baseline.id


def _find(scope: Scope, bare_or_arn: str) -> UnitOfWork[PatchBaseline | None]:
    bare = _bare(scope, bare_or_arn)
    standard = predefined.find(scope.region, bare)
    return standard if standard is not None else (yield from store.find(scope, bare))


def _bare(scope: Scope, baseline_id: str) -> str:
    """The bare id of an id or ARN; an ARN of another account or region is answered like an unknown id."""
    if _BARE.match(baseline_id):
        return baseline_id
    match = _ARN.match(baseline_id)
    if match is None:
        msg = f"{baseline_id} is neither the id nor the ARN of a patch baseline."
        raise MalformedBaselineId(msg)
    region, account, bare = match.groups()
    if region != scope.region or account not in {scope.account, predefined.OWNER}:
        raise UnknownBaseline(baseline_id)
    if (account == predefined.OWNER) != (predefined.find(region, bare) is not None):
        raise UnknownBaseline(baseline_id)
    return bare
