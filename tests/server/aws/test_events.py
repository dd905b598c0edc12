# SPDX-License-Identifier: Apache-2.0
"""Subscriptions and events through the API, and the stream of events as they come."""

from __future__ import annotations

import json
import time

import pytest

from patchwright.server import events
from patchwright.server.accounts import Scope
from patchwright.server.aws import event_stream
from patchwright.server.infra import new_uuid
from server.aws.event_reader import Reader, at_rest
from server.aws.granted import new_user, statement

URL = "https://hook.example/x"
ANY = '{"source": ["aws.ssm"]}'
ANY_STREAM = "patchwright:StreamEvents"


async def subscribe(house, name="ops", **members):
    """PutSubscription."""
    return await house.ask("Patchwright.PutSubscription", {"Name": name, "Url": URL, "Pattern": ANY, **members})


async def happen(house, scope, *numbers):
    """Events of nodes, numbered."""
    told = [
        events.Event(
            scope, new_uuid(), events.COMPLIANCE, (events.managed_arn(scope, f"mi-{n}"),), {"n": n}, house.clock.now()
        )
        for n in numbers
    ]
    await house.wired.database.write(events.emit_all, told)
    await events.number_waiting(house.wired.database)
    return [one.id for one in told]


async def test_a_subscription_shows_its_secret_once_and_everything_else_always(house):
    """And the audit trail says who made it, but not with what."""
    made = await subscribe(house, Description="who is on call")
    secret, shown = made["Secret"], made["Subscription"]
    assert secret.startswith("whsec_")
    assert {name: shown[name] for name in ("Name", "Url", "Pattern", "Enabled", "Description", "TopicArn")} == {
        "Name": "ops",
        "Url": URL,
        "Pattern": ANY,
        "Enabled": True,
        "Description": "who is on call",
        "TopicArn": f"arn:aws:sns:us-east-1:{house.account}:ops",
    }
    changed = await subscribe(house, Enabled=False)
    assert "Secret" not in changed
    found = await house.ask("Patchwright.GetSubscription", {"Name": "ops"})
    assert found == {
        "Subscription": changed["Subscription"],
        "Deliveries": {"Pending": 0, "Delivered": 0, "Dead": 0},
    }
    assert found["Subscription"]["CreatedAt"] == shown["CreatedAt"]
    own = "whsec_" + "QUJD" * 8
    assert "Secret" not in await subscribe(house, Secret=own)
    everything = str(await house.dump()) + json.dumps(await house.ask("Patchwright.ListAuditEntries", {}))
    assert secret not in everything
    assert own not in everything
    entries = (await house.ask("Patchwright.ListAuditEntries", {"Resource": "ops"}))["Entries"]
    assert [one["Operation"] for one in entries] == []  # found by it once they are sealed
    await house.wired.audit.seal()
    entries = (await house.ask("Patchwright.ListAuditEntries", {"Resource": "ops"}))["Entries"]
    assert [one["Operation"] for one in entries] == ["Patchwright.PutSubscription"] * 3


@pytest.mark.parametrize(
    "members",
    [
        {"Name": "no spaces"},
        {"Url": "https://10.0.0.1/"},
        {"Url": "http://hook.example/"},
        {"Url": "ftp://hook.example/"},
        {"Pattern": "{}"},
        {"Pattern": '{"source": "aws.ssm"}'},
        {"Secret": "guess"},
        {"Description": "x" * 513},
    ],
)
async def test_what_cannot_be_a_subscription_is_refused(house, members):
    """With the reason, and nothing is stored."""
    request = {"Name": "ops", "Url": URL, **members}
    assert await house.code("Patchwright.PutSubscription", request) == "ValidationException"
    assert (await house.ask("Patchwright.ListSubscriptions", {}))["Subscriptions"] == []


async def test_subscriptions_are_listed_page_by_page_and_deleted(house):
    """In order of name; what is not there is said not to be."""
    for name in ("c", "a", "b"):
        await subscribe(house, name)
    found, token = [], None
    while token != "":
        page = await house.ask(
            "Patchwright.ListSubscriptions", {"MaxResults": 2, **({"NextToken": token} if token else {})}
        )
        found += [one["Name"] for one in page["Subscriptions"]]
        token = page.get("NextToken", "")
    assert found == ["a", "b", "c"]
    await house.ask("Patchwright.DeleteSubscription", {"Name": "b"})
    for operation in ("DeleteSubscription", "GetSubscription", "ListDeliveries", "RedeliverEvents"):
        assert await house.code(f"Patchwright.{operation}", {"Name": "b"}) == "DoesNotExistException"
    assert await house.code("Patchwright.ListSubscriptions", {"NextToken": "x"}) == "InvalidNextToken"


async def test_events_are_listed_as_their_subscribers_get_them(house):
    """By subject, kind, time and pattern, page by page."""
    scope = Scope(house.account, "us-east-1")
    ids = await happen(house, scope, 1, 2)
    house.clock.time += 60
    ids += await happen(house, scope, 1)

    async def listed(**asked):
        found, token = [], None
        while token != "":
            page = await house.ask("Patchwright.ListEvents", {**asked, **({"NextToken": token} if token else {})})
            found += page["Events"]
            token = page.get("NextToken", "")
        return [one["Id"] for one in found], found

    order, found = await listed(MaxResults=1)
    assert order == ids[::-1]
    assert [one["Sequence"] for one in found] == [3, 2, 1]
    told = json.loads(found[0]["Event"])
    assert (told["id"], told["detail"], told["region"]) == (ids[2], {"n": 1}, "us-east-1")
    assert (await listed(Subject="mi-1"))[0] == [ids[2], ids[0]]
    assert (await listed(Subject="mi-2", DetailType=events.COMPLIANCE))[0] == [ids[1]]
    assert (await listed(DetailType=events.WINDOW))[0] == []
    assert (await listed(Pattern='{"detail": {"n": [2]}}'))[0] == [ids[1]]
    assert (await listed(StartTime=house.clock.now()))[0] == [ids[2]]
    assert (await listed(EndTime=house.clock.now()))[0] == [ids[1], ids[0]]
    assert (await house.ask("Patchwright.ListEvents", {}, region="eu-central-1"))["Events"] == []
    assert await house.code("Patchwright.ListEvents", {"Pattern": "x"}) == "ValidationException"
    assert await house.code("Patchwright.ListEvents", {"NextToken": "x"}) == "InvalidNextToken"


async def test_deliveries_are_listed_and_sent_again(house):
    """What an event came to on its way is there to be asked for, and by hand it goes again."""
    scope = Scope(house.account, "us-east-1")
    await subscribe(house)
    ids = await happen(house, scope, 1, 2, 3)
    await house.wired.news.courier.share_out()
    assert (await house.ask("Patchwright.GetSubscription", {"Name": "ops"}))["Deliveries"]["Pending"] == 3
    first = await house.ask("Patchwright.ListDeliveries", {"Name": "ops", "MaxResults": 2, "State": "Pending"})
    rest = await house.ask(
        "Patchwright.ListDeliveries",
        {"Name": "ops", "MaxResults": 2, "State": "Pending", "NextToken": first["NextToken"]},
    )
    shown = first["Deliveries"] + rest["Deliveries"]
    assert sorted(one["EventId"] for one in shown) == sorted(ids)
    assert {(one["Kind"], one["State"], one["Attempts"]) for one in shown} == {("Event", "Pending", 0)}
    assert shown[0]["GivenUpAfter"] == shown[0]["CreatedAt"] + 86400
    assert (await house.ask("Patchwright.ListDeliveries", {"Name": "ops", "State": "Dead"}))["Deliveries"] == []
    again = {"Name": "ops", "EventId": ids[0]}
    assert await house.ask("Patchwright.RedeliverEvents", again) == {"Count": 1}
    assert await house.ask("Patchwright.RedeliverEvents", {"Name": "ops"}) == {"Count": 0}
    unknown = {"Name": "ops", "EventId": new_uuid()}
    assert await house.code("Patchwright.RedeliverEvents", unknown) == "DoesNotExistException"
    await house.ask("Patchwright.DeleteSubscription", {"Name": "ops"})


async def test_nodes_and_users_without_rights_hear_nothing(house):
    """Where events are sent is for whoever may decide that."""
    node = await house.enrol()
    reader = await new_user(house, "reader", statement("patchwright:ListEvents"))
    for operation in ("ListEvents", "ListSubscriptions"):
        assert await house.code(f"Patchwright.{operation}", {}, key=node) == "AccessDeniedException"
    assert (await house.call("Patchwright.ListEvents", {}, key=reader)).status == 200
    request = {"Name": "ops", "Url": URL}
    assert await house.code("Patchwright.PutSubscription", request, key=reader) == "AccessDeniedException"


# ------------------------------------------------------------------------------------------------------- the stream


@pytest.fixture
def stream(aws):
    """Opens streams in the test's region; they are closed at its end."""
    opened = []

    def begin(*, key=None, region="", **how):
        signer = key or aws.house.root
        reader = Reader(aws.server.url, (signer.access_key_id, signer.secret), region or aws.region, **how)
        opened.append(reader)
        return reader

    yield begin
    for reader in opened:
        reader.close()


@pytest.fixture
def told(aws):
    """Lets something happen in the test's region."""
    scope = Scope(aws.house.account, aws.region)
    return lambda *numbers: aws.run(happen(aws.house, scope, *numbers))


def test_the_stream_tells_what_happens_as_it_happens(stream, told):
    """Each event once, in order, with the envelope that webhooks carry; nothing from before."""
    told(1)
    reader = stream()
    assert reader.status == 200
    assert reader.answer.headers["content-type"] == "text/event-stream"
    assert reader.answer.headers["cache-control"] == "no-store"
    ids = told(2, 3)
    begun = time.monotonic()
    found = reader.events(2)
    assert time.monotonic() - begun < 10
    assert [one.json["id"] for one in found] == ids
    assert [one.id for one in found] == ["2", "3"]
    assert found[0].json["detail-type"] == events.COMPLIANCE


def test_a_reader_goes_on_where_it_was(stream, told):
    """With Last-Event-ID it gets everything that came after, also what happened while nobody read; with 0 from the oldest."""
    told(1, 2)
    reader = stream(last="1")
    assert [one.json["detail"]["n"] for one in reader.events(1)] == [2]
    reader.close()
    told(*range(3, 260))
    assert [one.json["detail"]["n"] for one in stream(last="2").events(257)] == list(range(3, 260))
    assert [one.json["detail"]["n"] for one in stream(after="0").events(3)] == [1, 2, 3]
    beyond = stream(last="999999")
    told(300)
    assert [one.json["detail"]["n"] for one in beyond.events(1)] == [300]


def test_a_reader_that_was_away_too_long_is_told_so(stream, told, aws):
    """What was removed cannot be read any more: it hears of the gap, and goes on with what is there."""
    told(1, 2, 3)
    aws.run(aws.house.wired.database.write(_forget, aws.region, 2))
    found = stream(last="1").events(2)
    assert [(one.event, one.id) for one in found] == [("gap", ""), ("message", "3")]
    assert [one.id for one in stream(last="2").events(1)] == ["3"]
    aws.run(aws.house.wired.database.write(_forget, aws.region, 3))
    reader = stream(last="1")
    assert reader.events(1)[0].event == "gap"
    told(4)
    assert [one.id for one in reader.events(1)] == ["4"]


def _forget(region, sequence):
    from patchwright.server.infra import sql

    yield sql("DELETE FROM event WHERE region = $1 AND sequence <= $2", region, sequence)


def test_a_reader_gets_what_it_asks_for_and_learns_where_it_stands(stream, told):
    """A pattern narrows; what was passed over is not asked for again after a break."""
    reader = stream(pattern='{"detail": {"n": [{"numeric": [">", 5]}]}}')
    told(1, 9)
    told(2)
    assert [one.json["detail"]["n"] for one in reader.events(1)] == [9]
    told(3, 7)
    assert [one.json["detail"]["n"] for one in reader.events(1)] == [7]


def test_streams_of_other_regions_and_accounts_are_apart(stream, told, aws):
    """Nobody hears what is not theirs."""
    other = stream(region="eu-central-1")
    mine = stream()
    told(1)
    assert [one.id for one in mine.events(1)] == ["1"]
    aws.run(happen(aws.house, Scope(aws.house.account, "eu-central-1"), 2))
    assert [one.json["region"] for one in other.events(1)] == ["eu-central-1"]


def test_a_stream_is_for_users_who_may(stream, aws):
    """Signed, allowed, and asked for as it is meant."""
    unsigned = stream(signing=False)
    assert (unsigned.status, unsigned.code) == (400, "MissingAuthenticationTokenException")
    node = aws.enrol()
    assert stream(key=node).code == "AccessDeniedException"
    nobody = aws.run(new_user(aws.house, f"nobody-{aws.region}"))
    refused = stream(key=nobody)
    assert (refused.status, refused.code) == (400, "AccessDeniedException")
    somebody = aws.run(new_user(aws.house, f"somebody-{aws.region}", statement(ANY_STREAM)))
    assert stream(key=somebody).status == 200
    for query in ({"pattern": "x"}, {"last": "x"}, {"last": "-1"}, {"after": "9" * 25}):
        assert stream(**query).code == "ValidationException"


def test_a_process_that_serves_no_api_has_no_stream(stream, aws, monkeypatch):
    """Nor has one whose quota is none."""
    monkeypatch.setattr(aws.house.wired.application._stream, "_most", 0)
    refused = stream()
    assert (refused.status, refused.code) == (404, "NotFoundException")


def test_an_account_holds_only_so_many_streams(stream, aws, monkeypatch):
    """One more is told to come later; one that ends makes room."""
    monkeypatch.setattr(aws.house.wired.application._stream, "_most", 2)
    first, _ = stream(), stream()
    third = stream()
    assert (third.status, third.answer.headers["retry-after"], third.code) == (400, "10", "ThrottlingException")
    first.close()
    deadline = time.monotonic() + 30
    while stream().status != 200:
        assert time.monotonic() < deadline


def test_while_nothing_happens_there_is_a_sign_of_life(stream, told, monkeypatch):
    """With the place where the reader stands, which it comes back to."""
    monkeypatch.setattr(event_stream, "BEAT_SECONDS", 0.2)
    told(1)
    reader = stream()
    told_of = [reader.next() for _ in range(3)]
    assert [(one.id, one.data) for one in told_of] == [("1", "")] * 3


def test_who_loses_the_right_loses_the_stream(stream, aws, monkeypatch):
    """Within a sign of life, and a stream ends after a while in any case: whoever reads signs again."""
    monkeypatch.setattr(event_stream, "BEAT_SECONDS", 0.2)
    name = f"reader-{aws.region}"
    reader = stream(key=aws.run(new_user(aws.house, name, statement(ANY_STREAM))))
    assert reader.next() is not None
    aws.run(aws.house.wired.access.attachments.remove(aws.house.account, "user", name, policy="own"))
    deadline = time.monotonic() + 30
    while reader.next() is not None:
        assert time.monotonic() < deadline
    monkeypatch.setattr(event_stream, "LIFE_SECONDS", 0.5)
    short = stream()
    while short.next() is not None:
        assert time.monotonic() < deadline


def test_a_reader_that_does_not_read_costs_nothing_but_its_place(stream, told, aws, monkeypatch):
    """What it has not read stays in the database: the server goes no further than the connection takes."""
    looked = []
    feed = aws.house.wired.application._stream._feed
    after = feed.after

    async def counted(scope, position, **how):
        part = await after(scope, position, **how)
        looked.append(part.position)
        return part

    monkeypatch.setattr(feed, "after", counted)
    scope = Scope(aws.house.account, aws.region)
    big = [
        events.Event(scope, new_uuid(), events.COMPLIANCE, (), {"n": n, "text": "x" * 20_000}, aws.house.clock.now())
        for n in range(1500)
    ]
    aws.run(aws.house.wired.database.write(events.emit_all, big))
    aws.run(events.number_waiting(aws.house.wired.database))
    reader = stream(after="0")
    assert max(at_rest(lambda: list(looked))) < 1500
    assert [one.json["detail"]["n"] for one in reader.events(1500)] == list(range(1500))
