# SPDX-License-Identifier: Apache-2.0
"""One run, one baseline (design D13): a snapshot is what the first asker found, for everyone who asks after."""

from __future__ import annotations

from dataclasses import replace

from patchwright.core.baseline import RejectedAction
from patchwright.core.compliance import Operation as Kind
from patchwright.core.protocol import Phase
from server.patching.bench import OUTDATED
from server.patching.test_baselines import definition

RUN = "11111111-2222-3333-4444-555555555555"


def block_foo(old):
    """*old*, with foo rejected."""
    return replace(old, baseline=replace(old.baseline, rejected=("foo",), rejected_action=RejectedAction.BLOCK))


async def grouped(bench, *groups):
    """A baseline registered for *groups*."""
    baseline_id = await bench.baselines.create(bench.scope, definition(), own_tags={})
    for group in groups:
        await bench.baselines.register_group(bench.scope, baseline_id, group)
    return baseline_id


async def wanted(bench, node, **more):
    """What an Install on *node* wants, by `name.arch`."""
    directive = await (await bench.begin(node, Kind.INSTALL, **more)).send(Phase.BEFORE, OUTDATED)
    return [item.key for item in directive.intent.wanted]


async def test_nodes_of_one_run_get_the_same_rules_though_the_baseline_changed(bench):
    """Spec §13.1, boundary case 5: the same id, the same decisions; another id, others."""
    baseline_id = await grouped(bench, "web")
    first, second = await bench.enrol(group="web"), await bench.enrol(group="web")

    assert await wanted(bench, first, snapshot_id=RUN) == ["bar.amd64", "foo.amd64"]
    await bench.baselines.update(bench.scope, baseline_id, block_foo)

    assert await wanted(bench, second, snapshot_id=RUN) == ["bar.amd64", "foo.amd64"]
    assert await wanted(bench, second) == ["bar.amd64"]


async def test_a_run_that_began_keeps_its_rules_to_the_end(bench):
    """The baseline changes between the messages of one operation."""
    baseline_id = await grouped(bench, "web")
    run = await bench.begin(await bench.enrol(group="web"))
    await bench.baselines.update(bench.scope, baseline_id, block_foo)

    await run.send(Phase.BEFORE, OUTDATED)

    assert (await bench.states(run.node))["foo.amd64"] == "Missing"
    assert (await bench.live(run.node))["foo.amd64"] == "InstalledRejected"


async def test_another_group_has_a_snapshot_of_its_own(bench):
    """The key is account, region, group, operating system and id."""
    baseline_id = await grouped(bench, "web", "db")
    web, db = await bench.enrol(group="web"), await bench.enrol(group="db")
    await wanted(bench, web, snapshot_id=RUN)
    await bench.baselines.update(bench.scope, baseline_id, block_foo)

    assert await wanted(bench, db, snapshot_id=RUN) == ["bar.amd64"]
    assert await wanted(bench, web, snapshot_id=RUN) == ["bar.amd64", "foo.amd64"]


async def test_the_day_is_frozen_with_the_rules(bench):
    """A node that runs after midnight decides as of the day on which the run began."""
    await grouped(bench, "web")
    first, second = await bench.enrol(group="web"), await bench.enrol(group="web")
    before = await bench.scan(first, OUTDATED, snapshot_id=RUN)
    bench.clock.time += 24 * 3600

    same = await bench.scan(second, OUTDATED, snapshot_id=RUN)
    fresh = await bench.scan(second, OUTDATED)

    assert "as of 2026-11-20 UTC" in before.report.text
    assert "as of 2026-11-20 UTC" in same.report.text
    assert "as of 2026-11-21 UTC" in fresh.report.text


async def test_without_an_id_of_its_own_the_run_is_the_command(bench):
    """All nodes of one command share its rules."""
    baseline_id = await grouped(bench, "web")
    first, second = await bench.enrol(group="web"), await bench.enrol(group="web")

    assert await wanted(bench, first, command=RUN) == ["bar.amd64", "foo.amd64"]
    await bench.baselines.update(bench.scope, baseline_id, block_foo)
    run = await bench.begin(second, Kind.INSTALL, command=RUN)

    assert run.begun.snapshot_id == RUN
    assert len((await run.send(Phase.BEFORE, OUTDATED)).intent.wanted) == 2


async def test_a_node_that_changes_groups_stays_in_the_group_its_operation_began_in(bench):
    """Retagging in the middle of a run changes the next one only."""
    from patchwright.server import tags

    await grouped(bench, "web")
    node = await bench.enrol(group="web")
    run = await bench.begin(node)
    await bench.database.write(tags.add, bench.scope, tags.MANAGED_INSTANCE, node, {"Patch Group": "db"})

    await run.send(Phase.BEFORE, OUTDATED)

    (last,) = await bench.verdicts.last(bench.scope, [node])
    assert last.operation.patch_group == "web"
    assert (await bench.verdicts.live(bench.scope, node)).patch_group == "db"
