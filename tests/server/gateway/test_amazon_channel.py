# SPDX-License-Identifier: Apache-2.0
"""
Amazon's agent on its control channel, and beside an agent of ours, at a server that is a process (spec agent-protocol §7).

Over TLS, without which the real one opens no channel.
"""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import subprocess
import sys
import time

import pytest

from farm.amazon_channel import FULL, Channel
from farm.commands import until
from server.gateway.test_amazon_agent import END_SECONDS, document, seen, send, started, steps_of, wait_for
from server.process import SOURCE, Process
from server.test_app import make_certificate


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with control channels; its certificate is of a CA that the machine trusts."""
    directory = tmp_path_factory.mktemp("channel")
    chain, key = make_certificate(directory)
    process = Process(directory / "data", "--listen", "127.0.0.1:0", "--tls-cert", str(chain), "--tls-key", str(key))
    process.ready()
    process.url = process.url.replace("127.0.0.1", "localhost")
    process.chain = chain
    yield process
    process.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def trust(server):
    """What the machine trusts."""
    return ssl.create_default_context(cafile=server.chain)


@pytest.fixture(scope="module")
def ssm(server):
    """A client of root."""
    return server.client(verify=str(server.chain))


@pytest.fixture
def agent(server, ssm, trust, tmp_path):
    """An agent that has registered and said that it is there; the end of what it does is told before its last step."""
    return started(server, ssm, tmp_path / "agent", disorder=True, context=trust)


def test_commands_come_and_go_over_the_channel(server, ssm, agent):
    """What waited before it was opened too; every reply is acknowledged within its second, however they overtake each other."""
    name = document(ssm, "OverChannel", ("step1", ["echo 1"]), ("step2", ["echo 2"]))
    waited = send(ssm, agent, name)

    with Channel(agent, server.url, context=agent.context) as channel:
        ended(ssm, waited)
        sent = [send(ssm, agent, name) for _ in range(4)]
        for command_id in sent:
            ended(ssm, command_id)

    assert (channel.unheard, set(channel.acknowledged)) == ([], {200})
    for command_id in (waited, *sent):
        assert steps_of(ssm, agent, command_id) == {"step1": ("Success", 0, "1\n"), "step2": ("Success", 0, "2\n")}


def test_a_command_is_cancelled_over_the_channel(server, ssm, agent):
    """At once, while it runs."""
    with Channel(agent, server.url, context=agent.context) as channel:
        command_id = send(ssm, agent, commands=["echo begun; sleep 60"])
        wait_for(ssm, agent, command_id, "InProgress")
        begun = time.monotonic()

        ssm.cancel_command(CommandId=command_id)

        wait_for(ssm, agent, command_id, "Cancelled")
        assert time.monotonic() - begun < END_SECONDS / 3
    assert channel.unheard == []


def test_what_the_agent_has_no_room_for_is_kept_for_later(server, ssm, agent, tmp_path):
    """It refuses the eleventh command; that one is Delayed, and none of the others."""
    gate = tmp_path / "gate"
    with Channel(agent, server.url, context=agent.context) as channel:
        sent = [send(ssm, agent, commands=[f"while ! test -e {gate}; do sleep 0.05; done"]) for _ in range(11)]
        until(lambda: len(channel.acknowledged) == 11, what="all were answered", timeout=END_SECONDS)
        details = sorted(told(ssm, agent, command_id) for command_id in sent)
        gate.touch()
        for command_id in sent:
            if seen(ssm, agent, command_id)["StatusDetails"] != "Delayed":
                wait_for(ssm, agent, command_id, "Success")

    assert sorted(channel.acknowledged) == [200] * 10 + [FULL]
    assert details == ["Delayed"] + ["InProgress"] * 10


def ended(ssm, command_id):
    """The command, as soon as it has ended on every node."""

    def found():
        command = ssm.list_commands(CommandId=command_id)["Commands"][0]
        return command if command["CompletedCount"] == command["TargetCount"] else None

    return until(found, what=f"{command_id} has ended", timeout=END_SECONDS)


def told(ssm, agent, command_id):
    """StatusDetails, once it is no longer Pending."""

    def found():
        detail = seen(ssm, agent, command_id)["StatusDetails"]
        return detail if detail != "Pending" else None

    return until(found, what=f"{command_id} was told of", timeout=END_SECONDS)


def test_both_agents_serve_at_one_server(server, ssm, agent, tmp_path):
    """One command reaches a node of each kind, and what they print is shown in the same way."""
    with ours(server, ssm, tmp_path / "ours") as instance_id, Channel(agent, server.url, context=agent.context):
        command_id = ssm.send_command(
            DocumentName="AWS-RunShellScript",
            InstanceIds=[agent.instance_id, instance_id],
            Parameters={"commands": ["echo $AWS_SSM_INSTANCE_ID; echo oops >&2"]},
        )["Command"]["CommandId"]
        command = ended(ssm, command_id)

    assert (command["Status"], command["TargetCount"], command["ErrorCount"]) == ("Success", 2, 0)
    for one in (agent.instance_id, instance_id):
        found = ssm.get_command_invocation(CommandId=command_id, InstanceId=one)
        assert (found["StandardOutputContent"], found["StandardErrorContent"]) == (f"{one}\n", "oops\n")
    agents = {
        one["InstanceId"]: one["AgentVersion"] for one in ssm.describe_instance_information()["InstanceInformationList"]
    }
    assert agents[agent.instance_id] == "3.3.0.0"
    assert agents[instance_id] != "3.3.0.0"


@contextlib.contextmanager
def ours(server, ssm, home):
    """An agent of ours, running; gives its instance id."""
    home.mkdir()
    activation = ssm.create_activation(IamRole="node")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": SOURCE,
        "HOME": str(home),
        "PATCHWRIGHT_AGENT_REBOOT_COMMAND": "/bin/true",
    }
    words = [sys.executable, "-m", "patchwright", "agent"]
    said = subprocess.run(
        [*words, "enroll", "--server", server.url, "--activation-id", activation["ActivationId"],
         "--activation-code", activation["ActivationCode"], "--ca", str(server.chain), "--state-dir", str(home / "state")],
        env=environment, check=True, capture_output=True, text=True, timeout=END_SECONDS,
    )  # fmt: skip
    instance_id = next(word.strip(".,") for word in said.stdout.split() if word.startswith("mi-"))
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [*words, "run", "--state-dir", str(home / "state")], env=environment, stdout=log, stderr=log
        )
    try:
        yield instance_id
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=END_SECONDS)
