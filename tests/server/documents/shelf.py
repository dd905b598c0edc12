# SPDX-License-Identifier: Apache-2.0
"""The documents room over a database, as one account sees it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from patchwright.server import documents
from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.documents import Cursor, Draft, Found, Share, Wanted
from patchwright.server.infra import Database
from server.clocks import FakeClock

NOW = 1_795_147_200.0
AUTHOR = "arn:aws:iam::000000000001:root"


def content(number: int = 1) -> str:
    """A command document, another one for each *number*."""
    step = {"name": "patch", "action": "patchwright:patch", "inputs": {"Operation": "Scan"}}
    return json.dumps({"schemaVersion": "2.2", "description": f"Number {number}", "mainSteps": [step]})


@dataclass
class Shelf:
    """The room, an account, and a clock that goes on with every change."""

    database: Database
    scope: Scope
    quotas: Quotas = field(default_factory=Quotas)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))

    @property
    def service(self) -> documents.Service:
        """The use cases."""
        return documents.Service(self.database, self.clock, self.quotas)

    def limited(self, **quotas: int) -> Shelf:
        """The same with other quotas."""
        return replace(self, quotas=replace(self.quotas, **quotas))

    def arn(self, name: str) -> str:
        """What other accounts call a document of this one."""
        return f"arn:aws:ssm:{self.scope.region}:{self.scope.account}:document/{name}"

    async def create(self, name: str = "Doc", number: int = 1, *, kind: str = "Command", **members: Any) -> Found:
        """A new document."""
        self.clock.time += 1
        more = {key: members.pop(key) for key in ("own_tags", "requires") if key in members}
        draft = Draft(**{"content": content(number), **members})
        return await self.service.create(self.scope, name, draft, kind=kind, author=AUTHOR, **more)

    async def update(self, name: str = "Doc", number: int = 2, *, based_on: str = "", **members: Any) -> Found:
        """A new version."""
        self.clock.time += 1
        draft = Draft(**{"content": content(number), **members})
        return await self.service.update(self.scope, name, draft, author=AUTHOR, based_on=based_on)

    async def get(self, reference: str = "Doc", version: str = "", version_name: str = "") -> Found:
        """A version with its content."""
        return await self.service.get(self.scope, reference, version=version, version_name=version_name)

    async def share(self, name: str = "Doc", *accounts: str, version: str = "$DEFAULT", remove: Any = ()) -> None:
        """Share with some, and no longer with others."""
        add = [Share(account, version) for account in accounts]
        await self.service.share(self.scope, name, add=add, remove=list(remove))

    async def names(self, *groups: str, limit: int = 50, **narrowed: Any) -> list[str]:
        """What is listed, over all pages of *limit*."""
        wanted = Wanted(groups or documents.listing.EVERY, **narrowed)
        names: list[str] = []
        cursor: Cursor | None = None
        while True:
            found, cursor = await self.service.listed(self.scope, wanted, cursor=cursor, limit=limit)
            assert len(found) <= limit
            names += [one.document.reference for one in found]
            if cursor is None:
                return names
            assert found

    async def numbers(self, reference: str = "Doc", *, limit: int = 50) -> list[int]:
        """The numbers of the versions, as they are listed."""
        _, found = await self.service.versions(self.scope, reference, before=2**53, limit=limit)
        return [version.number for version in found]
