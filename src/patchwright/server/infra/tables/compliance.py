# SPDX-License-Identifier: Apache-2.0
"""Tables of the compliance room: what is known of each node and type, and the contents that nodes share."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint

from patchwright.server.infra.tables.columns import MOMENT, OCTETS, TEXT, WHOLE, owned

COMPLIANCE = owned(  # one row for each node and compliance type
    "compliance",
    Column("instance_id", TEXT, nullable=False),
    Column("type", TEXT, nullable=False),  # Patch, Association, Custom:…
    Column("digest", TEXT, nullable=False),  # of its items: a judgement of patching, or a content that was put
    Column("status", TEXT, nullable=False),
    Column("severity", WHOLE, nullable=False),  # of the worst item that is not compliant: 0 unspecified to 5 critical
    Column("execution_id", TEXT, nullable=False),
    Column("execution_type", TEXT, nullable=False),
    Column("executed_at", MOMENT, nullable=False),
    Column("content_hash", TEXT, nullable=False),  # as it was put, empty where none was
    Column("patch_group", TEXT, nullable=False),
    Column("baseline_id", TEXT, nullable=False),
    Column("document_name", TEXT, nullable=False),
    Column("document_version", TEXT, nullable=False),
    Column("operation_id", TEXT, nullable=False),  # the node's last patch operation that is taken into account
    Column("recorded_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "instance_id", "type"),
    CheckConstraint("status IN ('COMPLIANT', 'NON_COMPLIANT')", name="status"),
    CheckConstraint("severity BETWEEN 0 AND 5", name="severity"),
)
Index(
    "ix_compliance_standing",
    COMPLIANCE.c.account,
    COMPLIANCE.c.region,
    COMPLIANCE.c.type,
    COMPLIANCE.c.status,
    COMPLIANCE.c.severity,
)
Index("ix_compliance_digest", COMPLIANCE.c.account, COMPLIANCE.c.region, COMPLIANCE.c.digest)

COMPLIANCE_CONTENT = owned(  # once for all nodes that have the same
    "compliance_content",
    Column("digest", TEXT, nullable=False),
    Column("counts", TEXT, nullable=False),  # JSON: how many items by status and severity
    Column("content", OCTETS, nullable=False),  # JSON, zlib; empty where patching keeps the items
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "digest"),
)
