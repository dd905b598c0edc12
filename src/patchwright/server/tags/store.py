# SPDX-License-Identifier: Apache-2.0
"""SQL of the tags room."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork, placeholders, sql, sql_each


def of(scope: Scope, resource_type: str, resource_id: str) -> UnitOfWork[dict[str, str]]:
    """Values by key, in order of key."""
    return (yield from of_each(scope, resource_type, [resource_id]))[resource_id]


def of_each(scope: Scope, resource_type: str, resource_ids: Sequence[str]) -> UnitOfWork[dict[str, dict[str, str]]]:
    """Values by key, by resource."""
    found: dict[str, dict[str, str]] = {resource_id: {} for resource_id in resource_ids}
    if found:
        # Never one alone, though nothing is called '': SQLite would read the tags of all resources, from the index by value.
        rows = yield sql(
            "SELECT resource_id, key, value FROM tag WHERE account = $1 AND region = $2 AND resource_type = $3"
            f" AND resource_id IN ('', {placeholders(4, len(found))}) ORDER BY resource_id, key",
            *scope,
            resource_type,
            *found,
        )
        for resource_id, key, value in rows:
            found[resource_id][key] = value
    return found


def of_all(scope: Scope, resources: Collection[tuple[str, str]]) -> UnitOfWork[dict[tuple[str, str], dict[str, str]]]:
    """Values by key, by type and id of a resource; few of them, in one statement."""
    found: dict[tuple[str, str], dict[str, str]] = {one: {} for one in resources}
    if found:
        kinds = {kind for kind, _ in found}
        rows = yield sql(  # in this order, for the same reason as in `of_each`
            "SELECT resource_type, resource_id, key, value FROM tag WHERE account = $1 AND region = $2"
            f" AND resource_type IN ('', {placeholders(3, len(kinds))})"
            f" AND resource_id IN ('', {placeholders(3 + len(kinds), len(found))})"
            " ORDER BY resource_type, resource_id, key",
            *scope,
            *kinds,
            *(name for _, name in found),
        )
        for kind, name, key, value in rows:
            if (kind, name) in found:  # a document may be called like a node
                found[kind, name][key] = value
    return found


def put(scope: Scope, resource_type: str, resource_id: str, tags: Mapping[str, str]) -> UnitOfWork[None]:
    """Set the values of these keys."""
    if tags:
        yield sql_each(
            "INSERT INTO tag (account, region, resource_type, resource_id, key, value) VALUES ($1, $2, $3, $4, $5, $6)"
            " ON CONFLICT (account, region, resource_type, resource_id, key) DO UPDATE SET value = excluded.value",
            [(*scope, resource_type, resource_id, key, value) for key, value in sorted(tags.items())],
        )


def remove(scope: Scope, resource_type: str, resource_id: str, keys: Sequence[str]) -> UnitOfWork[None]:
    """Remove these keys."""
    if keys:
        yield sql(
            "DELETE FROM tag WHERE account = $1 AND region = $2 AND resource_type = $3 AND resource_id = $4"
            f" AND key IN ({placeholders(5, len(keys))})",
            *scope,
            resource_type,
            resource_id,
            *keys,
        )


def forget(scope: Scope, resource_type: str, resource_id: str) -> UnitOfWork[None]:
    """Remove every tag of one resource."""
    yield sql(
        "DELETE FROM tag WHERE account = $1 AND region = $2 AND resource_type = $3 AND resource_id = $4",
        *scope,
        resource_type,
        resource_id,
    )


def tagged(scope: Scope, resource_type: str, key: str, values: Sequence[str]) -> UnitOfWork[list[str]]:
    """Ids of the resources with this key, and one of these values if any are given."""
    narrowed = f" AND value IN ({placeholders(5, len(values))})" if values else ""
    rows = yield sql(
        "SELECT resource_id FROM tag WHERE account = $1 AND region = $2 AND resource_type = $3 AND key = $4"
        f"{narrowed} ORDER BY resource_id",
        *scope,
        resource_type,
        key,
        *values,
    )
    return [row[0] for row in rows]


def carriers(
    scope: Scope, resource_type: str, keys: Sequence[str], values: Sequence[str], *, after: str, limit: int
) -> UnitOfWork[list[str]]:
    """Up to *limit* ids after *after*, in order, of resources with one of these keys, and one of these values if any are given."""
    narrowed = f" AND value IN ({placeholders(6 + len(keys), len(values))})" if values else ""
    rows = yield sql(
        "SELECT DISTINCT resource_id FROM tag WHERE account = $1 AND region = $2 AND resource_type = $3"
        f" AND resource_id > $4 AND key IN ({placeholders(6, len(keys))}){narrowed} ORDER BY resource_id LIMIT $5",
        *scope,
        resource_type,
        after,
        limit,
        *keys,
        *values,
    )
    return [row[0] for row in rows]


def in_patch_group(
    scope: Scope, group: str, *, resource_type: str, keys: Sequence[str], after: str, limit: int
) -> UnitOfWork[list[str]]:
    """Up to *limit* ids after *after*, in order, of resources where the first of *keys* that has a value has *group*."""
    found: set[str] = set()
    for place, key in enumerate(keys):
        narrowed = ""
        if place:
            narrowed = (
                " AND NOT EXISTS (SELECT 1 FROM tag o WHERE o.account = t.account AND o.region = t.region"
                " AND o.resource_type = t.resource_type AND o.resource_id = t.resource_id"
                f" AND o.key IN ({placeholders(8, place)}) AND o.value <> '')"
            )
        rows = yield sql(
            "SELECT t.resource_id FROM tag t WHERE t.account = $1 AND t.region = $2 AND t.resource_type = $3"
            f" AND t.key = $4 AND t.value = $5 AND t.resource_id > $6{narrowed} ORDER BY t.resource_id LIMIT $7",
            *scope,
            resource_type,
            key,
            group,
            after,
            limit,
            *keys[:place],
        )
        found.update(row[0] for row in rows)
    return sorted(found)[:limit]
