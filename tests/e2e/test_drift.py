# SPDX-License-Identifier: Apache-2.0
"""A node that moves between intent and act is planned for anew, at most twice; what never holds still has Failed, untouched."""

from __future__ import annotations

from itertools import count

import pytest

pytestmark = [pytest.mark.farm, pytest.mark.e2e]


@pytest.fixture
def node(station, debrepo, new_node):
    """A managed node with foo and bar outstanding."""
    for name in ("foo", "bar"):
        debrepo.release(name, "1.0-1")
        debrepo.security(name, "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["foo", "bar"])
    station.enrol(node)
    return node


def test_a_candidate_that_moves_once_is_planned_for_anew(station, debrepo, node):
    """A newer update appears between intent and act: the second plan names it, and it is Installed."""

    @station.interposer.before("PutResolution")
    def publish(_):
        if station.interposer.seen["PutResolution"] == 1:
            debrepo.security("foo", "1.0-1+deb12u2")
            node.run(["apt-get", "update"])

    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert "foo.all: candidate is 1.0-1+deb12u2, the plan says 1.0-1+deb12u1" in done["StandardOutputContent"]
    assert station.interposer.seen["PutResolution"] == 2
    assert station.with_state(node, "Missing", "Failed", "InstalledPendingReboot") == {}
    assert station.patches(node)["foo.all"]["Title"] == "foo.all:1.0-1+deb12u2"
    assert station.states(node, "foo.all", "bar.all") == {"foo.all": "Installed", "bar.all": "Installed"}
    assert node.installed()["foo.all"] == ("1.0-1+deb12u2", "ii")
    assert node.installed()["bar.all"] == ("1.0-1+deb12u1", "ii")
    assert station.live(node)["Standing"] == "COMPLIANT"


def test_what_somebody_else_installs_meanwhile_is_planned_around(station, node):
    """Another apt installs foo between intent and act: the second plan is for bar alone."""

    @station.interposer.before("PutResolution")
    def install(_):
        node.run(["apt-get", "install", "--yes", "foo"])

    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert station.interposer.seen["PutResolution"] == 2
    assert [row[0] for row in station.interposer.sent("PutResolution")[1]["Resolution"]["Actions"]] == ["bar"]
    assert station.states(node, "foo.all", "bar.all") == {"foo.all": "Installed", "bar.all": "Installed"}
    assert {node.installed()[name] for name in ("foo.all", "bar.all")} == {("1.0-1+deb12u1", "ii")}


def test_what_never_holds_still_fails_and_is_named(station, debrepo, node):
    """Three plans, each overtaken: both have Failed with what moved, and nothing on the node has changed."""
    versions = (f"1.0-1+deb12u{number}" for number in count(2))

    @station.interposer.before("PutResolution")
    def publish(_):
        debrepo.security("foo", next(versions))
        node.run(["apt-get", "update"])

    before = node.installed()
    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Failed"
    assert "foo.all: candidate is 1.0-1+deb12u4, the plan says 1.0-1+deb12u3" in done["StandardErrorContent"]
    assert station.interposer.seen["PutResolution"] == 3
    assert station.states(node, "foo.all", "bar.all") == {"foo.all": "Failed", "bar.all": "Failed"}
    assert station.summary(node)["FailedCount"] == 2
    assert node.installed() == before
    assert node.boots == 1
    assert station.live(node)["Standing"] == "NON_COMPLIANT"
    assert "the node drifted from each of 3 plans" in station.live(node)["Patches"]["foo.all"]["Reason"]


def test_a_node_that_calms_down_is_patched_by_the_next_run(station, debrepo, node):
    """Failed for drift is no verdict for ever: the next Install succeeds."""
    versions = (f"1.0-1+deb12u{number}" for number in count(2))

    @station.interposer.before("PutResolution")
    def publish(_):
        if station.interposer.seen["PutResolution"] <= 3:
            debrepo.security("foo", next(versions))
            node.run(["apt-get", "update"])

    assert station.patch(node, "Install")["Status"] == "Failed"
    done = station.patch(node, "Install")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    pending = {"foo.all": "InstalledPendingReboot", "bar.all": "InstalledPendingReboot"}
    assert station.states(node, "foo.all", "bar.all") == pending
    assert node.installed()["foo.all"] == ("1.0-1+deb12u4", "ii")
