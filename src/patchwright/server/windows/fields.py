# SPDX-License-Identifier: Apache-2.0
"""
The fields of a cron expression (spec §4.2), pure.

A field is read once into sets of numbers, and for the two day fields into the rules that depend on the month: last day,
nearest weekday, last or n-th weekday.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from patchwright.core.errors import PatchwrightError

YEARS = (1970, 2199)
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}
_NUMBER = re.compile(r"[0-9]{1,4}\Z")


class MalformedSchedule(PatchwrightError):
    """A schedule that cannot be read. The message says which part, and what would be right."""


@dataclass(frozen=True)
class Range:
    """What a field may hold: its name for messages, its lowest and highest number, and the words that stand for numbers."""

    name: str
    low: int
    high: int
    words: Mapping[str, int]
    wraps: bool = True


SECONDS = Range("seconds", 0, 59, {})
MINUTES = Range("minutes", 0, 59, {})
HOURS = Range("hours", 0, 23, {})
DAYS = Range("day of month", 1, 31, {})
MONTHS = Range("month", 1, 12, _MONTHS)
WEEKDAYS = Range("day of week", 1, 7, _WEEKDAYS)  # 1 is Sunday
YEAR = Range("year", *YEARS, {}, wraps=False)


@dataclass(frozen=True)
class MonthDays:
    """
    The day-of-month field: *days* as they stand; *last* offsets back from the last day (0: the last day itself);
    *nearest* days whose nearest weekday counts; *last_weekday*, the last day's nearest weekday before it.
    """

    days: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    nearest: frozenset[int] = frozenset()
    last_weekday: bool = False

    def of(self, year: int, month: int) -> set[int]:
        """The days of one month."""
        length = calendar.monthrange(year, month)[1]
        found = {day for day in self.days if day <= length}
        found.update(length - back for back in self.last if back < length)
        found.update(_nearest_weekday(year, month, day, length) for day in self.nearest if day <= length)
        if self.last_weekday:
            found.add(_nearest_weekday(year, month, length, length))
        return found


@dataclass(frozen=True)
class WeekDays:
    """
    The day-of-week field, 1 is Sunday: *days* of every week; *last* ones of the month; *nth* (day, n) of the month.
    """

    days: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    nth: frozenset[tuple[int, int]] = frozenset()

    def of(self, year: int, month: int) -> set[int]:
        """The days of one month."""
        length = calendar.monthrange(year, month)[1]
        found = set()
        for day in range(1, length + 1):
            weekday = date(year, month, day).isoweekday() % 7 + 1
            if (
                weekday in self.days
                or (weekday in self.last and day + 7 > length)
                or (weekday, (day + 6) // 7) in self.nth
            ):
                found.add(day)
        return found


def numbers(text: str, field: Range) -> frozenset[int]:
    """The numbers that *text* names: `*`, `a`, `a-b`, `a/n`, `*/n`, `a-b/n`, and lists of these."""
    return frozenset().union(*(_numbers_of_item(item, field) for item in text.split(",")))


def month_days(text: str) -> MonthDays:
    """The day-of-month field. Errors: MalformedSchedule."""
    days: set[int] = set()
    last: set[int] = set()
    nearest: set[int] = set()
    last_weekday = False
    for item in text.split(","):
        if item == "L":
            last.add(0)
        elif item == "LW":
            last_weekday = True
        elif match := re.fullmatch(r"L-([0-9]{1,2})", item):
            if int(match[1]) >= DAYS.high:
                raise _unreadable(item, DAYS)
            last.add(int(match[1]))
        elif match := re.fullmatch(r"([0-9]{1,2})W", item):
            nearest.add(_number(match[1], DAYS))
        else:
            days |= _numbers_of_item(item, DAYS)
    return MonthDays(frozenset(days), frozenset(last), frozenset(nearest), last_weekday)


def week_days(text: str) -> WeekDays:
    """The day-of-week field. Errors: MalformedSchedule."""
    days: set[int] = set()
    last: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for item in text.split(","):
        if item == "L":
            days.add(WEEKDAYS.high)  # Saturday, the last day of the week
        elif item.endswith("L"):
            last.add(_number(item[:-1], WEEKDAYS))
        elif "#" in item:
            day, _, which = item.partition("#")
            if which not in {"1", "2", "3", "4", "5"}:
                raise _unreadable(item, WEEKDAYS)
            nth.add((_number(day, WEEKDAYS), int(which)))
        else:
            days |= _numbers_of_item(item, WEEKDAYS)
    return WeekDays(frozenset(days), frozenset(last), frozenset(nth))


def _numbers_of_item(item: str, field: Range) -> frozenset[int]:
    base, slash, step_text = item.partition("/")
    step = 1
    if slash:
        step = _step(step_text, item, field)
    if base == "*" or (slash and not base):
        return frozenset(range(field.low, field.high + 1, step))
    start_text, dash, end_text = base.partition("-")
    start = _number(start_text, field)
    if not dash:
        return frozenset(range(start, field.high + 1, step)) if slash else frozenset({start})
    end = _number(end_text, field)
    if start <= end:
        return frozenset(range(start, end + 1, step))
    if not field.wraps:
        msg = f"the range {item!r} of the {field.name} runs backwards"
        raise MalformedSchedule(msg)
    size = field.high - field.low + 1
    return frozenset((number - field.low) % size + field.low for number in range(start, end + size + 1, step))


def _step(text: str, item: str, field: Range) -> int:
    if not _NUMBER.match(text) or not 0 < int(text) <= field.high - field.low + 1:
        msg = f"the step of {item!r} in the {field.name} is no number from 1 to {field.high - field.low + 1}"
        raise MalformedSchedule(msg)
    return int(text)


def _number(text: str, field: Range) -> int:
    number = field.words.get(text)
    if number is None and _NUMBER.match(text):
        number = int(text)
    if number is None or not field.low <= number <= field.high:
        raise _unreadable(text, field)
    return number


def _unreadable(text: str, field: Range) -> MalformedSchedule:
    words = f", or {', '.join(field.words)}" if field.words else ""
    msg = f"{text!r} is no {field.name}: use numbers from {field.low} to {field.high}{words}"
    return MalformedSchedule(msg)


def _nearest_weekday(year: int, month: int, day: int, length: int) -> int:
    """The weekday nearest to a day, never in another month (Quartz's W)."""
    weekday = date(year, month, day).weekday()
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < length else day - 2
    return day
