# SPDX-License-Identifier: Apache-2.0
"""What happened comes to those who subscribed: signed, at least once, with the same id, and nobody waits for another."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from patchwright.server import events
from patchwright.server.accounts import Scope
from patchwright.server.events import delivery_store
from patchwright.server.events.courier import after
from patchwright.server.events.sending import Answer
from patchwright.server.infra import new_uuid, open_database, sql
from server.accounts.tenants import new_account
from server.events.desk import Desk
from server.events.receiver import receiving

DAY = 86400.0


@pytest.fixture
async def desk(shared_database, scope):
    """The room at work; no courier of a later test finds what this one left."""
    yield Desk(shared_database, scope)
    await shared_database.write(_leave)


def _leave():
    yield sql("DELETE FROM subscription")


async def test_an_event_arrives_signed_and_as_it_is_listed(desk):
    """The receiver proves the sender by the secret, and finds the envelope of spec §7.7 in the body."""
    async with receiving() as receiver:
        secret = await desk.subscribe("ops", receiver.url)
        [event_id] = await desk.happen(1)
        await desk.step()
    [posted] = receiver.posted
    assert posted.line == "POST /hook?a=b HTTP/1.1"
    assert posted.signed_with(secret)
    assert posted.headers["webhook-id"] == event_id == posted.json["id"]
    assert posted.headers["webhook-timestamp"] == str(int(desk.clock.now()))
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["x-patchwright-kind"] == "Event"
    [listed], more = await desk.service.events(desk.scope, events.Search(), before=None, limit=10)
    assert posted.json == listed.envelope
    assert more is None
    [delivery] = await desk.deliveries("ops")
    assert (delivery.state, delivery.attempts, delivery.code) == ("Delivered", 1, 200)


async def test_only_what_the_pattern_asks_for_arrives_and_only_from_now_on(desk):
    """A subscription hears neither of what was before it, nor of what it did not ask for, nor of other accounts."""
    async with receiving() as receiver:
        await desk.happen(1)
        await desk.subscribe("ops", receiver.url, '{"detail": {"status": ["Failed"]}}')
        await desk.happen(2, status="Success")
        wanted = await desk.happen(3, 4)
        await desk.happen(5, scope=Scope(desk.scope.account, "eu-central-1"))
        await desk.happen(6, scope=Scope(new_account(), "us-east-1"))
        await desk.step()
    assert sorted(receiver.ids) == sorted(wanted)


async def test_what_fails_is_sent_again_later_and_later_with_the_same_id(desk):
    """A receiver that is down for a while gets everything, and can tell that it is the same."""
    async with receiving(500, 503, 200) as receiver:
        secret = await desk.subscribe("ops", receiver.url)
        [event_id] = await desk.happen(1)
        await desk.step()
        [delivery] = await desk.deliveries("ops")
        assert (delivery.state, delivery.code, delivery.reason) == ("Pending", 500, "The receiver answered 500.")
        assert delivery.due_at >= desk.clock.now() + 1
        await desk.step()
        assert len(receiver.posted) == 1
        for _ in range(2):
            desk.clock.time += 20
            await desk.step()
    assert receiver.ids == [event_id] * 3
    assert all(posted.signed_with(secret) for posted in receiver.posted)
    assert [posted.headers["x-patchwright-attempt"] for posted in receiver.posted] == ["1", "2", "3"]
    [delivery] = await desk.deliveries("ops")
    assert (delivery.state, delivery.attempts, delivery.reason) == ("Delivered", 3, "")


async def test_after_a_day_nothing_is_tried_any_more_and_what_was_given_up_is_listed(desk):
    """A receiver that stays down leaves a dead delivery that says why; by hand it is sent after all."""
    async with receiving(500) as receiver:
        await desk.subscribe("ops", receiver.url)
        [event_id] = await desk.happen(1)
        for _ in range(60):
            await desk.step()
            desk.clock.time += 3600
        [dead] = await desk.deliveries("ops", "Dead")
        assert (dead.id, dead.code, dead.ended_at is not None) == (event_id, 500, True)
        assert dead.ended_at <= dead.created_at + DAY
        assert 20 <= len(receiver.posted) <= 30
        receiver.answers = [204]
        assert await desk.service.redeliver(desk.scope, "ops", "") == 1
        await desk.step()
        [sent] = await desk.deliveries("ops")
        assert (sent.state, sent.attempts, sent.code) == ("Delivered", 1, 204)
        assert await desk.service.redeliver(desk.scope, "ops", "") == 0


async def test_an_event_is_sent_again_by_hand_also_where_it_was_not_asked_for(desk):
    """Whoever lost what arrived has it sent again; a pattern that was wrong loses nothing."""
    async with receiving() as receiver:
        await desk.subscribe("ops", receiver.url, '{"detail": {"status": ["Success"]}}')
        [event_id] = await desk.happen(1)
        await desk.step()
        assert receiver.posted == []
        for _ in range(2):
            assert await desk.service.redeliver(desk.scope, "ops", event_id) == 1
            await desk.step()
        assert receiver.ids == [event_id] * 2
        with pytest.raises(events.UnknownEvent):
            await desk.service.redeliver(desk.scope, "ops", new_uuid())
        with pytest.raises(events.UnknownSubscription):
            await desk.service.redeliver(desk.scope, "other", event_id)


async def test_a_slow_receiver_holds_up_no_other(desk):
    """While one does not answer, another gets everything."""
    async with receiving() as slow, receiving() as quick:
        slow.held = asyncio.Event()
        await desk.subscribe("a-slow", slow.url)
        await desk.subscribe("quick", quick.url)
        for number in range(20):
            await desk.happen(number)
        await desk.courier.step()
        await quick.got(20)
        await slow.got(4)
        assert len(slow.posted) == 4
        assert {one.state for one in await desk.deliveries("a-slow")} == {"Pending"}
        slow.held.set()
        await desk.courier.settled()
        assert len(slow.posted) == 20
        assert slow.most <= 4


async def test_a_receiver_that_fails_is_asked_one_thing_at_a_time(desk):
    """What is down is not run over with everything that waits for it."""
    async with receiving(500) as receiver:
        await desk.subscribe("ops", receiver.url)
        await desk.happen(*range(40))
        await desk.step()
        assert len(receiver.posted) == 4
        await desk.step()
        assert len(receiver.posted) == 5
        receiver.answers = [200]
        desk.clock.time += 60
        await desk.step()
        assert len(set(receiver.ids)) == 40


async def test_what_a_process_claimed_that_ended_is_sent_by_the_next(desk):
    """A courier that dies while it sends leaves nothing undone; the event arrives twice, with one id."""
    async with receiving() as receiver:
        receiver.held = asyncio.Event()
        await desk.subscribe("ops", receiver.url)
        [event_id] = await desk.happen(1)
        await desk.courier.step()
        await receiver.got(1)
        await desk.courier.close()
        receiver.held.set()
        following = desk.another()
        desk.clock.time += 61
        await desk.step(following)
    assert receiver.ids == [event_id] * 2
    assert [one.state for one in await desk.deliveries("ops")] == ["Delivered"]


async def test_several_processes_send_each_event_once_while_nothing_goes_wrong(desk, shared_url, tmp_path):
    """They share the work: none is left out, and none is sent twice."""
    desks = [Desk(await open_database(shared_url, data_dir=tmp_path), desk.scope) for _ in range(3)]
    try:
        async with receiving() as receiver:
            await desks[0].subscribe("ops", receiver.url)
            ids = [one for number in range(30) for one in await desks[number % 3].happen(number)]
            for _ in range(3):
                await asyncio.gather(*(one.step() for one in desks))
        assert sorted(receiver.ids) == sorted(ids)
    finally:
        for one in desks:
            await one.database.close()


async def test_a_notification_goes_to_the_name_it_is_addressed_to_whatever_the_pattern(desk):
    """A topic gets what a command tells it, and no event; a name that nobody has gets nothing."""
    body, message_id = {"commandId": "c", "status": "Success"}, new_uuid()
    async with receiving() as receiver:
        secret = await desk.subscribe("topic", receiver.url, "")
        await desk.happen(1)
        notify = desk.database.write
        assert await notify(events.notify, desk.scope, "topic", body, now=desk.clock.now(), id=message_id)
        assert not await notify(events.notify, desk.scope, "nobody", body, now=desk.clock.now(), id=new_uuid())
        await desk.step()
    [posted] = receiver.posted
    assert posted.json == body
    assert posted.headers["webhook-id"] == message_id
    assert posted.headers["x-patchwright-kind"] == "Notification"
    assert posted.signed_with(secret)


async def test_a_call_says_how_it_ended(desk):
    """Who calls learns whether it arrived, and how long is tried is theirs to say."""
    async with receiving(500) as receiver:
        await desk.subscribe("function", receiver.url, "")
        now, message_id = desk.clock.now(), new_uuid()
        await desk.database.write(events.call, desk.scope, "function", {"a": 1}, now=now, until=now + 60, id=message_id)
        for _ in range(20):
            await desk.step()
            desk.clock.time += 10
        found = await desk.database.read(events.outcome, desk.scope, "function", message_id)
        assert (found.state, found.code) == ("Dead", 500)
        assert found.ended_at <= now + 60
        with pytest.raises(events.UnknownSubscription):
            await desk.database.write(events.call, desk.scope, "nobody", {}, now=now, until=now + 60, id=new_uuid())


async def test_a_subscription_that_is_off_hears_nothing_and_gets_what_was_for_it_when_it_is_on(desk):
    """Turned off, nothing is sent; turned on, what was noted before is sent, and what happened meanwhile is not."""
    async with receiving() as receiver:
        await desk.subscribe("ops", receiver.url)
        before = await desk.happen(1)
        await desk.courier.share_out()
        await events.number_waiting(desk.database)
        await desk.courier.share_out()
        await desk.subscribe("ops", receiver.url, enabled=False)
        await desk.happen(2)
        await desk.step()
        assert receiver.posted == []
        await desk.subscribe("ops", receiver.url)
        behind = await desk.happen(3)
        await desk.step()
    assert sorted(receiver.ids) == sorted(before + behind)


async def test_what_is_deleted_is_not_sent_any_more(desk):
    """A subscription goes with everything that waited for it."""
    async with receiving(500) as receiver:
        await desk.subscribe("ops", receiver.url)
        await desk.happen(1)
        await desk.step()
        await desk.service.delete(desk.scope, "ops")
        desk.clock.time += 3600
        await desk.step()
        await desk.subscribe("ops", receiver.url)
        await desk.step()
        assert len(receiver.posted) == 1
        assert await desk.deliveries("ops") == []


async def test_events_and_deliveries_are_kept_for_two_weeks(desk):
    """What is older is removed, and a subscription that slept through it goes on with what is there."""
    async with receiving() as receiver:
        await desk.subscribe("ops", receiver.url)
        await desk.happen(*range(700))
        await events.number_waiting(desk.database)
        desk.clock.time += 10 * DAY
        kept = await desk.happen(1)
        desk.clock.time += 5 * DAY
        await events.tidy(desk.database, desk.clock)
        await desk.step()
        assert receiver.ids == kept
        desk.clock.time += 15 * DAY
        await events.tidy(desk.database, desk.clock)
        assert await desk.deliveries("ops") == []
        assert await desk.service.events(desk.scope, events.Search(), before=None, limit=10) == ([], None)
        last = await desk.happen(2)
        await desk.step()
        assert receiver.ids == kept + last


async def test_an_event_that_is_gone_when_it_is_sent_is_given_up(desk):
    """What cannot be said any more is said to be gone."""
    async with receiving(500) as receiver:
        await desk.subscribe("ops", receiver.url)
        [event_id] = await desk.happen(1)
        await desk.step()
        await desk.database.write(_forget, event_id)
        desk.clock.time += 60
        await desk.step()
        [dead] = await desk.deliveries("ops", "Dead")
        assert dead.reason == "The event is no longer kept."
        assert len(receiver.posted) == 1


def _forget(event_id):
    yield sql("DELETE FROM event WHERE id = $1", event_id)


async def test_a_delivery_put_off_by_a_wrong_clock_is_due(desk):
    """A time far in the future says nothing but that a clock was wrong."""
    async with receiving() as receiver:
        await desk.subscribe("ops", receiver.url)
        [event_id] = await desk.happen(1)
        await events.number_waiting(desk.database)
        await desk.courier.share_out()
        [delivery] = await desk.deliveries("ops")
        await desk.database.write(delivery_store.settle, replace(delivery, due_at=desk.clock.now() + 40 * DAY))
        await desk.step()
        assert receiver.ids == [event_id]


BASE = events.Delivery(Scope("1", "r"), "s", "d", "Event", "", "Pending", 0, 0.0, 0.0, 100.0)


@pytest.mark.parametrize(
    ("answer", "pause", "state", "due"),
    [
        (Answer(200, ""), 5.0, "Delivered", 0.0),
        (Answer(500, "no"), 5.0, "Pending", 15.0),
        (Answer(0, "no"), 5.0, "Pending", 15.0),
        (Answer(302, "no"), 5.0, "Pending", 15.0),
        (Answer(410, "no"), 5.0, "Dead", 0.0),
        (Answer(500, "no"), 90.0, "Dead", 0.0),
        (Answer(503, "no", 30), 5.0, "Pending", 40.0),
        (Answer(429, "no", 2), 5.0, "Pending", 15.0),
        (Answer(503, "no", 999_999), 5.0, "Dead", 0.0),
    ],
)
def test_what_becomes_of_a_delivery_follows_from_the_answer(answer, pause, state, due):
    """Tried again later, when the receiver wants it at the earliest; never beyond the end of all attempts."""
    settled = after(BASE, answer, now=10.0, pause=pause)
    assert (settled.state, settled.due_at, settled.code) == (state, due, answer.code)
    assert (settled.ended_at is None) == (state == "Pending")
