# SPDX-License-Identifier: Apache-2.0
"""What is written with every reply is written at the end of its table: fewer and smaller indexes, no random keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021_event_order"
down_revision = "0020_forecast"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()

_EVENT = "account, region, id, sequence, detail_type, subject, resources, detail, at, place"
_HISTORY = "account, region, command_id, instance_id, detail"


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _event()
    op.add_column("invocation", sa.Column("heard", TEXT, server_default="", nullable=False))
    _invocation_event()
    op.drop_table("reply")


def _event() -> None:
    op.drop_index("ix_event_at", table_name="event")
    op.drop_index("ix_event_subject", table_name="event")
    if op.get_bind().dialect.name == "sqlite":  # which drops no constraint of a table
        op.drop_index("ix_event_unnumbered", table_name="event")
        op.rename_table("event", "event_before")
        _create_event()
        op.execute(f"INSERT INTO event ({_EVENT}) SELECT {_EVENT} FROM event_before")
        op.drop_table("event_before")
        op.create_index(
            "ix_event_unnumbered", "event", ["at", "place"], unique=False, sqlite_where=sa.text("sequence IS NULL")
        )
    else:
        op.drop_constraint("uq_event_sequence", "event", type_="unique")
    numbered = sa.text("sequence IS NOT NULL")
    for name, columns, unique in (
        ("uq_event_sequence", ["account", "region", "sequence"], True),
        ("ix_event_subject", ["account", "region", "subject", "sequence"], False),
    ):
        op.create_index(name, "event", columns, unique=unique, sqlite_where=numbered, postgresql_where=numbered)


def _create_event() -> None:
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
        sqlite_strict=True,
    )


def _invocation_event() -> None:
    """Its key is what it says, not a number of its own."""
    op.drop_index("ix_invocation_event_of", table_name="invocation_event")
    op.rename_table("invocation_event", "invocation_event_before")
    if op.get_bind().dialect.name != "sqlite":  # where a key's name is its alone
        op.execute("ALTER TABLE invocation_event_before RENAME CONSTRAINT pk_invocation_event TO pk_before")
    op.create_table(
        "invocation_event",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("command_id", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint(
            "account", "region", "command_id", "instance_id", "detail", name=op.f("pk_invocation_event")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute(
        f"INSERT INTO invocation_event ({_HISTORY}, reason, recorded_at)"
        f" SELECT {_HISTORY}, MIN(reason), MIN(recorded_at) FROM invocation_event_before GROUP BY {_HISTORY}"
    )
    op.drop_table("invocation_event_before")
