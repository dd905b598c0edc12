# SPDX-License-Identifier: Apache-2.0
"""Waking the polls that are parked in this process. Only a hint: whoever is not woken looks again by himself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence


class Waking:
    """
    One event for each node that is waiting here.

    The newest poll of a node counts (design D9): the one before it belongs to a connection that the node has given up, and
    what it took would reach nobody.
    """

    def __init__(self) -> None:
        self._parked: dict[str, asyncio.Event] = {}
        self._open = True
        self._listeners: list[Callable[[Sequence[str]], None]] = []

    def listen(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Tell *listener* of every node that is woken from now on, in the same turn of the event loop."""
        self._listeners.append(listener)

    def wake(self, instance_ids: Iterable[str]) -> None:
        """Let the polls of these nodes look again."""
        woken = list(instance_ids)
        for listener in self._listeners:
            listener(woken)
        for instance_id in woken:
            event = self._parked.get(instance_id)
            if event is not None:
                event.set()

    async def wait(self, instance_id: str, event: asyncio.Event, *, seconds: float) -> bool:
        """Wait until *event* is set or *seconds* have passed; whether it is still the one that counts for the node."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        return self._open and self._parked.get(instance_id) is event

    def close(self) -> None:
        """Let every poll answer at once, those to come as well: the server is about to stop."""
        self._open = False
        for event in self._parked.values():
            event.set()

    @property
    def open(self) -> bool:
        """Whether polls may wait: the server is not about to stop."""
        return self._open

    def park(self, instance_id: str) -> asyncio.Event:
        """
        An event that `wake` sets for this node, until it is left. Park first, then look: nothing is missed.

        Whoever was parked for the node before is set, and does not count any more.
        """
        before = self._parked.pop(instance_id, None)
        if before is not None:
            before.set()
        event = self._parked[instance_id] = asyncio.Event()
        if not self._open:
            event.set()
        return event

    def is_parked(self, instance_id: str) -> bool:
        """Whether a poll of the node waits here."""
        return instance_id in self._parked

    def leave(self, instance_id: str, event: asyncio.Event) -> None:
        """Forget an event."""
        if self._parked.get(instance_id) is event:
            del self._parked[instance_id]
