# SPDX-License-Identifier: Apache-2.0
"""Tables of the tags room."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint

from patchwright.server.infra.tables.columns import TEXT, owned

TAG = owned(
    "tag",
    Column("resource_type", TEXT, nullable=False),
    Column("resource_id", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("value", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "region", "resource_type", "resource_id", "key"),
)
Index("ix_tag_value", TAG.c.account, TAG.c.region, TAG.c.resource_type, TAG.c.key, TAG.c.value, TAG.c.resource_id)
