# SPDX-License-Identifier: Apache-2.0
"""Service settings, resource policies, and where a node's machine stands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_settings"
down_revision = "0002_sources"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _resource_policy()
    _service_setting()
    _node()


def _resource_policy() -> None:
    op.create_table(
        "resource_policy",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("resource_type", TEXT, nullable=False),
        sa.Column("resource_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint(
            "account", "region", "resource_type", "resource_id", "id", name=op.f("pk_resource_policy")
        ),
        sqlite_strict=True,
    )


def _service_setting() -> None:
    op.create_table(
        "service_setting",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("modified_by", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_service_setting")),
        sqlite_strict=True,
    )


def _node() -> None:
    op.add_column("node", sa.Column("source_id", TEXT, server_default="", nullable=False))
    op.add_column("node", sa.Column("source_type", TEXT, server_default="", nullable=False))
    op.add_column("node", sa.Column("source_location", TEXT, server_default="", nullable=False))
    op.add_column("node", sa.Column("availability_zone", TEXT, server_default="", nullable=False))
    op.add_column("node", sa.Column("availability_zone_id", TEXT, server_default="", nullable=False))
