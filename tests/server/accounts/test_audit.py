# SPDX-License-Identifier: Apache-2.0
"""The audit trail over both engines: a change and its entry are one, and nobody changes the past unseen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from patchwright.server.accounts import Act, Question
from patchwright.server.accounts import audit as room
from patchwright.server.infra import UniqueViolation, new_id, open_database
from server.accounts.audit_desk import KEY, Desk
from server.accounts.audited_writer import ACCOUNT, act, make

WRITER = Path(__file__).parent / "audited_writer.py"


# -- how entries come to be


async def test_an_entry_says_who_did_what_on_what(desk):
    """From where, with which key, by which request, and that it was kept."""
    await desk.do("one", resources=("one", "two"))

    (entry,) = await desk.entries()
    assert (entry.account, entry.region, entry.principal) == (ACCOUNT, "us-east-1", f"arn:aws:iam::{ACCOUNT}:user/one")
    assert (entry.key_id, entry.source_ip, entry.target) == ("AKIA1", "192.0.2.1", "AmazonSSM.PutParameter")
    assert (entry.resources, entry.request_id, entry.result) == (("one", "two"), "request-one", "Succeeded")
    assert (entry.at, entry.since, entry.calls) == (1_800_000_000.0, 1_800_000_000.0, 1)


async def test_a_change_that_fails_leaves_no_entry(desk):
    """They are one transaction."""
    await desk.do("one")
    with pytest.raises(UniqueViolation):
        await desk.do("one")

    assert len(await desk.entries()) == await desk.count("client_token") == 1


async def test_an_entry_that_fails_undoes_the_change(desk, monkeypatch):
    """There is no change without its entry, whatever goes wrong with it."""

    def broken(_found):
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(room.store, "add", broken)
    with pytest.raises(ZeroDivisionError):
        await desk.do("one")

    assert await desk.count("client_token") == await desk.count("audit_entry") == 0


async def test_what_nobody_called_for_has_no_entry(desk):
    """Jobs write through the same database."""
    await desk.database.write(make, "one")

    assert (await desk.count("client_token"), await desk.count("audit_entry")) == (1, 0)


async def test_a_call_with_several_transactions_has_one_entry(desk):
    """In the first that is kept."""
    with desk.trail.during(act("one")):
        with contextlib.suppress(ZeroDivisionError):
            await desk.database.write(lambda: (_ for _ in [1 / 0]))
        await desk.database.write(make, "one")
        await desk.database.write(make, "two")

    assert len(await desk.entries()) == 1


async def test_a_call_that_writes_nothing_is_noted_as_well(desk):
    """A second later, like what is refused: whoever took a role has changed nothing, and an auditor asks for it."""
    with desk.trail.during(act("one")):
        pass
    await desk.seal()

    (entry,) = await desk.entries()
    assert (entry.request_id, entry.result) == ("request-one", "Succeeded")


async def test_what_a_call_makes_is_named_in_its_entry(desk):
    """By the ids that were made during it, or by what it gave back, in whose account that is."""
    with desk.trail.during(replace(act("one"), makes=True)):
        made = new_id("pb")
        await desk.database.write(make, made)
    new_id("pb")

    (entry,) = await desk.entries()
    assert entry.resources == ("one", made)


async def test_callers_at_the_same_time_have_their_own_entries(desk):
    """The call that is under way is known for each task."""
    await asyncio.gather(*(desk.do(f"{number}-x") for number in range(40)))

    entries = await desk.entries()
    assert sorted(one.principal.rpartition("/")[2] for one in entries) == sorted(map(str, range(40)))
    assert all(one.resources == (f"{one.principal.rpartition('/')[2]}-x",) for one in entries)


async def test_text_that_a_database_refuses_does_not_refuse_the_call(desk):
    """Lone surrogates, NUL, and more than is worth keeping."""
    await desk.do("one", resources=("a\ud800b", "c\0d", "e" * 5000, *map(str, range(200))))
    await desk.seal()

    (entry,) = await desk.entries()
    assert entry.resources[:2] == ("a?b", "c\ufffdd")
    assert (len(entry.resources[2]), len(entry.resources)) == (2048, 101)
    assert entry.resources[-1] == "and 103 more"
    assert await desk.proof() == []


# -- what is refused


async def test_a_refusal_is_written_within_a_second_and_those_alike_together(desk):
    """The first at once, the others with their number a minute later."""
    for _ in range(5):
        desk.trail.refused(act("one"), "AccessDeniedException")
    await desk.trail.flush()
    for _ in range(7):
        desk.clock.time += 1
        desk.trail.refused(act("one"), "AccessDeniedException")
        await desk.trail.flush()
    desk.clock.time += 60
    await desk.trail.flush()

    assert [(one.calls, one.result) for one in await desk.entries()] == [
        (7, "AccessDeniedException"),
        (5, "AccessDeniedException"),
    ]
    assert [one.since for one in await desk.entries()] == [1_800_000_001.0, 1_800_000_000.0]


async def test_a_flood_of_refusals_fills_neither_disk_nor_memory(desk):
    """A hundred thousand callers nobody knows, from as many addresses: sixty entries, and one for all the others."""
    for number in range(100_000):
        flood = Act("", "", "", f"AKIA{number}", f"192.0.2.{number}", "AmazonSSM.SendCommand", "x")
        desk.trail.refused(flood, "UnrecognizedClientException")
    desk.trail.refused(act("one"), "AccessDeniedException")
    await desk.seal()

    assert await desk.count("audit_entry") == 62
    assert await desk.rows("SELECT calls FROM audit_entry WHERE target = '*'") == [(100_000 - 60,)]
    assert [one.result for one in await desk.entries()] == ["AccessDeniedException"]
    assert len(desk.trail._alike) == 62
    desk.clock.time += 61
    await desk.trail.flush()
    assert len(desk.trail._alike) == 0
    assert await desk.proof() == []


async def test_a_stranger_does_not_crowd_out_what_an_owner_is_refused(desk):
    """Whoever knows the id of a key can be refused in its account's name; those who proved who they are count apart."""
    for number in range(1000):
        flood = Act(ACCOUNT, "", "", "AKIA1", f"192.0.2.{number}", "AmazonSSM.SendCommand", "x")
        desk.trail.refused(flood, "InvalidSignatureException")
    desk.trail.refused(act("one"), "AccessDeniedException")
    await desk.seal()

    assert [one.target for one in await desk.entries(user="one")] == ["AmazonSSM.PutParameter"]
    assert [(one.calls, one.principal) for one in await desk.entries(operation="*")] == [(940, "")]


async def test_refusals_wait_for_a_database_that_cannot_be_reached(desk, monkeypatch):
    """None is lost, and none is written twice."""
    desk.trail.refused(act("one"), "AccessDeniedException")

    async def down(*_args):
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(desk.opened, "write", down)
        with pytest.raises(ConnectionError):
            await desk.trail.flush()
    desk.trail.refused(act("one"), "AccessDeniedException")
    await desk.trail.flush(everything=True)
    await desk.trail.flush(everything=True)

    assert [one.calls for one in await desk.entries()] == [2]


# -- asking


async def test_entries_are_found_by_user_resource_operation_result_and_time(written):
    """And by all of them together; a user by ARN, name or key."""
    everyone = await written.entries()
    assert len(everyone) == 12
    assert [one.at for one in everyone] == sorted((one.at for one in everyone), reverse=True)
    one = everyone[4]
    for asked in (
        {"resource": one.resources[0]},
        {"resource": one.resources[0], "user": one.principal},
        {"resource": one.resources[0], "user": "AKIA1", "operation": "PutParameter", "region": "us-east-1"},
        {"since": one.id, "until": everyone[3].id},
        {"resource": one.resources[0], "since": one.id, "until": everyone[3].id, "user": "thing"},
    ):
        assert await written.entries(**asked) == [one], asked
    for user in ("thing", one.principal, "AKIA1"):
        assert len(await written.entries(user=user)) == 12
    for nothing in ({"user": one.resources[0]}, {"result": "X"}, {"region": "x"}, {"operation": "X"}, {"until": "0"}):
        assert await written.entries(**nothing) == []
    assert len(await written.entries(operation="AmazonSSM.PutParameter", result="Succeeded")) == 12


async def test_a_listing_is_paged_and_looks_at_no_more_than_it_says(written, monkeypatch):
    """Every entry once and in order, however short the pages are."""
    whole = await written.entries()
    monkeypatch.setattr("patchwright.server.accounts.audit_service.LOOKED_AT", 5)
    for question, expected in (
        (Question(ACCOUNT), whole),
        (Question(ACCOUNT, user="thing"), whole),
        (Question(ACCOUNT, result="X"), []),
    ):
        for limit in (1, 3, 5, 100):
            found, before = [], ""
            while before is not None:
                page, before = await written.service.listed(question, before=before, limit=limit)
                found += page
            assert found == expected


async def test_another_account_sees_nothing(written):
    """Neither by time nor by word."""
    for asked in ({}, {"user": "thing"}, {"resource": "thing-1-1"}):
        page, _ = await written.service.listed(Question("000000000002", **asked), before="", limit=10)
        assert page == []


# -- several processes, and one that dies


async def test_two_processes_write_and_seal_one_chain(database_url, tmp_path):
    """Whoever makes the next seal, every entry is under exactly one. (SQLite has one process, but no harm comes of two.)"""
    desks = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        desks.append(Desk(await open_database(database_url, data_dir=tmp_path), tmp_path / str(number)))

    async def busy(number, desk):
        for turn in range(15):
            await asyncio.gather(*(desk.do(f"{number}-{turn}-{place}") for place in range(3)))
            await desk.seal()

    await asyncio.gather(*(busy(number, desk) for number, desk in enumerate(desks)))
    await desks[0].seal()

    for desk in desks:
        page = await desk.service.verified(after=0)
        assert (page.findings, page.entries, page.unsealed) == ([], 90, 0)
    for desk in desks:
        await desk.opened.close()


@pytest.mark.slow
async def test_a_process_that_is_killed_leaves_a_trail_that_is_proved(database_url, tmp_path):
    """SIGKILL at any moment: each thing that was made has its entry, each entry its thing, and the chain goes on."""
    made = []
    for turn in range(4):
        process = subprocess.Popen(
            [sys.executable, WRITER, database_url, KEY.hex(), tmp_path],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with process.stdout as lines:
            made += [lines.readline().decode().strip() for _ in range(60 + 35 * turn)]
            process.send_signal(signal.SIGKILL)
            made += [line.decode().strip() for line in lines.readlines() if line.endswith(b"\n")]
        process.wait()
    from patchwright.server.infra import SystemClock

    desk = Desk(await open_database(database_url, data_dir=tmp_path), tmp_path, SystemClock())

    assert await desk.proof() == []
    await desk.service.seal()
    assert await desk.proof() == []
    things = {token for (token,) in await desk.rows("SELECT token FROM client_token WHERE operation = 'made'")}
    entries = [resources for (resources,) in await desk.rows("SELECT resources FROM audit_entry")]
    assert sorted(entries) == sorted(f'["{thing}"]' for thing in things)
    assert set(made) <= things
    await desk.opened.close()
