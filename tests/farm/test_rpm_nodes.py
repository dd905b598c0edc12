# SPDX-License-Identifier: Apache-2.0
"""Rpm systems are real where it counts: the tool, the database, the boot; and their repositories are what they say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from farm import Node, RpmRepo

pytestmark = pytest.mark.farm
NewNode = Callable[..., Node]


def test_a_dnf_node_has_exactly_the_asked_updates_outstanding(rpmrepo: RpmRepo, new_node: NewNode) -> None:
    """dnf sees the notice of the one update, installs it, and then nothing is left."""
    rpmrepo.release("foo", "1.0-1")
    rpmrepo.release("bar", "1.0-1")
    rpmrepo.security("foo", "1.0-2", severity="Critical", cves=["CVE-2024-1"])
    node = new_node("dnf4", rpmrepo, outstanding=["foo"], installed=["bar"], os="rocky 9")
    assert node.wait_running() == "running"
    assert 'ID="rocky"' in node.read("/etc/os-release")
    notices = node.run(["dnf", "--quiet", "updateinfo", "list"]).lines
    assert [line.split() for line in notices] == [["FARM-SA-2024:1", "Critical/Sec.", "foo-1.0-2.noarch"]]
    node.run(["dnf", "--assumeyes", "upgrade"])
    assert node.rpms() == {"bar.noarch": ["1.0-1"], "basesystem.noarch": ["1-1"], "foo.noarch": ["1.0-2"]}
    assert node.run(["dnf", "--quiet", "check-update"]).stdout == ""
