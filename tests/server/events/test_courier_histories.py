# SPDX-License-Identifier: Apache-2.0
"""
Random histories of deliveries: several couriers, receivers that fail, processes that die in the middle, clocks that jump.

Whatever happens, every event that was wanted arrives at least once, with its own id, or is given up after a day of trying and
listed; nothing that was not wanted arrives; and nothing stays open.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter

import pytest

from patchwright.server import events
from patchwright.server.accounts import MasterKey
from patchwright.server.events.sending import Answer
from server.accounts.tenants import new_account
from server.clocks import FakeClock
from server.events.desk import Desk

SEED = os.environ.get("PATCHWRIGHT_SEED", "20261120")
HISTORIES = 400 if os.environ.get("PATCHWRIGHT_FULL") else 12
MOVES = 40
DAY = 86400.0


class World:
    """Receivers by their URL. Some requests get through and are never answered."""

    def __init__(self, dice):
        self.dice = dice
        self.arrived = Counter()
        self.well = {}

    def check(self, url):
        """Every URL will do."""

    async def post(self, url, _body, headers):
        """One attempt."""
        await asyncio.sleep(0)
        name = headers["x-patchwright-subscription"]
        fate = self.dice.random() if not self.well.get(name, False) else 1.0
        if fate < 0.2:
            return Answer(0, "The connection failed: Connection refused.")
        if fate < 0.4:
            return Answer(503, "The receiver answered 503.", self.dice.choice([0, 0, 30, 7200]))
        self.arrived[name, headers["webhook-id"]] += 1
        if fate < 0.5:
            return Answer(0, "There was no answer within 10 seconds.")
        if fate < 0.6:
            await asyncio.Event().wait()  # until the process dies
        return Answer(200, "")


class History(Desk):
    """One of them."""

    def __init__(self, database, dice):
        from patchwright.server.accounts import Scope

        super().__init__(database, Scope(new_account(), "us-east-1"))
        self.dice, self.world = dice, World(dice)
        self.clock, self.master, self.postman = FakeClock(), MasterKey(b"k" * 32), self.world
        self.service._clock, self.service._postman = self.clock, self.world
        self.couriers = [self.another() for _ in range(3)]
        self.wanted = Counter()
        self.numbers = iter(range(1_000_000))

    async def move(self):
        """Something happens."""
        dice, courier = self.dice, self.dice.randrange(3)
        what = dice.choice(["happen", "happen", "step", "step", "step", "die", "wait", "jump", "again"])
        if what == "happen":
            status = dice.choice(["Failed", "Success"])
            ids = await self.happen(*(next(self.numbers) for _ in range(dice.randint(1, 6))), status=status)
            for event_id in ids:
                self.wanted["all", event_id] += 1
                self.wanted["failed", event_id] += status == "Failed"
        elif what == "step":
            await self.couriers[courier].step()
            for _ in range(dice.randint(0, 40)):
                await asyncio.sleep(0)
        elif what == "die":
            await self.couriers[courier].close()
            self.couriers[courier] = self.another()
        elif what == "wait":
            self.clock.time += dice.choice([1.0, 61.0, 600.0])
        elif what == "jump":
            self.clock.time += dice.choice([-3600.0, 3600.0])
        else:
            await self.service.redeliver(self.scope, "all", "")

    async def end(self):
        """Everybody is well again, and there is time."""
        for courier in self.couriers:
            await courier.close()
        self.world.well = {"all": True, "failed": True}
        last = self.another()
        for _ in range(40):
            self.clock.time += 3600.0
            await self.step(last)


@pytest.mark.parametrize("number", range(HISTORIES))
async def test_every_event_arrives_or_is_listed_as_given_up(shared_sqlite_url, tmp_path, number):
    """At least once, and nothing else."""
    from patchwright.server.infra import open_database

    database = await open_database(shared_sqlite_url, data_dir=tmp_path)
    history = History(database, random.Random(f"{SEED} {number}"))
    try:
        await history.subscribe("all", "https://a.example/")
        await history.subscribe("failed", "https://b.example/", '{"detail": {"status": ["Failed"]}}')
        for _ in range(MOVES):
            await history.move()
        await history.end()
        for name in ("all", "failed"):
            wanted = {event_id for (one, event_id), count in history.wanted.items() if one == name and count}
            arrived = {event_id for one, event_id in history.world.arrived if one == name}
            states = {one.id: one.state for one in await history.deliveries(name)}
            assert set(states) == wanted
            assert arrived <= wanted
            assert {one for one, state in states.items() if state == events.DELIVERED} <= arrived
            assert wanted - arrived <= {one for one, state in states.items() if state == events.DEAD}
            assert events.PENDING not in states.values()
    finally:
        for name in ("all", "failed"):
            await history.service.delete(history.scope, name)
        await database.close()
