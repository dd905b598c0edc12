# SPDX-License-Identifier: Apache-2.0
"""What others put of nodes (spec §7.1): COMPLETE replaces, hashes keep, limits hold."""

from __future__ import annotations

import asyncio

import pytest

from patchwright.server import compliance
from patchwright.server.accounts import Scope
from patchwright.server.compliance import Execution
from patchwright.server.config import Quotas
from server.compliance.desk import THEN, Desk, entry

AV = "Custom:AVCheck"


async def test_a_put_replaces_all_of_the_node_and_type_and_nothing_else(desk):
    """Other types and other nodes keep theirs."""
    one, two = sorted([await desk.bench.enrol(), await desk.bench.enrol()])
    for node in (one, two):
        await desk.put(node, AV, entry("a"), entry("b"))
        await desk.put(node, "Association", entry("c"))

    await desk.put(one, AV, entry("d", "COMPLIANT"))

    found = [(item.record.instance_id, item.record.type, item.entry.id) for item in await desk.items()]
    assert found == [
        (one, "Association", "c"),
        (one, AV, "d"),
        (two, "Association", "c"),
        (two, AV, "a"),
        (two, AV, "b"),
    ]


async def test_what_was_put_is_kept_as_it_was(desk):
    """Title, status, severity, details, and what brought it about."""
    node = await desk.bench.enrol()
    given = entry("Version2.0", "COMPLIANT", "CRITICAL", Länge="12 ⅔", empty="")

    await desk.put(node, AV, given, execution=Execution(THEN, "run-1", "Custom"))

    (item,) = await desk.items()
    assert (item.entry, item.installed_at) == (given, None)
    assert item.record.execution == Execution(THEN, "run-1", "Custom")
    assert (item.record.status, item.record.severity) == ("COMPLIANT", 0)


async def test_the_hash_of_the_last_time_changes_nothing(desk):
    """With items or without: they are not even looked at; another hash needs the items."""
    node = await desk.bench.enrol()
    await desk.put(node, AV, entry("a"), content_hash="h1")
    before = await desk.record(node, AV)

    await desk.put(node, AV, content_hash="h1")
    await desk.put(node, AV, entry("b"), content_hash="h1", execution=Execution(THEN + 60))

    assert await desk.record(node, AV) == before
    for type_name, digest in ((AV, "h2"), ("Custom:Other", "h1")):
        with pytest.raises(compliance.InvalidItems, match="send the items"):
            await desk.put(node, type_name, content_hash=digest)
    assert await desk.ids() == ["a"]
    await desk.put(node, AV, entry("b"), content_hash="h2")
    assert await desk.ids() == ["b"]
    await desk.put(node, AV, entry("c"))
    with pytest.raises(compliance.InvalidItems):
        await desk.put(node, AV, content_hash="h2")  # that of before the last time


async def test_no_items_and_no_hash_remove_the_type(desk):
    """Twice is as good as once, and nothing of it stays."""
    node = await desk.bench.enrol()
    await desk.put(node, AV, entry("a"))

    for _ in range(2):
        await desk.put(node, AV)

    assert await desk.record(node, AV) is None
    assert await desk.contents() == 0


async def test_the_same_items_are_kept_once_however_many_nodes_have_them(desk):
    """In whatever order they came; the last node that leaves them takes them along."""
    nodes = [await desk.bench.enrol() for _ in range(3)]
    for node, entries in zip(
        nodes, ([entry("a"), entry("b")], [entry("b"), entry("a")], [entry("a"), entry("b")]), strict=True
    ):
        await desk.put(node, AV, *entries)

    assert await desk.contents() == 1
    await desk.put(nodes[0], AV, entry("c"))
    assert await desk.contents() == 2
    await desk.database.write(compliance.forget, desk.scope, nodes[1])
    assert await desk.contents() == 2
    await desk.database.write(compliance.forget, desk.scope, nodes[2])
    assert await desk.contents() == 1
    assert await desk.ids() == ["c"]


async def test_what_cannot_be_taken_changes_nothing(desk):
    """Each with its own error."""
    node = await desk.bench.enrol()
    small = Desk(desk.database, desk.scope, Quotas(compliance_item_bytes=200, compliance_bytes=500))
    await desk.put(node, AV, entry("before"))
    big = entry("big", text="x" * 200)
    cases = [
        ((AV, entry("a"), entry("a")), {}, compliance.InvalidItems),
        ((AV, entry(""), entry("")), {}, compliance.InvalidItems),
        (("Inventory", entry("a")), {}, compliance.InvalidItems),
        (("AWS", entry("a")), {}, compliance.InvalidItems),
        (("patch", entry("a")), {}, compliance.InvalidItems),
        ((AV, entry("a")), {"partial": True}, compliance.InvalidItems),
        (("Association", entry("a")), {"partial": True}, compliance.InvalidItems),
        ((AV, big), {}, compliance.ItemTooLarge),
        ((AV, *(entry(f"{number:050}") for number in range(5))), {}, compliance.TooLarge),
    ]

    for given, more, error in cases:
        with pytest.raises(error):
            await small.put(node, *given, **more)

    assert await desk.ids() == ["before"]
    assert await desk.contents() == 1


async def test_one_item_may_have_no_id(desk):
    """The model asks for none."""
    node = await desk.bench.enrol()

    await desk.put(node, AV, entry(""), entry("b"), entry("a"))

    assert await desk.ids(limit=1) == ["", "a", "b"]


async def test_custom_types_are_counted_for_the_account_and_region(desk):
    """Ten, on however many nodes; types of AWS do not count, and a type that is gone makes room."""
    one, two = [await desk.bench.enrol() for _ in range(2)]
    for number in range(10):
        await desk.put((one, two)[number % 2], f"Custom:type{number}", entry("a"))
    await desk.put(one, "Association", entry("a"))

    with pytest.raises(compliance.TooManyTypes):
        await desk.put(one, "Custom:one_more", entry("a"))
    await desk.put(two, "Custom:type0", entry("a"))
    elsewhere = await desk.bench.enrol(scope=desk.bench.elsewhere)
    await desk.put(elsewhere, "Custom:one_more", entry("a"), scope=desk.bench.elsewhere)
    await desk.put(two, "Custom:type1")
    await desk.put(one, "Custom:one_more", entry("a"))


async def test_only_nodes_have_compliance(desk):
    """And only those of the account and region."""
    node = await desk.bench.enrol()
    for scope in (desk.bench.elsewhere, desk.bench.stranger):
        with pytest.raises(compliance.UnknownResource):
            await desk.put(node, AV, entry("a"), scope=scope)
        with pytest.raises(compliance.UnknownResource):
            await desk.items(scope=scope, ids=[node])
    with pytest.raises(compliance.UnknownResource):
        await desk.put("mi-00000000000000000", AV, entry("a"))
    with pytest.raises(compliance.UnknownResource):
        await desk.items(ids=[node, "mi-00000000000000000"])
    assert await desk.items(ids=[node]) == []


async def test_many_at_once_leave_one_whole_content(desk):
    """Whoever comes last wins, with all that it sent."""
    nodes = [await desk.bench.enrol() for _ in range(2)]

    def batch(number):
        return [entry(f"{number}-{place}") for place in range(5)]

    await asyncio.gather(
        *(desk.put(node, AV, *batch(number), content_hash=f"h{number}") for number in range(8) for node in nodes)
    )

    for node in nodes:
        ids = await desk.ids(ids=[node])
        number = int(ids[0].partition("-")[0])
        assert ids == [one.id for one in batch(number)]
        assert (await desk.record(node, AV)).content_hash == f"h{number}"
    assert await desk.contents() == len({(await desk.record(node, AV)).digest for node in nodes})


async def test_neighbours_have_their_own(desk):
    """The same content in two regions is two contents."""
    node = await desk.bench.enrol()
    elsewhere = Scope(desk.scope.account, "eu-central-1")
    other = await desk.bench.enrol(scope=elsewhere)
    await desk.put(node, AV, entry("a"))
    await desk.put(other, AV, entry("a"), scope=elsewhere)

    await desk.database.write(compliance.forget, elsewhere, other)
    await desk.database.write(compliance.forget, elsewhere, node)

    assert await desk.ids() == ["a"]
    assert await desk.items(scope=elsewhere) == []
