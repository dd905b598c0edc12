# SPDX-License-Identifier: Apache-2.0
"""What the room keeps, shares and counts (spec §7.2, design D2)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from patchwright.core.inventory import APPLICATION
from patchwright.server import inventory
from patchwright.server.inventory import Asked, AskedAggregator, Operator, fleet, service
from server.inventory.shelf import Shelf, applications, given

NAME = f"{APPLICATION}.Name"


async def matching(shelf, *asked, limit=50):
    """The ids of all pages of nodes that match, and how many there are on each page."""
    found, sizes, after = [], [], ""
    while True:
        page, after = await shelf.room.entities(shelf.scope, asked, [APPLICATION], after=after, limit=limit)
        found += [one.instance_id for one in page]
        sizes.append(len(page))
        if not after:
            return found, sizes


async def test_nodes_that_have_the_same_share_it(shelf):
    """One content for a hundred nodes, and none when the last of them has something else."""
    nodes = await shelf.nodes(100)
    for node in nodes:
        await shelf.put(node, APPLICATION, applications("a 1", "b 2"))
    assert await shelf.stored() == (1, 100)

    for node in nodes:
        await shelf.put(node, APPLICATION, applications("a 1", "b 3"))

    assert await shelf.stored() == (1, 100)
    assert await shelf.rows(nodes[7], APPLICATION) == applications("a 1", "b 3")


async def test_a_node_that_goes_takes_only_its_own_along(shelf):
    """What others have stays for them."""
    one, other = await shelf.nodes(2)
    for node in (one, other):
        await shelf.put(node, APPLICATION, applications("a 1"))
    await shelf.put(one, "AWS:Service", [{"Name": "cron"}])

    await shelf.database.write(inventory.forget, shelf.scope, one)

    assert await shelf.stored() == (1, 1)
    assert await shelf.rows(other, APPLICATION) == applications("a 1")


async def test_a_put_that_is_refused_leaves_no_content_behind(shelf):
    """The hash of the second item is nobody's: the first is not kept either."""
    node = await shelf.node()
    items = [given(APPLICATION, applications("a 1")), given("AWS:Service", None, content_hash="x")]

    with pytest.raises(inventory.ContentMismatch):
        await shelf.room.put(shelf.scope, node, items)

    assert await shelf.stored() == (0, 0)


async def test_an_ignored_type_leaves_no_content_behind(shelf):
    """A disabled version's data is nowhere, unless another type has the same."""
    node, rows = await shelf.node(), [{"Name": "1"}]
    await shelf.put(node, "Custom:T", rows)
    await shelf.room.delete(shelf.scope, "Custom:T", option="DisableSchema", dry_run=False, token=None)
    assert await shelf.stored() == (0, 0)

    assert await shelf.room.put(shelf.scope, node, [given("Custom:T", rows)]) == ["Custom:T"]
    assert await shelf.stored() == (0, 0)
    await shelf.room.put(shelf.scope, node, [given("Custom:T", rows), given("AWS:Service", rows)])
    assert await shelf.stored() == (1, 1)


async def test_a_deletion_leaves_what_another_type_has_too(shelf):
    """Two types with the same rows share a content."""
    node, rows = await shelf.node(), [{"Name": "cron"}]
    await shelf.put(node, "Custom:T", rows)
    await shelf.put(node, "AWS:Service", rows)
    assert await shelf.stored() == (1, 2)

    await shelf.room.delete(shelf.scope, "Custom:T", option="", dry_run=False, token=None)

    assert await shelf.stored() == (1, 1)
    assert await shelf.rows(node, "AWS:Service") == rows


async def test_puts_at_once_end_as_if_one_after_another(shelf):
    """Many nodes between two contents: in the end there are those that are bound, and no more."""
    nodes = await shelf.nodes(8)
    contents = [applications("a 1"), applications("a 2")]

    for turn in range(4):
        await asyncio.gather(
            *(shelf.put(node, APPLICATION, contents[(turn + place) % 2]) for place, node in enumerate(nodes))
        )

    assert await shelf.stored() == (2, 8)
    for place, node in enumerate(nodes):
        assert await shelf.rows(node, APPLICATION) == contents[(3 + place) % 2]


async def test_custom_types_at_once_keep_to_their_number(shelf):
    """One more than there may be, all at the same time: one is refused."""
    shelf = Shelf(shelf.database, shelf.scope, quotas=replace(shelf.quotas, inventory_custom_types=3))
    nodes = await shelf.nodes(4)

    results = await asyncio.gather(
        *(shelf.put(node, f"Custom:T{place}", [{"a": "1"}]) for place, node in enumerate(nodes)),
        return_exceptions=True,
    )

    assert sorted(map(type, filter(None, results)), key=str) == [inventory.TooManyTypes]
    schemas = await shelf.room.schemas(shelf.scope, prefix="Custom:", counted=False, sub_types=False)
    assert len(schemas) == 3


async def test_versions_of_a_custom_type_are_bounded(shelf):
    """A node that makes up one after another fills nothing; what is known is still taken."""
    node = await shelf.node()
    for number in range(50):
        await shelf.put(node, "Custom:T", [{"a": "1"}], version=f"1.{number}")

    with pytest.raises(inventory.TooManyTypes):
        await shelf.put(node, "Custom:T", [{"a": "1"}], version="2.0")

    await shelf.put(node, "Custom:T", [{"a": "2"}], version="1.7")
    assert await shelf.rows(node, "Custom:T") == [{"a": "2"}]


@pytest.mark.parametrize("key", [NAME, "AWS:InstanceInformation.InstanceId"])
async def test_pages_are_short_where_looking_on_would_take_long(shelf, monkeypatch, key):
    """Empty ones too; together they have every node that matches, once, in order."""
    monkeypatch.setattr(fleet, "_BATCH", 4)
    monkeypatch.setattr(fleet, "_LIGHTER", 1)
    monkeypatch.setattr(fleet, "_LOOKED_AT", 8)
    nodes = await shelf.nodes(26)
    wanted = [nodes[0], nodes[13], nodes[25]]
    for node in nodes:
        await shelf.put(node, APPLICATION, applications(f"{node if node in wanted else 'plain'} 1"))

    found, sizes = await matching(shelf, Asked(key, tuple(wanted)))

    assert found == wanted
    assert 0 in sizes


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_every_node_is_on_one_page(shelf, monkeypatch, limit):
    """Whatever the sizes of pages, reads and answers: filters of reported types, of made ones, and of both."""
    monkeypatch.setattr(fleet, "_BATCH", 3)
    nodes = await shelf.nodes(11)
    for place, node in enumerate(nodes[:9]):
        await shelf.put(node, APPLICATION, applications("even 1" if place % 2 == 0 else "odd 1", f"p{place} 1"))
    linux = Asked("AWS:InstanceInformation.PlatformType", ("Linux",))
    for asked, expected in (
        ((), nodes),
        ((linux,), nodes),
        ((Asked(NAME, ("even",)),), nodes[:9:2]),
        ((Asked(NAME, ("even",)), linux), nodes[:9:2]),
        ((Asked(NAME, ("even",)), Asked("AWS:InstanceInformation.InstanceId", (nodes[4],))), [nodes[4]]),
        ((Asked(NAME, ("even",), Operator.NOT_EQUAL),), nodes[1:9:2]),
        ((Asked(NAME, ("p3", "p8")),), [nodes[3], nodes[8]]),
    ):
        found, sizes = await matching(shelf, *asked, limit=limit)
        assert found == expected
        assert max(sizes) <= limit


async def test_a_page_ends_where_it_would_carry_too_much(shelf, monkeypatch):
    """One node is always on it."""
    monkeypatch.setattr(service, "_PAGE_VALUES", 100)
    nodes = await shelf.nodes(5)
    for number, node in enumerate(nodes):
        await shelf.put(node, APPLICATION, applications(*(f"p{number}{n} {n * 7919 % 1000}" for n in range(30))))

    found, sizes = await matching(shelf)

    assert (found, set(sizes)) == (nodes, {1})


async def test_answers_are_remembered_by_content(shelf):
    """Asked again, no content is read; changed, the new one is."""
    nodes = await shelf.nodes(3)
    for node in nodes:
        await shelf.put(node, APPLICATION, applications("a 1"))
    asked = Asked(NAME, ("a",))
    await matching(shelf, asked, limit=3)
    before = len(shelf.room._fleet._answers)
    await matching(shelf, asked, limit=3)
    assert len(shelf.room._fleet._answers) == before == 1

    await shelf.put(nodes[1], APPLICATION, applications("b 1"))

    assert (await matching(shelf, asked))[0] == [nodes[0], nodes[2]]


async def test_counts_look_at_each_kind_of_node_once(shelf):
    """A hundred nodes of two kinds; each counts, however many rows of a name it has."""
    nodes = await shelf.nodes(100)
    for place, node in enumerate(nodes):
        rows = applications("a 1", "a 2") if place % 4 else applications("a 1", "c 1")
        await shelf.put(node, APPLICATION, rows)

    (counted,), following = await shelf.room.counted(shelf.scope, (), [AskedAggregator(NAME)], start=0)

    assert (list(counted.rows), following) == ([{"Count": "100", "Name": "a"}, {"Count": "25", "Name": "c"}], 0)


async def test_rows_of_counts_are_paged(shelf, monkeypatch):
    """As many as an entity may have, then the next."""
    monkeypatch.setattr(service, "MAX_ROWS", 4)
    node = await shelf.node()
    await shelf.put(node, APPLICATION, applications(*(f"p{n} 1" for n in range(10))))
    seen, start = [], 0
    while True:
        (counted,), start = await shelf.room.counted(shelf.scope, (), [AskedAggregator(NAME)], start=start)
        seen += [row["Name"] for row in counted.rows]
        if not start:
            break
    assert seen == [f"p{n}" for n in range(10)]


async def test_too_many_combinations_are_refused(shelf, monkeypatch):
    """Every application with every service of one node would be more than anybody reads."""
    node = await shelf.node()
    await shelf.put(node, APPLICATION, applications(*(f"p{n} 1" for n in range(400))))
    await shelf.put(node, "AWS:Service", [{"Name": f"s{n}"} for n in range(400)])
    by = AskedAggregator(NAME, (AskedAggregator("AWS:Service.Name"),))

    with pytest.raises(inventory.MalformedAggregator):
        await shelf.room.counted(shelf.scope, (), [by], start=0)


async def test_accounts_and_regions_share_nothing(shelf, scope):
    """The same rows elsewhere are stored there again, and found there alone."""
    other = Shelf(shelf.database, scope._replace(region="eu-central-1"))
    for one in (shelf, other):
        node = await one.node()
        await one.put(node, APPLICATION, applications("a 1"))
        await one.put(node, "Custom:T", [{"a": "1"}])
        assert (await matching(one, Asked(NAME, ("a",))))[0] == [node]

    await other.room.delete(other.scope, "Custom:T", option="DeleteSchema", dry_run=False, token=None)

    assert await shelf.stored() == (2, 2)
    assert await other.stored() == (1, 1)
    (gone,) = await other.room.deletions(other.scope, before=None, limit=5)
    with pytest.raises(inventory.UnknownDeletion):
        await shelf.room.deletion(shelf.scope, gone.id)


async def test_silent_nodes_are_said_to_be_lost(shelf):
    """InstanceStatus follows the time since the node was heard of."""
    node = await shelf.node()
    lost = Asked("AWS:InstanceInformation.InstanceStatus", ("ConnectionLost",), Operator.EQUAL)
    assert (await matching(shelf, lost))[0] == []

    shelf.clock.time += 661.0

    assert (await matching(shelf, lost))[0] == [node]
