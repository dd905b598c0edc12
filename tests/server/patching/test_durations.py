# SPDX-License-Identifier: Apache-2.0
"""How long scans, installations and restarts took is kept by node, and goes with it."""

from __future__ import annotations

import pytest

from patchwright.core.compliance import Operation as Kind
from patchwright.core.protocol import Next, Phase, RebootOption
from patchwright.server import patching
from patchwright.server.patching import durations
from server.patching.bench import OUTDATED, PATCHED, RESTARTED


async def history(bench, node, scope=None):
    """What is known of a node: scans, installations, restarts."""
    found = await bench.database.read(patching.histories, scope or bench.scope, [node])
    return [patching.read_durations(text) for text in found[node][3:]] if node in found else None


async def scan(bench, node, seconds, view=OUTDATED):
    """A Scan that takes so long."""
    run = await bench.begin(node)
    bench.clock.time += seconds
    assert (await run.send(Phase.BEFORE, view)).next is Next.DONE


async def install(bench, node, *seconds, back=RESTARTED):
    """An Install whose scan, installation and restart take so long."""
    run = await bench.begin(node, Kind.INSTALL, reboot=RebootOption.REBOOT_IF_NEEDED)
    bench.clock.time += seconds[0]
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    bench.clock.time += seconds[1]
    assert (await run.send(Phase.AFTER, PATCHED, acted_boot_id="boot-1")).next is Next.REBOOT
    bench.clock.time += seconds[2]
    return run, await run.send(Phase.AFTER, back)


async def test_each_part_of_an_install_has_its_own_length(bench):
    """A scan lasts until its facts are there, an installation until those after it, a restart until the node is back."""
    node = await bench.enrol()
    await scan(bench, node, 4.0)
    run, directive = await install(bench, node, 6.0, 90.0, 33.0)

    assert directive.next is Next.DONE
    assert await history(bench, node) == [[6.0, 4.0], [90.0], [33.0]]
    await run.put(Phase.AFTER, RESTARTED)
    assert await history(bench, node) == [[6.0, 4.0], [90.0], [33.0]]  # said again, it counts once


async def test_a_node_that_was_not_restarted_yet_waits(bench):
    """Facts of the boot that acted end no restart; the node's own answer does, however often it asked in between."""
    node = await bench.enrol()
    run, directive = await install(bench, node, 1.0, 2.0, 3.0, back=PATCHED)
    assert directive.next is Next.REBOOT
    assert await history(bench, node) is None
    bench.clock.time += 4.0
    await run.send(Phase.AFTER, RESTARTED)

    assert await history(bench, node) == [[1.0], [2.0], [7.0]]


async def test_an_install_with_nothing_to_do_is_a_scan(bench):
    """What has nothing to install takes a scan, and says nothing of installations."""
    node = await bench.enrol()
    run = await bench.begin(node, Kind.INSTALL)
    bench.clock.time += 5.0
    await run.send(Phase.BEFORE, RESTARTED)

    assert await history(bench, node) == [[5.0], [], []]


async def test_what_ended_before_its_time_says_nothing_of_restarts(bench):
    """A command that ended while the node restarted: nobody knows how long that took."""
    node = await bench.enrol()
    run, _ = await install(bench, node, 1.0, 2.0, 3.0, back=PATCHED)
    await bench.database.write(patching.close, bench.scope, node, run.command, now=bench.clock.time, reason="gone")

    assert await history(bench, node) == [[], [], []]


async def test_the_last_ones_are_kept(bench):
    """So many of each kind, the newest first."""
    node = await bench.enrol()
    for number in range(durations.KEPT + 2):
        await scan(bench, node, number + 0.5)

    scans, installs, restarts = await history(bench, node)
    assert scans == [number + 0.5 for number in reversed(range(2, durations.KEPT + 2))]
    assert (installs, restarts) == ([], [])


async def test_they_are_of_one_account_and_region_and_go_with_the_node(bench):
    """Others see nothing of a node's history; a node that goes away takes it along."""
    node = await bench.enrol()
    await scan(bench, node, 4.0)

    assert await history(bench, node, bench.elsewhere) is None
    assert await history(bench, node, bench.stranger) is None
    of_system = await bench.database.read(patching.histories_of_system, bench.scope, "DEBIAN", limit=10)
    assert [one.scans for one in of_system] == ["000040"]
    assert await bench.database.read(patching.histories_of_system, bench.stranger, "DEBIAN", limit=10) == []
    await bench.database.write(patching.forget, bench.scope, node)
    assert await history(bench, node) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "000000"), (-3, "000000"), (12.34, "000123"), (1e9, "999999"), (99_999.9, "999999")]
)
def test_an_entry_has_one_width(seconds, text):
    """Tenths of seconds, from nought to more than a day."""
    assert durations.entry(seconds) == text
    assert durations.read(text * 2) == [int(text) / 10] * 2
