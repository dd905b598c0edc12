# SPDX-License-Identifier: Apache-2.0
"""Sending commands: documents, parameters, targets, and what comes of them (spec §5.1, §5.2, §5.4)."""

from __future__ import annotations

import pytest

from patchwright.core.errors import InvalidParameters
from patchwright.core.invocation import Detail
from patchwright.server import commands
from patchwright.server.accounts import Scope
from patchwright.server.commands import (
    DuplicateInstance,
    InvalidTargets,
    Target,
    UnknownCommand,
    UnknownInstances,
    UnknownInvocation,
    UnknownStep,
)
from patchwright.server.documents import UnknownDocument, UnknownVersion
from patchwright.server.infra import sql
from server.commands.bench import NOW, SCAN

EVERYONE = (Target("InstanceIds", ("*",)),)


async def count(bench, table):
    """Rows of the account."""

    def read():
        rows = yield sql(f"SELECT COUNT(*) FROM {table} WHERE account = $1", bench.scope.account)
        return rows[0][0]

    return await bench.database.read(read)


async def test_a_command_is_sent_to_the_nodes_it_names(bench):
    """One invocation each, pending; it expires when delivery and execution have had their time (spec §5.3)."""
    ids = await bench.nodes(3)

    command, released = await bench.send(ids[2], ids[0], timeout_seconds=600, comment="nightly")

    assert sorted(released) == [ids[0], ids[2]]
    assert (command.detail, command.target_count, command.requested_at) == (Detail.PENDING, 2, NOW)
    assert command.expires_at == NOW + 600 + 7200
    assert await bench.service.command(bench.scope, command.id) == command
    assert await bench.details(command) == ["Pending", "Pending"]
    with pytest.raises(UnknownInvocation):
        await bench.service.invocation(bench.scope, command.id, ids[1])


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"document_name": "AWS-RunNothing"}, UnknownDocument),
        ({"document_name": "../AWS-RunPatchBaseline"}, UnknownDocument),
        ({"document_version": "7"}, UnknownVersion),
        ({"parameters": {}}, InvalidParameters),
        ({"parameters": {"Operation": ["Scan"], "operation": ["Scan"]}}, InvalidParameters),
        ({"parameters": {"Operation": ["scan"]}}, InvalidParameters),
        ({"parameters": {"Operation": ["Scan", "Install"]}}, InvalidParameters),
        ({"parameters": {"Operation": []}}, InvalidParameters),
        ({"parameters": {**SCAN, "SnapshotId": ["no-guid"]}}, InvalidParameters),
        ({"parameters": {**SCAN, "RebootOption": ["Always"]}}, InvalidParameters),
        ({"parameters": {**SCAN, "BaselineOverride": ["nowhere"]}}, InvalidParameters),
        ({"max_concurrency": "0.5"}, InvalidTargets),
        ({"max_errors": "200%"}, InvalidTargets),
        ({"instance_ids": ("mi-00000000000000000",)}, UnknownInstances),
        ({"instance_ids": ()}, InvalidTargets),
        ({"targets": EVERYONE}, InvalidTargets),
        ({"instance_ids": (), "targets": (Target("resource-groups:Names", ("x",)),)}, InvalidTargets),
        ({"instance_ids": (), "targets": (Target("tag:role", ()),)}, InvalidTargets),
        ({"instance_ids": (), "targets": (Target("", ()),)}, InvalidTargets),
    ],
)
async def test_what_cannot_be_sent_is_refused_and_leaves_nothing(bench, members, error):
    """No command, no invocation."""
    (node,) = await bench.nodes(1)

    with pytest.raises(error):
        await bench.send(**{"instance_ids": (node,), **members})

    assert (await count(bench, "command"), await count(bench, "invocation")) == (0, 0)


async def test_a_node_named_twice_is_refused(bench):
    """As AWS does."""
    (node,) = await bench.nodes(1)

    with pytest.raises(DuplicateInstance):
        await bench.send(node, node)


async def test_nodes_elsewhere_cannot_be_reached(bench):
    """Another region's nodes are no targets, by id or by wildcard."""
    (here,) = await bench.nodes(1)
    bench.scope = Scope(bench.scope.account, "eu-west-1")

    with pytest.raises(UnknownInstances, match=here):
        await bench.send(here)
    command, released = await bench.send(targets=EVERYONE)

    assert (command.target_count, released) == (0, [])


async def test_targets_are_resolved_by_id_tag_key_and_wildcard(bench):
    """Entries must all match, values of one are alternatives (spec §5.1)."""
    web = await bench.nodes(2, role="web", tier="front")
    db = await bench.nodes(1, role="db", tier="")
    bare = await bench.nodes(1)

    async def reached(*targets):
        command, released = await bench.send(targets=tuple(targets))
        assert command.target_count == len(released)
        return released

    assert await reached(*EVERYONE) == sorted([*web, *db, *bare])
    assert await reached(Target("InstanceIds", (bare[0], "mi-00000000000000000"))) == bare
    assert await reached(Target("instanceids", (bare[0],))) == bare
    assert await reached(Target("tag:role", ("web",))) == web
    assert await reached(Target("tag:role", ("web", "db"))) == sorted([*web, *db])
    assert await reached(Target("tag:role", ("WEB",))) == []
    assert await reached(Target("tag-key", ("tier",))) == sorted([*web, *db])
    assert await reached(Target("tag-key", ("tier", "role", "other"))) == sorted([*web, *db])
    assert await reached(Target("tag:role", ("web", "db")), Target("tag:tier", ("",))) == db
    assert await reached(Target("tag:role", ("web",)), Target("InstanceIds", (web[1], db[0]))) == [web[1]]


async def test_targets_that_match_nothing_end_the_command_at_once(bench):
    """Success, with the reason in its details (spec §5.2)."""
    command, _ = await bench.send(targets=(Target("tag:role", ("none",)),))

    assert command.detail is Detail.NO_INSTANCES_IN_TAG
    assert (await bench.service.command(bench.scope, command.id)).detail.status == "Success"


async def test_no_more_than_the_cap_are_under_way(bench):
    """In the order of the targets, as places become free."""
    ids = await bench.nodes(5)
    command, released = await bench.send(*ids, max_concurrency="2")
    assert released == ids[:2]
    assert await bench.take(ids[2]) == []

    assert await bench.reply(command, ids[1], Detail.SUCCESS) == (True, [ids[2]])
    assert await bench.reply(command, ids[0], Detail.IN_PROGRESS) == (False, [])
    assert await bench.reply(command, ids[0], Detail.SUCCESS) == (True, [ids[3]])

    assert len(await bench.take(ids[2])) == 1
    assert await bench.detail(command) == "InProgress"


async def test_one_error_too_many_stops_the_rest(bench):
    """Never sent, they are Terminated, and the command has Failed (spec §13.1, boundary case 10)."""
    ids = await bench.nodes(4)
    command, _ = await bench.send(*ids, max_concurrency="1", max_errors="0")

    assert await bench.reply(command, ids[0], Detail.FAILED) == (True, [])

    assert await bench.details(command) == ["Failed", "Terminated", "Terminated", "Terminated"]
    ended = await bench.service.command(bench.scope, command.id)
    assert (ended.detail, ended.completed_count, ended.error_count) == (Detail.FAILED, 4, 1)
    assert [await bench.take(node) for node in ids[1:]] == [[], [], []]


async def test_those_under_way_may_still_end_when_the_rest_is_stopped(bench):
    """Overshoot is expected (spec §5.4)."""
    ids = await bench.nodes(4)
    command, released = await bench.send(*ids, max_concurrency="3", max_errors="0")
    assert released == ids[:3]

    await bench.reply(command, ids[0], Detail.FAILED)
    assert await bench.detail(command) == "InProgress"
    await bench.reply(command, ids[1], Detail.FAILED)
    await bench.reply(command, ids[2], Detail.SUCCESS)

    assert await bench.details(command) == ["Failed", "Failed", "Success", "Terminated"]
    assert await bench.detail(command) == "Failed"


async def test_ten_percent_of_fifty_stops_at_the_sixth_error(bench):
    """Spec §13.1, boundary case 11."""
    ids = await bench.nodes(50)
    command, _ = await bench.send(*ids, max_concurrency="1", max_errors="10%")

    for number, node in enumerate(ids[:6], start=1):
        assert await bench.detail(command) == ("Pending" if number == 1 else "InProgress")
        await bench.reply(command, node, Detail.FAILED)

    ended = await bench.service.command(bench.scope, command.id)
    assert (ended.detail, ended.error_count, ended.completed_count) == (Detail.FAILED, 6, 50)
    assert (await bench.details(command)).count("Terminated") == 44


async def test_a_few_errors_within_the_limit_leave_a_command_incomplete(bench):
    """Attempted everywhere, not everywhere Success (spec §5.2)."""
    ids = await bench.nodes(3)
    command, _ = await bench.send(*ids, max_errors="1")

    await bench.reply(command, ids[0], Detail.FAILED)
    await bench.reply(command, ids[1], Detail.SUCCESS)
    await bench.reply(command, ids[2], Detail.SUCCESS)

    ended = await bench.service.command(bench.scope, command.id)
    assert (ended.detail.value, ended.detail.status, ended.error_count) == ("Incomplete", "Failed", 1)


async def test_commands_and_invocations_are_found_in_their_own_region_only(bench):
    """Everywhere else they do not exist."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)

    for scope in (Scope(bench.scope.account, "eu-west-1"), Scope("9" + bench.scope.account[1:], "us-east-1")):
        with pytest.raises(UnknownCommand):
            await bench.service.command(scope, command.id)
        with pytest.raises(UnknownCommand):
            await bench.service.invocations(scope, command_id=command.id)
        with pytest.raises(UnknownInvocation):
            await bench.service.invocation(scope, command.id, node)
        assert await bench.service.invocations(scope) == []


async def test_invocations_are_listed_newest_first_page_by_page(bench):
    """All, those of a command, those of a node; each once."""
    ids = await bench.nodes(3)
    sent = []
    for _ in range(3):
        bench.clock.time += 1
        sent.append((await bench.send(*ids))[0])

    async def pages(limit, **which):
        found, before = [], None
        while page := await bench.service.invocations(bench.scope, before=before, limit=limit, **which):
            found += [(command.id, invocation.instance_id) for command, invocation in page]
            last = page[-1][1]
            before = (last.requested_at, last.command_id, last.instance_id)
        return found

    expected = [(command.id, node) for command in reversed(sent) for node in ids]
    assert await pages(2) == expected
    assert await pages(50) == expected
    assert await pages(1, command_id=sent[0].id) == expected[-3:]
    assert await pages(2, instance_id=ids[1]) == [pair for pair in expected if pair[1] == ids[1]]


async def test_a_step_is_named_or_the_only_one(bench):
    """A step nobody reported yet is Pending."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)
    pair = await bench.service.invocation(bench.scope, command.id, node)

    for name in ("", "PatchLinux"):
        found, step = commands.step_result(*pair, name)
        assert (found, step.status, step.code) == ("PatchLinux", "Pending", -1)
    with pytest.raises(UnknownStep):
        commands.step_result(*pair, "aws:runShellScript")


async def test_the_inputs_of_a_step_are_the_commands_word(bench):
    """Whoever was not sent the command, or has ended it, learns nothing."""
    ids = await bench.nodes(2)
    command, _ = await bench.send(ids[0], parameters={"Operation": ["Install"], "RebootOption": ["NoReboot"]})

    async def inputs(node, step="PatchLinux", command_id=command.id):
        return await bench.database.read(commands.parameters_of_step, bench.scope, command_id, node, step)

    found = await inputs(ids[0])
    assert (found["Operation"], found["RebootOption"], found["SnapshotId"]) == ("Install", "NoReboot", "")
    with pytest.raises(UnknownStep):
        await inputs(ids[0], "PatchWindows")
    with pytest.raises(UnknownInvocation):
        await inputs(ids[1])
    with pytest.raises(UnknownInvocation):
        await inputs(ids[0], command_id="00000000-0000-0000-0000-000000000000")
    await bench.reply(command, ids[0], Detail.CANCELLED)
    with pytest.raises(UnknownInvocation):
        await inputs(ids[0])
