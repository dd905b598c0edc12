# SPDX-License-Identifier: Apache-2.0
"""Operations say which files were given for them; lists of patches are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017_overrides"
down_revision = "0016_commands"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _override_list()
    _operation()


def _override_list() -> None:
    op.create_table(
        "override_list",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "digest", name=op.f("pk_override_list")),
        sqlite_strict=True,
    )


def _operation() -> None:
    op.add_column("operation", sa.Column("association_id", TEXT, server_default="", nullable=False))
    op.add_column("operation", sa.Column("overrides", TEXT, server_default="", nullable=False))
