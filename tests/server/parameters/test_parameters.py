# SPDX-License-Identifier: Apache-2.0
"""What needs a clock, a quota, another key or many parameters; the rest is shown through the API (aws/test_parameters.py)."""

from __future__ import annotations

import datetime
import json

import pytest

from patchwright.server import parameters, tags
from patchwright.server.accounts import UnreadableMasterKey
from patchwright.server.infra import sql
from patchwright.server.parameters import Filter

DAY = 86_400.0


def expiring(moment):
    """The text of an Expiration policy."""
    stamp = datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat()
    return json.dumps([{"Type": "Expiration", "Version": "1.0", "Attributes": {"Timestamp": stamp}}])


async def rows(database, scope):
    """How many rows of the room and of its tags an account has."""

    def count():
        total = 0
        for statement in (
            "SELECT COUNT(*) FROM parameter WHERE account = $1 AND region = $2",
            "SELECT COUNT(*) FROM parameter_version WHERE account = $1 AND region = $2",
            "SELECT COUNT(*) FROM parameter_label WHERE account = $1 AND region = $2",
            "SELECT COUNT(*) FROM tag WHERE account = $1 AND region = $2",
        ):
            found = yield sql(statement, *scope)
            total += found[0][0]
        return total

    return await database.read(count)


async def test_a_parameter_expires_at_its_moment_whoever_looks(store):
    """No read and no listing shows it from then on, though nobody has deleted it yet."""
    until = store.clock.now() + DAY
    await store.put("/gone", tier="Advanced", policies=expiring(until))
    await store.put("/gone", overwrite=True)  # which leaves the moment as it was
    await store.put("/stays")

    store.clock.time = until - 0.001
    assert await store.names() == ["/gone", "/stays"]
    store.clock.time = until
    assert await store.names() == ["/stays"]
    for call in (
        store.value("/gone"),
        store.value("/gone:1"),
        store.service.history(store.scope, "/gone", after=0, limit=9, decrypt=False),
        store.service.delete(store.scope, "/gone"),
        store.service.label(store.scope, "/gone", None, ["x"]),
    ):
        with pytest.raises(parameters.UnknownParameter):
            await call
    found, missing = await store.service.get_each(store.scope, ["/gone", "/stays"], decrypt=False)
    assert ([one.parameter.name for one in found], missing) == (["/stays"], ["/gone"])


async def test_a_name_that_expired_is_free_again(store):
    """Its versions, labels and tags went with it."""
    until = store.clock.now() + DAY
    await store.put("/again", tier="Advanced", policies=expiring(until), tags={"team": "web"})
    await store.put("/again", overwrite=True)
    await store.service.label(store.scope, "/again", 1, ["old"])

    store.clock.time = until + 1
    made = await store.put("/again", "new")

    assert (made.version, made.tier, made.policies) == (1, "Standard", ())
    with pytest.raises(parameters.UnknownVersion):
        await store.value("/again:old")
    assert await store.database.read(tags.of, store.scope, tags.PARAMETER, "/again") == {}


async def test_the_sweeper_deletes_what_has_expired_and_nothing_else(store):
    """All of it, however much, and once."""
    until = store.clock.now() + DAY
    await store.put("/stays", tier="Advanced", policies=expiring(until + 1))
    kept = await rows(store.database, store.scope)
    for number in range(103):
        await store.put(f"/gone/{number}", tier="Advanced", policies=expiring(until), tags={"a": "1"})
    await store.service.label(store.scope, "/gone/1", None, ["x"])

    assert await parameters.delete_expired(store.database, store.clock) == 0
    store.clock.time = until
    assert await parameters.delete_expired(store.database, store.clock) >= 103  # others' tests share the database
    assert await rows(store.database, store.scope) == kept
    assert await parameters.delete_expired(store.database, store.clock) == 0
    assert await store.names() == ["/stays"]


async def test_policies_are_kept_until_they_are_replaced(store):
    """A new Expiration moves the moment, no policies take it away."""
    until = store.clock.now() + DAY
    await store.put("/p", tier="Advanced", policies=expiring(until))
    await store.put("/p", overwrite=True, policies=expiring(until + DAY))
    store.clock.time = until + 1
    assert await store.value("/p") == "v"

    made = await store.put("/p", overwrite=True, policies="[]")
    store.clock.time = until + 3 * DAY
    assert (await store.value("/p"), made.policies, made.expires_at) == ("v", (), None)


async def test_each_tier_has_a_quota(store):
    """TooManyParameters; versions do not count, Intelligent-Tiering goes on in the advanced tier."""
    store.use(parameters_standard=2, parameters_advanced=2)
    await store.put("/1")
    await store.put("/2")
    await store.put("/2", overwrite=True)
    with pytest.raises(parameters.TooManyParameters, match=r"standard parameters .*\(2\)"):
        await store.put("/3")
    assert (await store.put("/3", tier="Intelligent-Tiering")).tier == "Advanced"
    assert (await store.put("/2", overwrite=True, tier="Intelligent-Tiering")).tier == "Standard"
    await store.put("/2", overwrite=True, tier="Advanced")
    await store.put("/4")
    with pytest.raises(parameters.TooManyParameters, match=r"advanced parameters .*\(2\)"):
        await store.put("/4", overwrite=True, tier="Advanced")
    assert await store.names() == ["/1", "/2", "/3", "/4"]


async def test_secrets_need_the_master_key_they_were_sealed_under(store):
    """With another one the ciphertext is shown, the secret is not; the error names the parameter and no value."""
    await store.put("/s", "hidden", type="SecureString")
    store.use(key=b"x" * 32)

    assert await store.value("/s", decrypt=False)
    with pytest.raises(
        UnreadableMasterKey, match=f"parameter/{store.scope.account}/{store.scope.region}/s:1"
    ) as refused:
        await store.value("/s")
    assert "hidden" not in str(refused.value)


async def test_neither_records_nor_requests_show_values(store):
    """In no repr, which is what logs and tracebacks print."""
    change = parameters.Change("/s", "hidden", type="SecureString")
    made = await store.service.put(store.scope, change, principal="someone")
    found = await store.service.get(store.scope, "/s", decrypt=True)

    assert found.parameter.value == "hidden"
    assert "hidden" not in repr((change, made, found))


async def test_listings_look_through_many_windows(store, monkeypatch):
    """What passes is found wherever it is, page by page, each parameter once."""
    monkeypatch.setattr("patchwright.server.parameters.service._WINDOW", 7)
    for number in range(40):
        kind = "StringList" if number % 13 == 0 else "String"
        await store.put(f"/n/{number:02}", type=kind, tags={"mod": str(number % 10)})
    lists = Filter("Type", values=("StringList",))

    assert await store.names(lists) == ["/n/00", "/n/13", "/n/26", "/n/39"]
    assert await store.names(Filter("tag:mod", values=("3",)), Filter("Name", "Contains", ("2",))) == ["/n/23"]
    first, rest = await store.service.listed(store.scope, [lists], after="", limit=3)
    assert ([one.name for one in first], rest) == (["/n/00", "/n/13", "/n/26"], "/n/26")
    last, rest = await store.service.listed(store.scope, [lists], after=rest, limit=3)
    assert ([one.name for one in last], rest) == (["/n/39"], "")
    assert await store.names(limit=40) == [f"/n/{number:02}" for number in range(40)]


async def test_a_page_ends_where_looking_further_would_take_long(store, monkeypatch):
    """Short or empty, with the place where to go on: nobody waits for a look at everything."""
    monkeypatch.setattr("patchwright.server.parameters.service._WINDOW", 2)
    monkeypatch.setattr("patchwright.server.parameters.service._WINDOWS", 3)
    for number in range(15):
        await store.put(f"/n/{number:02}", type="StringList" if number == 13 else "String")

    pages, after = [], None
    while after != "":
        page, after = await store.service.listed(
            store.scope, [Filter("Type", values=("StringList",))], after=after or "", limit=10
        )
        pages.append([one.name for one in page])

    assert pages == [[], [], ["/n/13"]]


async def test_a_pattern_that_is_kept_is_tried_on_the_next_value(store):
    """Also where the change does not say it."""
    await store.put("/port", "80", allowed_pattern=r"\d{1,5}")

    with pytest.raises(parameters.PatternMismatch):
        await store.put("/port", "eighty", overwrite=True)
    with pytest.raises(parameters.PatternMismatch):
        await store.put("/port", "٣", overwrite=True)
    assert (await store.put("/port", "443", overwrite=True)).version == 2
    assert await store.value("/port") == "443"


async def test_a_parameter_is_required_by_any_of_its_names(store):
    """For tags: the id is the path; what is no name is unknown."""
    await store.put("web")

    for name in ("web", "/web"):
        assert await store.database.read(parameters.require, store.scope, name) == "/web"
    for name in ("/other", "no name", "web:1", ""):
        with pytest.raises(parameters.UnknownParameter):
            await store.database.read(parameters.require, store.scope, name)
