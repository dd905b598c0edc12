# SPDX-License-Identifier: Apache-2.0
"""MaxConcurrency and MaxErrors are a task's as a whole, through however many registrations of targets it goes (spec §4.4)."""

from __future__ import annotations

import itertools
import json

import pytest

from patchwright.server import commands
from patchwright.server.accounts import Scope
from patchwright.server.windows.model import Invocation, Status, TaskExecution, WindowTask
from patchwright.server.windows.rates import TOO_MANY, next_calls

GROUPS = ("web", "database", "cache")


@pytest.fixture
async def fleet(house):
    """Two nodes of each of three groups, by group."""
    return {group: [await house.enrol(tags={"Patch Group": group}) for _ in range(2)] for group in GROUPS}


async def registered(stage, groups=GROUPS):
    """A window with a registration for each group; returns their ids."""
    await stage.window()
    return [await stage.target(Targets=[{"Key": "tag:Patch Group", "Values": [group]}]) for group in groups]


async def standing(stage):
    """The newest execution, its only task, and that one's invocations."""
    execution, *_ = await stage.executions()
    (task,) = await stage.tasks(execution)
    return execution, task, await stage.invocations(task)


async def go_through(stage, fleet, outcomes):
    """Every node that has a command ends it as *outcomes* says by node, else well; until nothing starts any more."""
    woken = await stage.tend()
    while woken:
        for instance_id in woken:
            (node,) = [one for nodes in fleet.values() for one in nodes if one.instance_id == instance_id]
            command = await stage.take(node)
            status = outcomes.get(instance_id, "Success")
            assert (await stage.house.reply(node, command, status)).status == 200
        woken = await stage.tend()


async def sent(stage, invocation):
    """The rates that an invocation's command was sent with, and how many nodes it is for."""
    said = json.loads(invocation["Parameters"])
    listed = (await stage.ask("ListCommands", CommandId=invocation["ExecutionId"]))["Commands"][0]
    return said["maxConcurrency"], said["maxErrors"], listed["TargetCount"]


async def test_errors_of_one_registration_count_for_the_next(stage, fleet):
    """More of them than the task allows: nothing of the others starts, and the task has failed."""
    await stage.task(*await registered(stage), MaxErrors="0", MaxConcurrency="1")
    bad = fleet["web"][0].instance_id
    await go_through(stage, fleet, dict.fromkeys((bad, fleet["web"][1].instance_id), "Failed"))

    execution, task, invocations = await standing(stage)
    assert [one["Status"] for one in invocations] == ["FAILED", "CANCELLED", "CANCELLED"]
    assert {one["StatusDetails"] for one in invocations[1:]} == {TOO_MANY}
    assert (task["Status"], execution["Status"]) == ("FAILED", "FAILED")
    assert execution["StatusDetails"] == "One or more tasks in the orchestration failed."
    for node in (*fleet["database"], *fleet["cache"]):
        found = await stage.house.ask("AmazonSSM.ListCommandInvocations", {"InstanceId": node.instance_id})
        assert found["CommandInvocations"] == []


async def test_errors_that_are_allowed_are_spent(stage, fleet):
    """What one registration has used the next has not any more."""
    await stage.task(*await registered(stage), MaxErrors="2", MaxConcurrency="2")
    bad = [fleet[group][0].instance_id for group in GROUPS]
    await go_through(stage, fleet, dict.fromkeys(bad, "Failed"))

    _, task, invocations = await standing(stage)
    assert [await sent(stage, one) for one in invocations] == [("2", "2", 2), ("2", "1", 2), ("2", "0", 2)]
    assert task["Status"] == "FAILED"
    assert [one["Status"] for one in invocations] == ["FAILED"] * 3


async def test_percentages_are_of_all_that_the_task_reaches(stage, fleet):
    """Half of six nodes at once are three: all of a registration of two. A third of them are two errors."""
    await stage.task(*await registered(stage), MaxErrors="34%", MaxConcurrency="50%")
    await go_through(stage, fleet, {})
    _, task, invocations = await standing(stage)
    assert [await sent(stage, one) for one in invocations] == [("3", "2", 2)] * 3
    assert task["Status"] == "SUCCESS"


async def test_one_registration_has_the_rates_of_its_task(stage, fleet):
    """As they were given, which is what the API shows."""
    await stage.task(*await registered(stage, GROUPS[:1]), MaxErrors="10%", MaxConcurrency="50%")
    await go_through(stage, fleet, {})
    _, _, [invocation] = await standing(stage)
    assert await sent(stage, invocation) == ("50%", "10%", 2)


async def test_what_is_refused_before_it_is_sent_is_an_error(stage, fleet):
    """A document that there is not: found out once, not once for each registration."""
    await stage.task(*await registered(stage), TaskArn="Nobody-HasThis", MaxErrors="0")
    await go_through(stage, fleet, {})
    _, task, invocations = await standing(stage)
    assert [one["Status"] for one in invocations] == ["FAILED", "CANCELLED", "CANCELLED"]
    assert task["Status"] == "FAILED"
    assert "Nobody-HasThis" in task["StatusDetails"]


def planned(states, *, at_once, errors, groups=""):
    """What is to be called next, where calls stand as *states* says, a letter each; *groups* are their registrations."""
    scope = Scope("1", "xx")
    task = WindowTask(scope, "mw-1", "t", "LAMBDA", "f", max_concurrency=at_once, max_errors=errors)
    words = {"p": Status.PENDING, "i": Status.IN_PROGRESS, "s": Status.SUCCESS, "f": Status.FAILED}
    found = [
        Invocation(scope, "e", "t", str(place), place, group, (), status=words[state])
        for place, (state, group) in enumerate(itertools.zip_longest(states, groups, fillvalue=""))
    ]
    return next_calls(TaskExecution(scope, "e", "t", task, 0), found, most=100)


@pytest.mark.parametrize(
    ("states", "rates", "groups", "start"),
    [
        ("pppp", ("2", "0"), "", [0, 1]),
        ("iipp", ("2", "0"), "", []),
        ("sipp", ("2", "0"), "", [2]),
        ("pppp", ("50%", "0"), "", [0, 1]),
        ("ppp", ("10%", "0"), "", [0]),
        ("fppp", ("2", "0"), "", None),
        ("fppp", ("2", "1"), "", [1, 2]),
        ("ffpp", ("2", "50%"), "", [2, 3]),
        ("fffp", ("2", "50%"), "", None),
        ("sppp", ("4", "0"), "aabb", [1]),
        ("sipp", ("4", "0"), "aabb", []),
        ("sspp", ("1", "0"), "aabb", [2]),
    ],
)
def test_calls_are_made_as_the_rates_say(states, rates, groups, start):
    """So many at once, none after too many errors (None), one registration after the other."""
    at_once, errors = rates
    found = planned(states, at_once=at_once, errors=errors, groups=groups)
    assert (None if found.stop else list(found.start)) == start


async def test_a_node_has_its_time_from_its_turn_on(stage, fleet):
    """TimeoutSeconds is not used up by the nodes before it; one that stays away has it once, and is given up then."""
    first, second = sorted(fleet["web"], key=lambda node: node.instance_id)
    hasty = {"RunCommand": {"Parameters": {"Operation": ["Scan"]}, "TimeoutSeconds": 60}}
    (web,) = await registered(stage, ("web",))
    await stage.task(web, MaxConcurrency="1", MaxErrors="2", TaskInvocationParameters=hasty)
    assert await stage.tend() == [first.instance_id]
    command = await stage.take(first)
    stage.house.clock.time += 5000.0  # less than its document lets it take
    assert (await stage.house.reply(first, command, "Success")).status == 200

    assert await stage.take(second) == command
    database, clock = stage.house.wired.database, stage.house.clock
    asked = {"CommandId": command, "InstanceId": second.instance_id}
    for passed, expected in ((60.0 + 7200.0 - 1.0, "InProgress"), (2.0, "DeliveryTimedOut")):
        clock.time += passed
        await database.write(commands.expire, now=clock.time)
        (found,) = (await stage.ask("ListCommandInvocations", **asked))["CommandInvocations"]
        assert found["StatusDetails"] == expected


async def test_a_cancelled_execution_begins_nothing_more(stage, fleet):
    """Nodes that wait for their turn are not begun; what runs goes to its end, and only then is it cancelled (spec §4.4)."""
    first, second = sorted(fleet["web"], key=lambda node: node.instance_id)
    (web,) = await registered(stage, ("web",))
    await stage.task(web, MaxConcurrency="1")
    assert await stage.tend() == [first.instance_id]
    command = await stage.take(first)
    execution, _, _ = await standing(stage)
    await stage.ask("CancelMaintenanceWindowExecution", WindowExecutionId=execution["WindowExecutionId"])
    assert await stage.tend() == []
    assert (await standing(stage))[0]["Status"] == "CANCELLING"
    assert (await stage.house.reply(first, command, "Success")).status == 200
    assert await stage.tend() == []

    found = (await stage.ask("ListCommandInvocations", CommandId=command))["CommandInvocations"]
    assert {one["InstanceId"]: one["StatusDetails"] for one in found} == {
        first.instance_id: "Success",
        second.instance_id: "Cancelled",
    }
    assert (await standing(stage))[0]["Status"] == "CANCELLED"
