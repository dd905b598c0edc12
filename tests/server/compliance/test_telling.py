# SPDX-License-Identifier: Apache-2.0
"""A node that turns compliant or not is told of (spec §7.7), once for each change."""

from __future__ import annotations

import pytest

from patchwright.server import events
from patchwright.server.config import Quotas
from patchwright.server.events import Search, Subscriptions
from server.compliance.desk import Desk, entry
from server.patching.bench import OUTDATED, PATCHED


@pytest.fixture
def told(shared_database, scope):
    """Every detail of compliance that was told, oldest first."""
    service = Subscriptions(shared_database, None, Quotas(), master=None, postman=None)

    async def listed():
        await events.number_waiting(shared_database)
        found, more = await service.events(scope, Search(detail_type=events.COMPLIANCE), before=None, limit=500)
        assert more is None
        return [one.envelope for one in reversed(found)]

    return listed


async def test_a_node_that_turns_is_told_and_one_that_stays_is_not(shared_database, scope, told):
    """By patches: from not compliant to compliant and back; the second scan that finds the same says nothing."""
    desk = Desk(shared_database, scope)
    node = await desk.bench.enrol()
    for view in (OUTDATED, OUTDATED, PATCHED, PATCHED, OUTDATED):
        await desk.bench.scan(node, view)
        desk.bench.clock.time += 60
    found = await told()
    assert [one["detail"]["compliance-status"] for one in found] == ["non_compliant", "compliant", "non_compliant"]
    first = found[0]
    assert first["resources"] == [f"arn:aws:ssm:us-east-1:{scope.account}:managed-instance/{node}"]
    assert first["detail"].keys() == {
        *("resource-type", "resource-id", "compliance-status", "compliance-type"),
        *("patch-baseline-id", "severity"),
    }
    assert first["detail"]["resource-id"] == node
    assert first["detail"]["compliance-type"] == "Patch"
    assert "pb-" in first["detail"]["patch-baseline-id"]
    assert first["detail"]["severity"] == first["detail"]["severity"].lower()


async def test_items_of_any_type_are_told_with_their_type(shared_database, scope, told):
    """What somebody else found, and a severity that changes while the status stays."""
    desk = Desk(shared_database, scope)
    node = await desk.bench.enrol()
    await desk.put(node, "Custom:AV", entry("scan", "COMPLIANT"))
    await desk.put(node, "Custom:AV", entry("scan", "NON_COMPLIANT", "LOW"))
    await desk.put(node, "Custom:AV", entry("scan", "NON_COMPLIANT", "LOW"), entry("other", "COMPLIANT"))
    await desk.put(node, "Custom:AV", entry("scan", "NON_COMPLIANT", "CRITICAL"))
    await desk.put(node, "Association", entry("a", "COMPLIANT"))
    details = [one["detail"] for one in await told()]
    assert [(one["compliance-type"], one["compliance-status"]) for one in details] == [
        ("Custom:AV", "compliant"),
        ("Custom:AV", "non_compliant"),
        ("Custom:AV", "non_compliant"),
        ("Association", "compliant"),
    ]
    assert details[3]["last-runtime"] == "2019-02-18T16:00:00.000Z"
    assert "severity" not in details[0]
