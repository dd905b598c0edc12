# SPDX-License-Identifier: Apache-2.0
"""
When a maintenance window opens (spec §4.2): `cron(…)`, `rate(…)` and `at(…)`, pure and compiled once.

    schedule = compile_schedule("cron(30 23 ? * TUE#3 *)", zone="Europe/Berlin", created=now)
    schedule.next(now)          the first firing after *now*, epoch seconds, or None
    schedule.previous(now)      the last firing before *now*, or None

A local time that a change of the clock skips fires at the first instant after the gap; one that comes twice fires once, the
first time. So firings are strictly increasing.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from patchwright.server.windows.fields import (
    DAYS,
    HOURS,
    MINUTES,
    MONTHS,
    SECONDS,
    YEAR,
    MalformedSchedule,
    MonthDays,
    WeekDays,
    month_days,
    numbers,
    week_days,
)

LONGEST = 256  # characters of an expression
FASTEST_SECONDS = 300.0  # between two firings
OFFSETS = range(1, 7)  # days
YEARS = range(2, 9999)  # of dates: beyond, other zones have no calendar any more
_FORM = re.compile(r"(cron|rate|at)\((.*)\)\Z", re.ASCII)
_RATE = re.compile(r"([0-9]{1,6}) +(minutes?|hours?|days?)\Z", re.ASCII)
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?\Z", re.ASCII)
_UNITS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}\Z")
_SPARE = timedelta(days=2)  # no change of a zone's clock is larger
_NONE = timedelta()
_LEAP_YEAR = 2024


class _Firings(Protocol):
    """All firings of an expression, without regard to start and end dates."""

    def next(self, after: float) -> float | None:
        """The first firing later than *after*."""
        ...

    def previous(self, before: float) -> float | None:
        """The last firing earlier than *before*."""
        ...


@dataclass(frozen=True)
class Schedule:
    """A compiled schedule. *start* and *end* bound it, both included; moments are epoch seconds."""

    expression: str
    zone: ZoneInfo
    firings: _Firings
    start: float | None = None
    end: float | None = None

    def next(self, after: float) -> float | None:
        """The first firing later than *after*; None where there is none any more."""
        if self.start is not None and after < self.start:
            after = _just_before(self.start)
        found = self.firings.next(after)
        return None if found is None or (self.end is not None and found > self.end) else found

    def previous(self, before: float) -> float | None:
        """The last firing earlier than *before*; None where there was none."""
        if self.end is not None and before > self.end:
            before = _just_after(self.end)
        found = self.firings.previous(before)
        return None if found is None or (self.start is not None and found < self.start) else found

    def between(self, after: float, until: float) -> Iterator[float]:
        """Every firing later than *after* and not later than *until*, in order."""
        moment = self.next(after)
        while moment is not None and moment <= until:
            yield moment
            moment = self.next(moment)


def compile_schedule(
    expression: str,
    *,
    zone: str = "",
    offset_days: int = 0,
    created: float = 0.0,
    start: float | None = None,
    end: float | None = None,
) -> Schedule:
    """
    Read an expression.

    Args:
        expression: `cron(…)` with six fields, or seven with seconds in front; `rate(…)`; `at(…)`.
        zone: An IANA name; empty: UTC.
        offset_days: Days from each cron match to its firing, 1 to 6; 0: none.
        created: When the schedule was made or changed: a rate counts from there, and with an offset no match before counts.
        start: The first moment at which it may fire; a rate counts from there if it lies after *created*.
        end: The last moment at which it may fire.

    Raises:
        MalformedSchedule: An expression, zone or offset that is none, or a rate faster than five minutes.
    """
    form = _FORM.match(expression) if len(expression) <= LONGEST else None
    if form is None:
        msg = f"{expression[:LONGEST]!r} is no schedule: write cron(…), rate(…) or at(…)"
        raise MalformedSchedule(msg)
    kind, inside = form[1], form[2].strip()
    where = _zone(zone)
    if offset_days and (kind != "cron" or offset_days not in OFFSETS):
        msg = "a schedule offset is 1 to 6 days, and only for cron schedules"
        raise MalformedSchedule(msg)
    if kind == "rate":
        first = start if start is not None and start > created else created
        return Schedule(expression, where, _rate(inside, first), start, end)
    if kind == "at":
        return Schedule(expression, where, _at(inside, where), start, end)
    cron = _cron(inside, where, offset_days, created)
    gap = cron.smallest_gap()
    if gap < FASTEST_SECONDS:
        msg = f"{expression!r} fires every {gap:.0f} seconds at times; the least is {FASTEST_SECONDS:.0f}"
        raise MalformedSchedule(msg)
    return Schedule(expression, where, cron, start, end)


@dataclass(frozen=True)
class Rate:
    """Every *seconds*, beginning at *first*."""

    seconds: float
    first: float

    def next(self, after: float) -> float | None:
        """The first firing later than *after*."""
        if after < self.first:
            return self.first
        passed = int((after - self.first) // self.seconds)
        found = self.first + passed * self.seconds
        while found <= after:
            passed += 1
            found = self.first + passed * self.seconds
        return found

    def previous(self, before: float) -> float | None:
        """The last firing earlier than *before*."""
        passed = int((before - self.first) // self.seconds) + 1
        while passed >= 0:
            found = self.first + passed * self.seconds
            if found < before:
                return found
            passed -= 1
        return None


@dataclass(frozen=True)
class Once:
    """One firing."""

    moment: float

    def next(self, after: float) -> float | None:
        """It, if it is later than *after*."""
        return self.moment if self.moment > after else None

    def previous(self, before: float) -> float | None:
        """It, if it is earlier than *before*."""
        return self.moment if self.moment < before else None


@dataclass(frozen=True)
class Cron:
    """
    Firings by the calendar of *zone*: at *times* (seconds of the day, in order) of the days that match.

    *offset* days lie between a match and its firing; matches at or before *since* do not count then.
    """

    zone: ZoneInfo
    times: tuple[int, ...]
    days: MonthDays | WeekDays
    months: frozenset[int]
    years: frozenset[int]
    offset: int = 0
    since: float = 0.0
    _months: dict[tuple[int, int], list[int]] = field(default_factory=dict, compare=False, repr=False)

    def next(self, after: float) -> float | None:
        """The first firing later than *after*."""
        shift = timedelta(days=self.offset)
        local = datetime.fromtimestamp(after, self.zone).replace(tzinfo=None, microsecond=0) - shift
        for day in self._days_from(local.date()):
            first = bisect.bisect_left(self.times, _second_of(local)) if day == local.date() else 0
            for second in self.times[first:]:
                moment = moment_of(self.zone, day + shift, second)
                if moment > after and (not self.offset or moment_of(self.zone, day, second) > self.since):
                    return moment
        return None

    def previous(self, before: float) -> float | None:
        """The last firing earlier than *before*."""
        shift = timedelta(days=self.offset)
        shown = datetime.fromtimestamp(before, self.zone)
        # When an hour comes again, what is later by the calendar has fired already: to the end of that hour.
        again = (shown.replace(fold=0).utcoffset() or _NONE) - (shown.utcoffset() or _NONE)
        local = shown.replace(tzinfo=None) + again - shift
        for day in self._days_back(local.date()):
            last = bisect.bisect_right(self.times, _second_of(local)) if day == local.date() else len(self.times)
            for second in reversed(self.times[:last]):
                moment = moment_of(self.zone, day + shift, second)
                if moment < before:
                    known = not self.offset or moment_of(self.zone, day, second) > self.since
                    return moment if known else None
        return None

    def smallest_gap(self) -> float:
        """The least number of seconds between two firings, changes of the clock aside."""
        gaps = [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]
        over_midnight = 86400 - self.times[-1] + self.times[0]
        if over_midnight < FASTEST_SECONDS and self._on_consecutive_days():
            gaps.append(over_midnight)
        return float(min(gaps, default=86400))

    def _on_consecutive_days(self) -> bool:
        before: date | None = None
        first = min(self.years)
        for day in self._days_from(date(first, 1, 1)):
            if before is not None and day - before == timedelta(days=1):
                return True
            if day.year > first + 28:  # the calendar repeats
                return False
            before = day
        return False

    def _days_from(self, start: date) -> Iterator[date]:
        """The days that match, from *start* on."""
        years, months = self._years_and_months
        for year in years[bisect.bisect_left(years, start.year) :]:
            same_year = year == start.year
            for month in months[bisect.bisect_left(months, start.month) if same_year else 0 :]:
                first = start.day if same_year and month == start.month else 1
                for day in self._days_of(year, month):
                    if day >= first:
                        yield date(year, month, day)

    def _days_back(self, start: date) -> Iterator[date]:
        """The days that match, from *start* back."""
        years, months = self._years_and_months
        for year in reversed(years[: bisect.bisect_right(years, start.year)]):
            same_year = year == start.year
            for month in reversed(months[: bisect.bisect_right(months, start.month) if same_year else None]):
                last = start.day if same_year and month == start.month else DAYS.high
                for day in reversed(self._days_of(year, month)):
                    if day <= last:
                        yield date(year, month, day)

    @functools.cached_property
    def _years_and_months(self) -> tuple[list[int], list[int]]:
        """In order; without the months that have no such day in any year, such as the 30th of February."""
        dated = isinstance(self.days, MonthDays)
        months = [month for month in sorted(self.months) if not dated or self.days.of(_LEAP_YEAR, month)]
        return sorted(self.years), months

    def _days_of(self, year: int, month: int) -> list[int]:
        found = self._months.get((year, month))
        if found is None:
            found = self._months[year, month] = sorted(self.days.of(year, month))
        return found


def moment_of(zone: ZoneInfo, day: date, second: int) -> float:
    """When the clocks of *zone* show *second* of *day*: the first time, or after the gap that skips it."""
    minutes, seconds = divmod(second, 60)
    hours, minutes = divmod(minutes, 60)
    wall = datetime(day.year, day.month, day.day, hours, minutes, seconds, tzinfo=zone)
    moment = wall.timestamp()
    back = datetime.fromtimestamp(moment, zone)
    shown = (back.hour, back.minute, back.day) == (hours, minutes, day.day)
    return moment if shown else _end_of_gap(zone, wall)


def _end_of_gap(zone: ZoneInfo, wall: datetime) -> float:
    """The first instant after the gap in which *wall* lies."""
    target = wall.replace(tzinfo=None)
    low, high = int((wall - _SPARE).timestamp()), int((wall + _SPARE).timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).replace(tzinfo=None) < target:
            low = middle
        else:
            high = middle
    return float(high)


def _cron(inside: str, zone: ZoneInfo, offset: int, created: float) -> Cron:
    parts = inside.upper().split()
    if len(parts) not in {6, 7}:
        msg = f"cron({inside}) has {len(parts)} fields: write minutes hours day-of-month month day-of-week year"
        raise MalformedSchedule(msg)
    seconds = numbers(parts[0], SECONDS) if len(parts) == 7 else frozenset({0})
    minutes, hours, of_month, month, of_week, year = parts[-6:]
    if (of_month == "?") == (of_week == "?"):
        msg = f"cron({inside}): write ? in one of day of month and day of week, and only in one"
        raise MalformedSchedule(msg)
    times = sorted(
        hour * 3600 + minute * 60 + second
        for hour in numbers(hours, HOURS)
        for minute in numbers(minutes, MINUTES)
        for second in seconds
    )
    return Cron(
        zone=zone,
        times=tuple(times),
        days=week_days(of_week) if of_month == "?" else month_days(of_month),
        months=numbers(month, MONTHS),
        years=numbers(year, YEAR),
        offset=offset,
        since=created,
    )


def _rate(inside: str, first: float) -> Rate:
    match = _RATE.match(inside)
    value = int(match[1]) if match else 0
    if match is None or value < 1 or match[2].endswith("s") != (value > 1):
        msg = f"rate({inside}) is no rate: write rate(1 hour), rate(30 minutes) or rate(7 days)"
        raise MalformedSchedule(msg)
    seconds = value * _UNITS[match[2].removesuffix("s")]
    if seconds < FASTEST_SECONDS:
        msg = f"rate({inside}) is faster than every five minutes"
        raise MalformedSchedule(msg)
    return Rate(seconds, first)


def _at(inside: str, zone: ZoneInfo) -> Once:
    try:
        if not _AT.match(inside):
            raise ValueError(inside)
        wall = datetime.fromisoformat(inside)
        if wall.year not in YEARS:
            raise ValueError(inside)
    except ValueError:
        msg = f"at({inside}) is no moment: write at(2026-11-20T23:30:00)"
        raise MalformedSchedule(msg) from None
    return Once(moment_of(zone, wall.date(), _second_of(wall)))


def _zone(name: str) -> ZoneInfo:
    try:
        if name and not _ZONE.match(name):
            raise ValueError(name)
        return ZoneInfo(name or "UTC")
    except (KeyError, OSError, ValueError):
        msg = f"{name[:64]!r} is no time zone: use a name such as Europe/Berlin"
        raise MalformedSchedule(msg) from None


def _second_of(wall: datetime) -> int:
    return wall.hour * 3600 + wall.minute * 60 + wall.second


def _just_before(moment: float) -> float:
    return moment - 1e-6


def _just_after(moment: float) -> float:
    return moment + 1e-6
