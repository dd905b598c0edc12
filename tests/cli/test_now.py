# SPDX-License-Identifier: Apache-2.0
"""Patch now: whom it reaches, how many at once, with which hooks, and a restart at a time that was chosen."""

from __future__ import annotations

import click
import pytest

from patchwright.cli.now import moment_of, rates, request_of

NOTHING = dict.fromkeys(
    ("reboot_option", "snapshot_id", "timeout", "max_concurrency", "max_errors", "reboot_at", "on_exit_hook")
) | {"everywhere": False, "tags": (), "groups": (), "pre_install_hook": None, "post_install_hook": None}
ASKED = {**NOTHING, "operation": "Install"}


class Fleet:
    """A client that knows so many nodes."""

    def __init__(self, count):
        self.count = count
        self.asked = None

    def pages(self, _operation, members, _listed):
        self.asked = members
        return iter([{}] * self.count)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        *((0, ("1", "1")), (24, ("1", "1")), (25, ("5%", "5")), (100, ("5%", "5"))),
        *((101, ("8%", "10")), (1000, ("8%", "10")), (1001, ("10%", "10"))),
    ],
)
def test_the_smaller_the_fleet_the_fewer_at_once(count, expected):
    """The rates of the spec (§3.9); a Scan harms nobody."""
    assert rates("Install", count) == expected
    assert rates("Scan", count) == ("1000", "1000")


def test_groups_and_tags_become_targets():
    """And their nodes are counted; what is said of the rates counts more."""
    fleet = Fleet(60)
    request = request_of(
        fleet, {}, {**ASKED, "groups": ("web", "db"), "tags": (("env", "dev,test"),), "max_errors": "0"}
    )

    targets = [{"Key": "tag:Patch Group", "Values": ["web", "db"]}, {"Key": "tag:env", "Values": ["dev", "test"]}]
    assert request["Targets"] == fleet.asked["Filters"] == targets
    assert (request["MaxConcurrency"], request["MaxErrors"]) == ("5%", "0")
    assert request["DocumentName"] == "AWS-RunPatchBaseline"


def test_hooks_want_the_document_with_hooks():
    """Named by what they run before and after."""
    asked = {**ASKED, "pre_install_hook": "stop", "on_exit_hook": "start"}
    request = request_of(Fleet(0), {"mi-1": {}}, asked)

    assert request["DocumentName"] == "AWS-RunPatchBaselineWithHooks"
    assert request["Parameters"] == {
        "Operation": ["Install"],
        "PreInstallHookDocName": ["stop"],
        "OnExitHookDocName": ["start"],
    }
    assert request["InstanceIds"] == ["mi-1"]
    assert "MaxConcurrency" not in request


@pytest.mark.parametrize(
    ("nodes", "said"), [({}, {}), ({"mi-1": {}}, {"everywhere": True}), (dict.fromkeys(map(str, range(51))), {})]
)
def test_what_is_not_clear_is_usage(nodes, said):
    """Nobody, both, or more than one command names."""
    with pytest.raises(click.UsageError):
        request_of(Fleet(0), nodes, {**ASKED, **said})


def test_a_restart_is_in_the_time_to_come():
    """UTC, to the minute or the second."""
    now = 1_795_147_200.0
    assert moment_of("2026-11-21T03:00", now) == "2026-11-21T03:00:00"
    assert moment_of("2026-11-20T04:00:01Z", now) == "2026-11-20T04:00:01"
    for text in ("2026-11-20T04:00", "tonight", "2026-13-01T00:00"):
        with pytest.raises(click.UsageError):
            moment_of(text, now)


def test_a_tag_is_scanned_now(server, node):
    """Watched by its counts; the exit code is the command's."""
    server.client().add_tags_to_resource(
        ResourceType="ManagedInstance", ResourceId=node.id, Tags=[{"Key": "now", "Value": node.id}]
    )
    result = server.run("patch", "--tag", f"now={node.id}", "--operation", "scan", "--json")

    assert result.json["Command"]["TargetCount"] == 1
    assert result.json["Command"]["MaxConcurrency"] == "1000"
    assert result.code == (result.json["Command"]["Status"] != "Success")


def test_a_restart_at_a_time_is_a_window_that_opens_once(server, silent_node):
    """Nothing restarts now; then the same snapshot is installed, which brings nothing new."""
    result = server.run(
        *["patch", silent_node.id, "--operation", "install", "--reboot-at", "2031-01-01T03:00", "--no-wait"]
    )
    command_id = result.out.strip()
    sent = server.client().list_commands(CommandId=command_id)["Commands"][0]
    assert sent["Parameters"]["RebootOption"] == ["NoReboot"]
    window = server.run("window", "show", f"restart-{command_id}", "--json").json
    assert window["Window"]["NextExecutionTime"] == "2031-01-01T03:00Z"
    assert window["Targets"][0]["Targets"] == [{"Key": "InstanceIds", "Values": [silent_node.id]}]
    task = server.client().get_maintenance_window_task(
        WindowId=window["Window"]["WindowId"], WindowTaskId=window["Tasks"][0]["WindowTaskId"]
    )
    parameters = task["TaskInvocationParameters"]["RunCommand"]["Parameters"]
    assert parameters["SnapshotId"] == [command_id]
    assert parameters["RebootOption"] == ["RebootIfNeeded"]
