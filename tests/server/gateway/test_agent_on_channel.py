# SPDX-License-Identifier: Apache-2.0
"""Our agent on its channel: a real agent, a real server, processes both."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from patchwright.agent import baton
from patchwright.server.gateway.zipapp import build
from server.process import SOURCE, Process

DEADLINE = 60.0


def until(condition, what):
    """Wait until *condition* holds, and return what it came to."""
    ends = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < ends, f"waited in vain until {what}"
        time.sleep(0.02)
    return found


class Node:
    """An agent that runs, enrolled at *server*."""

    def __init__(self, directory: Path, server: Process) -> None:
        self.state = directory / "state"
        self.state.mkdir(mode=0o700)
        (self.state / "agent.json").write_text(json.dumps({"inventory_hours": 0, "backoff_cap_seconds": 0.2}))
        program = directory / "agent.pyz"
        program.write_bytes(build(Path(SOURCE) / "patchwright"))
        words = [sys.executable, "-I", str(program)]
        made = server.client().create_activation(IamRole="node")
        given = ["--activation-id", made["ActivationId"], "--activation-code", made["ActivationCode"]]
        state = ["--state-dir", str(self.state)]
        subprocess.run([*words, "enroll", "--server", server.url, *given, *state], check=True, capture_output=True)
        self.id = json.loads((self.state / "identity.json").read_text())["instance_id"]
        with (directory / "agent.log").open("wb") as log:
            self.process = subprocess.Popen([*words, "run", *state], stdout=log, stderr=log)

    def waits(self) -> bool:
        """Whether the process is the waiting program now."""
        return baton.START.encode() in Path(f"/proc/{self.process.pid}/cmdline").read_bytes().split(b"\0")


@pytest.fixture
def begin(tmp_path):
    """Starts servers and nodes that end with the test."""
    with contextlib.ExitStack() as stack:

        def server(listen):
            process = Process(tmp_path / "data", "--listen", listen)
            stack.callback(process.end, signal.SIGKILL)
            return process.ready()

        def node(at):
            made = Node(tmp_path, at)
            stack.callback(made.process.wait)
            stack.callback(made.process.kill)
            return made

        yield server, node


def events(server, name):
    """How many log lines of channels say *name*."""
    return sum(line.get("event") == name and "node" in line for line in server.log())


def ended(client, command_id):
    """The command, once it has ended."""
    return until(
        lambda: next(
            (
                one
                for one in client.list_commands(CommandId=command_id)["Commands"]
                if one["Status"] not in {"Pending", "InProgress"}
            ),
            None,
        ),
        "the command ended",
    )


def test_an_agent_takes_its_commands_from_its_channel(begin):
    """A ping is answered while it waits; a script wakes it; a server that comes back finds it, and it is never deaf."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    start, join = begin
    server = start(listen)
    node = join(server)
    until(lambda: events(server, "opened"), "the channel is open")
    client = server.client()
    polls = sum(line.get("target", "").endswith("GetMessages") for line in server.log())

    sent = client.send_command(DocumentName="AWS-Noop", InstanceIds=[node.id])["Command"]["CommandId"]
    assert ended(client, sent)["Status"] == "Success"
    assert node.waits()
    assert events(server, "closed") == 0
    assert sum(line.get("target", "").endswith("GetMessages") for line in server.log()) == polls
    shown = client.get_command_invocation(CommandId=sent, InstanceId=node.id)
    assert (shown["Status"], shown["ResponseCode"]) == ("Success", 0)

    sent = client.send_command(
        DocumentName="AWS-RunShellScript", InstanceIds=[node.id], Parameters={"commands": ["echo over the channel"]}
    )["Command"]["CommandId"]
    assert ended(client, sent)["Status"] == "Success"
    shown = client.get_command_invocation(CommandId=sent, InstanceId=node.id)
    assert shown["StandardOutputContent"] == "over the channel\n"

    assert server.end() == 0
    server = start(listen)
    client = server.client()
    sent = client.send_command(DocumentName="AWS-Noop", InstanceIds=[node.id])["Command"]["CommandId"]
    assert ended(client, sent)["Status"] == "Success"
    os.kill(node.process.pid, signal.SIGTERM)
    assert node.process.wait(DEADLINE) == 0
