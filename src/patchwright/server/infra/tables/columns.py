# SPDX-License-Identifier: Apache-2.0
"""What tables are made of: the column types, the names of constraints, and `owned`, which makes a table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
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


def owned(name: str, *parts: SchemaItem, metadata: MetaData = metadata, **options: Any) -> Table:
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
