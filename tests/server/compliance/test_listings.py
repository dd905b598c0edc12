# SPDX-License-Identifier: Apache-2.0
"""Listings of items, nodes and types: filters, order, pages."""

from __future__ import annotations

import pytest

from patchwright.server import compliance
from patchwright.server.compliance import BadFilter, Comparison, Execution, Filter, check_filters
from server.compliance.desk import THEN, entry
from server.patching.bench import OUTDATED

EQUAL, NOT_EQUAL, BEGIN_WITH, LESS_THAN, GREATER_THAN = Comparison


def where(key, *values, how=EQUAL):
    """A filter."""
    return Filter(key, values, how)


@pytest.fixture
async def fleet(desk):
    """Two nodes that somebody looked after, and one that was scanned; their ids in order."""
    nodes = sorted([await desk.bench.enrol(group="web") for _ in range(3)])
    later = Execution(THEN + 86400, "run-2", "Custom")
    await desk.put(nodes[0], "Custom:AV", entry("av1", "COMPLIANT", "LOW"), entry("av2", "NON_COMPLIANT", "HIGH"))
    await desk.put(nodes[1], "Custom:AV", entry("av1", "COMPLIANT", "LOW"), execution=later)
    await desk.put(nodes[1], "Custom:%_!", entry("x", "NON_COMPLIANT", "CRITICAL", PatchGroup="db"), execution=later)
    await desk.bench.scan(nodes[2], OUTDATED)
    return nodes


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([], ["av1", "av2", "x", "av1", "bar.amd64", "foo.amd64", "plain.amd64"]),
        ([where("ComplianceType", "Patch")], ["bar.amd64", "foo.amd64", "plain.amd64"]),
        ([where("ComplianceType", "Custom:", how=BEGIN_WITH)], ["av1", "av2", "x", "av1"]),
        ([where("ComplianceType", "Custom:%", how=BEGIN_WITH)], ["x"]),
        ([where("ComplianceType", "Patch", "Custom:AV", how=NOT_EQUAL)], ["x"]),
        ([where("ComplianceType", "Custom:AV", how=GREATER_THAN)], ["bar.amd64", "foo.amd64", "plain.amd64"]),
        ([where("ComplianceType", "Custom:AV", how=LESS_THAN)], ["x"]),
        ([where("Id", "av1", "x")], ["av1", "x", "av1"]),
        ([where("Id", "av", "pl", how=BEGIN_WITH)], ["av1", "av2", "av1", "plain.amd64"]),
        ([where("Title", "title of x")], ["x"]),
        ([where("Status", "NON_COMPLIANT")], ["av2", "x", "bar.amd64", "foo.amd64"]),
        ([where("Status", "NON_COMPLIANT", how=NOT_EQUAL)], ["av1", "av1", "plain.amd64"]),
        ([where("Status", "COMPLIANT", "NON_COMPLIANT", how=NOT_EQUAL)], []),
        ([where("Status", "Compliant")], []),
        ([where("Severity", "HIGH", "LOW")], ["av1", "av2", "av1"]),
        ([where("Severity", "MEDIUM", how=GREATER_THAN)], ["av2", "x"]),
        ([where("Severity", "INFORMATIONAL", how=LESS_THAN)], ["bar.amd64", "foo.amd64", "plain.amd64"]),
        ([where("Severity", "nonsense", how=GREATER_THAN)], []),
        ([where("ResourceType", "ManagedInstance"), where("Id", "x")], ["x"]),
        ([where("ResourceType", "ManagedInstance", how=NOT_EQUAL)], []),
        ([where("ExecutionTime", "2019-02-18T16:00:00Z")], ["av1", "av2"]),
        ([where("ExecutionTime", "2019-02-18T17:00:00+01:00", "2019-02-19T16:00:00")], ["av1", "av2", "x", "av1"]),
        ([where("ExecutionTime", "2019-02-18T16:00:00Z", how=NOT_EQUAL), where("Id", "av1")], ["av1"]),
        ([where("ExecutionTime", "2019-02-18T16:00:00Z", how=GREATER_THAN), where("Id", "av1")], ["av1"]),
        ([where("ExecutionTime", "2019-02-18T16:00:01Z", how=LESS_THAN)], ["av1", "av2"]),
        ([where("ExecutionId", "run", how=BEGIN_WITH)], ["x", "av1"]),
        ([where("ExecutionType", "Command")], ["bar.amd64", "foo.amd64", "plain.amd64"]),
        ([where("PatchState", "MISSING", "INSTALLED_OTHER")], ["bar.amd64", "foo.amd64", "plain.amd64"]),
        ([where("PatchState", "Missing"), where("Classification", "Security")], ["bar.amd64", "foo.amd64"]),
        ([where("PatchSeverity", "Optional")], ["bar.amd64", "foo.amd64"]),
        ([where("PatchGroup", "web", "db")], ["x", "bar.amd64", "foo.amd64", "plain.amd64"]),
        ([where("PatchBaselineId", "arn:", how=BEGIN_WITH)], ["bar.amd64", "foo.amd64", "plain.amd64"]),
        ([where("Id", "av1"), where("Id", "av2")], []),
    ],
)
async def test_items_are_filtered(desk, fleet, filters, ids):
    """Conditions are ANDed, values ORed; whatever the size of a page."""
    check_filters(filters, compliance.ITEM_KEYS)

    assert await desk.ids(*filters) == ids
    assert await desk.ids(*filters, limit=1) == ids


async def test_items_of_named_nodes_alone(desk, fleet):
    """In order of id, whatever the order of the question; each once."""
    assert await desk.ids(ids=[fleet[1], fleet[0], fleet[1]]) == ["av1", "av2", "x", "av1"]
    assert await desk.ids(where("Id", "av1"), ids=[fleet[1]], limit=1) == ["av1"]
    assert await desk.ids(where("ResourceId", fleet[1]), ids=[fleet[0]]) == []


@pytest.mark.parametrize(
    ("filters", "chosen"),
    [
        ([], [(0, "Custom:AV"), (1, "Custom:%_!"), (1, "Custom:AV"), (2, "Patch")]),
        ([where("Status", "NON_COMPLIANT")], [(0, "Custom:AV"), (1, "Custom:%_!"), (2, "Patch")]),
        ([where("Status", "NON_", how=BEGIN_WITH)], [(0, "Custom:AV"), (1, "Custom:%_!"), (2, "Patch")]),
        ([where("OverallSeverity", "HIGH", "CRITICAL")], [(0, "Custom:AV"), (1, "Custom:%_!")]),
        ([where("Severity", "HIGH", how=GREATER_THAN)], [(1, "Custom:%_!")]),
        ([where("OverallSeverity", "HIGH", how=NOT_EQUAL), where("Status", "COMPLIANT")], [(1, "Custom:AV")]),
        ([where("ComplianceType", "Patch")], [(2, "Patch")]),
        ([where("PatchGroup", "web")], [(2, "Patch")]),
        ([where("PatchGroup", "web", how=NOT_EQUAL), where("Status", "COMPLIANT")], [(1, "Custom:AV")]),
        ([where("ResourceType", "x", how=BEGIN_WITH)], []),
        (
            [
                where("ExecutionTime", "2019-02-19T00:00:00Z", "2020-01-01", how=GREATER_THAN),
                where("ExecutionId", "run-2"),
            ],
            [(1, "Custom:%_!"), (1, "Custom:AV")],
        ),
    ],
)
async def test_nodes_and_types_are_filtered_and_counted_alike(desk, fleet, filters, chosen):
    """What is listed node by node is what is counted by type."""
    check_filters(filters, compliance.SUMMARY_KEYS)
    places = {node: place for place, node in enumerate(fleet)}

    for limit in (1, 2, 50):
        assert [(places[node], name) for node, name in await desk.nodes(*filters, limit=limit)] == chosen

    counted: dict[str, int] = {}
    for name, _, _, count in await desk.standings(*filters):
        counted[name] = counted.get(name, 0) + count
    assert counted == {name: [one for _, one in chosen].count(name) for _, name in chosen}


@pytest.mark.parametrize(
    "given",
    [
        where("Colour", "red"),
        where("", "red"),
        where("Details", "red"),
        where("InstalledTime", "2019-01-01"),
        where("Id"),
        where("ExecutionTime", "yesterday"),
        where("ExecutionTime", ""),
        where("ExecutionTime", "2019-02-18T16:00:00Z", how=BEGIN_WITH),
        where("OverallSeverity", "HIGH"),
    ],
)
def test_other_filters_are_refused(given):
    """An unknown key, no values, a time that is none."""
    with pytest.raises(BadFilter):
        check_filters([given], compliance.ITEM_KEYS)


def test_times_at_the_edge_of_the_calendar_are_times():
    """No year is too far."""
    check_filters(
        [where("ExecutionTime", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")], compliance.ITEM_KEYS
    )


async def test_a_page_ends_where_it_has_looked_at_enough(desk, monkeypatch):
    """It is short, and says where to go on; all pages together have everything once."""
    monkeypatch.setattr("patchwright.server.compliance.service._CONTENTS", 2)
    monkeypatch.setattr("patchwright.server.compliance.service._BATCH", 2)
    nodes = sorted([await desk.bench.enrol() for _ in range(7)])
    for number, node in enumerate(nodes):
        await desk.put(node, "Custom:AV", entry(f"own-{number}"), entry("same"))

    page, after = await desk.service.items(desk.scope, [where("Id", "own-6")], limit=10)

    assert (page, after) == ([], (nodes[1], "Custom:AV", None))
    assert await desk.ids(where("Id", "own-6")) == ["own-6"]
    for limit in (1, 3, 50):
        found = await desk.ids(limit=limit)
        assert found == [name for number in range(7) for name in (f"own-{number}", "same")]


async def test_a_page_goes_on_where_the_last_ended_though_items_changed(desk):
    """What is behind the place is told, what is before it is not told again."""
    node = await desk.bench.enrol()
    await desk.put(node, "Custom:AV", *(entry(name) for name in "bdf"))
    page, after = await desk.service.items(desk.scope, [], limit=2)
    assert [one.entry.id for one in page] == ["b", "d"]

    await desk.put(node, "Custom:AV", *(entry(name) for name in "aceg"))

    page, after = await desk.service.items(desk.scope, [], after=after, limit=9)
    assert ([one.entry.id for one in page], after) == (["e", "g"], None)
