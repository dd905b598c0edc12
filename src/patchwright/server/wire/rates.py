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
        wait = self.wait(who, cost=cost)
        if wait <= 0:
            self.charge(who, cost=cost)
            return 0.0
        return wait

    def wait(self, who: str, *, cost: float = 1.0) -> float:
        """In how many seconds there is *cost* in the bucket of *who*; 0.0 or less: now. Nothing is taken."""
        full_at = self._full_at.get(who)
        if full_at is None:
            return 0.0
        return full_at - self._monotonic() - (self._rate.burst - min(cost, self._rate.burst)) / self._rate.each_second

    def charge(self, who: str, *, cost: float = 1.0) -> None:
        """Take *cost*, whatever there is: a bucket in debt has to be filled first."""
        now = self._monotonic()
        self._full_at[who] = max(self._full_at.get(who, now), now) + cost / self._rate.each_second
        if len(self._full_at) >= self._sweep_at:
            self._full_at = {one: moment for one, moment in self._full_at.items() if moment > now}
            self._sweep_at = max(_SWEPT_AT, 2 * len(self._full_at))
