# SPDX-License-Identifier: Apache-2.0
"""The whole loop on the rpm family, with dnf 4 and with dnf 5."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from farm import Node, RpmRepo

from .station import Station

pytestmark = [pytest.mark.farm, pytest.mark.e2e]


@pytest.mark.parametrize("kind", ["dnf4", pytest.param("dnf5", marks=pytest.mark.slow)])
def test_security_updates_are_missing_then_installed(
    station: Station, rpmrepo: RpmRepo, new_node: Callable[..., Node], kind: str
):
    """
    Missing is what the baseline approves, with its notice's words; a kernel comes beside the old one and the node restarts;
    what no notice names, and what is newer than the approved version, stays out; a script that fails is told, though rpm has the new version installed.
    """
    with rpmrepo.together():
        for name in ("foo", "bar", "plain", "post"):
            rpmrepo.release(name, "1.0-1")
        kernel = rpmrepo.kernel("5.14.0-1", is_released=True)
        rpmrepo.security("foo", "1.0-2", requires=["newlib"], cves=["CVE-2024-1"], severity="Critical")
        rpmrepo.update("newlib", "1.0-1")
        rpmrepo.update("foo", "1.0-3")
        rpmrepo.security("bar", "1.0-2", severity="Low")
        rpmrepo.update("plain", "1.0-2")
        rpmrepo.kernel("5.14.0-2")
    outstanding = ["foo", "bar", "plain", "kernel-core"]
    node = new_node(kind, rpmrepo, installed=["post"], outstanding=outstanding, os="rocky 9")
    keys = [f"{name}.noarch" for name in ("foo", "bar", "plain", "post")] + [f"kernel-core.{kernel.arch}"]
    station.enrol(node)
    station.patch(node, "Scan")
    scanned = station.states(node, *keys)
    row = station.patches(node)["foo.noarch"]
    result = station.patch(node, "Install", reboot="RebootIfNeeded")
    installed = station.states(node, *keys)
    rpmrepo.security("post", "1.0-2", post="exit 1", severity="Critical")
    told = station.patch(node, "Install", reboot="NoReboot")

    assert {key for key, state in scanned.items() if state == "Missing"} == {
        "foo.noarch",
        f"kernel-core.{kernel.arch}",
    }
    assert row["CVEIds"] == "CVE-2024-1"
    assert (row["Classification"].lower(), row["Severity"]) == ("security", "Critical")
    assert result["Status"] == "Success"
    assert installed["foo.noarch"] == installed[f"kernel-core.{kernel.arch}"] == "Installed"
    assert node.boots == 2
    assert {key: node.rpms()[key] for key in keys} == {
        "foo.noarch": ["1.0-2"],
        "bar.noarch": ["1.0-1"],
        "plain.noarch": ["1.0-1"],
        "post.noarch": ["1.0-2"],
        f"kernel-core.{kernel.arch}": ["5.14.0-1", "5.14.0-2"],
    }
    assert node.rpms()["newlib.noarch"] == ["1.0-1"]
    assert told["Status"] == "Success"
    assert "post.noarch: its script %post failed: exit status 1" in told["StandardOutputContent"]
