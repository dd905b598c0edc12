# SPDX-License-Identifier: Apache-2.0
"""Use cases of inventory (spec §1.8, §7.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from patchwright.core.inventory import INSTANCE_INFORMATION, MAX_ROWS, SCHEMAS, Row, Schema
from patchwright.server import nodes
from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.infra import ClientToken, Clock, Database, UnitOfWork, new_uuid
from patchwright.server.inventory import derived, puts, store
from patchwright.server.inventory.aggregate import AskedAggregator, aggregators
from patchwright.server.inventory.derived import Moment, Shown
from patchwright.server.inventory.fleet import Counted, Fleet
from patchwright.server.inventory.model import (
    CONTENT_FORMAT,
    WITH_SUB_TYPES,
    Deletion,
    Given,
    MalformedFilter,
    Packed,
    Reported,
    UnknownDeletion,
    UnknownResult,
    UnknownType,
    check,
    order_of,
    pack,
)
from patchwright.server.inventory.query import (
    Asked,
    Condition,
    Known,
    Operator,
    chosen,
    condition,
    fits,
    known_types,
)

_PAGE_VALUES = 100_000  # that one page of entities carries: ten thousand applications


@dataclass(frozen=True)
class Entity:
    """A node, and what it shows of the types that were asked for, each with its rows."""

    instance_id: str
    types: Sequence[tuple[Reported, Sequence[Row]]]


@dataclass(frozen=True)
class Outline:
    """A node, and what it shows of each type, without the rows that are stored; `Service.rows` has them."""

    instance_id: str
    types: Mapping[str, Reported]


@dataclass(frozen=True)
class Entries:
    """Rows of one type of a node, from *start* on. *reported* is None where it reported nothing of it."""

    version: str
    reported: Reported | None
    rows: Sequence[Row]
    more: bool


class Service:
    """The inventory of every account."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas, *, online_seconds: float) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas
        self._online_seconds = online_seconds
        self._fleet = Fleet(database)

    async def put(self, scope: Scope, instance_id: str, items: Sequence[Given]) -> list[str]:
        """
        Put *items*, each in the place of what the node had of its type; all of them or none.

        Answers the types that were ignored: custom ones that are disabled in that version. Errors: UnknownNode, and every
        error of the room that speaks of items.
        """
        quotas = self._quotas
        packed = await asyncio.to_thread(_checked, items, quotas.inventory_item_bytes, quotas.inventory_put_bytes)
        return await self._database.write(
            puts.put,
            scope,
            instance_id,
            items,
            packed,
            node_bytes=quotas.inventory_node_bytes,
            custom_limit=quotas.inventory_custom_types,
            now=self._clock.now(),
        )

    async def entities(
        self, scope: Scope, asked: Sequence[Asked], result_types: Sequence[str], *, after: str, limit: int
    ) -> tuple[list[Entity], str]:
        """
        Nodes that match, in order of id, with what they show of *result_types*, from the one that follows *after*.

        Answers the cursor of what follows, too, empty at the end. A page may be shorter than *limit*, and empty, where looking
        further would take long. Errors: MalformedFilter, UnknownType, UnknownResult.
        """
        known = await self._known(scope)
        if any(one.operator is Operator.EXISTS for one in asked):
            msg = "Exists goes with Aggregators."
            raise MalformedFilter(msg)
        types = tuple(dict.fromkeys(result_types)) or (INSTANCE_INFORMATION,)
        unknown = [name for name in types if name not in known]
        if unknown:
            msg = f"There is no inventory type {unknown[0]} to return."
            raise UnknownResult(msg)
        wanted, moment = condition(asked, known), self._moment()
        found, following = await self._fleet.matching(scope, wanted, after=after, limit=limit, moment=moment)
        shown = await self._database.read(derived.shown, scope, [one.node for one in found], types, moment=moment)
        return await self._with_rows(scope, shown, following)

    async def _with_rows(self, scope: Scope, shown: Sequence[Shown], following: str) -> tuple[list[Entity], str]:
        """Entities with their rows, as many as a page carries."""
        entities: list[Entity] = []
        carried = 0
        for one in shown:
            types = [(reported, await self.rows(scope, reported)) for reported in one.types.values()]
            carried += sum(len(row) for _, rows in types for row in rows)
            if entities and carried > _PAGE_VALUES:
                return entities, entities[-1].instance_id
            entities.append(Entity(one.node.id, types))
        return entities, following

    async def outline(self, scope: Scope, *, after: str, limit: int) -> list[Outline]:
        """Up to *limit* nodes in order of id, from the one that follows *after*, with what they show of every type."""
        types = await self._known(scope)
        found = await self._database.read(derived.page, scope, types, after=after, limit=limit, moment=self._moment())
        return [Outline(one.node.id, one.types) for one in found]

    async def counted(
        self, scope: Scope, asked: Sequence[Asked], by: Sequence[AskedAggregator], *, start: int
    ) -> tuple[list[Counted], int]:
        """
        How many of the nodes that match have what: one result for each aggregator, rows from *start* on.

        Answers where the next page of rows starts, too, 0 at the end. Errors: MalformedFilter, UnknownType, MalformedAggregator,
        MalformedGroup.
        """
        known = await self._known(scope)
        made, wanted = aggregators(by, known), condition(asked, known)
        found = await self._fleet.counted(scope, wanted, made, moment=self._moment())
        longest = max((len(one.rows) for one in found), default=0)
        part = [one._replace(rows=one.rows[start : start + MAX_ROWS]) for one in found]
        return part, start + MAX_ROWS if longest > start + MAX_ROWS else 0

    async def entries(
        self, scope: Scope, instance_id: str, type_name: str, asked: Sequence[Asked], *, start: int, limit: int
    ) -> Entries:
        """
        Rows of one type of a node that answer *asked*, whose keys may leave the type out; *limit* of them from *start* on.

        Errors: UnknownNode, UnknownType, MalformedFilter.
        """
        known = await self._known(scope)
        if type_name not in known:
            msg = f"There is no inventory type {type_name}."
            raise UnknownType(msg)
        filters = _of_type(asked, type_name, known).by_type.get(type_name, ())
        shown = await self._database.read(_of_node, scope, instance_id, type_name, moment=self._moment())
        reported = shown.types.get(type_name)
        if reported is None:
            schema = SCHEMAS.get(type_name)
            return Entries(schema.version if schema else "", None, (), more=False)
        rows = await self.rows(scope, reported)
        left = [row for row in rows if fits(filters, row)][start:]
        return Entries(reported.version, reported, left[:limit], more=len(left) > limit)

    async def schemas(self, scope: Scope, *, prefix: str, counted: bool, sub_types: bool) -> list[Schema]:
        """
        The types whose names begin with *prefix*, AWS's and the account's own, in order of name and version.

        *counted*: with nothing but the attributes that AWS names for aggregation. *sub_types*: those that have kinds of their
        own. Errors: UnknownType where there is none.
        """
        custom = await self._database.read(store.custom_types, scope)
        everything = [*SCHEMAS.values(), *(one.schema for one in custom)]
        if sub_types:
            everything = [one for one in everything if one.type_name in WITH_SUB_TYPES]
        everything.sort(key=lambda one: (one.type_name, order_of(one.version)))
        if prefix and not any(one.type_name.startswith(prefix) for one in everything):
            msg = f"There is no inventory type {prefix}."
            raise UnknownType(msg)
        return chosen(everything, prefix=prefix, counted=counted)

    async def delete(
        self, scope: Scope, type_name: str, *, option: str, dry_run: bool, token: ClientToken | None
    ) -> Deletion:
        """
        Delete the items of a custom type on every node; answers how many there were of each version.

        *option*: DeleteSchema forgets the type as well, DisableSchema ignores later data of its versions. A dry run changes
        nothing. Errors: UnknownType, InvalidOption, TokenReused.
        """
        rehearsed = Deletion(new_uuid(), type_name, {}, self._clock.now())
        return await self._database.write(puts.delete, scope, rehearsed, option=option, dry_run=dry_run, token=token)

    async def deletion(self, scope: Scope, deletion_id: str) -> Deletion:
        """The deletion with this id. Errors: UnknownDeletion."""
        found = await self._database.read(store.find_deletion, scope, deletion_id)
        if found is None:
            msg = f"There is no inventory deletion {deletion_id}."
            raise UnknownDeletion(msg)
        return found

    async def deletions(self, scope: Scope, *, before: tuple[float, str] | None, limit: int) -> list[Deletion]:
        """Up to *limit* deletions, the newest first, from the one that follows *before* (its moment and id)."""
        return await self._database.read(store.deletions, scope, before=before, limit=limit)

    async def _known(self, scope: Scope) -> Known:
        return known_types(await self._database.read(store.custom_types, scope))

    async def rows(self, scope: Scope, reported: Reported) -> Sequence[Row]:
        """The rows of what a node shows of a type; none where they are gone meanwhile."""
        if reported.digest.startswith(CONTENT_FORMAT):
            found = await self._database.read(store.contents, scope, [reported.digest])
            return [row for content in found.values() for row in await asyncio.to_thread(store.unpacked, content)]
        return await self._database.read(derived.whole, scope, reported)

    def _moment(self) -> Moment:
        return Moment(self._clock.now(), self._online_seconds)


def _checked(items: Sequence[Given], item_bytes: int, total_bytes: int) -> dict[str, Packed]:
    check(items, item_bytes=item_bytes, total_bytes=total_bytes)
    return {one.type_name: pack(one.content) for one in items if one.content is not None}


def _of_type(asked: Sequence[Asked], type_name: str, known: Known) -> Condition:
    """Filters that speak of one type, whether their keys name it or not."""
    whole = [one._replace(key=f"{type_name}.{one.key}") if one.key in known[type_name] else one for one in asked]
    made = condition(whole, known)
    if made.exists or set(made.by_type) - {type_name}:
        msg = f"Entries of {type_name} are filtered by its attributes."
        raise MalformedFilter(msg)
    return made


def _of_node(scope: Scope, instance_id: str, type_name: str, *, moment: Moment) -> UnitOfWork[Shown]:
    node = yield from nodes.require(scope, instance_id)
    found = yield from derived.shown(scope, [node], [type_name], moment=moment)
    return found[0]
