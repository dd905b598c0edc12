# SPDX-License-Identifier: Apache-2.0
"""SQL of calendar feeds."""

from __future__ import annotations

import json

from patchwright.server.accounts import Scope
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql
from patchwright.server.windows.model import Feed

_FEED = "id, name, window_id, tags, days, owner, created_at"


def put(feed: Feed, digest: str) -> UnitOfWork[None]:
    """Store a new feed, whose secret has this SHA-256."""
    yield sql(
        f"INSERT INTO calendar_feed (account, region, {_FEED}, digest) VALUES ({placeholders(1, 10)})",
        *feed.scope,
        feed.id,
        feed.name,
        feed.window_id,
        json.dumps(feed.tags),
        feed.days,
        feed.owner,
        feed.created_at,
        digest,
    )


def count(scope: Scope) -> UnitOfWork[int]:
    """How many feeds there are."""
    rows = yield sql("SELECT COUNT(*) FROM calendar_feed WHERE account = $1 AND region = $2", *scope)
    return int(rows[0][0])


def page(scope: Scope, *, after: str, limit: int) -> UnitOfWork[list[Feed]]:
    """Up to *limit* feeds whose id comes after *after*, in order of id."""
    rows = yield sql(
        f"SELECT account, region, {_FEED} FROM calendar_feed"
        " WHERE account = $1 AND region = $2 AND id > $3 ORDER BY id LIMIT $4",
        *scope,
        after,
        limit,
    )
    return [_feed(row) for row in rows]


def by_digest(digest: str) -> UnitOfWork[Feed | None]:
    """The feed whose secret has this SHA-256, or None."""
    rows = yield sql(f"SELECT account, region, {_FEED} FROM calendar_feed WHERE digest = $1", digest)
    return _feed(rows[0]) if rows else None


def remove(scope: Scope, feed_id: str) -> UnitOfWork[bool]:
    """Remove a feed; false if there is none."""
    rows = yield sql(
        "DELETE FROM calendar_feed WHERE account = $1 AND region = $2 AND id = $3 RETURNING id", *scope, feed_id
    )
    return bool(rows)


def _feed(row: Row) -> Feed:
    account, region, feed_id, name, window_id, labels, days, owner, created_at = row
    wanted = tuple((key, value) for key, value in json.loads(labels))
    return Feed(Scope(account, region), feed_id, name, window_id, wanted, days, owner, created_at)
