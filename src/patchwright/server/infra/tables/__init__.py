# SPDX-License-Identifier: Apache-2.0
"""
Every table, in one place, a file for each room: the schema the migrations lead to. A test proves that they do, on both
engines.

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

in the file of its room (every file here is read); then `python -m patchwright.server.infra.migrations 0002_nodes` drafts
the migration.

Constraints get their names from the convention in `columns.py` (`pk_node`, `uq_node_account_region_name`, `ck_node_state`,
`fk_node_account_region_role_id_role`): UniqueViolation.constraint carries them. PostgreSQL cuts names at 63 bytes, so a
key over many columns is named by hand: `UniqueConstraint("a", "b", "c", name="uq_operation_once")`.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from patchwright.server.infra.tables.columns import MOMENT, NAMES, OCTETS, TEXT, WHOLE, metadata, owned

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["MOMENT", "NAMES", "OCTETS", "TEXT", "WHOLE", "metadata", "owned"]
