# SPDX-License-Identifier: Apache-2.0
"""
What the nodes of a patch group reported last (spec §3.2).

A node is in the group that its tags name today; what is said of it is its last operation's (design D5). A group may have
every node of a fleet, so it is read in portions, each a short read of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.infra import Database, UnitOfWork
from patchwright.server.patching import operation_store as store
from patchwright.server.patching.model import Bound, LastOperation

_PORTION = 1_000  # nodes of one read, a few milliseconds
_LOOKED_AT = 20_000  # nodes that one page looks through for those within its bounds


class Groups:
    """The nodes of patch groups."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def state(self, scope: Scope, group: str) -> tuple[int, Mapping[str, int]]:
        """How many nodes a group has, and by counter how many of them had at least one after their last operation."""
        count, total, after = 0, Counter[str](), ""
        while True:
            ids, counted = await self._database.read(_tallied, scope, group, after=after)
            count += len(ids)
            total.update(counted)
            if len(ids) < _PORTION:
                return count, total
            after = ids[-1]

    async def last(
        self, scope: Scope, group: str, bounds: Sequence[Bound] = (), *, after: str = "", limit: int
    ) -> tuple[list[LastOperation], str | None]:
        """
        Up to *limit* last operations within all of *bounds*, of nodes that come after *after*, in order of the nodes' ids.

        The second is what the next page comes after, None on the last; a page may be shorter, even empty, before that.
        """
        found: list[LastOperation] = []
        portion = _PORTION if bounds else limit + 1
        for _ in range(max(_LOOKED_AT // portion, 1)):
            ids, some = await self._database.read(
                _last, scope, group, bounds, after=after, portion=portion, limit=limit + 1 - len(found)
            )
            found += some
            if len(found) > limit:
                return found[:limit], found[limit - 1].operation.instance_id
            if len(ids) < portion:
                return found, None
            after = ids[-1]
        return found, after


def _tallied(scope: Scope, group: str, *, after: str) -> UnitOfWork[tuple[list[str], dict[str, int]]]:
    ids = yield from tags.in_patch_group(scope, group, after=after, limit=_PORTION)
    return ids, (yield from store.tally(scope, ids))


def _last(
    scope: Scope, group: str, bounds: Sequence[Bound], *, after: str, portion: int, limit: int
) -> UnitOfWork[tuple[list[str], list[LastOperation]]]:
    ids = yield from tags.in_patch_group(scope, group, after=after, limit=portion)
    return ids, (yield from store.last_of_each(scope, ids, bounds, limit=limit))
