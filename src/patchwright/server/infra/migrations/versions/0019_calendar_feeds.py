# SPDX-License-Identifier: Apache-2.0
"""Links to the calendar of maintenance windows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019_calendar_feeds"
down_revision = "0018_signatures"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _calendar_feed()


def _calendar_feed() -> None:
    op.create_table(
        "calendar_feed",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("window_id", TEXT, nullable=False),
        sa.Column("tags", TEXT, nullable=False),
        sa.Column("days", WHOLE, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_calendar_feed")),
        sa.UniqueConstraint("digest", name="uq_calendar_feed_digest"),
        sqlite_strict=True,
    )
