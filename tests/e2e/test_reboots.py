# SPDX-License-Identifier: Apache-2.0
"""RebootIfNeeded restarts a node once for what was installed or is pending; NoReboot leaves it pending until both have been."""

from __future__ import annotations

import pytest

from .station import until

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

ASKS = "touch /run/reboot-required; echo foo >>/run/reboot-required.pkgs"


@pytest.fixture
def node(station, debrepo, new_node):
    """A managed node with foo outstanding, whose update asks for a reboot."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1", postinst=ASKS)
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)
    return node


def test_a_required_reboot_is_taken_once(station, node):
    """The node restarts once, then reports Installed; neither a Scan nor an Install without work restarts it again."""
    before = node.boot_id()
    command = station.send(node, "Install", reboot="RebootIfNeeded")
    done = station.wait(node, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert node.boots == 2
    assert station.live(node)["Standing"] == "COMPLIANT"
    assert station.states(node, "foo.all") == {"foo.all": "Installed"}
    node.wait_running()
    assert node.boot_id() != before
    assert len(station.final_replies(command)) == 1
    summary = station.summary(node)
    assert (summary["RebootOption"], summary["InstalledPendingRebootCount"]) == ("RebootIfNeeded", 0)

    assert station.patch(node, "Scan")["Status"] == "Success"
    assert station.patch(node, "Install", reboot="RebootIfNeeded")["Status"] == "Success"
    assert node.boots == 2


def test_without_a_reboot_it_is_pending_until_reboot_and_scan(station, node):
    """A Scan before the reboot changes nothing, nor the reboot before the Scan; both together make it Installed."""
    done = station.patch(node, "Install", reboot="NoReboot")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert "The system asks for a reboot" in done["StandardOutputContent"]
    assert node.boots == 1
    _is_pending(station, node)
    assert station.summary(node)["LastNoRebootInstallOperationTime"]

    assert station.patch(node, "Scan")["Status"] == "Success"
    _is_pending(station, node)

    polls = station.interposer.seen["GetMessages"]
    node.reboot()
    until(lambda: station.interposer.seen["GetMessages"] > polls, what="the restarted agent waits for commands")
    assert station.states(node, "foo.all") == {"foo.all": "InstalledPendingReboot"}

    assert station.patch(node, "Scan")["Status"] == "Success"
    assert station.states(node, "foo.all") == {"foo.all": "Installed"}
    assert station.summary(node)["InstalledPendingRebootCount"] == 0
    assert station.live(node)["Standing"] == "COMPLIANT"
    assert node.boots == 2


def test_what_is_pending_is_reason_enough_for_a_reboot(station, node):
    """RebootIfNeeded with nothing to install, but something pending, restarts the node once."""
    assert station.patch(node, "Install", reboot="NoReboot")["Status"] == "Success"
    _is_pending(station, node)

    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert node.boots == 2
    assert station.states(node, "foo.all") == {"foo.all": "Installed"}
    assert station.live(node)["Standing"] == "COMPLIANT"
    assert station.interposer.seen["PutResolution"] == 1


def test_an_install_that_has_nothing_to_do_does_not_restart_the_node(station, debrepo, new_node):
    """RebootIfNeeded on a node that misses nothing, and has nothing pending, leaves it running."""
    debrepo.release("foo", "1.0-1")
    node = new_node("deb12", debrepo, installed=["foo"])
    station.enrol(node)
    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert node.boots == 1
    assert station.with_state(node, "Missing", "Failed", "InstalledPendingReboot") == {}


def test_a_node_that_restarts_by_itself_meanwhile_is_not_restarted_again(station, debrepo, new_node):
    """An update whose script restarts the node: what was cut off is finished, and the operation ends after it."""
    debrepo.release("foo", "1.0-1")
    script = "test -e /var/log/restarted || { touch /var/log/restarted; systemctl reboot; sleep 60; }"
    debrepo.security("foo", "1.0-1+deb12u1", postinst=script)
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)
    command = station.send(node, "Install", reboot="NoReboot")
    until(lambda: node.boots == 2, what="the node restarts")
    done = station.wait(node, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert node.boots == 2
    assert node.installed()["foo.all"] == ("1.0-1+deb12u1", "ii")
    assert len(station.final_replies(command)) == 1


def _is_pending(station, node) -> None:
    assert station.states(node, "foo.all") == {"foo.all": "InstalledPendingReboot"}
    summary = station.summary(node)
    assert (summary["InstalledPendingRebootCount"], summary["SecurityNonCompliantCount"]) == (1, 1)
    live = station.live(node)
    assert (live["Standing"], live["Patches"]["foo.all"]["State"]) == ("NON_COMPLIANT", "InstalledPendingReboot")
    assert node.installed()["foo.all"] == ("1.0-1+deb12u1", "ii")
