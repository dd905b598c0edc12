# SPDX-License-Identifier: Apache-2.0
"""
Which nodes a listing shows, said to the database: conditions become one WHERE, whatever they ask for (spec §11.2).

Only names that stand in `_FIELDS` become SQL; values are always parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from patchwright.core.errors import MalformedVersion
from patchwright.core.version import Scheme, compare
from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork, sql
from patchwright.server.nodes.model import MANAGED_INSTANCE, OWN_SOURCE

TAG = "tag:"
TAG_KEY = "tag-key"

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
    "ping_status": "CASE WHEN last_ping_at >= {since} THEN 'Online' ELSE 'ConnectionLost' END",
    "status": "CASE WHEN last_ping_at >= {since} THEN 'Active' ELSE 'ConnectionLost' END",
}
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


class Words:
    """A statement's text as it is put together, and its parameters in order."""

    def __init__(self, scope: Scope, listing: Listing) -> None:
        self.params: list[Any] = []
        self._scope = scope
        self._listing = listing
        self._since = ""

    def bind(self, *values: Any) -> str:
        """Placeholders for *values*."""
        start = len(self.params) + 1
        self.params += values
        return ", ".join(f"${number}" for number in range(start, start + len(values)))

    def field(self, name: str) -> str:
        """The SQL of a field; the same field is always the same text."""
        text = _FIELDS[name]
        if "{since}" in text:
            self._since = self._since or self.bind(self._listing.online_since)
        return text.format(since=self._since)

    def where(self) -> str:
        """The condition of the whole listing, within the account and region."""
        account, region = self._scope
        parts = [f"account = {self.bind(account)} AND region = {self.bind(region)}"]
        return " AND ".join([*parts, *(self._condition(one) for one in self._listing.conditions)])

    def _condition(self, one: Condition) -> str:
        if one.field == TAG_KEY or one.field.startswith(TAG):
            return self._tagged(one)
        if not one.values:
            return "1 = 0"
        return self._compared(self.field(one.field), one.relation, one.values)

    def _compared(self, text: str, relation: Relation, values: Sequence[str]) -> str:
        if relation is Relation.EQUAL:
            return f"{text} IN ({self.bind(*values)})"
        if relation is Relation.NOT_EQUAL:
            return f"{text} NOT IN ({self.bind(*values)})"
        if relation is Relation.BEGINS:
            each = [f"substr({text}, 1, {self.bind(len(value))}) = {self.bind(value)}" for value in values]
        else:
            each = [f"{text} {relation.value} {self.bind(value)}" for value in values]
        return f"({' OR '.join(each)})"

    def _tagged(self, one: Condition) -> str:
        if one.field == TAG_KEY:
            inside = tags.carriers(self._scope, tags.MANAGED_INSTANCE, self.bind, keys=one.values)
        else:
            key, begins = one.field.removeprefix(TAG), one.relation is Relation.BEGINS
            given: dict[str, Sequence[str]] = {"prefixes" if begins else "values": one.values}
            inside = tags.carriers(self._scope, tags.MANAGED_INSTANCE, self.bind, keys=(key,), **given)
        return f"id {'NOT IN' if one.relation is Relation.NOT_EQUAL else 'IN'} ({inside})"


def resolved(scope: Scope, listing: Listing) -> UnitOfWork[Listing]:
    """
    *listing* with conditions that only ask for equal things where versions are to be lower or higher.

    The versions that occur are few, and their order is no order of texts.
    """
    conditions = []
    for one in listing.conditions:
        if one.field in _VERSIONS and one.relation in {Relation.LESS, Relation.GREATER}:
            rows = yield sql(f"SELECT DISTINCT {one.field} FROM node WHERE account = $1 AND region = $2", *scope)
            sign = -1 if one.relation is Relation.LESS else 1
            kept = [row[0] for row in rows if any(_sign(row[0], value) == sign for value in one.values)]
            conditions.append(Condition(one.field, tuple(kept)))
        else:
            conditions.append(one)
    return Listing(tuple(conditions), listing.online_since)


def _sign(a: str, b: str) -> int | None:
    """How *a* stands to *b*; None where one of them is no version."""
    try:
        return compare(Scheme.DPKG, a, b)
    except MalformedVersion:
        return None
