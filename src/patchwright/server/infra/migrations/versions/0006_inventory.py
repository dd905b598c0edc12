# SPDX-License-Identifier: Apache-2.0
"""What nodes have: contents, the items that bind nodes to them, custom types, deletions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_inventory"
down_revision = "0005_catalogue"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _inventory_content()
    _inventory_deletion()
    _inventory_item()
    _inventory_type()


def _inventory_content() -> None:
    op.create_table(
        "inventory_content",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("size", WHOLE, nullable=False),
        sa.Column("content", OCTETS, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "digest", name=op.f("pk_inventory_content")),
        sqlite_strict=True,
    )


def _inventory_deletion() -> None:
    op.create_table(
        "inventory_deletion",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("type_name", TEXT, nullable=False),
        sa.Column("counts", TEXT, nullable=False),
        sa.Column("deleted_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_inventory_deletion")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_inventory_deletion_deleted", "inventory_deletion", ["account", "region", "deleted_at", "id"], unique=False
    )


def _inventory_item() -> None:
    op.create_table(
        "inventory_item",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("type_name", TEXT, nullable=False),
        sa.Column("schema_version", TEXT, nullable=False),
        sa.Column("capture_time", TEXT, nullable=False),
        sa.Column("content_hash", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("context", TEXT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "instance_id", "type_name", name=op.f("pk_inventory_item")),
        sqlite_strict=True,
    )
    op.create_index("ix_inventory_item_digest", "inventory_item", ["account", "region", "digest"], unique=False)
    op.create_index(
        "ix_inventory_item_type", "inventory_item", ["account", "region", "type_name", "instance_id"], unique=False
    )


def _inventory_type() -> None:
    op.create_table(
        "inventory_type",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("type_name", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("attributes", TEXT, nullable=False),
        sa.Column("disabled", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "type_name", "version", name=op.f("pk_inventory_type")),
        sqlite_strict=True,
    )
