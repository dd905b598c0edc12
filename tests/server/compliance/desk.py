# SPDX-License-Identifier: Apache-2.0
"""
The compliance room over a database, with the patching room beneath it.

    desk = Desk(database, scope)
    node = await desk.bench.enrol()
    await desk.bench.scan(node, OUTDATED)
    await desk.put(node, "Custom:AV", entry("scan", "COMPLIANT"))
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from patchwright.server import compliance, patching
from patchwright.server.accounts import Scope
from patchwright.server.compliance import Entry, Execution, Filter, Listed, Record, Upload
from patchwright.server.config import Quotas
from patchwright.server.infra import Database, UnitOfWork, sql
from server.patching.bench import Bench

THEN = 1_550_505_600.0  # 2019-02-18T16:00:00Z


def entry(name: str, status: str = "NON_COMPLIANT", severity: str = "UNSPECIFIED", **details: str) -> Entry:
    """An item."""
    return Entry(name, f"title of {name}", status, severity, details)


@dataclass
class Desk:
    """The rooms' services, and what tests ask of them."""

    database: Database
    scope: Scope
    quotas: Quotas = field(default_factory=Quotas)

    def __post_init__(self) -> None:
        self.bench = Bench(self.database, self.scope)
        self.bench.operations = patching.Operations(self.database, self.bench.clock, finished=compliance.refresh)
        self.service = compliance.Service(self.database, self.bench.clock, self.quotas)

    async def put(self, node: str, type_name: str, *entries: Entry, scope: Scope | None = None, **more: Any) -> None:
        """Put items of a node and type."""
        upload = Upload(type_name, more.pop("execution", Execution(THEN)), entries, **more)
        await self.service.put(scope or self.scope, node, upload)

    async def items(self, *filters: Filter, limit: int = 50, scope: Scope | None = None, **more: Any) -> list[Listed]:
        """Every item, page by page."""
        found, after = [], compliance.START
        while after is not None:
            page, after = await self.service.items(scope or self.scope, filters, after=after, limit=limit, **more)
            assert len(page) <= limit
            found += page
        return found

    async def ids(self, *filters: Filter, **more: Any) -> list[str]:
        """The ids of every item."""
        return [one.entry.id for one in await self.items(*filters, **more)]

    async def record(self, node: str, type_name: str = compliance.PATCH) -> Record | None:
        """What is known of a node and type."""
        known = await self.database.read(compliance.of_node, self.scope, node)
        return next((one for one in known if one.type == type_name), None)

    async def standings(self, *filters: Filter) -> list[tuple[str, str, str, int]]:
        """How many nodes there are by type, status and severity."""
        found = await self.service.standings(self.scope, filters)
        return [(one.type, one.status, compliance.SEVERITIES[one.severity], one.count) for one in found]

    async def nodes(self, *filters: Filter, limit: int = 50) -> list[tuple[str, str]]:
        """Every node and type, page by page."""
        found, after = [], ("", "")
        while True:
            page = await self.service.summaries(self.scope, filters, after=after, limit=limit)
            found += [(one.record.instance_id, one.record.type) for one in page]
            if len(page) < limit:
                return found
            after = found[-1]

    async def contents(self) -> int:
        """How many contents are kept."""
        return await self.database.read(_count, self.scope)


def _count(scope: Scope) -> UnitOfWork[int]:
    rows = yield sql("SELECT COUNT(*) FROM compliance_content WHERE account = $1 AND region = $2", *scope)
    return int(rows[0][0])
