# SPDX-License-Identifier: Apache-2.0
"""A clock that tests set."""

from __future__ import annotations

import asyncio


class FakeClock:
    """A Clock whose time passes only when told to, or when someone sleeps on it (without waiting)."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)
