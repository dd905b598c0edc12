# SPDX-License-Identifier: Apache-2.0
"""The audit trail: entries, what they are found by, and the seals they are under."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_audit"
down_revision = "0010_identities"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _audit_entry()
    _audit_seal()
    _audit_word()


def _audit_entry() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("calls", WHOLE, nullable=False),
        sa.Column("principal", TEXT, nullable=False),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("source_ip", TEXT, nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("resources", TEXT, nullable=False),
        sa.Column("request_id", TEXT, nullable=False),
        sa.Column("result", TEXT, nullable=False),
        sa.Column("mark", OCTETS, nullable=False),
        sa.Column("seal", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "id", name=op.f("pk_audit_entry")),
        sqlite_strict=True,
    )
    op.create_index("ix_audit_entry_seal", "audit_entry", ["seal", "id"], unique=False)


def _audit_seal() -> None:
    op.create_table(
        "audit_seal",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("sealed_at", MOMENT, nullable=False),
        sa.Column("entries", WHOLE, nullable=False),
        sa.Column("previous", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("mark", OCTETS, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_seal")),
        sqlite_strict=True,
    )


def _audit_word() -> None:
    op.create_table(
        "audit_word",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("word", TEXT, nullable=False),
        sa.Column("entry", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account", "word", "entry", name=op.f("pk_audit_word")),
        sqlite_strict=True,
    )
