# SPDX-License-Identifier: Apache-2.0
"""SQL of users, roles and groups, who is in which group, and their tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patchwright.server.accounts.identities import Identity
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql, sql_each

_IDENTITY = "account, kind, id, name, path, created_at, description, trust, trust_pins, session_seconds, boundary"
_OF_IDENTITY = (
    "i.account, i.kind, i.id, i.name, i.path, i.created_at, i.description, i.trust, i.trust_pins, i.session_seconds,"
    " i.boundary"
)


def put(identity: Identity) -> UnitOfWork[bool]:
    """Store a new one; false, and nothing is stored, if its name is taken."""
    rows = yield sql(
        f"INSERT INTO identity ({_IDENTITY}, name_key, region) VALUES ({placeholders(1, 12)}, '')"
        " ON CONFLICT DO NOTHING RETURNING id",
        *_row(identity),
        identity.name.lower(),
    )
    return bool(rows)


def change(identity: Identity) -> UnitOfWork[None]:
    """Store one that has changed."""
    yield sql(
        "UPDATE identity SET name = $3, name_key = $4, path = $5, description = $6, trust = $7, trust_pins = $8,"
        " session_seconds = $9, boundary = $10 WHERE account = $1 AND id = $2",
        identity.account,
        identity.id,
        identity.name,
        identity.name.lower(),
        identity.path,
        identity.description,
        identity.trust,
        identity.trust_pins,
        identity.session_seconds,
        identity.boundary,
    )


def remove(account: str, identity_id: str) -> UnitOfWork[None]:
    """Remove one, and its tags. What hangs on it otherwise is gone already."""
    yield sql("DELETE FROM identity_tag WHERE account = $1 AND owner = $2", account, identity_id)
    yield sql("DELETE FROM identity WHERE account = $1 AND id = $2", account, identity_id)


def find(account: str, kind: str, name: str) -> UnitOfWork[Identity | None]:
    """The one of this name, whatever its case, or None."""
    rows = yield sql(
        f"SELECT {_IDENTITY} FROM identity WHERE account = $1 AND kind = $2 AND name_key = $3",
        account,
        kind,
        name.lower(),
    )
    return Identity(*rows[0]) if rows else None


def by_id(account: str, identity_id: str) -> UnitOfWork[Identity | None]:
    """The one with this id, or None."""
    rows = yield sql(f"SELECT {_IDENTITY} FROM identity WHERE account = $1 AND id = $2", account, identity_id)
    return Identity(*rows[0]) if rows else None


def count(account: str, kind: str) -> UnitOfWork[int]:
    """How many of a kind there are."""
    rows = yield sql("SELECT COUNT(*) FROM identity WHERE account = $1 AND kind = $2", account, kind)
    return int(rows[0][0])


def page(account: str, kind: str, *, prefix: str, after: str, limit: int) -> UnitOfWork[list[Identity]]:
    """Up to *limit* whose path begins with *prefix*, and whose name in lower case comes after *after*, in that order."""
    rows = yield sql(
        f"SELECT {_IDENTITY} FROM identity WHERE account = $1 AND kind = $2 AND name_key > $3"
        " AND substr(path, 1, $4) = $5 ORDER BY name_key LIMIT $6",
        account,
        kind,
        after,
        len(prefix),
        prefix,
        limit,
    )
    return [Identity(*row) for row in rows]


def with_boundary(account: str, arn: str) -> UnitOfWork[int]:
    """How many are limited by a policy."""
    rows = yield sql("SELECT COUNT(*) FROM identity WHERE account = $1 AND boundary = $2", account, arn)
    return int(rows[0][0])


# -- groups


def join(account: str, group_id: str, user_id: str) -> UnitOfWork[None]:
    """Put a user into a group; once is enough."""
    yield sql(
        "INSERT INTO group_member (account, region, group_id, user_id) VALUES ($1, '', $2, $3) ON CONFLICT DO NOTHING",
        account,
        group_id,
        user_id,
    )


def leave(account: str, group_id: str, user_id: str) -> UnitOfWork[bool]:
    """Take a user out of a group; false if it was not in it."""
    rows = yield sql(
        "DELETE FROM group_member WHERE account = $1 AND group_id = $2 AND user_id = $3 RETURNING user_id",
        account,
        group_id,
        user_id,
    )
    return bool(rows)


def members(account: str, group_id: str, *, after: str, limit: int) -> UnitOfWork[list[Identity]]:
    """Up to *limit* users of a group, in order of name."""
    rows = yield sql(
        f"SELECT {_OF_IDENTITY} FROM group_member m JOIN identity i ON i.id = m.user_id"
        " WHERE m.account = $1 AND m.group_id = $2 AND i.name_key > $3 ORDER BY i.name_key LIMIT $4",
        account,
        group_id,
        after,
        limit,
    )
    return [Identity(*row) for row in rows]


def groups_of(account: str, user_id: str, *, after: str = "", limit: int = 1000) -> UnitOfWork[list[Identity]]:
    """Up to *limit* groups of a user, in order of name."""
    rows = yield sql(
        f"SELECT {_OF_IDENTITY} FROM group_member m JOIN identity i ON i.id = m.group_id"
        " WHERE m.account = $1 AND m.user_id = $2 AND i.name_key > $3 ORDER BY i.name_key LIMIT $4",
        account,
        user_id,
        after,
        limit,
    )
    return [Identity(*row) for row in rows]


# -- tags


def tags(account: str, owner: str) -> UnitOfWork[dict[str, str]]:
    """Values by key, in order of key."""
    rows = yield sql(
        "SELECT key, value FROM identity_tag WHERE account = $1 AND owner = $2 ORDER BY key", account, owner
    )
    return dict(rows)


def put_tags(account: str, owner: str, given: Mapping[str, str]) -> UnitOfWork[None]:
    """Set the values of these keys."""
    if given:
        yield sql_each(
            "INSERT INTO identity_tag (account, region, owner, key, value) VALUES ($1, '', $2, $3, $4)"
            " ON CONFLICT (account, owner, key) DO UPDATE SET value = excluded.value",
            [(account, owner, key, value) for key, value in sorted(given.items())],
        )


def remove_tags(account: str, owner: str, keys: Sequence[str]) -> UnitOfWork[None]:
    """Remove these keys."""
    if keys:
        yield sql(
            f"DELETE FROM identity_tag WHERE account = $1 AND owner = $2 AND key IN ({placeholders(3, len(keys))})",
            account,
            owner,
            *keys,
        )


def _row(identity: Identity) -> Row:
    return (
        identity.account,
        identity.kind,
        identity.id,
        identity.name,
        identity.path,
        identity.created_at,
        identity.description,
        identity.trust,
        identity.trust_pins,
        identity.session_seconds,
        identity.boundary,
    )
