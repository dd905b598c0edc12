# SPDX-License-Identifier: Apache-2.0
"""Facts say with which sources they were taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_sources"
down_revision = "0001_initial"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _former_facts()
    _facts()


def _former_facts() -> None:
    op.create_table(
        "former_facts",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("sources", TEXT, nullable=False),
        sa.Column("facts_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "instance_id", "sources", name=op.f("pk_former_facts")),
        sqlite_strict=True,
    )


def _facts() -> None:
    op.add_column("facts", sa.Column("sources", TEXT, server_default="", nullable=False))
