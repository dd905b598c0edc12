# SPDX-License-Identifier: Apache-2.0
"""How often who may ask: token buckets, each kept as the one moment at which it would be full again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_SWEPT_AT = 1024


@dataclass(frozen=True, slots=True)
class Rate:
    """*each_second* in the long run, *burst* at once."""

    each_second: float
    burst: float


class Rates:
    """
    A bucket for everybody who asks, full at first. Times are of *monotonic*, in seconds.

    A bucket that is full again is forgotten, so memory grows with those who asked a moment ago.
    """

    def __init__(self, rate: Rate, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._full_at: dict[str, float] = {}
        self._sweep_at = _SWEPT_AT

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, who: str, *, cost: float = 1.0) -> float:
        """0.0 where *cost* was taken from the bucket of *who*, else in how many seconds there would be enough."""
        now = self._monotonic()
        full_at = self._full_at.get(who, now)
        rate = self._rate
        wait = full_at - now - (rate.burst - min(cost, rate.burst)) / rate.each_second
        if wait > 0:
            return wait
        self._charge(who, now, (full_at if full_at > now else now) + cost / rate.each_second)
        return 0.0

    def charge(self, who: str) -> None:
        """Take one, whatever there is: a bucket in debt has to be filled first."""
        now = self._monotonic()
        self._charge(who, now, max(self._full_at.get(who, now), now) + 1 / self._rate.each_second)

    def _charge(self, who: str, now: float, full_at: float) -> None:
        self._full_at[who] = full_at
        if len(self._full_at) >= self._sweep_at:
            self._full_at = {one: moment for one, moment in self._full_at.items() if moment > now}
            self._sweep_at = max(_SWEPT_AT, 2 * len(self._full_at))
