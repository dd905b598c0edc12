# SPDX-License-Identifier: Apache-2.0
"""Windows that begin nothing which would not end before they close, where their tag says so."""

from __future__ import annotations

import pytest

from server.windows.pasts import remember

WEB = {"Patch Group": "web"}
MUST_FIT = [{"Key": "patchwright:must-fit", "Value": "true"}]
HOUR = 3600.0


async def pair(stage):
    """A node that scans in a minute, and one that takes four hours; in the order in which they are reached."""
    first, second = sorted([await stage.house.enrol(tags=WEB) for _ in range(2)], key=lambda one: one.instance_id)
    await remember(stage.house, first, scans=[60.0] * 3)
    await remember(stage.house, second, scans=[4 * HOUR] * 3)
    return first, second


async def test_what_would_end_too_late_is_not_begun(stage):
    """The node is told nothing; command, task and execution say what was not begun, and why."""
    quick, slow = await pair(stage)
    await stage.window(Tags=MUST_FIT)
    await stage.task(await stage.target())

    assert await stage.tend() == [quick.instance_id]
    command_id = await stage.carry_out(quick)
    await stage.tend()
    (execution,) = await stage.executions()
    (task,) = await stage.tasks(execution)
    told = "1 of its nodes were not begun, since they would not have ended before the window closes."
    assert execution["Status"] == task["Status"] == "TIMED_OUT"
    assert execution["StatusDetails"] == task["StatusDetails"] == f"{told} Command {command_id}: Incomplete."
    asked = {"CommandId": command_id, "InstanceId": slow.instance_id}
    found = await stage.ask("GetCommandInvocation", **asked, PluginName="PatchLinux")
    assert (found["Status"], found["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
    assert found["StandardErrorContent"] == "Not begun: needs 4 h 0 min (p95), 3 h 0 min left."
    (listed,) = (await stage.ask("ListCommandInvocations", **asked))["CommandInvocations"]
    assert listed["TraceOutput"] == found["StandardErrorContent"]


@pytest.mark.parametrize("tags", [[], [{"Key": "patchwright:must-fit", "Value": "false"}]])
async def test_without_the_tag_everything_is_begun(stage, tags):
    """Also what will surely last longer than the window."""
    nodes = await pair(stage)
    await stage.window(Tags=tags)
    await stage.task(await stage.target())

    assert sorted(await stage.tend()) == sorted(node.instance_id for node in nodes)


async def test_what_the_forecast_says_is_what_is_not_begun(stage):
    """The same nodes, by the same numbers; and the forecast says that the window refuses."""
    quick, slow = await pair(stage)
    await stage.window(Tags=MUST_FIT)
    await stage.task(await stage.target(), MaxConcurrency="1")

    found = await stage.house.ask("Patchwright.GetForecast", {"WindowId": stage.id})
    assert found["MustFit"]
    verdicts = {one["InstanceId"]: (one["Verdict"], "StartsBy" in one) for one in found["Nodes"]}
    assert verdicts == {quick.instance_id: ("FITS", True), slow.instance_id: ("DOES_NOT_FIT", False)}
    assert await stage.tend() == [quick.instance_id]


async def test_the_tag_counts_when_a_task_is_sent(stage):
    """Tagged after it was made, and by the window's own tags: from the next command on."""
    quick, _ = await pair(stage)
    await stage.window()
    await stage.task(await stage.target())
    resource = {"ResourceType": "MaintenanceWindow", "ResourceId": stage.id}
    await stage.ask("AddTagsToResource", **resource, Tags=MUST_FIT)

    assert await stage.tend() == [quick.instance_id]


async def test_a_window_in_which_nothing_fits_has_timed_out(stage):
    """It says how many were not begun; its later tasks have their turn all the same."""
    node = await stage.house.enrol(tags=WEB)
    await remember(stage.house, node, scans=[4 * HOUR] * 3)
    await stage.window(Tags=MUST_FIT)
    target = await stage.target()
    await stage.task(target, Priority=0)
    shell = {"TaskInvocationParameters": {"RunCommand": {"Parameters": {"commands": ["true"]}}}}
    await stage.task(target, TaskArn="AWS-RunShellScript", **shell)
    await stage.tend()
    await stage.tend()

    (execution,) = await stage.executions()
    first, second = await stage.tasks(execution)
    assert (first["Status"], second["Status"]) == ("TIMED_OUT", "IN_PROGRESS")
    assert first["StatusDetails"].startswith("1 of its nodes were not begun")
    command_id = await stage.take(node)  # what a script takes nobody knows
    await stage.house.reply(node, command_id, "Success")
    await stage.tend()
    (execution,) = await stage.executions()
    assert execution["Status"] == "TIMED_OUT"
    assert "DeliveryTimedOut" in execution["StatusDetails"]
