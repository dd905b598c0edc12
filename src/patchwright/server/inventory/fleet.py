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
from patchwright.server.inventory import contents, derived, store
from patchwright.server.inventory.aggregate import Aggregator, Common, Group, Key, Shared, Tally, Values, values_of
from patchwright.server.inventory.contents import Content
from patchwright.server.inventory.derived import Moment, Shown
from patchwright.server.inventory.model import DERIVED_TYPES, Part, Reported
from patchwright.server.inventory.query import Condition, Filter, any_row, speak_of_all

_BATCH = 500  # nodes of one read
_LIGHTER = 10  # times a node costs less where only its content is looked at
_TOGETHER = 50  # contents taken apart at a time, about 0.3 MB each
_LOOKED_AT = 20_000  # nodes looked at for one page of matches
_TAKEN_APART = 250  # contents taken apart for one page of matches
_REMEMBERED = 100_000  # answers

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")
Filters: TypeAlias = tuple[Filter, ...]
Answers: TypeAlias = dict[tuple[Shared, Filters], bool]
Projections: TypeAlias = dict[tuple[Shared, Values], frozenset[Values]]


class Counted(NamedTuple):
    """What came of one aggregator: rows of *type_name*, or how many nodes match each group and how many do not."""

    type_name: str
    rows: Sequence[Row] = ()
    groups: Sequence[tuple[Group, int, int]] = ()


class _Look(NamedTuple):
    """Nodes looked at, up to the id *last*, empty where they are the last of all; what that cost, in nodes and contents."""

    shown: Sequence[Shown]
    last: str
    cost: int
    taken_apart: int


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
        cost = taken_apart = 0
        async for look in self._looks(scope, condition, answers, after=after, limit=limit, moment=moment):
            for one in look.shown:
                if _matches(condition, one, answers):
                    if len(found) == limit:
                        return found, found[-1].node.id
                    found.append(one)
            cost += look.cost
            taken_apart += look.taken_apart
            if look.last and (cost >= _LOOKED_AT or taken_apart >= _TAKEN_APART):
                return found, look.last
        return found, ""

    async def _looks(
        self, scope: Scope, condition: Condition, answers: Answers, *, after: str, limit: int, moment: Moment
    ) -> AsyncIterator[_Look]:
        """The nodes that may match, in order of id, their contents learnt."""
        leading = next((name for name in condition.by_type if name not in DERIVED_TYPES), None)
        if leading is not None:
            async for look in self._led(scope, condition, answers, leading, after=after, moment=moment):
                yield look
            return
        size = _BATCH if condition.types else limit + 1
        async for batch in self._batches(scope, condition.types, after=after, size=size, moment=moment):
            taken_apart = await self._learn(scope, [condition], batch, answers)
            last = batch[-1].node.id if len(batch) == size else ""
            yield _Look(batch, last, len(batch), taken_apart)

    async def _led(
        self, scope: Scope, condition: Condition, answers: Answers, leading: str, *, after: str, moment: Moment
    ) -> AsyncIterator[_Look]:
        """The same where something is asked of a type that nodes report: only those whose content answers are looked at."""
        filters = condition.by_type[leading]
        while True:
            rows = await self._database.read(store.bound, scope, leading, after=after, limit=_BATCH)
            last = rows[-1][0] if len(rows) == _BATCH else ""
            taken_apart = await self._know(scope, {((digest, ()), filters) for _, digest in rows}, answers)
            ids = [instance_id for instance_id, digest in rows if answers.get(((digest, ()), filters))]
            for start in range(0, len(ids), _BATCH):
                part = ids[start : start + _BATCH]
                shown = await self._database.read(derived.known, scope, part, condition.types, moment=moment)
                taken_apart += await self._learn(scope, [condition], shown, answers)
                end = last if part[-1] == ids[-1] else part[-1]
                yield _Look(shown, end, len(part), taken_apart)
                taken_apart = 0
            yield _Look([], last, len(rows) // _LIGHTER, taken_apart)
            if not last:
                return
            after = last

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
        asked = set()
        for condition in conditions:
            for type_name, filters in condition.by_type.items():
                names = {one.attribute for one in filters}
                reports = (one.types[type_name] for one in batch if type_name in one.types)
                asked |= {(_shared(part, names), filters) for reported in reports for part in reported.parts}
        return await self._know(scope, asked, answers)

    async def _know(self, scope: Scope, asked: Iterable[tuple[Shared, Filters]], answers: Answers) -> int:
        """Put what is *asked* of contents into *answers*; answers how many contents were taken apart for it."""
        unknown: dict[Shared, set[Filters]] = {}
        for question in asked:
            known = answers.get(question, self._answers.get(question))
            if known is None:
                unknown.setdefault(question[0], set()).add(question[1])
            else:
                answers[question] = known
        found = await self._each(scope, unknown, any_row)
        answers.update(found)
        self._answers.update(found)
        while len(self._answers) > _REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return len({digest for digest, _ in unknown})

    async def _projections(self, scope: Scope, tallies: Sequence[Tally]) -> Projections:
        """The values of every stored content that *tallies* saw, by what it is and the attributes."""
        wanted: dict[Shared, set[Values]] = {}
        for tally in tallies:
            for shared, names in tally.stored():
                wanted.setdefault(shared, set()).add(names)
        return await self._each(scope, wanted, values_of)

    async def _each(
        self, scope: Scope, asked: Mapping[Shared, Collection[Q]], answer: Callable[[Q, list[Row]], A]
    ) -> dict[tuple[Shared, Q], A]:
        """
        By content and question, the answer of its rows; off the event loop.

        Contents that are gone meanwhile have none: what is not here is not remembered.
        """
        digests = sorted({digest for digest, _ in asked})
        results: dict[tuple[Shared, Q], A] = {}
        by_digest: dict[str, list[Shared]] = {}
        for shared in asked:
            by_digest.setdefault(shared[0], []).append(shared)
        for start in range(0, len(digests), _TOGETHER):
            part = digests[start : start + _TOGETHER]
            loaded = await self._database.read(contents.load, scope, part)
            of_part = {digest: [(one[1], asked[one]) for one in by_digest[digest]] for digest in loaded}
            results.update(await asyncio.to_thread(_answered, of_part, loaded, answer))
        return results


def _answered(
    asked: Mapping[str, Collection[tuple[Common, Collection[Q]]]],
    loaded: Mapping[str, Content],
    answer: Callable[[Q, list[Row]], A],
) -> dict[tuple[Shared, Q], A]:
    found = {}
    for digest, several in asked.items():
        plain = contents.unpacked(loaded[digest])
        for common, questions in several:
            rows = [{**row, **dict(common)} for row in plain] if common else list(plain)
            found.update({((digest, common), question): answer(question, rows) for question in questions})
    return found


def _shared(part: Part, names: Collection[str]) -> Shared:
    return part.digest, tuple(pair for pair in part.common if pair[0] in names)


def _matches(condition: Condition, one: Shown, answers: Answers) -> bool:
    """Whether a node matches, whose contents are learnt."""
    return all(wanted & one.types.keys() for wanted in condition.exists) and all(
        type_name in one.types and _answers_to(one.types[type_name], filters, answers)
        for type_name, filters in condition.by_type.items()
    )


def _answers_to(reported: Reported, filters: Filters, answers: Answers) -> bool:
    if not reported.parts:
        return any_row(filters, reported.rows)
    names = {one.attribute for one in filters}
    found = (answers.get((_shared(part, names), filters), False) for part in reported.parts)
    return all(found) if speak_of_all(filters) else any(found)


def _see(tally: Tally, one: Shown) -> None:
    """Count a node that has something of every type of the path."""
    keys: list[Key] = []
    for type_name in tally.path.types:
        reported = one.types.get(type_name)
        if reported is None:
            return
        names = tally.path.of(type_name)
        if reported.parts:
            keys.append(tuple(_shared(part, names) for part in reported.parts))
        else:
            keys.append(values_of(names, reported.rows))
    tally.see(tuple(keys))


def _projected(projections: Projections, key: Key, names: Values) -> frozenset[Values]:
    if isinstance(key, frozenset):
        return key
    return frozenset().union(*(projections.get((shared, names), frozenset()) for shared in key))
