# SPDX-License-Identifier: Apache-2.0
"""Nodes that sign with keys of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013_node_keys"
down_revision = "0012_events"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _node_key()


def _node_key() -> None:
    op.create_table(
        "node_key",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("public_key", OCTETS, nullable=False),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("next_public_key", OCTETS, nullable=False),
        sa.Column("former_key_id", TEXT, nullable=False),
        sa.Column("fingerprint", TEXT, nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "instance_id", name=op.f("pk_node_key")),
        sa.UniqueConstraint("instance_id", name=op.f("uq_node_key_instance_id")),
        sqlite_strict=True,
    )
