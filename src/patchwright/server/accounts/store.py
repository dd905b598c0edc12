# SPDX-License-Identifier: Apache-2.0
"""SQL of accounts and access keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from patchwright.server.accounts.model import Account, KeyRecord
from patchwright.server.infra import Row, UnitOfWork, sql, sql_each

_RECORD = "id, account, owner, state, created_at, used_at, used_service, used_region"


def find_key(key_id: str) -> UnitOfWork[tuple[str, str, bytes, str] | None]:
    """Account, principal, sealed secret and owner of an active access key of an active account, or None."""
    rows = yield sql(
        "SELECT k.account, k.principal, k.sealed_secret, k.owner FROM access_key k"
        " LEFT JOIN account a ON a.account = k.account"
        " WHERE k.id = $1 AND k.state = 'Active' AND COALESCE(a.state, 'Active') = 'Active'",
        key_id,
    )
    return rows[0] if rows else None


def has_keys(account: str) -> UnitOfWork[bool]:
    """Whether the account's root has any access key."""
    rows = yield sql("SELECT id FROM access_key WHERE account = $1 AND owner = '' LIMIT 1", account)
    return bool(rows)


def any_key() -> UnitOfWork[tuple[str, bytes] | None]:
    """Id and sealed secret of some access key, or None where there is none yet."""
    rows = yield sql("SELECT id, sealed_secret FROM access_key ORDER BY id LIMIT 1")
    return (rows[0][0], rows[0][1]) if rows else None


def put_key(
    account: str, key_id: str, *, principal: str, sealed: bytes, now: float, owner: str = ""
) -> UnitOfWork[bool]:
    """Store a key, or a new secret of one its owner has; false, and nothing is stored, if the id is somebody else's."""
    rows = yield sql(
        "INSERT INTO access_key (account, region, id, principal, sealed_secret, state, created_at, owner)"
        " VALUES ($1, '', $2, $3, $4, 'Active', $5, $6)"
        " ON CONFLICT (id) DO UPDATE SET sealed_secret = excluded.sealed_secret, state = 'Active'"
        " WHERE access_key.account = excluded.account AND access_key.owner = excluded.owner RETURNING id",
        account,
        key_id,
        principal,
        sealed,
        now,
        owner,
    )
    return bool(rows)


def keys_of(account: str, owner: str) -> UnitOfWork[list[KeyRecord]]:
    """The keys of a user, or of root (empty), in order of id; there are few."""
    rows = yield sql(f"SELECT {_RECORD} FROM access_key WHERE account = $1 AND owner = $2 ORDER BY id", account, owner)
    return [KeyRecord(*row) for row in rows]


def key_record(key_id: str) -> UnitOfWork[KeyRecord | None]:
    """The key with this id, whatever its state and whosever it is, or None."""
    rows = yield sql(f"SELECT {_RECORD} FROM access_key WHERE id = $1", key_id)
    return KeyRecord(*rows[0]) if rows else None


def set_key_state(account: str, owner: str, key_id: str, state: str) -> UnitOfWork[bool]:
    """Set the state of a key; false if its owner has none with this id."""
    rows = yield sql(
        "UPDATE access_key SET state = $4 WHERE account = $1 AND owner = $2 AND id = $3 RETURNING id",
        account,
        owner,
        key_id,
        state,
    )
    return bool(rows)


def remove_key(account: str, owner: str, key_id: str) -> UnitOfWork[bool]:
    """Remove a key; false if its owner has none with this id."""
    rows = yield sql(
        "DELETE FROM access_key WHERE account = $1 AND owner = $2 AND id = $3 RETURNING id", account, owner, key_id
    )
    return bool(rows)


def rename_owner(account: str, owner: str, principal: str) -> UnitOfWork[None]:
    """Let the keys of a user sign under another ARN."""
    yield sql("UPDATE access_key SET principal = $3 WHERE account = $1 AND owner = $2", account, owner, principal)


def note_uses(uses: Iterable[tuple[str, float, str, str]]) -> UnitOfWork[None]:
    """Note when, for which service and in which region keys (by id) were used last; an earlier time changes nothing."""
    yield sql_each(
        "UPDATE access_key SET used_at = $2, used_service = $3, used_region = $4"
        " WHERE id = $1 AND COALESCE(used_at, 0) < $2",
        uses,
    )


# -- accounts


def put_account(account: Account) -> UnitOfWork[bool]:
    """Store a new account; false, and nothing is stored, if there is one with its id."""
    rows = yield sql(
        "INSERT INTO account (account, region, name, state, created_at) VALUES ($1, '', $2, $3, $4)"
        " ON CONFLICT DO NOTHING RETURNING account",
        *account,
    )
    return bool(rows)


def find_account(account: str) -> UnitOfWork[Account | None]:
    """The account with this id, or None."""
    rows: list[Row] = yield sql("SELECT account, name, state, created_at FROM account WHERE account = $1", account)
    return Account(*rows[0]) if rows else None


def set_account_state(account: str, state: str) -> UnitOfWork[Account | None]:
    """Set the state of an account; None if there is none with this id."""
    rows: list[Any] = yield sql(
        "UPDATE account SET state = $2 WHERE account = $1 RETURNING account, name, state, created_at", account, state
    )
    return Account(*rows[0]) if rows else None


def accounts(*, after: str, limit: int) -> UnitOfWork[list[Account]]:
    """Up to *limit* accounts whose id comes after *after*, in order."""
    rows = yield sql(
        "SELECT account, name, state, created_at FROM account WHERE account > $1 ORDER BY account LIMIT $2",
        after,
        limit,
    )
    return [Account(*row) for row in rows]
