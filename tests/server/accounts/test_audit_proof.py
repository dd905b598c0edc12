# SPDX-License-Identifier: Apache-2.0
"""The proof of the audit trail over both engines: whatever somebody does to its rows is found, and where."""

from __future__ import annotations

from patchwright.core.audit import Chain, Foreign, Head, Marked, read_lines
from patchwright.server.accounts import AuditService
from server.accounts.audited_writer import ACCOUNT


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
