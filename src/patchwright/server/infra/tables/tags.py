# SPDX-License-Identifier: Apache-2.0
"""Tables of the tags room: tags, resource policies."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint

from patchwright.server.infra.tables.columns import MOMENT, TEXT, owned

TAG = owned(
    "tag",
    Column("resource_type", TEXT, nullable=False),
    Column("resource_id", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("value", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "region", "resource_type", "resource_id", "key"),
)
Index("ix_tag_value", TAG.c.account, TAG.c.region, TAG.c.resource_type, TAG.c.key, TAG.c.value, TAG.c.resource_id)

RESOURCE_POLICY = owned(
    "resource_policy",
    Column("resource_type", TEXT, nullable=False),
    Column("resource_id", TEXT, nullable=False),
    Column("id", TEXT, nullable=False),
    Column("hash", TEXT, nullable=False),  # of this version of the policy
    Column("policy", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("modified_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "resource_type", "resource_id", "id", name="pk_resource_policy"),
)
