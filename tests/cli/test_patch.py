# SPDX-License-Identifier: Apache-2.0
"""`patchwright patch`: a command is sent, watched to its end, and its outcome is the exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from cli.bench import DEADLINE, SRC, FakeClock, Node, Server, until
from patchwright.cli.errors import Unreachable
from patchwright.cli.patch import watch
from patchwright.cli.watching import SILENCE_SECONDS


class Recorder:
    """Keeps what was shown."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def show(self, rows) -> None:
        self.seen.append([row.status for row in rows])


class Scripted:
    """A client whose listings are given: statuses of the nodes, or an error."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def pages(self, _operation, _members, _listed):
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return iter([{"InstanceId": key, "Status": text, "StatusDetails": text} for key, text in answer.items()])


NAMES = {"mi-1": "web", "mi-2": ""}


def test_watching_ends_when_every_node_has_ended():
    """Statuses are shown as they come; the invocations stand in the order of the nodes."""
    clock, shown = FakeClock(), Recorder()
    client = Scripted(
        {"mi-1": "Pending"},
        {"mi-2": "Success", "mi-1": "InProgress"},
        {"mi-2": "Success", "mi-1": "ExecutionTimedOut"},
    )

    ended = watch(client, "id", NAMES, clock=clock, progress=shown)

    assert ["mi-1", "mi-2"] == [one["InstanceId"] for one in ended]
    assert [["Pending"], ["InProgress", "Success"], ["ExecutionTimedOut", "Success"]] == shown.seen
    assert 2 == len(clock.slept)


def test_a_server_that_is_restarted_meanwhile_is_asked_again():
    """A watch outlives a server that does not answer for a while."""
    gone = Unreachable("gone")
    client = Scripted({"mi-1": "Pending", "mi-2": "Pending"}, gone, gone, {"mi-1": "Success", "mi-2": "Success"})

    ended = watch(client, "id", NAMES, clock=FakeClock(), progress=Recorder())

    assert 2 == len(ended)


def test_a_server_that_stays_away_ends_the_watch():
    """After five minutes without an answer the watch gives up."""
    clock = FakeClock()

    with pytest.raises(Unreachable):
        watch(Scripted({"mi-1": "Pending"}, Unreachable("gone")), "id", NAMES, clock=clock, progress=Recorder())

    assert sum(clock.slept) >= SILENCE_SECONDS


def test_a_status_of_a_newer_server_does_not_stop_the_watch():
    """Where the details are an unknown word, the status says whether anything follows."""
    client = Scripted({"mi-1": "Pondering", "mi-2": "Success"})

    assert 2 == len(watch(client, "id", NAMES, clock=FakeClock(), progress=Recorder()))


def test_a_scan_is_watched_to_its_end(server, node):
    """Every change is a line; the node's output follows; Success is exit code 0."""
    result = server.run("patch", node.id, "--operation", "scan")

    assert 0 == result.code
    assert f"{node.id} (node-" in result.out
    assert "): Success after" in result.out
    assert "Missing 1" in result.out
    assert "openssl.amd64:3.0.2-1" in result.out


def test_an_install_installs(server, node):
    """After Install with NoReboot the node says that a restart is pending; the next scan of a compliant node is one."""
    result = server.run("patch", node.id, "--operation", "Install", "--reboot-option", "NoReboot", "--json")

    assert 0 == result.code
    (invocation,) = result.json["Invocations"]
    assert "Success" == invocation["Status"]
    assert result.json["Command"]["CommandId"] == invocation["CommandId"]
    assert {"Install": ["Install"]} == {"Install": result.json["Command"]["Parameters"]["Operation"]}
    assert f"{node.id}" in result.err, "progress goes to standard error beside a document"
    verdict = server.run("node", "show", node.id, "--json").json["LiveVerdict"]
    assert "InstalledPendingReboot" in {patch["State"] for patch in verdict["Patches"]}
    assert "needed: 1 installed since the node was started: openssl.amd64" in server.run("node", "show", node.id).out


def test_a_run_that_fails_is_exit_code_one_and_shows_why(server, node):
    """A package that cannot be installed fails the invocation; its reason stands in the node's output."""
    node.change(failing={"openssl": "postinst ended with exit code 1"})

    result = server.run("patch", node.id, "--operation", "Install", "--reboot-option", "NoReboot")

    assert 1 == result.code
    assert "Failed" in result.out
    assert "postinst ended with exit code 1" in result.out


def test_nobody_waits_where_nobody_wants_to(server, silent_node):
    """--no-wait prints the command's id and leaves; the options reach the command."""
    snapshot = "0123abcd-0123-4567-89ab-0123456789ab"
    words = [
        "patch",
        silent_node.id,
        "--operation",
        "Install",
        "--reboot-option",
        "noreboot",
        "--snapshot-id",
        snapshot,
    ]

    plain = server.run(*words, "--no-wait")
    result = server.run(*words, "--timeout", "600", "--no-wait", "--json")

    assert [0, 36] == [plain.code, len(plain.out.strip())]
    command = result.json["Command"]
    assert {"Operation": ["Install"], "RebootOption": ["NoReboot"], "SnapshotId": [snapshot]} == command["Parameters"]
    assert 600 == command["TimeoutSeconds"]
    assert [silent_node.id] == command["InstanceIds"]


def test_what_the_server_refuses_is_exit_code_one(server, silent_node):
    """A snapshot id that is none, or an unknown node: the server's code and words, and nothing is sent."""
    refused = server.run("patch", silent_node.id, "--operation", "Scan", "--snapshot-id", "nonsense")
    unknown = server.run("patch", "mi-0123456789abcdef0", "--operation", "Scan")

    assert [1, 1] == [refused.code, unknown.code]
    assert refused.err.startswith("InvalidParameters: ")
    assert unknown.err.startswith("InvalidInstanceId: ")


def test_too_many_nodes_are_a_usage_error(server):
    """One command takes fifty nodes."""
    result = server.run("patch", *(f"mi-{number:017x}" for number in range(51)), "--operation", "Scan")

    assert 2 == result.code
    assert "up to 50 nodes" in result.err


def started(server: Server, node: Node) -> subprocess.Popen[str]:
    """A scan of *node* that is being watched by a process of its own."""
    return subprocess.Popen(
        # Whoever runs the tests in the background has the signal ignored, and children inherit that.
        ["env", "--default-signal=INT", sys.executable, "-m", "patchwright", "patch", node.id, "--operation", "Scan"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **server.environment, "PYTHONPATH": SRC},
    )


def test_ctrl_c_ends_the_watching_and_not_the_command(server, silent_node):
    """An interrupted watch says that the command goes on, and it does: the node takes it up later."""
    process = started(server, silent_node)
    assert process.stdout
    command_id = process.stdout.readline().split()[1].rstrip(":")
    assert "Pending" in process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=DEADLINE)

    assert 1 == process.returncode
    assert f"Stopped watching. The command {command_id} goes on" in errors
    assert "Traceback" not in errors
    silent_node.start()
    client = server.client()
    until(
        lambda: client.get_command_invocation(CommandId=command_id, InstanceId=silent_node.id)["Status"] == "Success",
        "the command ended well",
    )


def test_a_node_that_was_not_heard_of_is_named_before_the_waiting(server, silent_node, tmp_path):
    """Whoever waits learns for whom, and since when."""
    late = FakeClock(time=2_000_000_000.0)
    found = {silent_node.id: {"PingStatus": "ConnectionLost", "Name": "web", "LastPingDateTime": late.time - 7_200}}

    from patchwright.cli.output import Plain
    from patchwright.cli.patch import _warn_of_silent

    with (tmp_path / "shown").open("w") as stream:
        _warn_of_silent(Plain(stream), found, late)

    assert "(web) was last heard 2 h ago" in (tmp_path / "shown").read_text()
