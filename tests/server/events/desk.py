# SPDX-License-Identifier: Apache-2.0
"""The events room at work, in an account of its own and with a clock that tests set."""

from __future__ import annotations

import ipaddress

from patchwright.server import events
from patchwright.server.accounts import MasterKey
from patchwright.server.config import Quotas
from patchwright.server.infra import new_uuid
from server.clocks import FakeClock

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


class Desk:
    """Subscriptions and a courier over one database."""

    def __init__(self, database, scope, *, networks=LOOPBACK, **quotas):
        self.database = database
        self.scope = scope
        self.clock = FakeClock()
        self.master = MasterKey(b"k" * 32)
        self.postman = events.Postman(networks)
        self.service = events.Subscriptions(
            database, self.clock, Quotas(**quotas), master=self.master, postman=self.postman
        )
        self.courier = self.another()

    def another(self):
        """The courier of another process."""
        return events.Courier(self.database, self.clock, master=self.master, postman=self.postman)

    async def subscribe(self, name, url, pattern='{"source": ["aws.ssm"]}', **members):
        """A subscription; returns its secret."""
        return (await self.service.put(self.scope, events.Wish(name, url, pattern, **members)))[1]

    async def happen(self, *numbers, status="Failed", scope=None):
        """Events, told apart by numbers; returns their ids."""
        scope = scope or self.scope
        told = [
            events.Event(
                scope,
                new_uuid(),
                events.COMMAND_INVOCATION,
                (events.node_arn(scope, f"mi-{number}"),),
                {"n": number, "status": status},
                self.clock.now(),
            )
            for number in numbers
        ]
        await self.database.write(events.emit_all, told)
        return [one.id for one in told]

    async def step(self, courier=None):
        """One step of the courier, and everything it begins."""
        courier = courier or self.courier
        await courier.step()
        await courier.settled()

    async def deliveries(self, name, state=""):
        """What was to be sent to a subscription, newest first."""
        return await self.service.deliveries(self.scope, name, state=state, before=None, limit=1000)
