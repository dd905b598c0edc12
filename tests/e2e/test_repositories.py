# SPDX-License-Identifier: Apache-2.0
"""Archives that cannot be read and locks that are held: waited for, else a failure that says whose fault it is."""

from __future__ import annotations

import pytest

from farm.debrepo import KEYRING

from .station import lines, there, until

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

HOLD_LOCK = """
import fcntl, os, time
lock = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
open("/run/holder.new", "w").write(str(os.getpid()))
os.rename("/run/holder.new", "/run/holder")
while not os.path.exists("/run/release"):
    time.sleep(0.05)
"""


@pytest.fixture
def foo(debrepo):
    """An archive in which foo has a security update."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1")


@pytest.mark.usefixtures("foo")
@pytest.mark.parametrize("how", ["error", "refuse"])
def test_an_archive_that_does_not_answer_leaves_no_verdict(station, debrepo, new_node, how):
    """The Scan has Failed and names it, what was reported stays, a compliant node is UNKNOWN; healed, all is as before."""
    debrepo.updates("plain", "1.0-1")
    node = new_node("deb12", debrepo)
    station.enrol(node)
    assert station.patch(node, "Scan")["Status"] == "Success"
    assert station.live(node)["Standing"] == "COMPLIANT"
    before = station.patches(node), station.summary(node)

    debrepo.offline(how)
    done = station.patch(node, "Scan")
    assert done["Status"] == "Failed"
    assert f"{station.farm.lan_address}:" in done["StandardErrorContent"]
    assert "bookworm-security" in done["StandardErrorContent"]
    assert (station.patches(node), station.summary(node)) == before
    live = station.live(node)
    assert (live["Standing"], live["Doubts"]) == ("UNKNOWN", ["REPOSITORY_UNREACHABLE"])

    debrepo.online()
    assert station.patch(node, "Scan")["Status"] == "Success"
    assert (station.live(node)["Standing"], station.live(node)["Doubts"]) == ("COMPLIANT", [])


@pytest.mark.usefixtures("foo")
def test_what_is_known_to_be_missing_stays_so_without_the_archive(station, debrepo, new_node):
    """An Install that cannot read the archive has Failed and changes nothing; the node is known not to be compliant."""
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)
    assert station.patch(node, "Scan")["Status"] == "Success"

    debrepo.offline("error")
    done = station.patch(node, "Install")
    assert done["Status"] == "Failed"
    assert "503" in done["StandardErrorContent"]
    assert station.states(node, "foo.all") == {"foo.all": "Missing"}
    assert node.installed()["foo.all"] == ("1.0-1", "ii")
    live = station.live(node)
    assert (live["Standing"], live["Doubts"]) == ("NON_COMPLIANT", ["REPOSITORY_UNREACHABLE"])


@pytest.mark.usefixtures("foo")
def test_an_archive_signed_by_a_stranger_is_not_believed(station, farm, debrepo, new_node, tmp_path):
    """apt itself ends with 0 and goes on with its old lists; the Scan has Failed and names the archive."""
    node = new_node("deb12", debrepo)
    station.enrol(node)
    assert station.patch(node, "Scan")["Status"] == "Success"
    stranger = tmp_path / "stranger.gpg"
    stranger.write_bytes(farm.debrepo().keyring)
    node.push(stranger, KEYRING, mode=0o644)
    debrepo.updates("plain", "1.0-1")  # something new to be signed
    debrepo.security("plain", "1.0-1")
    debrepo.release("plain", "0.9-1")

    done = station.patch(node, "Scan")
    assert done["Status"] == "Failed"
    assert "NO_PUBKEY" in done["StandardErrorContent"]
    assert "bookworm-security" in done["StandardErrorContent"]
    assert station.summary(node)["Operation"] == "Scan"
    assert station.live(node)["Doubts"] == ["REPOSITORY_UNREACHABLE"]


@pytest.mark.usefixtures("foo")
@pytest.mark.parametrize("moment", ["before the facts", "before the installation"])
def test_a_lock_that_is_not_released_is_a_failure_that_names_its_holder(station, debrepo, new_node, moment):
    """Process and command are named, nothing has changed, and once it is free the next run installs."""
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node, settings={"lock_wait_seconds": 1})
    if moment == "before the facts":
        _take_lock(node)
    else:
        station.interposer.before("PutResolution")(lambda _: there(node, "/run/release") or _take_lock(node))

    done = station.patch(node, "Install")
    assert done["Status"] == "Failed"
    holder = f"process {node.read('/run/holder')} (python3"
    assert holder in done["StandardErrorContent"]
    assert "/var/lib/dpkg/lock-frontend" in done["StandardErrorContent"]
    assert node.installed()["foo.all"] == ("1.0-1", "ii")
    if moment == "before the facts":  # no operation has finished, and nothing is known of the node
        assert station.states(node) == {}
        assert station.live(node)["Standing"] == "UNKNOWN"
    else:
        assert station.states(node, "foo.all") == {"foo.all": "Failed"}
        assert holder in station.live(node)["Patches"]["foo.all"]["Reason"]

    node.write("/run/release", "")
    done = station.patch(node, "Install")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert station.states(node, "foo.all") == {"foo.all": "InstalledPendingReboot"}
    assert node.installed()["foo.all"] == ("1.0-1+deb12u1", "ii")


@pytest.mark.usefixtures("foo")
def test_an_archive_that_goes_away_after_the_plan_is_named(station, debrepo, new_node):
    """What cannot be fetched has Failed with its address and nothing has changed; the next run installs it."""
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)

    @station.interposer.before("PutResolution")
    def vanish(_):
        if station.interposer.seen["PutResolution"] == 1:
            debrepo.offline("error")

    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Failed"
    assert "foo_1.0-1%2bdeb12u1_all.deb" in done["StandardErrorContent"].lower()
    assert station.states(node, "foo.all") == {"foo.all": "Failed"}
    assert node.installed()["foo.all"] == ("1.0-1", "ii")
    assert node.boots == 1

    debrepo.online()
    done = station.patch(node, "Install")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert node.installed()["foo.all"] == ("1.0-1+deb12u1", "ii")


@pytest.mark.usefixtures("foo")
def test_another_apt_at_work_is_waited_for(station, debrepo, new_node):
    """While somebody else installs, the Install waits; when that has ended it goes on and succeeds."""
    debrepo.release("slow", "1.0-1", postinst="touch /run/slow; until test -e /run/go; do sleep 0.05; done")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)
    other = node.spawn(["apt-get", "install", "--yes", "slow"])
    until(lambda: there(node, "/run/slow"), what="the other apt is at work")

    command = station.send(node, "Install")
    until(lambda: station.interposer.seen["BeginOperation"], what="the Install begins")
    until(lambda: _waits(node), what="the Install looks at the lock")
    assert station.result(node, command)["Status"] == "InProgress"
    assert station.interposer.seen["PutFacts"] == 0
    node.write("/run/go", "")

    done = station.wait(node, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert other.wait() == 0
    assert node.installed()["foo.all"] == ("1.0-1+deb12u1", "ii")
    assert station.states(node, "foo.all") == {"foo.all": "InstalledPendingReboot"}


def _take_lock(node):
    """Hold dpkg's lock in the node until /run/release is there."""
    node.spawn(["python3", "-c", HOLD_LOCK])
    until(lambda: lines(node, "/run/holder"), what="the lock is held")


def _waits(node) -> bool:
    """Whether a task that takes facts is running in the node."""
    return (
        node.run(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q 'child facts'"], check=False).code == 0
    )
