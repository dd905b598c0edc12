# SPDX-License-Identifier: Apache-2.0
"""Who wants to hear of events says so, and can see what came of it."""

from __future__ import annotations

import pytest

from patchwright.server import events
from patchwright.server.accounts import Scope
from server.events.desk import Desk
from server.events.receiver import receiving

URL = "https://hook.example/x"


@pytest.fixture
async def desk(shared_database, scope):
    """The room in an account of its own."""
    return Desk(shared_database, scope)


async def names(desk, scope=None):
    return [one.name for one in await desk.service.page(scope or desk.scope, after="", limit=100)]


async def test_a_secret_is_shown_once_and_kept_until_another_is_given(desk):
    """Who made the subscription has it; whoever changes it later does not see it, and does not lose it."""
    first = await desk.subscribe("ops", URL)
    assert first.startswith("whsec_")
    assert await desk.subscribe("ops", URL, description="changed") == ""
    stored, _ = await desk.service.get(desk.scope, "ops")
    opened = desk.master.unseal(stored.secret, label=f"subscription/{desk.scope.account}/{desk.scope.region}/ops")
    assert opened == first
    assert first not in repr(stored)
    own = "whsec_" + "QUJD" * 8
    assert await desk.subscribe("ops", URL, secret=own) == ""
    stored, _ = await desk.service.get(desk.scope, "ops")
    assert desk.master.unseal(stored.secret, label=f"subscription/{desk.scope.account}/us-east-1/ops") == own
    assert own not in repr(events.Wish("ops", URL, secret=own))


async def test_a_changed_subscription_is_sent_to_with_its_new_secret(desk):
    """From the moment at which the new secret is stored."""
    async with receiving() as receiver:
        await desk.subscribe("ops", receiver.url)
        own = "whsec_" + "QUJD" * 8
        await desk.subscribe("ops", receiver.url, secret=own)
        await desk.happen(1)
        await desk.step()
    assert receiver.posted[0].signed_with(own)
    await desk.service.delete(desk.scope, "ops")


@pytest.mark.parametrize("secret", ["short", "whsec_", "whsec_!!!!", "whsec_" + "QUJD" * 7, "whsec_" + "QUJD" * 22])
async def test_a_secret_that_is_none_is_refused(desk, secret):
    """A secret that everybody could guess protects nothing."""
    with pytest.raises(events.InvalidSubscription):
        await desk.subscribe("ops", URL, secret=secret)
    assert await names(desk) == []


async def test_what_is_no_pattern_or_no_address_is_refused_and_nothing_stored(desk):
    """Also when it would replace what is good."""
    await desk.subscribe("ops", URL)
    with pytest.raises(events.InvalidPattern):
        await desk.subscribe("ops", URL, '{"source": "aws.ssm"}')
    with pytest.raises(events.InvalidSubscription):
        await desk.subscribe("ops", "https://10.0.0.1/")
    stored, counts = await desk.service.get(desk.scope, "ops")
    assert (stored.url, stored.pattern, counts) == (URL, '{"source": ["aws.ssm"]}', {})


async def test_subscriptions_are_listed_by_name_and_belong_to_an_account_and_region(desk):
    """Nobody else sees, changes or removes them."""
    for name in ("c", "a", "b"):
        await desk.subscribe(name, URL)
    assert await names(desk) == ["a", "b", "c"]
    assert [one.name for one in await desk.service.page(desk.scope, after="a", limit=1)] == ["b"]
    for other in (Scope(desk.scope.account, "eu-central-1"), Scope("999999999999", "us-east-1")):
        assert await names(desk, other) == []
        with pytest.raises(events.UnknownSubscription):
            await desk.service.delete(other, "a")
        with pytest.raises(events.UnknownSubscription):
            await desk.service.get(other, "a")
        with pytest.raises(events.UnknownSubscription):
            await desk.service.deliveries(other, "a", state="", before=None, limit=10)


async def test_there_are_only_so_many(shared_database, scope):
    """One that is there may be changed all the same."""
    desk = Desk(shared_database, scope, event_subscriptions=2)
    await desk.subscribe("a", URL)
    await desk.subscribe("b", URL)
    with pytest.raises(events.TooManySubscriptions):
        await desk.subscribe("c", URL)
    await desk.subscribe("b", URL, description="changed")


async def test_events_are_found_by_what_they_are_about(desk):
    """By node, by kind, by time, by pattern; newest first, page by page."""
    for number in range(6):
        await desk.happen(number % 2, status="Failed" if number < 4 else "Success")
        desk.clock.time += 10
    await events.number_waiting(desk.database)
    begin = desk.clock.time - 60

    async def found(**members):
        shown, more = await desk.service.events(desk.scope, events.Search(**members), before=None, limit=100)
        assert more is None
        return [one.sequence for one in shown]

    assert await found() == [6, 5, 4, 3, 2, 1]
    assert await found(subject="mi-1") == [6, 4, 2]
    assert await found(subject="mi-7") == []
    assert await found(detail_type=events.COMMAND_INVOCATION) == [6, 5, 4, 3, 2, 1]
    assert await found(detail_type=events.COMMAND) == []
    assert await found(since=begin + 20, until=begin + 40) == [4, 3]
    assert await found(pattern='{"detail": {"status": ["Success"]}}', subject="mi-1") == [6]
    with pytest.raises(events.InvalidPattern):
        await found(pattern="no")
    pages, before = [], None
    while True:
        page, before = await desk.service.events(desk.scope, events.Search(subject="mi-0"), before=before, limit=2)
        pages.append([one.sequence for one in page])
        if before is None:
            break
    assert pages == [[5, 3], [1]]


async def test_a_page_looks_at_so_many_events_and_no_more(desk, monkeypatch):
    """Who asks for what hardly ever happens gets short pages, and holds up nobody."""
    monkeypatch.setattr("patchwright.server.events.subscriptions.LOOKED_AT", 10)
    await desk.happen("wanted")
    await desk.happen(*range(25))
    await events.number_waiting(desk.database)
    search, before, pages = events.Search(pattern='{"detail": {"n": ["wanted"]}}'), None, []
    while True:
        page, before = await desk.service.events(desk.scope, search, before=before, limit=5)
        pages.append([one.sequence for one in page])
        if before is None:
            break
    assert pages == [[], [], [1]]


async def test_deliveries_are_listed_newest_first_page_by_page(desk):
    """Of one state, or of all."""
    async with receiving(200, 410) as receiver:
        await desk.subscribe("ops", receiver.url)
        for number in range(5):
            await desk.happen(number)
            await desk.step()
            desk.clock.time += 10
        every = await desk.deliveries("ops")
        assert [one.state for one in every] == ["Dead"] * 4 + ["Delivered"]
        assert [one.id for one in await desk.deliveries("ops", "Delivered")] == [every[-1].id]
        last, seen = None, []
        while page := await desk.service.deliveries(desk.scope, "ops", state="Dead", before=last, limit=3):
            seen += [one.id for one in page]
            last = (page[-1].created_at, page[-1].id)
        assert seen == [one.id for one in every[:4]]
        assert (await desk.service.get(desk.scope, "ops"))[1] == {"Dead": 4, "Delivered": 1}
    await desk.service.delete(desk.scope, "ops")


async def test_a_topic_is_a_subscription_of_the_same_account_and_region(desk):
    """Anything else is no topic."""
    await desk.subscribe("ops", URL)
    account = desk.scope.account
    for arn in (
        *("", "ops", "arn:aws:sns:us-east-1:ops", f"arn:aws:sqs:us-east-1:{account}:ops"),
        *(f"arn:aws:sns:eu-central-1:{account}:ops", "arn:aws:sns:us-east-1:999999999999:ops"),
        *(f"arn:aws:sns:us-east-1:{account}:", f"arn:aws:sns:us-east-1:{account}:o ps"),
        f"arn:aws:sns:us-east-1:{account}:missing",
    ):
        with pytest.raises(events.InvalidTopic):
            await desk.database.read(events.require_topic, desk.scope, arn)
    good = f"arn:aws:sns:us-east-1:{account}:ops"
    assert await desk.database.read(events.require_topic, desk.scope, good) == "ops"
