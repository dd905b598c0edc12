# SPDX-License-Identifier: Apache-2.0
"""Replies wait until they are confirmed, in order, under ids that do not change."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from patchwright.agent.client import Refused, ServerUnavailable
from patchwright.agent.disk import Disk, Lock
from patchwright.agent.outbox import FINAL, STARTED, Outbox, reply_id, try_to_drain


class Server:
    """Stands in for the client: answers with what *answers* holds, then with success."""

    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.taken: list[dict[str, Any]] = []

    def call(self, operation: str, members: dict[str, Any]) -> dict[str, Any]:
        assert operation == "SendReply"
        if self.answers:
            raise self.answers.pop(0)
        self.taken.append(members)
        return {}


@pytest.fixture
def outbox(tmp_path):
    """An outbox with three replies of one command, put in another order."""
    outbox = Outbox(Disk(tmp_path), instance_id="mi-1")
    for position in (FINAL, 1, STARTED):
        outbox.put("a", position, message_id="aws.ssm.a.mi-1", payload=str(position))
    return outbox


def test_replies_of_a_command_go_in_order(outbox):
    """Start, steps, end: whatever order they were stored in."""
    server = Server()

    assert outbox.drain(server) == 0
    assert [reply["Payload"] for reply in server.taken] == ["0", "1", "9999"]
    assert outbox.waiting() == []


def test_an_unavailable_server_stops_the_rest(outbox):
    """What comes after an unconfirmed reply is not sent before it."""
    server = Server(ServerUnavailable("away"))

    assert not try_to_drain(outbox, server)
    assert server.taken == []
    assert len(outbox.waiting()) == 3


def test_a_refused_reply_is_dropped_and_the_rest_sent(outbox):
    """A reply the server will never take does not block the others."""
    server = Server(Refused("InvalidCommandId", "no such command"))

    assert outbox.drain(server) == 0
    assert [reply["Payload"] for reply in server.taken] == ["1", "9999"]


def test_a_refused_node_keeps_everything(outbox):
    """A refusal of the node itself says nothing about its replies."""
    assert not try_to_drain(outbox, Server(Refused("UnrecognizedClientException", "who?")))
    assert len(outbox.waiting()) == 3


def test_what_an_earlier_identity_left_is_dropped(outbox, tmp_path):
    """Only the node it was may send it; its server would refuse it for ever, and everything behind it would wait."""
    outbox.put("b", FINAL, message_id="aws.ssm.b.mi-2", payload="new")
    server = Server()

    assert Outbox(Disk(tmp_path), instance_id="mi-2").drain(server) == 0
    assert [reply["Payload"] for reply in server.taken] == ["new"]


def test_one_process_drains_at_a_time(outbox, tmp_path):
    """While somebody else sends, nobody sends the same again."""
    other = Lock(tmp_path / "outbox" / ".lock")
    assert other.take()
    server = Server()

    assert outbox.drain(server) == 3
    assert server.taken == []
    other.release()


def test_a_damaged_reply_is_set_aside(outbox, tmp_path):
    """A file that cannot be read does not block the outbox for ever."""
    (tmp_path / "outbox" / "a.0000.json").write_bytes(b"{")
    server = Server()

    assert outbox.drain(server) == 0
    assert len(server.taken) == 2
    assert (tmp_path / "outbox" / "a.0000.damaged").exists()


def test_reply_ids_follow_from_what_they_speak_of():
    """The same reply has the same id, another has another, and it is a UUID."""
    assert reply_id("m", 1) == reply_id("m", 1)
    assert len({reply_id("m", 1), reply_id("m", 2), reply_id("n", 1)}) == 3
    assert str(uuid.UUID(reply_id("m", 1))) == reply_id("m", 1)
