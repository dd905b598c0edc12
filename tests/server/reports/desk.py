# SPDX-License-Identifier: Apache-2.0
"""Resource data syncs in an account of its own, over buckets that can be watched, held and made to refuse."""

from __future__ import annotations

import asyncio
import json

from patchwright.server.config import Quotas
from patchwright.server.infra import BucketRefused, open_buckets
from patchwright.server.reports import TO_DESTINATION, Syncs, Writer
from server.inventory.shelf import Shelf

APPLICATION = "AWS:Application"


class Watched:
    """Buckets that note what is written, and refuse when they are told to."""

    def __init__(self, root, clock):
        self.inner = open_buckets(root, None, clock)
        self.keys = []
        self.refusing = ""
        self.held = None
        self.asked = asyncio.Event()

    async def put(self, bucket, key, data):
        self.asked.set()
        if self.held is not None:
            await self.held.wait()
        if self.refusing and self.refusing in key:
            msg = "it is full"
            raise BucketRefused(msg)
        await self.inner.put(bucket, key, data)
        self.keys.append(key)

    async def probe(self, bucket, prefix):
        await self.inner.probe(bucket, prefix)


class Desk:
    """The room in an account of its own, with nodes that have an inventory."""

    def __init__(self, database, scope, root):
        self.shelf = Shelf(database, scope)
        self.database, self.scope, self.clock, self.root = database, scope, self.shelf.clock, root
        self.buckets = Watched(root, self.clock)
        self.syncs = Syncs(database, self.clock, Quotas(), self.buckets)
        self.writer = self.another()

    def another(self):
        """Another process that writes."""
        return Writer(self.database, self.clock, self.buckets, self.shelf.room)

    async def create(self, name="inventory", bucket="some-bucket", **members):
        """A sync to a destination."""
        destination = {"BucketName": bucket, "SyncFormat": "JsonSerDe", "Region": "us-east-1", **members}
        await self.syncs.create(self.scope, name, kind=TO_DESTINATION, destination=destination, source=None)

    async def run(self):
        """What is due, once more; returns the keys that were written of this account."""
        self.buckets.keys = []
        await self.writer.run_due()
        mine = f"accountid={self.scope.account}/"
        return sorted(key for key in self.buckets.keys if mine in key)

    async def later(self, seconds=61.0):
        """The same after a while."""
        self.clock.time += seconds
        return await self.run()

    async def state(self, name="inventory"):
        """A sync as it is listed."""
        found, _ = await self.syncs.listed(self.scope, kind=None, after="", limit=50)
        return {one.name: one for one in found}[name]

    async def underway(self):
        """Return when a run has come to its first object."""
        async with asyncio.timeout(20):
            await self.buckets.asked.wait()

    def key(self, node, type_name=APPLICATION, prefix=""):
        """The key of a node's rows."""
        place = f"accountid={self.scope.account}/region={self.scope.region}/resourcetype=ManagedInstanceInventory"
        return f"{prefix}{type_name}/{place}/{node}.json"

    def lines(self, key, bucket="some-bucket"):
        """The objects in an object."""
        return [json.loads(line) for line in (self.root / bucket / key).read_text().splitlines()]
