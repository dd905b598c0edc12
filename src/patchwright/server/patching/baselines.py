# SPDX-License-Identifier: Apache-2.0
"""Use cases of patch baselines and patch groups (spec §1.19, §2.11)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from patchwright.core.system import OperatingSystem
from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.infra import (
    ClientToken,
    Clock,
    Database,
    UnitOfWork,
    new_id,
    once,
    today,
)
from patchwright.server.patching import baseline_store as store
from patchwright.server.patching import predefined
from patchwright.server.patching.model import (
    BaselineInUse,
    Definition,
    GroupMapping,
    GroupTaken,
    Listed,
    MalformedBaselineId,
    PatchBaseline,
    ReadOnlyBaseline,
    Selection,
    Snapshot,
    TooManyBaselines,
    TooManyGroups,
    UnknownBaseline,
)

_BARE = re.compile(r"pb-[0-9a-f]{17}\Z")
_ARN = re.compile(r"arn:aws[a-z-]*:ssm:([a-z0-9-]+):([0-9]{12}):patchbaseline/(pb-[0-9a-f]{17})\Z")

EVERY = Selection()
Cursor: TypeAlias = tuple[float | None, str]  # when an own baseline was made, None for predefined ones; and its id


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
        now = self._clock.now()
        make = partial(
            _create,
            scope,
            definition,
            own_tags=own_tags,
            limit=self._quotas.patch_baselines,
            baseline_id=new_id("pb"),
            now=now,
        )
        return await self._database.write(once, *scope, token, make, now=now)

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

    async def delete(self, scope: Scope, baseline_id: str) -> None:
        """
        Delete a baseline and its tags; one that does not exist is none already. Snapshots and operations keep what they saw.

        Errors: BaselineInUse, ReadOnlyBaseline; UnknownBaseline for the bare id of a predefined one.
        """
        await self._database.write(_delete, scope, baseline_id)

    async def listed(
        self,
        scope: Scope,
        selection: Selection = EVERY,
        *,
        owner: str = "",
        after: Cursor | None = None,
        limit: int = 100,
    ) -> tuple[list[Listed], Cursor | None]:
        """
        A page of the baselines that *selection* shows: the account's own, oldest first, then the predefined ones.

        *owner*, Self or AWS, leaves out the other kind. The second is what the next page comes *after*, None on the last.
        """
        return await self._database.read(_listed, scope, selection, owner=owner, after=after, limit=limit)

    async def register_default(self, scope: Scope, baseline_id: str) -> None:
        """Make a baseline the default of its operating system. Errors: UnknownBaseline, MalformedBaselineId."""
        await self._database.write(_register_default, scope, baseline_id, now=self._clock.now())

    async def default(self, scope: Scope, operating_system: OperatingSystem) -> PatchBaseline:
        """The default of an operating system: the registered one, else the predefined one."""
        return await self._database.read(effective, scope, "", operating_system)

    async def register_group(self, scope: Scope, baseline_id: str, group: str) -> str:
        """
        Make a baseline the one its operating system's nodes in *group* get; returns the baseline's id as the API shows it.

        Errors: UnknownBaseline, MalformedBaselineId, GroupTaken, TooManyGroups.
        """
        limit = self._quotas.patch_groups_per_baseline
        return await self._database.write(
            _register_group, scope, baseline_id, group, limit=limit, now=self._clock.now()
        )

    async def deregister_group(self, scope: Scope, baseline_id: str, group: str) -> str:
        """
        Let a group no longer get a baseline, if it did; returns the baseline's id as the API shows it.

        Errors: UnknownBaseline, MalformedBaselineId.
        """
        return await self._database.write(_deregister_group, scope, baseline_id, group)

    async def mappings(
        self, scope: Scope, selection: Selection = EVERY, *, after: tuple[str, str] = ("", ""), limit: int = 100
    ) -> list[GroupMapping]:
        """Up to *limit* registrations of groups that come after (group, operating system), in that order."""
        return await self._database.read(_mappings, scope, selection, after=after, limit=limit)

    async def for_group(self, scope: Scope, group: str, operating_system: OperatingSystem) -> PatchBaseline:
        """The baseline that a node of *group* gets: the group's, else the default of its operating system."""
        return await self._database.read(effective, scope, group, operating_system)


def effective(scope: Scope, group: str, operating_system: OperatingSystem) -> UnitOfWork[PatchBaseline]:
    """
    The baseline in force for a group (empty: none) and operating system today; a unit of work.

    The group's, else the default that the account registered, else the predefined one (spec §2.11).
    """
    baseline_id = (yield from store.baseline_of_group(scope, group, operating_system)) if group else None
    baseline_id = baseline_id or (yield from store.defaults(scope)).get(operating_system.value)
    found = (yield from _find(scope, baseline_id)) if baseline_id else None
    return found or predefined.default_of(scope.region, operating_system)


def require(scope: Scope, baseline_id: str) -> UnitOfWork[PatchBaseline]:
    """The baseline with this id or ARN; a unit of work. Errors: UnknownBaseline, MalformedBaselineId."""
    found = yield from _find(scope, _bare(scope, baseline_id))
    if found is None:
        raise UnknownBaseline(baseline_id)
    return found


def arn_of(scope: Scope, reference: str) -> str:
    """The ARN of what *reference*, an id or an ARN, names, whether or not it is there."""
    bare = reference.rpartition("/")[2]
    standard = predefined.find(scope.region, bare)
    if standard is not None:
        return standard.id
    return (
        reference
        if reference.startswith("arn:")
        else f"arn:aws:ssm:{scope.region}:{scope.account}:patchbaseline/{bare}"
    )


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
    limit: int,
    baseline_id: str,
    now: float,
) -> UnitOfWork[str]:
    if (yield from store.count(scope)) >= limit:
        msg = f"There are {limit} patch baselines in this account and region, which is all there may be: delete one."
        raise TooManyBaselines(msg)
    yield from store.put(scope, PatchBaseline(baseline_id, 1, definition, now, now))
    if own_tags:
        yield from tags.add(scope, tags.PATCH_BASELINE, baseline_id, own_tags)
    return baseline_id


def _get(scope: Scope, baseline_id: str) -> UnitOfWork[PatchBaseline]:
    baseline = yield from require(scope, baseline_id)
    groups = yield from store.groups(scope, baseline.id)
    return replace(baseline, groups=groups)


def _update(
    scope: Scope, baseline_id: str, change: Callable[[Definition], Definition], *, now: float
) -> UnitOfWork[PatchBaseline]:
    stored = yield from require(scope, baseline_id)
    _check_own(stored, baseline_id)
    changed = change(stored.definition)
    if changed == stored.definition:
        return stored
    new = replace(stored, revision=stored.revision + 1, definition=changed, modified_at=now)
    yield from store.put(scope, new)
    return new


def _delete(scope: Scope, baseline_id: str) -> UnitOfWork[None]:
    try:
        stored = yield from _find(scope, baseline_id)
    except (MalformedBaselineId, UnknownBaseline):
        stored = None  # what cannot be there is not there
    if stored is None:
        return
    _check_own(stored, baseline_id)
    groups = yield from store.groups(scope, stored.id)
    if groups:
        msg = f"Patch baseline {stored.id} is registered for patch groups ({', '.join(groups)}): deregister them first."
        raise BaselineInUse(msg)
    if stored.id in (yield from store.defaults(scope)).values():
        system = stored.definition.baseline.operating_system.value
        msg = f"Patch baseline {stored.id} is the default of {system}: register another default first."
        raise BaselineInUse(msg)
    yield from tags.forget(scope, tags.PATCH_BASELINE, stored.id)
    yield from store.delete(scope, stored.id)


def _check_own(stored: PatchBaseline, asked: str) -> None:
    """Raise unless the account may change it: ReadOnlyBaseline, or UnknownBaseline where it was *asked* for by bare id."""
    if not stored.predefined:
        return
    if asked != stored.id:  # the bare id is none of this account's (spec §1.19)
        raise UnknownBaseline(asked)
    msg = f"{stored.definition.name} is a predefined baseline: create one of your own and change that."
    raise ReadOnlyBaseline(msg)


def _listed(
    scope: Scope, selection: Selection, *, owner: str, after: Cursor | None, limit: int
) -> UnitOfWork[tuple[list[Listed], Cursor | None]]:
    registered = yield from store.defaults(scope)
    moment, last = after or (0.0, "")
    found: list[tuple[Listed, float | None]] = []
    if owner in {"", "Self"} and moment is not None:
        own = yield from store.own(scope, selection, after=(moment, last), limit=limit + 1)
        found += own
    if owner in {"", "AWS"}:
        passed = last if moment is None else ""
        found += [
            (one, None)
            for one in predefined.after(scope.region, passed)
            if selection.shows(one.name, one.operating_system)
        ]
    page = [_marked(one, registered) for one, _ in found[:limit]]
    return page, (found[limit - 1][1], page[-1].id) if len(found) > limit else None


def _marked(one: Listed, registered: Mapping[str, str]) -> Listed:
    """*one*, marked as the default of its operating system if it is that."""
    chosen = registered.get(one.operating_system)
    return one._replace(default=one.default if chosen is None else chosen == one.id)


def _register_default(scope: Scope, baseline_id: str, *, now: float) -> UnitOfWork[None]:
    baseline = yield from require(scope, baseline_id)
    yield from store.put_default(scope, baseline.definition.baseline.operating_system, baseline.id, now=now)


def _deregister_group(scope: Scope, baseline_id: str, group: str) -> UnitOfWork[str]:
    baseline = yield from require(scope, baseline_id)
    yield from store.remove_group(scope, group, baseline.id)
    return baseline.id


def _mappings(
    scope: Scope, selection: Selection, *, after: tuple[str, str], limit: int
) -> UnitOfWork[list[GroupMapping]]:
    registered = yield from store.defaults(scope)
    rows = yield from store.mappings(scope, selection, after=after, limit=limit)
    ids = sorted({baseline_id for _, _, baseline_id in rows})
    known = {one.id: one for one in (*predefined.listed(scope.region), *(yield from store.listed(scope, ids)))}
    return [
        GroupMapping(group, _marked(known.get(baseline_id, Listed(baseline_id, "", "", system)), registered))
        for group, system, baseline_id in rows
    ]


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
