# SPDX-License-Identifier: Apache-2.0
"""SQL of resource policies; rows are id, hash, policy, created_at, modified_at."""

from __future__ import annotations

from patchwright.server.accounts import Scope
from patchwright.server.infra import Row, UnitOfWork, sql

_ROW = "id, hash, policy, created_at, modified_at"
_RESOURCE = "account = $1 AND region = $2 AND resource_type = $3 AND resource_id = $4"


def policies(scope: Scope, resource_type: str, resource_id: str, *, after: str, limit: int) -> UnitOfWork[list[Row]]:
    """Up to *limit* policies whose id comes after *after*, in order of id."""
    return (
        yield sql(
            f"SELECT {_ROW} FROM resource_policy WHERE {_RESOURCE} AND id > $5 ORDER BY id LIMIT $6",
            *scope,
            resource_type,
            resource_id,
            after,
            limit,
        )
    )


def find_policy(scope: Scope, resource_type: str, resource_id: str, policy_id: str) -> UnitOfWork[Row | None]:
    """One policy, or None."""
    rows = yield sql(
        f"SELECT {_ROW} FROM resource_policy WHERE {_RESOURCE} AND id = $5",
        *scope,
        resource_type,
        resource_id,
        policy_id,
    )
    return rows[0] if rows else None


def put_policy(scope: Scope, resource_type: str, resource_id: str, row: Row) -> UnitOfWork[None]:
    """Store a new policy, or a new version of one that is there."""
    yield sql(
        f"INSERT INTO resource_policy (account, region, resource_type, resource_id, {_ROW})"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        " ON CONFLICT (account, region, resource_type, resource_id, id) DO UPDATE SET"
        " hash = excluded.hash, policy = excluded.policy, modified_at = excluded.modified_at",
        *scope,
        resource_type,
        resource_id,
        *row,
    )


def remove_policy(scope: Scope, resource_type: str, resource_id: str, policy_id: str) -> UnitOfWork[None]:
    """Remove one policy."""
    yield sql(
        f"DELETE FROM resource_policy WHERE {_RESOURCE} AND id = $5", *scope, resource_type, resource_id, policy_id
    )


def forget(scope: Scope, resource_type: str, resource_id: str) -> UnitOfWork[None]:
    """Remove every policy of one resource."""
    yield sql(f"DELETE FROM resource_policy WHERE {_RESOURCE}", *scope, resource_type, resource_id)
