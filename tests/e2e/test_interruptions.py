# SPDX-License-Identifier: Apache-2.0
"""What is cut off in the middle of an installation ends truthfully, once, and nothing stays in progress."""

from __future__ import annotations

import signal
from functools import partial

import pytest

from .station import ENGINES, STATE_DIR, WITH_INVENTORY, lines, until

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

WORKER_LOG = f"{STATE_DIR}/worker.log"
SLOW = "echo begin >>/var/log/slow; until test -e /go; do sleep 0.05; done; echo end >>/var/log/slow"
# Not what holds dpkg: the installation is a process of its own and goes on.
KILL_WORKER = """
for pid in $(grep -lsaz '^work$' /proc/[0-9]*/cmdline | cut -d/ -f3); do kill -KILL $pid; done
systemctl kill --kill-whom=main --signal=KILL agent
"""
KILLS = {
    "the agent": ["systemctl", "kill", "--kill-whom=main", "--signal=KILL", "agent"],
    "the agent and its worker": ["sh", "-c", KILL_WORKER],
    "everything": ["systemctl", "kill", "--kill-whom=all", "--signal=KILL", "agent"],
}

MOMENTS = ("BeginOperation", "PutFacts before", "PutBodies", "PutResolution", "PutFacts after", "SendReply")


@pytest.fixture
def node(station, debrepo, new_node):
    """A managed node with slow, whose installation waits for /go, and quick outstanding."""
    for name, script in (("slow", SLOW), ("quick", "")):
        debrepo.release(name, "1.0-1")
        debrepo.security(name, "1.0-1+deb12u1", postinst=script)
    node = new_node("deb12", debrepo, outstanding=["slow", "quick"])
    station.enrol(node, settings={"connect_seconds": 1, "request_seconds": 2, **WITH_INVENTORY})
    return node


@pytest.mark.parametrize("whom", KILLS)
def test_an_agent_killed_in_mid_install_goes_on(station, node, whom):
    """Everything is installed, unpacked once, configured to its end once, and one final reply says so."""
    command = _in_mid_install(station, node)
    node.run(KILLS[whom])
    _let_go(node)

    done = station.wait(node, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert lines(node, "/var/log/slow") == ["begin", *(["begin"] if whom == "everything" else []), "end"]
    _is_installed_once(station, node)
    _is_reported_once(station, node, command)


def test_an_agent_killed_at_every_message_goes_on(station, node):
    """Everything of the agent dies at each message of the exchange in turn: one installation, one restart, one end."""
    node.write("/go", "")
    deaths = _die_at_every_message(station, lambda: node.run(KILLS["everything"], check=False))
    command = station.send(node, "Install", reboot="RebootIfNeeded")
    _is_installed_in_spite_of_all(station, node, command)
    assert set(deaths) == set(MOMENTS)
    assert node.boots == 2


def test_a_power_cut_at_every_message_is_made_good(station, node):
    """The same for the whole node. The cut after the installation is the restart it needs; there is no further one."""
    node.write("/go", "")

    def cut():
        node.crash()
        node.start(wait=False)

    deaths = _die_at_every_message(station, cut)
    command = station.send(node, "Install", reboot="RebootIfNeeded")
    _is_installed_in_spite_of_all(station, node, command)
    assert set(deaths) == set(MOMENTS)
    assert node.boots == 1 + len(deaths)


def test_a_power_cut_in_mid_install_is_made_good(station, node):
    """After the restart what was half done is finished and reported; nothing is left in progress."""
    command = _in_mid_install(station, node)
    node.crash()
    node.start()
    _let_go(node)

    done = station.wait(node, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert lines(node, "/var/log/slow") == ["begin", "begin", "end"]
    _is_installed_once(station, node)
    _is_reported_once(station, node, command)
    assert node.boots == 2


def test_a_power_cut_during_a_script_that_then_fails_is_told(station, debrepo, node):
    """What cannot be configured after the restart has Failed in dpkg's words; the others are installed."""
    debrepo.security("slow", "1.0-1+deb12u2", postinst="test ! -e /var/log/slow || exit 7; " + SLOW)
    command = _in_mid_install(station, node)
    node.crash()
    node.start()

    done = station.wait(node, command)
    assert done["Status"] == "Failed"
    assert "error exit status 7" in done["StandardErrorContent"]
    assert station.states(node, "slow.all", "quick.all") == {
        "slow.all": "Failed",
        "quick.all": "InstalledPendingReboot",
    }
    assert node.installed()["slow.all"] == ("1.0-1+deb12u2", "iF")
    assert node.installed()["quick.all"] == ("1.0-1+deb12u1", "ii")
    _is_reported_once(station, node, command, "Failed")


@pytest.mark.parametrize("database", ENGINES, indirect=True)
def test_a_server_that_dies_during_the_run_hears_of_it_later(station, node):
    """The node installs without it; the report waits, and arrives once when the server is back."""
    command = _in_mid_install(station, node)
    station.stop(signal.SIGKILL)
    _let_go(node)
    until(lambda: node.installed()["slow.all"][1] == "ii", what="the node has installed alone")
    tries = station.interposer.seen["PutFacts"]
    until(lambda: station.interposer.seen["PutFacts"] > tries, what="the node has tried to report")
    station.start()

    assert station.wait(node, command)["Status"] == "Success"
    assert lines(node, "/var/log/slow") == ["begin", "end"]
    _is_installed_once(station, node)
    _is_reported_once(station, node, command)


def test_a_server_that_dies_while_the_node_restarts_hears_of_it_later(station, node):
    """The node comes back to nobody, and keeps its report; it is taken once, and there is no second restart."""
    node.write("/go", "")
    command = station.send(node, "Install", reboot="RebootIfNeeded")
    until(lambda: node.boots == 2, what="the node restarts")
    station.stop(signal.SIGKILL)
    tries = len(station.interposer.record)
    until(lambda: len(station.interposer.record) > tries, what="the restarted agent has tried to speak")
    station.start()

    done = station.wait(node, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert node.boots == 2
    assert station.states(node, "slow.all", "quick.all") == {"slow.all": "Installed", "quick.all": "Installed"}
    assert station.live(node)["Standing"] == "COMPLIANT"
    _is_reported_once(station, node, command)


def test_a_node_that_is_cut_off_during_the_run_reports_later(station, node):
    """The same with a cable: connections hang, the node installs, and reports once when the network is back."""
    command = _in_mid_install(station, node)
    node.partition()
    _let_go(node)
    until(lambda: node.installed()["slow.all"][1] == "ii", what="the node has installed alone")
    told = len(lines(node, WORKER_LOG))
    until(lambda: "PutFacts waits" in "".join(lines(node, WORKER_LOG)[told:]), what="the node cannot report")
    assert station.result(node, command)["Status"] == "InProgress"
    node.heal()

    assert station.wait(node, command)["Status"] == "Success"
    assert lines(node, "/var/log/slow") == ["begin", "end"]
    _is_installed_once(station, node)
    _is_reported_once(station, node, command)


def _in_mid_install(station, node) -> str:
    """Send an Install and wait until the slow package is being configured; the command's id."""
    command = station.send(node, "Install")
    until(lambda: lines(node, "/var/log/slow"), what="slow is being configured")
    return str(command)


def _let_go(node) -> None:
    node.write("/go", "")


def _is_installed_once(station, node) -> None:
    """Both updates are there, dpkg unpacked each of them once, and every report says so."""
    log = lines(node, "/var/log/dpkg.log")
    for name in ("slow", "quick"):
        assert node.installed()[f"{name}.all"] == ("1.0-1+deb12u1", "ii")
        assert sum(f" upgrade {name}:all " in line for line in log) == 1
    states = {"quick.all": "InstalledPendingReboot", "slow.all": "InstalledPendingReboot"}
    assert station.states(node, *states) == states
    summary = station.summary(node)
    assert (summary["InstalledPendingRebootCount"], summary["MissingCount"], summary["FailedCount"]) == (2, 0, 0)
    live = station.live(node)["Patches"]
    assert {key: live[key]["State"] for key in states} == states


def _is_reported_once(station, node, command, status="Success") -> None:
    """
    One reply ended the command, the node keeps nothing back, and the server has nothing in progress.

    One that was not answered within two seconds is sent again, as it was.
    """
    until(lambda: not _left_to_do(node), what="the node has nothing left to do or to say")
    first, *again = station.final_replies(command)
    assert first["documentStatus"] == status
    assert [reply for reply in again if reply != first] == []
    invocations = station.client().list_command_invocations(CommandId=command)["CommandInvocations"]
    assert [one["Status"] for one in invocations] == [status]


def _die_at_every_message(station, die) -> list[str]:
    """Call *die* at the first message of each of `MOMENTS`; the moments at which it was called so far."""
    deaths: list[str] = []

    def once(operation, body):
        moment = f"{operation} {body.get('Phase', '')}".strip()
        if moment not in deaths:
            deaths.append(moment)
            die()

    for operation in sorted({moment.partition(" ")[0] for moment in MOMENTS}):
        station.interposer.before(operation)(partial(once, operation))
    return deaths


def _is_installed_in_spite_of_all(station, node, command) -> None:
    done = station.wait(node, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    node.wait_running()
    assert lines(node, "/var/log/slow") == ["begin", "end"]
    log = lines(node, "/var/log/dpkg.log")
    assert [sum(f" upgrade {name}:all " in line for line in log) for name in ("slow", "quick")] == [1, 1]
    assert station.states(node, "slow.all", "quick.all") == {"slow.all": "Installed", "quick.all": "Installed"}
    assert station.live(node)["Standing"] == "COMPLIANT"
    until(lambda: not _left_to_do(node), what="the node has nothing left to do or to say")
    assert {reply["documentStatus"] for reply in station.final_replies(command)} == {"Success"}


def _left_to_do(node) -> list[str]:
    """The files of the agent that stand for work, or for words, that are not done."""
    places = [f"{STATE_DIR}/{place}" for place in ("outbox", "commands/pending", "commands/current")]
    return node.run(["find", *places, "-name", "*.json"]).stdout.splitlines()
