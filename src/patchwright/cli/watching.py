# SPDX-License-Identifier: Apache-2.0
"""Looking again and again until something has come about, while the server may be away for a time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from patchwright.cli.clock import Clock
from patchwright.cli.errors import Unreachable
from patchwright.cli.program import REFUSED

PAUSE_SECONDS = 1.0
SILENCE_SECONDS = 300.0  # how long a server that does not answer is asked again

Found = TypeVar("Found")


def looked_until(look: Callable[[], Found | None], *, clock: Clock, first_pause: float = PAUSE_SECONDS) -> Found:
    """
    What *look* answers when it answers anything but None.

    The pauses between double from *first_pause* to a second. A server that is restarted meanwhile is asked again. Raises
    Unreachable when it stays away, and whatever else *look* does.
    """
    heard, pause = clock.monotonic(), first_pause
    while True:
        try:
            found = look()
            heard = clock.monotonic()
        except Unreachable:
            if clock.monotonic() - heard > SILENCE_SECONDS:
                raise
        else:
            if found is not None:
                return found
        clock.sleep(pause)
        pause = min(2 * pause, PAUSE_SECONDS)


def left_alone(command_id: str, why: str) -> int:
    """Say that *command_id* goes on though nobody watches it any more; answers the exit code."""
    print(
        f"{why}. The command {command_id} goes on at the nodes; `patchwright command show {command_id}` shows what comes"
        " of it.",
        file=sys.stderr,
    )
    return REFUSED
