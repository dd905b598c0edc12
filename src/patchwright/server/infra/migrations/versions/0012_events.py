# SPDX-License-Identifier: Apache-2.0
"""Events, subscriptions, and what is sent to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_events"
down_revision = "0011_audit"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _event()
    _event_delivery()
    _event_head()
    _subscription()


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("sequence", WHOLE, nullable=True),
        sa.Column("detail_type", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("resources", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("place", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_event")),
        sa.UniqueConstraint("account", "region", "sequence", name="uq_event_sequence"),
        sqlite_strict=True,
    )
    op.create_index("ix_event_at", "event", ["at"], unique=False)
    op.create_index("ix_event_subject", "event", ["account", "region", "subject", "sequence"], unique=False)
    op.create_index(
        "ix_event_unnumbered",
        "event",
        ["at", "place"],
        unique=False,
        sqlite_where=sa.text("sequence IS NULL"),
        postgresql_where=sa.text("sequence IS NULL"),
    )


def _event_delivery() -> None:
    op.create_table(
        "event_delivery",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("subscription", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("attempts", WHOLE, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("code", WHOLE, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint("kind IN ('Event', 'Notification', 'Call')", name=op.f("ck_event_delivery_kind")),
        sa.CheckConstraint("state IN ('Pending', 'Delivered', 'Dead')", name=op.f("ck_event_delivery_state")),
        sa.PrimaryKeyConstraint("account", "region", "subscription", "id", name=op.f("pk_event_delivery")),
        sqlite_strict=True,
    )
    op.create_index("ix_event_delivery_created", "event_delivery", ["created_at"], unique=False)
    op.create_index(
        "ix_event_delivery_due",
        "event_delivery",
        ["account", "region", "subscription", "due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'Pending'"),
        postgresql_where=sa.text("state = 'Pending'"),
    )
    op.create_index(
        "ix_event_delivery_of",
        "event_delivery",
        ["account", "region", "subscription", "created_at", "id"],
        unique=False,
    )


def _event_head() -> None:
    op.create_table(
        "event_head",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("sequence", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", name=op.f("pk_event_head")),
        sqlite_strict=True,
    )


def _subscription() -> None:
    op.create_table(
        "subscription",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("pattern", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("secret", OCTETS, nullable=False),
        sa.Column("enabled", WHOLE, nullable=False),
        sa.Column("position", WHOLE, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "name", name=op.f("pk_subscription")),
        sqlite_strict=True,
    )
