# SPDX-License-Identifier: Apache-2.0
"""
Feeds: links to the calendar of windows, for programs that cannot sign (docs/adr/0038).

Whoever has the secret of a link may read what its maker may see. The secret is shown once; kept is its SHA-256.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from patchwright.server import tags
from patchwright.server.accounts import Scope, is_active
from patchwright.server.config import Quotas
from patchwright.server.infra import Clock, Database, UnitOfWork, new_id
from patchwright.server.windows import feed_store, store
from patchwright.server.windows.calendar import entries, icalendar
from patchwright.server.windows.model import Feed, TooMany, UnknownFeed, Window
from patchwright.server.windows.service import require

_DAY = 86_400
_BATCH = 200  # windows read at once
_MOST = 2000  # entries of one calendar
_SECRET_BYTES = 32
_LONGEST = 128  # characters of a secret that are looked at


class Feeds:
    """Feeds of every account."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas

    async def create(self, feed: Feed) -> tuple[Feed, str]:
        """Make *feed*, whose id and time are set here; returns it and its secret. Errors: UnknownWindow, TooMany."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        made = replace(feed, id=new_id("cf"), created_at=self._clock.now())
        await self._database.write(_create, made, _digest(secret), limit=self._quotas.calendar_feeds)
        return made, secret

    async def page(self, scope: Scope, *, after: str, limit: int) -> list[Feed]:
        """Up to *limit* feeds whose id comes after *after*, in order of id."""
        return await self._database.read(feed_store.page, scope, after=after, limit=limit)

    async def delete(self, scope: Scope, feed_id: str) -> None:
        """End a feed: its link leads nowhere from now on. Errors: UnknownFeed."""
        await self._database.write(_delete, scope, feed_id)

    async def find(self, secret: str) -> Feed | None:
        """The feed of a secret; None: of no feed, or of an account that is disabled."""
        return None if len(secret) > _LONGEST else await self._database.read(_find, _digest(secret))

    async def calendar(self, feed: Feed) -> bytes:
        """
        What a feed shows: the openings from the beginning of yesterday (UTC) on, so that what is open does not vanish.

        The same all day long, as long as no window changes.
        """
        since = self._clock.now() // _DAY * _DAY - _DAY
        found = await self._database.read(_windows, feed)
        return await asyncio.to_thread(_written, tuple(found), feed.name, since, since + (feed.days + 2) * _DAY)


@lru_cache(maxsize=16)  # written once, however many programs look every few minutes
def _written(windows: tuple[Window, ...], name: str, since: float, until: float) -> bytes:
    return icalendar(entries(windows, after=since - 1e-3, until=until, most=_MOST), name=name).encode()


def _create(feed: Feed, digest: str, *, limit: int) -> UnitOfWork[None]:
    if feed.window_id:
        yield from require(feed.scope, feed.window_id)
    if (yield from feed_store.count(feed.scope)) >= limit:
        msg = f"There may be at most {limit} calendar feeds in this account and region."
        raise TooMany(msg)
    yield from feed_store.put(feed, digest)


def _delete(scope: Scope, feed_id: str) -> UnitOfWork[None]:
    if not (yield from feed_store.remove(scope, feed_id)):
        msg = f"There is no calendar feed {feed_id}."
        raise UnknownFeed(msg)


def _find(digest: str) -> UnitOfWork[Feed | None]:
    found = yield from feed_store.by_digest(digest)
    return found if found is not None and (yield from is_active(found.scope.account)) else None


def _windows(feed: Feed) -> UnitOfWork[list[Window]]:
    if feed.window_id:
        one = yield from store.find(feed.scope, feed.window_id)
        return [] if one is None else (yield from _tagged(feed, [one]))
    found: list[Window] = []
    after = ""
    while batch := (yield from store.page(feed.scope, after=after, limit=_BATCH)):
        found += yield from _tagged(feed, batch)
        after = batch[-1].id
    return found


def _tagged(feed: Feed, windows: Sequence[Window]) -> UnitOfWork[list[Window]]:
    """Those of *windows* that have the feed's tags."""
    if not feed.tags:
        return list(windows)
    own = yield from tags.of_each(feed.scope, tags.MAINTENANCE_WINDOW, [window.id for window in windows])
    return [window for window in windows if set(feed.tags) <= set(own[window.id].items())]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
