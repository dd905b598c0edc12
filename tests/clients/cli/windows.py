# SPDX-License-Identifier: Apache-2.0
"""The scenes of the pages about maintenance windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clients.cli.scenes import Names, Stage, nothing
from patchwright.server import aws, windows
from patchwright.server.wire import Credential

SELDOM = "cron(0 16 1 JAN ? 2036)"
AT_ONCE = "rate(7 days)"  # such a window opens when it is made, and then every seven days
RUN_COMMAND = {"RunCommand": {"Comment": "", "TimeoutSeconds": 600, "Parameters": {"Operation": ["Scan"]}}}
WINDOWS = (
    "mw-1a2b3c4d5e6f7g8h9",
    "mw-ab12cd34ef56gh78",
    "mw-ab12cd34eEXAMPLE",
    "mw-0ecb1226dd7b2e9a6",
    "mw-06cf17cbefEXAMPLE",
    "mw-0ecb1226ddEXAMPLE",
    "mw-03eb9db428EXAMPLE",
    "mw-0c5ed765acEXAMPLE",
    "mw-06cf17cbefcb4bf4f",
    "mw-0c50858d01EXAMPLE",
    "mw-082dcd7649EXAMPLE",
    "mw-082dcd7649dee04e4",
    "mw-1234d787d6EXAMPLE",
)
TARGETS = (
    "1a2b3c4d-1a2b-1a2b-1a2b-1a2b3c4d-1a2",
    "12347414-69c3-49f8-95b8-ed2dcEXAMPLE",
    "350d44e6-28cc-44e2-951f-4b2c9EXAMPLE",
    "57e8344e-fe64-4023-8191-6bf05EXAMPLE",
)
TASKS = (
    "1a2b3c4d-1a2b-1a2b-1a2b-1a2b3c4d5e6c",
    "0e842a8d-2d44-4886-bb62-af8dcEXAMPLE",
    "23d3809e-9fbe-4ddf-b41a-b49d7EXAMPLE",
)
NODES = (
    "i-0000293ffd8c57862",
    "i-0cb2b964d3e14fd9f",
    "i-1234520122EXAMPLE",
    "i-12344d305eEXAMPLE",
    "i-1234567890EXAMPLE",
)
EXECUTIONS = (
    "518d5565-5969-4cca-8f0e-da3b2a638355",
    "518d5565-5969-4cca-8f0e-da3b2EXAMPLE",
    "bc494bfa-e63b-49f6-8ad1-aa9f2EXAMPLE",
    "j2l8d5b5c-mw66-tk4d-r3g9-1d4d1EXAMPLE",
)
TASK_EXECUTIONS = (
    "ac0c6ae1-daa3-4a89-832e-d384503b6586",
    "ac0c6ae1-daa3-4a89-832e-d3845EXAMPLE",
    "96f2ad59-97e3-461d-a63d-40c8aEXAMPLE",
)
INVOCATION = "a5273e2c-d2c6-4880-b3e1-5e550EXAMPLE"
LATER = {"at(2020-05-14T15:55:00)": "at(2036-05-14T15:55:00)"}


def window(stage: Stage, **members: Any) -> str:
    """A maintenance window."""
    given = {"Name": "My-Maintenance-Window", "Schedule": SELDOM, "Duration": 2, "Cutoff": 1}
    return str(
        stage.ssm.create_maintenance_window(**{**given, "AllowUnassociatedTargets": True, **members})["WindowId"]
    )


def task(stage: Stage, of: str, key: str, value: str, **members: Any) -> str:
    """A task of a window, which scans."""
    given = {
        "TaskArn": "AWS-RunPatchBaseline",
        "TaskType": "RUN_COMMAND",
        "ServiceRoleArn": "arn:aws:iam::111222333444:role/MW",
        "MaxConcurrency": "1",
        "MaxErrors": "1",
        "Priority": 1,
        "Name": "ExampleTask",
        "Description": "Scan",
        "TaskInvocationParameters": RUN_COMMAND,
    }
    targets = [{"Key": key, "Values": [value]}]
    answer = stage.ssm.register_task_with_maintenance_window(**{**given, "WindowId": of, "Targets": targets, **members})
    return str(answer["WindowTaskId"])


def furnished(stage: Stage) -> Names:
    """A window with a target and a task, and a node."""
    node = str(stage.node(Environment="Prod").instance_id)
    made = window(stage)
    target = stage.ssm.register_target_with_maintenance_window(
        WindowId=made,
        ResourceType="INSTANCE",
        Targets=[{"Key": "InstanceIds", "Values": [node]}],
        OwnerInformation="CostCenter1",
        Name="ProdTarget1",
    )["WindowTargetId"]
    own = task(stage, made, "WindowTargetIds", target)
    task(stage, made, "WindowTargetIds", target, Priority=3)
    return {
        **dict.fromkeys(WINDOWS, made),
        **dict.fromkeys(TARGETS, target),
        **dict.fromkeys(TASKS, own),
        **dict.fromkeys(NODES, node),
        "TaskArn,Values=AWS-RunPowerShellScript": "TaskArn,Values=AWS-RunPatchBaseline",
    }


def unused(stage: Stage) -> Names:
    """A window whose target no task uses."""
    names = furnished(stage)
    made = names[WINDOWS[0]]
    for one in stage.ssm.describe_maintenance_window_tasks(WindowId=made)["Tasks"]:
        stage.ssm.deregister_task_from_maintenance_window(WindowId=made, WindowTaskId=one["WindowTaskId"])
    return names


def opened(*, finished: bool) -> Callable[[Stage], Names]:
    """A window that has opened once, and whose task is done, or waits for the node."""

    def make(stage: Stage) -> Names:
        node = stage.node()
        made = window(stage, Schedule=AT_ONCE)
        task(stage, made, "InstanceIds", str(node.instance_id))
        stage.account.run(_open(stage, node, finished=finished))
        (execution,) = stage.ssm.describe_maintenance_window_executions(WindowId=made)["WindowExecutions"]
        number = execution["WindowExecutionId"]
        tasks = stage.ssm.describe_maintenance_window_execution_tasks(WindowExecutionId=number)
        (one,) = tasks["WindowExecutionTaskIdentities"]
        invocations = stage.ssm.describe_maintenance_window_execution_task_invocations(
            WindowExecutionId=number, TaskId=one["TaskExecutionId"]
        )
        (invocation,) = invocations["WindowExecutionTaskInvocationIdentities"]
        return {
            **dict.fromkeys(WINDOWS, made),
            **dict.fromkeys(EXECUTIONS, number),
            **dict.fromkeys(TASK_EXECUTIONS, one["TaskExecutionId"]),
            INVOCATION: invocation["InvocationId"],
            "ExecutedBefore,Values=2021-08-03": "ExecutedBefore,Values=2036-08-03",
        }

    return make


async def _open(stage: Stage, node: Credential, *, finished: bool) -> None:
    await _tend(stage)
    if finished:
        await stage.carry_out(node)
        await _tend(stage)


async def _tend(stage: Stage) -> None:
    """As often as an execution has steps: it opens, its task starts, its commands are sent, they are looked at."""
    house = stage.account.house
    for _ in range(4):
        await windows.tend(house.wired.database, house.clock, house.wired.waking.wake, aws.rights_of_task)


WINDOW_SCENES: dict[str, Callable[[Stage], Names]] = {
    "cancel-maintenance-window-execution": opened(finished=False),
    "create-maintenance-window 1": nothing,
    "create-maintenance-window 2": lambda _: LATER,
    "delete-maintenance-window": furnished,
    "deregister-target-from-maintenance-window": unused,
    "deregister-task-from-maintenance-window": furnished,
    "describe-maintenance-window-execution-task-invocations": opened(finished=True),
    "describe-maintenance-window-execution-tasks": opened(finished=True),
    "describe-maintenance-window-executions": opened(finished=True),
    "describe-maintenance-window-schedule": furnished,
    "describe-maintenance-window-targets": furnished,
    "describe-maintenance-window-tasks": furnished,
    "describe-maintenance-windows": furnished,
    "describe-maintenance-windows-for-target": furnished,
    "get-maintenance-window": furnished,
    "get-maintenance-window-execution": opened(finished=True),
    "get-maintenance-window-execution-task": opened(finished=True),
    "get-maintenance-window-execution-task-invocation": opened(finished=True),
    "get-maintenance-window-task": furnished,
    "register-target-with-maintenance-window": furnished,
    "register-task-with-maintenance-window": furnished,
    "update-maintenance-window": furnished,
    "update-maintenance-window-target": furnished,
    "update-maintenance-window-task": furnished,
    "add-tags-to-resource 1": lambda stage: {"mw-03eb9db428EXAMPLE": window(stage)},
}
