# SPDX-License-Identifier: Apache-2.0
"""The two answers (design D5): the last operation stands until the next; the live verdict follows what is known now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from patchwright.core.baseline import RejectedAction
from patchwright.core.compliance import Doubt, Standing
from patchwright.core.compliance import Operation as Kind
from patchwright.core.facts import RepositoryProblem
from patchwright.core.protocol import Phase, RebootOption
from patchwright.server import patching, tags
from patchwright.server.infra import sql
from patchwright.server.nodes import UnknownNode
from patchwright.server.patching import OperationRefused
from server.patching.bench import (
    NOW,
    OUTDATED,
    PATCHED,
    RELEASE,
    RESTARTED,
    debian,
    with_facts,
)
from server.patching.test_baselines import definition


def block_foo(old):
    """*old*, with foo rejected."""
    return replace(old, baseline=replace(old.baseline, rejected=("foo",), rejected_action=RejectedAction.BLOCK))


async def times(bench, node):
    """InstalledTime of each row, by `name.arch`."""
    return {row.item.key: row.installed_at for row in await bench.verdicts.rows(bench.scope, node)}


async def test_a_changed_baseline_shows_live_at_once_and_in_the_last_operation_only_after_the_next(bench):
    """The issue's own story: reject with BLOCK, live rejected, reported installed, scanned, reported rejected."""
    baseline_id = await bench.baselines.create(bench.scope, definition(), own_tags={})
    await bench.baselines.register_group(bench.scope, baseline_id, "web")
    node = await bench.enrol(group="web")
    await bench.scan(node, PATCHED)

    await bench.baselines.update(bench.scope, baseline_id, block_foo)

    assert (await bench.live(node))["foo.amd64"] == "InstalledRejected"
    assert (await bench.states(node))["foo.amd64"] == "Installed"
    await bench.scan(node, PATCHED)
    assert (await bench.states(node))["foo.amd64"] == "InstalledRejected"


async def test_another_group_shows_live_at_once(bench):
    """Tags choose the baseline that is in force today."""
    baseline_id = await bench.baselines.create(bench.scope, block_foo(definition()), own_tags={})
    await bench.baselines.register_group(bench.scope, baseline_id, "strict")
    node = await bench.enrol()
    await bench.scan(node, PATCHED)

    await bench.database.write(tags.add, bench.scope, tags.MANAGED_INSTANCE, node, {"PatchGroup": "strict"})

    verdict = await bench.verdicts.live(bench.scope, node)
    assert (verdict.patch_group, verdict.baseline.id) == ("strict", baseline_id)
    assert (await bench.live(node))["foo.amd64"] == "InstalledRejected"


async def test_new_facts_show_live_before_an_operation_ends(bench):
    """What the node said last counts, though the Install it belongs to is not over."""
    node = await bench.enrol()
    await bench.scan(node, OUTDATED)
    run = await bench.begin(node, Kind.INSTALL, reboot=RebootOption.REBOOT_IF_NEEDED)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    await run.send(Phase.AFTER, PATCHED, acted_boot_id="boot-1")

    assert (await bench.live(node))["foo.amd64"] == "InstalledPendingReboot"
    assert (await bench.states(node))["foo.amd64"] == "Missing"


async def test_a_node_without_facts_is_unknown(bench):
    """Nothing is known, and nothing is made up."""
    node = await bench.enrol()

    verdict = await bench.verdicts.live(bench.scope, node)

    assert (verdict.standing, verdict.doubts) == (Standing.UNKNOWN, (Doubt.NO_FACTS,))
    assert (verdict.judgement, verdict.facts, verdict.baseline, verdict.last) == (None, None, None, None)
    assert await bench.verdicts.rows(bench.scope, node) == []
    assert await bench.verdicts.last(bench.scope, [node]) == []


async def test_a_node_that_does_not_exist_has_no_verdict(bench):
    """Elsewhere it does not exist either."""
    node = await bench.enrol()

    for scope, name in ((bench.scope, "mi-00000000000000000"), (bench.elsewhere, node)):
        with pytest.raises(UnknownNode):
            await bench.verdicts.live(scope, name)
        with pytest.raises(UnknownNode):
            await bench.verdicts.rows(scope, name)
        assert await bench.verdicts.last(scope, [name]) == []


async def test_old_facts_cannot_tell_that_a_node_is_compliant(bench):
    """After two days it is unknown; what is known to be wrong stays wrong."""
    compliant, outdated = await bench.enrol(), await bench.enrol()
    await bench.scan(compliant, PATCHED)
    await bench.scan(outdated, OUTDATED)
    assert (await bench.verdicts.live(bench.scope, compliant)).standing is Standing.COMPLIANT

    bench.clock.time += 48 * 3600 + 1

    verdict = await bench.verdicts.live(bench.scope, compliant)
    assert verdict.standing is Standing.UNKNOWN
    assert Doubt.FACTS_STALE in verdict.doubts
    assert verdict.age_seconds > 48 * 3600
    assert (await bench.verdicts.live(bench.scope, outdated)).standing is Standing.NON_COMPLIANT


async def test_facts_that_waited_on_the_node_are_as_old_as_when_they_were_taken(bench):
    """A server that was away for two days does not make them new; a node's wrong clock is made up for."""
    waited, skewed = await bench.enrol(), await bench.enrol()
    bench.clock.time += 49 * 3600
    await bench.scan(waited, PATCHED)
    await bench.scan(skewed, with_facts(PATCHED, clock_offset=49 * 3600.0))

    verdict = await bench.verdicts.live(bench.scope, waited)
    assert verdict.standing is Standing.UNKNOWN
    assert Doubt.FACTS_STALE in verdict.doubts
    assert (await bench.verdicts.live(bench.scope, skewed)).standing is Standing.COMPLIANT


async def test_facts_from_unreadable_repositories_are_in_doubt(bench):
    """A Scan that could not refresh says so live, and leaves the last operation as it was."""
    node = await bench.enrol()
    await bench.scan(node, PATCHED)
    bench.clock.time += 60

    await bench.scan(node, with_facts(PATCHED, problems=(RepositoryProblem("security", "gone"),), observed_at=NOW + 99))

    verdict = await bench.verdicts.live(bench.scope, node)
    assert (verdict.standing, verdict.doubts) == (Standing.UNKNOWN, (Doubt.REPOSITORY_UNREACHABLE,))
    assert verdict.last.operation.report.succeeded


async def test_a_later_run_that_took_no_facts_is_a_doubt_until_one_does(bench):
    """The node was asked how it is and could not say: what it said before is no answer. Its last operation stays."""
    node = await bench.enrol()
    await bench.scan(node, PATCHED)
    assert (await bench.verdicts.live(bench.scope, node)).standing is Standing.COMPLIANT
    run = await bench.begin(node)
    bench.clock.time += 1
    now = bench.clock.time
    await bench.database.write(patching.close, bench.scope, node, run.command, now=now, reason="dpkg is damaged.")

    verdict = await bench.verdicts.live(bench.scope, node)
    assert (verdict.standing, verdict.doubts) == (Standing.UNKNOWN, (Doubt.LATER_RUN_FAILED,))
    assert verdict.age_seconds > 1
    assert verdict.last.operation.report.succeeded
    await bench.scan(node, with_facts(PATCHED, observed_at=NOW + 99))
    assert (await bench.verdicts.live(bench.scope, node)).standing is Standing.COMPLIANT


async def test_a_system_that_no_baseline_covers_any_more_is_a_doubt(bench):
    """What could not even begin is remembered once, however often it is said; of a node without facts nothing is."""
    node, new = await bench.enrol(), await bench.enrol()
    await bench.scan(node, PATCHED)

    for one in (node, node, new):
        with pytest.raises(OperationRefused, match="UNSUPPORTED"):
            await bench.begin(one, command="c" * 36, operating_system="UNSUPPORTED", product="")

    verdict = await bench.verdicts.live(bench.scope, node)
    assert (verdict.standing, verdict.doubts) == (Standing.UNKNOWN, (Doubt.LATER_RUN_FAILED,))
    assert verdict.last.operation.command_id != "c" * 36
    assert (await bench.verdicts.live(bench.scope, new)).doubts == (Doubt.NO_FACTS,)


async def test_an_installation_that_failed_after_its_plan_is_a_doubt(bench):
    """It may have changed the node since the facts it began with; one that had no plan yet has not."""
    node = await bench.enrol()
    for planned in (False, True):
        run = await bench.begin(node, Kind.INSTALL)
        directive = await run.send(Phase.BEFORE, with_facts(OUTDATED, observed_at=NOW + 60 * planned))
        if planned:
            await run.resolve(directive)
        bench.clock.time += 1
        now = bench.clock.time
        await bench.database.write(patching.close, bench.scope, node, run.command, now=now, reason="Too late.")

        verdict = await bench.verdicts.live(bench.scope, node)
        assert (Doubt.LATER_RUN_FAILED in verdict.doubts) == planned
        assert verdict.standing is Standing.NON_COMPLIANT


async def test_what_failed_shows_live_until_it_is_there(bench):
    """The reason of the last Install stays with the patch; a Scan calls it Missing again."""
    node = await bench.enrol()
    run = await bench.begin(node, Kind.INSTALL)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    await run.send(
        Phase.AFTER,
        with_facts(OUTDATED, observed_at=NOW + 5),
        failures={"foo.amd64": "no space"},
        acted_boot_id="boot-1",
    )

    assert (await bench.live(node))["foo.amd64"] == "Failed"
    await bench.scan(node, with_facts(OUTDATED, observed_at=NOW + 9))
    assert (await bench.live(node))["foo.amd64"] == "Missing"
    await bench.scan(node, with_facts(PATCHED, observed_at=NOW + 19))
    assert (await bench.live(node))["foo.amd64"] == "Installed"


async def test_the_last_operation_is_the_newest_that_ended_with_a_verdict(bench):
    """In order of node, unknown ones passed over; the last NoReboot Install is remembered beside it."""
    first, second = sorted([await bench.enrol(), await bench.enrol()])
    await bench.install(second, OUTDATED, PATCHED)
    installed_at = bench.clock.time
    await bench.scan(second, PATCHED)
    await bench.scan(first, OUTDATED)

    found = await bench.verdicts.last(bench.scope, [second, first, "mi-00000000000000000", second])

    assert [(one.operation.instance_id, one.operation.kind.value) for one in found] == [
        (first, "Scan"),
        (second, "Scan"),
    ]
    assert [one.no_reboot_install_at for one in found] == [None, installed_at]


async def test_installed_time_is_when_a_version_was_first_seen_on_the_node(bench):
    """The first facts for what was there already, the facts that brought it for what came later, 0 for what is not there."""
    node = await bench.enrol()
    await bench.scan(node, OUTDATED)
    first = bench.clock.time
    assert await times(bench, node) == {"bar.amd64": 0.0, "foo.amd64": 0.0, "plain.amd64": first}

    bench.clock.time += 3600
    await bench.install(node, OUTDATED, PATCHED)
    second = bench.clock.time
    assert await times(bench, node) == {"bar.amd64": second, "foo.amd64": second, "plain.amd64": first}

    bench.clock.time += 3600
    await bench.scan(node, RESTARTED)
    assert await times(bench, node) == {"bar.amd64": second, "foo.amd64": second, "plain.amd64": first}


async def test_installed_time_changes_with_an_operation_only(bench):
    """It belongs to the last operation: facts that came since do not show in it (design D5)."""
    node = await bench.enrol()
    await bench.scan(node, debian((*RELEASE[:2], "plain 2.9-1")))
    before = await times(bench, node)
    bench.clock.time += 3600

    run = await bench.begin(node, Kind.INSTALL)
    await run.send(Phase.BEFORE, OUTDATED)

    assert await times(bench, node) == before


async def test_a_patch_that_failed_has_no_installed_time(bench):
    """The row speaks of the version that is not there."""
    node = await bench.enrol()
    run = await bench.begin(node, Kind.INSTALL)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    await run.send(Phase.AFTER, with_facts(OUTDATED, observed_at=NOW + 5), acted_boot_id="boot-1")

    assert (await times(bench, node))["foo.amd64"] == 0.0


async def test_a_package_that_went_and_came_back_has_the_time_it_came_back(bench):
    """Every change is kept, the newest counts."""
    node = await bench.enrol()
    for installed in (RELEASE, RELEASE[1:], RELEASE):
        bench.clock.time += 3600
        await bench.scan(node, debian(installed, security=(), observed_at=bench.clock.time))

    assert (await times(bench, node))["foo.amd64"] == bench.clock.time


@pytest.mark.parametrize("keys", [("Patch Group",), ("PatchGroup",), ("Patch Group", "PatchGroup")])
async def test_either_tag_puts_a_node_into_a_patch_group(bench, keys):
    """Where both are there, the one with the space counts (spec §3.4)."""
    node = await bench.enrol()
    values = {key: f"group-{number}" for number, key in enumerate(keys)}
    await bench.database.write(tags.add, bench.scope, tags.MANAGED_INSTANCE, node, {"patch group": "no", **values})
    await bench.scan(node, OUTDATED)

    (last,) = await bench.verdicts.last(bench.scope, [node])

    assert last.operation.patch_group == "group-0"


async def test_what_is_shared_is_stored_once(bench):
    """Two nodes that are alike share their bodies and the rows of their verdict (design D2)."""
    for node in (await bench.enrol(), await bench.enrol()):
        await bench.install(node, OUTDATED, PATCHED)

    def count(table):
        rows = yield sql(f"SELECT COUNT(*) FROM {table} WHERE account = $1", bench.scope.account)
        return rows[0][0]

    counts = [await bench.database.read(count, table) for table in ("body", "patch_states", "facts")]

    # two package sets, two slices, what the nodes say of themselves twice; one set of rows; two observations of each
    assert counts == [6, 1, 4]
