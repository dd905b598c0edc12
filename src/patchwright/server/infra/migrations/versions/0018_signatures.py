# SPDX-License-Identifier: Apache-2.0
"""Note which signatures have changed something, for all processes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018_signatures"
down_revision = "0017_overrides"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _used_signature()


def _used_signature() -> None:
    op.create_table(
        "used_signature",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("number", TEXT, nullable=False),
        sa.Column("call", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("number", "call", name=op.f("pk_used_signature")),
        sqlite_strict=True,
    )
    op.create_index("ix_used_signature_used_at", "used_signature", ["used_at"], unique=False)
