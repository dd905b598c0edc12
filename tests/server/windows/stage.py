# SPDX-License-Identifier: Apache-2.0
"""A maintenance window of a whole server, and what is done with it."""

from __future__ import annotations

import json

from patchwright.server import windows
from patchwright.server.aws import rights_of_task
from server.patching.bench import OUTDATED


class Stage:
    """A window of one house, and what is done with it."""

    def __init__(self, house):
        self.house = house

    async def ask(self, operation, **members):
        """The answer of an operation."""
        return await self.house.ask(f"AmazonSSM.{operation}", members)

    async def code(self, operation, **members):
        """The code with which it is refused."""
        return await self.house.code(f"AmazonSSM.{operation}", members)

    async def window(self, **members):
        """A new window, open for three hours, the last of which starts nothing."""
        given = {
            "Name": "nightly",
            "Schedule": "rate(1 day)",
            "Duration": 3,
            "Cutoff": 1,
            "AllowUnassociatedTargets": True,
            **members,
        }
        self.id = (await self.ask("CreateMaintenanceWindow", **given))["WindowId"]
        return self.id

    async def target(self, **members):
        """A registration of the nodes of the group web."""
        given = {"ResourceType": "INSTANCE", "Targets": [{"Key": "tag:Patch Group", "Values": ["web"]}], **members}
        answer = await self.ask("RegisterTargetWithMaintenanceWindow", WindowId=self.id, **given)
        return answer["WindowTargetId"]

    async def task(self, *targets, **members):
        """A task that scans the nodes of *targets*."""
        parameters = {"Operation": ["Scan"], **members.pop("Parameters", {})}
        given = {
            "TaskType": "RUN_COMMAND",
            "TaskArn": "AWS-RunPatchBaseline",
            "Targets": [{"Key": "WindowTargetIds", "Values": list(targets)}],
            "MaxConcurrency": "10",
            "MaxErrors": "0",
            "TaskInvocationParameters": {"RunCommand": {"Parameters": parameters}},
            **members,
        }
        return (await self.ask("RegisterTaskWithMaintenanceWindow", WindowId=self.id, **given))["WindowTaskId"]

    async def tend(self, *, after=0.0, most_open=None):
        """Let *after* seconds pass, and the job have its turn."""
        self.house.clock.time += after
        woken = []
        database, clock = self.house.wired.database, self.house.clock
        await windows.tend(database, clock, woken.extend, rights_of_task, most_open=most_open)
        return woken

    async def executions(self):
        """The window's executions, newest first."""
        return (await self.ask("DescribeMaintenanceWindowExecutions", WindowId=self.id))["WindowExecutions"]

    async def tasks(self, execution):
        """The tasks of an execution, by priority."""
        answer = await self.ask(
            "DescribeMaintenanceWindowExecutionTasks", WindowExecutionId=execution["WindowExecutionId"]
        )
        return answer["WindowExecutionTaskIdentities"]

    async def invocations(self, task):
        """The invocations of a task."""
        answer = await self.ask(
            "DescribeMaintenanceWindowExecutionTaskInvocations",
            WindowExecutionId=task["WindowExecutionId"],
            TaskId=task["TaskExecutionId"],
        )
        return answer["WindowExecutionTaskInvocationIdentities"]

    async def take(self, node):
        """The node takes the command that waits for it."""
        (message,) = await self.house.messages(node)
        command_id = json.loads(message["Payload"])["CommandId"]
        assert (await self.house.reply(node, command_id, "InProgress")).status == 200
        return command_id

    async def carry_out(self, node, view=OUTDATED, *, status="Success", command_id=""):
        """The node takes the command that waits for it, or has taken it, and reports."""
        command_id = command_id or await self.take(node)
        await self.house.put_facts(node, await self.house.begin(node, command_id), view)
        assert (await self.house.reply(node, command_id, status)).status == 200
        return command_id
