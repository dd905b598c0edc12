# SPDX-License-Identifier: Apache-2.0
"""The agent that waits: deliveries, repetitions, cancellations, a server that is away."""

from __future__ import annotations

import json
import secrets
import time
from typing import ClassVar

import pytest

from agent.simulator import Refusal
from agent.stage import Stage
from patchwright.agent import loop
from patchwright.agent.clock import Clock
from patchwright.agent.config import Settings, load_identity
from patchwright.agent.disk import Disk
from patchwright.agent.journal import Journal
from patchwright.agent.outbox import FINAL, reply_id
from patchwright.core import protocol

PENDING = "22222222-2222-4222-8222-222222222222"  # a command that was taken in and not begun


def test_the_loop_speaks_the_protocols_words():
    """What the waiting agent repeats of core.protocol, to stay small, is the same there."""
    assert loop.SEND_COMMAND_TOPIC == protocol.SEND_COMMAND_TOPIC
    assert loop.CANCEL_COMMAND_TOPIC == protocol.CANCEL_COMMAND_TOPIC
    assert loop.VISIBILITY_SECONDS == protocol.VISIBILITY_SECONDS
    assert ".".join([*loop.MESSAGE_PREFIX, "command", "mi-1"]) == protocol.message_id("command", "mi-1")


def test_a_delivery_is_journalled_before_it_is_acknowledged(stage):
    """When the acknowledgement arrives the command is on the node's disk already."""
    command = stage.send("Scan")
    seen = []
    stage.simulator.before["AcknowledgeMessage"] = lambda: seen.append(Journal(Disk(stage.state_dir)).stage(command))

    stage.once()
    assert seen == ["pending"]


def test_a_delivery_of_what_is_done_is_answered_from_the_journal(stage):
    """The same command again, days later: the stored reply under its old id, an acknowledgement, and nothing runs."""
    command = stage.send("Install", reboot="NoReboot")
    stage.once()
    history, operations = stage.history, stage.simulator.count("BeginOperation")
    message = stage.simulator.sent[-1]
    stage.simulator.deliver(message["MessageId"], message["Topic"], message["Payload"])

    stage.once()
    assert stage.history == history
    assert stage.simulator.count("BeginOperation") == operations
    assert stage.simulator.repeated == [reply_id(message["MessageId"], FINAL)]
    assert stage.simulator.final(command)["documentStatus"] == "Success"
    assert not stage.simulator.queue


def test_a_delivery_of_what_is_running_is_acknowledged_and_not_run(real_stage):
    """The same command while it runs: acknowledged, and there is no second run."""
    stage = real_stage
    gate = stage.directory / "gate"
    gate.touch()
    command = stage.send("Install", reboot="NoReboot")
    stage.start()
    stage.wait_for(lambda: "install openssl 3.0.2-1" in stage.history, "the installation was under way")
    message = stage.simulator.sent[-1]
    stage.simulator.deliver(message["MessageId"], message["Topic"], message["Payload"])
    stage.wait_for(lambda: not stage.simulator.queue, "the second delivery was acknowledged")
    gate.unlink()

    assert stage.wait_for_final(command)["documentStatus"] == "Success"
    assert stage.history.count("install begins") == 1


def test_commands_run_one_after_the_other_where_that_is_wanted(stage):
    """With the setting, three commands at once run in the order they came, each to its end."""
    stage.settings(commands_at_once=1)
    commands = [stage.send("Scan"), stage.send("Install", reboot="NoReboot"), stage.send("Scan")]

    stage.once()
    assert [stage.simulator.final(command)["documentStatus"] for command in commands] == ["Success"] * 3
    assert [operation.command_id for operation in stage.simulator.operations.values()] == commands
    outputs = [stage.simulator.final(c)["runtimeStatus"]["Patch"]["standardOutput"] for c in commands]
    assert outputs == ["missing: openssl=3.0.2-1 zlib1g=1.2-2", "missing: ", "missing: "]


def test_commands_that_follow_each_other_closely_do_not_wait(real_stage):
    """
    Each command sent the moment the one before has ended: the worker about to exit must not count as one at it, nor the next
    one as one after a failure, which would have to pause.
    """
    stage = real_stage
    stage.simulator.hold = 75.0
    stage.settings(poll_seconds=80)
    stage.start()

    begun = time.monotonic()
    for _ in range(6):
        stage.wait_for_final(stage.send("Scan"))
    assert time.monotonic() - begun < stage.simulator.hold


def test_a_command_cancelled_before_it_began_does_nothing(stage):
    """Cancelled while it still waits: its steps are Cancelled and the node was not touched."""
    command = stage.send("Install")
    stage.simulator.cancel(stage.instance_id, command)

    stage.once()
    final = stage.simulator.final(command)
    assert final["documentStatus"] == "Cancelled"
    assert final["runtimeStatus"]["Patch"]["status"] == "Cancelled"
    assert stage.history == []
    assert not stage.simulator.queue


def test_a_cancellation_that_comes_first_counts(stage):
    """The cancellation overtakes the command: the command is cancelled when it comes."""
    first = stage.send("Scan")
    held = stage.simulator.queue.popitem()
    stage.simulator.cancel(stage.instance_id, first)
    stage.once()
    stage.simulator.deliver(held[0], held[1]["Topic"], held[1]["Payload"])

    stage.once()
    assert stage.simulator.final(first)["documentStatus"] == "Cancelled"


def test_cancelling_what_is_done_changes_nothing(stage):
    """A late cancellation is acknowledged; the final reply stays the one there is."""
    command = stage.send("Scan")
    stage.once()
    stage.simulator.cancel(stage.instance_id, command)

    stage.once()
    assert stage.simulator.final(command)["documentStatus"] == "Success"
    assert not stage.simulator.queue


@pytest.mark.parametrize(
    ("message", "topic", "failure"),
    [
        ("{id}", "aws.ssm.unknown.1", "NoHandlerExists"),
        ("aws.ssm.../../etc/passwd.{node}", "aws.ssm.sendCommand.1", "InternalHandlerException"),
        ("aws.ssm.{id}.mi-00000000000000000", "aws.ssm.sendCommand.1", "InternalHandlerException"),
        ("{id}", "aws.ssm.cancelCommand.1", "InternalHandlerException"),
    ],
)
def test_a_message_nobody_can_handle_is_failed(stage, message, topic, failure):
    """An unknown topic, another node's command, an id that is a path: the server is told, and nothing is written."""
    text = message.format(id=secrets.token_hex(16), node=stage.instance_id)
    stage.simulator.deliver(text, topic, "no json")
    if text.endswith("mi-00000000000000000"):
        stage.simulator.queue[text]["Destination"] = stage.instance_id

    stage.once()
    calls = [members for name, members in stage.simulator.calls if name == "FailMessage"]
    assert calls == [{"MessageId": text, "FailureType": failure}]
    assert list((stage.state_dir / "commands").glob("*/*")) == []


@pytest.mark.parametrize(
    "payload",
    ["no json", "[]", "{}", '{"DocumentContent": {"schemaVersion": "1.2"}}', '{"DocumentContent": 1, "Parameters": 2}'],
)
def test_a_command_that_cannot_be_read_ends_failed(stage, payload):
    """A payload that is no document: one final reply, Failed, with the reason in its trace."""
    command = "-".join(["0" * 8, "0" * 4])
    stage.simulator.deliver(protocol.message_id(command, stage.instance_id), "aws.ssm.sendCommand.1", payload)

    stage.once()
    final = stage.simulator.final(command)
    assert final["documentStatus"] == "Failed"
    assert "cannot be read" in final["documentTraceOutput"]


@pytest.mark.parametrize("stage_name", ["pending", "current"])
def test_a_damaged_journal_ends_the_command_and_is_never_run(stage, stage_name):
    """The journal of a command cannot be read: Failed, saying so; the file is kept; nothing runs, nothing loops."""
    command = "11111111-aaaa"
    path = stage.state_dir / "commands" / stage_name / f"{command}.json"
    Journal(Disk(stage.state_dir))
    path.write_bytes(b'{"command_id": "1111')

    assert stage.once() == 0
    assert "journal damaged" in stage.simulator.final(command)["documentTraceOutput"]
    assert stage.history == []
    assert path.with_suffix(".damaged").read_bytes() == b'{"command_id": "1111'
    assert stage.once() == 0
    assert stage.simulator.final(command)["documentStatus"] == "Failed"


def test_replies_arrive_in_order_after_a_time_without_the_server(stage):
    """Start, step and end wait in the outbox while replies fail, and arrive in that order, each once."""
    stage.simulator.refusing["SendReply"] = Refusal("InternalServerError", "later", 500)
    command = stage.send("Scan")
    assert stage.once() == 1
    assert stage.simulator.replies_of(command) == []
    del stage.simulator.refusing["SendReply"]

    assert stage.once() == 0
    replies = stage.simulator.replies_of(command)
    assert [reply["documentStatus"] for reply in replies] == ["InProgress", "InProgress", "Success"]
    assert [list(reply["runtimeStatus"]) for reply in replies] == [[], ["Patch"], ["Patch"]]


def test_a_reply_the_server_will_never_take_is_dropped(stage):
    """A final refusal of a reply does not block what comes after it."""
    stage.simulator.refusing["SendReply"] = Refusal("InvalidCommandId", "Unknown command.")
    stage.send("Scan")

    assert stage.once() == 0
    assert list((stage.state_dir / "outbox").glob("[!.]*")) == []


def test_a_node_the_server_does_not_know_keeps_its_replies(stage):
    """Where the node itself is refused (an expired key), nothing is thrown away."""
    stage.simulator.refusing["SendReply"] = Refusal("UnrecognizedClientException", "Who are you?")
    stage.send("Scan")

    assert stage.once() == 1
    assert len(list((stage.state_dir / "outbox").glob("[!.]*"))) == 3


def test_a_node_enrolled_anew_leaves_behind_what_it_was_told_before(stage):
    """Neither replies nor commands of the identity it had: they are not the new server's, and must not make it deaf."""
    stage.simulator.refusing["SendReply"] = Refusal("InternalServerError", "later", 500)
    stage.send("Scan")
    assert stage.once() == 1
    old = f"aws.ssm.{PENDING}.{stage.instance_id}"
    Journal(Disk(stage.state_dir)).accept(PENDING, message_id=old, payload="{}", now=1.0)
    del stage.simulator.refusing["SendReply"]
    before = stage.simulator.count("BeginOperation")
    stage.instance_id, secret = stage.simulator.add_node()
    identity = {**stage.identity, "instance_id": stage.instance_id, "secret": secret}
    (stage.state_dir / "identity.json").write_text(json.dumps(identity))
    command = stage.send("Scan")

    assert stage.once() == 0
    assert stage.simulator.final(command)["documentStatus"] == "Success"
    assert stage.simulator.count("BeginOperation") == before + 1
    assert stage.simulator.replies_of(PENDING) == []
    assert list((stage.state_dir / "outbox").glob("[!.]*")) == []
    assert Journal(Disk(stage.state_dir)).stage(PENDING) == "done"


def test_a_reply_that_cannot_be_taken_does_not_make_the_node_deaf(stage):
    """Commands are taken in and run all the same; their replies wait behind it."""
    stage.simulator.refusing["SendReply"] = Refusal("InternalServerError", "broken", 500)
    stage.send("Scan")
    assert stage.once() == 1
    second = stage.send("Scan")

    assert stage.once() == 1
    assert Journal(Disk(stage.state_dir)).stage(second) == "done"


def test_the_server_learns_where_the_node_is(stage):
    """UpdateInstanceInformation carries name, version and platform, at the start."""
    stage.once()
    (members,) = [members for name, members in stage.simulator.calls if name == "UpdateInstanceInformation"]

    assert members["InstanceId"] == stage.instance_id
    assert members["AgentName"] == "patchwright-agent"
    assert members["PlatformType"] == "Linux"
    assert members["PlatformName"] == "Debian GNU/Linux"
    assert members["IPAddress"] == "127.0.0.1"


def test_an_agent_that_cannot_reach_the_server_goes_on_trying(real_stage):
    """The server is away when the agent starts; when it comes back the agent is there."""
    stage = real_stage
    stage.simulator.down = True
    agent = stage.start()
    stage.wait_for(lambda: stage.log.read_text().count("tried again after") > 2, "the agent had tried")
    stage.simulator.down = False
    command = stage.send("Scan")

    assert stage.wait_for_final(command)["documentStatus"] == "Success"
    assert agent.poll() is None


def test_a_node_that_was_deregistered_asks_less_and_less(stage):
    """The server does not know it any more: pauses up to the longest, each told in the log; it never ends, nor asks hot."""
    for operation in ("UpdateInstanceInformation", "GetMessages"):
        stage.simulator.refusing[operation] = Refusal("UnrecognizedClientException", "The security token is invalid.")

    class Enough(Exception):
        """The test has seen what it wanted."""

    class Patient(Clock):
        pauses: ClassVar[list[float]] = []

        def sleep(self, seconds):
            self.pauses.append(seconds)
            if len(self.pauses) == 12:
                raise Enough

        def jitter(self, seconds):
            return seconds

    agent = loop.Loop(
        load_identity(stage.state_dir),
        Settings(),
        disk=Disk(stage.state_dir),
        clock=Patient(),
        program=("/nowhere",),
        environment={},
    )
    with pytest.raises(Enough):
        agent.run()

    assert Patient.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, *[60.0] * 6]
    assert stage.simulator.count("UpdateInstanceInformation") + stage.simulator.count("GetMessages") == 12


def test_two_agents_do_not_share_a_state_directory(real_stage):
    """A second agent on the same directory says so and leaves."""
    stage = real_stage
    stage.start()
    stage.wait_for(lambda: stage.simulator.count("GetMessages"), "the first agent polled")

    assert stage.once() == 1
    assert "another agent runs" in stage.log.read_text()


def test_ended_commands_are_forgotten_after_days(stage):
    """What ended longer ago than keep_days goes, what is newer stays."""
    command = stage.send("Scan")
    stage.once()
    journal = Journal(Disk(stage.state_dir))
    moment = (stage.state_dir / "commands" / "done" / f"{command}.json").stat().st_mtime

    assert journal.forget(older_than=moment - 1) == 0
    assert journal.stage(command) == "done"
    assert journal.forget(older_than=moment + 1) == 1
    assert journal.stage(command) is None


def test_no_secret_is_written_anywhere_but_in_the_identity(stage):
    """Log, journal, outbox and work files do not hold the node's secret."""
    stage.send("Install")
    stage.once()
    secret = stage.identity["secret"].encode()

    holders = [path for path in stage.directory.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert [path.name for path in holders] == ["identity.json"]


def test_an_unknown_action_fails_its_step_and_skipped_ones_are_skipped(stage):
    """Steps this agent does not serve fail by name; steps for another platform are skipped; the rest runs."""
    document = {
        "schemaVersion": "2.2",
        "mainSteps": [
            {"name": "Script", "action": "aws:unheardOf", "inputs": {"runCommand": ["true"]}},
            {
                "name": "Other",
                "action": "patchwright:patch",
                "precondition": {"StringEquals": ["platformType", "Windows"]},
                "inputs": {},
            },
            {"name": "Patch", "action": "patchwright:patch", "inputs": {}},
        ],
    }
    payload = {"DocumentContent": document, "Parameters": {}}
    command = stage.send("Scan", **payload)
    stage.simulator.sent[-1]["Payload"] = json.dumps({**payload, "Parameters": {"Operation": "Scan"}})

    stage.simulator.queue[stage.simulator.sent[-1]["MessageId"]] = {
        **stage.simulator.sent[-1],
        "Payload": json.dumps(payload),
    }
    stage.once()
    final = stage.simulator.final(command)
    statuses = {name: found["status"] for name, found in final["runtimeStatus"].items()}
    assert statuses == {"Script": "Failed", "Other": "Skipped", "Patch": "Success"}
    assert final["documentStatus"] == "Failed"
    assert "aws:unheardOf is not served" in final["runtimeStatus"]["Script"]["standardError"]


def test_a_full_disk_is_reported(tmp_path, simulator):
    """The installation fills the state directory's disk: what was done is journalled and reported all the same."""
    stage = Stage(tmp_path / "node", simulator)
    command = stage.send("Install", reboot="NoReboot")
    stage.set(fills_disk=str(stage.state_dir))

    code = stage.once_on_small_disk(kib=512)
    assert code == 0, stage.logs()
    assert simulator.final(command)["documentStatus"] == "Success"
    assert stage.history.index("reserve kept") < stage.history.index("filled")
    assert stage.history[-1] == "reserve given up"
    assert stage.installed == {"openssl": "3.0.2-1", "zlib1g": "1.2-2"}


def test_on_a_full_disk_nothing_new_is_accepted(tmp_path, simulator):
    """Without room for the reserve no command is taken in; it stays at the server, which delivers it again."""
    stage = Stage(tmp_path / "node", simulator)
    stage.settings(reserve_kib=4096)
    stage.send("Scan")

    assert stage.once_on_small_disk(kib=512) == 1
    assert len(simulator.queue) == 1
    assert simulator.count("GetMessages") == 0
    assert simulator.count("UpdateInstanceInformation") == 1


def test_a_disk_that_stays_full_does_not_hold_the_agent_for_ever(tmp_path, simulator):
    """Where not even the reserve helps, `run --once` ends and says where to look; the command stays journalled."""
    stage = Stage(tmp_path / "node", simulator)
    stage.settings(reserve_kib=0)
    stage.send("Install", reboot="NoReboot")
    stage.set(fills_disk=str(stage.state_dir))

    assert stage.once_on_small_disk(kib=512) == 1
    assert "worker.log says why" in stage.log.read_text()
    assert simulator.replies[-1][2]["documentStatus"] == "InProgress"
