# SPDX-License-Identifier: Apache-2.0
"""
Other people's cron: croniter and cronsim, asked for what they and AWS's cron define alike.

Theirs has five fields, `*` for `?`, and 0 for Sunday. What they cannot read (None) is AWS's own, or Quartz's.
"""

from __future__ import annotations

import re
from datetime import datetime

from croniter import CroniterError, croniter
from cronsim import CronSim, CronSimError

_NUMBERED = re.compile(r"(?<![#/0-9])([1-7])(?![0-9])")


def in_five_fields(expression: str) -> str | None:
    """*expression* as their cron writes it, None for what that cannot say: seconds, some of the years, day sevens in ranges."""
    fields = expression[5:-1].upper().split()
    if len(fields) != 6 or fields[5] != "*":
        return None
    minutes, hours, of_month, month, of_week, _ = fields
    numbered = _NUMBERED.sub(lambda match: str(int(match[1]) - 1), of_week)
    return " ".join([minutes, hours, of_month.replace("?", "*"), month, numbered.replace("?", "*")])


def of_croniter(expression: str, after: datetime, count: int) -> list[datetime] | None:
    """The next *count* firings by croniter."""
    try:
        times = croniter(expression, after)
        return [times.get_next(datetime) for _ in range(count)]
    except (CroniterError, ValueError, KeyError):
        return None


def of_cronsim(expression: str, after: datetime, count: int) -> list[datetime] | None:
    """The next *count* firings by cronsim."""
    try:
        times = CronSim(expression, after)
        return [next(times) for _ in range(count)]
    except (CronSimError, StopIteration):
        return None
