# SPDX-License-Identifier: Apache-2.0
"""Facts that arrive after others that the node took and sent later: what is known of it does not go back."""

from __future__ import annotations

import pytest

from patchwright.core.compliance import Operation as Kind
from patchwright.core.protocol import Next, Phase
from patchwright.server import patching
from patchwright.server.patching import OperationRefused
from server.patching.bench import NOW, OUTDATED, PATCHED, with_facts

MISSING = {"bar.amd64": "Missing", "foo.amd64": "Missing", "plain.amd64": "InstalledOther"}


async def test_facts_that_were_held_up_are_not_taken_for_the_newest(bench):
    """Taken before a power cut, they arrive after those of after it: neither the operation nor the live verdict goes back."""
    node = await bench.enrol()
    run = await bench.begin(node, Kind.INSTALL)
    await run.send(Phase.BEFORE, OUTDATED, number=1)
    newer = with_facts(OUTDATED, boot_id="boot-2", observed_at=NOW + 90)
    intended = await run.send(Phase.BEFORE, newer, number=2)

    for view in (with_facts(PATCHED, observed_at=NOW + 10), OUTDATED):
        with pytest.raises(OperationRefused, match="come too late"):
            await run.put(Phase.BEFORE, view, number=1)

    assert await run.put(Phase.BEFORE, newer, number=2) == intended
    assert await bench.live(node) == MISSING
    await run.resolve(intended)
    done = await run.send(Phase.AFTER, with_facts(PATCHED, boot_id="boot-2"), number=3, acted_boot_id="boot-2")
    assert done.next is Next.DONE


async def test_facts_of_a_run_that_ended_before_another_began_do_not_show_live(bench):
    """They were held up on the way: what the node has said since is newer. What it did, and in which boot, stays true."""
    node = await bench.enrol()
    run = await bench.begin(node, Kind.INSTALL)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    await bench.database.write(patching.close, bench.scope, run.node, run.command, now=NOW + 5, reason="Too late.")
    bench.clock.time += 60.0
    await bench.scan(node, with_facts(PATCHED, observed_at=NOW + 60))
    live = await bench.live(node)

    late = await run.put(Phase.AFTER, with_facts(OUTDATED, observed_at=NOW + 30), acted_boot_id="boot-1")

    assert (late.next, late.report.error) == (Next.DONE, "Too late.")
    assert await bench.live(node) == live
