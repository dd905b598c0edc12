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

from patchwright.core.audit import Chain, Foreign, Head, Marked, read_lines
from patchwright.server.accounts import Act, Anchor, Audited, AuditService, Question, Trail
from patchwright.server.accounts import audit as room
from patchwright.server.infra import UniqueViolation, new_id, open_database, sql
from server.accounts.audited_writer import ACCOUNT, act, make
from server.clocks import FakeClock

KEY = b"k" * 32
WRITER = Path(__file__).parent / "audited_writer.py"


class Desk:
    """A process that audits."""

    def __init__(self, database, directory, clock=None):
        self.opened = database
        self.clock = clock or FakeClock()
        self.database = Audited(database)
        self.trail = Trail(database, self.clock, key=KEY)
        self.anchor = Anchor(directory / "audit.head")
        self.service = AuditService(database, self.clock, key=KEY, anchor=self.anchor, first=ACCOUNT)

    async def do(self, name="thing", **more):
        """One call that makes *name*."""
        with self.trail.during(replace(act(name), **more)):
            await self.database.write(make, name)
        self.clock.time += 1

    async def seal(self):
        """Everything that waits, as a job does it."""
        await self.trail.flush()
        return await self.service.seal()

    async def proof(self, **more):
        """What verification finds, over all pages."""
        found, after = [], 0
        while after is not None:
            page = await self.service.verified(after=after, **more)
            found, after = found + page.findings, page.after
        return found

    async def entries(self, **asked):
        """What is listed, newest first."""
        return (await self.service.listed(Question(ACCOUNT, **asked), before="", limit=100))[0]

    async def rows(self, text):
        """What a statement gives."""

        def ask():
            return (yield sql(text))

        return await self.opened.read(ask)

    async def tamper(self, text, *params):
        """Somebody at the database."""

        def change():
            yield sql(text, *params)

        await self.opened.write(change)

    async def count(self, table):
        """How many rows there are."""
        return (await self.rows(f"SELECT COUNT(*) FROM {table}"))[0][0]


@pytest.fixture
def desk(database, tmp_path):
    """Over a database of its own, once on each engine."""
    return Desk(database, tmp_path)


@pytest.fixture
async def written(desk):
    """Four seals of three entries."""
    for number in range(4):
        for place in range(3):
            await desk.do(f"thing-{number}-{place}")
        await desk.seal()
        desk.clock.time += 1000
    return desk


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


# -- the proof


async def test_a_trail_as_it_was_written_is_proved(written):
    """Also from page to page, and with entries that no seal has yet."""
    await written.do("waits")
    page = await written.service.verified(after=0)

    assert (page.findings, page.seals, page.entries, page.unsealed) == ([], 4, 12, 1)
    assert page.head == written.anchor.load()
    assert await written.proof(trusted=[page.head]) == []


async def test_pages_of_verification_follow_each_other(written, monkeypatch):
    """The chain holds across them."""
    monkeypatch.setattr("patchwright.server.accounts.audit_service._PAGE_SEALS", 1)
    assert await written.proof() == []

    await written.tamper("DELETE FROM audit_seal WHERE number = 2")
    assert "removed or reordered: seal 2 should come here" in [one.problem for one in await written.proof()]


EDITS = {
    "account": "'000000000009'",
    "region": "'eu-west-1'",
    "at": "at - 86400",
    "since": "since - 1",
    "calls": "2",
    "principal": "'arn:aws:iam::000000000001:user/scapegoat'",
    "key_id": "'AKIA2'",
    "source_ip": "'192.0.2.9'",
    "target": "'AmazonSSM.GetParameter'",
    "resources": "'[\"another\"]'",
    "request_id": "'another'",
    "result": "'AccessDeniedException'",
    "id": "'0' || id",
}


async def test_an_edited_entry_is_found(written):
    """Whatever is changed, to whatever: whose entry it is, when, who, what, on what, and how it ended."""
    (mark,) = (await written.rows("SELECT mark FROM audit_entry WHERE resources = '[\"thing-1-1\"]'"))[0]
    for column, value in EDITS.items():
        (before,) = (await written.rows(f"SELECT {column} FROM audit_entry WHERE resources = '[\"thing-1-1\"]'"))[0]
        await written.tamper(f"UPDATE audit_entry SET {column} = {value} WHERE mark = $1", mark)

        found = await written.proof()
        assert {one.seal for one in found} == {2}, column
        assert "edited or added: the server did not write it" in [one.problem for one in found]
        await written.tamper(f"UPDATE audit_entry SET {column} = $1 WHERE mark = $2", before, mark)
    assert await written.proof() == []


async def test_resources_that_are_no_list_any_more_are_an_edit(written):
    """What somebody wrote there is not trusted to be JSON."""
    await written.tamper("UPDATE audit_entry SET resources = 'nonsense' WHERE resources = '[\"thing-1-1\"]'")

    assert {one.seal for one in await written.proof()} == {2}


async def test_a_removed_entry_is_found(written):
    """With what it was found by."""
    await written.tamper("DELETE FROM audit_entry WHERE resources = '[\"thing-1-1\"]'")
    await written.tamper("DELETE FROM audit_word WHERE word = 'thing-1-1'")

    assert [(one.seal, one.problem) for one in await written.proof()] == [(2, "removed: 1 of its 3 entries are gone")]


async def test_a_removed_seal_is_found(written):
    """With all of its entries."""
    await written.tamper("DELETE FROM audit_entry WHERE seal = 2")
    await written.tamper("DELETE FROM audit_seal WHERE number = 2")

    assert [(one.seal, one.problem) for one in await written.proof()] == [
        (3, "removed or reordered: seal 2 should come here")
    ]


async def test_reordered_seals_and_entries_are_found(written):
    """Swapped, moved under another seal, or under one that never was."""
    await written.tamper("UPDATE audit_seal SET number = CASE number WHEN 2 THEN -3 WHEN 3 THEN -2 ELSE number END")
    await written.tamper("UPDATE audit_seal SET number = -number WHERE number < 0")
    await written.tamper("UPDATE audit_entry SET seal = CASE seal WHEN 2 THEN 3 WHEN 3 THEN 2 ELSE seal END")
    assert {one.seal for one in await written.proof()} >= {2, 3}
    await written.tamper("UPDATE audit_seal SET number = CASE number WHEN 2 THEN -3 WHEN 3 THEN -2 ELSE number END")
    await written.tamper("UPDATE audit_seal SET number = -number WHERE number < 0")
    await written.tamper("UPDATE audit_entry SET seal = CASE seal WHEN 2 THEN 3 WHEN 3 THEN 2 ELSE seal END")
    assert await written.proof() == []

    for elsewhere in (1, 99, -1):
        await written.tamper("UPDATE audit_entry SET seal = $1 WHERE resources = '[\"thing-1-1\"]'", elsewhere)
        found = await written.proof()
        assert 2 in {one.seal for one in found}
        assert elsewhere in {one.seal for one in found}


async def test_an_entry_that_is_taken_out_of_its_seal_and_sealed_again_is_found(written):
    """The next seal takes it, and the one it was under misses it: it shows as back-dated too."""
    await written.tamper("UPDATE audit_entry SET seal = 0 WHERE resources = '[\"thing-1-1\"]'")
    await written.seal()

    problems = [one.problem.partition(":")[0] for one in await written.proof()]
    assert problems == ["removed", "back-dated"]


async def test_a_back_dated_entry_is_found(written):
    """Written without the key it has no mark; with another entry's mark it has the wrong one; sealed, it is too old."""
    await written.do("today")
    await written.tamper(
        "INSERT INTO audit_entry SELECT account, region, '00' || substr(id, 3), at, since, calls, principal, key_id,"
        " source_ip, target, resources, request_id, result, mark, 0 FROM audit_entry WHERE resources = '[\"today\"]'"
    )
    assert len([one for one in await written.proof() if one.seal == 0]) == 1
    await written.seal()
    assert {one.seal for one in await written.proof()} == {5}


async def test_an_entry_by_a_clock_that_was_set_back_is_found(written):
    """The server itself wrote it, key and all: a day before the last seal."""
    written.clock.time -= 86_400
    await written.do("yesterday")
    await written.seal()

    (found,) = await written.proof()
    assert (found.seal, found.problem.partition(":")[0]) == (5, "back-dated")


async def test_a_forged_entry_that_waits_for_its_seal_is_found(written):
    """Before it is sealed, and afterwards."""
    await written.do("true")
    await written.tamper("UPDATE audit_entry SET principal = 'root' WHERE seal = 0")
    assert [one.seal for one in await written.proof()] == [0]

    await written.seal()
    assert {one.seal for one in await written.proof()} == {5}


async def test_a_chain_that_was_made_anew_without_the_key_is_found(written):
    """Hashes anybody can make; marks not."""
    whole = []
    previous = "0" * 64
    for seal, members in read_lines(iter((await written.service.exported(ACCOUNT, "", after=0))[0])):
        kept = members[1:] if seal.number == 2 else members
        found = room_hash(seal, previous, kept)
        whole.append((len(kept), previous, found, seal.number))
        previous = found
    await written.tamper("DELETE FROM audit_entry WHERE id = (SELECT MIN(id) FROM audit_entry WHERE seal = 2)")
    for row in whole:
        await written.tamper("UPDATE audit_seal SET entries = $1, previous = $2, hash = $3 WHERE number = $4", *row)

    found = await written.proof()
    assert {one.seal for one in found} == {2, 3, 4}
    assert {one.problem for one in found} == {
        "edited: the server did not make this seal",
        "edited: it is not the seal that was written down",
    }


def room_hash(seal, previous, members):
    """The hash of a seal over other members."""
    from patchwright.core.audit import sealed

    return sealed(seal.number, seal.sealed_at, previous, members)


async def test_a_trail_that_was_cut_off_is_found_by_the_file_beside_the_database(written):
    """Also when it grows on, and when everything is gone."""
    await written.tamper("DELETE FROM audit_entry WHERE seal > 2")
    await written.tamper("DELETE FROM audit_seal WHERE number > 2")
    assert [(one.seal, one.problem) for one in await written.proof()] == [
        (2, "removed: the trail ends here, and is known to reach seal 4")
    ]
    for name in ("new", "newer", "newest"):
        await written.do(name)
        await written.seal()
    assert "edited: it is not the seal that was written down" in [one.problem for one in await written.proof()]

    await written.tamper("DELETE FROM audit_entry")
    await written.tamper("DELETE FROM audit_seal")
    assert [one.problem.partition(":")[0] for one in await written.proof()] == ["removed"]


async def test_a_head_that_was_written_down_is_asked_for(written):
    """Whatever the file beside the database says, or if it is gone or damaged."""
    right = written.anchor.load()
    for wrong in (Head(9, "a" * 64), Head(2, "a" * 64)):
        assert len(await written.proof(trusted=[right, wrong])) == 1
    path = written.anchor._path
    path.write_text("nonsense")
    assert ["edited" in one.problem for one in await written.proof()] == [True]
    path.unlink()
    assert await written.proof() == []


async def test_an_entry_that_a_search_does_not_find_any_more_is_found_here(written):
    """And what it is found by falsely does not show it."""
    await written.tamper("DELETE FROM audit_word WHERE word = 'thing-1-1'")
    assert [(one.seal, one.problem.partition(":")[0]) for one in await written.proof()] == [(2, "hidden")]

    await written.tamper("UPDATE audit_word SET word = 'scapegoat' WHERE word = 'thing-2-2'")
    assert [one.seal for one in await written.proof()] == [2, 3]
    assert await written.entries(resource="scapegoat") == await written.entries(user="scapegoat") == []


async def test_entries_that_nobody_seals_are_a_finding(written):
    """A worker that does not run is not silently nothing."""
    await written.do("waits")
    written.clock.time += 61

    (found,) = await written.proof()
    assert (found.seal, found.problem.partition(":")[0]) == (0, "unsealed")


async def test_another_master_key_proves_nothing(written, tmp_path):
    """Whoever has the database and makes a key of their own is found out."""
    other = AuditService(written.opened, written.clock, key=b"o" * 32, anchor=written.anchor, first=ACCOUNT)

    assert len((await other.verified(after=0)).findings) == 4 + 12


async def test_an_export_is_verified_without_server_and_key(written):
    """Of another account and of another region it has the hash alone, which is enough."""
    await written.do("theirs", account="000000000002")
    await written.do("elsewhere", region="eu-west-1")
    await written.seal()
    for account, region, seen in ((ACCOUNT, "", 13), (ACCOUNT, "eu-west-1", 1), ("000000000002", "", 1), ("9", "", 0)):
        lines, more = await written.service.exported(account, region, after=0)
        chain, own = Chain(), 0
        for seal, members in read_lines(iter(lines)):
            assert chain.take(seal, members) == []
            own += sum(isinstance(one, Marked) for one in members)
            assert all(isinstance(one, Marked | Foreign) for one in members)
        assert (own, more, chain.last.number) == (seen, None, 5)
        assert ("theirs" in "".join(lines)) == (account == "000000000002")


async def test_pages_of_an_export_are_put_together(written, monkeypatch):
    """A page for each seal."""
    whole, _ = await written.service.exported(ACCOUNT, "", after=0)
    monkeypatch.setattr("patchwright.server.accounts.audit_service._PAGE_ENTRIES", 1)
    lines, after = [], 0
    while after is not None:
        page, after = await written.service.exported(ACCOUNT, "", after=after)
        lines += page
    assert lines == whole


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
