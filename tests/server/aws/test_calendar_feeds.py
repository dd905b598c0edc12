# SPDX-License-Identifier: Apache-2.0
"""Calendar feeds: a link that calendar programs read, as long as the one who made it may see the calendar (docs/adr/0038)."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from patchwright.server.accounts import USER
from patchwright.server.wire import Credential
from server import icalendar
from server.aws.granted import grant, new_user, statement
from server.gateway.house import build

DAY = 86_400.0
REGION = "eu-west-1"
SEES = statement("patchwright:GetCalendar", "patchwright:CreateCalendarFeed")


class Desk:
    """A house, its windows, and the feeds of one of its users."""

    def __init__(self, house):
        self.house = house

    async def window(self, name, **members):
        """A new window; returns its id."""
        given = {"Schedule": "cron(0 2 ? * SUN *)", "Duration": 3, "Cutoff": 1, "AllowUnassociatedTargets": True}
        answer = await self.house.ask(
            "AmazonSSM.CreateMaintenanceWindow", {"Name": name, **given, **members}, region=REGION
        )
        return answer["WindowId"]

    async def ask(self, operation, *, key=None, region=REGION, **members):
        """The answer of an operation of ours."""
        return await self.house.ask(f"Patchwright.{operation}", members, key=key, region=region)

    async def code(self, operation, *, key=None, **members):
        """The code with which it is refused."""
        return await self.house.code(f"Patchwright.{operation}", members, key=key, region=REGION)

    async def feed(self, *, key=None, **members):
        """A new feed; returns the path of its link."""
        answer = await self.ask("CreateCalendarFeed", key=key, **{"Name": "plan", **members})
        self.id = answer["CalendarFeed"]["FeedId"]
        return urlsplit(answer["Url"]).path

    async def get(self, path, *, method="GET", **headers):
        """What a calendar program is answered."""
        return await self.house.knock(headers, b"", path=path, method=method)

    async def names(self, path):
        """The names of the windows that a link shows."""
        answer = await self.get(path)
        assert answer.status == 200, answer.body
        return {event["SUMMARY"] for event in icalendar.read(answer.body).events.values()}


@pytest.fixture
def desk(house):
    """A desk at a house."""
    return Desk(house)


async def test_a_program_reads_the_calendar_without_a_key(desk):
    """What the standard wants, with what it takes not to ask in vain; a second reading says that nothing has changed."""
    await desk.window("sundays", Description="web; all of it, says Zoë\nand\tmore\x07")
    path = await desk.feed(Name="Plan, of all")
    answer = await desk.get(path)
    found = icalendar.read(answer.body)

    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["cache-control"] == "private, max-age=300"
    assert found.about["X-WR-CALNAME"] == found.about["NAME"] == "Plan, of all"
    event = next(one for one in found.events.values() if one["DTSTART"] == "20261122T020000Z")
    assert (event["SUMMARY"], event["DTEND"]) == ("sundays", "20261122T050000Z")
    assert event["DESCRIPTION"].startswith("web; all of it, says Zoë\nand\tmore\nAt 02:00 on Sundays, UTC.")

    again = await desk.get(path, **{"if-none-match": f'"other", W/{answer.headers["etag"]}'})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    head = await desk.get(path, method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(answer.body)))


async def test_an_opening_keeps_its_name_and_what_is_open_does_not_vanish(desk):
    """All day long the answer is the same; on the next day it has a day more, over changes of the clocks as well."""
    desk.house.clock.time = 1_805_500_800.0  # 2027-03-20
    await desk.window("nightly", Schedule="cron(0 1 ? * * *)", ScheduleTimezone="Europe/Berlin")
    path = await desk.feed(Days=20)
    first = await desk.get(path)
    desk.house.clock.time += DAY - 1
    assert (await desk.get(path)).headers["etag"] == first.headers["etag"]
    desk.house.clock.time += 1
    before, after = icalendar.read(first.body).events, icalendar.read((await desk.get(path)).body).events

    assert len(after.keys() - before.keys()) == 1
    assert before.keys() <= after.keys()  # the first of them opened when the calendar was read for the first time
    desk.house.clock.time += DAY
    later = icalendar.read((await desk.get(path)).body).events
    assert len(before.keys() - later.keys()) == 1
    assert {(one["DTSTART"], one["DTEND"]) for one in later.values()} >= {
        ("20270327T000000Z", "20270327T030000Z"),
        ("20270328T000000Z", "20270328T030000Z"),
        ("20270328T230000Z", "20270329T020000Z"),
    }


async def test_a_feed_may_be_of_one_window_or_of_those_with_tags(desk):
    """Of a window that is disabled or gone it shows nothing, and is still a calendar."""
    tags = [{"Key": "team", "Value": "web"}, {"Key": "stage", "Value": "live"}]
    one = await desk.window("one", Tags=tags)
    await desk.window("two", Tags=tags[:1])
    await desk.window("three")
    of_one, of_team = await desk.feed(WindowId=one), await desk.feed(Tags=tags[:1])
    of_both = await desk.feed(Tags=tags)

    assert await desk.names(of_one) == {"one"}
    assert await desk.names(of_team) == {"one", "two"}
    assert await desk.names(of_both) == {"one"}
    await desk.house.ask("AmazonSSM.UpdateMaintenanceWindow", {"WindowId": one, "Enabled": False}, region=REGION)
    assert await desk.names(of_one) == set()
    assert await desk.names(of_team) == {"two"}
    await desk.house.ask("AmazonSSM.DeleteMaintenanceWindow", {"WindowId": one}, region=REGION)
    assert await desk.names(of_one) == set()


async def test_feeds_are_listed_without_their_links_and_end_when_they_are_deleted(desk):
    """Page by page; a second deletion is refused."""
    path = await desk.feed(Name="first", Days=7)
    first = desk.id
    await desk.feed(Name="second")
    listed, token = [], None
    while True:
        page = await desk.ask("ListCalendarFeeds", MaxResults=1, **({"NextToken": token} if token else {}))
        listed += page["CalendarFeeds"]
        token = page.get("NextToken")
        if token is None:
            break
    (mine,) = [one for one in listed if one["FeedId"] == first]
    assert mine == {
        "FeedId": first,
        "Name": "first",
        "Tags": [],
        "Days": 7,
        "Owner": desk.house.root.principal,
        "CreatedAt": desk.house.clock.now(),
    }
    assert [one["FeedId"] for one in listed] == sorted(one["FeedId"] for one in listed)

    assert (await desk.get(path)).status == 200
    await desk.ask("DeleteCalendarFeed", FeedId=first)
    assert (await desk.get(path)).status == 404
    assert await desk.code("DeleteCalendarFeed", FeedId=first) == "DoesNotExistException"


async def test_a_link_shows_what_its_maker_may_see_now(desk):
    """A policy that is taken back ends it until it is given again; where it says from where, that of the program counts."""
    await desk.window("seen")
    anna = await new_user(desk.house, "anna", SEES)
    path = await desk.feed(key=anna)
    assert "seen" in await desk.names(path)

    async def after(*statements):
        await grant(desk.house, "anna", *statements)
        desk.house.clock.time += 1  # as long as policies are remembered
        return (await desk.get(path)).status

    assert await after(statement("ssm:*")) == 403
    assert await after(SEES, statement("patchwright:GetCalendar", effect="Deny")) == 403
    assert await after(statement("patchwright:*", IpAddress={"aws:SourceIp": "203.0.113.0/24"})) == 403
    assert await after(statement("patchwright:*", IpAddress={"aws:SourceIp": "192.0.2.0/24"})) == 200
    assert await after(statement("patchwright:*", Bool={"aws:SecureTransport": "true"})) == 403
    assert await after(SEES) == 200

    await desk.house.wired.access.attachments.remove(desk.house.account, USER, "anna", policy="own")
    assert (await desk.code("CreateCalendarFeed", key=anna, Name="x")) == "AccessDeniedException"


async def test_a_link_is_not_read_for_ever_without_a_pause(desk):
    """Whoever has it, from wherever: a calendar is work. Other links are read meanwhile, and this one a little later."""
    await desk.window("seen")
    path, other = await desk.feed(), await desk.feed()
    assert [(await desk.get(path, method="HEAD")).status for _ in range(31)] == [200] * 30 + [429]
    assert (await desk.get(path)).headers["retry-after"] == "1"
    assert (await desk.get(other)).status == 200
    desk.house.clock.time += 1
    assert (await desk.get(path)).status == 200


async def test_a_link_ends_with_its_maker(desk):
    """A user of the same name is another one; feeds of others go on."""
    house = desk.house
    berta = await new_user(house, "berta", SEES)
    path, of_root = await desk.feed(key=berta), await desk.feed()
    await house.wired.access.keys.delete(house.account, "berta", berta.access_key_id)
    await house.wired.access.attachments.remove(house.account, USER, "berta", policy="own")
    await house.wired.access.identities.delete(house.account, USER, "berta")
    house.clock.time += 1
    assert (await desk.get(path)).status == 403
    await new_user(house, "berta", SEES)
    house.clock.time += 1
    assert (await desk.get(path)).status == 403
    assert (await desk.get(of_root)).status == 200


async def test_a_link_ends_with_its_account(desk):
    """While it is disabled; then it goes on."""
    made = await desk.ask("CreateAccount", Name="other")
    account, key = made["Account"]["AccountId"], made["AccessKey"]
    root = Credential(key["AccessKeyId"], key["SecretAccessKey"], account, f"arn:aws:iam::{account}:root")
    path = await desk.feed(key=root)
    assert (await desk.get(path)).status == 200
    await desk.ask("DisableAccount", AccountId=account)
    assert (await desk.get(path)).status == 404
    await desk.ask("EnableAccount", AccountId=account)
    assert (await desk.get(path)).status == 200


async def test_a_link_that_is_none_leads_nowhere(desk):
    """Nor does one that is cut, or longer, or has another ending; nothing says which of them was close."""
    path = await desk.feed()
    wrong = (
        path[:-5] + ".ics",
        path.removesuffix(".ics"),
        path + "/",
        "/calendar/",
        "/calendar/.ics",
        "/calendar/" + "x" * 5000 + ".ics",
        path.replace(".ics", "é.ics"),
        path.replace(".ics", "\ufffd.ics"),
        "/calendar" + path,
    )
    answers = [await desk.get(one) for one in wrong]
    assert {(one.status, one.body) for one in answers} == {(404, b"There is no such calendar.\n")}
    assert (await desk.get(path, method="POST")).status in {400, 403, 404, 405}


async def test_the_secret_is_kept_nowhere(desk):
    """Not in the database, not in the audit trail, not in the log; the entry names the feed."""
    path = await desk.feed(Name="hidden")
    secret = path.removeprefix("/calendar/").removesuffix(".ics")
    assert len(secret) >= 43
    said = [str(desk.house.lines)]
    await desk.get(path)
    said.append(str(desk.house.lines))
    await desk.get(path.replace(".ics", "x.ics"))
    said.append(str(desk.house.lines))
    rows = await desk.house.dump()
    assert desk.id in str(rows["calendar_feed"])
    assert not [one for one in (*said, str(rows)) if secret in one]
    entries = await desk.ask("ListAuditEntries", Operation="Patchwright.CreateCalendarFeed")
    assert any(desk.id in entry["Resources"] for entry in entries["Entries"])


async def test_who_asks_too_often_waits(tmp_path, shared_url, house):
    """As everybody does who shows no key."""
    own = await build(tmp_path, shared_url, house.account, stranger_requests_per_second="1")
    try:
        desk = Desk(own)
        path = await desk.feed()
        answers = [await desk.get(path) for _ in range(12)]
        assert [one.status for one in answers] == [200] * 10 + [429] * 2
        assert int(answers[-1].headers["retry-after"]) >= 1
        own.clock.time += 1
        assert (await desk.get(path)).status == 200
    finally:
        await own.close()


async def test_there_are_only_so_many(desk):
    """A quota of the account and region; a window that is not there is refused."""
    assert await desk.code("CreateCalendarFeed", Name="x", WindowId="mw-" + "0" * 17) == "DoesNotExistException"
    await asyncio.gather(*(desk.feed(Name=f"feed {number}") for number in range(100)))
    assert await desk.code("CreateCalendarFeed", Name="one more") == "ResourceLimitExceededException"
    await desk.ask("CreateCalendarFeed", Name="elsewhere", region="us-east-1")
