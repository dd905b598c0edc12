# SPDX-License-Identifier: Apache-2.0
"""What a window's next opening comes to, over the API: from what nodes took before, for whom and when."""

from __future__ import annotations

from server.patching.bench import NOW, PATCHED
from server.windows.pasts import remember

WEB = {"Patch Group": "web"}
INSTALL = {"Operation": ["Install"]}


async def forecast(stage, **members):
    """The whole of it, page by page."""
    found = await stage.house.ask("Patchwright.GetForecast", {"WindowId": stage.id, **members})
    while "NextToken" in found:
        asked = {"WindowId": stage.id, **members, "NextToken": found.pop("NextToken")}
        page = await stage.house.ask("Patchwright.GetForecast", asked)
        found = {**page, "Nodes": found["Nodes"] + page["Nodes"]}
    return found


async def nodes(stage, number):
    """So many nodes of the group web, in the order in which a window reaches them."""
    made = [await stage.house.enrol(tags=WEB) for _ in range(number)]
    return sorted(made, key=lambda node: node.instance_id)


def counted(found):
    """How many fit, do not, and of how many nobody can say."""
    return found["Fits"], found["DoesNotFit"], found["Unknown"]


async def test_a_nodes_own_scans_tell_how_long_its_next_one_takes(stage, node):
    """Three scans are enough; what is told is p50 and p95 of them, by real operations."""
    await stage.window()
    await stage.task(await stage.target())
    assert counted(await forecast(stage)) == (0, 0, 1)
    for seconds in (3.0, 9.0, 5.0):
        command_id = (await stage.house.send(node))["CommandId"]
        await stage.take(node)
        operation = await stage.house.begin(node, command_id)
        stage.house.clock.time += seconds
        await stage.house.put_facts(node, operation, PATCHED)
        await stage.house.reply(node, command_id, "Success")

    found = await forecast(stage)
    (one,) = found["Nodes"]
    opens = found["Opens"]
    assert (one["SecondsP50"], one["SecondsP95"], one["Basis"]) == (5.0, 9.0, "OWN")
    assert (one["Verdict"], one["StartsBy"], one["EndsBy"]) == ("FITS", opens, opens + 9.0)
    assert (found["Cutoff"], found["Closes"], found["MustFit"]) == (opens + 7200, opens + 10800, False)
    (task,) = found["Tasks"]
    assert (task["StartsBy"], task["EndsP50"], task["EndsP95"]) == (opens, opens + 5.0, opens + 9.0)
    assert (counted(task), task["Certain"]) == ((1, 0, 0), True)


async def test_what_is_due_decides_what_a_node_does(stage):
    """A node that misses nothing scans; one that misses something installs, and restarts where that is wanted."""
    current, behind = await nodes(stage, 2)
    past = {"scans": [10.0] * 3, "installs": [100.0] * 3, "restarts": [50.0] * 3}
    await remember(stage.house, current, missing=0, **past)
    await remember(stage.house, behind, missing=2, **past)
    await stage.window()
    await stage.task(target := await stage.target(), Parameters=INSTALL)
    await stage.task(target, Parameters={**INSTALL, "RebootOption": ["NoReboot"]}, Priority=2)

    found = await forecast(stage)
    assert [(one["InstanceId"], one["SecondsP95"]) for one in found["Nodes"]] == [
        (current.instance_id, 10.0),
        (behind.instance_id, 160.0),
        (current.instance_id, 10.0),
        (behind.instance_id, 110.0),
    ]
    first, second = found["Tasks"]
    assert second["StartsBy"] == first["EndsP95"] == found["Opens"] + 160.0


async def test_the_past_of_its_like_stands_in_for_a_nodes_own(stage):
    """Nodes with the same operating system of the same account; what never reported is unknown."""
    silent, fresh, known = await nodes(stage, 3)
    await remember(stage.house, fresh, scans=[7.0], installs=[], missing=1)
    await remember(stage.house, known, scans=[7.0] * 3, installs=[60.0, 70.0, 80.0], restarts=[30.0] * 3)
    await stage.window()
    await stage.task(await stage.target(), Parameters=INSTALL)

    found = {one["InstanceId"]: one for one in (await forecast(stage))["Nodes"]}
    assert (found[fresh.instance_id]["Basis"], found[fresh.instance_id]["SecondsP95"]) == ("PLATFORM", 117.0)
    assert (found[known.instance_id]["Basis"], found[known.instance_id]["SecondsP50"]) == ("OWN", 107.0)
    assert found[silent.instance_id]["Verdict"] == "UNKNOWN"
    assert "SecondsP50" not in found[silent.instance_id]


async def test_a_page_goes_on_where_the_one_before_ended(stage):
    """Every node once, in order, with the summary on each page; a filter shows one verdict alone."""
    group = await nodes(stage, 5)
    for number, one in enumerate(group):
        await remember(stage.house, one, scans=[1000.0 if number % 2 else 10.0] * 3)
    await stage.window()
    await stage.task(await stage.target(), MaxConcurrency="1")

    whole, paged = await forecast(stage), await forecast(stage, MaxResults=2)
    assert paged == whole
    assert [one["InstanceId"] for one in whole["Nodes"]] == [one.instance_id for one in group]
    assert counted(whole) == (5, 0, 0)
    late = await forecast(stage, At=NOW + 1e6, MaxResults=1)
    assert late["Opens"] == NOW + 1e6
    assert await forecast(stage, Verdict="DOES_NOT_FIT") == {**whole, "Nodes": []}
    stage.house.clock.time += 400.0  # the process has forgotten it by now
    first = await stage.house.ask("Patchwright.GetForecast", {"WindowId": stage.id, "MaxResults": 4})
    stage.house.clock.time += 400.0
    asked = {"WindowId": stage.id, "MaxResults": 4, "NextToken": first["NextToken"]}
    (last,) = (await stage.house.ask("Patchwright.GetForecast", asked))["Nodes"]
    assert last == whole["Nodes"][-1]


async def test_registrations_tasks_and_named_nodes_come_in_the_machines_order(stage):
    """One registration after the other; nodes that a task names itself in the order in which it does."""
    first, second = await nodes(stage, 2)
    for one in (first, second):
        await remember(stage.house, one, scans=[10.0] * 3)
    await stage.window()
    ids = [{"Key": "InstanceIds", "Values": [second.instance_id, first.instance_id]}]
    await stage.task(await stage.target(), await stage.target(Targets=ids), MaxConcurrency="25%")  # of all four
    await stage.task(Targets=ids, MaxConcurrency="50%", Priority=2)

    found = await forecast(stage)
    starts = [(one["InstanceId"], one["StartsBy"] - found["Opens"]) for one in found["Nodes"]]
    forth = [first.instance_id, second.instance_id]
    assert starts == list(zip(forth + forth + forth[::-1], [0.0, 10.0, 20.0, 30.0, 40.0, 50.0], strict=True))


async def test_a_node_outside_the_window_is_not_reached_by_name(stage, node):
    """Where tasks may name only nodes that belong to a target, others are left out."""
    await stage.window(AllowUnassociatedTargets=False)
    target = await stage.target()
    await stage.task(Targets=[{"Key": "InstanceIds", "Values": [node.instance_id]}])
    assert [one["InstanceId"] for one in (await forecast(stage))["Nodes"]] == [node.instance_id]
    await stage.ask("DeregisterTargetFromMaintenanceWindow", WindowId=stage.id, WindowTargetId=target)

    assert (await forecast(stage))["Nodes"] == []


async def test_a_task_that_is_no_patching_takes_what_it_took(stage, node):
    """The window's own earlier executions tell; before there are three, what comes behind it is uncertain."""
    await remember(stage.house, node, scans=[10.0] * 3)
    await stage.window()
    target = await stage.target()
    shell = {"TaskInvocationParameters": {"RunCommand": {"Parameters": {"commands": ["true"]}}}}
    await stage.task(target, TaskArn="AWS-RunShellScript", Priority=0, **shell)
    scan_id = await stage.task(target)
    assert counted(await forecast(stage)) == (0, 0, 1)
    for seconds in (30.0, 20.0, 40.0):
        await stage.tend(after=86_400.0)
        await stage.tend()
        command_id = await stage.take(node)
        stage.house.clock.time += seconds
        await stage.house.reply(node, command_id, "Success")
        await stage.tend()
        await stage.carry_out(node)
        await stage.tend()

    found = await forecast(stage)
    assert [task["Certain"] for task in found["Tasks"]] == [True, True]
    (one,) = found["Nodes"]
    assert (one["WindowTaskId"], one["Verdict"], one["StartsBy"]) == (scan_id, "FITS", found["Opens"] + 40.0)


async def test_what_is_never_served_takes_no_time(stage, node):
    """A task that is refused at once holds nothing up."""
    await remember(stage.house, node, scans=[10.0] * 3)
    await stage.window()
    target = await stage.target()
    await stage.task(
        target, TaskType="AUTOMATION", TaskArn="AWS-StopEC2Instance", Priority=0, TaskInvocationParameters={}
    )
    await stage.task(target)

    found = await forecast(stage)
    assert (counted(found), found["Nodes"][0]["StartsBy"]) == ((1, 0, 0), found["Opens"])


async def test_nodes_that_wait_longer_than_their_command_lets_them_begin_all_the_same(stage):
    """TimeoutSeconds runs from a node's turn on, however long the others took."""
    for one in await nodes(stage, 3):
        await remember(stage.house, one, scans=[2000.0] * 3)
    await stage.window()
    target = await stage.target()
    await stage.task(target, MaxConcurrency="1")

    assert counted(await forecast(stage)) == (3, 0, 0)


async def test_what_cannot_be_foretold_is_refused(stage):
    """No such window, a token of nobody, a page that is too large, a window that never opens again, unless At is given."""
    await stage.window(Schedule="at(2020-01-01T00:00:00)")
    refused = [
        ({"WindowId": "mw-" + "0" * 17}, "DoesNotExistException"),
        ({"NextToken": "x"}, "InvalidNextToken"),
        ({"MaxResults": 1001}, "ValidationException"),
        ({"At": 250_000_000_001}, "ValidationException"),
    ]
    for members, code in refused:
        assert await stage.house.code("Patchwright.GetForecast", {"WindowId": stage.id, **members}) == code
    assert await stage.house.code("Patchwright.GetForecast", {"WindowId": stage.id}) == "ValidationException"
    assert counted(await forecast(stage, At=NOW)) == (0, 0, 0)
