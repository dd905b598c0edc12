# SPDX-License-Identifier: Apache-2.0
"""The node's only reader of the clock, and the only place that sleeps or throws dice."""

from __future__ import annotations

import os
import time

QUICK_SECONDS = 1.0  # an empty answer to a poll that came sooner was not held by the server
QUICK_PAUSE_SECONDS = 2.0


class Clock:
    """The system's clock. Tests put one of their own in its place, with the same four methods."""

    def now(self) -> float:
        """Epoch seconds by the node's clock, which may be wrong and may jump."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some moment; never jumps, so deadlines and durations are counted with it."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait. An exception raised by a signal handler ends the wait."""
        if seconds > 0:
            time.sleep(seconds)

    def jitter(self, seconds: float) -> float:
        """A random number of seconds between 0 and *seconds* (full jitter)."""
        return seconds * int.from_bytes(os.urandom(7), "big") / (1 << 56)
