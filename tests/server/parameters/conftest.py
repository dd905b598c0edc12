# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the parameters room."""

from __future__ import annotations

import pytest

from patchwright.server.accounts import MasterKey
from patchwright.server.config import Quotas
from patchwright.server.parameters import Change, Service
from server.accounts.tenants import scope, shared_database, shared_postgres_url, shared_sqlite_url, shared_url
from server.clocks import FakeClock

__all__ = ["scope", "shared_database", "shared_postgres_url", "shared_sqlite_url", "shared_url", "store"]


class Store:
    """The room in an account of its own, and its clock."""

    def __init__(self, database, scope):
        self.database = database
        self.scope = scope
        self.clock = FakeClock()
        self.use()

    def use(self, *, key=b"k" * 32, **quotas):
        """Begin anew with another master key, or other quotas."""
        self.service = Service(self.database, self.clock, Quotas(**quotas), MasterKey(key))
        return self

    async def put(self, name, value="v", **members):
        """A version of a String, unless told otherwise."""
        change = Change(name, value, **{"type": "String", **members})
        return await self.service.put(self.scope, change, principal="someone")

    async def value(self, name, **how):
        """The value of a parameter."""
        return (await self.service.get(self.scope, name, decrypt=how.get("decrypt", True))).parameter.value

    async def names(self, *filters, limit=1000, after=""):
        """The names that pass, in order."""
        found, _ = await self.service.listed(self.scope, filters, after=after, limit=limit)
        return [one.name for one in found]


@pytest.fixture
def store(shared_database, scope):
    """The room, once on each engine."""
    return Store(shared_database, scope)
