# SPDX-License-Identifier: Apache-2.0
"""The verdict document's parts: JSON with every member, whatever the node says."""

from __future__ import annotations

import json

from patchwright.core.compliance import Item, PatchState
from patchwright.core.facts import NodeFacts, RepositoryProblem
from patchwright.core.package import Manager
from patchwright.core.system import OperatingSystem
from patchwright.core.verdict import describe_item, describe_node


def test_a_patch_state_keeps_every_field():
    """Each field of an item stands under its name in the document."""
    item = Item("foo.all", "foo.all:2-1", PatchState.MISSING, "1-1", "2-1", cves=("CVE-1",), reason="because")

    described = describe_item(item)

    assert ("foo.all", "Missing", "1-1", "2-1", ["CVE-1"], "because") == tuple(
        described[name] for name in ("KBId", "State", "Installed", "Version", "CVEIds", "Reason")
    )
    assert described == json.loads(json.dumps(described))


def test_a_node_says_what_it_waits_for():
    """Reboot reasons, stale services and unreadable repositories are told."""
    facts = NodeFacts(
        Manager.APT,
        OperatingSystem.DEBIAN,
        "Debian12",
        "set1:0",
        reboot_reasons=("kernel",),
        stale_services=("ssh.service",),
        problems=(RepositoryProblem("http://archive.example", "no answer"),),
    )

    described = describe_node(facts)

    assert ["kernel"] == described["RebootReasons"]
    assert ["ssh.service"] == described["StaleServices"]
    assert [{"Repository": "http://archive.example", "Message": "no answer"}] == described["RepositoryProblems"]
    assert described == json.loads(json.dumps(described))
