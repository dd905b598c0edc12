# SPDX-License-Identifier: Apache-2.0
"""Parameters, and resource data syncs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_parameters"
down_revision = "0006_inventory"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _parameter()
    _parameter_label()
    _parameter_version()
    _resource_data_sync()
    _resource_data_written()


def _parameter() -> None:
    op.create_table(
        "parameter",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("parent", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("tier", TEXT, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("account", "region", "path", name=op.f("pk_parameter")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_parameter_expires",
        "parameter",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index("ix_parameter_parent", "parameter", ["account", "region", "parent", "path"], unique=False)
    op.create_index("ix_parameter_tier", "parameter", ["account", "region", "tier"], unique=False)


def _parameter_label() -> None:
    op.create_table(
        "parameter_label",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "path", "label", name=op.f("pk_parameter_label")),
        sqlite_strict=True,
    )


def _parameter_version() -> None:
    op.create_table(
        "parameter_version",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=True),
        sa.Column("sealed", OCTETS, nullable=True),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("allowed_pattern", TEXT, nullable=False),
        sa.Column("tier", TEXT, nullable=False),
        sa.Column("policies", TEXT, nullable=False),
        sa.Column("data_type", TEXT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("modified_by", TEXT, nullable=False),
        sa.CheckConstraint("(type = 'SecureString') = (sealed IS NOT NULL)", name=op.f("ck_parameter_version_sealed")),
        sa.CheckConstraint("(type = 'SecureString') = (value IS NULL)", name=op.f("ck_parameter_version_plain")),
        sa.PrimaryKeyConstraint("account", "region", "path", "version", name=op.f("pk_parameter_version")),
        sqlite_strict=True,
    )


def _resource_data_sync() -> None:
    op.create_table(
        "resource_data_sync",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("settings", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("synced_at", MOMENT, nullable=True),
        sa.Column("succeeded_at", MOMENT, nullable=True),
        sa.Column("position", TEXT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.Column("lease_owner", TEXT, nullable=False),
        sa.Column("lease_until", MOMENT, nullable=False),
        sa.CheckConstraint(
            "state IN ('', 'InProgress', 'Successful', 'Failed')", name=op.f("ck_resource_data_sync_state")
        ),
        sa.CheckConstraint("type IN ('SyncToDestination', 'SyncFromSource')", name=op.f("ck_resource_data_sync_type")),
        sa.PrimaryKeyConstraint("account", "region", "name", name=op.f("pk_resource_data_sync")),
        sqlite_strict=True,
    )
    op.create_index("ix_resource_data_sync_due", "resource_data_sync", ["due_at"], unique=False)


def _resource_data_written() -> None:
    op.create_table(
        "resource_data_written",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("sync_id", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("fingerprints", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "sync_id", "instance_id", name=op.f("pk_resource_data_written")),
        sqlite_strict=True,
    )
