# SPDX-License-Identifier: Apache-2.0
"""Which process holds the control channel of which node."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015_channels"
down_revision = "0014_outputs"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _channel()


def _channel() -> None:
    op.create_table(
        "channel",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("gateway", TEXT, nullable=False),
        sa.Column("epoch", WHOLE, nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "instance_id", name=op.f("pk_channel")),
        sqlite_strict=True,
    )
    op.create_index("ix_channel_gateway", "channel", ["gateway", "instance_id"], unique=False)
