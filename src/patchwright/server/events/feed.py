# SPDX-License-Identifier: Apache-2.0
"""Events as they come, for whoever reads along. The reader says where it stands; nothing is kept for it."""

from __future__ import annotations

from typing import NamedTuple

from patchwright.server.accounts import Scope
from patchwright.server.events import store
from patchwright.server.events.model import Event
from patchwright.server.events.pattern import compiled
from patchwright.server.infra import Database, UnitOfWork

PAGE = 100


class Part(NamedTuple):
    """
    What came after a position: the events that are wanted, and the position after which to ask next.

    *lost*: events before these were removed, being too old, and were not read. *full*: there may be more at once.
    """

    events: list[Event]
    position: int
    lost: bool
    full: bool


class Feed:
    """The events of every account, in the order of their numbers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def head(self, scope: Scope) -> int:
        """The position after which nothing has come yet."""
        return await self._database.read(store.head, scope)

    async def after(self, scope: Scope, position: int, *, pattern: str = "") -> Part:
        """
        What came after *position*, which is no higher than the head. Errors: InvalidPattern.

        Reads one row while nothing is new.
        """
        wanted = compiled(pattern) if pattern else None
        head, found = await self._database.read(_after, scope, position)
        if not found:  # those in between, if there are any, were removed
            return Part([], head, lost=head > position, full=False)
        shown = [event for event in found if wanted is None or wanted.matches(event.envelope)]
        last = found[-1].sequence
        return Part(shown, last, lost=found[0].sequence > position + 1, full=len(found) == PAGE)


def _after(scope: Scope, position: int) -> UnitOfWork[tuple[int, list[Event]]]:
    head = yield from store.head(scope)
    if head <= position:
        return head, []
    return head, (yield from store.after(scope, position, PAGE))
