# SPDX-License-Identifier: Apache-2.0
"""Many nodes at the same moment, and one node that asks many times at once."""

from __future__ import annotations

import asyncio

from patchwright.core.compliance import Operation as Kind
from patchwright.core.protocol import Phase
from server.patching.bench import OUTDATED, PATCHED, bodies_of
from server.patching.test_operations import MISSING, PENDING


async def test_a_fleet_that_scans_at_the_same_moment_shares_one_snapshot(bench):
    """Whoever comes first makes it; nobody is refused, nothing is stored twice."""
    fleet = [await bench.enrol() for _ in range(12)]
    command = "22222222-0000-0000-0000-000000000000"

    runs = await asyncio.gather(*(bench.begin(node, command=command) for node in fleet))
    reports = await asyncio.gather(*(run.send(Phase.BEFORE, OUTDATED) for run in runs))

    assert {run.begun.snapshot_id for run in runs} == {command}
    assert all(directive.report.succeeded for directive in reports)
    assert [await bench.states(node) for node in fleet] == [MISSING] * 12


async def test_the_same_message_many_times_at_once_is_one_message(bench):
    """An agent that gave up waiting asks again while the first is still under way."""
    node, command = await bench.enrol(), "33333333-0000-0000-0000-000000000000"

    runs = await asyncio.gather(*(bench.begin(node, Kind.INSTALL, command=command) for _ in range(5)))
    assert len({run.begun.operation_id for run in runs}) == 1
    await runs[0].put(Phase.BEFORE, OUTDATED)
    await asyncio.gather(*(run.bodies(bodies_of(OUTDATED)) for run in runs))
    intents = await asyncio.gather(*(run.put(Phase.BEFORE, OUTDATED) for run in runs))
    plans = await asyncio.gather(*(run.resolve(intents[0]) for run in runs))
    ends = await asyncio.gather(*(run.send(Phase.AFTER, PATCHED, acted_boot_id="boot-1") for run in runs))

    assert [one == intents[0] for one in intents] == [True] * 5
    assert len({plan.digest for plan in plans}) == 1
    assert [one == ends[0] for one in ends] == [True] * 5
    assert await bench.states(node) == PENDING
