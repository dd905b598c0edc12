# SPDX-License-Identifier: Apache-2.0
"""DescribeMaintenanceWindowSchedule is what then runs: every opening that was listed, at its time, and no other one."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime

from drawing import SEED
from patchwright.server import windows

FULL = bool(os.environ.get("PATCHWRIGHT_FULL"))
HOUR, DAY = 3600.0, 86_400.0
DAYS, WINDOWS = (25, 60) if FULL else (12, 12)
SPRING = 1_805_932_800.0  # 2027-03-25T00:00:00Z, three days before the clocks change in Europe
ZONES = ("", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")


def schedule(chance):
    """An expression."""
    hour, minute = chance.randrange(24), chance.randrange(60)
    day = chance.choice(["SUN", "MON-FRI", "SAT,TUE", "WED#2", "6L", "*"])
    kinds = (
        f"cron({minute} {hour} ? * {day} *)",
        f"cron({minute} {chance.randrange(4)}-{chance.randrange(4, 8)} * * ? *)",
        f"cron(0 {minute} {hour} {chance.choice(['L', '15W', '1', '28,29,30', '*/3'])} * ? *)",
        f"rate({chance.randint(1, 50)} hours)".replace("(1 hours)", "(1 hour)"),
        f"rate({chance.randint(2, 5)} days)",
        f"at(2027-0{chance.choice('34')}-{chance.randrange(10, 29)}T{hour:02}:{minute:02}:00)",
    )
    return chance.choice(kinds)


def members(chance, now):
    """A window; some are bounded, some come days after what their schedule matches."""
    made = {"Schedule": schedule(chance), "Duration": 1, "Cutoff": 0}
    if zone := chance.choice(ZONES):
        made["ScheduleTimezone"] = zone
    if made["Schedule"].startswith("cron") and chance.random() < 0.3:
        made["ScheduleOffset"] = chance.randint(1, 6)
    if chance.random() < 0.3:
        made["StartDate"] = iso(now + chance.uniform(0, 5) * DAY)
    if chance.random() < 0.3:
        made["EndDate"] = iso(now + chance.uniform(6, 10) * DAY)
    return made


def iso(moment):
    """A moment as the API takes it."""
    return datetime.fromtimestamp(round(moment), UTC).isoformat()


async def described(stage, until):
    """What is listed before *until*: moments and windows, in order."""
    found, token = [], {}
    while token is not None:
        asked = {"Filters": [{"Key": "ScheduledBefore", "Values": [iso(until)]}], "MaxResults": 7, **token}
        answer = await stage.ask("DescribeMaintenanceWindowSchedule", **asked)
        found += answer["ScheduledWindowExecutions"]
        token = {"NextToken": answer["NextToken"]} if "NextToken" in answer else None
    return [(windows.moment(one["ExecutionTime"]), one["WindowId"]) for one in found]


async def executed(stage, ids):
    """What was executed: moments and windows, in order."""
    found = []
    for window_id in ids:
        token = {}
        while token is not None:
            answer = await stage.ask("DescribeMaintenanceWindowExecutions", WindowId=window_id, **token)
            found += [(round(one["StartTime"], 3), window_id) for one in answer["WindowExecutions"]]
            token = {"NextToken": answer["NextToken"]} if "NextToken" in answer else None
    return sorted(found)


async def test_what_is_described_is_what_runs(stage):
    """Windows of every kind, over a change of the clocks; one is disabled, one gets another schedule on the way."""
    chance, clock = random.Random(f"as described {SEED}"), stage.house.clock
    clock.time = SPRING
    ids = [await stage.window(**members(chance, SPRING)) for _ in range(WINDOWS)]
    await stage.ask("UpdateMaintenanceWindow", WindowId=chance.choice(ids), Enabled=False)
    await stage.ask("UpdateMaintenanceWindow", WindowId=chance.choice(ids), Schedule="rate(7 hours)")
    until = SPRING + DAYS * DAY
    listed = await described(stage, until)
    assert listed == sorted(listed)
    assert len(listed) >= WINDOWS

    between = [chance.uniform(SPRING, until) for _ in range(DAYS)]
    for moment in sorted({*(at for at, _ in listed), *between}):
        await stage.tend(after=max(moment - clock.time, 0.0))
    assert await executed(stage, ids) == [(round(at, 3), window_id) for at, window_id in listed]
