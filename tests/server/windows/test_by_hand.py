# SPDX-License-Identifier: Apache-2.0
"""A window that is opened by hand, what a schedule means, and the calendar."""

from __future__ import annotations

from patchwright.server.accounts import Scope
from patchwright.server.windows import Window, calendar_entries, icalendar

DAY = 86_400.0


async def ask(stage, operation, **members):
    """The answer of an operation of ours."""
    return await stage.house.ask(f"Patchwright.{operation}", members)


async def code(stage, operation, **members):
    """The code with which it is refused."""
    return await stage.house.code(f"Patchwright.{operation}", members)


async def test_a_window_is_opened_by_hand(stage, node):
    """It does what it does by its schedule, which goes on as it was; and it opens once at a time, disabled or not."""
    await stage.window(Schedule="cron(0 2 ? * SUN *)")
    await stage.ask("UpdateMaintenanceWindow", WindowId=stage.id, Enabled=False)
    await stage.task(await stage.target())

    made = await ask(stage, "RunMaintenanceWindow", WindowId=stage.id)
    assert await code(stage, "RunMaintenanceWindow", WindowId=stage.id) == "InvalidOperationException"
    assert await stage.tend() == [node.instance_id]
    await stage.carry_out(node)
    await stage.tend()

    (execution,) = await stage.executions()
    assert (execution["WindowExecutionId"], execution["Status"]) == (made["WindowExecutionId"], "SUCCESS")
    assert (
        await code(stage, "RunMaintenanceWindow", WindowId=stage.id) == "InvalidOperationException"
    )  # the clock stands
    stage.house.clock.time += 1
    await ask(stage, "RunMaintenanceWindow", WindowId=stage.id)
    assert len(await stage.executions()) == 2


async def test_what_cannot_be_opened_is_refused(stage):
    """A window without tasks, and one that there is not; nothing is left of it."""
    await stage.window(Schedule="cron(0 2 ? * SUN *)")
    assert await code(stage, "RunMaintenanceWindow", WindowId=stage.id) == "ValidationException"
    assert await code(stage, "RunMaintenanceWindow", WindowId="mw-" + "0" * 17) == "DoesNotExistException"
    assert await stage.executions() == []


async def test_an_expression_is_explained(stage):
    """Without a window: in English, with its next firings."""
    told = await ask(
        stage, "DescribeSchedule", Schedule="cron(0 23-5 ? * SUN *)", ScheduleTimezone="Europe/Berlin", MaxResults=2
    )
    assert told["Description"].startswith("Every hour from 00:00 to 05:00 and at 23:00 on Sundays, Europe/Berlin.")
    assert "not of the night that follows it" in told["Description"]
    assert [moment - stage.house.clock.time for moment in told["Firings"]] == [
        1.7916666666666667 * DAY,
        1.8333333333333333 * DAY,
    ]
    assert (await ask(stage, "DescribeSchedule", Schedule="at(2020-01-01T00:00:00)"))["Firings"] == []
    assert await code(stage, "DescribeSchedule", Schedule="daily") == "ValidationException"


async def test_the_calendar_has_what_opens(stage):
    """Of every enabled window, in order of time; the same as a calendar that other programs read."""
    await stage.window(Name="sundays", Schedule="cron(0 2 ? * SUN *)", Description="web; all of it")
    await stage.window(Name="daily", Schedule="cron(30 3 ? * * *)")
    await stage.window(Name="never", Schedule="cron(0 4 ? * * *)")
    await stage.ask("UpdateMaintenanceWindow", WindowId=stage.id, Enabled=False)
    told = await ask(stage, "GetCalendar", Days=7)

    assert [one["Name"] for one in told["Entries"]].count("daily") == 7
    assert {one["Name"] for one in told["Entries"]} == {"sundays", "daily"}
    opens = [one["Opens"] for one in told["Entries"]]
    assert opens == sorted(opens)
    (sunday,) = [one for one in told["Entries"] if one["Name"] == "sundays"]
    assert (sunday["Closes"] - sunday["Opens"], sunday["Closes"] - sunday["Cutoff"]) == (3 * 3600, 3600)
    assert sunday["Description"] == "At 02:00 on Sundays, UTC."
    lines = told["ICalendar"].split("\r\n")
    assert (lines.count("BEGIN:VEVENT"), lines.count("END:VEVENT")) == (8, 8)
    assert "DTSTART:20261122T020000Z" in lines
    assert "DTEND:20261122T050000Z" in lines
    assert not told["Truncated"]


def test_a_window_whose_zone_is_gone_hides_no_other_one():
    """From a calendar it is left out."""
    scope = Scope("1", "xx")
    given = ("cron(0 2 ? * SUN *)", 3, 1, True)
    gone, there = Window(scope, "mw-1", "gone", *given, zone="Atlantis/Gone"), Window(scope, "mw-2", "there", *given)
    assert {one.window.name for one in calendar_entries([gone, there], after=0.0, until=30 * DAY, most=9)} == {"there"}


async def test_nothing_opens_without_windows(stage):
    """Another account's are not shown."""
    told = await ask(stage, "GetCalendar")
    assert told["Entries"] == []
    assert told["ICalendar"].endswith("END:VCALENDAR\r\n")


def test_a_calendar_is_written_as_its_readers_want_it():
    """Lines of 75 octets at most, no character cut in two, what means something escaped (RFC 5545, 3.1 and 3.3.11)."""
    window = Window(
        Scope("1", "xx"), "mw-1", "Ünterhaltung, " * 12, "cron(0 2 ? * SUN *)", 3, 1, True, "a;b\\c\nd"
    )  # fmt: skip
    text = icalendar(calendar_entries([window], after=0.0, until=8 * DAY, most=1), name="x")
    lines = text.encode().split(b"\r\n")
    assert all(len(line) <= 75 for line in lines)
    whole = text.replace("\r\n ", "")
    assert "SUMMARY:" + "Ünterhaltung\\, " * 12 in whole
    assert "DESCRIPTION:a\\;b\\\\c\\nd\\nAt 02:00" in whole
    assert "\n" not in text.replace("\r\n", "")
