# SPDX-License-Identifier: Apache-2.0
"""SQL of the accounts room."""

from __future__ import annotations

from patchwright.server.infra import UnitOfWork, sql


def find_key(key_id: str) -> UnitOfWork[tuple[str, str, bytes] | None]:
    """Account, principal and sealed secret of an active access key, or None."""
    rows = yield sql(
        "SELECT account, principal, sealed_secret FROM access_key WHERE id = $1 AND state = 'Active'", key_id
    )
    return rows[0] if rows else None


def has_keys(account: str) -> UnitOfWork[bool]:
    """Whether the account has any access key."""
    rows = yield sql("SELECT id FROM access_key WHERE account = $1 LIMIT 1", account)
    return bool(rows)


def any_key() -> UnitOfWork[tuple[str, bytes] | None]:
    """Id and sealed secret of some access key, or None where there is none yet."""
    rows = yield sql("SELECT id, sealed_secret FROM access_key ORDER BY id LIMIT 1")
    return (rows[0][0], rows[0][1]) if rows else None


def put_key(account: str, key_id: str, *, principal: str, sealed: bytes, now: float) -> UnitOfWork[bool]:
    """Store a key, or a new secret of one the account has; false, and nothing is stored, if the id is another account's."""
    rows = yield sql(
        "INSERT INTO access_key (account, region, id, principal, sealed_secret, state, created_at)"
        " VALUES ($1, '', $2, $3, $4, 'Active', $5)"
        " ON CONFLICT (id) DO UPDATE SET sealed_secret = excluded.sealed_secret, state = 'Active'"
        " WHERE access_key.account = excluded.account RETURNING id",
        account,
        key_id,
        principal,
        sealed,
        now,
    )
    return bool(rows)
