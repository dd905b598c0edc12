# SPDX-License-Identifier: Apache-2.0
"""Patch compliance: what the last finished operation found (design D5), until somebody puts another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from patchwright.core.baseline import ApprovalRule, Baseline, ComplianceLevel
from patchwright.core.compliance import Operation as Kind
from patchwright.core.facts import RepositoryProblem
from patchwright.core.protocol import Next, Phase, RebootOption
from patchwright.core.system import OperatingSystem
from patchwright.server import compliance, patching
from server.compliance.desk import entry
from server.patching.bench import NOW, OUTDATED, PATCHED, RESTARTED, with_facts

REBOOT = RebootOption.REBOOT_IF_NEEDED


async def test_a_node_that_was_never_scanned_has_no_patch_compliance(desk):
    """Nor has one whose operation has only begun, or failed."""
    node = await desk.bench.enrol()
    assert await desk.record(node) is None
    run = await desk.bench.begin(node)
    assert await desk.record(node) is None
    blind = with_facts(OUTDATED, problems=(RepositoryProblem("main", "gone"),))
    assert (await run.send(Phase.BEFORE, blind)).next is Next.DONE
    assert await desk.record(node) is None
    assert await desk.items() == []


async def test_a_scan_is_listed_patch_by_patch(desk):
    """Id, title, status, the level of the rule, whose rules they were, and since when it is there."""
    node = await desk.bench.enrol(group="web")

    await desk.bench.scan(node, OUTDATED)

    bar, foo, plain = await desk.items()
    assert (foo.entry.id, foo.entry.title) == ("foo.amd64", "foo.amd64:1.0-1+deb12u1")
    assert (foo.entry.status, foo.entry.severity, foo.installed_at) == ("NON_COMPLIANT", "UNSPECIFIED", 0.0)
    assert foo.entry.details == {"Classification": "Security", "PatchSeverity": "Optional", "PatchState": "Missing"}
    assert (plain.entry.status, plain.entry.details["PatchState"]) == ("COMPLIANT", "InstalledOther")
    assert plain.installed_at > 0
    record = foo.record
    assert record == bar.record
    assert (record.status, record.patch_group, record.execution.type) == ("NON_COMPLIANT", "web", "Command")
    assert record.baseline_id.endswith("pb-09a5f8eb62bde80b1")
    assert record.execution.at == record.recorded_at == desk.bench.clock.time
    assert record.execution.id.startswith("00000000-")


async def test_the_next_operation_takes_the_place_of_the_last(desk):
    """An Install that waits for its restart has not finished; when it is back, it has."""
    node = await desk.bench.enrol()
    await desk.bench.scan(node, OUTDATED)
    scanned = await desk.record(node)

    run = await desk.bench.begin(node, Kind.INSTALL, reboot=REBOOT)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    assert (await run.send(Phase.AFTER, PATCHED, acted_boot_id="boot-1")).next is Next.REBOOT
    assert await desk.record(node) == scanned
    assert (await run.send(Phase.AFTER, RESTARTED)).next is Next.DONE

    installed = await desk.record(node)
    assert (installed.status, installed.execution.id) == ("COMPLIANT", run.command)
    assert [one.entry.details["PatchState"] for one in await desk.items()] == [
        "Installed",
        "Installed",
        "InstalledOther",
    ]


@pytest.mark.parametrize("how", ["another operation", "its command ends"])
async def test_an_install_that_had_reported_counts_when_it_is_ended(desk, how):
    """It never came back from its restart; what it reported before is what is known."""
    node = await desk.bench.enrol()
    run = await desk.bench.begin(node, Kind.INSTALL, reboot=REBOOT)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    await run.send(Phase.AFTER, PATCHED, acted_boot_id="boot-1")

    if how == "another operation":
        await desk.bench.begin(node)
    else:
        assert await desk.database.write(patching.close, desk.scope, node, run.command, now=NOW + 99, reason="time")
        await desk.database.write(compliance.refresh, desk.scope, node)

    record = await desk.record(node)
    assert (record.status, record.execution.id) == ("NON_COMPLIANT", run.command)
    assert await desk.ids() == ["bar.amd64", "foo.amd64", "plain.amd64"]


async def test_patches_put_by_hand_stand_until_the_next_operation(desk):
    """A repeated message of the operation before does not bring its own back (spec §7.1)."""
    node = await desk.bench.enrol()
    run = await desk.bench.begin(node)
    await run.send(Phase.BEFORE, OUTDATED)

    await desk.put(node, "Patch", entry("KB1", "COMPLIANT", PatchGroup="by hand"))
    await run.put(Phase.BEFORE, OUTDATED)

    (item,) = await desk.items()
    assert (item.entry.id, item.entry.details, item.installed_at) == ("KB1", {"PatchGroup": "by hand"}, None)
    assert item.record.details == {}
    await desk.bench.scan(node, OUTDATED)
    assert await desk.ids() == ["bar.amd64", "foo.amd64", "plain.amd64"]
    assert await desk.contents() == 1  # what was put is gone


async def test_nodes_with_the_same_findings_share_them(desk):
    """Counted once, however many nodes."""
    for _ in range(3):
        await desk.bench.scan(await desk.bench.enrol(), OUTDATED)

    assert await desk.contents() == 1
    assert await desk.standings() == [("Patch", "NON_COMPLIANT", "UNSPECIFIED", 3)]


async def test_the_level_of_the_rule_is_the_severity(desk):
    """Of items that are not compliant the worst is the node's; of those that are, none is (spec §7.1)."""
    bench, baselines = desk.bench, desk.bench.baselines
    rules = (ApprovalRule(filters=(), level=ComplianceLevel.HIGH, approve_after_days=0),)
    definition = patching.Definition("web", Baseline(OperatingSystem.DEBIAN, rules=rules))
    baseline = await baselines.create(desk.scope, definition, own_tags={})
    await baselines.register_group(desk.scope, baseline, "web")
    node = await bench.enrol(group="web")

    await bench.scan(node, OUTDATED)
    assert await desk.standings() == [("Patch", "NON_COMPLIANT", "HIGH", 1)]
    await bench.scan(node, RESTARTED)
    assert await desk.standings() == [("Patch", "COMPLIANT", "UNSPECIFIED", 1)]
    (summary,) = await desk.service.summaries(desk.scope, [], after=("", ""), limit=9)
    assert (summary.tally.compliant, summary.tally.non_compliant) == ((1, 0, 0, 0, 2, 0), (0,) * 6)
    assert summary.record.baseline_id == baseline


async def test_a_node_that_goes_while_it_is_read_has_nothing_on_it(desk):
    """A page is read in several steps: nobody may fail over a node that leaves between two of them."""
    foo = (await desk.database.read(patching.items, desk.scope, await _digest(desk)))[0]

    found = await desk.database.read(
        patching.installed_times, desk.scope, "mi-00000000000000000", [replace(foo, installed=foo.version)], until=NOW
    )

    assert found == {"bar.amd64": 0.0}


async def _digest(desk):
    """Of the judgement on an outdated node."""
    node = await desk.bench.enrol()
    await desk.bench.scan(node, OUTDATED)
    return (await desk.record(node)).digest


async def test_a_node_that_is_gone_leaves_every_listing(desk):
    """And a late word of it brings nothing back."""
    node = await desk.bench.enrol()
    await desk.bench.scan(node, OUTDATED)
    await desk.put(node, "Custom:AV", entry("a"))

    await desk.database.write(compliance.forget, desk.scope, node)

    assert (await desk.items(), await desk.standings(), await desk.nodes(), await desk.contents()) == ([], [], [], 0)
