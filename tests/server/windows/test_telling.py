# SPDX-License-Identifier: Apache-2.0
"""What happens to a window is told: each change once, with the members that EventBridge has (spec §7.7)."""

from __future__ import annotations

import json

import pytest

from patchwright.server import events
from server.gateway.house import build

ACCOUNT = "000000000001"


@pytest.fixture
async def house(sqlite_url, tmp_path):
    """A house with a database of its own; what it says to the database, the rooms' own tests say to both."""
    made = await build(tmp_path, sqlite_url, ACCOUNT)
    yield made
    await made.close()


async def told(house, *, subject="", kind=""):
    """Every event so far, oldest first; of one subject or kind."""
    await events.number_waiting(house.wired.database)
    asked = {**({"Subject": subject} if subject else {}), **({"DetailType": kind} if kind else {}), "MaxResults": 500}
    answer = await house.ask("Patchwright.ListEvents", asked)
    assert "NextToken" not in answer
    return [json.loads(one["Event"]) for one in reversed(answer["Events"])]


async def test_the_life_of_a_window_is_told_from_its_making_to_its_end(stage, house, node):
    """Window, target, task, execution, task execution, invocation: in order, and nothing twice."""
    begun = house.clock.now()
    window = await stage.window()
    target = await stage.target(OwnerInformation="the web team")
    task = await stage.task(target)
    await stage.tend()
    await stage.tend()
    await stage.carry_out(node)
    await stage.tend(after=60.5)
    await stage.tend()
    await stage.ask("UpdateMaintenanceWindowTarget", WindowId=window, WindowTargetId=target, Name="changed")
    await stage.ask("UpdateMaintenanceWindowTask", WindowId=window, WindowTaskId=task, Name="changed")
    await stage.ask("UpdateMaintenanceWindow", WindowId=window, Description="changed")
    await stage.ask("UpdateMaintenanceWindow", WindowId=window, Enabled=False)
    await stage.ask("DeregisterTaskFromMaintenanceWindow", WindowId=window, WindowTaskId=task)
    await stage.ask("DeregisterTargetFromMaintenanceWindow", WindowId=window, WindowTargetId=target)
    await stage.ask("DeleteMaintenanceWindow", WindowId=window)
    await stage.ask("DeleteMaintenanceWindow", WindowId=window)

    found = await told(house, subject=window)
    arn = f"arn:aws:ssm:us-east-1:{ACCOUNT}"
    assert [(one["detail-type"].removeprefix("Maintenance Window "), one["detail"]["status"]) for one in found] == [
        ("State-change Notification", "CREATED"),
        ("Target Registration Notification", "REGISTERED"),
        ("Task Registration Notification", "REGISTERED"),
        ("Execution State-change Notification", "PENDING"),
        ("Execution State-change Notification", "IN_PROGRESS"),
        ("Task Execution State-change Notification", "PENDING"),
        ("Task Execution State-change Notification", "IN_PROGRESS"),
        ("Task Target Invocation State-change Notification", "PENDING"),
        ("Task Target Invocation State-change Notification", "IN_PROGRESS"),
        ("Task Target Invocation State-change Notification", "SUCCESS"),
        ("Task Execution State-change Notification", "SUCCESS"),
        ("Execution State-change Notification", "SUCCESS"),
        ("Target Registration Notification", "UPDATED"),
        ("Task Registration Notification", "UPDATED"),
        ("State-change Notification", "DISABLED"),
        ("Task Registration Notification", "DEREGISTERED"),
        ("Target Registration Notification", "DEREGISTERED"),
        ("State-change Notification", "DELETED"),
    ]
    assert {one["resources"][0] for one in found} == {f"{arn}:maintenancewindow/{window}"}
    assert len({one["id"] for one in found}) == len(found)
    assert found[0]["detail"] == {"window-id": window, "status": "CREATED"}
    assert found[1]["detail"] == {"window-target-id": target, "window-id": window, "status": "REGISTERED"}
    assert found[1]["resources"][1:] == [f"{arn}:windowtarget/{target}"]
    names = {"window-task-id": task, "window-id": window}
    assert found[2]["detail"] == {**names, "owner-information": "", "status": "REGISTERED"}
    assert found[2]["resources"][1:] == [f"{arn}:windowtask/{task}"]
    (execution,) = {one["detail"]["window-execution-id"] for one in found[3:12]}
    times = {"start-time": events.iso_millis(begun), "end-time": events.iso_millis(begun + 60.5)}
    common = {**times, "window-id": window, "window-execution-id": execution, "status": "SUCCESS"}
    assert found[11]["detail"] == common
    assert "end-time" not in found[4]["detail"]
    assert "start-time" not in found[5]["detail"]
    run = found[10]["detail"]["task-execution-id"]
    assert found[10]["detail"] == {**common, "task-execution-id": run}
    owned = {"window-target-id": target, "owner-information": "the web team"}
    assert found[9]["detail"] == {**common, "task-execution-id": run, **owned}


async def test_what_comes_to_nothing_is_told_as_well(stage, house):
    """A window that opens without tasks, one that is skipped, one that is cancelled."""
    window = await stage.window()
    await stage.tend()
    target = await stage.target()
    await stage.task(target)
    node = await house.enrol(tags={"Patch Group": "web"})
    await stage.tend(after=86400.0)
    await stage.tend()
    (execution, _) = await stage.executions()
    await stage.ask("CancelMaintenanceWindowExecution", WindowExecutionId=execution["WindowExecutionId"])
    await stage.carry_out(node)
    await stage.tend()
    found = await told(house, subject=window, kind=events.WINDOW_EXECUTION)
    assert [one["detail"]["status"] for one in found] == [
        "SUCCESS",
        "PENDING",
        "IN_PROGRESS",
        "CANCELLING",
        "CANCELLED",
    ]


async def test_a_change_that_is_refused_is_not_told(stage, house):
    """What did not happen has no event."""
    window = await stage.window()
    target = await stage.target()
    await stage.task(target)
    before = await told(house)
    assert (
        await stage.code("DeregisterTargetFromMaintenanceWindow", WindowId=window, WindowTargetId=target, Safe=True)
        == "TargetInUseException"
    )
    assert await stage.code("UpdateMaintenanceWindow", WindowId=window, Duration=1, Cutoff=5) == "ValidationException"
    await stage.ask("DeleteMaintenanceWindow", WindowId="mw-0123456789abcdef0")
    assert await told(house) == before


async def test_what_a_node_was_patched_by_can_be_told_from_its_events(stage, house, node):
    """From the opening of the window to the verdict, in one order, for whoever has nothing but the API."""
    await stage.window()
    await stage.task(await stage.target())
    await stage.tend()
    await stage.tend()
    command = await stage.carry_out(node)
    await stage.tend()
    found = [(one["detail-type"], one["detail"]) for one in await told(house)]
    steps = [
        (kind, detail.get("status") or detail.get("compliance-status"))
        for kind, detail in found
        if kind not in {events.WINDOW, events.WINDOW_TARGET, events.WINDOW_TASK}
    ]
    order = [
        (events.WINDOW_EXECUTION, "IN_PROGRESS"),
        (events.COMMAND_INVOCATION, "InProgress"),
        (events.COMPLIANCE, "non_compliant"),
        (events.COMMAND_INVOCATION, "Success"),
        (events.COMMAND, "Success"),
        (events.WINDOW_TASK_INVOCATION, "SUCCESS"),
        (events.WINDOW_EXECUTION, "SUCCESS"),
    ]
    places = [steps.index(one) for one in order]
    assert len(set(steps)) == len(steps)
    assert places[0] < places[1] < min(places[2:4])
    assert places[4] < places[5] < places[6]
    mine = await told(house, subject=node.instance_id)
    assert {one["detail"].get("command-id", command) for one in mine} == {command}
    assert {one["detail-type"] for one in mine} == {events.COMMAND_INVOCATION, events.COMPLIANCE}
