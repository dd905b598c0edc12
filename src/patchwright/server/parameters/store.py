# SPDX-License-Identifier: Apache-2.0
"""SQL of the parameters room."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from patchwright.server.accounts import Scope
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql, sql_each
from patchwright.server.parameters.model import Parameter
from patchwright.server.parameters.names import parent_of

_STORED = "version, type, value, sealed, key_id, description, allowed_pattern, tier, policies, data_type, modified_at, modified_by"
_COLUMNS = (
    "p.path, p.name, v.version, v.type, v.value, v.sealed, v.key_id, v.description, v.allowed_pattern, v.tier, v.policies,"
    " v.data_type, v.modified_at, v.modified_by, p.expires_at"
)
_POLICIES = _COLUMNS.split(", ").index("v.policies")
_VERSIONS = (
    f"SELECT {_COLUMNS} FROM parameter p"
    " JOIN parameter_version v ON v.account = p.account AND v.region = p.region AND v.path = p.path"
)
_NEWEST = f"{_VERSIONS} AND v.version = p.version"
_ALIVE = "p.account = $1 AND p.region = $2 AND (p.expires_at IS NULL OR p.expires_at > $3)"


class Span(NamedTuple):
    """Which part of the store a listing can be in: these *paths*, else the children of *parent*, else what begins so."""

    paths: tuple[str, ...] = ()
    parent: str = ""
    prefix: str = ""


def find(scope: Scope, path: str, *, now: float) -> UnitOfWork[Parameter | None]:
    """The newest version of a parameter that has not expired."""
    rows = yield sql(f"{_NEWEST} WHERE {_ALIVE} AND p.path = $4", *scope, now, path)
    return _parameter(rows[0]) if rows else None


def find_version(scope: Scope, path: str, version: int, *, now: float) -> UnitOfWork[Parameter | None]:
    """One version of a parameter."""
    rows = yield sql(f"{_VERSIONS} WHERE {_ALIVE} AND p.path = $4 AND v.version = $5", *scope, now, path, version)
    return _parameter(rows[0]) if rows else None


def labelled_version(scope: Scope, path: str, label: str) -> UnitOfWork[int | None]:
    """The version of a parameter that has *label*."""
    rows = yield sql(
        "SELECT version FROM parameter_label WHERE account = $1 AND region = $2 AND path = $3 AND label = $4",
        *scope,
        path,
        label,
    )
    return rows[0][0] if rows else None


def window(
    scope: Scope, span: Span, *, labels: Sequence[str] = (), after: str, limit: int, now: float
) -> UnitOfWork[list[Parameter]]:
    """
    Newest versions within *span*, in order of path, from behind *after*.

    With *labels*: of those that have a version with one of them, that version (the newest of several).
    """
    given = span.paths or (span.parent or span.prefix or "/",)
    if span.paths:
        where = f"p.path IN ({placeholders(6, len(span.paths))})"
    elif span.parent:
        where = "p.parent = $6"
    else:
        given = (*given, _end(given[0]))
        where = "p.path >= $6 AND p.path < $7"
    version = "p.version"
    if labels:
        version = (
            "(SELECT MAX(l.version) FROM parameter_label l WHERE l.account = p.account AND l.region = p.region"
            f" AND l.path = p.path AND l.label IN ({placeholders(6 + len(given), len(labels))}))"
        )
    # The page first, and the versions of what is on it: however PostgreSQL judges the tables, it reads no more.
    rows = yield sql(
        f"SELECT {_COLUMNS} FROM (SELECT p.account, p.region, p.path, p.name, p.expires_at, {version} AS chosen"
        f" FROM parameter p WHERE {_ALIVE} AND p.path > $4 AND {where}"
        f" AND {version} IS NOT NULL ORDER BY p.path LIMIT $5) p"
        " JOIN parameter_version v ON v.account = p.account AND v.region = p.region AND v.path = p.path"
        " AND v.version = p.chosen ORDER BY p.path",
        *scope,
        now,
        after,
        limit,
        *given,
        *labels,
    )
    return [_parameter(row) for row in rows]


def history(scope: Scope, path: str, *, after: int, limit: int, now: float) -> UnitOfWork[list[Parameter]]:
    """Versions of a parameter, oldest first, from behind version *after*."""
    rows = yield sql(
        f"{_VERSIONS} WHERE {_ALIVE} AND p.path = $4 AND v.version > $5 ORDER BY v.version LIMIT $6",
        *scope,
        now,
        path,
        after,
        limit,
    )
    return [_parameter(row) for row in rows]


def put(scope: Scope, parameter: Parameter) -> UnitOfWork[None]:
    """Store a version, which is the newest from now on."""
    yield sql(
        "INSERT INTO parameter (account, region, path, parent, name, tier, version, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (account, region, path) DO UPDATE SET"
        " tier = excluded.tier, version = excluded.version, expires_at = excluded.expires_at",
        *scope,
        parameter.path,
        parent_of(parameter.path),
        parameter.name,
        parameter.tier,
        parameter.version,
        parameter.expires_at,
    )
    yield sql(
        f"INSERT INTO parameter_version (account, region, path, {_STORED}) VALUES ({placeholders(1, 15)})",
        *scope,
        parameter.path,
        parameter.version,
        parameter.type,
        parameter.value,
        parameter.sealed,
        parameter.key_id,
        parameter.description,
        parameter.allowed_pattern,
        parameter.tier,
        json.dumps(parameter.policies),
        parameter.data_type,
        parameter.modified_at,
        parameter.modified_by,
    )


def delete(scope: Scope, path: str) -> UnitOfWork[bool]:
    """Delete a parameter with its versions and labels; false if there is none."""
    rows = yield sql(
        "DELETE FROM parameter WHERE account = $1 AND region = $2 AND path = $3 RETURNING path", *scope, path
    )
    if rows:
        yield sql("DELETE FROM parameter_version WHERE account = $1 AND region = $2 AND path = $3", *scope, path)
        yield sql("DELETE FROM parameter_label WHERE account = $1 AND region = $2 AND path = $3", *scope, path)
    return bool(rows)


def exists(scope: Scope, path: str) -> UnitOfWork[bool]:
    """Whether there is a parameter, expired or not."""
    rows = yield sql("SELECT path FROM parameter WHERE account = $1 AND region = $2 AND path = $3", *scope, path)
    return bool(rows)


def type_of(scope: Scope, path: str) -> UnitOfWork[str]:
    """The type of a parameter's newest version; empty where there is none."""
    rows = yield sql(
        "SELECT v.type FROM parameter p JOIN parameter_version v ON v.account = p.account AND v.region = p.region"
        " AND v.path = p.path AND v.version = p.version WHERE p.account = $1 AND p.region = $2 AND p.path = $3",
        *scope,
        path,
    )
    return rows[0][0] if rows else ""


def count(scope: Scope, tier: str) -> UnitOfWork[int]:
    """How many parameters of a tier there are."""
    rows = yield sql("SELECT COUNT(*) FROM parameter WHERE account = $1 AND region = $2 AND tier = $3", *scope, tier)
    return int(rows[0][0])


def oldest(scope: Scope, path: str) -> UnitOfWork[tuple[int, int]]:
    """The number of a parameter's oldest version, and how many versions it has."""
    rows = yield sql(
        "SELECT MIN(version), COUNT(*) FROM parameter_version WHERE account = $1 AND region = $2 AND path = $3",
        *scope,
        path,
    )
    return rows[0][0], rows[0][1]


def drop(scope: Scope, path: str, version: int) -> UnitOfWork[None]:
    """Delete one version."""
    yield sql(
        "DELETE FROM parameter_version WHERE account = $1 AND region = $2 AND path = $3 AND version = $4",
        *scope,
        path,
        version,
    )


def labels(scope: Scope, paths: Sequence[str]) -> UnitOfWork[dict[str, dict[str, int]]]:
    """The version of each label, by path, in order of label; every path is there."""
    found: dict[str, dict[str, int]] = {path: {} for path in paths}
    if found:
        rows = yield sql(
            "SELECT path, label, version FROM parameter_label WHERE account = $1 AND region = $2"
            f" AND path IN ({placeholders(3, len(found))}) ORDER BY path, label",
            *scope,
            *found,
        )
        for path, label, version in rows:
            found[path][label] = version
    return found


def put_labels(scope: Scope, path: str, version: int, given: Sequence[str]) -> UnitOfWork[None]:
    """Attach labels to a version, from whatever version they are at."""
    if given:
        yield sql_each(
            "INSERT INTO parameter_label (account, region, path, label, version) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (account, region, path, label) DO UPDATE SET version = excluded.version",
            [(*scope, path, label, version) for label in given],
        )


def remove_labels(scope: Scope, path: str, given: Sequence[str]) -> UnitOfWork[None]:
    """Remove labels of a parameter."""
    if given:
        yield sql(
            "DELETE FROM parameter_label WHERE account = $1 AND region = $2 AND path = $3"
            f" AND label IN ({placeholders(4, len(given))})",
            *scope,
            path,
            *given,
        )


def any_expired(*, now: float) -> UnitOfWork[bool]:
    """Whether the time of any parameter has come."""
    rows = yield sql("SELECT path FROM parameter WHERE expires_at <= $1 LIMIT 1", now)
    return bool(rows)


def expired(*, now: float, limit: int) -> UnitOfWork[list[tuple[Scope, str]]]:
    """Parameters of any account whose time has come, those that expired first."""
    rows = yield sql(
        "SELECT account, region, path FROM parameter WHERE expires_at <= $1 ORDER BY expires_at, account, region, path"
        " LIMIT $2 /* skip locked */",
        now,
        limit,
    )
    return [(Scope(account, region), path) for account, region, path in rows]


def _end(prefix: str) -> str:
    """The first text behind all that begin with *prefix* (ASCII)."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _parameter(row: Row) -> Parameter:
    policies = () if row[_POLICIES] == "[]" else tuple(json.loads(row[_POLICIES]))
    return Parameter(*(*row[:_POLICIES], policies, *row[_POLICIES + 1 :]))
