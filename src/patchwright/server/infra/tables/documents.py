# SPDX-License-Identifier: Apache-2.0
"""Tables of the documents room."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, text

from patchwright.server.infra.tables.columns import MOMENT, TEXT, WHOLE, owned

DOCUMENT = owned(
    "document",
    Column("name", TEXT, nullable=False),
    Column("type", TEXT, nullable=False),
    Column("default_version", WHOLE, nullable=False),
    Column("last_version", WHOLE, nullable=False),  # the highest number given so far: none is given twice
    Column("requires", TEXT, nullable=False),  # JSON as given
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "name"),
    CheckConstraint("default_version >= 1 AND default_version <= last_version", name="versions"),
)

DOCUMENT_VERSION = owned(
    "document_version",
    Column("name", TEXT, nullable=False),  # the document's
    Column("version", WHOLE, nullable=False),
    Column("version_name", TEXT, nullable=False),  # empty: none
    Column("display_name", TEXT, nullable=False),
    Column("target_type", TEXT, nullable=False),
    Column("format", TEXT, nullable=False),
    Column("content", TEXT, nullable=False),  # as given
    Column("hash", TEXT, nullable=False),  # SHA-256 of the content, hex
    Column("schema_version", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("parameters", TEXT, nullable=False),  # JSON
    Column("platform_types", TEXT, nullable=False),  # joined by commas
    Column("attachments", TEXT, nullable=False),  # JSON: names and where they were said to be
    Column("author", TEXT, nullable=False),
    Column("review_status", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "name", "version"),
    CheckConstraint("format IN ('JSON', 'YAML', 'TEXT')", name="format"),
    CheckConstraint("review_status IN ('NOT_REVIEWED', 'PENDING', 'APPROVED', 'REJECTED')", name="review_status"),
)
Index(
    "uq_document_version_name",
    DOCUMENT_VERSION.c.account,
    DOCUMENT_VERSION.c.region,
    DOCUMENT_VERSION.c.name,
    DOCUMENT_VERSION.c.version_name,
    unique=True,
    sqlite_where=text("version_name <> ''"),
    postgresql_where=text("version_name <> ''"),
)

DOCUMENT_SHARE = owned(
    "document_share",
    Column("name", TEXT, nullable=False),
    Column("recipient", TEXT, nullable=False),  # an account, or `all`
    Column("shared_version", TEXT, nullable=False),  # $DEFAULT, $LATEST or $ALL
    Column("shared_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "name", "recipient"),
    CheckConstraint("shared_version IN ('$DEFAULT', '$LATEST', '$ALL')", name="shared_version"),
)
Index(
    "ix_document_share_recipient",
    DOCUMENT_SHARE.c.region,
    DOCUMENT_SHARE.c.recipient,
    DOCUMENT_SHARE.c.account,
    DOCUMENT_SHARE.c.name,
)

DOCUMENT_REVIEW = owned(  # what was said about a version, in order
    "document_review",
    Column("name", TEXT, nullable=False),
    Column("version", WHOLE, nullable=False),
    Column("number", WHOLE, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("comment", TEXT, nullable=False),
    Column("reviewer", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("updated_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "name", "version", "number"),
)
