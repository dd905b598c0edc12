# SPDX-License-Identifier: Apache-2.0
"""Time, days and pauses."""

from __future__ import annotations

import datetime
import time

import pytest

from patchwright.server.infra import SystemClock, backoff, today


async def test_the_system_clock_tells_epoch_seconds_and_never_steps_back() -> None:
    """`now` is UTC epoch time; `monotonic` grows by at least what was slept."""
    clock = SystemClock()
    before, started = time.time(), clock.monotonic()
    await clock.sleep(0.001)

    assert before <= clock.now() <= time.time()
    assert clock.monotonic() - started >= 0.001


@pytest.mark.parametrize(
    ("moment", "day"),
    [(0.0, "1970-01-01"), (1_795_132_799.999, "2026-11-19"), (1_795_132_800.0, "2026-11-20")],
)
def test_the_day_is_utc(moment: float, day: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day begins at midnight UTC, wherever the server stands."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        assert today(moment) == datetime.date.fromisoformat(day)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_pauses_grow_are_bounded_and_differ() -> None:
    """Full jitter: from zero to first · 2^(n-1), never above the most."""
    for attempt, most in ((1, 0.1), (2, 0.2), (3, 0.4), (10, 1.0), (2000, 1.0)):
        drawn = [backoff(attempt, first=0.1, most=1.0) for _ in range(200)]
        assert 0.0 <= min(drawn) < most / 4
        assert most * 3 / 4 < max(drawn) <= most
