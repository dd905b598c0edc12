# SPDX-License-Identifier: Apache-2.0
"""
Questions over all nodes: which match, and how many have what.

Nodes are read page by page, each distinct content is evaluated once, and what a content answers is remembered by its
digest: the digest names the rows, so the answer never changes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from patchwright.core.inventory import Row
from patchwright.server.accounts import Scope
from patchwright.server.infra import Database
from patchwright.server.inventory import derived, store
from patchwright.server.inventory.aggregate import Aggregator, Group, Tally, Values, values_of
from patchwright.server.inventory.derived import Moment, Shown
from patchwright.server.inventory.query import Condition, Filter, any_row

_BATCH = 500  # nodes of one read
_TOGETHER = 50  # contents taken apart at a time, about 0.3 MB each
_LOOKED_AT = 20_000  # nodes looked at for one page of matches
_TAKEN_APART = 1_000  # contents taken apart for one page of matches
_REMEMBERED = 100_000  # answers

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")
Filters: TypeAlias = tuple[Filter, ...]
Answers: TypeAlias = dict[tuple[str, Filters], bool]


class Counted(NamedTuple):
    """What came of one aggregator: rows of *type_name*, or how many nodes match each group and how many do not."""

    type_name: str
    rows: Sequence[Row] = ()
    groups: Sequence[tuple[Group, int, int]] = ()


class Fleet:
    """The nodes of an account and region, looked at by what they show."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._answers: Answers = {}

    async def matching(
        self, scope: Scope, condition: Condition, *, after: str, limit: int, moment: Moment
    ) -> tuple[list[Shown], str]:
        """
        Up to *limit* nodes that match, in order of id, and the id after which to go on, empty at the end.

        The page is shorter where enough was looked at.
        """
        found: list[Shown] = []
        answers: Answers = {}
        looked_at = taken_apart = 0
        size = _BATCH if condition.types else limit + 1
        async for batch in self._batches(scope, condition.types, after=after, size=size, moment=moment):
            taken_apart += await self._learn(scope, [condition], batch, answers)
            for one in batch:
                if _matches(condition, one, answers):
                    if len(found) == limit:
                        return found, found[-1].node.id
                    found.append(one)
            looked_at += len(batch)
            if len(batch) == size and (looked_at >= _LOOKED_AT or taken_apart >= _TAKEN_APART):
                return found, batch[-1].node.id
        return found, ""

    async def counted(
        self, scope: Scope, condition: Condition, aggregators: Sequence[Aggregator], *, moment: Moment
    ) -> list[Counted]:
        """What came of each of *aggregators* over the nodes that match. Raises MalformedAggregator."""
        lines = [[Tally(path) for path in one.paths] for one in aggregators]
        tallies = [tally for line in lines for tally in line]
        groups = {group.name: group.condition for one in aggregators for group in one.groups}
        matched = Counter[str]()
        types = condition.types.union(*(one.types for one in aggregators))
        answers: Answers = {}
        total = 0
        async for batch in self._batches(scope, types, after="", size=_BATCH, moment=moment):
            await self._learn(scope, [condition, *groups.values()], batch, answers)
            kept = [one for one in batch if _matches(condition, one, answers)]
            total += len(kept)
            for name, wanted in groups.items():
                matched[name] += sum(_matches(wanted, one, answers) for one in kept)
            for one, tally in itertools.product(kept, tallies):
                _see(tally, one)
        values = await self._projections(scope, tallies)
        return [
            Counted(
                one.paths[0].types[0] if one.paths else "",
                [row for tally in line for row in tally.rows(lambda key, names: _projected(values, key, names))],
                [(group, matched[group.name], total - matched[group.name]) for group in one.groups],
            )
            for one, line in zip(aggregators, lines, strict=True)
        ]

    async def _batches(
        self, scope: Scope, types: Collection[str], *, after: str, size: int, moment: Moment
    ) -> AsyncIterator[list[Shown]]:
        while True:
            batch = await self._database.read(derived.page, scope, types, after=after, limit=size, moment=moment)
            if batch:
                yield batch
            if len(batch) < size:
                return
            after = batch[-1].node.id

    async def _learn(
        self, scope: Scope, conditions: Iterable[Condition], batch: Sequence[Shown], answers: Answers
    ) -> int:
        """Put the answers of every content that the nodes of *batch* are asked about; answers how many were taken apart."""
        asked: dict[str, set[Filters]] = {}
        for condition in conditions:
            for type_name, filters in condition.by_type.items():
                for digest in {one.types[type_name].digest for one in batch if type_name in one.types} - {""}:
                    if (digest, filters) in answers:
                        continue
                    known = self._answers.get((digest, filters))
                    if known is None:
                        asked.setdefault(digest, set()).add(filters)
                    else:
                        answers[digest, filters] = known
        found = await self._each(scope, asked, any_row)
        answers.update(found)
        self._answers.update(found)
        while len(self._answers) > _REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return len(asked)

    async def _projections(self, scope: Scope, tallies: Sequence[Tally]) -> dict[tuple[str, Values], frozenset[Values]]:
        """The values of every stored content that *tallies* saw, by its digest and the attributes."""
        wanted: dict[str, set[Values]] = {}
        for tally in tallies:
            for digest, names in tally.stored():
                wanted.setdefault(digest, set()).add(names)
        return await self._each(scope, wanted, values_of)

    async def _each(
        self, scope: Scope, asked: Mapping[str, Collection[Q]], answer: Callable[[Q, list[Row]], A]
    ) -> dict[tuple[str, Q], A]:
        """
        By digest and question, the answer of the rows under the digest; off the event loop.

        Contents that are gone meanwhile have none: what is not here is not remembered.
        """
        digests = sorted(asked)
        results: dict[tuple[str, Q], A] = {}
        for start in range(0, len(digests), _TOGETHER):
            part = digests[start : start + _TOGETHER]
            contents = await self._database.read(store.contents, scope, part)
            results.update(await asyncio.to_thread(_answered, asked, contents, answer))
        return results


def _answered(
    asked: Mapping[str, Collection[Q]], contents: Mapping[str, bytes], answer: Callable[[Q, list[Row]], A]
) -> dict[tuple[str, Q], A]:
    found = {}
    for digest, content in contents.items():
        rows = store.unpacked(content)
        found.update({(digest, question): answer(question, rows) for question in asked[digest]})
    return found


def _matches(condition: Condition, one: Shown, answers: Answers) -> bool:
    """Whether a node matches, whose contents are learnt."""
    if not all(wanted & one.types.keys() for wanted in condition.exists):
        return False
    for type_name, filters in condition.by_type.items():
        reported = one.types.get(type_name)
        if reported is None:
            return False
        if reported.digest and not answers.get((reported.digest, filters)):
            return False
        if not reported.digest and not any_row(filters, reported.rows):
            return False
    return True


def _see(tally: Tally, one: Shown) -> None:
    """Count a node that has something of every type of the path."""
    keys: list[object] = []
    for type_name in tally.path.types:
        reported = one.types.get(type_name)
        if reported is None:
            return
        keys.append(reported.digest or values_of(tally.path.of(type_name), reported.rows))
    tally.see(tuple(keys))


def _projected(
    projections: dict[tuple[str, Values], frozenset[Values]], key: object, names: Values
) -> frozenset[Values]:
    if isinstance(key, frozenset):
        return key
    return projections.get((str(key), names), frozenset())
