# SPDX-License-Identifier: Apache-2.0
"""A list of what to install and a baseline for one run, given as files, on a real node (spec §3.6)."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

LIST, BASELINE = "s3://overrides/web/list.yaml", "s3://overrides/web/baselines.json"
ENTRIES = """
patches:
  - id: 'plain*'
    title: '*plain.all'
    severity: nobody asks
  - {id: lib.all, title: 'lib.all:1.0-1+deb12u1'}
  - {id: needy, title: needy.all}
"""
BASELINES = [
    {"OperatingSystem": "UBUNTU", "Name": "of others", "ApprovedPatches": ["*"]},
    {
        "OperatingSystem": "DEBIAN",
        "BaselineId": "pb-0aaaaaaaaaaaaaaaa",
        "Name": "for one run",
        "ApprovedPatches": ["plain", "foo"],
        "ApprovedPatchesEnableNonSecurity": True,
        "RejectedPatches": ["lib"],
        "RejectedPatchesAction": "BLOCK",
    },
]

RPM_ENTRIES = """
patches:
  - {id: 'plain*', title: '*plain.noarch'}
  - {id: lib.noarch, title: 'lib.noarch:0:1.0-2'}
  - {id: needy, title: needy.noarch}
  - {id: kept, title: 'kept.noarch:1.0-1'}
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dnf4", "dnf5", "zypper"])
def test_a_list_decides_on_rpm_as_well(station, rpmrepo, new_node, kind):
    """Listed below the newest: in that version; what needs a newer one: Failed; listed as it is: it stays, with what needs it."""
    with rpmrepo.together():
        for name in ("foo", "plain", "lib", "needy", "kept"):
            rpmrepo.release(name, "1.0-1")
        rpmrepo.security("foo", "1.0-2")
        rpmrepo.update("plain", "1.0-2")
        rpmrepo.update("lib", "1.0-2")
        rpmrepo.security("lib", "1.0-3")
        rpmrepo.security("needy", "1.0-2", requires=["lib >= 1.0-3"])
        rpmrepo.update("kept", "1.0-2")
    names = ["foo", "plain", "lib", "needy", "kept"]
    more = {} if kind == "zypper" else {"os": "rocky 9"}
    node = new_node(kind, rpmrepo, outstanding=names, **more)
    station.enrol(node)
    station.put_object(LIST, RPM_ENTRIES)

    done = station.patch(node, "Install", parameters={"InstallOverrideList": [LIST]})
    assert done["Status"] == "Failed"
    assert "needy.noarch" in done["StandardErrorContent"]
    rpms = node.rpms()
    assert {name: rpms[f"{name}.noarch"] for name in names} == {
        "foo": ["1.0-1"],
        "plain": ["1.0-2"],
        "lib": ["1.0-2"],
        "needy": ["1.0-1"],
        "kept": ["1.0-1"],
    }
    failed = station.with_state(node, "Failed")  # on SUSE the row is the patch's that brings needy
    assert len(failed) == 1
    assert kind == "zypper" or failed == {"needy.noarch": "needy.noarch:0:1.0-2"}


def test_a_list_decides_what_comes_and_the_baseline_what_it_is_worth(station, debrepo, new_node):
    """
    Listed and not approved: installed, InstalledOther. Approved and not listed: Missing at once. Listed below the candidate:
    in that version; what needs a newer one: Failed. The next Scan heeds no list; a baseline for one run judges that run.
    """
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1")
    debrepo.release("plain", "3.0-1")
    debrepo.updates("plain", "3.1-1")
    debrepo.release("lib", "1.0-1")
    debrepo.updates("lib", "1.0-1+deb12u1")
    debrepo.security("lib", "1.0-1+deb12u2")
    debrepo.release("needy", "1.0-1")
    debrepo.security("needy", "1.0-1+deb12u1", depends="lib (>= 1.0-1+deb12u2)")
    node = new_node("deb12", debrepo, outstanding=["foo", "plain", "lib", "needy"])
    station.enrol(node)
    station.put_object(LIST, ENTRIES)
    station.put_object(BASELINE, json.dumps(BASELINES))

    done = station.patch(node, "Install", parameters={"InstallOverrideList": [LIST]})
    assert done["Status"] == "Failed"
    assert "needy.all" in done["StandardErrorContent"]
    assert LIST in done["StandardOutputContent"]
    installed = {name: node.installed()[name][0] for name in ("foo.all", "plain.all", "lib.all", "needy.all")}
    assert installed == {
        "foo.all": "1.0-1",
        "plain.all": "3.1-1",
        "lib.all": "1.0-1+deb12u1",
        "needy.all": "1.0-1",
    }
    states = station.states(node, *installed)
    assert states == {"foo.all": "Missing", "plain.all": "InstalledOther", "lib.all": "Missing", "needy.all": "Failed"}
    assert station.summary(node)["InstallOverrideList"] == LIST

    done = station.patch(node, "Scan", parameters={"InstallOverrideList": [LIST], "BaselineOverride": [BASELINE]})
    assert done["Status"] == "Success", done["StandardErrorContent"]
    states = station.states(node, *installed)
    assert states == {
        "foo.all": "Missing",
        "plain.all": "InstalledPendingReboot",
        "lib.all": "InstalledRejected",
        "needy.all": "InstalledOther",
    }
    summary = station.summary(node)
    assert (summary["BaselineId"], "InstallOverrideList" in summary) == ("pb-0aaaaaaaaaaaaaaaa", False)

    station.put_object(LIST, "patches:\n- {id: foo, title: foo.all}\n- {id: foo}\n")
    both = {"InstallOverrideList": [LIST], "BaselineOverride": [BASELINE]}
    done = station.patch(node, "Install", parameters=both)
    assert done["Status"] == "Failed"
    assert "entry 2 of its patches has no title" in done["StandardErrorContent"]
    assert node.installed()["foo.all"][0] == "1.0-1"
    assert station.states(node, *installed) == states

    station.put_object(LIST, "patches:\n- {id: foo, title: foo.all}\n")
    done = station.patch(node, "Install", parameters=both)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert station.states(node, *installed) == {**states, "foo.all": "InstalledPendingReboot"}

    done = station.patch(node, "Install", parameters={"InstallOverrideList": ["https://127.0.0.1:9/list.yaml"]})
    assert done["Status"] == "Failed"
    assert "https://127.0.0.1:9/list.yaml cannot be fetched" in done["StandardErrorContent"]
