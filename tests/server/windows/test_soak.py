# SPDX-License-Identifier: Apache-2.0
"""Whatever is done to windows while they are open, every execution of them ends, and no more are open than may be."""

from __future__ import annotations

import asyncio
import itertools
import os
import random

import pytest

from patchwright.server import commands, gateway, windows
from patchwright.server.aws import rights_of_task
from patchwright.server.infra import sql
from server.aws.granted import grant, new_user, statement
from server.gateway.house import build

SEED = os.environ.get("PATCHWRIGHT_SEED", "20261120")
SOAKS = 30 if os.environ.get("PATCHWRIGHT_FULL") else 1
STEPS, MANY = 100, 100
GROUPS = ("a", "b", "c")
SCHEDULES = ("rate(5 minutes)", "rate(1 hour)", "rate(2 hours)", "cron(0/30 * ? * * *)", "at(2026-11-22T00:00:00)")
RATES = ("1", "1%", "50%", "100%")
HOUR = 3600.0


class Soak:
    """A house whose windows are made, changed, cancelled and removed at random, while nodes answer or do not."""

    def __init__(self, house, chance):
        self.house, self.chance = house, chance
        self.most_open = chance.choice((1, 2, MANY))
        self.nodes, self.windows, self.targets, self.tasks = [], [], {}, {}

    async def furnish(self):
        """Nodes, and a user whose rights change."""
        for group in (*GROUPS, *GROUPS[:2]):
            self.nodes.append(await self.house.enrol(tags={"g": group}))
        self.user = await new_user(self.house, "u", statement("ssm:*"))

    async def call(self, operation, key=None, **members):
        """The answer, None where it is refused; that the server fails is no refusal."""
        target = operation if "." in operation else f"AmazonSSM.{operation}"
        answer = await self.house.call(target, members, key=key)
        assert answer.status != 500, (target, members, self.house.lines)
        return answer.json if answer.status == 200 else None

    async def step(self):
        """Something is done, and the jobs have their turn: in one process, or in several."""
        window = self.chance.choice(self.windows) if self.windows else None
        doing = self.chance.choice(ACTS) if window else Soak.make
        await doing(self, window)
        for _ in range(self.chance.choice((1, 1, 3))):
            await asyncio.gather(*(self.tend() for _ in range(self.chance.choice((1, 1, 3)))))
        assert len(await self.rows("status IN ('IN_PROGRESS', 'CANCELLING')")) <= self.most_open
        if self.chance.random() < 0.6:
            await self.work()

    async def tend(self):
        """The jobs of a process."""
        database, clock = self.house.wired.database, self.house.clock
        await windows.tend(database, clock, list, rights_of_task, most_open=self.most_open)
        await commands.tend(database, clock, list, rights_of_task, needs=windows.needs)
        await gateway.sweep(database, clock)
        await windows.recount(database, clock)

    async def work(self):
        """Nodes take what waits for them, and mostly end it."""
        here = {node.instance_id: node for node in self.nodes}
        unit = sql("SELECT command_id, instance_id FROM invocation WHERE released = 1 AND ended_at IS NULL")
        for command_id, node in await self.house.wired.database.read(_ask, unit):
            if node in here and self.chance.random() < 0.5:
                await self.house.reply(here[node], command_id, "InProgress")
                if self.chance.random() < 0.8:
                    await self.house.reply(here[node], command_id, self.chance.choice(("Success", "Success", "Failed")))

    async def rows(self, where):
        """Executions of windows."""
        unit = sql(f"SELECT id, status, details FROM window_execution WHERE ended_at IS NULL AND {where}")
        return await self.house.wired.database.read(_ask, unit)

    async def make(self, _window):
        """A window, with targets and a task."""
        hours = self.chance.randint(1, 24)
        given = {"Duration": hours, "Cutoff": self.chance.randrange(hours), "Schedule": self.chance.choice(SCHEDULES)}
        loose = self.chance.random() < 0.5
        made = await self.call("CreateMaintenanceWindow", Name="soak", AllowUnassociatedTargets=loose, **given)
        if made:
            self.windows.append(made["WindowId"])
            self.targets[made["WindowId"]], self.tasks[made["WindowId"]] = [], []
            await self.add_target(made["WindowId"])
            await self.add_task(made["WindowId"])

    async def add_target(self, window):
        """A registration of one group or two."""
        wanted = [{"Key": "tag:g", "Values": self.chance.sample(GROUPS, self.chance.randint(1, 2))}]
        made = await self.call(
            "RegisterTargetWithMaintenanceWindow", WindowId=window, ResourceType="INSTANCE", Targets=wanted
        )
        self.targets[window] += [made["WindowTargetId"]] if made else []

    async def add_task(self, window):
        """A task of any type, of root or of the user."""
        kind = self.chance.choice(("RUN_COMMAND", "RUN_COMMAND", "RUN_COMMAND", "LAMBDA", "AUTOMATION"))
        known = self.targets[window]
        if known and self.chance.random() < 0.7:
            named = {"Key": "WindowTargetIds", "Values": self.chance.sample(known, self.chance.randint(1, len(known)))}
        else:
            named = {"Key": "InstanceIds", "Values": [node.instance_id for node in self.chance.sample(self.nodes, 2)]}
        parameters = {"Parameters": {"commands": ["true"]}, "TimeoutSeconds": self.chance.choice((30, 600, 100_000))}
        made = await self.call(
            "RegisterTaskWithMaintenanceWindow",
            key=self.chance.choice((None, self.user)),
            WindowId=window,
            TaskType=kind,
            TaskArn="AWS-RunShellScript" if kind == "RUN_COMMAND" else "nothing",
            Targets=[named],
            MaxConcurrency=self.chance.choice(RATES),
            MaxErrors=self.chance.choice(("0", *RATES)),
            Priority=self.chance.randrange(3),
            CutoffBehavior=self.chance.choice(("CONTINUE_TASK", "CANCEL_TASK")),
            TaskInvocationParameters={"RunCommand": parameters} if kind == "RUN_COMMAND" else {},
        )
        self.tasks[window] += [made["WindowTaskId"]] if made else []

    async def change(self, window):
        """Turned on or off, or of another schedule."""
        other = {"Schedule": self.chance.choice(SCHEDULES)}
        await self.call("UpdateMaintenanceWindow", WindowId=window, **self.chance.choice(({"Enabled": False}, other)))
        await self.call("UpdateMaintenanceWindow", WindowId=window, Enabled=self.chance.random() < 0.8)

    async def delete(self, window):
        """A window, a task or a target goes, or a node."""
        what = self.chance.randrange(4)
        if what == 0:
            await self.call("DeleteMaintenanceWindow", WindowId=window)
        elif what == 1 and self.tasks[window]:
            task = self.chance.choice(self.tasks[window])
            await self.call("DeregisterTaskFromMaintenanceWindow", WindowId=window, WindowTaskId=task)
        elif what == 2 and self.targets[window]:
            target = self.chance.choice(self.targets[window])
            await self.call("DeregisterTargetFromMaintenanceWindow", WindowId=window, WindowTargetId=target)
        elif len(self.nodes) > 3:
            await self.call("DeregisterManagedInstance", InstanceId=self.nodes.pop().instance_id)

    async def open(self, window):
        """By hand; the house itself lets many be open."""
        if self.most_open == MANY:
            await self.call("Patchwright.RunMaintenanceWindow", WindowId=window)

    async def cancel(self, window):
        """One of its executions, twice."""
        found = await self.call("DescribeMaintenanceWindowExecutions", WindowId=window)
        if found and found["WindowExecutions"]:
            execution = self.chance.choice(found["WindowExecutions"])["WindowExecutionId"]
            for _ in range(2):
                await self.call("CancelMaintenanceWindowExecution", WindowExecutionId=execution)

    async def regrant(self, _window):
        """The user may send commands no more, or again."""
        await grant(self.house, "u", statement(self.chance.choice(("ssm:*", "ssm:Describe*"))))

    async def wait(self, _window):
        """Time passes; seldom it goes back."""
        self.house.clock.time += self.chance.choice((60, 600, HOUR, 2 * HOUR, 2 * HOUR, -60, -HOUR))


ACTS = (
    *itertools.repeat(Soak.wait, 5),
    *(Soak.make, Soak.add_target, Soak.add_task, Soak.add_task, Soak.change),
    *(Soak.delete, Soak.open, Soak.open, Soak.cancel, Soak.cancel, Soak.regrant),
)


def _ask(statement_):
    return (yield statement_)


@pytest.mark.parametrize("number", range(SOAKS))
async def test_every_execution_ends_whatever_is_done_meanwhile(sqlite_url, tmp_path, number):
    """No call and no job fails, no more windows are open than may be, and when all are off and time has passed all is over."""
    house = await build(tmp_path, sqlite_url, "000000000001")
    try:
        soak = Soak(house, random.Random(f"soak {SEED} {number}"))
        await soak.furnish()
        for _ in range(STEPS):
            await soak.step()
        house.clock.time += 100 * HOUR  # after it had gone back: whoever asks often is asked to wait
        for window in soak.windows:
            await soak.call("UpdateMaintenanceWindow", WindowId=window, Enabled=False)
        for _ in range(200):
            if not await soak.rows("id <> ''"):
                break
            house.clock.time += 12 * HOUR
            await soak.tend()
        assert await soak.rows("id <> ''") == []
    finally:
        await house.close()
