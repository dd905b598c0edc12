# SPDX-License-Identifier: Apache-2.0
"""Moments as service models write them: seconds of the epoch, ISO 8601, and the form of HTTP's own headers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from .errors import WireMismatch

EPOCH, ISO, HTTP = "unixTimestamp", "iso8601", "rfc822"
RANGE = (-62135596800.0, 253402300799.0)  # epoch seconds of the years 1 to 9999, all that datetime can hold
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,9})?", re.ASCII)


def _epoch(moment: float) -> float:
    """AWS sends milliseconds, as a fraction. Integers stay integers."""
    if not math.isfinite(moment):
        raise WireMismatch(f"{moment} is no moment in time")
    return round(moment, 3)


def _iso8601(moment: float) -> str:
    when = datetime.fromtimestamp(round(moment, 3), UTC)
    return _seconds(when) + (f".{when.microsecond // 1000:03d}Z" if when.microsecond >= 1000 else "Z")


def _seconds(when: datetime) -> str:
    return when.replace(microsecond=0, tzinfo=None).isoformat()  # strftime writes the year 1 without its zeros


def _rfc822(moment: float) -> str:
    return format_datetime(datetime.fromtimestamp(math.floor(moment), UTC), usegmt=True)


WRITERS: Mapping[str, Callable[[Any], Any]] = {EPOCH: _epoch, ISO: _iso8601, HTTP: _rfc822}


def read_text(text: Any, form: str) -> Any:
    """The epoch seconds that *text* tells in *form*; *text* itself where it tells none, for validation to refuse."""
    if not isinstance(text, str):
        return text
    try:
        if form == EPOCH:
            return float(text) if _NUMBER.fullmatch(text) else text
        when = datetime.fromisoformat(text) if form == ISO else parsedate_to_datetime(text)
        return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        return text
