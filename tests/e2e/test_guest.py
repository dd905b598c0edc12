# SPDX-License-Identifier: Apache-2.0
"""A node that keeps amazon-ssm-agent: its patch steps are scripts that fetch our node program, and everything else is the same."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from farm.amazon_agent import AmazonAgent

from .station import lines, until

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

HASTY = {"guest_patience_seconds": 1, "backoff_cap_seconds": 0.2, "request_seconds": 2, "connect_seconds": 1}
SCRIPT, CREDENTIALS = "/var/lib/amazon/ssm/_script.sh", "/root/.aws/credentials"
LOG = "/var/log/hooks"


class InNode:
    """Runs scripts inside *node*, as the agent would. Without *shares* it keeps the session to itself."""

    def __init__(self, node):
        self.node = node
        self.shares = True
        self.codes = []

    def __call__(self, script, environment, *, seconds, cancelled):
        environment = dict(environment)
        shared = Path(environment.pop("AWS_SHARED_CREDENTIALS_FILE"))
        if self.shares:
            self.node.write(CREDENTIALS, shared.read_text(), mode=0o600)
            environment["AWS_SHARED_CREDENTIALS_FILE"] = CREDENTIALS
        self.node.write(SCRIPT, script, mode=0o700)
        done = self.node.run(["sh", "-c", SCRIPT], env=environment, check=False, timeout=seconds)
        self.codes.append(done.code)
        return done.code, done.stdout, done.stderr


def send(station, agent, operation, *, reboot="RebootIfNeeded"):
    """SendCommand of AWS-RunPatchBaseline; the command's id."""
    command = station.client().send_command(
        DocumentName="AWS-RunPatchBaseline",
        InstanceIds=[agent.instance_id],
        Parameters={"Operation": [operation], "RebootOption": [reboot]},
    )
    return command["Command"]["CommandId"]


def result(station, agent, command):
    """The invocation."""
    return station.client().get_command_invocation(CommandId=command, InstanceId=agent.instance_id)


def test_a_node_with_amazons_agent_is_scanned_patched_and_restarted(station, debrepo, new_node, tmp_path):
    """
    The very script of the document, in a booted node: without shared credentials it says what to set; then a Scan, and an
    Install that asks for its restart by exit code 194 and goes on after it; what it did while the server was away is told
    by the next command.
    """
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    run = InNode(node)
    agent = AmazonAgent(station.url, tmp_path / "amazon", run=run)
    activation = station.client().create_activation(IamRole="node")
    agent.register(activation["ActivationId"], activation["ActivationCode"])
    station.ids[node.name] = agent.instance_id
    agent.start()

    run.shares = False
    command = send(station, agent, "Scan")
    assert agent.poll() == 1
    done = result(station, agent, command)
    assert done["Status"] == "Failed"
    assert "Profile.ShareCreds" in done["StandardErrorContent"]

    run.shares = True
    command = send(station, agent, "Scan")
    assert agent.poll() == 1
    done = result(station, agent, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert done["StandardOutputContent"].startswith("Scan of ")
    assert done["StandardErrorContent"] == ""
    assert station.states(node, "foo.all") == {"foo.all": "Missing"}

    command = send(station, agent, "Install")
    assert agent.poll() == 1
    assert agent.wants_reboot
    assert run.codes[-1] == 194
    assert result(station, agent, command)["Status"] == "InProgress"
    assert station.states(node, "foo.all") == {"foo.all": "Missing"}
    node.reboot()
    agent.resume()
    done = result(station, agent, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert run.codes[-1] == 0
    assert station.states(node, "foo.all") == {"foo.all": "Installed"}
    assert node.installed()["foo.all"] == ("1.0-1+deb12u1", "ii")

    debrepo.security("foo", "1.0-1+deb12u2", postinst="touch /begun; until test -e /go; do sleep 0.05; done")
    node.write("/var/lib/patchwright-node/agent.json", json.dumps(HASTY))
    command = send(station, agent, "Install", reboot="NoReboot")
    polling = threading.Thread(target=agent.poll)
    polling.start()
    until(lambda: node.run(["test", "-e", "/begun"], check=False).code == 0, what="the installation is in its script")
    node.partition()
    node.write("/go", "")
    polling.join(60)
    assert run.codes[-1] == 1
    node.heal()
    assert node.installed()["foo.all"] == ("1.0-1+deb12u2", "ii")
    before = len(station.interposer.sent("PutFacts"))
    command = send(station, agent, "Scan")
    assert agent.poll() == 1
    assert result(station, agent, command)["Status"] == "Success"
    phases = [body["Phase"] for body in station.interposer.sent("PutFacts")[before:]]
    assert phases[0] == "after"
    assert station.states(node, "foo.all") == {"foo.all": "InstalledPendingReboot"}


def hook(name):
    """A document that notes that it ran, and which foo it found."""
    run = [f"echo {name} $(dpkg-query -W -f '${{Version}}' foo) >>{LOG}"]
    step = {"action": "aws:runShellScript", "name": "Note", "inputs": {"runCommand": run}}
    return {"schemaVersion": "2.2", "mainSteps": [step]}


def with_hooks(station, agent, operation):
    """SendCommand of AWS-RunPatchBaselineWithHooks; the command's id."""
    names = {f"{place}HookDocName": [place] for place in ("PreInstall", "PostInstall", "OnExit")}
    command = station.client().send_command(
        DocumentName="AWS-RunPatchBaselineWithHooks",
        InstanceIds=[agent.instance_id],
        Parameters={"Operation": [operation], **names},
    )
    return command["Command"]["CommandId"]


def codes(station, agent, command):
    """How the command stands, and of its steps the code of each."""
    (invocation,) = station.client().list_command_invocations(
        CommandId=command, InstanceId=agent.instance_id, Details=True
    )["CommandInvocations"]
    return invocation["Status"], {one["Name"]: one["ResponseCode"] for one in invocation["CommandPlugins"]}


def test_hooks_run_around_the_patches_on_a_node_with_amazons_agent(station, debrepo, new_node, tmp_path):
    """
    What asks whether there is anything to do is a script as well, and hooks are documents that the agent fetches itself:
    a Scan runs none; an Install runs one before, one after it, restarts the node once and runs the last one; where nothing
    is missing it is the last one alone.
    """
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    run = InNode(node)
    agent = AmazonAgent(station.url, tmp_path / "amazon", run=run)
    activation = station.client().create_activation(IamRole="node")
    agent.register(activation["ActivationId"], activation["ActivationCode"])
    station.ids[node.name] = agent.instance_id
    agent.start()
    station.make_documents({place: hook(place) for place in ("PreInstall", "PostInstall", "OnExit")})
    later = dict.fromkeys(("PreInstallHook", "Install", "PostInstallHook", "VerifyReboot", "RebootAndReport"), 0)

    command = with_hooks(station, agent, "Scan")
    agent.poll()
    assert codes(station, agent, command) == (
        "Success",
        {"Scan": 0, "VerifyOperation": 168, **later, "OnExitHook": 0},
    )
    assert node.run(["test", "-e", LOG], check=False).code == 1

    command = with_hooks(station, agent, "Install")
    agent.poll()
    assert agent.wants_reboot
    assert codes(station, agent, command)[0] == "InProgress"
    assert lines(node, LOG) == ["PreInstall 1.0-1", "PostInstall 1.0-1+deb12u1"]
    assert station.states(node, "foo.all") == {"foo.all": "InstalledPendingReboot"}
    node.reboot()
    agent.resume()
    assert codes(station, agent, command) == ("Success", {"Scan": 0, "VerifyOperation": 0, **later, "OnExitHook": 0})
    assert lines(node, LOG)[2:] == ["OnExit 1.0-1+deb12u1"]
    assert station.states(node, "foo.all") == {"foo.all": "Installed"}

    command = with_hooks(station, agent, "Install")
    agent.poll()
    assert codes(station, agent, command) == (
        "Success",
        {"Scan": 0, "VerifyOperation": 168, **later, "OnExitHook": 0},
    )
    assert len(lines(node, LOG)) == 4
