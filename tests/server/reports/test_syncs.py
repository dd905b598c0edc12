# SPDX-License-Identifier: Apache-2.0
"""Resource data syncs: what they write, when, and who writes it when somebody dies (spec §7.4)."""

from __future__ import annotations

import asyncio

import pytest

from patchwright.server.infra import sql
from patchwright.server.reports import InvalidSync, SyncTaken, TooManySyncs
from server.inventory.shelf import applications
from server.reports.desk import APPLICATION, Desk


@pytest.fixture
async def desk(shared_database, scope, tmp_path):
    """The room, once on each engine."""
    await shared_database.write(_retire)  # what other tests left behind
    return Desk(shared_database, scope, tmp_path / "buckets")


def _retire():
    yield sql("UPDATE resource_data_sync SET due_at = NULL")


async def test_the_first_run_writes_everything_and_the_next_what_changed(desk):
    """One object for each node and type, one JSON object on each line; nothing that is as it was."""
    one, two = await desk.shelf.nodes(2)
    await desk.shelf.put(one, APPLICATION, applications("bash 5.2", "curl 8.1"))
    await desk.create(Prefix="inv/")

    written = await desk.run()

    information = [desk.key(node, "AWS:InstanceInformation", "inv/") for node in (one, two)]
    assert written == sorted([desk.key(one, prefix="inv/"), *information])
    assert [(line["Name"], line["resourceId"], line["schemaVersion"]) for line in desk.lines(written[0])] == [
        ("bash", one, "1.1"),
        ("curl", one, "1.1"),
    ]
    assert {"resourceId", "captureTime", "schemaVersion", "InstanceId"} <= set(desk.lines(information[0])[0])
    state = await desk.state()
    assert (state.state, state.message) == ("Successful", "The sync was successfully completed")
    assert state.synced_at == state.succeeded_at == desk.clock.now()

    assert await desk.run() == []  # not due
    assert await desk.later() == []  # nothing has changed
    await desk.shelf.put(one, APPLICATION, applications("bash 5.2", "curl 8.1"))
    assert await desk.later() == []  # the same again is no change
    await desk.shelf.put(one, APPLICATION, applications("bash 5.3"))
    await desk.shelf.put(two, APPLICATION, applications("zsh 5.9"))
    assert await desk.later() == [desk.key(node, prefix="inv/") for node in (one, two)]
    assert [line["Version"] for line in desk.lines(desk.key(one, prefix="inv/"))] == ["5.3"]


async def test_rows_that_are_gone_leave_an_empty_object(desk):
    """What was written of a node is replaced, also by nothing."""
    node = await desk.shelf.node()
    await desk.shelf.put(node, APPLICATION, applications("bash 5.2"))
    await desk.create()
    assert desk.key(node) in await desk.run()
    await desk.shelf.put(node, APPLICATION, [])

    assert await desk.later() == [desk.key(node)]
    assert desk.lines(desk.key(node)) == []


async def test_a_node_that_is_gone_leaves_its_objects(desk):
    """And is forgotten."""
    gone, stays = await desk.shelf.nodes(2)
    await desk.create()
    await desk.run()
    await desk.database.write(_take_away, desk.scope, gone)

    assert await desk.later() == []
    assert desk.lines(desk.key(gone, "AWS:InstanceInformation"))
    assert await desk.database.read(_remembered, desk.scope) == [stays]


def _take_away(scope, instance_id):
    yield sql("DELETE FROM node WHERE account = $1 AND region = $2 AND id = $3", *scope, instance_id)


def _remembered(scope):
    rows = yield sql("SELECT instance_id FROM resource_data_written WHERE account = $1 AND region = $2", *scope)
    return [row[0] for row in rows]


async def test_names_of_custom_types_lead_nowhere_else(desk):
    """Nodes choose them."""
    node = await desk.shelf.node()
    names = ["Custom:../../../../etc/x", "Custom:a/b", "Custom:..", "Custom:☃", "Custom:" + "ü" * 90]
    for name in names:
        await desk.shelf.put(node, name, [{"A": "1"}])
    await desk.create()

    written = await desk.run()

    assert len(written) == len(names) + 1
    assert all(key.split("/")[1].startswith("accountid=") for key in written)
    inside = [path for path in desk.root.parent.rglob("*.json") if desk.root / "some-bucket" in path.parents]
    assert len(inside) == len(list(desk.root.parent.rglob("*.json"))) == len(written)
    assert (await desk.state()).state == "Successful"


async def test_a_run_goes_through_any_number_of_nodes(desk):
    """Page by page."""
    many = await desk.shelf.nodes(120)
    await desk.create()

    assert await desk.run() == sorted(desk.key(node, "AWS:InstanceInformation") for node in many)
    assert await desk.later() == []


async def test_a_run_that_is_refused_says_so_and_goes_on_later(desk):
    """LastStatus Failed, with the reason; what was written is not written again."""
    many = await desk.shelf.nodes(60)
    await desk.create()
    desk.buckets.refusing = many[-5]

    first = await desk.run()
    state = await desk.state()
    assert (state.state, state.succeeded_at) == ("Failed", None)
    assert state.message == "S3 write failed for bucket some-bucket: it is full"
    assert 50 <= len(first) < 60
    desk.buckets.refusing = ""
    assert await desk.later() == []  # not yet

    second = await desk.later(300)
    assert {*first, *second} == {desk.key(node, "AWS:InstanceInformation") for node in many}
    assert not {*first[:48]} & {*second}
    assert (await desk.state()).state == "Successful"


async def test_a_process_that_dies_in_a_run_is_replaced(desk):
    """Its lease ends, and another goes on where it was; nothing is missing at the end."""
    many = await desk.shelf.nodes(70)
    await desk.create()
    desk.buckets.held = asyncio.Event()
    dying = asyncio.create_task(desk.writer.run_due())
    await desk.underway()
    dying.cancel()  # as kill -9 would: nothing is written after it
    await asyncio.gather(dying, return_exceptions=True)
    desk.buckets.held = None

    assert await desk.run() == []  # its lease has not ended
    assert (await desk.state()).state == "InProgress"
    assert await desk.later(121) == sorted(desk.key(node, "AWS:InstanceInformation") for node in many)
    assert (await desk.state()).state == "Successful"


async def test_of_two_processes_one_runs_a_sync(desk):
    """The other has nothing to do; nothing is written twice."""
    many = await desk.shelf.nodes(60)
    await desk.create()
    desk.buckets.keys = []

    counts = await asyncio.gather(desk.writer.run_due(), desk.another().run_due(), desk.another().run_due())

    assert sum(counts) == 1
    assert sorted(desk.buckets.keys) == sorted(desk.key(node, "AWS:InstanceInformation") for node in many)


async def test_one_that_lost_its_lease_writes_no_end(desk):
    """A process that was away for long changes nothing of what another has done since."""
    await desk.shelf.nodes(60)
    await desk.create()
    desk.buckets.held = asyncio.Event()
    slow = asyncio.create_task(desk.writer.run_due())
    await desk.underway()
    desk.clock.time += 121
    held, desk.buckets.held = desk.buckets.held, None
    assert await desk.another().run_due() == 1
    after = await desk.state()

    held.set()
    await slow
    assert await desk.state() == after


async def test_a_sync_that_is_deleted_in_a_run_stays_deleted(desk):
    """And one made anew under its name begins from nothing."""
    (node,) = await desk.shelf.nodes(1)
    await desk.create()
    desk.buckets.held = asyncio.Event()
    running = asyncio.create_task(desk.writer.run_due())
    await desk.underway()
    await desk.syncs.delete(desk.scope, "inventory", kind=None)
    desk.buckets.held.set()
    await running

    assert await desk.syncs.listed(desk.scope, kind=None, after="", limit=9) == ([], False)
    assert await desk.database.read(_remembered, desk.scope) == []
    await desk.create()
    assert await desk.run() == [desk.key(node, "AWS:InstanceInformation")]


async def test_a_lease_of_a_clock_that_is_wrong_holds_nobody_up(desk):
    """One that ends implausibly far in the future has ended (design D9)."""
    (node,) = await desk.shelf.nodes(1)
    await desk.create()
    await desk.database.write(_lease_for_years, desk.scope)

    assert await desk.run() == [desk.key(node, "AWS:InstanceInformation")]


def _lease_for_years(scope):
    yield sql(
        "UPDATE resource_data_sync SET lease_owner = 'x', lease_until = 9e9 WHERE account = $1 AND region = $2", *scope
    )


async def test_each_sync_has_its_own_progress(desk):
    """Two buckets, two runs; other accounts' nodes are in neither."""
    (node,) = await desk.shelf.nodes(1)
    await desk.create("a", "bucket-a")
    await desk.run()
    await desk.create("b", "bucket-b", Prefix="p")

    assert await desk.run() == [desk.key(node, "AWS:InstanceInformation", "p/")]
    assert {path.parts[-2] for path in desk.root.rglob("accountid=*/region=*")} == {f"accountid={desk.scope.account}"}


async def test_there_are_five_syncs_at_most_and_names_are_taken_once(desk):
    """Also when they are made at once."""
    for number in range(3):
        await desk.create(f"s{number}")
    with pytest.raises(SyncTaken):
        await desk.create("s0")
    outcomes = await asyncio.gather(*(desk.create(f"t{number}") for number in range(5)), return_exceptions=True)

    assert [type(one) for one in outcomes if one is not None] == [TooManySyncs] * 3
    found, _ = await desk.syncs.listed(desk.scope, kind=None, after="", limit=50)
    assert len(found) == 5


@pytest.mark.parametrize(
    "members",
    [
        {"bucket": "NO"},
        {"bucket": "../up"},
        {"Prefix": "../up"},
        {"Prefix": "/x"},
        {"Prefix": "🦊" * 200},
        {"Region": "us east"},
        {"AWSKMSKeyARN": "arn:aws:kms:us-east-1:000000000001:key/x"},
        {"DestinationDataSharing": {"DestinationDataSharingType": "Organization"}},
    ],
)
async def test_a_destination_that_cannot_be_written_to_is_refused(desk, members):
    """Nothing is kept, and nothing lies outside the bucket."""
    with pytest.raises(InvalidSync) as refused:
        await desk.create(**members)

    if not {"DestinationDataSharing"} & set(members) and "🦊" not in str(members):
        assert str(refused.value).startswith("S3 write failed for bucket ")
    assert await desk.syncs.listed(desk.scope, kind=None, after="", limit=9) == ([], False)
    assert list(desk.root.parent.rglob("up*")) == []
