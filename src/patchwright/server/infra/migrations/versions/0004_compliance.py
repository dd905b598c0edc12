# SPDX-License-Identifier: Apache-2.0
"""Compliance by node and type, and the contents that nodes share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_compliance"
down_revision = "0003_settings"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _compliance()
    _compliance_content()


def _compliance() -> None:
    op.create_table(
        "compliance",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("severity", WHOLE, nullable=False),
        sa.Column("execution_id", TEXT, nullable=False),
        sa.Column("execution_type", TEXT, nullable=False),
        sa.Column("executed_at", MOMENT, nullable=False),
        sa.Column("content_hash", TEXT, nullable=False),
        sa.Column("patch_group", TEXT, nullable=False),
        sa.Column("baseline_id", TEXT, nullable=False),
        sa.Column("document_name", TEXT, nullable=False),
        sa.Column("document_version", TEXT, nullable=False),
        sa.Column("operation_id", TEXT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.CheckConstraint("status IN ('COMPLIANT', 'NON_COMPLIANT')", name=op.f("ck_compliance_status")),
        sa.CheckConstraint("severity BETWEEN 0 AND 5", name=op.f("ck_compliance_severity")),
        sa.PrimaryKeyConstraint("account", "region", "instance_id", "type", name=op.f("pk_compliance")),
        sqlite_strict=True,
    )
    op.create_index("ix_compliance_digest", "compliance", ["account", "region", "digest"], unique=False)
    op.create_index(
        "ix_compliance_standing", "compliance", ["account", "region", "type", "status", "severity"], unique=False
    )


def _compliance_content() -> None:
    op.create_table(
        "compliance_content",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("counts", TEXT, nullable=False),
        sa.Column("content", OCTETS, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "digest", name=op.f("pk_compliance_content")),
        sqlite_strict=True,
    )
