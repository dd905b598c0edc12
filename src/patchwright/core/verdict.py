# SPDX-License-Identifier: Apache-2.0
"""
The verdict document: what GetVerdict answers and `patchwright scan --json` prints, in the same words.

Only what both know is here; the server adds the node's name and last operation, the scan what it kept out.
"""

from __future__ import annotations

from typing import Any, Dict

from patchwright.core.compliance import Item
from patchwright.core.facts import NodeFacts


def describe_item(item: Item) -> Dict[str, Any]:
    """One patch state, as an entry of `LiveVerdict.Patches`."""
    return {
        "KBId": item.key,
        "Title": item.title,
        "State": item.state.value,
        "Installed": item.installed,
        "Version": item.version,
        "ComplianceLevel": item.level.value,
        "Classification": item.classification,
        "Severity": item.severity,
        "CVEIds": list(item.cves),
        "Reason": item.reason,
    }


def describe_node(facts: NodeFacts) -> Dict[str, Any]:
    """What a node's facts say of itself, as the member `Node`."""
    return {
        "OperatingSystem": facts.operating_system.value,
        "Product": facts.product,
        "Kernel": facts.kernel,
        "BootId": facts.boot_id,
        "Held": list(facts.held),
        "RebootReasons": list(facts.reboot_reasons),
        "StaleServices": list(facts.stale_services),
        "RepositoryProblems": [
            {"Repository": problem.repository, "Message": problem.message} for problem in facts.problems
        ],
        "ClockOffsetSeconds": facts.clock_offset,
    }
