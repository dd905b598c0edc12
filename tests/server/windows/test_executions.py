# SPDX-License-Identifier: Apache-2.0
"""What happens when a window opens (spec §4.4, §4.5), on the whole server, with nodes that are made up."""

from __future__ import annotations

import asyncio
import json

import pytest

from patchwright.server import windows

HOUR = 3600.0


async def test_a_window_scans_its_nodes(stage, node):
    """From the schedule to the recorded result, with every record in between telling the same."""
    await stage.window()
    task_id = await stage.task(await stage.target(OwnerInformation="shift 2"), Priority=0)

    assert await stage.tend() == [node.instance_id]  # a rate without start date opens at once
    (execution,) = await stage.executions()
    assert execution["Status"] == "IN_PROGRESS"
    command_id = await stage.carry_out(node)
    await stage.tend()

    (execution,) = await stage.executions()
    (task,) = await stage.tasks(execution)
    (invocation,) = await stage.invocations(task)
    assert (execution["Status"], task["Status"], invocation["Status"]) == ("SUCCESS",) * 3
    assert invocation["ExecutionId"] == command_id
    assert invocation["OwnerInformation"] == "shift 2"
    shown = json.loads(invocation["Parameters"])
    assert shown["parameters"] == {"Operation": ["Scan"], "SnapshotId": [execution["WindowExecutionId"]]}
    whole = await stage.ask("GetMaintenanceWindowExecution", WindowExecutionId=execution["WindowExecutionId"])
    assert whole["TaskIds"] == [task["TaskExecutionId"]]
    sent = await stage.ask(
        "GetMaintenanceWindowExecutionTask",
        WindowExecutionId=execution["WindowExecutionId"],
        TaskId=task["TaskExecutionId"],
    )
    (parameters,) = sent["TaskParameters"]
    assert parameters["aws:InstanceId"] == {"Values": [node.instance_id]}
    assert parameters["Operation"] == {"Values": ["Scan"]}
    assert parameters["RebootOption"] == {"Values": ["RebootIfNeeded"]}  # the document's default
    kept = await stage.ask("GetMaintenanceWindowTask", WindowId=stage.id, WindowTaskId=task_id)
    assert kept["Priority"] == 0
    states = await stage.ask("DescribeInstancePatchStates", InstanceIds=[node.instance_id])
    assert states["InstancePatchStates"][0]["SnapshotId"] == execution["WindowExecutionId"]


async def test_tending_again_changes_nothing(stage, node):
    """And several at once open a window once, and send one command."""
    await stage.window()
    await stage.task(await stage.target())

    await asyncio.gather(*(stage.tend() for _ in range(4)))
    before = await stage.house.dump()
    await stage.tend()

    assert await stage.house.dump() == before
    assert len(await stage.executions()) == 1
    assert len(await stage.house.messages(node)) == 1


async def test_priorities_follow_each_other_whatever_came_of_the_first(stage, node):
    """The second task starts when the first has ended, though that failed."""
    await stage.window()
    target = await stage.target()
    await stage.task(target, Priority=1, Name="first")
    await stage.task(target, Priority=5, Name="second")

    await stage.tend()
    (execution,) = await stage.executions()
    assert [task["Status"] for task in await stage.tasks(execution)] == ["IN_PROGRESS", "PENDING"]
    await stage.carry_out(node, status="Failed")
    await stage.tend()
    assert [task["Status"] for task in await stage.tasks(execution)] == ["FAILED", "IN_PROGRESS"]
    await stage.carry_out(node)
    await stage.tend()

    (execution,) = await stage.executions()
    assert (execution["Status"], execution["StatusDetails"]) == (
        "FAILED",
        "One or more tasks in the orchestration failed.",
    )


async def test_a_window_that_is_open_still_is_skipped(stage, node):
    """The next opening is recorded, and nothing runs."""
    await stage.window(Schedule="rate(1 hour)")
    await stage.task(await stage.target())

    await stage.tend()
    await stage.tend(after=HOUR)

    newest, oldest = await stage.executions()
    assert (newest["Status"], oldest["Status"]) == ("SKIPPED_OVERLAPPING", "IN_PROGRESS")
    assert await stage.tasks(newest) == []
    assert node.instance_id


async def test_nothing_starts_after_the_cutoff(stage, node):
    """What is under way goes on; what has not begun times out (spec §4.4)."""
    await stage.window()
    target = await stage.target()
    await stage.task(target, Priority=1)
    await stage.task(target, Priority=2)

    await stage.tend()
    taken = await stage.take(node)
    await stage.tend(after=2 * HOUR)
    (execution,) = await stage.executions()
    assert [task["Status"] for task in await stage.tasks(execution)] == ["IN_PROGRESS", "PENDING"]
    await stage.carry_out(node, command_id=taken)
    await stage.tend()

    (execution,) = await stage.executions()
    assert [task["Status"] for task in await stage.tasks(execution)] == ["SUCCESS", "TIMED_OUT"]
    assert execution["Status"] == "TIMED_OUT"


async def test_a_task_may_be_cut_off(stage, node):
    """CANCEL_TASK is a CancelCommand: what no node has begun never begins, the others are told to stop (spec §4.4)."""
    second = await stage.house.enrol(tags={"Patch Group": "web"})
    await stage.window()
    await stage.task(await stage.target(), CutoffBehavior="CANCEL_TASK", MaxConcurrency="1")

    (first_to_start,) = await stage.tend()
    begun = next(one for one in (node, second) if one.instance_id == first_to_start)
    await stage.take(begun)
    assert await stage.tend(after=2 * HOUR) == [first_to_start]

    (execution,) = await stage.executions()
    assert execution["Status"] == "TIMED_OUT"
    other = next(one for one in (node, second) if one.instance_id != first_to_start)
    (task,) = await stage.tasks(execution)
    (invocation,) = await stage.invocations(task)
    left = await stage.ask("GetCommandInvocation", CommandId=invocation["ExecutionId"], InstanceId=other.instance_id)
    assert left["Status"] == "Cancelled"
    told = await stage.ask("GetCommandInvocation", CommandId=invocation["ExecutionId"], InstanceId=begun.instance_id)
    assert told["Status"] == "Cancelling"
    (message,) = await stage.house.messages(begun)
    assert json.loads(message["Payload"])["CancelMessageId"].split(".")[2] == invocation["ExecutionId"]


async def test_a_missed_opening_says_so(stage, node):
    """The server was down until after the cutoff: the execution names the outage, and nothing is done late."""
    await stage.window(StartDate="2100-01-01T00:00:00Z")
    await stage.task(await stage.target())
    due = windows.moment("2100-01-01T00:00:00Z")

    await stage.tend(after=due + 2 * HOUR - stage.house.clock.time)

    (execution,) = await stage.executions()
    assert execution["Status"] == "TIMED_OUT"
    assert "No server was running when the window opened at 2100-01-01T00:00Z" in execution["StatusDetails"]
    assert node.instance_id


async def test_a_late_opening_before_the_cutoff_is_made_up(stage, node):
    """Down for an hour: it starts as soon as the server is back."""
    await stage.window(StartDate="2100-01-01T00:00:00Z")
    await stage.task(await stage.target())
    due = windows.moment("2100-01-01T00:00:00Z")

    assert await stage.tend(after=due + HOUR - stage.house.clock.time) == [node.instance_id]


async def test_an_execution_can_be_cancelled(stage, node):
    """What is under way runs to its end; nothing else starts."""
    await stage.window()
    target = await stage.target()
    await stage.task(target, Priority=1)
    await stage.task(target, Priority=2)
    await stage.tend()
    (execution,) = await stage.executions()

    await stage.ask("CancelMaintenanceWindowExecution", WindowExecutionId=execution["WindowExecutionId"])
    await stage.tend()
    (execution,) = await stage.executions()
    assert execution["Status"] == "CANCELLING"
    await stage.carry_out(node)
    await stage.tend()

    (execution,) = await stage.executions()
    assert execution["Status"] == "CANCELLED"
    assert [task["Status"] for task in await stage.tasks(execution)] == ["SUCCESS", "CANCELLED"]


async def test_a_window_without_tasks_succeeds(stage):
    """With AWS's words."""
    await stage.window()
    await stage.tend()

    (execution,) = await stage.executions()
    assert (execution["Status"], execution["StatusDetails"]) == ("SUCCESS", "No tasks to execute.")


@pytest.mark.parametrize(
    ("members", "why"),
    [
        (
            {"TaskType": "AUTOMATION", "TaskArn": "AWS-StopEC2Instance", "TaskInvocationParameters": {}},
            "not served yet",
        ),
        ({"TaskArn": "No-Such-Document"}, "No-Such-Document"),
        (
            {"TaskInvocationParameters": {"RunCommand": {"Parameters": {}, "DocumentHash": "0" * 64}}},
            "hash is another",
        ),
    ],
)
async def test_what_cannot_run_fails_and_says_why(stage, node, members, why):
    """Found out when it runs, not when it is registered."""
    await stage.window()
    await stage.task(await stage.target(), **members)
    await stage.tend()

    (execution,) = await stage.executions()
    (task,) = await stage.tasks(execution)
    assert (execution["Status"], task["Status"]) == ("FAILED", "FAILED")
    assert why in task["StatusDetails"]
    assert node.instance_id


async def test_a_task_says_where_its_output_goes_and_who_is_told(stage, node):
    """What a command is sent with is on the command; a topic that there is not fails the task with the reason."""
    hook = {"Name": "ops", "Url": "https://hooks.example.com/"}
    await stage.house.ask("Patchwright.PutSubscription", hook)
    topic = f"arn:aws:sns:us-east-1:{stage.house.account}:ops"
    told = {"NotificationArn": topic, "NotificationEvents": ["Success"], "NotificationType": "Invocation"}
    parts = {"OutputS3BucketName": "logs", "OutputS3KeyPrefix": "nightly"}
    group = {"CloudWatchLogGroupName": "nightly", "CloudWatchOutputEnabled": True}
    run = {"Parameters": {"Operation": ["Scan"]}, **parts, "NotificationConfig": told, "CloudWatchOutputConfig": group}
    await stage.window()
    await stage.task(await stage.target(), TaskInvocationParameters={"RunCommand": run})
    run["NotificationConfig"] = {"NotificationArn": f"{topic}-none"}
    await stage.task(await stage.target(), TaskInvocationParameters={"RunCommand": run})
    await stage.tend()

    (command,) = (await stage.ask("ListCommands"))["Commands"]
    assert {name: command[name] for name in parts} == parts
    assert (command["NotificationConfig"], command["CloudWatchOutputConfig"]) == (told, group)
    (execution,) = await stage.executions()
    failed = [one["StatusDetails"] for one in await stage.tasks(execution) if one["Status"] == "FAILED"]
    assert len(failed) == 1
    assert "ops-none" in failed[0]
    assert node.instance_id


async def test_an_execution_that_cannot_go_on_holds_up_no_other_one(stage, node, monkeypatch):
    """Whatever is wrong with it, those that are looked at later go on, and the job says what it was."""
    opened = []
    for name in ("first", "second"):
        opened.append(await stage.window(Name=name))
        await stage.task(await stage.target())
    advance, poisoned = windows.machine.advance, []

    def failing(scope, execution_id, **options):
        poisoned.append(execution_id)
        if execution_id == poisoned[0]:
            raise RecursionError("of its task")
        return advance(scope, execution_id, **options)

    monkeypatch.setattr(windows.machine, "advance", failing)
    with pytest.raises(RecursionError):
        await stage.tend()
    states = {}
    for stage.id in opened:
        (execution,) = await stage.executions()
        states[execution["WindowExecutionId"]] = [one["Status"] for one in await stage.tasks(execution)]
    assert states.pop(poisoned[0]) == ["PENDING"]
    assert list(states.values()) == [["IN_PROGRESS"]]


async def test_a_disabled_window_does_nothing(stage, node):
    """Until it is enabled; what it missed meanwhile is not made up."""
    await stage.window(Schedule="cron(0 2 ? * * *)")
    await stage.task(await stage.target())
    await stage.ask("UpdateMaintenanceWindow", WindowId=stage.id, Enabled=False)

    assert await stage.tend(after=48 * HOUR) == []
    assert await stage.executions() == []
    await stage.ask("UpdateMaintenanceWindow", WindowId=stage.id, Enabled=True)
    await stage.tend()
    assert await stage.executions() == []
    assert await stage.tend(after=24 * HOUR) == [node.instance_id] or await stage.executions()


async def test_old_executions_are_forgotten(stage):
    """After thirty days, with all that belongs to them."""
    await stage.window(Schedule="at(2100-01-01T00:00:00)")
    due = windows.moment("2100-01-01T00:00:00Z")
    await stage.tend(after=due - stage.house.clock.time)
    assert len(await stage.executions()) == 1

    await stage.tend(after=31 * 24 * HOUR)

    assert await stage.executions() == []
