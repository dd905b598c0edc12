# SPDX-License-Identifier: Apache-2.0
"""The command line's only reader of the clock, and the only place where it waits."""

from __future__ import annotations

import time


class Clock:
    """The system's clock. Tests put one of their own in its place, with the same three methods."""

    def now(self) -> float:
        """Epoch seconds."""
        return time.time()  # noqa: TID251 - see the module

    def monotonic(self) -> float:
        """Seconds since some moment; never jumps."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)  # noqa: TID251 - see the module
