# SPDX-License-Identifier: Apache-2.0
"""
Filters over inventory: what they ask, and which rows answer it (spec §7.2). Pure.

Filters of one type speak of one row: Name and Version of AWS:Application are those of the same application. Where all of
them say NotEqual, no row may have the value. Of a node that reported nothing of a type nothing is known: it never matches.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from patchwright.core.inventory import SCHEMAS, Row, Schema
from patchwright.server.inventory.model import CustomType, MalformedFilter, UnknownType

_CHUNKS = re.compile(r"([0-9]+)", re.ASCII)
EXISTS_KEY = "TypeName"


class Operator(str, Enum):
    """How a filter compares, as the API spells it."""

    EQUAL = "Equal"
    NOT_EQUAL = "NotEqual"
    BEGIN_WITH = "BeginWith"
    LESS_THAN = "LessThan"
    GREATER_THAN = "GreaterThan"
    EXISTS = "Exists"


class Asked(NamedTuple):
    """A filter as it was asked: *key* is `TYPE.ATTRIBUTE`, or `TypeName` with Exists."""

    key: str
    values: tuple[str, ...]
    operator: Operator = Operator.EQUAL


class Filter(NamedTuple):
    """A filter by one attribute of one type; one of *values* is enough."""

    type_name: str
    attribute: str
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True)
class Condition:
    """What is asked of a node: of each type, filters for one row; and of each of *exists*, that it has one of the types."""

    by_type: Mapping[str, tuple[Filter, ...]]
    exists: tuple[frozenset[str], ...] = ()

    @property
    def types(self) -> frozenset[str]:
        """The types that have to be looked at."""
        return frozenset(self.by_type).union(*self.exists)


Known: TypeAlias = Mapping[str, Collection[str]]
"""The attributes of every type there is, by its name."""


def known_types(custom: Iterable[CustomType]) -> dict[str, set[str]]:
    """The attributes of AWS's types and of *custom* ones, of all their versions together."""
    known = {name: set(schema.names) for name, schema in SCHEMAS.items()}
    for one in custom:
        known.setdefault(one.type_name, set()).update(one.attributes)
    return known


def split(expression: str, known: Known) -> tuple[str, str] | None:
    """Type and attribute of `TYPE.ATTRIBUTE`; None where there is no such. Names may hold dots."""
    for dot in (found.start() for found in re.finditer(r"\.", expression)):
        type_name, attribute = expression[:dot], expression[dot + 1 :]
        if attribute in known.get(type_name, ()):
            return type_name, attribute
    return None


def condition(asked: Iterable[Asked], known: Known) -> Condition:
    """What *asked* comes to. Errors: MalformedFilter, UnknownType."""
    by_type: dict[str, tuple[Filter, ...]] = {}
    exists = []
    for key, values, operator in asked:
        if operator is Operator.EXISTS:
            exists.append(_existing(key, values, known))
            continue
        found = split(key, known)
        if found is None:
            msg = f"There is no filter {key}; use TYPE.ATTRIBUTE as GetInventorySchema names them, or TypeName with Exists."
            raise MalformedFilter(msg)
        by_type[found[0]] = (*by_type.get(found[0], ()), Filter(*found, operator, values))
    return Condition(by_type, tuple(exists))


def _existing(key: str, values: Sequence[str], known: Known) -> frozenset[str]:
    if key != EXISTS_KEY:
        msg = f"Exists asks for {EXISTS_KEY}, not {key}."
        raise MalformedFilter(msg)
    unknown = sorted(set(values) - set(known))
    if unknown:
        msg = f"There is no inventory type {unknown[0]}."
        raise UnknownType(msg)
    return frozenset(values)


def speak_of_all(filters: Sequence[Filter]) -> bool:
    """Whether filters of one type speak of every row: no row may have the values."""
    return all(one.operator is Operator.NOT_EQUAL for one in filters)


def any_row(filters: Sequence[Filter], rows: Iterable[Row | Mapping[str, str]]) -> bool:
    """Whether *rows* of one type answer *filters* of that type."""
    if speak_of_all(filters):
        return not any(row.get(one.attribute) in one.values for row in rows for one in filters)
    return any(fits(filters, row) for row in rows)


def fits(filters: Sequence[Filter], row: Mapping[str, str]) -> bool:
    """Whether one row answers every filter."""
    return all(_fits(one, row.get(one.attribute)) for one in filters)


def _fits(one: Filter, value: str | None) -> bool:
    if one.operator is Operator.NOT_EQUAL:
        return value not in one.values
    if value is None:
        return False
    if one.operator is Operator.EQUAL:
        return value in one.values
    if one.operator is Operator.BEGIN_WITH:
        return value.startswith(one.values)
    place = _place(value)
    if one.operator is Operator.LESS_THAN:
        return any(place < _place(limit) for limit in one.values)
    return any(place > _place(limit) for limit in one.values)


def _place(text: str) -> tuple[tuple[int, int, str], ...]:
    """Where a text stands: numbers in it by their value, so that 9 comes before 10, and 3.2.9 before 3.2.10."""
    return tuple(_chunk(chunk) for chunk in _CHUNKS.split(text) if chunk)


def _chunk(text: str) -> tuple[int, int, str]:
    if not (text.isascii() and text.isdigit()):
        return 1, 0, text
    digits = text.lstrip("0")
    return 0, len(digits), digits


def chosen(schemas: Iterable[Schema], *, prefix: str, counted: bool) -> list[Schema]:
    """The schemas whose names begin with *prefix*; *counted*: with nothing but the attributes to aggregate by."""
    found = [schema for schema in schemas if schema.type_name.startswith(prefix)]
    if not counted:
        return found
    narrowed = [one._replace(attributes=tuple(item for item in one.attributes if item.counted)) for one in found]
    return [one for one in narrowed if one.attributes]
