# SPDX-License-Identifier: Apache-2.0
"""What must not stop other windows, or make one do what it may not: wrong clocks, vanished zones, far dates, deletions."""

from __future__ import annotations

import pytest

from patchwright.server import windows
from patchwright.server.infra import sql

DAY = 86_400.0
FAR = (
    {"Schedule": "at(9999-12-31T23:59:59)", "ScheduleTimezone": "America/New_York"},
    {"Schedule": "at(0001-01-01T00:00:00)", "ScheduleTimezone": "Pacific/Kiritimati"},
    {"Schedule": "cron(0 0 ? * * *)", "StartDate": "9999-12-31T23:59:59-12:00", "ScheduleTimezone": "America/New_York"},
    {"Schedule": "cron(0 0 ? * * *)", "StartDate": "9999-12-31T23:59:59Z", "ScheduleTimezone": "Pacific/Kiritimati"},
    {"Schedule": "rate(1 day)", "StartDate": "9999-12-31T23:59:59-12:00"},
    {"Schedule": "rate(1 day)", "EndDate": "9999-12-31T23:59:59-12:00"},
)


@pytest.mark.parametrize("given", FAR)
async def test_a_date_that_no_calendar_shows_is_refused(stage, given):
    """A window with such a date could not be shown, and with it no other one of its account."""
    members = {"Name": "far", "Duration": 3, "Cutoff": 1, "AllowUnassociatedTargets": True, **given}
    assert await stage.code("CreateMaintenanceWindow", **members) == "ValidationException"


async def test_the_last_dates_there_are_can_be_shown(house, stage):
    """In every zone, and with the last day of a window."""
    for zone in ("America/New_York", "Pacific/Kiritimati"):
        await stage.window(Schedule="at(9998-12-31T23:59:59)", ScheduleTimezone=zone, Duration=24)
        await stage.window(Schedule="rate(1 day)", StartDate="9998-12-31T23:59:59-12:00", ScheduleTimezone=zone)
        await stage.window(Schedule="at(0002-01-01T00:00:00)", ScheduleTimezone=zone)
    assert len((await stage.ask("DescribeMaintenanceWindows"))["WindowIdentities"]) == 6
    assert (await stage.ask("DescribeMaintenanceWindowSchedule", MaxResults=20))["ScheduledWindowExecutions"]
    assert (await house.ask("Patchwright.GetForecast", {"WindowId": stage.id, "At": 249_000_000_000.0}))["Nodes"] == []


async def test_a_window_that_cannot_be_opened_holds_up_no_other_one(house, stage, node):
    """Its zone is gone from the system; what is wrong is raised when all others have had their turn."""
    spoilt = await stage.window(Name="spoilt")
    await stage.window()
    await stage.task(await stage.target())

    def spoil():
        yield sql("UPDATE maintenance_window SET zone = 'Atlantis/Gone' WHERE id = $1", spoilt)

    await house.wired.database.write(spoil)
    for _ in range(2):
        with pytest.raises(windows.MalformedSchedule):
            await stage.tend(after=60)
    assert await windows.recount(house.wired.database, house.clock) == 0
    (execution,) = await stage.executions()
    assert execution["Status"] == "IN_PROGRESS"
    await stage.carry_out(node)
    with pytest.raises(windows.MalformedSchedule):
        await stage.tend(after=60)
    assert (await stage.executions())[0]["Status"] == "SUCCESS"


@pytest.mark.parametrize(
    "given",
    [
        {"Schedule": "rate(1 day)"},
        {"Schedule": "cron(0 2 ? * * *)", "EndDate": "2030-01-01T00:00:00Z"},
        {"Schedule": "at(2026-11-23T02:00:00)"},
    ],
)
@pytest.mark.parametrize("ahead", [10 * DAY, 4000 * DAY])
async def test_a_window_opens_again_when_a_clock_that_was_ahead_is_right(house, stage, given, ahead):
    """What it believed to have missed has not come yet; each opening to come is one execution."""
    await stage.window(**given)
    await stage.task(await stage.target())
    await stage.tend(after=1)
    expected = [one["ExecutionTime"] for one in await _schedule(stage) if one["ExecutionTime"] < "2026-11-24"]
    house.clock.time += ahead
    await stage.tend()
    house.clock.time -= ahead
    assert await windows.recount(house.wired.database, house.clock) == 1
    assert await windows.recount(house.wired.database, house.clock) == 0

    assert [one["ExecutionTime"] for one in await _schedule(stage) if one["ExecutionTime"] < "2026-11-24"] == expected
    for _ in range(8 * 24):
        await stage.tend(after=1800)
    assert {one["Status"] for one in await stage.executions() if one["StartTime"] < house.clock.time} == {"SUCCESS"}
    assert len(await stage.executions()) >= len(expected) > 0


async def test_counting_anew_changes_nothing_of_a_window_whose_clock_is_right(house, stage):
    """Not of one that is due now, that is disabled, that opens no more, nor for another process's clock a little behind."""
    await stage.window(Schedule="rate(5 minutes)")
    await stage.window(Schedule="at(2020-01-01T00:00:00)")
    await stage.window(Enabled=False)
    assert await windows.recount(house.wired.database, house.clock) == 0
    await stage.tend(after=1)
    house.clock.time -= 240
    assert await windows.recount(house.wired.database, house.clock) == 0


async def test_nothing_begins_in_a_window_that_was_deleted(house, stage, node):
    """What had begun ends; tasks of a later priority do not begin, least of all on nodes that belong to it no more."""
    other = await house.enrol(tags={"Patch Group": "db"})
    await stage.window(AllowUnassociatedTargets=False)
    web = await stage.target()
    await stage.target(Targets=[{"Key": "tag:Patch Group", "Values": ["db"]}])
    await stage.task(web)
    await stage.task(Priority=2, Targets=[{"Key": "InstanceIds", "Values": [other.instance_id]}])
    await stage.task(web, Priority=3)
    await stage.tend(after=1)
    await stage.ask("DeleteMaintenanceWindow", WindowId=stage.id)
    await stage.carry_out(node)
    await stage.tend(after=1)

    assert len((await stage.ask("ListCommands"))["Commands"]) == 1
    (execution,) = await stage.executions()
    assert execution["Status"] == "CANCELLED"
    assert execution["StatusDetails"] == "The window was deleted before the task began."
    assert [one["Status"] for one in await stage.tasks(execution)] == ["SUCCESS", "CANCELLED", "CANCELLED"]


async def _schedule(stage):
    return (await stage.ask("DescribeMaintenanceWindowSchedule", WindowId=stage.id, MaxResults=10))[
        "ScheduledWindowExecutions"
    ]
