# SPDX-License-Identifier: Apache-2.0
"""A process that audits, over a database of a test's own; and a trail that somebody may tamper with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from patchwright.server.accounts import Anchor, Audited, AuditService, Question, Trail
from patchwright.server.infra import sql
from server.accounts.audited_writer import ACCOUNT, act, make
from server.clocks import FakeClock

KEY = b"k" * 32


class Desk:
    """A process that audits."""

    def __init__(self, database, directory, clock=None):
        self.opened = database
        self.clock = clock or FakeClock()
        self.database = Audited(database)
        self.trail = Trail(database, self.clock, key=KEY)
        self.anchor = Anchor(directory / "audit.head")
        self.service = AuditService(database, self.clock, key=KEY, anchor=self.anchor, first=ACCOUNT)

    async def do(self, name="thing", **more):
        """One call that makes *name*."""
        with self.trail.during(replace(act(name), **more)):
            await self.database.write(make, name)
        self.clock.time += 1

    async def seal(self):
        """Everything that waits, as a job does it."""
        await self.trail.flush()
        return await self.service.seal()

    async def proof(self, **more):
        """What verification finds, over all pages."""
        found, after = [], 0
        while after is not None:
            page = await self.service.verified(after=after, **more)
            found, after = found + page.findings, page.after
        return found

    async def entries(self, **asked):
        """What is listed, newest first."""
        return (await self.service.listed(Question(ACCOUNT, **asked), before="", limit=100))[0]

    async def rows(self, text):
        """What a statement gives."""

        def ask():
            return (yield sql(text))

        return await self.opened.read(ask)

    async def tamper(self, text, *params):
        """Somebody at the database."""

        def change():
            yield sql(text, *params)

        await self.opened.write(change)

    async def count(self, table):
        """How many rows there are."""
        return (await self.rows(f"SELECT COUNT(*) FROM {table}"))[0][0]


@pytest.fixture
def desk(database, tmp_path):
    """Over a database of its own, once on each engine."""
    return Desk(database, tmp_path)


@pytest.fixture
async def written(desk):
    """Four seals of three entries."""
    for number in range(4):
        for place in range(3):
            await desk.do(f"thing-{number}-{place}")
        await desk.seal()
        desk.clock.time += 1000
    return desk
