# SPDX-License-Identifier: Apache-2.0
"""Documents, their versions, who they are shared with, and reviews."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_documents"
down_revision = "0008_windows"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _document()
    _document_review()
    _document_share()
    _document_version()


def _document() -> None:
    op.create_table(
        "document",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("default_version", WHOLE, nullable=False),
        sa.Column("last_version", WHOLE, nullable=False),
        sa.Column("requires", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "default_version >= 1 AND default_version <= last_version", name=op.f("ck_document_versions")
        ),
        sa.PrimaryKeyConstraint("account", "region", "name", name=op.f("pk_document")),
        sqlite_strict=True,
    )


def _document_review() -> None:
    op.create_table(
        "document_review",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("comment", TEXT, nullable=False),
        sa.Column("reviewer", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "name", "version", "number", name=op.f("pk_document_review")),
        sqlite_strict=True,
    )


def _document_share() -> None:
    op.create_table(
        "document_share",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("recipient", TEXT, nullable=False),
        sa.Column("shared_version", TEXT, nullable=False),
        sa.Column("shared_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "shared_version IN ('$DEFAULT', '$LATEST', '$ALL')", name=op.f("ck_document_share_shared_version")
        ),
        sa.PrimaryKeyConstraint("account", "region", "name", "recipient", name=op.f("pk_document_share")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_document_share_recipient", "document_share", ["region", "recipient", "account", "name"], unique=False
    )


def _document_version() -> None:
    op.create_table(
        "document_version",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("version_name", TEXT, nullable=False),
        sa.Column("display_name", TEXT, nullable=False),
        sa.Column("target_type", TEXT, nullable=False),
        sa.Column("format", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("schema_version", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("parameters", TEXT, nullable=False),
        sa.Column("platform_types", TEXT, nullable=False),
        sa.Column("attachments", TEXT, nullable=False),
        sa.Column("author", TEXT, nullable=False),
        sa.Column("review_status", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("format IN ('JSON', 'YAML', 'TEXT')", name=op.f("ck_document_version_format")),
        sa.CheckConstraint(
            "review_status IN ('NOT_REVIEWED', 'PENDING', 'APPROVED', 'REJECTED')",
            name=op.f("ck_document_version_review_status"),
        ),
        sa.PrimaryKeyConstraint("account", "region", "name", "version", name=op.f("pk_document_version")),
        sqlite_strict=True,
    )
    op.create_index(
        "uq_document_version_name",
        "document_version",
        ["account", "region", "name", "version_name"],
        unique=True,
        sqlite_where=sa.text("version_name <> ''"),
        postgresql_where=sa.text("version_name <> ''"),
    )
