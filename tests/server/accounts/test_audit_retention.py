# SPDX-License-Identifier: Apache-2.0
"""The audit trail lets go of what is old, says so, and is proved all the same."""

from __future__ import annotations

import pytest

from patchwright.core.audit import CUT, Chain, Head, read_lines
from patchwright.server.accounts import Retention
from server.accounts.audit_desk import Desk
from server.accounts.audited_writer import ACCOUNT

DAY = 86_400.0


def keeper(desk, days=7):
    """What keeps *days* of the trail of *desk*."""
    return Retention(desk.opened, desk.clock, trail=desk.trail, service=desk.service, days=days)


async def long_ago(desk, *, days=20):
    """A seal of three entries for each of so many days, the last one today."""
    for _ in range(days):
        for place in range(3):
            await desk.do(f"thing-{desk.clock.now()}-{place}")
        await desk.seal()
        desk.clock.time += DAY


async def exported(desk, account=ACCOUNT):
    """What a verification without server and key finds in an export."""
    lines, after = [], 0
    while after is not None:
        page, after = await desk.service.exported(account, "", after=after)
        lines += page
    chain = Chain()
    return [one for seal, members in read_lines(iter(lines)) for one in chain.take(seal, members)] + chain.end()


async def test_what_is_older_than_is_kept_goes_with_all_that_it_is_found_by(desk):
    """First the trail says so; then, when that is sealed, it goes. What is left is proved, by the server and from an export."""
    await long_ago(desk)
    kept = keeper(desk)
    before = await desk.count("audit_entry")
    assert await kept.tend() == 0
    assert await desk.count("audit_entry") == before + 1
    assert await kept.tend() == 0  # it is not sealed yet
    await desk.seal()
    assert await kept.tend() == 0  # it was said a moment ago
    desk.clock.time += DAY

    assert await kept.tend() == 14
    assert await desk.count("audit_seal") == 20 - 14 + 1
    assert await desk.count("audit_entry") == (20 - 14) * 3 + 2  # the next one is announced
    ids = {one.id for one in await desk.entries()}
    assert {entry for (entry,) in await desk.rows("SELECT entry FROM audit_word")} <= ids
    assert await desk.proof() == []
    assert await exported(desk) == []
    assert await exported(desk, "000000000099") == []  # others are told as well
    said = [Head.parse(one.resources[0]).number for one in await desk.entries() if one.target == CUT]
    assert sorted(said) == [14, 15]
    assert await kept.tend() == 0


async def test_day_after_day_one_cut_follows_the_other(desk):
    """Also the entries of earlier cuts go; there is never a moment at which the trail is not proved."""
    await long_ago(desk, days=9)
    kept = keeper(desk, days=3)
    for _ in range(8):
        for _ in range(3):
            await kept.tend()
            assert await desk.proof() == []
            await desk.seal()
            assert await desk.proof() == []
        assert await exported(desk) == []
        await desk.do(f"more-{desk.clock.now()}")
        await desk.seal()
        desk.clock.time += DAY
    assert await desk.count("audit_seal") < 12
    assert len([one for one in await desk.entries() if one.target == CUT]) <= 5


async def test_nothing_goes_unless_that_is_asked_for(desk):
    """Nor where nothing is old enough."""
    await long_ago(desk, days=3)
    assert (await keeper(desk, days=0).tend(), await keeper(desk, days=30).tend()) == (0, 0)
    await desk.seal()
    assert await desk.count("audit_entry") == 9


async def test_who_dies_in_between_has_begun_what_the_next_one_goes_on_with(desk, monkeypatch):
    """Some seals are gone, the rest is not: that is proved, and the next run takes the rest."""
    monkeypatch.setattr("patchwright.server.accounts.audit_retention._TOGETHER", 7)
    await long_ago(desk)
    kept = keeper(desk)
    await kept.tend()
    await desk.seal()
    desk.clock.time += DAY
    write, writes = desk.opened.write, []

    async def dies(work, *args, **more):
        writes.append(work)
        if len(writes) == 3:
            raise ConnectionError
        return await write(work, *args, **more)

    monkeypatch.setattr(desk.opened, "write", dies)
    with pytest.raises(ConnectionError):
        await kept.tend()
    monkeypatch.setattr(desk.opened, "write", write)
    assert await desk.count("audit_seal") == 21 - 4
    assert await desk.proof() == []
    assert await exported(desk) == []

    assert await keeper(desk).tend() == 10
    assert await desk.proof() == []


@pytest.mark.parametrize("days", [30, 300])
async def test_a_clock_that_is_ahead_for_a_while_lets_nothing_go(desk, days):
    """All of it is old by that clock; what it announced is not carried out by one that is right, nor when that comes to its time."""
    await long_ago(desk)
    before = await desk.count("audit_seal")
    desk.clock.time += 100 * DAY
    ahead = keeper(desk, days)
    for _ in range(3):
        await ahead.tend()
        await desk.seal()
        desk.clock.time += 3600
    desk.clock.time -= 100 * DAY
    kept = keeper(desk, days)
    for _ in range(5):
        assert await kept.tend() == 0
        desk.clock.time += 3600
    assert await desk.count("audit_seal") >= before
    desk.clock.time += 102 * DAY
    assert bool(await kept.tend()) is (days == 30)
    assert await desk.proof() == []


async def test_somebody_who_takes_away_more_than_was_let_go_of_is_found(desk):
    """One seal more at the beginning; all of them, and the entry that says so written by hand."""
    await long_ago(desk)
    kept = keeper(desk)
    await kept.tend()
    await desk.seal()
    desk.clock.time += DAY
    await kept.tend()
    await desk.tamper("DELETE FROM audit_entry WHERE seal = 15")
    await desk.tamper("DELETE FROM audit_seal WHERE number = 15")
    assert await desk.proof() == [(16, "", "removed or reordered: seal 15 should come here")]

    (head,) = await desk.rows("SELECT number, hash FROM audit_seal WHERE number = 17")
    await desk.tamper("UPDATE audit_entry SET resources = $1 WHERE target = $2", f'["{head[0]}:{head[1]}"]', CUT)
    await desk.tamper("DELETE FROM audit_entry WHERE seal > 0 AND seal <= 17")
    await desk.tamper("DELETE FROM audit_seal WHERE number <= 17")
    found = [one.problem for one in await desk.proof()]
    assert "removed or reordered: seal 1 should come here" in found
    assert "edited or added: the server did not write it" in found


async def test_a_process_that_was_away_for_longer_than_is_kept_goes_on(desk, tmp_path):
    """The head it remembers is gone with all others of its time: it remembers the newest again."""
    await long_ago(desk, days=2)
    old = desk.anchor.load()
    (tmp_path / "other").mkdir()
    other = Desk(desk.opened, tmp_path / "other", desk.clock)
    await long_ago(other, days=18)
    kept = keeper(other)
    await kept.tend()
    await other.seal()
    desk.clock.time += DAY
    assert await kept.tend() > 0
    assert desk.anchor.load() == old
    assert await desk.proof() == []

    await desk.do("again")
    head = await desk.seal()
    assert desk.anchor.load() == head
    assert await desk.proof() == []
