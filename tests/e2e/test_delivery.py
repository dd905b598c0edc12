# SPDX-License-Identifier: Apache-2.0
"""Messages that are lost, doubled or delivered again change nothing: what was asked for is done once, and ends right."""

from __future__ import annotations

import pytest

from .station import lines, until

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

EXCHANGE = ("BeginOperation", "PutFacts", "PutBodies", "PutResolution")
MESSAGES = ("UpdateInstanceInformation", "AcknowledgeMessage", "SendReply")
SLOW = "echo begin >>/var/log/foo; until test -e /go; do sleep 0.05; done; echo end >>/var/log/foo"


@pytest.fixture
def node(station, debrepo, new_node):
    """A managed node with foo outstanding, which notes each configuration in a log."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1", postinst="echo configured >>/var/log/foo")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)
    return node


def test_every_answer_may_be_lost_once(station, node):
    """The server took every request, the node never learnt so and asked again: one installation, one reboot, Installed."""
    station.interposer.lose_first_answers(*EXCHANGE, *MESSAGES)
    command = station.send(node, "Install", reboot="RebootIfNeeded")
    _is_done_once(station, node, station.wait(node, command))
    asked = {name: station.interposer.seen[name] for name in EXCHANGE}
    assert all(number >= 2 for number in asked.values()), asked
    until(lambda: len(station.final_replies(command)) == 2, what="the last reply is sent again")


def test_every_request_may_arrive_twice(station, node):
    """The server takes no signature twice, and the node has the first answer: one operation, one plan, one installation."""
    for operation in (*EXCHANGE, *MESSAGES):
        station.interposer.double(operation, times=1000)
    _is_done_once(station, node, station.patch(node, "Install", reboot="RebootIfNeeded"))


def test_a_delivery_that_is_lost_is_made_again(station, node):
    """The server handed the command over and nobody got it: it is visible again when the time for that has passed."""
    station.interposer.drop_answer("GetMessages")
    command = station.send(node, "Install", reboot="RebootIfNeeded")
    _is_done_once(station, node, station.wait(node, command))
    assert len(station.interposer.sent("AcknowledgeMessage")) == 1


def test_two_commands_run_one_after_the_other(station, node):
    """An Install and a Scan sent together do not meet: the Scan sees what the Install did, each ends once."""
    install, scan = station.send(node, "Install"), station.send(node, "Scan")
    assert station.wait(node, install)["Status"] == "Success"
    assert station.wait(node, scan)["Status"] == "Success"
    assert station.summary(node)["Operation"] == "Scan"
    assert station.states(node, "foo.all") == {"foo.all": "InstalledPendingReboot"}
    assert lines(node, "/var/log/foo") == ["configured"]
    assert [len(station.final_replies(command)) for command in (install, scan)] == [1, 1]


def test_a_poll_that_was_given_up_takes_no_command(station, node):
    """An agent that was killed while it waited polls anew: the command goes to the new poll, once and at once."""
    polls = station.interposer.seen
    until(lambda: polls["GetMessages"], what="the agent waits for commands")
    before = polls["GetMessages"]
    node.run(["systemctl", "kill", "--signal=KILL", "agent"])
    until(lambda: polls["GetMessages"] > before, what="the new agent waits for commands")

    assert station.patch(node, "Scan")["Status"] == "Success"
    assert station.interposer.deliveries == 1
    assert station.states(node, "foo.all") == {"foo.all": "Missing"}


def test_a_command_delivered_again_while_it_runs_is_not_run_again(station, debrepo, new_node):
    """The second delivery is acknowledged and nothing else; the package is configured once."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1", postinst=SLOW)
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)
    command = station.send(node, "Install")
    until(lambda: lines(node, "/var/log/foo"), what="foo is being configured")
    station.interposer.redeliver()
    until(lambda: len(station.interposer.sent("AcknowledgeMessage")) == 2, what="the second delivery is acknowledged")
    node.write("/go", "")

    assert station.wait(node, command)["Status"] == "Success"
    assert lines(node, "/var/log/foo") == ["begin", "end"]
    assert station.interposer.seen["BeginOperation"] == 1
    assert len(station.final_replies(command)) == 1
    assert station.states(node, "foo.all") == {"foo.all": "InstalledPendingReboot"}


def test_a_command_delivered_again_after_its_end_is_answered_from_memory(station, node):
    """The stored reply is sent again, nothing runs, and the invocation stays as it ended."""
    command = station.send(node, "Install", reboot="RebootIfNeeded")
    done = station.wait(node, command)
    _is_done_once(station, node, done)
    begun = station.interposer.seen["BeginOperation"]
    station.interposer.redeliver()
    until(lambda: len(station.final_replies(command)) == 2, what="the stored reply is sent again")

    first, second = station.final_replies(command)
    assert first == second
    again = station.result(node, command)
    assert {name: value for name, value in again.items() if done[name] != value}.keys() <= {"ResponseMetadata"}
    assert station.interposer.seen["BeginOperation"] == begun
    _is_done_once(station, node, done)


def _is_done_once(station, node, done) -> None:
    """The Install succeeded with one configuration and one reboot, and every answer says Installed."""
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert node.boots == 2
    node.wait_running()
    assert lines(node, "/var/log/foo") == ["configured"]
    assert node.installed()["foo.all"] == ("1.0-1+deb12u1", "ii")
    assert station.states(node, "foo.all") == {"foo.all": "Installed"}
    summary = station.summary(node)
    assert (summary["Operation"], summary["MissingCount"], summary["FailedCount"]) == ("Install", 0, 0)
    assert station.live(node)["Standing"] == "COMPLIANT"
