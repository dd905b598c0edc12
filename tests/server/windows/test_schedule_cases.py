# SPDX-License-Identifier: Apache-2.0
"""Over two hundred schedules with their firings and what they mean, as data; and what other people's cron makes of them."""

from __future__ import annotations

import itertools
import os
import random
import tomllib
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from patchwright.server.windows.describing import describe
from patchwright.server.windows.schedule import MalformedSchedule, compile_schedule
from server.windows.peers import in_five_fields, of_croniter, of_cronsim

CASES = tomllib.loads((Path(__file__).parent / "schedules.toml").read_text())["case"]
SEED = os.environ.get("PATCHWRIGHT_SEED", "20261120")
FULL = bool(os.environ.get("PATCHWRIGHT_FULL"))

# What croniter does otherwise, and why ours is right (spec §4.2).
TWICE = "a local time that comes twice fires twice there; a window opens once"
NEAREST = "there, the nearest weekday to a day that the month does not have is that of its last day; Quartz, and AWS, leave it out"
HALF_AN_HOUR = "there, an hour that begins in a gap of half an hour is lost; a window opens after the gap"
CRONITER_DIFFERS = {
    **dict.fromkeys(("cron(0 0 30W * ? *)", "cron(0 0 31W * ? *)", "cron(0 0 29W 2 ? *)"), NEAREST),
    **dict.fromkeys(
        itertools.product(
            ("cron(30 2 * * ? *)", "cron(0 2 * * ? *)", "cron(0 0/1 ? * SUN *)", "cron(0/30 1-3 * * ? *)"),
            ("Europe/Berlin", "Australia/Sydney"),
        ),
        TWICE,
    ),
    **dict.fromkeys(
        itertools.product(
            ("cron(30 1 * * ? *)", "cron(0 0/1 ? * SUN *)", "cron(0/30 1-3 * * ? *)", "cron(0 0 * * ? *)"),
            ("America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Santiago"),
        ),
        f"{TWICE}; {HALF_AN_HOUR}",
    ),
}


def name_of(case):
    """A case, for the list of tests."""
    return " ".join(str(case[part]) for part in ("expression", "zone", "offset", "after") if part in case)


def compiled(case):
    """The schedule of a case, made at the moment from which on it is asked."""
    after = datetime.fromisoformat(case["after"]).timestamp()
    zone, offset = case.get("zone", ""), case.get("offset", 0)
    return compile_schedule(case["expression"], zone=zone, offset_days=offset, created=after), after


def firings(schedule, after, count):
    """The next *count* firings, as the clocks of the zone show them."""
    found = []
    while len(found) < count and (following := schedule.next(after)) is not None:
        found.append(datetime.fromtimestamp(following, schedule.zone).isoformat())
        after = following
    return found


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_schedule_fires_when_it_should(case):
    """Forwards, and backwards the same moments; and it is described as it is."""
    schedule, after = compiled(case)
    assert firings(schedule, after, len(case["firings"]) or 1) == case["firings"]
    moments = [datetime.fromisoformat(one).timestamp() for one in case["firings"]]
    for earlier, later in itertools.pairwise(moments):
        assert schedule.previous(later) == earlier
    if "english" in case:
        assert (
            describe(case["expression"], zone=case.get("zone", ""), offset_days=case.get("offset", 0))
            == case["english"]
        )


def test_there_are_enough():
    """The documentation's, and 150 more; four zones on both their changes of the clock."""
    assert len(CASES) >= 175
    assert sum("zone" in case for case in CASES) >= 4 * 2 * 6


@pytest.mark.parametrize("peer", [of_croniter, of_cronsim])
def test_other_libraries_agree(peer):
    """Wherever they can read the expression; each difference has its reason, and none of them has gone."""
    asked, differ = 0, set()
    for case in CASES:
        theirs = in_five_fields(case["expression"]) if "offset" not in case else None
        schedule, after = compiled(case)
        start = datetime.fromtimestamp(after, schedule.zone)
        found = peer(theirs, start, len(case["firings"])) if theirs else None
        if found is None:
            continue
        asked += 1
        if [one.isoformat() for one in found] != case["firings"]:
            differ.add(case["expression"] if "zone" not in case else (case["expression"], case["zone"]))
    assert asked >= 150
    if peer is of_cronsim:
        assert not differ
    else:
        assert differ <= CRONITER_DIFFERS.keys()
        assert {CRONITER_DIFFERS[one] for one in differ} == set(CRONITER_DIFFERS.values())


def _drawn(chance):
    """An expression that cronsim reads as well, which is no faster than five minutes."""

    def field(low, high, *, most=4):
        kind = chance.randrange(5)
        if kind == 0:
            return "*"
        if kind == 1:
            return f"*/{chance.randint(2, (high - low) // 2)}"
        if kind == 2:
            first = chance.randint(low, high)
            return f"{first}-{chance.randint(first, high)}"
        return ",".join(map(str, sorted(chance.sample(range(low, high + 1), chance.randint(1, most)))))

    days = chance.choice(["?", "?", field(1, 28), "L", str(chance.randint(29, 31))])
    names = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
    week = chance.choice(["?", ",".join(chance.sample(names, 2)), f"{chance.choice(names)}#{chance.randint(1, 4)}"])
    if (days == "?") == (week == "?"):
        days, week = "*", "?"
    minutes = chance.choice([str(chance.randint(0, 59)), "*/15", "0/20", "5,35"])
    return f"cron({minutes} {field(0, 23)} {days} {field(1, 12)} {week} *)"


def _clocks_change(moment):
    """Whether the clocks are changed on the day of *moment*."""
    day = moment.replace(hour=0, minute=0, second=0, fold=0)
    return day.utcoffset() != (day + timedelta(days=1)).utcoffset()


def test_what_is_drawn_fires_as_cronsim_says():
    """Random expressions, by the seed, in zones with and without changes of the clock."""
    chance = random.Random(f"schedules {SEED}")
    compared = 0
    for _ in range(20_000 if FULL else 400):
        expression, zone = _drawn(chance), chance.choice(["UTC", "Asia/Tokyo", "Europe/Berlin", "America/New_York"])
        after = chance.randint(1_780_000_000, 1_900_000_000)
        try:
            schedule = compile_schedule(expression, zone=zone, created=float(after))
        except MalformedSchedule:
            continue
        found = of_cronsim(in_five_fields(expression), datetime.fromtimestamp(after, schedule.zone), 6)
        ours = firings(schedule, float(after), 6)
        moments = [*(found or ()), *(datetime.fromisoformat(one).astimezone(schedule.zone) for one in ours)]
        if "*" in " ".join(expression.split()[:2]) and any(map(_clocks_change, moments)):
            continue  # what fires every hour or quarter goes on there through what is left out or comes twice: see CASES
        # Who draws the 31st of June draws what never fires, which cronsim refuses.
        assert ours == [one.isoformat() for one in found or ()], (expression, zone, after)
        compared += bool(ours)
    assert compared >= 300


@pytest.mark.parametrize(
    ("expression", "english"),
    [
        ("rate(7 days)", "Every 7 days, counted from when the schedule was made or is to start."),
        ("rate(1 hour)", "Every hour, counted from when the schedule was made or is to start."),
        ("rate(90 minutes)", "Every 90 minutes, counted from when the schedule was made or is to start."),
        ("at(2027-01-01T00:00:00)", "Once, on 2027-01-01 at 00:00, UTC."),
    ],
)
def test_what_is_no_cron_is_described_too(expression, english):
    """Rates and single moments."""
    assert describe(expression) == english
