# SPDX-License-Identifier: Apache-2.0
"""Use cases of resource data syncs (spec §1.14, §7.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.infra import BucketRefused, Buckets, Clock, Database, UnitOfWork, new_uuid
from patchwright.server.reports import sync_store as store
from patchwright.server.reports.sync_model import (
    FAILED,
    FROM_SOURCE,
    NOTHING_TO_SYNC,
    TO_DESTINATION,
    InvalidSync,
    Sync,
    SyncTaken,
    TooManySyncs,
    UnknownSync,
    check,
)


class Syncs:
    """Resource data syncs of every account."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas, buckets: Buckets) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas
        self._buckets = buckets

    async def create(
        self,
        scope: Scope,
        name: str,
        *,
        kind: str,
        destination: Mapping[str, Any] | None,
        source: Mapping[str, Any] | None,
    ) -> None:
        """
        Make a sync; one to a destination begins to write at once, after its bucket was tried.

        Errors: InvalidSync, SyncTaken, TooManySyncs.
        """
        settings = check(kind, destination, source)
        limit, now = self._quotas.resource_data_syncs, self._clock.now()
        sync = Sync(scope, name, new_uuid(), kind, settings, now, now)
        await self._database.read(_has_room, scope, name, limit=limit)
        due_at: float | None = now
        if kind == FROM_SOURCE:
            sync = Sync(scope, name, sync.id, kind, settings, now, now, state=FAILED, message=NOTHING_TO_SYNC)
            due_at = None
        else:
            await self._probe(sync)
        await self._database.write(_create, sync, limit=limit, due_at=due_at)

    async def update(self, scope: Scope, name: str, *, kind: str, source: Mapping[str, Any]) -> None:
        """Give a sync from sources another one. Errors: UnknownSync, InvalidSync."""
        if kind != FROM_SOURCE:
            msg = f"A sync of type {TO_DESTINATION} cannot be updated: delete it, and create it anew."
            raise InvalidSync(msg)
        settings = check(kind, None, source)
        await self._database.write(_update, scope, name, settings, now=self._clock.now())

    async def delete(self, scope: Scope, name: str, *, kind: str | None) -> None:
        """Delete a sync; what it has written stays. Errors: UnknownSync, InvalidSync."""
        _check_kind(kind)
        await self._database.write(_delete, scope, name, kind)

    async def listed(self, scope: Scope, *, kind: str | None, after: str, limit: int) -> tuple[list[Sync], bool]:
        """Up to *limit* syncs of a type, in order of name from behind *after*, and whether there are more. Errors: InvalidSync."""
        _check_kind(kind)
        found = await self._database.read(store.page, scope, kind or "", after=after, limit=limit + 1)
        return found[:limit], len(found) > limit

    async def _probe(self, sync: Sync) -> None:
        try:
            await self._buckets.probe(sync.bucket, sync.prefix)
        except BucketRefused as error:
            msg = f"S3 write failed for bucket {sync.bucket.name}: {error}"
            raise InvalidSync(msg) from error


def _check_kind(kind: str | None) -> None:
    if kind not in {None, TO_DESTINATION, FROM_SOURCE}:
        msg = f"The SyncType is {TO_DESTINATION} or {FROM_SOURCE}."
        raise InvalidSync(msg)


def _has_room(scope: Scope, name: str, *, limit: int) -> UnitOfWork[None]:
    if (yield from store.find(scope, name)) is not None:
        raise SyncTaken(name)
    if (yield from store.count(scope)) >= limit:
        msg = (
            f"There are {limit} resource data syncs in this account and region, which is all there may be: delete one."
        )
        raise TooManySyncs(msg)


def _create(sync: Sync, *, limit: int, due_at: float | None) -> UnitOfWork[None]:
    yield from _has_room(sync.scope, sync.name, limit=limit)
    yield from store.put(sync, due_at=due_at)


def _update(scope: Scope, name: str, settings: Mapping[str, Any], *, now: float) -> UnitOfWork[None]:
    stored = yield from _require(scope, name, FROM_SOURCE)
    if stored.settings["SourceType"] != settings["SourceType"]:
        msg = "The SourceType of a sync cannot be changed: delete it, and create it anew."
        raise InvalidSync(msg)
    yield from store.update(scope, name, settings, now=now)


def _delete(scope: Scope, name: str, kind: str | None) -> UnitOfWork[None]:
    yield from store.delete((yield from _require(scope, name, kind)))


def _require(scope: Scope, name: str, kind: str | None) -> UnitOfWork[Sync]:
    found = yield from store.find(scope, name)
    if found is None or kind not in {None, found.type}:
        raise UnknownSync(name, kind)
    return found
