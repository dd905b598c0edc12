# SPDX-License-Identifier: Apache-2.0
"""Our agent on its channel: a real agent, a real server, processes both."""

from __future__ import annotations

import contextlib
import os
import signal
import socket

import pytest

from server.gateway.joined import DEADLINE, Node, until
from server.process import Process


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
