# SPDX-License-Identifier: Apache-2.0
"""SQL of resource data syncs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.server.accounts import Scope
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql, sql_each
from patchwright.server.reports.sync_model import IN_PROGRESS, Sync

_SYNC = "account, region, name, id, type, settings, created_at, modified_at, state, message, synced_at, succeeded_at, position"
_FAR_SECONDS = 3600.0  # a lease that ends later than this from now was written by a clock that is wrong (design D9)


def put(sync: Sync, *, due_at: float | None) -> UnitOfWork[bool]:
    """Store a new sync; false if its name is taken."""
    rows = yield sql(
        f"INSERT INTO resource_data_sync ({_SYNC}, due_at, lease_owner, lease_until)"
        f" VALUES ({placeholders(1, 14)}, '', 0.0) ON CONFLICT (account, region, name) DO NOTHING RETURNING id",
        *sync.scope,
        sync.name,
        sync.id,
        sync.type,
        json.dumps(dict(sync.settings)),
        sync.created_at,
        sync.modified_at,
        sync.state,
        sync.message,
        sync.synced_at,
        sync.succeeded_at,
        sync.position,
        due_at,
    )
    return bool(rows)


def find(scope: Scope, name: str) -> UnitOfWork[Sync | None]:
    """The sync with this name, or None."""
    rows = yield sql(
        f"SELECT {_SYNC} FROM resource_data_sync WHERE account = $1 AND region = $2 AND name = $3", *scope, name
    )
    return _sync(rows[0]) if rows else None


def page(scope: Scope, kind: str, *, after: str, limit: int) -> UnitOfWork[list[Sync]]:
    """Up to *limit* syncs of a type (empty: of any), in order of name from behind *after*."""
    rows = yield sql(
        f"SELECT {_SYNC} FROM resource_data_sync WHERE account = $1 AND region = $2 AND name > $3"
        " AND ($4 = '' OR type = $4) ORDER BY name LIMIT $5",
        *scope,
        after,
        kind,
        limit,
    )
    return [_sync(row) for row in rows]


def count(scope: Scope) -> UnitOfWork[int]:
    """How many syncs there are."""
    rows = yield sql("SELECT COUNT(*) FROM resource_data_sync WHERE account = $1 AND region = $2", *scope)
    return int(rows[0][0])


def update(scope: Scope, name: str, settings: Mapping[str, Any], *, now: float) -> UnitOfWork[None]:
    """Give a sync other settings."""
    yield sql(
        "UPDATE resource_data_sync SET settings = $4, modified_at = $5 WHERE account = $1 AND region = $2 AND name = $3",
        *scope,
        name,
        json.dumps(dict(settings)),
        now,
    )


def delete(sync: Sync) -> UnitOfWork[None]:
    """Delete a sync, and what it knows of nodes."""
    yield sql("DELETE FROM resource_data_sync WHERE account = $1 AND region = $2 AND name = $3", *sync.scope, sync.name)
    yield sql(
        "DELETE FROM resource_data_written WHERE account = $1 AND region = $2 AND sync_id = $3", *sync.scope, sync.id
    )


def any_due(*, now: float) -> UnitOfWork[bool]:
    """Whether any sync of any account is due and nobody runs it."""
    rows = yield sql(
        "SELECT id FROM resource_data_sync WHERE due_at <= $1 AND (lease_until <= $1 OR lease_until > $2) LIMIT 1",
        now,
        now + _FAR_SECONDS,
    )
    return bool(rows)


def lease(owner: str, *, now: float, until: float) -> UnitOfWork[Sync | None]:
    """
    Take the sync that has been due for longest, unless another process has it; None: there is none.

    A run begins, or the one goes on that somebody who died had begun.
    """
    rows = yield sql(
        "SELECT account, region, name FROM resource_data_sync"
        " WHERE due_at <= $1 AND (lease_until <= $1 OR lease_until > $2) ORDER BY due_at LIMIT 1 /* skip locked */",
        now,
        now + _FAR_SECONDS,
    )
    if not rows:
        return None
    taken = yield sql(
        "UPDATE resource_data_sync SET lease_owner = $4, lease_until = $5, state = $6, synced_at = $7"
        f" WHERE account = $1 AND region = $2 AND name = $3 RETURNING {_SYNC}",
        *rows[0],
        owner,
        until,
        IN_PROGRESS,
        now,
    )
    return _sync(taken[0])


def advance(sync: Sync, owner: str, position: str, *, until: float) -> UnitOfWork[bool]:
    """Note how far a run has come, and keep the lease; false if somebody else has it, or the sync is gone."""
    rows = yield sql(
        "UPDATE resource_data_sync SET position = $6, lease_until = $7"
        " WHERE account = $1 AND region = $2 AND name = $3 AND id = $4 AND lease_owner = $5 RETURNING id",
        *sync.scope,
        sync.name,
        sync.id,
        owner,
        position,
        until,
    )
    return bool(rows)


def finish(
    sync: Sync, owner: str, *, state: str, message: str, position: str, succeeded_at: float | None, due_at: float
) -> UnitOfWork[bool]:
    """End a run; false if somebody else has the lease."""
    rows = yield sql(
        "UPDATE resource_data_sync SET state = $6, message = $7, position = $8,"
        " succeeded_at = COALESCE(CAST($9 AS DOUBLE PRECISION), succeeded_at), due_at = $10, lease_owner = '',"
        " lease_until = 0.0"
        " WHERE account = $1 AND region = $2 AND name = $3 AND id = $4 AND lease_owner = $5 RETURNING id",
        *sync.scope,
        sync.name,
        sync.id,
        owner,
        state,
        message,
        position,
        succeeded_at,
        due_at,
    )
    return bool(rows)


def written(sync: Sync, instance_ids: Sequence[str]) -> UnitOfWork[dict[str, dict[str, str]]]:
    """What was written of these nodes: fingerprints by type; every node is there."""
    found: dict[str, dict[str, str]] = {instance_id: {} for instance_id in instance_ids}
    if found:
        rows = yield sql(
            "SELECT instance_id, fingerprints FROM resource_data_written"
            f" WHERE account = $1 AND region = $2 AND sync_id = $3 AND instance_id IN ({placeholders(4, len(found))})",
            *sync.scope,
            sync.id,
            *found,
        )
        for instance_id, fingerprints in rows:
            found[instance_id] = json.loads(fingerprints)
    return found


def put_written(sync: Sync, nodes: Mapping[str, Mapping[str, str]]) -> UnitOfWork[None]:
    """Note what was written of these nodes."""
    yield sql_each(
        "INSERT INTO resource_data_written (account, region, sync_id, instance_id, fingerprints) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (account, region, sync_id, instance_id) DO UPDATE SET fingerprints = excluded.fingerprints",
        [
            (*sync.scope, sync.id, node, json.dumps(dict(marks), sort_keys=True))
            for node, marks in sorted(nodes.items())
        ],
    )


def forget_between(sync: Sync, after: str, last: str, kept: Sequence[str]) -> UnitOfWork[None]:
    """Forget nodes behind *after* up to *last* (empty: the end) that are not among *kept*: they are no longer managed."""
    ids = kept or ("",)
    yield sql(
        "DELETE FROM resource_data_written WHERE account = $1 AND region = $2 AND sync_id = $3 AND instance_id > $4"
        f" AND ($5 = '' OR instance_id <= $5) AND instance_id NOT IN ({placeholders(6, len(ids))})",
        *sync.scope,
        sync.id,
        after,
        last,
        *ids,
    )


def _sync(row: Row) -> Sync:
    values = dict(zip(_SYNC.split(", "), row, strict=True))
    scope = Scope(values.pop("account"), values.pop("region"))
    values["settings"] = json.loads(values["settings"])
    return Sync(scope=scope, **values)
