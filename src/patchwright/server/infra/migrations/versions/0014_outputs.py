# SPDX-License-Identifier: Apache-2.0
"""What steps have printed: streams, where they are written, and their bytes in pieces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_outputs"
down_revision = "0013_node_keys"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _output()
    _output_piece()


def _output() -> None:
    op.create_table(
        "output",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("command_id", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("step", TEXT, nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("size", WHOLE, nullable=False),
        sa.Column("ended", WHOLE, nullable=False),
        sa.Column("cut", WHOLE, nullable=False),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.Column("heard_at", MOMENT, nullable=False),
        sa.Column("bucket", TEXT, nullable=False),
        sa.Column("bucket_region", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("write_at", MOMENT, nullable=True),
        sa.Column("attempts", WHOLE, nullable=False),
        sa.Column("written_at", MOMENT, nullable=True),
        sa.Column("reason", TEXT, nullable=False),
        sa.CheckConstraint("stream IN ('stdout', 'stderr')", name=op.f("ck_output_stream")),
        sa.PrimaryKeyConstraint(
            "account", "region", "command_id", "instance_id", "step", "stream", name=op.f("pk_output")
        ),
        sqlite_strict=True,
    )
    op.create_index("ix_output_began", "output", ["began_at"], unique=False)
    op.create_index(
        "ix_output_object",
        "output",
        ["account", "bucket", "key"],
        unique=False,
        sqlite_where=sa.text("key != ''"),
        postgresql_where=sa.text("key != ''"),
    )
    op.create_index(
        "ix_output_open",
        "output",
        ["heard_at"],
        unique=False,
        sqlite_where=sa.text("ended = 0"),
        postgresql_where=sa.text("ended = 0"),
    )
    op.create_index(
        "ix_output_write",
        "output",
        ["write_at"],
        unique=False,
        sqlite_where=sa.text("write_at IS NOT NULL"),
        postgresql_where=sa.text("write_at IS NOT NULL"),
    )


def _output_piece() -> None:
    op.create_table(
        "output_piece",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("command_id", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("step", TEXT, nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("position", WHOLE, nullable=False),
        sa.Column("size", WHOLE, nullable=False),
        sa.Column("body", OCTETS, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.PrimaryKeyConstraint(
            "account", "region", "command_id", "instance_id", "step", "stream", "position", name=op.f("pk_output_piece")
        ),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_output_piece_digest",
        "output_piece",
        ["digest"],
        unique=False,
        sqlite_where=sa.text("digest != ''"),
        postgresql_where=sa.text("digest != ''"),
    )
