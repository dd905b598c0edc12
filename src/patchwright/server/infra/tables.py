# SPDX-License-Identifier: Apache-2.0
"""
Every table, in one place: the schema the migrations lead to. A test proves that they do, on both engines.

Not imported while the server runs (SQLAlchemy takes half a second); rooms write their own SQL. To add a table:

    NODE = owned(
        "node",
        Column("id", TEXT, nullable=False),
        Column("state", TEXT, nullable=False),
        Column("seen_at", MOMENT),
        PrimaryKeyConstraint("account", "region", "id"),
        CheckConstraint("state IN ('Active', 'Terminated')", name="state"),
    )
    Index("ix_node_seen_at", NODE.c.account, NODE.c.region, NODE.c.seen_at)

then `python -m patchwright.server.infra.migrations 0002_nodes` drafts the migration.

Constraints get their names from the convention below (`pk_node`, `uq_node_account_region_name`, `ck_node_state`,
`fk_node_account_region_role_id_role`): UniqueViolation.constraint carries them. PostgreSQL cuts names at 63 bytes, so a
key over many columns is named by hand: `UniqueConstraint("a", "b", "c", name="uq_operation_once")`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import REAL, BigInteger, Column, Double, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.schema import SchemaItem

NAMES = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
}

# The only column types. SQLite tables are STRICT, which knows INTEGER, REAL, TEXT and BLOB; PostgreSQL sorts text by its
# bytes (collation "C"), as SQLite does, so that paging by key means the same on both.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")
WHOLE = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number of 64 bit; 0 and 1 for no and yes."""
MOMENT: Double[float] = Double().with_variant(REAL(), "sqlite")
"""Seconds since 1970, UTC."""
OCTETS = LargeBinary()

metadata = MetaData(naming_convention=NAMES)


def owned(name: str, *parts: SchemaItem, **options: Any) -> Table:
    """The table *name* of what belongs to an account and region: those two columns first, then *parts*."""
    return Table(
        name,
        metadata,
        Column("account", TEXT, nullable=False),
        Column("region", TEXT, nullable=False),
        *parts,
        sqlite_strict=True,
        **options,
    )
