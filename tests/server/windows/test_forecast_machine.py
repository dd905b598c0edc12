# SPDX-License-Identifier: Apache-2.0
"""What is foretold is what the machine does, where every node takes as long as it always has."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import random

import pytest

from drawing import SEED
from patchwright.core.invocation import Detail
from patchwright.core.protocol import SEND_COMMAND_TOPIC
from patchwright.server import commands, windows
from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.infra import sql
from patchwright.server.patching.durations import entry
from patchwright.server.windows import Target, Window, WindowTarget, WindowTask
from server.clocks import FakeClock
from server.nodes.made import enrol_many
from server.patching.bench import NOW

HOUR = 3600.0
SCOPE = Scope("000000000001", "us-east-1")
DRAWS = range(40 if os.environ.get("PATCHWRIGHT_FULL") else 3)


class World:
    """A window of nodes that take the same time always, carried out by the room's own job, moment by moment."""

    def __init__(self, database, chance):
        self.database = database
        self.clock = FakeClock(NOW)
        self.chance = chance
        self.seconds = {}  # by node
        self.under_way = []  # (end, number, node, command)
        self.began = []  # (task, node, moment)
        self._numbers = itertools.count()
        self._service = windows.Service(database, self.clock, Quotas())

    async def make(self):
        """Nodes in two groups, and a window with up to three tasks for them."""
        for group in ("a", "b"):
            ids = await enrol_many(self.database, self.clock, SCOPE, self.chance.randint(1, 6), own_tags={"g": group})
            self.seconds.update(
                (node, self.chance.randint(1, 45) * 60.0 + (len(self.seconds) + 1) * 0.1) for node in ids
            )
        for node, seconds in self.seconds.items():
            await self.database.write(_remember, node, entry(seconds) * 3)
        self.must_fit = self.chance.random() < 0.5
        window = Window(SCOPE, "", "w", "rate(7 days)", 3, self.chance.randint(0, 2), allow_unassociated_targets=True)
        own_tags = {windows.MUST_FIT: "true"} if self.must_fit else {}
        self.id = await self._service.create(window, own_tags=own_tags)
        targets = [
            await self._service.add_target(WindowTarget(SCOPE, self.id, "", "INSTANCE", (Target("tag:g", (group,)),)))
            for group in ("a", "b")
        ]
        for _ in range(self.chance.randint(1, 3)):
            chosen = self.chance.sample(targets, self.chance.randint(1, 2))
            settings = {"Parameters": {"Operation": ["Scan"]}}
            if self.chance.random() < 0.3:
                settings["TimeoutSeconds"] = 60
            task = WindowTask(
                SCOPE,
                self.id,
                "",
                "RUN_COMMAND",
                "AWS-RunPatchBaseline",
                priority=self.chance.randint(1, 2),
                targets=(Target("WindowTargetIds", tuple(chosen)),),
                invocation={"RunCommand": settings},
                max_concurrency=self.chance.choice(["1", "2", "3", "30%", "50%"]),
                max_errors="0",
                cutoff_behavior=self.chance.choice(["CONTINUE_TASK", "CANCEL_TASK"]),
            )
            await self._service.add_task(task)

    async def forecast(self):
        """Who begins when, by task: (task, node, seconds after the opening)."""
        made = await windows.Forecasts(self.database, self.clock).make(SCOPE, self.id)
        return made, [
            (outlook.task.id, one.due.id, one.starts) for _, outlook, one in made.nodes(0) if one.starts is not None
        ]

    async def run(self):
        """Open the window and carry it out to its end: every node begins what it gets at once, and takes its time."""
        moments = [NOW + number * HOUR for number in range(1, 30)]  # cutoffs, the end, and what is given up
        await self._tend()
        while self.under_way or moments:
            times = [*([self.under_way[0][0]] if self.under_way else []), *moments[:1]]
            self.clock.time = max(min(times), self.clock.time)
            if moments and moments[0] <= self.clock.time:
                moments.pop(0)
            while self.under_way and self.under_way[0][0] <= self.clock.time:
                _, number, node, command = heapq.heappop(self.under_way)
                reply = commands.Reply(f"reply-{number}", command, Detail.SUCCESS)
                _, released = await self.database.write(commands.record, SCOPE, node, reply, now=self.clock.now())
                await self._begin(released)
            await self._tend()

    async def _tend(self):
        woken = []
        await self.database.write(commands.expire, now=self.clock.now())
        for _ in range(4):  # a task that ends at once, and those behind it
            await windows.tend(self.database, self.clock, woken.extend, everything)
            await commands.tend(self.database, self.clock, woken.extend, everything, needs=windows.needs)
        await self._begin(woken)

    async def _begin(self, nodes):
        for node in dict.fromkeys(nodes):
            found = await self.database.write(
                commands.deliveries, SCOPE, node, now=self.clock.now(), visibility=10.0, limit=10
            )
            for one in found:
                if one.topic == SEND_COMMAND_TOPIC:
                    await self.database.write(commands.acknowledge, SCOPE, one.command_id, node, now=self.clock.now())
                    end = self.clock.now() + self.seconds[node]
                    heapq.heappush(self.under_way, (end, next(self._numbers), node, one.command_id))
                    task = await self.database.read(_task_of, one.command_id)
                    self.began.append((task, node, self.clock.now() - NOW))


def everything(*_asked):
    """Rights of root."""
    yield from ()


def _remember(node, scans):
    yield sql(
        "INSERT INTO last_operation (account, region, instance_id, operation_id, ended_at, installed, installed_other,"
        " installed_pending_reboot, installed_rejected, missing, failed, not_applicable, available_security_update,"
        " critical, security, other, operating_system, scans, installs, restarts)"
        " VALUES ($1, $2, $3, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'DEBIAN', $4, '', '')",
        *SCOPE,
        node,
        scans,
    )


def _task_of(command_id):
    rows = yield sql(
        "SELECT t.task_id FROM window_invocation i JOIN window_task_execution t ON t.account = i.account"
        " AND t.region = i.region AND t.execution_id = i.execution_id AND t.id = i.task_execution_id"
        " WHERE i.command_id = $1",
        command_id,
    )
    return rows[0][0]


@pytest.mark.parametrize("number", DRAWS)
async def test_the_forecast_is_what_happens(database, number):
    """Whatever tasks, rates, cutoffs and refusals there are: the same nodes begin at the same moments, and no others."""
    world = World(database, random.Random(f"{SEED} forecast {number}"))
    await world.make()
    made, foretold = await world.forecast()
    await world.run()

    told = json.dumps({"bounds": made.bounds, "foretold": sorted(foretold), "began": sorted(world.began)}, indent=1)
    assert [one[:2] for one in sorted(world.began)] == [one[:2] for one in sorted(foretold)], told
    for one, other in zip(sorted(world.began), sorted(foretold), strict=True):
        assert one[2] == pytest.approx(other[2], abs=0.01), told
