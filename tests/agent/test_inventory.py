# SPDX-License-Identifier: Apache-2.0
"""The inventory in the life of the agent: after operations, on its own, and never in the way."""

from __future__ import annotations

import json
from pathlib import Path

from agent.simulator import Refusal
from patchwright.agent import baton


def calls(stage, name="PutInventory"):
    """What the server was asked by that name."""
    return [members for operation, members in stage.simulator.calls if operation == name]


def test_the_inventory_follows_a_patch_operation(real_stage):
    """By a process of its own, after the command was reported; a second operation sends hashes."""
    stage = real_stage
    stage.settings(inventory_hours=24)
    for turn in (1, 2):
        command = stage.send("Scan")
        assert stage.once() == 0
        assert stage.simulator.final(command)["documentStatus"] == "Success"
        stage.wait_for(lambda: not (stage.state_dir / "inventory" / "wanted").exists(), "the inventory is sent")
        assert len(calls(stage)) >= turn

    first, *_, last = calls(stage)
    names = {item["TypeName"] for item in first["Items"]}
    assert "AWS:AWSComponent" in names
    assert first["InstanceId"] == stage.instance_id
    assert all("Content" in item and item["ContentHash"] for item in first["Items"])
    assert {item["TypeName"] for item in last["Items"] if "Content" not in item} == names


def test_custom_files_are_sent(stage):
    """From the directory of the settings, and from AWS's."""
    place = stage.directory / "custom"
    place.mkdir()
    (place / "rack.json").write_text(
        json.dumps({"SchemaVersion": "2.0", "TypeName": "Custom:Rack", "Content": {"Row": "7"}})
    )
    stage.settings(inventory_hours=24, custom_inventory_dir=str(place))
    stage.send("Scan")
    assert stage.once() == 0

    stage.wait_for(lambda: calls(stage), "the inventory is sent")

    (item,) = (one for one in calls(stage)[0]["Items"] if one["TypeName"] == "Custom:Rack")
    assert (item["SchemaVersion"], item["Content"]) == ("2.0", [{"Row": "7"}])


def test_a_server_that_does_not_take_it_does_not_fail_a_command(stage):
    """The command ends well, and the inventory waits."""
    stage.settings(inventory_hours=24)
    stage.simulator.refusing["PutInventory"] = Refusal("UnsupportedOperationException", "not here")
    command = stage.send("Scan")

    assert stage.once() == 0

    assert stage.simulator.final(command)["documentStatus"] == "Success"
    stage.wait_for(lambda: calls(stage), "the inventory is tried")
    assert (stage.state_dir / "inventory" / "wanted").exists()


def test_an_agent_that_stays_sends_it_on_its_own(real_stage):
    """At its first start, and before it rests; a child that has ended is not left behind."""
    stage = real_stage
    stage.settings(inventory_hours=24, poll_seconds=1)
    process = stage.start()
    sent = stage.state_dir / "inventory" / "sent.json"

    stage.wait_for(lambda: sent.exists() and json.loads(sent.read_text())["at"] > 0, "the inventory is sent")

    stage.wait_for(lambda: resting(process.pid), "the agent waits as the smaller program")
    assert zombies(process.pid) == []


def resting(pid):
    """Whether the process has become the waiting program."""
    return baton.START.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def zombies(pid):
    """The children of a process that have ended and were not asked how."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    states = {child: Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in children}
    return [child for child, state in states.items() if state == "Z"]
