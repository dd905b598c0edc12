# SPDX-License-Identifier: Apache-2.0
"""A node that is no longer as the plan says gets a new plan, twice; then nothing is done (design D4)."""

from __future__ import annotations

import pytest

from patchwright.core.compliance import Operation as Kind
from patchwright.core.protocol import Next, Phase, RebootOption
from patchwright.server.patching import OperationRefused
from server.patching.bench import FIXED, HALF, NOW, OUTDATED, PATCHED, debian, with_facts

REBOOT = RebootOption.REBOOT_IF_NEEDED


async def test_drift_makes_a_new_plan_in_the_same_snapshot(bench):
    """The second plan is made of the facts as they are now, and says so in the report (design D4)."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL)
    first = await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    drifted = "foo.amd64: installed is 1.0-1+deb12u1, the plan says 1.0-1"

    directive = await run.send(Phase.BEFORE, HALF, attempt=1, drift=(drifted,))
    second = await run.resolve(directive, attempt=1)
    done = await run.send(Phase.AFTER, PATCHED, attempt=1, acted_boot_id="boot-1")

    assert (len(first.actions), len(second.actions)) == (2, 1)
    assert first.snapshot_id == second.snapshot_id
    assert done.report is not None
    assert drifted in done.report.text
    assert (await bench.states(run.node))["foo.amd64"] == "Installed"  # somebody else brought it
    assert (await bench.states(run.node))["bar.amd64"] == "InstalledPendingReboot"


async def test_a_node_that_drifts_from_every_plan_is_left_as_it_is(bench):
    """After the third plan nothing is attempted; what drifted is named (design D4)."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL, reboot=REBOOT)
    drifted = "foo.amd64: candidate is 9, the plan says 1.0-1+deb12u1"
    directive = await run.send(Phase.BEFORE, OUTDATED)
    for attempt in (1, 2):
        await run.resolve(directive, attempt=attempt - 1)
        moved = with_facts(OUTDATED, observed_at=NOW + attempt)
        directive = await run.send(Phase.BEFORE, moved, attempt=attempt, drift=(drifted,))
        assert directive.next is Next.RESOLVE
    await run.resolve(directive, attempt=2)

    done = await run.send(Phase.BEFORE, with_facts(OUTDATED, observed_at=NOW + 3), attempt=3, drift=(drifted,))

    assert done.next is Next.DONE
    assert done.report is not None
    assert not done.report.succeeded
    reasons = {row.item.key: row.item.reason for row in await bench.verdicts.rows(bench.scope, run.node)}
    assert reasons["foo.amd64"] == f"the node drifted from each of 3 plans; at last {drifted}"
    assert reasons["bar.amd64"].startswith("not attempted: the node drifted")
    assert (await bench.states(run.node))["foo.amd64"] == "Failed"


async def test_a_plan_that_drift_overtook_makes_nothing_pending(bench):
    """Somebody else installed it all: the restart is for what an earlier run left, and foo was none of ours."""
    node = await bench.enrol()
    await bench.install(
        node, debian(("bar 2.0-1", "plain 3.0-1")), debian((FIXED[1], "plain 3.0-1"), observed_at=NOW + 5)
    )
    run = await bench.begin(node, Kind.INSTALL, reboot=REBOOT)
    before = debian(("foo 1.0-1", FIXED[1], "plain 3.0-1"), observed_at=NOW + 10)
    await run.resolve(await run.send(Phase.BEFORE, before))

    directive = await run.send(
        Phase.BEFORE, with_facts(PATCHED, observed_at=NOW + 20), attempt=1, drift=("foo.amd64: …",)
    )
    assert directive.next is Next.REBOOT
    await run.send(Phase.AFTER, with_facts(PATCHED, observed_at=NOW + 30))

    assert (await bench.live(node))["foo.amd64"] == "Installed"
    assert (await bench.live(node))["bar.amd64"] == "InstalledPendingReboot"


async def test_late_facts_of_an_earlier_attempt_are_refused(bench):
    """They would bring back an intent, and facts, that the node has left behind."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    moved = with_facts(HALF, observed_at=NOW + 30)
    directive = await run.send(Phase.BEFORE, moved, attempt=1, drift=("foo.amd64: installed is …",))

    with pytest.raises(OperationRefused, match="attempt"):
        await run.put(Phase.BEFORE, OUTDATED)

    plan = await run.resolve(directive, attempt=1)
    assert [action.key for action in plan.actions] == ["bar.amd64"]
    assert (await bench.live(run.node))["foo.amd64"] == "Installed"
