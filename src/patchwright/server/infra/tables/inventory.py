# SPDX-License-Identifier: Apache-2.0
"""Tables of the inventory room: contents, the items that bind nodes to them, custom types, deletions."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint

from patchwright.server.infra.tables.columns import MOMENT, OCTETS, TEXT, WHOLE, owned

INVENTORY_CONTENT = owned(  # the rows of an item, once for all nodes that have the same
    "inventory_content",
    Column("digest", TEXT, nullable=False),
    Column("size", WHOLE, nullable=False),  # bytes of the canonical form
    Column("content", OCTETS, nullable=False),  # the canonical form, zlib
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "digest"),
)

INVENTORY_ITEM = owned(  # what a node reported last of each type
    "inventory_item",
    Column("instance_id", TEXT, nullable=False),
    Column("type_name", TEXT, nullable=False),
    Column("schema_version", TEXT, nullable=False),
    Column("capture_time", TEXT, nullable=False),  # as the node said it
    Column("content_hash", TEXT, nullable=False),  # the node's, empty: it gave none
    Column("digest", TEXT, nullable=False),
    Column("context", TEXT, nullable=False),  # JSON object
    Column("recorded_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "instance_id", "type_name"),
)
Index(
    "ix_inventory_item_type",
    INVENTORY_ITEM.c.account,
    INVENTORY_ITEM.c.region,
    INVENTORY_ITEM.c.type_name,
    INVENTORY_ITEM.c.instance_id,
)
Index("ix_inventory_item_digest", INVENTORY_ITEM.c.account, INVENTORY_ITEM.c.region, INVENTORY_ITEM.c.digest)

INVENTORY_TYPE = owned(  # a custom type as its data made it
    "inventory_type",
    Column("type_name", TEXT, nullable=False),
    Column("version", TEXT, nullable=False),
    Column("attributes", TEXT, nullable=False),  # JSON list of names
    Column("disabled", WHOLE, nullable=False),  # 1: data of this version is not taken
    PrimaryKeyConstraint("account", "region", "type_name", "version"),
)

INVENTORY_DELETION = owned(
    "inventory_deletion",
    Column("id", TEXT, nullable=False),
    Column("type_name", TEXT, nullable=False),
    Column("counts", TEXT, nullable=False),  # JSON: how many items of each version were deleted
    Column("deleted_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "id"),
)
Index(
    "ix_inventory_deletion_deleted",
    INVENTORY_DELETION.c.account,
    INVENTORY_DELETION.c.region,
    INVENTORY_DELETION.c.deleted_at,
    INVENTORY_DELETION.c.id,
)
