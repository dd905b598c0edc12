# SPDX-License-Identifier: Apache-2.0
"""
What a schedule means, in English, pure.

    describe("cron(30 23 ? * TUE#3 *)")         At 23:30 on the third Tuesday of the month, UTC.
    describe("cron(0 23-5 ? * SUN *)")          Every hour from 00:00 to 05:00 and at 23:00 on Sundays, UTC. 23-5 stays …

It is made from what the fields came to, not from how they were written: what two expressions do the same reads the same.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Collection, Sequence
from itertools import pairwise

from patchwright.server.windows.fields import DAYS, HOURS, MINUTES, YEAR, MonthDays, WeekDays
from patchwright.server.windows.schedule import Cron, Once, Rate, Schedule, compile_schedule

_FEW = 4  # times of a day, or years, that are listed one by one
_ORDINALS = ("zeroth", "first", "second", "third", "fourth", "fifth")
_WEEKDAYS = ("", "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_WORKDAYS = frozenset(range(2, 7))
_WRAPPED = re.compile(r"([0-9]{1,2})-([0-9]{1,2})")
_LEAP_YEAR = 2028
_SHORTEST = 28  # days of a month
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


def describe(expression: str, *, zone: str = "", offset_days: int = 0) -> str:
    """One or two sentences. Raises MalformedSchedule as `compile_schedule` does."""
    return described(compile_schedule(expression, zone=zone, offset_days=offset_days))


def described(schedule: Schedule) -> str:
    """One or two sentences on a compiled schedule; its start and end are not among them."""
    firings, zone = schedule.firings, schedule.zone.key
    if isinstance(firings, Rate):
        return f"Every {_duration(int(firings.seconds))}, counted from when the schedule was made or is to start."
    if isinstance(firings, Once):
        wall = schedule.expression[3:-1].strip().replace("T", " at ").removesuffix(":00")
        return f"Once, on {wall}, {zone}."
    assert isinstance(firings, Cron)  # noqa: S101 - there are three kinds
    parts = [_times(firings.times), _days(firings.days), _months(firings.months), _years(firings.years)]
    sentence = " ".join(part for part in parts if part)
    if firings.offset:
        sentence = f"{_number(firings.offset, 'day')} after what matches: {sentence}"
    return f"{sentence[0].upper()}{sentence[1:]}, {zone}.{_wrapping(schedule.expression)}{_missing(firings.days, firings.months)}"


def _times(times: Sequence[int]) -> str:
    """The times of a day, in seconds of it."""
    if len(times) <= _FEW:
        return f"at {_listed([_clock(one) for one in times])}"
    seconds = sorted({one % 60 for one in times})
    minutes = sorted({one // 60 % 60 for one in times})
    hours = sorted({one // 3600 for one in times})
    exact = "" if seconds == [0] else f" and {_listed([str(one) for one in seconds])} seconds"
    if len(minutes) == 1:
        at = f":{minutes[0]:02d}"
        if len(hours) == HOURS.high + 1:
            return f"every hour at {at}{exact}"
        step = _step(hours, HOURS.high)
        if step and step[1] > 1:
            return f"every {step[1]} hours from {step[0]:02d}{at}{exact}"
        return f"{_each_hour(hours, at)}{exact}"
    step = _step(minutes, MINUTES.high)
    every = f"every {_number(step[1], 'minute')}" if step and step[0] < step[1] else ""
    if step and every and step[0]:
        every += f" from :{step[0]:02d}"
    every = every or f"at {_listed([f':{one:02d}' for one in minutes])}"
    return f"{every}{exact} of {_hours(hours)}"


def _hours(hours: Sequence[int]) -> str:
    if len(hours) == HOURS.high + 1:
        return "every hour"
    runs = [f"{first:02d}:00 to {last:02d}:59" for first, last in _runs(hours)]
    return f"the hours {_listed(runs)}"


def _each_hour(hours: Sequence[int], at: str) -> str:
    long = [f"from {first:02d}{at} to {last:02d}{at}" for first, last in _runs(hours) if last - first > 1]
    short = [f"{hour:02d}{at}" for first, last in _runs(hours) if last - first <= 1 for hour in range(first, last + 1)]
    parts = [f"every hour {_listed(long)}"] if long else []
    if short:
        parts.append(f"at {_listed(short)}")
    return " and ".join(parts)


def _days(days: MonthDays | WeekDays) -> str:
    return _of_month(days) if isinstance(days, MonthDays) else _of_week(days)


def _of_week(days: WeekDays) -> str:
    parts = []
    if days.days == _WORKDAYS:
        parts.append("Mondays to Fridays")
    elif len(days.days) == 7:
        return "every day"
    elif days.days:
        parts.append(_listed([f"{_WEEKDAYS[day]}s" for day in sorted(days.days)]))
    parts += [f"the {_ORDINALS[which]} {_WEEKDAYS[day]} of the month" for day, which in sorted(days.nth, key=_by_which)]
    parts += [f"the last {_WEEKDAYS[day]} of the month" for day in sorted(days.last)]
    return f"on {_listed(parts)}"


def _by_which(pair: tuple[int, int]) -> tuple[int, int]:
    return pair[1], pair[0]


def _of_month(days: MonthDays) -> str:
    if len(days.days) == DAYS.high:
        return "every day"
    parts = []
    if days.days:
        named = [str(first) if first == last else f"{first} to {last}" for first, last in _ranges(sorted(days.days))]
        several = "s" if len(days.days) > 1 else ""
        parts.append(f"day{several} {_listed(named)} of the month")
    parts += [f"the weekday nearest to day {day} of the month" for day in sorted(days.nearest)]
    for back in sorted(days.last, reverse=True):
        parts.append(
            f"the day {_number(back, 'day')} before the last of the month" if back else "the last day of the month"
        )
    if days.last_weekday:
        parts.append("the last weekday of the month")
    return f"on {_listed(parts)}"


def _months(months: Collection[int]) -> str:
    if len(months) == 12:
        return ""
    return f"in {_listed([calendar.month_name[month] for month in sorted(months)])}"


def _years(years: Collection[int]) -> str:
    if len(years) == YEAR.high - YEAR.low + 1:
        return ""
    found = sorted(years)
    if len(found) <= _FEW:
        return f"in {_listed([str(year) for year in found])}"
    gaps = {later - earlier for earlier, later in pairwise(found)}
    if len(gaps) > 1:
        return f"in {len(found)} years from {found[0]} to {found[-1]}"
    every = "every year" if gaps == {1} else f"every {gaps.pop()} years"
    return f"{every} from {found[0]}" + ("" if found[-1] > YEAR.high - _FEW else f" to {found[-1]}")


def _wrapping(expression: str) -> str:
    """A range of hours that runs over midnight is not the night that it looks like (spec §4.2)."""
    fields = expression[5:-1].split()
    for first, last in _WRAPPED.findall(fields[-5]):
        if int(first) > int(last):
            both = f"00:00 to {int(last):02d}:59 and {int(first):02d}:00 to 23:59"
            return f" The hours {first}-{last} are those of one day, {both}, not of the night that follows it."
    return ""


def _missing(days: MonthDays | WeekDays, months: Collection[int]) -> str:
    """What some months do not have."""
    if isinstance(days, WeekDays):
        fifth = any(which == 5 for _, which in days.nth)
        return " Months without a fifth one are left out." if fifth and not (days.days or days.last) else ""
    first = min(days.days | days.nearest, default=0)
    lengths = [calendar.monthrange(_LEAP_YEAR, month)[1] for month in months]
    if days.last or days.last_weekday or first <= _SHORTEST or min(lengths) >= first > _SHORTEST + 1:
        return ""
    if max(lengths) < first:
        return " There is no such day: it never fires."
    return " Only leap years have it." if lengths == [_SHORTEST + 1] else f" Months without a day {first} are left out."


def _step(values: Sequence[int], high: int) -> tuple[int, int] | None:
    """First and step of *values*, if they are all from the first on to *high*."""
    if len(values) < 3:
        return None
    first, step = values[0], values[1] - values[0]
    return (first, step) if list(values) == list(range(first, high + 1, step)) else None


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """*values*, in order, as first and last of each run without a gap."""
    runs: list[tuple[int, int]] = []
    for value in values:
        if runs and runs[-1][1] == value - 1:
            runs[-1] = (runs[-1][0], value)
        else:
            runs.append((value, value))
    return runs


def _ranges(values: Sequence[int]) -> list[tuple[int, int]]:
    """As `_runs`, two that follow each other apart."""
    return [
        pair
        for first, last in _runs(values)
        for pair in ([(first, last)] if last - first != 1 else [(first, first), (last, last)])
    ]


def _clock(second: int) -> str:
    text = f"{second // 3600:02d}:{second // 60 % 60:02d}"
    return f"{text}:{second % 60:02d}" if second % 60 else text


def _duration(seconds: int) -> str:
    for unit, size in _UNITS:
        if seconds % size == 0:
            return _number(seconds // size, unit) if seconds != size else unit
    return _number(seconds, "second")


def _number(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
