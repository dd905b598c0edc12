# SPDX-License-Identifier: Apache-2.0
"""The whole loop on SUSE, where the vendor's patch is what a baseline approves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from farm import Node, RpmRepo
from farm.fixtures import rpmrepo

from .station import Station

__all__ = ["rpmrepo"]
pytestmark = [pytest.mark.farm, pytest.mark.e2e]

LIST = ("SUSE-1", "SUSE-2", "SUSE-3", "SUSE-4")


def rows(station: Station, node: Node) -> dict[str, str]:
    """State by name of the patches of these tests."""
    return {name: state for name, state in station.states(node, *LIST).items() if name in LIST}


def test_patches_are_missing_then_installed(station: Station, rpmrepo: RpmRepo, new_node: Callable[..., Node]):
    """
    Missing are the approved ones with something to bring; they are installed whole, one that wants a restart too; what is not
    approved stays out; a patch of which the node has nothing is no row; the row's name and title are the patch's.
    """
    with rpmrepo.together():
        for name in ("foo", "bar", "late"):
            rpmrepo.release(name, "1.0-1")
        kernel = rpmrepo.kernel("5.14.21-1", name="kernel-default", is_released=True)
        updates = {name: rpmrepo.update(name, "1.0-2") for name in ("foo", "bar", "late", "absent")}
        rpmrepo.kernel("5.14.21-2", name="kernel-default", id="SUSE-2", severity="Important")
        about = {"severity": "Critical", "cves": ["CVE-2024-1"], "title": "Two at once"}
        rpmrepo.advisory("SUSE-1", [updates["foo"], updates["bar"], updates["absent"]], **about)
        rpmrepo.advisory("SUSE-3", [updates["late"]], type="recommended", severity="Low")
        rpmrepo.advisory("SUSE-4", [updates["absent"]], severity="Critical")
    node = new_node("zypper", rpmrepo, outstanding=["foo", "bar", "late", "kernel-default"])
    station.enrol(node)
    station.patch(node, "Scan")
    scanned = rows(station, node)
    row = station.patches(node)["SUSE-1"]
    result = station.patch(node, "Install", reboot="RebootIfNeeded")
    installed = rows(station, node)

    assert scanned == {"SUSE-1": "Missing", "SUSE-2": "Missing"}
    assert (row["Title"], row["Classification"], row["Severity"]) == ("SUSE-1", "Security", "Critical")
    assert row["CVEIds"] == "CVE-2024-1"
    assert result["Status"] == "Success"
    assert installed == {"SUSE-1": "Installed", "SUSE-2": "Installed"}
    assert node.boots == 2
    assert {
        key: node.rpms()[key] for key in ("foo.noarch", "bar.noarch", "late.noarch", f"kernel-default.{kernel.arch}")
    } == {
        "foo.noarch": ["1.0-2"],
        "bar.noarch": ["1.0-2"],
        "late.noarch": ["1.0-1"],
        f"kernel-default.{kernel.arch}": ["5.14.21-1", "5.14.21-2"],
    }
