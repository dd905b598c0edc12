# SPDX-License-Identifier: Apache-2.0
"""A bound on invocations that wait: what would go beyond it ends before any node has begun (spec §5.2, LimitExceeded)."""

from __future__ import annotations

from patchwright.core.invocation import Detail
from patchwright.server import commands
from patchwright.server.commands import Target


async def test_a_command_that_would_make_too_many_wait_ends_before_any_node_has_begun(bench):
    """Its invocations are cancelled, nobody gets anything, and what waited before goes on as if nothing had been."""
    bench.service = commands.Service(bench.database, bench.clock, most_waiting=4)
    nodes = await bench.nodes(5)
    first, released = await bench.send(*nodes[:3], max_concurrency="1")
    assert (len(released), first.detail) == (1, Detail.PENDING)

    over, none = await bench.send(*nodes[2:])  # two wait already, and three more make five

    assert none == []
    assert (await bench.detail(over), over.detail.status) == ("LimitExceeded", "Failed")
    assert [await bench.detail(over, node) for node in nodes[2:]] == ["Cancelled"] * 3
    stored = await bench.service.command(bench.scope, over.id)
    assert (stored.target_count, stored.completed_count, stored.error_count) == (3, 3, 0)
    assert [one.command_id for one in await bench.take(nodes[0])] == [first.id]
    assert await bench.take(nodes[4]) == []
    await bench.acknowledge(first, nodes[0])
    assert (await bench.reply(first, nodes[0], Detail.SUCCESS))[1] == [nodes[1]]
    assert await bench.cancel(over) == []
    assert await bench.detail(over) == "LimitExceeded"

    fits, begun = await bench.send(nodes[3], nodes[4])  # one waits now
    assert (sorted(begun), await bench.detail(fits)) == (sorted(nodes[3:]), "Pending")


async def test_large_commands_are_bounded_when_their_targets_are_all_known(bench, monkeypatch):
    """They are looked for part by part, and ended part by part; a job does what is left."""
    for module in ("sending", "targets", "moving"):
        monkeypatch.setattr(f"patchwright.server.commands.{module}.TOGETHER", 2, raising=False)
    bench.service = commands.Service(bench.database, bench.clock, most_waiting=6)
    nodes = await bench.nodes(7, env="large")
    members = {"instance_ids": (), "targets": (Target("tag:env", ("large",)),), "max_concurrency": "100%"}

    over, none = await bench.send(**members)
    assert await bench.tend() == []

    assert (none, await bench.detail(over)) == ([], "LimitExceeded")
    assert {await bench.detail(over, node) for node in nodes} == {"Cancelled"}
    bench.service = commands.Service(bench.database, bench.clock, most_waiting=7)
    fits, begun = await bench.send(**members)
    assert sorted([*begun, *(await bench.tend())]) == sorted(nodes)
    assert await bench.detail(fits) == "Pending"


async def test_any_number_may_wait_unless_a_bound_is_set(bench):
    """And another account's do not count."""
    nodes = await bench.nodes(3)
    for _ in range(3):
        command, _ = await bench.send(*nodes, max_concurrency="1")
        assert await bench.detail(command) == "Pending"
