# SPDX-License-Identifier: Apache-2.0
"""What the nodes of a patch group reported last: who is in it, how many of them have what, page by page."""

from __future__ import annotations

import pytest

from patchwright.core.compliance import Operation as Kind
from patchwright.core.protocol import Phase, RebootOption
from patchwright.server import patching, tags
from patchwright.server.patching import Bound, Groups, groups
from server.patching.bench import OUTDATED, PATCHED, RELEASE, debian


@pytest.fixture
def room(bench):
    """The groups of the bench's account."""
    return Groups(bench.database)


async def state(room, scope, group="web"):
    """The number of nodes, and the counters that are not 0."""
    nodes, counts = await room.state(scope, group)
    return nodes, {name: number for name, number in counts.items() if number}


async def retag(bench, node, **own_tags):
    """Give a node these tags and no others."""
    await bench.database.write(tags.forget, bench.scope, tags.MANAGED_INSTANCE, node)
    await bench.database.write(tags.add, bench.scope, tags.MANAGED_INSTANCE, node, own_tags)


async def pages(room, scope, bounds=(), *, limit, group="web"):
    """The ids on all pages."""
    found, after = [], ""
    for _ in range(100):
        page, last = await room.last(scope, group, bounds, after=after, limit=limit)
        assert len(page) <= limit
        found += [one.operation.instance_id for one in page]
        if last is None:
            return found
        assert last > after
        after = last
    raise AssertionError(found)


async def test_nodes_are_counted_not_patches(bench, room):
    """Each node once under everything it has at least one of (spec §3.2); one without an operation only as a node."""
    outdated, patched, silent = [await bench.enrol(group="web") for _ in range(3)]
    await bench.scan(outdated, OUTDATED)
    await bench.scan(patched, PATCHED)
    await bench.scan(await bench.enrol(group="db"), OUTDATED)

    assert await state(room, bench.scope) == (
        3,
        {"Installed": 1, "InstalledOther": 2, "Missing": 1, patching.SECURITY: 1},
    )
    assert await state(room, bench.elsewhere) == await state(room, bench.stranger) == (0, {})
    assert await state(room, bench.scope, "nobody") == (0, {})
    assert await pages(room, bench.scope, limit=10) == sorted([outdated, patched])
    assert silent not in await pages(room, bench.scope, limit=10)


async def test_the_last_operation_counts_and_one_that_failed_does_not(bench, room):
    """What was reported before an operation that came to nothing stays."""
    node = await bench.enrol(group="web")
    await bench.scan(node, OUTDATED)
    await bench.scan(node, PATCHED)
    assert (await state(room, bench.scope))[1] == {"Installed": 1, "InstalledOther": 1}

    run = await bench.begin(node)
    await bench.begin(node)  # ends the other without a verdict
    assert run.begun
    assert (await state(room, bench.scope))[1] == {"Installed": 1, "InstalledOther": 1}


async def test_the_tags_of_today_say_who_is_in_a_group(bench, room):
    """`Patch Group` comes before `PatchGroup`, an empty value is none, and other spellings are nothing (spec §3.4)."""
    made = [await bench.enrol() for _ in range(6)]
    for node in made:
        await bench.scan(node, OUTDATED)
    first, second, third, fourth, fifth, sixth = made
    await retag(bench, first, **{"Patch Group": "web"})
    await retag(bench, second, PatchGroup="web")
    await retag(bench, third, **{"Patch Group": "db", "PatchGroup": "web"})
    await retag(bench, fourth, **{"Patch Group": "", "PatchGroup": "web"})
    await retag(bench, fifth, **{"patch group": "web", "Patch group": "web"})
    await retag(bench, sixth, **{"Patch Group": "web", "PatchGroup": "web"})

    assert await pages(room, bench.scope, limit=2) == sorted([first, second, fourth, sixth])
    assert (await room.state(bench.scope, "web"))[0] == 4
    assert await pages(room, bench.scope, limit=10, group="db") == [third]


async def test_every_page_size_gives_every_node_once(bench, room, monkeypatch):
    """In order of id; in portions of whatever size."""
    made = sorted([await bench.enrol(group="web") for _ in range(7)])
    for place, node in enumerate(made):
        await bench.scan(node, OUTDATED if place % 2 else PATCHED)
    missing, none = Bound("Missing", ">", 0), Bound("Missing", ">", 9)

    for portion in (1, 2, 3, 1000):
        monkeypatch.setattr(groups, "_PORTION", portion)
        assert (await room.state(bench.scope, "web"))[0] == 7
        for limit in (1, 2, 6, 7, 8):
            assert await pages(room, bench.scope, limit=limit) == made
            assert await pages(room, bench.scope, [missing], limit=limit) == made[1::2]
            assert await pages(room, bench.scope, [none], limit=limit) == []


async def test_a_page_looks_through_so_many_nodes_and_no_more(bench, room, monkeypatch):
    """Then it is handed out as it is, and the next goes on behind."""
    made = sorted([await bench.enrol(group="web") for _ in range(5)])
    await bench.scan(made[4], OUTDATED)
    monkeypatch.setattr(groups, "_PORTION", 1)
    monkeypatch.setattr(groups, "_LOOKED_AT", 2)

    page, last = await room.last(bench.scope, "web", [Bound("Missing", ">", 0)], limit=10)

    assert (page, last) == ([], made[1])
    assert await pages(room, bench.scope, [Bound("Missing", ">", 0)], limit=10) == [made[4]]


@pytest.mark.parametrize(
    ("sign", "number", "found"),
    [
        ("=", 2, [0]),
        ("=", 1, [1]),
        ("<>", 2, [1, 2]),
        ("<", 2, [1, 2]),
        (">", 0, [0, 1]),
        (">", 2, []),
        ("<", -1, []),
        (">", 2**63 - 1, []),
    ],
)
async def test_bounds_hold_on_counters(bench, room, sign, number, found):
    """Equal, unequal, below, above (spec §1.19)."""
    made = sorted([await bench.enrol(group="web") for _ in range(3)])
    half = debian(("foo 1.0-1", *PATCHED.packages.packages[:1]))
    for node, view in zip(made, (OUTDATED, half, PATCHED), strict=True):
        await bench.scan(node, view)
    assert half.packages.packages

    wanted = [made[place] for place in found]
    assert await pages(room, bench.scope, [Bound("Missing", sign, number)], limit=10) == wanted


async def test_bounds_are_anded(bench, room):
    """All of them must hold."""
    node = await bench.enrol(group="web")
    await bench.scan(node, OUTDATED)

    both = [Bound("Missing", ">", 0), Bound("Failed", "=", 0)]
    assert await pages(room, bench.scope, both, limit=10) == [node]
    assert await pages(room, bench.scope, [*both, Bound("Installed", ">", 0)], limit=10) == []


async def test_when_a_node_was_last_left_without_its_reboot_is_remembered(bench, room):
    """A later Scan does not undo it; a later one does."""
    node = await bench.enrol(group="web")
    await bench.install(node, OUTDATED, PATCHED, reboot=RebootOption.NO_REBOOT)
    ended = bench.clock.time
    await bench.scan(node, PATCHED)

    ((one,), _) = await room.last(bench.scope, "web", limit=10)

    assert (one.operation.kind, one.no_reboot_install_at) == (Kind.SCAN, ended)
    assert one.operation.ended_at > ended
    assert await bench.verdicts.last(bench.scope, [node]) == [one]


async def test_a_clock_that_was_set_back_does_not_bring_back_what_was(bench, room):
    """An operation that ended earlier is not the last, whenever it is told of."""
    node = await bench.enrol(group="web")
    await bench.scan(node, PATCHED)
    bench.clock.time -= 3600
    await bench.scan(node, OUTDATED)

    assert (await state(room, bench.scope))[1] == {"Installed": 1, "InstalledOther": 1}


async def test_a_node_that_goes_away_leaves_the_listings_and_its_history_stays(bench, room):
    """`forget` takes the last operation and what was offered; the operations are there."""
    node = await bench.enrol(group="web")
    run = await bench.begin(node, Kind.SCAN)
    await run.send(Phase.BEFORE, debian(RELEASE))

    await bench.database.write(patching.forget, bench.scope, node)

    assert await bench.verdicts.last(bench.scope, [node]) == []
    assert await pages(room, bench.scope, limit=10) == []
    assert await patching.Catalogue(bench.database, bench.clock).available(bench.scope, limit=10) == ([], None)
    assert (await run.put(Phase.BEFORE, debian(RELEASE))).report.succeeded
