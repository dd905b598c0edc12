# SPDX-License-Identifier: Apache-2.0
"""The agent of a booted node brings itself to the server's version, whoever is killed and when."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

import patchwright
from patchwright.server.gateway.zipapp import build

from .station import AGENT, STATE_DIR, until

pytestmark = [
    pytest.mark.farm,
    pytest.mark.e2e,
    pytest.mark.skipif(
        os.environ.get("PATCHWRIGHT_FULL") != "1", reason="with PATCHWRIGHT_FULL=1; shorter: tests/agent"
    ),
]

OLD = "0.0.9"
KILL = ["systemctl", "kill", "--signal=KILL", "--kill-who=all", "agent.service"]


def older():
    """The program as an older version, the same in all else."""
    target = io.BytesIO()
    current = io.BytesIO(build(Path(patchwright.__file__).parent))
    with zipfile.ZipFile(current) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            text = source.read(name).decode()
            if name == "patchwright/__init__.py":
                text = text.replace(f'"{patchwright.__version__}"', f'"{OLD}"')
            archive.writestr(name, text)
    return b"#!/usr/bin/env python3\n" + target.getvalue()


def version(station):
    """What the server shows of the agent."""
    (shown,) = station.client().describe_instance_information()["InstanceInformationList"]
    return shown["AgentVersion"]


def update(station, node):
    """Send AWS-UpdateSSMAgent; the command's id."""
    command = station.client().send_command(DocumentName="AWS-UpdateSSMAgent", InstanceIds=[station.ids[node.name]])
    return command["Command"]["CommandId"]


@pytest.mark.parametrize("accident", ["nothing", "killed", "power cut"])
def test_an_older_agent_becomes_the_servers_version(station, debrepo, new_node, accident):
    """Though all of it is killed while it does, or the power is cut. One archive is left, and the command has succeeded."""
    (station.directory / "agent.pyz").write_bytes(older())
    node = new_node("deb12", debrepo)
    station.enrol(node)
    until(lambda: version(station) == OLD, what="the older version reports")

    command = update(station, node)
    beside = node.root / f"{AGENT}.new".lstrip("/")  # looked at from outside: it is not there for long
    until(beside.exists, what="the new version is on the node", every=0.005)
    if accident == "killed":
        node.run(KILL)
    elif accident == "power cut":
        node.crash()
        node.start()
    done = station.wait(node, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    until(lambda: version(station) == patchwright.__version__, what="the new version reports")
    assert node.run(["sh", "-c", f"ls -d {AGENT}*"]).stdout.split() == [AGENT]
    assert json.loads(node.read(f"{STATE_DIR}/update.json"))["state"] == "confirmed"
