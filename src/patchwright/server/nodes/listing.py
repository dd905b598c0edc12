# SPDX-License-Identifier: Apache-2.0
"""
Which nodes a listing shows, said to the database: conditions become one WHERE, whatever they ask for (spec §11.2).

Units of work. In every statement $1 is the account, $2 the region, $3 the moment since which nodes are online.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from patchwright.core.errors import MalformedVersion
from patchwright.core.version import Scheme, compare
from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql
from patchwright.server.nodes.model import MANAGED_INSTANCE, OWN_SOURCE

TAG = "tag:"
TAG_KEY = "tag-key"

MACHINE_COLUMNS = (
    "machine_id, computer_name, platform_type, platform_name, platform_version, agent_name, agent_version, ip_address,"
    " source_id, source_type, source_location, availability_zone, availability_zone_id"
)
NODE_COLUMNS = (
    f"account, region, id, activation_id, role, name, {MACHINE_COLUMNS}, registered_at, last_ping_at, facts_id"
)

_FIELDS: Mapping[str, str] = {
    "account": "account",
    "region": "region",
    "id": "id",
    "name": "name",
    "activation_id": "activation_id",
    "role": "role",
    "agent_name": "agent_name",
    "agent_version": "agent_version",
    "platform_type": "platform_type",
    "platform_name": "platform_name",
    "platform_version": "platform_version",
    "computer_name": "computer_name",
    "ip_address": "ip_address",
    "source_id": "COALESCE(NULLIF(source_id, ''), id)",
    "source_type": f"COALESCE(NULLIF(source_type, ''), '{OWN_SOURCE}')",
    "source_location": "source_location",
    "availability_zone": "availability_zone",
    "availability_zone_id": "availability_zone_id",
    "resource_type": f"CAST('{MANAGED_INSTANCE}' AS TEXT)",
    "managed": "CAST('Managed' AS TEXT)",
    "nothing": "CAST('' AS TEXT)",  # what no node has
    "ping_status": "CASE WHEN last_ping_at >= $3 THEN 'Online' ELSE 'ConnectionLost' END",
    "status": "CASE WHEN last_ping_at >= $3 THEN 'Active' ELSE 'ConnectionLost' END",
}
_SCOPE = "account = $1 AND region = $2 AND CAST($3 AS DOUBLE PRECISION) IS NOT NULL"  # every parameter has to be used
_FIRST = 4  # the first parameter of what is asked
_VERSIONS = frozenset({"agent_version", "platform_version"})  # in which 3.10 comes after 3.9


class Relation(Enum):
    """How a node's value has to stand to those of a condition."""

    EQUAL = "="
    NOT_EQUAL = "<>"
    BEGINS = "begins"
    LESS = "<"
    GREATER = ">"


@dataclass(frozen=True)
class Condition:
    """
    What the nodes of a listing have in common.

    *field* is a name in `_FIELDS`, `tag:` with a tag's key, or `tag-key`, whose values are keys. *values* are alternatives, at
    least one; with NOT_EQUAL it is none of them. A node without a tag differs from every value of it. Of tags, values can be
    EQUAL, NOT_EQUAL and BEGINS, and keys the first two.
    """

    field: str
    values: tuple[str, ...]
    relation: Relation = Relation.EQUAL


@dataclass(frozen=True)
class Listing:
    """Nodes that meet every one of *conditions*; those heard of at or after *online_since* (epoch seconds) are online."""

    conditions: tuple[Condition, ...] = ()
    online_since: float = 0.0


EVERY_NODE = Listing()


_IN = {Relation.EQUAL: "IN", Relation.BEGINS: "IN", Relation.NOT_EQUAL: "NOT IN"}
_SIGN = {Relation.LESS: "<", Relation.GREATER: ">"}


class _Asked(NamedTuple):
    """A condition and the numbers of its parameters; of a tag the first of them is its key."""

    field: str
    relation: Relation
    numbers: Sequence[int]

    @property
    def of_tags(self) -> bool:
        return self.field == TAG_KEY or self.field.startswith(TAG)

    @property
    def compared(self) -> bool:
        """Whether each value is compared on its own, and not looked up among all."""
        return self.relation not in {Relation.EQUAL, Relation.NOT_EQUAL}


def page(scope: Scope, listing: Listing, *, after: str, limit: int) -> UnitOfWork[list[Row]]:
    """`NODE_COLUMNS` of up to *limit* nodes of *listing* whose id comes after *after*, in order of id."""
    return (yield from _listed(NODE_COLUMNS, " AND id > $4 ORDER BY id LIMIT $5", scope, listing, after, limit))


def count_by(scope: Scope, listing: Listing, fields: Sequence[str]) -> UnitOfWork[list[tuple[tuple[str, ...], int]]]:
    """How many nodes of *listing* there are for each combination of values of *fields*, in order of the values."""
    columns = ", ".join(_FIELDS[name] for name in fields)
    rows = yield from _listed(columns + ", COUNT(*)", " GROUP BY " + columns, scope, listing)
    return sorted((tuple(row[:-1]), int(row[-1])) for row in rows)


def _listed(columns: str, end: str, scope: Scope, listing: Listing, *more: Any) -> UnitOfWork[list[Row]]:
    """*columns* of the nodes of *listing*; *more* are the parameters of *end*."""
    asked, params = _numbered((yield from _resolved(scope, listing.conditions)), _FIRST + len(more))
    among = [
        f" AND {_FIELDS[one.field]} {_IN[one.relation]} ({placeholders(one.numbers[0], len(one.numbers))})"
        for one in asked
        if not one.of_tags and not one.compared
    ]
    compared = [
        " AND ("
        + " OR ".join(
            f"substr({_FIELDS[one.field]}, 1, length(CAST({placeholders(number, 1)} AS TEXT))) = {placeholders(number, 1)}"
            if one.relation is Relation.BEGINS
            else f"{_FIELDS[one.field]} {_SIGN[one.relation]} {placeholders(number, 1)}"
            for number in one.numbers
        )
        + ")"
        for one in asked
        if not one.of_tags and one.compared
    ]
    keyed = [
        f" AND id {_IN[one.relation]} ({tags.NODES_WITH} IN ({placeholders(one.numbers[0], len(one.numbers))}))"
        for one in asked
        if one.field == TAG_KEY
    ]
    valued = [
        f" AND id {_IN[one.relation]} ({tags.NODES_WITH} = {placeholders(one.numbers[0], 1)} AND ("
        + " OR ".join(
            f"substr(value, 1, length(CAST({placeholders(number, 1)} AS TEXT))) = {placeholders(number, 1)}"
            if one.relation is Relation.BEGINS
            else f"value = {placeholders(number, 1)}"
            for number in one.numbers[1:]
        )
        + "))"
        for one in asked
        if one.of_tags and one.field != TAG_KEY
    ]
    wanted = "".join(among) + "".join(compared) + "".join(keyed) + "".join(valued)
    return (
        yield sql(
            f"SELECT {columns} FROM node WHERE {_SCOPE}{wanted}{end}", *scope, listing.online_since, *more, *params
        )
    )


def _numbered(conditions: Sequence[Condition], first: int) -> tuple[list[_Asked], list[str]]:
    """Conditions with the numbers of their parameters, counted from *first*, and those parameters."""
    asked, params = [], list[str]()
    for one in conditions:
        start = first + len(params)
        if one.field.startswith(TAG):
            params.append(one.field.removeprefix(TAG))
        params += one.values
        asked.append(_Asked(one.field, one.relation, range(start, first + len(params))))
    return asked, params


def _resolved(scope: Scope, conditions: Sequence[Condition]) -> UnitOfWork[list[Condition]]:
    """
    *conditions*, with those that ask for lower or higher versions turned into such that name the versions.

    The versions that occur are few, and their order is no order of texts.
    """
    found = []
    for one in conditions:
        if one.field in _VERSIONS and one.relation in {Relation.LESS, Relation.GREATER}:
            rows = yield sql(
                f"SELECT DISTINCT {_FIELDS[one.field]} FROM node WHERE account = $1 AND region = $2", *scope
            )
            sign = -1 if one.relation is Relation.LESS else 1
            kept = tuple(row[0] for row in rows if any(_sign(row[0], value) == sign for value in one.values))
            found.append(Condition(one.field, kept) if kept else _NEVER)
        else:
            found.append(one)
    return found


def _sign(a: str, b: str) -> int | None:
    """How *a* stands to *b*; None where one of them is no version."""
    try:
        return compare(Scheme.DPKG, a, b)
    except MalformedVersion:
        return None


_NEVER = Condition("nothing", ("what no node has",))
