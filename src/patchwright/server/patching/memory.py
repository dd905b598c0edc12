# SPDX-License-Identifier: Apache-2.0
"""
What a process remembers of one database: things that never change once they are committed.

A unit of work may come to nothing, and be run again, so what it learns is remembered only after its transaction. The unit
takes its `memory.recall()` itself, a new one every time it is run, and hands it out with its result:

    directive, recall = await database.write(unit, …, memory)
    memory.keep(recall)
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

_KEPT = 16_384  # things of about 2 KB; a fleet of 100,000 nodes has a few ten thousand distinct sets of packages


class Recall:
    """One unit of work's view of the memory, and what it learned."""

    def __init__(self, known: dict[Hashable, Any]) -> None:
        self._known = known
        self.learned: dict[Hashable, Any] = {}

    def get(self, key: Hashable) -> Any:
        """What was committed under *key* and is still remembered, or None."""
        return self._known.get(key)

    def put(self, key: Hashable, value: Any) -> None:
        """Learn *value*, which is in the database as of this transaction and will not change."""
        self.learned[key] = value


class Memory:
    """What was learned last, the oldest of it forgotten first."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}

    def recall(self) -> Recall:
        """For one unit of work."""
        return Recall(self._known)

    def keep(self, recall: Recall) -> None:
        """Remember what a unit learned whose transaction is committed."""
        self._known.update(recall.learned)
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
