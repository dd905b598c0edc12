# SPDX-License-Identifier: Apache-2.0
"""SQL of the inventory room."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from patchwright.core.inventory import Row
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork, placeholders, sql, sql_each
from patchwright.server.inventory.model import CustomType, Deletion, Item, Packed

_CHUNK = 500
_ITEM = "instance_id, type_name, schema_version, capture_time, content_hash, digest, context"
_read_rows = msgspec.json.Decoder(list[dict[str, str]]).decode


def items_of(scope: Scope, instance_id: str) -> UnitOfWork[dict[str, Item]]:
    """What the node reported last, by type, with sizes."""
    columns = ", ".join(f"i.{name}" for name in _ITEM.split(", "))
    rows = yield sql(
        f"SELECT {columns}, c.size FROM inventory_item i JOIN inventory_content c"
        " ON c.account = i.account AND c.region = i.region AND c.digest = i.digest"
        " WHERE i.account = $1 AND i.region = $2 AND i.instance_id = $3",
        *scope,
        instance_id,
    )
    return {row[1]: _item(*row) for row in rows}


def items_of_each(scope: Scope, instance_ids: Sequence[str], types: Iterable[str]) -> UnitOfWork[list[Item]]:
    """What these nodes reported last of these types, without sizes."""
    names = sorted(types)
    found: list[Item] = []
    columns = ", ".join(f"i.{name}" for name in _ITEM.split(", "))
    for start in range(0, len(instance_ids) if names else 0, _CHUNK):
        part = instance_ids[start : start + _CHUNK]
        # Joined, not in an IN list, which a plan that PostgreSQL keeps looks through for every row; and between bounds,
        # since before it has counted its rows it may read them all.
        wanted = "), (".join(f"${5 + number}" for number in range(len(part)))
        rows = yield sql(
            f"WITH wanted (id) AS (VALUES ({wanted})) SELECT {columns} FROM wanted w JOIN inventory_item i"
            " ON i.account = $1 AND i.region = $2 AND i.instance_id = w.id"
            " AND i.instance_id >= $3 AND i.instance_id <= $4"
            f" AND i.type_name IN ({placeholders(5 + len(part), len(names))})",
            *scope,
            min(part),
            max(part),
            *part,
            *names,
        )
        found.extend(_item(*row) for row in rows)
    return found


def bound(scope: Scope, type_name: str, *, after: str, limit: int) -> UnitOfWork[list[tuple[str, str]]]:
    """Node and content of up to *limit* items of a type, in order of node, from the one that follows *after*."""
    rows = yield sql(
        "SELECT instance_id, digest FROM inventory_item WHERE account = $1 AND region = $2 AND type_name = $3"
        " AND instance_id > $4 ORDER BY instance_id LIMIT $5",
        *scope,
        type_name,
        after,
        limit,
    )
    return [(row[0], row[1]) for row in rows]


def put_contents(scope: Scope, contents: Iterable[Packed], *, now: float) -> UnitOfWork[None]:
    """Store contents under their digests; those that are there stay."""
    yield sql_each(
        "INSERT INTO inventory_content (account, region, digest, size, content, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, region, digest) DO NOTHING",
        [(*scope, *content, now) for content in contents],
    )


def put_items(scope: Scope, items: Iterable[Item], *, now: float) -> UnitOfWork[None]:
    """Bind nodes to contents that are there, each in the place of what it had of the type."""
    yield sql_each(
        f"INSERT INTO inventory_item (account, region, {_ITEM}, recorded_at) VALUES ({placeholders(1, 10)})"
        " ON CONFLICT (account, region, instance_id, type_name) DO UPDATE SET"
        " schema_version = excluded.schema_version, capture_time = excluded.capture_time,"
        " content_hash = excluded.content_hash, digest = excluded.digest, context = excluded.context,"
        " recorded_at = excluded.recorded_at",
        [(*scope, *item[:6], json.dumps(dict(item.context), sort_keys=True), now) for item in items],
    )


def drop_unused(scope: Scope, digests: Iterable[str]) -> UnitOfWork[None]:
    """Forget those of these contents that no node is bound to (any more)."""
    yield sql_each(
        "DELETE FROM inventory_content WHERE account = $1 AND region = $2 AND digest = $3 AND NOT EXISTS"
        " (SELECT 1 FROM inventory_item WHERE account = $1 AND region = $2 AND digest = $3)",
        [(*scope, digest) for digest in sorted(set(digests))],
    )


def contents(scope: Scope, digests: Sequence[str]) -> UnitOfWork[dict[str, bytes]]:
    """The compressed rows under these digests; what is gone meanwhile is left out."""
    found: dict[str, bytes] = {}
    for start in range(0, len(digests), _CHUNK):
        part = digests[start : start + _CHUNK]
        rows = yield sql(
            "SELECT digest, content FROM inventory_content WHERE account = $1 AND region = $2"
            f" AND digest IN ({placeholders(3, len(part))})",
            *scope,
            *part,
        )
        found.update((digest, content) for digest, content in rows)
    return found


def unpacked(content: bytes) -> list[Row]:
    """The rows of what `contents` found; takes a while for large ones."""
    return _read_rows(zlib.decompress(content))


def forget(scope: Scope, instance_id: str) -> UnitOfWork[None]:
    """Remove all that a node reported, and the contents that were its own."""
    rows = yield sql(
        "DELETE FROM inventory_item WHERE account = $1 AND region = $2 AND instance_id = $3 RETURNING digest",
        *scope,
        instance_id,
    )
    yield from drop_unused(scope, [row[0] for row in rows])


def custom_types(scope: Scope, type_names: Sequence[str] = ()) -> UnitOfWork[list[CustomType]]:
    """Every version of the custom types with these names, or of all of them; in order of name."""
    narrowed = f" AND type_name IN ({placeholders(3, len(type_names))})" if type_names else ""
    rows = yield sql(
        "SELECT type_name, version, attributes, disabled FROM inventory_type WHERE account = $1 AND region = $2"
        f"{narrowed} ORDER BY type_name, version",
        *scope,
        *type_names,
    )
    return [CustomType(row[0], row[1], tuple(json.loads(row[2])), bool(row[3])) for row in rows]


def put_type(scope: Scope, custom: CustomType) -> UnitOfWork[None]:
    """Store a version of a custom type, or what is new of it."""
    yield sql(
        "INSERT INTO inventory_type (account, region, type_name, version, attributes, disabled)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, region, type_name, version) DO UPDATE SET"
        " attributes = excluded.attributes, disabled = excluded.disabled",
        *scope,
        custom.type_name,
        custom.version,
        json.dumps(custom.attributes),
        int(custom.disabled),
    )


def delete_type(scope: Scope, type_name: str) -> UnitOfWork[None]:
    """Forget every version of a custom type."""
    yield sql(
        "DELETE FROM inventory_type WHERE account = $1 AND region = $2 AND type_name = $3",
        *scope,
        type_name,
    )


def disable_type(scope: Scope, type_name: str) -> UnitOfWork[None]:
    """Take no more data of the versions of a custom type that are known."""
    yield sql(
        "UPDATE inventory_type SET disabled = 1 WHERE account = $1 AND region = $2 AND type_name = $3",
        *scope,
        type_name,
    )


def counts_of(scope: Scope, type_name: str) -> UnitOfWork[dict[str, int]]:
    """How many nodes have an item of the type, by schema version."""
    rows = yield sql(
        "SELECT schema_version, COUNT(*) FROM inventory_item"
        " WHERE account = $1 AND region = $2 AND type_name = $3 GROUP BY schema_version ORDER BY schema_version",
        *scope,
        type_name,
    )
    return dict(rows)


def delete_items(scope: Scope, type_name: str) -> UnitOfWork[None]:
    """Remove every node's item of the type, and the contents that nothing else has."""
    yield sql(
        "DELETE FROM inventory_item WHERE account = $1 AND region = $2 AND type_name = $3",
        *scope,
        type_name,
    )
    yield sql(
        "DELETE FROM inventory_content WHERE account = $1 AND region = $2 AND NOT EXISTS"
        " (SELECT 1 FROM inventory_item i WHERE i.account = $1 AND i.region = $2 AND i.digest = inventory_content.digest)",
        *scope,
    )


def put_deletion(scope: Scope, deletion: Deletion) -> UnitOfWork[None]:
    """Note what was deleted."""
    yield sql(
        "INSERT INTO inventory_deletion (account, region, id, type_name, counts, deleted_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        *scope,
        deletion.id,
        deletion.type_name,
        json.dumps(dict(deletion.counts), sort_keys=True),
        deletion.deleted_at,
    )


def find_deletion(scope: Scope, deletion_id: str) -> UnitOfWork[Deletion | None]:
    """The deletion with this id, or None."""
    rows = yield sql(
        "SELECT id, type_name, counts, deleted_at FROM inventory_deletion"
        " WHERE account = $1 AND region = $2 AND id = $3",
        *scope,
        deletion_id,
    )
    return _deletion(rows[0]) if rows else None


def deletions(scope: Scope, *, before: tuple[float, str] | None, limit: int) -> UnitOfWork[list[Deletion]]:
    """Up to *limit* deletions, the newest first, from the one that follows *before* (its moment and id)."""
    narrowed = " AND (deleted_at < $4 OR (deleted_at = $4 AND id < $5))" if before else ""
    rows = yield sql(
        "SELECT id, type_name, counts, deleted_at FROM inventory_deletion WHERE account = $1 AND region = $2"
        f"{narrowed} ORDER BY deleted_at DESC, id DESC LIMIT $3",
        *scope,
        limit,
        *(before or ()),
    )
    return [_deletion(row) for row in rows]


def _deletion(row: Sequence[Any]) -> Deletion:
    return Deletion(row[0], row[1], json.loads(row[2]), row[3])


def _item(*row: Any) -> Item:
    context: Mapping[str, str] = json.loads(row[6])
    return Item(row[0], row[1], row[2], row[3], row[4], row[5], context, row[7] if len(row) > 7 else 0)
