# SPDX-License-Identifier: Apache-2.0
"""Packages that cannot be installed, may not be, or were changed by hand: each ends as what it is, the others go on."""

from __future__ import annotations

import pytest

from .station import there

pytestmark = [pytest.mark.farm, pytest.mark.e2e]


def test_a_failing_script_fails_its_package_and_no_other(station, debrepo, new_node):
    """The package has Failed in dpkg's own words, the rest is Installed, later runs go on, and its repair installs it."""
    for name in ("bad", "worse", "good", "late"):
        debrepo.release(name, "1.0-1")
    debrepo.security("bad", "1.0-1+deb12u1", postinst="exit 3")
    debrepo.security("worse", "1.0-1+deb12u1", preinst="exit 4")
    debrepo.security("good", "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["bad", "worse", "good"], installed=["late"])
    station.enrol(node)

    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert (done["Status"], done["ResponseCode"]) == ("Failed", 1)
    told = done["StandardErrorContent"]
    assert "post-installation script subprocess returned error exit status 3" in _line(told, "bad.all")
    assert "pre-installation script subprocess returned error exit status 4" in _line(told, "worse.all")
    states = {"bad.all": "Failed", "worse.all": "Failed", "good.all": "Installed"}
    assert station.states(node, *states) == states
    assert node.installed()["bad.all"] == ("1.0-1+deb12u1", "iF")
    assert node.installed()["worse.all"] == ("1.0-1", "ii")
    assert node.installed()["good.all"] == ("1.0-1+deb12u1", "ii")
    summary = station.summary(node)
    assert (summary["FailedCount"], summary["MissingCount"], summary["Operation"]) == (2, 0, "Install")
    live = station.live(node)
    assert live["Standing"] == "NON_COMPLIANT"
    assert "error exit status 3" in live["Patches"]["bad.all"]["Reason"]

    debrepo.security("late", "1.0-1+deb12u1")
    assert station.patch(node, "Install")["Status"] == "Failed"
    assert station.states(node, "bad.all", "late.all") == {"bad.all": "Failed", "late.all": "InstalledPendingReboot"}
    assert node.installed()["late.all"] == ("1.0-1+deb12u1", "ii")

    debrepo.security("bad", "1.0-1+deb12u2")
    debrepo.security("worse", "1.0-1+deb12u2")
    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert station.states(node, "bad.all", "worse.all") == {"bad.all": "Installed", "worse.all": "Installed"}
    assert {node.installed()[name] for name in ("bad.all", "worse.all")} == {("1.0-1+deb12u2", "ii")}
    assert station.live(node)["Standing"] == "COMPLIANT"


def test_a_held_package_stays_and_is_named(station, debrepo, new_node):
    """Missing with a hint after a Scan, Failed naming the hold after an Install; the hold and the others are respected."""
    for name in ("kept", "free"):
        debrepo.release(name, "1.0-1")
        debrepo.security(name, "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["kept", "free"])
    station.enrol(node)
    node.run(["apt-mark", "hold", "kept"])

    done = station.patch(node, "Scan")
    assert done["Status"] == "Success"
    assert "the package is held on the node" in _line(done["StandardOutputContent"], "kept.all")
    assert station.states(node, "kept.all", "free.all") == {"kept.all": "Missing", "free.all": "Missing"}

    done = station.patch(node, "Install")
    assert done["Status"] == "Failed"
    assert "held on the node" in _line(done["StandardErrorContent"], "kept.all")
    assert station.states(node, "kept.all", "free.all") == {"kept.all": "Failed", "free.all": "InstalledPendingReboot"}
    assert node.installed()["kept.all"] == ("1.0-1", "hi")
    assert node.installed()["free.all"] == ("1.0-1+deb12u1", "ii")
    assert station.live(node)["Standing"] == "NON_COMPLIANT"


def test_a_conffile_changed_by_hand_is_kept(station, debrepo, new_node):
    """The update is installed without a question, the node's own text stays, the package's lies beside it."""
    debrepo.release("foo", "1.0-1", conffiles={"/etc/foo.conf": "old\n"})
    debrepo.security("foo", "1.0-1+deb12u1", conffiles={"/etc/foo.conf": "new\n"})
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)
    node.write("/etc/foo.conf", "by hand\n")

    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert station.states(node, "foo.all") == {"foo.all": "Installed"}
    assert node.installed()["foo.all"] == ("1.0-1+deb12u1", "ii")
    assert node.read("/etc/foo.conf") == "by hand\n"
    assert node.read("/etc/foo.conf.dpkg-dist") == "new\n"
    assert not there(node, "/etc/foo.conf.dpkg-new")


def test_what_needs_a_blocked_package_fails_with_the_reason(station, debrepo, new_node):
    """An approved update whose dependency is rejected with BLOCK is Missing, then Failed; others are installed."""
    debrepo.release("app", "1.0-1")
    debrepo.security("app", "1.0-1+deb12u1", depends="engine (>= 2.0)")
    debrepo.release("engine", "1.0-1")
    debrepo.security("engine", "2.0-1")
    debrepo.release("other", "1.0-1")
    debrepo.security("other", "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["app", "engine", "other"])
    station.enrol(node, tags={"Patch Group": "web"})
    ssm = station.client()
    rules = [{"PatchFilterGroup": {"PatchFilters": [{"Key": "SECTION", "Values": ["*"]}]}, "ApproveAfterDays": 0}]
    baseline = ssm.create_patch_baseline(
        Name="web",
        OperatingSystem="DEBIAN",
        ApprovalRules={"PatchRules": rules},
        RejectedPatches=["engine"],
        RejectedPatchesAction="BLOCK",
    )["BaselineId"]
    ssm.register_patch_baseline_for_patch_group(BaselineId=baseline, PatchGroup="web")
    names = ("app.all", "engine.all", "other.all")

    assert station.patch(node, "Scan")["Status"] == "Success"
    assert station.states(node, *names) == dict(zip(names, ["Missing", "InstalledRejected", "Missing"], strict=True))

    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Failed"
    assert "needs engine, which the baseline rejects" in _line(done["StandardErrorContent"], "app.all")
    assert station.states(node, *names) == dict(zip(names, ["Failed", "InstalledRejected", "Installed"], strict=True))
    assert {name: node.installed()[name] for name in names} == {
        "app.all": ("1.0-1", "ii"),
        "engine.all": ("1.0-1", "ii"),
        "other.all": ("1.0-1+deb12u1", "ii"),
    }


def _line(text: str, key: str) -> str:
    """The line of a report that speaks of a package."""
    return next(line for line in text.splitlines() if line.strip().startswith(key))


@pytest.mark.parametrize(("old", "new"), [("all", "amd64"), ("amd64", "all")])
def test_an_update_for_another_architecture_is_one_all_the_same(station, debrepo, new_node, old, new):
    """To apt `all` and the machine's own architecture are one: what is newer for the other is Missing, then installed."""
    debrepo.release("foo", "1.0-1", arch=old)
    debrepo.security("foo", "1.0-1+deb12u1", arch=new)
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)

    assert station.patch(node, "Scan")["Status"] == "Success"
    assert station.with_state(node, "Missing") == {f"foo.{old}": f"foo.{old}:1.0-1+deb12u1"}
    assert station.live(node)["Standing"] == "NON_COMPLIANT"

    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert node.installed()[f"foo.{new}"] == ("1.0-1+deb12u1", "ii")
    assert station.states(node, f"foo.{new}") == {f"foo.{new}": "Installed"}
    assert node.boots == 2
    assert station.live(node)["Standing"] == "COMPLIANT"
