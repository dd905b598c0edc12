# SPDX-License-Identifier: Apache-2.0
"""When the time of a step is up. The node's clock may be wrong, and set right meanwhile: the server's is what counts."""

from __future__ import annotations

from typing import Any, Dict

from patchwright.agent.client import OFFSET_WORTH_LEARNING_SECONDS, Client
from patchwright.agent.clock import Clock


def server_time(client: Client, clock: Clock) -> float:
    """The server's time, in epoch seconds, as well as the last answer told it; the node's where both agree nearly."""
    offset = client.clock_offset
    return clock.now() + (offset if abs(offset) >= OFFSET_WORTH_LEARNING_SECONDS else 0.0)


class Deadline:
    """
    The end of *seconds* from now on, or of those that *kept* tells of: a part of the journal, {} at first, changed in place.

    Nothing is late before this process has heard the server: how late it is nobody knows.
    """

    def __init__(self, kept: Dict[str, Any], *, seconds: float, client: Client, clock: Clock) -> None:
        self._kept = kept
        self._client = client
        self._clock = clock
        self.seconds = seconds
        if not kept:
            kept.update(at=server_time(client, clock) + seconds, known=bool(client.clock_offset))

    def left(self) -> float:
        """Seconds until then; 0 or less where it is past."""
        if not self._client.clock_offset:
            return self.seconds
        now = server_time(self._client, self._clock)
        if not self._kept["known"]:
            self._kept.update(at=self._kept["at"] + now - self._clock.now(), known=True)
        return float(self._kept["at"]) - now
