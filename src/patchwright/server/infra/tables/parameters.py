# SPDX-License-Identifier: Apache-2.0
"""Tables of the parameters room."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, text

from patchwright.server.infra.tables.columns import MOMENT, OCTETS, TEXT, WHOLE, owned

PARAMETER = owned(
    "parameter",
    Column("path", TEXT, nullable=False),  # its identity: the name with one leading slash
    Column("parent", TEXT, nullable=False),  # the path without its last level; "/" at the top
    Column("name", TEXT, nullable=False),  # as it was created: a name of one level may lack the slash
    Column("tier", TEXT, nullable=False),
    Column("version", WHOLE, nullable=False),  # the newest
    Column("expires_at", MOMENT),
    PrimaryKeyConstraint("account", "region", "path"),
)
Index("ix_parameter_parent", PARAMETER.c.account, PARAMETER.c.region, PARAMETER.c.parent, PARAMETER.c.path)
Index("ix_parameter_tier", PARAMETER.c.account, PARAMETER.c.region, PARAMETER.c.tier)
Index(
    "ix_parameter_expires",
    PARAMETER.c.expires_at,
    sqlite_where=text("expires_at IS NOT NULL"),
    postgresql_where=text("expires_at IS NOT NULL"),
)

PARAMETER_VERSION = owned(
    "parameter_version",
    Column("path", TEXT, nullable=False),
    Column("version", WHOLE, nullable=False),
    Column("type", TEXT, nullable=False),
    Column("value", TEXT),
    Column("sealed", OCTETS),  # a SecureString's value, under the master key
    Column("key_id", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("allowed_pattern", TEXT, nullable=False),
    Column("tier", TEXT, nullable=False),
    Column("policies", TEXT, nullable=False),  # JSON: list of objects
    Column("data_type", TEXT, nullable=False),
    Column("modified_at", MOMENT, nullable=False),
    Column("modified_by", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "region", "path", "version"),
    CheckConstraint("(type = 'SecureString') = (value IS NULL)", name="plain"),
    CheckConstraint("(type = 'SecureString') = (sealed IS NOT NULL)", name="sealed"),
)

PARAMETER_LABEL = owned(  # a label is at one version of a parameter
    "parameter_label",
    Column("path", TEXT, nullable=False),
    Column("label", TEXT, nullable=False),
    Column("version", WHOLE, nullable=False),
    PrimaryKeyConstraint("account", "region", "path", "label"),
)
