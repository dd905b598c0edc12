# SPDX-License-Identifier: Apache-2.0
"""The server's only reader of the clock. Everything below the edges takes `now` as an argument."""

from __future__ import annotations

import asyncio
import datetime
import secrets
import time
from typing import Protocol

_DICE = secrets.SystemRandom()


class Clock(Protocol):
    """Where the time comes from. Two implementations: the system's, and the tests'."""

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z, UTC. May step: the machine's clock can be set."""
        ...

    def monotonic(self) -> float:
        """Seconds since an unnamed moment. Never steps; for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since an unnamed moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        await asyncio.sleep(seconds)


def today(now: float) -> datetime.date:
    """The UTC day of *now* (epoch seconds)."""
    return datetime.datetime.fromtimestamp(now, datetime.UTC).date()


def backoff(attempt: int, *, first: float, most: float) -> float:
    """
    Seconds to wait before trying again after *attempt* failures (1, 2, …).

    Drawn evenly from zero up to *first* · 2^(attempt - 1), at most *most*, so that those who failed together do not
    meet again.
    """
    return _DICE.uniform(0.0, min(most, first * 2.0 ** min(attempt - 1, 64)))
