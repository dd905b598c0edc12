# SPDX-License-Identifier: Apache-2.0
"""Nothing stays in progress for ever (design D9, D10)."""

from __future__ import annotations

import asyncio
import json

import pytest

from patchwright.server import gateway
from server.clocks import FakeClock
from server.gateway.house import build
from server.patching.bench import OUTDATED


@pytest.fixture
async def alone(database_url, tmp_path):
    """A house with a database of its own: a sweep looks at every account."""
    house = await build(tmp_path, database_url, "000000000001")
    yield house
    await house.close()


async def test_a_command_whose_time_ran_out_is_ended_with_its_operation(alone):
    """The invocation is timed out, the operation closed, and the node told so when it comes back."""
    house = alone
    node = await house.enrol()
    command = await house.send(node, operation="Install", TimeoutSeconds=30)
    operation_id = await house.begin(node, command["CommandId"])
    await house.put_facts(node, operation_id, OUTDATED)
    assert await gateway.sweep(house.wired.database, house.clock) == 0

    house.clock.time = command["ExpiresAfter"]
    assert await gateway.sweep(house.wired.database, house.clock) == 1
    assert await gateway.sweep(house.wired.database, house.clock) == 0

    found = await house.ask(
        "AmazonSSM.GetCommandInvocation", {"CommandId": command["CommandId"], "InstanceId": node.instance_id}
    )
    assert (found["Status"], found["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
    late = await house.put_facts(node, operation_id, OUTDATED)
    assert (late["Next"], late["Report"]["Succeeded"]) == ("done", False)
    assert "time ran out" in late["Report"]["Error"]


async def test_a_server_that_was_down_delivers_nothing_that_is_overdue(alone):
    """A node that polls before the first sweep gets what still has time, not what everyone was told has timed out."""
    house = alone
    node = await house.enrol()
    overdue = await house.send(node, TimeoutSeconds=30)
    house.clock.time = overdue["ExpiresAfter"]
    command = await house.send(node)

    (message,) = await house.messages(node)

    assert json.loads(message["Payload"])["CommandId"] == command["CommandId"]


async def test_a_sweep_ends_though_others_hold_what_is_overdue():
    """Another process is at it: this one does not go round and round."""

    class Busy:
        """A database in which something is overdue that somebody else has locked."""

        writes = 0

        async def read(self, _work, **_):
            return True

        async def write(self, _work, **_):
            self.writes += 1
            return 0

    busy = Busy()
    assert await asyncio.wait_for(gateway.sweep(busy, FakeClock()), 5) == 0
    assert busy.writes == 1
