# SPDX-License-Identifier: Apache-2.0
"""Facts of nodes (design D2, D5): bodies once by content, observations never overwritten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core import made
from patchwright.core.errors import DigestMismatch, MalformedFacts
from patchwright.server import nodes
from patchwright.server.accounts import Scope
from patchwright.server.infra import sql
from patchwright.server.nodes import UnknownNode
from server.clocks import FakeClock
from server.nodes.made import enrol

NOW = 1_795_147_200.0
FIRST = made.view(["foo 1", "bar 1"], (made.MAIN, ["foo 1", "bar 1"]), observed_at=1.0)
SECOND = made.view(["foo 2", "new 1"], (made.MAIN, ["foo 1", "bar 1"]), observed_at=2.0)


def bodies(*views):
    """What the digests of *views* stand for."""
    found = {}
    for view in views:
        for part in (view.packages, *view.slices, *view.notices.values()):
            found[part.digest] = part.canonical()
    return found


@pytest.fixture
async def node(shared_database, scope):
    """A node of the account."""
    return await enrol(shared_database, FakeClock(NOW), scope)


@pytest.fixture
def put(shared_database, scope):
    """Store bodies."""

    async def write(given, where=scope):
        await shared_database.write(nodes.put_bodies, where, nodes.pack(given), now=NOW)

    return write


@pytest.fixture
def record(shared_database, scope, node):
    """Bind facts to the node; the id of the observation and what came of it."""

    async def write(view, at, where=scope):
        seen = nodes.observation(node, view.facts)
        return seen.id, await shared_database.write(nodes.record, where, node, seen, now=at)

    return write


async def test_missing_bodies_are_named_once_and_in_order(shared_database, scope, put):
    """Those that are here are not."""
    wanted = [*FIRST.facts.digests, *FIRST.facts.digests, *SECOND.facts.digests]
    assert await shared_database.read(nodes.missing, scope, wanted) == list(dict.fromkeys(wanted))

    await put(bodies(FIRST))

    assert await shared_database.read(nodes.missing, scope, wanted) == [SECOND.facts.package_set]
    assert await shared_database.read(nodes.missing, scope, []) == []


async def test_more_digests_than_one_statement_takes_are_looked_up(shared_database, scope, put):
    """A node may name twenty thousand."""
    await put(bodies(FIRST))
    strangers = [f"set1:{number:064x}" for number in range(1201)]

    found = await shared_database.read(nodes.missing, scope, [*strangers, FIRST.facts.package_set])

    assert found == strangers


async def test_bodies_belong_to_one_account_and_region(shared_database, scope, put):
    """Another account has to bring its own: knowing a digest is not having the body (design D2)."""
    await put(bodies(FIRST))

    for where in (Scope(scope.account, "eu-west-1"), Scope("9" + scope.account[1:], scope.region)):
        assert await shared_database.read(nodes.missing, where, FIRST.facts.digests) == list(FIRST.facts.digests)


async def test_a_body_is_what_its_digest_names_or_is_not_taken(shared_database, scope, put):
    """Nothing of the message is."""
    forged = {**bodies(FIRST), SECOND.facts.package_set: b"set1\tapt\nfoo\tamd64\t9\tinstalled\n"}

    with pytest.raises(DigestMismatch):
        await put(forged)

    assert await shared_database.read(nodes.missing, scope, FIRST.facts.digests) == list(FIRST.facts.digests)


async def test_a_body_that_cannot_be_read_is_not_taken(put):
    """Though its digest is right: of an unknown format, not canonical, or nonsense."""
    from hashlib import sha256

    for form, body in (
        ("set9", b"x"),
        ("set1", b"set1\tapt\nb\tall\t1\tinstalled\na\tall\t1\tinstalled\n"),
        ("notice1", b"{}"),
    ):
        with pytest.raises(MalformedFacts):
            await put({f"{form}:{sha256(body).hexdigest()}": body})


async def test_the_same_body_again_changes_nothing(shared_database, scope, put):
    """Two nodes that are alike send the same."""
    await put(bodies(FIRST))
    await put(bodies(FIRST, SECOND))

    assert await shared_database.read(nodes.missing, scope, SECOND.facts.digests) == []


async def test_what_was_recorded_is_read_back(shared_database, scope, node, put, record):
    """Facts, bodies and all; the newest counts."""
    await put(bodies(FIRST, SECOND))
    assert await shared_database.read(nodes.latest, scope, node) is None

    for view, at in ((FIRST, NOW), (SECOND, NOW + 60)):
        await record(view, at)
        observed = await shared_database.read(nodes.latest, scope, node)
        assert (observed.view, observed.recorded_at) == (view, at)


async def test_an_observation_is_never_overwritten(shared_database, scope, node, put, record):
    """The same again keeps the time at which it came first; what came before stays to be read."""
    await put(bodies(FIRST, SECOND))
    first_id, _ = await record(FIRST, NOW)
    second_id, _ = await record(SECOND, NOW + 60)
    again_id, _ = await record(FIRST, NOW + 120)

    first = await shared_database.read(nodes.load, scope, first_id)
    second = await shared_database.read(nodes.load, scope, second_id)
    assert (first.view, first.recorded_at) == (FIRST, NOW)
    assert (second.view, second.recorded_at) == (SECOND, NOW + 60)
    assert again_id == first_id
    assert (await shared_database.read(nodes.latest, scope, node)).id == second_id


async def test_what_comes_again_late_is_not_the_newest(shared_database, scope, node, put, record):
    """A message that the network repeats long after says nothing new: neither of the node nor of what changed on it."""
    await put(bodies(FIRST, SECOND))
    first, _ = await record(FIRST, NOW)
    second, _ = await record(SECOND, NOW + 10)

    assert await record(FIRST, NOW + 20) == (first, nodes.Recorded())

    newest = await shared_database.read(nodes.latest, scope, node)
    assert (newest.id, newest.recorded_at) == (second, NOW + 10)
    _, changed = await shared_database.read(nodes.since, scope, node, until=NOW + 30)
    assert changed["foo.amd64"] == NOW + 10


async def test_time_alone_is_no_change(shared_database, scope, node, put, record):
    """The same facts at another moment are another observation of the same content; anything else is a change."""
    await put(bodies(FIRST))
    later = replace(FIRST, facts=replace(FIRST.facts, observed_at=61.0, refreshed_at=60.0, clock_offset=-3.5))
    rebooted = replace(FIRST, facts=replace(FIRST.facts, boot_id="boot-2"))
    restored = replace(FIRST, facts=replace(FIRST.facts, observed_at=121.0, refreshed_at=60.0, clock_offset=-3.5))

    answers = [await record(view, NOW + number) for number, view in enumerate((FIRST, later, rebooted, restored))]

    assert [came.changed for _, came in answers] == [True, False, True, True]
    assert len({seen for seen, _ in answers}) == 4
    assert (await shared_database.read(nodes.latest, scope, node)).view == restored


async def test_nothing_is_bound_before_its_bodies_are_here(shared_database, scope, node, put, record):
    """What is missing is named, and the node still has no facts."""
    await put(bodies(FIRST))

    _, came = await record(SECOND, NOW)

    assert list(came.missing) == [SECOND.facts.package_set]
    assert await shared_database.read(nodes.latest, scope, node) is None


async def test_facts_are_bound_to_a_node_of_the_account_only(shared_database, scope, put, record):
    """Nothing is stored for a node elsewhere."""
    elsewhere = Scope(scope.account, "eu-west-1")
    await put(bodies(FIRST), elsewhere)

    with pytest.raises(UnknownNode):
        await record(FIRST, NOW, elsewhere)

    def count():
        return (yield sql("SELECT COUNT(*) FROM facts WHERE account = $1", scope.account))

    assert await shared_database.read(count) == [(0,)]


async def test_changes_between_two_sets_are_noted(shared_database, scope, node, put, record):
    """What appeared, what changed, what went; the first set is no change."""
    await put(bodies(FIRST, SECOND))
    await record(FIRST, NOW)
    assert await shared_database.read(nodes.since, scope, node, until=NOW) == (NOW, {})

    await record(SECOND, NOW + 60)

    changes = dict.fromkeys(("foo.amd64", "bar.amd64", "new.amd64"), NOW + 60)
    assert await shared_database.read(nodes.since, scope, node, until=NOW + 60) == (NOW, changes)
    assert await shared_database.read(nodes.since, scope, node, until=NOW + 59) == (NOW, {})


async def test_a_node_without_facts_has_no_times(shared_database, scope, node):
    """Nothing was seen of it."""
    assert await shared_database.read(nodes.since, scope, node, until=NOW) == (0.0, {})
