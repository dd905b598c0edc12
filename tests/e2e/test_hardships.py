# SPDX-License-Identifier: Apache-2.0
"""
What befalls machines: no room, no memory, wrong clocks, odd packages, restored disks. Each ends in a state that is true.

Scripts that fail are in test_packages.py, archives out of reach in test_repositories.py, power and network cuts in
test_interruptions.py.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from .station import STATE_DIR, lines, there, until

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

MIB = 1 << 20
OLD, NEW = "1.0-1", "1.0-1+deb12u1"
PENDING = "InstalledPendingReboot"
SLOW = "echo begin >>/var/log/slow; until test -e /run/go; do sleep 0.05; done; echo end >>/var/log/slow"


def outdated(repo, *names: str, **update) -> None:
    """Put packages into the release, and into -security an update of each as *update* says."""
    with repo.together():
        for name in names:
            repo.release(name, OLD)
            repo.security(name, NEW, **update)


# ------------------------------------------------------------------------------------------------------ disk and memory


def test_a_full_disk_is_reported_from_the_reserve(station, debrepo, new_node):
    """Nothing is attempted on a disk without room, and the report says so; with room again the next Install succeeds."""
    outdated(debrepo, "foo")
    node = new_node("deb12", debrepo, outstanding=["foo"], disk_bytes=48 * MIB)
    station.enrol(node)
    _reserve_is_there(node)
    node.fill_disk()

    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Failed"
    assert "the disk is full" in done["StandardErrorContent"]
    assert node.installed()["foo.all"] == (OLD, "ii")
    assert station.states(node, "foo.all") in ({}, {"foo.all": "Failed"})  # the node's journal may make room for facts
    assert (station.live(node)["Standing"] != "COMPLIANT", node.boots) == (True, 1)

    node.free_disk()
    done = station.patch(node, "Install")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert node.installed()["foo.all"] == (NEW, "ii")
    assert station.states(node, "foo.all") == {"foo.all": PENDING}
    _reserve_is_there(node)


def test_a_disk_that_is_full_when_the_plan_comes_is_left_alone(station, debrepo, new_node):
    """Somebody fills it between facts and act: the update has Failed for that reason, untouched, in a finished operation."""
    outdated(debrepo, "foo")
    node = new_node("deb12", debrepo, outstanding=["foo"], disk_bytes=48 * MIB)
    station.enrol(node)
    _reserve_is_there(node)
    station.interposer.before("PutResolution")(lambda _: _fill_with_reserve(node))

    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Failed"
    assert "not attempted: the disk is full" in done["StandardErrorContent"]
    assert node.installed()["foo.all"] == (OLD, "ii")
    assert station.states(node, "foo.all") == {"foo.all": "Failed"}
    assert (station.live(node)["Standing"], node.boots) == ("NON_COMPLIANT", 1)


@pytest.mark.parametrize("what", ["size", pytest.param("download", marks=pytest.mark.slow)])
def test_an_update_that_does_not_fit_fails_alone(station, debrepo, new_node, what):
    """Too big to unpack, it has Failed for want of space, the other is installed (too big to fetch, apt does neither)."""
    outdated(debrepo, "foo")
    outdated(debrepo, "huge", **{what: 40 * MIB})
    node = new_node("deb12", debrepo, outstanding=["foo", "huge"], disk_bytes=128 * MIB)
    station.enrol(node)
    _reserve_is_there(node)
    node.fill_disk(leave_bytes=20 * MIB)

    done = station.patch(node, "Install")
    assert done["Status"] == "Failed"
    assert {"size": "No space left on device", "download": "enough free space"}[what] in done["StandardErrorContent"]
    small = {"size": (NEW, PENDING), "download": (OLD, "Failed")}[what]
    assert node.installed()["huge.all"] == (OLD, "ii")
    assert node.installed()["foo.all"] == (small[0], "ii")
    assert station.states(node, "foo.all", "huge.all") == {"foo.all": small[1], "huge.all": "Failed"}

    node.free_disk()
    done = station.patch(node, "Install")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert {node.installed()[name] for name in ("foo.all", "huge.all")} == {(NEW, "ii")}
    assert station.states(node, "foo.all", "huge.all") == {"foo.all": PENDING, "huge.all": PENDING}


def test_a_child_that_is_killed_for_memory_fails_its_run_alone(station, debrepo, new_node):
    """The kernel kills the child each time it is started: Failed, and says of what; the agent lives, and can with memory."""
    outdated(debrepo, "foo")
    limits = [46 * MIB]  # apt-get can do with 36, reading that database cannot with 52
    node = new_node("deb12", debrepo, outstanding=["foo"])
    _add_strangers(node, 40_000)
    station.enrol(node)
    # The worker is there by then, and what it has does not count: the children alone have to do with so much.
    station.interposer.before("BeginOperation")(lambda _: limits and node.limit_memory(limits.pop()))

    done = station.patch(node, "Scan")
    assert done["Status"] == "Failed"
    assert "was killed 3 times, perhaps for lack of memory" in done["StandardErrorContent"]
    assert node.killed_for_memory() >= 3
    assert (station.states(node), station.live(node)["Standing"]) == ({}, "UNKNOWN")

    node.limit_memory(None)
    node.run(["mv", "/var/lib/dpkg/status.real", "/var/lib/dpkg/status"])
    done = station.patch(node, "Scan")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert station.states(node, "foo.all") == {"foo.all": "Missing"}


# --------------------------------------------------------------------------------------------------------------- clocks


@pytest.mark.parametrize("offset", ["+3d", "-3d"])
def test_a_node_whose_clock_is_wrong_is_patched_in_the_servers_time(station, debrepo, new_node, offset):
    """The agent learns how wrong it is; the installation is right, and no answer shows the node's idea of the date."""
    outdated(debrepo, "foo")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node, python=node.skew(offset))
    before = datetime.now(UTC)
    done = station.patch(node, "Install")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert node.installed()["foo.all"] == (NEW, "ii")
    assert station.states(node, "foo.all") == {"foo.all": PENDING}
    assert "the signature" not in "".join(lines(node, f"{STATE_DIR}/worker.log"))
    _is_told_in_our_time(station, node, done, before)


def test_a_clock_that_steps_during_the_run_changes_nothing(station, debrepo, new_node):
    """From three days ahead to three days behind at the plan, then right at the report: one installation, told in our time."""
    outdated(debrepo, "foo", postinst="echo configured >>/var/log/foo")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node, python=node.skew("+3d"))
    station.interposer.before("PutResolution")(lambda _: node.skew("-3d"))
    station.interposer.before("PutFacts")(lambda body: body.get("Phase") == "after" and node.skew("+0"))
    before = datetime.now(UTC)
    command = station.send(node, "Install", reboot="RebootIfNeeded")
    done = station.wait(node, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert lines(node, "/var/log/foo") == ["configured"]
    assert node.boots == 2
    assert station.states(node, "foo.all") == {"foo.all": "Installed"}
    assert station.live(node)["Standing"] == "COMPLIANT"
    _is_told_in_our_time(station, node, done, before)


# ------------------------------------------------------------------------------------------------------------- archives


def test_lists_that_apt_must_not_believe_leave_no_verdict(station, debrepo, new_node):
    """Tampered, expired, dated ahead of the node's clock: the Scan has Failed and says which; once mended all is as before."""
    outdated(debrepo, "foo")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)
    assert station.patch(node, "Scan")["Status"] == "Success"
    before = station.patches(node), station.summary(node)
    for fault, told in {"tampered": "BADSIG", "expired": "is expired", "early": "is not valid yet"}.items():
        debrepo.spoil(fault)
        done = station.patch(node, "Scan")
        assert (fault, done["Status"]) == (fault, "Failed")
        assert told in done["StandardErrorContent"]
        assert "bookworm-security" in done["StandardErrorContent"]
        assert (station.patches(node), station.summary(node)) == before
        assert "REPOSITORY_UNREACHABLE" in station.live(node)["Doubts"]
    debrepo.mend()
    node.skew("-3d", apt=True)  # the archive is right and the node is not: the same to apt
    assert "is not valid yet" in station.patch(node, "Scan")["StandardErrorContent"]

    node.skew("+0")
    assert station.patch(node, "Scan")["Status"] == "Success"
    assert (station.states(node, "foo.all"), station.live(node)["Doubts"]) == ({"foo.all": "Missing"}, [])


def test_a_phased_update_is_missed_when_its_turn_has_come(station, debrepo, new_node):
    """Held back it is neither Missing nor installed, and the node is compliant; at 100 % it is Missing, then installed."""
    outdated(debrepo, "foo", phased=0)
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)
    assert station.patch(node, "Install", reboot="RebootIfNeeded")["Status"] == "Success"
    assert station.with_state(node, "Missing", "Failed", "Installed", PENDING) == {}
    assert station.live(node)["Standing"] == "COMPLIANT"
    assert node.installed()["foo.all"] == (OLD, "ii")

    debrepo.security("foo", NEW, phased=100)
    assert station.patch(node, "Scan")["Status"] == "Success"
    assert station.states(node, "foo.all") == {"foo.all": "Missing"}
    assert station.patch(node, "Install")["Status"] == "Success"
    assert node.installed()["foo.all"] == (NEW, "ii")


# ------------------------------------------------------------------------------------------------------------- packages


def test_each_odd_update_ends_as_what_it_is(station, debrepo, new_node):
    """One that wants a removal, a chain that breaks below, scripts of removal that fail: each has Failed, the rest is in."""
    with debrepo.together():
        outdated(debrepo, "good")
        debrepo.release("rival", OLD)
        outdated(debrepo, "greedy", conflicts="rival")
        outdated(debrepo, "top", depends="middle (>= 2)")
        debrepo.security("middle", "2.0-1", depends="bottom")
        debrepo.security("bottom", "2.0-1", postinst="exit 3")
        outdated(debrepo, "clings", prerm="exit 5")
        debrepo.release("clings", OLD, prerm="exit 5")
        outdated(debrepo, "torn", postrm="exit 6")
        debrepo.release("torn", OLD, postrm="exit 6")
    updates = ["good", "greedy", "top", "clings", "torn"]
    node = new_node("deb12", debrepo, outstanding=updates, installed=["rival"])
    station.enrol(node)

    done = station.patch(node, "Install")
    assert done["Status"] == "Failed"
    told = {
        line.split(".all")[0].strip(): line for line in done["StandardErrorContent"].splitlines() if ".all:" in line
    }
    assert "it would remove rival" in told["greedy"]
    assert "error exit status 3" in told["bottom"]
    assert "depends on bottom" in told["middle"]
    assert "depends on middle" in told["top"]
    assert "error exit status 5" in told["clings"]
    assert "error exit status 6" in told["torn"]
    failed = ("bottom", "clings", "greedy", "middle", "top", "torn")
    assert station.with_state(node, "Failed").keys() == {f"{name}.all" for name in failed}
    assert station.states(node, "good.all", "rival.all") == {"good.all": PENDING, "rival.all": "InstalledOther"}
    found = {name: node.installed()[f"{name}.all"] for name in (*failed, "good", "rival")}
    assert found == {
        "good": (NEW, "ii"),
        "rival": (OLD, "ii"),
        "greedy": (OLD, "ii"),
        "clings": (OLD, "ii"),
        "torn": (OLD, "iHR"),
        "top": (NEW, "iU"),
        "middle": ("2.0-1", "iU"),
        "bottom": ("2.0-1", "iF"),
    }

    with debrepo.together():
        debrepo.security("bottom", "2.0-2")
        debrepo.security("greedy", "1.0-1+deb12u2")
        debrepo.security("torn", "1.0-1+deb12u2", postrm="exit 0")
    done = station.patch(node, "Install")
    assert done["Status"] == "Failed", "clings still does not let go"
    assert station.with_state(node, "Missing", "Failed").keys() == {"clings.all"}
    assert {name for name, (_, state) in node.installed().items() if state != "ii"} == set()


def test_a_new_kernel_is_installed_beside_the_old_one(station, debrepo, new_node):
    """The meta package brings another image; both are there, the update is pending, and the report asks for the restart."""
    debrepo.kernel("6.1.0-50", "6.1.176-1", suite="")
    debrepo.kernel("6.1.0-51", "6.1.192-1")
    node = new_node("deb12", debrepo, outstanding=["linux-image-amd64"])
    station.enrol(node)

    done = station.patch(node, "Install")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert "linux-image-6.1.0-51-amd64 asks for a restart" in done["StandardOutputContent"]
    meta, new, old = (f"linux-image-{part}amd64.amd64" for part in ("", "6.1.0-51-", "6.1.0-50-"))
    assert station.states(node, meta, new, old) == {meta: PENDING, new: PENDING, old: "InstalledOther"}
    assert {name: node.installed()[name][0] for name in (meta, new, old)} == {
        meta: "6.1.192-1",
        new: "6.1.192-1",
        old: "6.1.176-1",
    }
    assert node.run(["ls", "/boot"]).lines == ["vmlinuz-6.1.0-50-amd64", "vmlinuz-6.1.0-51-amd64"]
    assert station.live(node)["Standing"] == "NON_COMPLIANT"


def test_a_slow_script_is_waited_for_and_what_follows_waits_too(station, debrepo, new_node):
    """An installation has no time limit but its own: it outlasts what its children may take, and a Scan sent meanwhile runs after it."""
    outdated(debrepo, "slow", postinst=SLOW)
    node = new_node("deb12", debrepo, outstanding=["slow"])
    station.enrol(node, settings={"child_seconds": 20})
    install = station.send(node, "Install")
    until(lambda: lines(node, "/var/log/slow"), what="slow is being configured")
    scan = station.send(node, "Scan")
    until(lambda: len(station.interposer.sent("AcknowledgeMessage")) == 2, what="the Scan is delivered")
    assert station.result(node, install)["Status"] == "InProgress"
    assert station.states(node) == {}
    node.write("/run/go", "")

    assert station.wait(node, install)["Status"] == "Success"
    assert station.wait(node, scan)["Status"] == "Success"
    assert lines(node, "/var/log/slow") == ["begin", "end"]
    assert (station.summary(node)["Operation"], station.states(node, "slow.all")) == ("Scan", {"slow.all": PENDING})


# ----------------------------------------------------------------------------------------------------- restored disks


def test_a_node_put_back_to_before_its_patch_misses_it_again(station, debrepo, new_node):
    """Its agent has forgotten the Install; that command delivered again installs nothing and changes no answer."""
    outdated(debrepo, "foo", postinst="echo configured >>/var/log/foo")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)
    assert station.patch(node, "Scan")["Status"] == "Success"
    earlier = node.snapshot()
    command = station.send(node, "Install")
    done = station.wait(node, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]

    node.rollback(earlier)
    station.interposer.redeliver()
    until(lambda: len(station.final_replies(command)) == 2, what="the forgotten command is answered")
    assert node.installed()["foo.all"] == (OLD, "ii")
    assert lines(node, "/var/log/foo") == []
    again = station.result(node, command)
    assert {name for name, value in again.items() if done[name] != value} <= {"ResponseMetadata"}

    assert station.patch(node, "Scan")["Status"] == "Success"
    assert station.states(node, "foo.all") == {"foo.all": "Missing"}
    assert station.live(node)["Standing"] == "NON_COMPLIANT"
    assert station.patch(node, "Install")["Status"] == "Success"
    assert node.installed()["foo.all"] == (NEW, "ii")


def test_a_node_put_back_to_the_middle_of_its_patch_makes_it_good(station, debrepo, new_node):
    """The server's history stays as it ended; the agent finishes what its disk says is half done, and the next Scan is true."""
    outdated(debrepo, "slow", postinst=SLOW)
    node = new_node("deb12", debrepo, outstanding=["slow"])
    station.enrol(node)
    command = station.send(node, "Install")
    until(lambda: lines(node, "/var/log/slow"), what="slow is being configured")
    middle = node.snapshot()
    node.write("/run/go", "")
    assert station.wait(node, command)["Status"] == "Success"

    node.rollback(middle)
    assert node.installed()["slow.all"] == (NEW, "iF")
    node.write("/run/go", "")
    until(lambda: not _journalled(node), what="the agent has ended what it remembers")
    assert station.result(node, command)["Status"] == "Success"
    assert lines(node, "/var/log/slow") == ["begin", "begin", "end"]
    assert node.installed()["slow.all"] == (NEW, "ii")

    assert station.patch(node, "Scan")["Status"] == "Success"
    assert station.states(node, "slow.all") == {
        "slow.all": PENDING
    }  # configured in this boot, which the rollback began
    assert station.live(node)["Standing"] == "NON_COMPLIANT"


def _reserve_is_there(node) -> None:
    until(lambda: there(node, f"{STATE_DIR}/reserve"), what="the agent keeps its reserve")


def _fill_with_reserve(node) -> None:
    """Leave less than the agent keeps back, which is gone too."""
    node.run(["rm", f"{STATE_DIR}/reserve"])
    node.fill_disk(leave_bytes=MIB * 3 // 4)


def _add_strangers(node, count: int) -> None:
    """Let the package database name *count* packages of nobody's, so that reading it takes memory."""
    stanza = "Package: stranger-{0}\nStatus: install ok installed\nMaintainer: n\nArchitecture: all\nVersion: 1.{0}\n"
    text = "\n".join(f"{stanza.format(number)}Description: n\n" for number in range(count))
    node.run(["sh", "-c", "cd /var/lib/dpkg; cp status status.real; cat >>status"], input=f"\n{text}")


def _journalled(node) -> list[str]:
    places = [f"{STATE_DIR}/commands/{stage}" for stage in ("pending", "current")]
    return node.run(["find", *places, "-name", "*.json"]).stdout.splitlines()


def _is_told_in_our_time(station, node, done, before) -> None:
    """Whatever tells of the run gives moments between *before* and now, give or take what a Date header rounds off."""
    summary, live = station.summary(node), station.live(node)
    ping = station.client().describe_instance_information()["InstanceInformationList"][0]["LastPingDateTime"]
    moments = {
        "OperationStartTime": summary["OperationStartTime"],
        "OperationEndTime": summary["OperationEndTime"],
        "LastPingDateTime": ping,
        "InstalledTime": station.patches(node)["foo.all"]["InstalledTime"],
        "ObservedAt": datetime.fromtimestamp(live["ObservedAt"], UTC),
        "ExecutionStartDateTime": datetime.fromisoformat(done["ExecutionStartDateTime"]),
        "ExecutionEndDateTime": datetime.fromisoformat(done["ExecutionEndDateTime"]),
    }
    earliest, latest = before - timedelta(minutes=1), datetime.now(UTC) + timedelta(seconds=5)
    assert {name: moment for name, moment in moments.items() if not earliest <= moment <= latest} == {}
    assert 0 <= live["AgeSeconds"] < 120
