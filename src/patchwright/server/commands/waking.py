# SPDX-License-Identifier: Apache-2.0
"""Waking the polls that are parked in this process. Only a hint: whoever is not woken looks again by himself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class Waking:
    """One event for each node that is waiting here."""

    def __init__(self) -> None:
        self._parked: dict[str, set[asyncio.Event]] = {}

    def wake(self, instance_ids: Iterable[str]) -> None:
        """Let the polls of these nodes look again."""
        for instance_id in instance_ids:
            for event in self._parked.get(instance_id, ()):
                event.set()

    async def wait(self, instance_id: str, event: asyncio.Event, *, seconds: float) -> None:
        """Wait until *event*, which was parked for the node, is set or *seconds* have passed."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return

    def park(self, instance_id: str) -> asyncio.Event:
        """An event that `wake` sets for this node, until it is left. Park first, then look: nothing is missed."""
        event = asyncio.Event()
        self._parked.setdefault(instance_id, set()).add(event)
        return event

    def leave(self, instance_id: str, event: asyncio.Event) -> None:
        """Forget an event."""
        parked = self._parked.get(instance_id, set())
        parked.discard(event)
        if not parked:
            self._parked.pop(instance_id, None)
