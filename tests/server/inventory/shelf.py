# SPDX-License-Identifier: Apache-2.0
"""The inventory room over a database, and nodes that put things into it: no agent, no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from patchwright.core.inventory import SCHEMAS, Row, content_hash
from patchwright.server import inventory
from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.infra import Database, UnitOfWork, sql
from patchwright.server.inventory import Given
from server.clocks import FakeClock
from server.nodes.made import enrol, enrol_many

CAPTURED = "2026-11-20T04:00:00Z"


def given(type_name: str, rows: Sequence[Row] | None, **members: Any) -> Given:
    """An item as an agent would put it; without rows, its hash alone."""
    version = SCHEMAS[type_name].version if type_name in SCHEMAS else "1.0"
    members.setdefault("content_hash", content_hash(rows) if rows is not None else "")
    return Given(type_name, members.pop("version", version), CAPTURED, content=rows, **members)


def applications(*names: str) -> list[Row]:
    """Rows of AWS:Application, each `name version`."""
    return [dict(zip(("Name", "Version"), name.split(), strict=True)) for name in names]


@dataclass
class Shelf:
    """The room in an account of its own."""

    database: Database
    scope: Scope
    clock: FakeClock = field(default_factory=lambda: FakeClock(1_795_147_200.0))
    quotas: Quotas = field(default_factory=Quotas)

    def __post_init__(self) -> None:
        self.room = inventory.Service(self.database, self.clock, self.quotas, online_seconds=660.0)

    async def node(self) -> str:
        """A new node."""
        return await enrol(self.database, self.clock, self.scope)

    async def nodes(self, number: int) -> list[str]:
        """New nodes, in order of id."""
        return await enrol_many(self.database, self.clock, self.scope, number)

    async def put(self, node: str, type_name: str, rows: Sequence[Row] | None, **members: Any) -> None:
        """Put one item."""
        await self.room.put(self.scope, node, [given(type_name, rows, **members)])

    async def rows(self, node: str, type_name: str) -> list[Row]:
        """What the node shows of a type."""
        found = await self.room.entries(self.scope, node, type_name, (), start=0, limit=10_000)
        return list(found.rows)

    async def stored(self) -> tuple[int, int]:
        """How many contents and how many items the account has."""
        return await self.database.read(_stored, self.scope)


def _stored(scope: Scope) -> UnitOfWork[tuple[int, int]]:
    found = []
    for table in ("inventory_content", "inventory_item"):
        rows = yield sql(f"SELECT COUNT(*) FROM {table} WHERE account = $1 AND region = $2", *scope)
        found.append(rows[0][0])
    return found[0], found[1]
