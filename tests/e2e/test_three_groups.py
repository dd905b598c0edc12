# SPDX-License-Identifier: Apache-2.0
"""
Three patch groups with baselines and windows of their own, and a bad patch in the first of them.

The windows open by their schedules, which are set to a moment a few seconds ahead. With PATCHWRIGHT_FULL=1 there are twelve nodes.
"""

from __future__ import annotations

import datetime
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from .station import until

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

FULL = bool(os.environ.get("PATCHWRIGHT_FULL"))
NODES = {"web": 8, "application": 2, "database": 2} if FULL else {"web": 2, "application": 1, "database": 1}
AT_ONCE = 2 if FULL else 1  # what 25 % of the web nodes come to, which is at least one
BAD_TURN = 2 if FULL else 0  # the place of the node that does not take the patch: the first of the second turn of two
SAFE, BAD = "safe.all", "trap.all"
TRAP = "/etc/trap"
WHY = "post-installation script subprocess returned error exit status 9"
EVERY = {"PatchFilterGroup": {"PatchFilters": [{"Key": "PRIORITY", "Values": ["*"]}]}, "ApproveAfterDays": 0}
BASELINES = {
    "web": {"ApprovalRules": {"PatchRules": [EVERY]}},
    "application": {"ApprovedPatches": ["safe"]},
    "database": {
        "ApprovalRules": {"PatchRules": [EVERY]},
        "RejectedPatches": ["trap"],
        "RejectedPatchesAction": "BLOCK",
    },
}
OPEN = {"PENDING", "IN_PROGRESS", "CANCELLING"}


class Group:
    """A patch group: its nodes in the order in which their turns come, its baseline, and its window with one task."""

    def __init__(self, station, name, nodes):
        self.station, self.name, self.ssm = station, name, station.client()
        self.nodes = sorted(nodes, key=lambda node: station.ids[node.name])
        made = self.ssm.create_patch_baseline(Name=name, OperatingSystem="DEBIAN", **BASELINES[name])
        self.baseline = made["BaselineId"]
        self.ssm.register_patch_baseline_for_patch_group(BaselineId=self.baseline, PatchGroup=name)
        self.window = self.ssm.create_maintenance_window(
            Name=name, Schedule="at(2020-01-01T00:00:00)", Duration=1, Cutoff=0, AllowUnassociatedTargets=False
        )["WindowId"]
        target = self.ssm.register_target_with_maintenance_window(
            WindowId=self.window, ResourceType="INSTANCE", Targets=[{"Key": "tag:Patch Group", "Values": [name]}]
        )["WindowTargetId"]
        given = {"Operation": ["Install"], "RebootOption": ["NoReboot"], "SnapshotId": ["{{WINDOW_EXECUTION_ID}}"]}
        self.ssm.register_task_with_maintenance_window(
            WindowId=self.window,
            Targets=[{"Key": "WindowTargetIds", "Values": [target]}],
            TaskArn="AWS-RunPatchBaseline",
            TaskType="RUN_COMMAND",
            MaxConcurrency="25%",
            MaxErrors="0",
            TaskInvocationParameters={"RunCommand": {"Parameters": given}},
        )

    def due(self):
        """Let the window's next opening be a few seconds ahead; returns how many executions there are before."""
        known = len(self.executions())
        for seconds in (2, 4, 8, 16, 32):  # a busy server may take the next moment when that has passed
            soon = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(seconds=seconds)
            self.ssm.update_maintenance_window(WindowId=self.window, Schedule=f"at({soon:%Y-%m-%dT%H:%M:%S})")
            if datetime.datetime.now(datetime.UTC) < soon:
                break
        return known

    def executions(self):
        """The window's executions, newest first."""
        return self.ssm.describe_maintenance_window_executions(WindowId=self.window)["WindowExecutions"]

    def ended(self, known=0):
        """The execution after the first *known* ones, once it has ended."""

        def last():
            found = self.executions()
            return found[0] if len(found) > known and found[0]["Status"] not in OPEN else None

        return until(last, what=f"the window of {self.name} ends", timeout=120 + 30 * len(self.nodes))

    def invocation(self, execution):
        """What the execution's only task came to, and its only invocation."""
        asked = {"WindowExecutionId": execution["WindowExecutionId"]}
        (task,) = self.ssm.describe_maintenance_window_execution_tasks(**asked)["WindowExecutionTaskIdentities"]
        asked["TaskId"] = task["TaskExecutionId"]
        answer = self.ssm.describe_maintenance_window_execution_task_invocations(**asked)
        (invocation,) = answer["WindowExecutionTaskInvocationIdentities"]
        return task, invocation

    def outcome(self, command_id):
        """How the command ended on each node, in the order of their turns."""
        rows = self.ssm.list_command_invocations(CommandId=command_id)["CommandInvocations"]
        found = {row["InstanceId"]: row["StatusDetails"] for row in rows}
        return [found[self.station.ids[node.name]] for node in self.nodes]

    def installed(self, node):
        """The versions of the two packages on a node."""
        found = node.installed()
        return found[SAFE][0], found[BAD][0]


@pytest.fixture
def groups(station, debrepo, new_node):
    """The three groups by name; on each node updates of two packages are outstanding."""
    with debrepo.together():
        for name in ("safe", "trap"):
            debrepo.release(name, "1.0-1")
        debrepo.security("safe", "1.1-1")
        debrepo.security("trap", "1.1-1", postinst=f"test ! -e {TRAP} || exit 9")

    names = [name for name, number in NODES.items() for _ in range(number)]
    with ThreadPoolExecutor(4) as hands:
        made = list(hands.map(lambda _: new_node("deb12", debrepo, outstanding=["safe", "trap"]), names))
    for name, node in zip(names, made, strict=True):
        station.enrol(node, tags={"Patch Group": name})
    return {
        name: Group(station, name, [node for group, node in zip(names, made, strict=True) if group == name])
        for name in NODES
    }


def test_a_bad_patch_stops_its_window_and_no_other(station, groups):
    """
    Each group gets what its baseline approves, in its window, under one snapshot. In web, where a node does not take a
    patch, no further turn begins; execution, invocations and patch states say which node, which package, and why.
    """
    web = groups["web"]
    bad = web.nodes[BAD_TURN]
    bad.write(TRAP, "")
    for group in groups.values():
        group.due()
    executions = {name: group.ended() for name, group in groups.items()}

    assert {name: one["Status"] for name, one in executions.items()} == {
        "web": "FAILED",
        "application": "SUCCESS",
        "database": "SUCCESS",
    }
    for name in ("application", "database"):
        assert [groups[name].installed(node) for node in groups[name].nodes] == [("1.1-1", "1.0-1")] * NODES[name]
    for name, group in groups.items():
        task, invocation = group.invocation(executions[name])
        begun = [node for node in group.nodes if station.summary(node)]
        assert {(one["PatchGroup"], one["BaselineId"], one["SnapshotId"]) for one in map(station.summary, begun)} == {
            (name, group.baseline, executions[name]["WindowExecutionId"])
        }
        assert (task["Status"], invocation["Status"]) == (executions[name]["Status"],) * 2

    _stopped(station, web, bad, executions["web"])
    if not FULL:
        return
    bad.run(["rm", TRAP])
    known = web.due()
    mended = web.ended(known)
    assert mended["Status"] == "SUCCESS"
    assert [web.installed(node) for node in web.nodes] == [("1.1-1", "1.1-1")] * NODES["web"]
    assert {station.summary(node)["FailedCount"] for node in web.nodes} == {0}


def _stopped(station, web, bad, execution):
    """The window stopped where it must, and what is reported names the node, the package and the reason."""
    assert execution["StatusDetails"] == "One or more tasks in the orchestration failed."
    task, invocation = web.invocation(execution)
    command_id = invocation["ExecutionId"]
    assert command_id in invocation["StatusDetails"]
    assert (task["Status"], task["StatusDetails"]) == ("FAILED", invocation["StatusDetails"])
    outcome = web.outcome(command_id)
    assert outcome[:BAD_TURN] == ["Success"] * BAD_TURN
    assert outcome[BAD_TURN] == "Failed"
    beside = BAD_TURN + 2 * AT_ONCE - 1  # as many more as may have begun before the failure was known
    assert set(outcome[beside:]) == {"Terminated"}
    for node, detail in zip(web.nodes, outcome, strict=True):
        if detail == "Terminated":
            assert (web.installed(node), station.summary(node)) == (("1.0-1", "1.0-1"), {})

    assert station.summary(bad)["FailedCount"] == 1
    assert station.with_state(bad, "Failed") == {BAD: "trap.all:1.1-1"}
    assert station.states(bad, SAFE) == {SAFE: "InstalledPendingReboot"}  # RebootOption is NoReboot
    (why,) = [line for line in station.result(bad, command_id)["StandardErrorContent"].splitlines() if "trap" in line]
    assert why.strip().startswith("trap.all:1.1-1")
    assert WHY in why
