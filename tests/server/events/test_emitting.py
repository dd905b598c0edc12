# SPDX-License-Identifier: Apache-2.0
"""Events are written with the change that they tell of, and numbered afterwards."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import replace
from itertools import pairwise

import pytest

from patchwright.server import events
from patchwright.server.accounts import Scope
from patchwright.server.events import store
from patchwright.server.infra import new_uuid, open_database

NOW = 1_795_000_000.25
DAY = 86_400.0


def happened(scope, number, **more):
    """An event of a node."""
    return events.Event(
        scope, new_uuid(), events.COMPLIANCE, (events.managed_arn(scope, "mi-1"),), {"n": number}, NOW, **more
    )


async def listed(database, scope, after=0):
    """The numbered events of a scope."""
    return await database.read(store.after, scope, after, 1000)


async def test_an_event_has_the_envelope_of_eventbridge(shared_database, scope):
    """Readers get the members of spec §7.7, with the second in which it happened, in UTC."""
    event_id, arn = new_uuid(), events.managed_arn(scope, "mi-0123456789abcdef0")
    detail = {"resource-type": "managed-instance", "compliance-status": "non_compliant"}
    await shared_database.write(events.emit, scope, events.COMPLIANCE, [arn], detail, now=NOW, id=event_id)
    await events.number_waiting(shared_database)
    [event] = await listed(shared_database, scope)
    assert json.loads(event.text) == {
        "version": "0",
        "id": event_id,
        "detail-type": "Configuration Compliance State Change",
        "source": "aws.ssm",
        "account": scope.account,
        "time": "2026-11-18T11:06:40Z",
        "region": "us-east-1",
        "resources": [f"arn:aws:ssm:us-east-1:{scope.account}:managed-instance/mi-0123456789abcdef0"],
        "detail": detail,
    }
    assert event.subject == "mi-0123456789abcdef0"


async def test_events_are_numbered_in_the_order_in_which_they_were_emitted(shared_database, scope):
    """Numbers of an account and region begin at 1, have no gap, and follow the order, also within a moment."""
    other = Scope(scope.account, "eu-central-1")
    for number in range(5):
        await shared_database.write(events.emit_all, [happened(scope, number), happened(other, number)])
    await events.number_waiting(shared_database)
    await shared_database.write(events.emit_all, [happened(scope, 5), happened(scope, 6)])
    await events.number_waiting(shared_database)
    found = await listed(shared_database, scope)
    assert [(one.sequence, one.detail["n"]) for one in found] == [(n + 1, n) for n in range(7)]
    assert [one.sequence for one in await listed(shared_database, other)] == [1, 2, 3, 4, 5]


async def test_an_event_that_is_emitted_again_is_the_same_event(shared_database, scope):
    """A unit that runs twice tells once."""
    event = happened(scope, 1)
    await shared_database.write(events.emit_all, [event])
    await events.number_waiting(shared_database)
    await shared_database.write(events.emit_all, [event])
    await events.number_waiting(shared_database)
    assert [one.id for one in await listed(shared_database, scope)] == [event.id]


async def test_there_is_no_event_of_a_change_that_was_undone(shared_database, scope):
    """What fails after the event takes the event with it."""

    def half():
        yield from events.emit_all([happened(scope, 1)])
        raise LookupError

    with pytest.raises(LookupError):
        await shared_database.write(half)
    await events.number_waiting(shared_database)
    assert await listed(shared_database, scope) == []


async def test_processes_that_number_at_once_give_each_number_once(shared_url, scope, tmp_path):
    """Whoever reads in the order of numbers misses nothing, however many processes write and number."""
    opened = [await open_database(shared_url, data_dir=tmp_path) for _ in range(3)]

    async def busy(database, place):
        for number in range(20):
            await database.write(events.emit_all, [happened(scope, f"{place}/{number}/{n}") for n in range(3)])
            await events.number_waiting(database)

    try:
        await asyncio.gather(*(busy(one, place) for place, one in enumerate(opened)))
        found = await listed(opened[0], scope)
        assert [one.sequence for one in found] == list(range(1, 181))
        assert len({one.detail["n"] for one in found}) == 180
    finally:
        for one in opened:
            await one.close()


async def test_numbers_go_on_where_they_were_when_everything_old_is_gone(database):
    """A number is never given twice: whoever resumes after one gets what came after it."""
    scope = Scope("000000000001", "us-east-1")
    await database.write(events.emit_all, [happened(scope, 1), happened(scope, 2)])
    await events.number_waiting(database)
    assert await database.write(store.remove_older, NOW + 1, 10) == 2
    await database.write(events.emit_all, [happened(scope, 3)])
    await events.number_waiting(database)
    assert [one.sequence for one in await listed(database, scope)] == [3]


async def test_what_is_old_goes_in_the_order_of_numbers(database):
    """So many at a time; of every account and region; and with it what a wrong clock had put far into the future."""
    scope, other = Scope("000000000001", "us-east-1"), Scope("000000000001", "eu-central-1")
    for name, moment in (("future", NOW + 400 * DAY), ("one", NOW), ("two", NOW + 1), ("late", NOW + 20 * DAY)):
        for where in (scope, other):
            await database.write(
                events.emit, where, events.COMPLIANCE, [], {"n": name}, now=moment, id=new_uuid(), subject=name
            )
        await events.number_waiting(database)
    removed = [await database.write(store.remove_older, NOW + DAY, 2) for _ in range(4)]
    assert removed == [2, 2, 2, 0]
    for where in (scope, other):
        assert [one.subject for one in await listed(database, where)] == ["late"]


async def test_what_is_told_of_many_is_what_is_told_of_each(shared_database, scope):
    """In the order given, with names that JSON has to escape; the member that is each one's name comes last."""
    names = [f"mi-{number:017x}" for number in range(3)] + ['a "quoted" name', "ä/b"]
    id_of = events.ids_in_time(NOW, *scope, "a command")
    same = {"command-id": "c", "parameters": {"a": ["}", ""]}, "status": "Success"}
    about = [(name.rpartition("/")[2], events.managed_arn(scope, name), id_of(name)) for name in names]
    for name, arn, event_id in about:
        detail = {**same, "instance-id": name}
        one = events.Event(scope, event_id, events.COMMAND_INVOCATION, (arn,), detail, NOW)
        await shared_database.write(events.emit_all, [one])
    await events.number_waiting(shared_database)
    apart = await listed(shared_database, scope)
    elsewhere = Scope(scope.account, "eu-central-1")
    kind = events.COMMAND_INVOCATION
    await shared_database.write(events.emit_of_each, elsewhere, kind, about, same, member="instance-id", now=NOW)
    await shared_database.write(events.emit_of_each, elsewhere, kind, about, same, member="instance-id", now=NOW)
    await shared_database.write(events.emit_of_each, elsewhere, kind, [], same, member="instance-id", now=NOW)
    await events.number_waiting(shared_database)
    together = await listed(shared_database, elsewhere)
    assert [replace(one, scope=scope) for one in together] == apart
    assert [one.text.replace("eu-central-1", "us-east-1") for one in together] == [one.text for one in apart]


def test_ids_in_time_sort_by_the_time_and_are_uuids():
    """Of the same moment and the same names the same; otherwise others."""
    names = [f"mi-{number:017x}" for number in range(2000)]
    moments = [0.0, NOW, NOW + 0.001, NOW + 3600, 2 * NOW]
    ids = [[events.ids_in_time(moment, "a", "b")(name) for name in names] for moment in moments]
    flat = [one for some in ids for one in some]
    assert len(set(flat)) == len(flat)
    assert all(max(earlier) < min(later) for earlier, later in pairwise(ids))
    for one in flat[::97]:
        read = uuid.UUID(one)
        assert (read.version, read.variant, str(read)) == (7, uuid.RFC_4122, one)
    assert [events.ids_in_time(NOW, "a", "b")(name) for name in names] == ids[1]
    assert events.ids_in_time(NOW, "a", "c")(names[0]) != ids[1][0]
    assert events.ids_in_time(NOW, "a")("b") != events.ids_in_time(NOW, "a", "b")("")


async def test_of_very_many_resources_an_event_names_the_first_ones(shared_database, scope):
    """An event stays small, whatever it is about."""
    arns = [events.managed_arn(scope, f"mi-{number:017x}") for number in range(1000)]
    await shared_database.write(
        events.emit, scope, events.COMMAND, arns, {}, now=NOW, id=new_uuid(), subject="a-command"
    )
    await events.number_waiting(shared_database)
    [event] = await listed(shared_database, scope)
    assert list(event.resources) == arns[:100]
    assert event.subject == "a-command"
