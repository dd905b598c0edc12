# SPDX-License-Identifier: Apache-2.0
"""Commands to more nodes than one transaction writes: a part at a time, and whoever dies meanwhile leaves no half a command."""

from __future__ import annotations

import pytest

from patchwright.core.invocation import Detail
from patchwright.server.commands import (
    Permitted,
    Target,
    UnsupportedPlatform,
    jobs,
    moving,
    sending,
    steering,
    targets,
)
from patchwright.server.infra import sql
from server.commands.bench import SCAN

EVERYONE = (Target("InstanceIds", ("*",)),)


@pytest.fixture(autouse=True)
def few_at_a_time(monkeypatch):
    """Three invocations make a transaction full."""
    for module, name in ((targets, "TOGETHER"), (moving, "TOGETHER"), (steering, "CANCEL_TOGETHER")):
        monkeypatch.setattr(module, name, 3)


async def begun(bench, *, rates=None):
    """A command of which only the first part was written: its process died."""
    request = bench.request(targets=EVERYONE, **(rates or {}))
    command, released = await bench.database.write(
        sending.send, bench.scope, "somebody", request, now=bench.clock.now(), hold=60.0
    )
    assert released == []
    return command


async def test_rates_are_of_all_targets_whatever_is_written_together(bench):
    """Half of eight nodes begin, and no sooner than all eight are known; each is a target once."""
    ids = await bench.nodes(8)

    command, released = await bench.send(targets=EVERYONE, max_concurrency="50%")

    assert (command.target_count, command.detail) == (8, Detail.PENDING)
    assert sorted(released) + await bench.tend() == ids[:4]
    assert [await bench.detail(command, node) for node in ids] == ["Pending"] * 8


async def test_a_job_goes_on_where_a_process_died(bench):
    """After a minute, in which it might still have been at work; nothing began before, and nothing begins twice."""
    ids = await bench.nodes(8)
    command = await begun(bench, rates={"max_concurrency": "100%"})
    assert (await bench.service.command(bench.scope, command.id)).target_count == 3
    assert await bench.tend() == []

    bench.clock.time += 60
    assert await bench.tend() == ids

    whole = await bench.service.command(bench.scope, command.id)
    assert (whole.target_count, await bench.details(command)) == (8, ["Pending"] * 8)
    assert await bench.tend() == []


async def test_a_command_that_is_cancelled_half_written_stops_there(bench):
    """No further node is looked for."""
    await bench.nodes(8)
    command = await begun(bench)

    await bench.cancel(command)
    bench.clock.time += 60
    await bench.tend()

    whole = await bench.service.command(bench.scope, command.id)
    assert (whole.detail, whole.target_count, whole.completed_count) == (Detail.CANCELLED, 3, 3)


async def test_whoever_may_not_send_any_more_has_nothing_begun(bench):
    """The job asks for the rights of the command's owner, and ends what is written as AccessDenied."""
    await bench.nodes(5)
    command = await begun(bench)

    def nothing(*_asked):
        yield from ()
        raise UnsupportedPlatform

    bench.clock.time += 60
    assert await bench.database.write(jobs.go_on, bench.scope, command.id, now=bench.clock.now(), rights=nothing) == []

    assert set(await bench.details(command)) == {"AccessDenied"}
    assert await bench.detail(command) == "AccessDenied"


async def test_many_are_stopped_and_cancelled_a_part_at_a_time(bench):
    """One error is one too many for eleven; and twelve are cancelled, some of which run."""
    ids = await bench.nodes(12)
    failing, _ = await bench.send(targets=EVERYONE, max_concurrency="1")
    await bench.reply(failing, ids[0], Detail.FAILED)
    assert await bench.detail(failing) == "InProgress"
    await bench.tend()
    assert await bench.details(failing) == ["Failed"] + ["Terminated"] * 11
    assert await bench.detail(failing) == "Failed"

    running, _ = await bench.send(targets=EVERYONE, max_concurrency="7")
    await bench.tend()
    for node in ids[:5]:
        await bench.take(node)
    told = [*await bench.cancel(running), *await bench.tend()]
    assert sorted(told) == ids[:5]
    assert await bench.details(running) == ["Cancelling"] * 5 + ["Cancelled"] * 7
    for node in ids[:5]:
        await bench.reply(running, node, Detail.CANCELLED)
    assert await bench.detail(running) == "Cancelled"


async def test_nodes_that_the_document_is_not_for_have_it_invalid(bench):
    """InvalidPlatform, which is no error and no reason to fail; if no node that is named can run it, it is refused."""
    ids = await bench.nodes(3)
    await bench.on("Windows", ids[0])

    command, released = await bench.send(*ids)
    assert released == ids[1:]
    assert await bench.details(command) == ["InvalidPlatform", "Pending", "Pending"]
    for node in ids[1:]:
        await bench.reply(command, node, Detail.SUCCESS)
    assert await bench.detail(command) == "Success"

    with pytest.raises(UnsupportedPlatform):
        await bench.send(ids[0])
    for node in ids[1:]:
        await bench.on("MacOS", node)
    nobody, released = await bench.send(targets=EVERYONE)
    assert (nobody.detail, nobody.completed_count, released) == (Detail.FAILED, 3, [])


async def test_groups_are_nodes_with_a_tag(bench):
    """There is no service of resource groups; the type of a node is a managed instance."""
    key = "patchwright:resource-group"
    shop = await bench.nodes(4, **{key: "shop"})
    await bench.nodes(1, **{key: "office"})
    group, types = "resource-groups:Name", "resource-groups:ResourceTypeFilters"

    async def reached(*wanted):
        command, _ = await bench.send(targets=wanted, max_concurrency="100%")
        return command.target_count

    assert await reached(Target(group, ("shop",))) == len(shop)
    assert await reached(Target(group, ("none",))) == 0
    assert await reached(Target(group, ("shop",)), Target(types, ("AWS::SSM::ManagedInstance",))) == len(shop)
    assert await reached(Target(group, ("shop",)), Target(types, ("AWS::EC2::Instance",))) == 0


async def test_nodes_that_the_sender_may_not_reach_are_told_apart_in_every_part(bench):
    """Each part asks anew."""
    ids = await bench.nodes(7)

    def even(_scope, asked):
        yield from ()
        return {one for one in asked if ids.index(one) % 2 == 0}

    command, released = await bench.service.send(
        bench.scope,
        "somebody",
        bench.request(targets=EVERYONE),
        permitted=Permitted(nodes=even, parameters=lambda _scope, _names: iter(())),
    )

    assert sorted([*released, *await bench.tend()]) == ids[::2]
    assert await bench.details(command) == ["Pending", "AccessDenied"] * 3 + ["Pending"]


async def test_what_ended_a_month_ago_is_forgotten(alone):
    """With its invocations, their history, its counts and the replies; what has not ended stays, and so does what is younger."""
    bench = alone
    ids = await bench.nodes(7)
    old, _ = await bench.send(targets=EVERYONE, timeout_seconds=30)
    await bench.reply(old, ids[0], Detail.FAILED)
    await bench.tend()
    bench.clock.time = old.expires_at
    await bench.expire()
    long, _ = await bench.send(ids[0], timeout_seconds=2_592_000)
    bench.clock.time += 29 * 86_400
    young, _ = await bench.send(ids[0], parameters=SCAN)
    assert await bench.forget() == 0
    bench.clock.time += 86_400 + 1

    assert await bench.forget() > 0

    assert [one.id for one in await bench.service.commands(bench.scope)] == [young.id, long.id]
    for table in ("invocation", "invocation_event", "command_tally"):

        def left(table=table):
            return (yield sql(f"SELECT COUNT(*) FROM {table} WHERE command_id = $1", old.id))

        assert await bench.database.read(left) == [(0,)]
