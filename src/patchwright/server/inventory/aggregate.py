# SPDX-License-Identifier: Apache-2.0
"""
Counting nodes by what they have (spec §7.2): aggregators by attributes, groups by conditions. Pure.

A node counts once for each distinct combination of values that it has. Attributes of one type are those of one row;
attributes of different types are combined, each row of one with each of the other.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from patchwright.core.inventory import Row
from patchwright.server.inventory.model import InventoryError, MalformedAggregator, MalformedGroup
from patchwright.server.inventory.query import Asked, Condition, Known, condition, split

MAX_DEPTH = 10  # of aggregators in aggregators
_MAX_EXPRESSIONS = 100  # of one request
_MAX_COMBINATIONS = 100_000  # of one kind of node
COUNT = "Count"

Values: TypeAlias = tuple[str, ...]
Common: TypeAlias = tuple[tuple[str, str], ...]
Shared: TypeAlias = tuple[str, Common]
"""A digest, and what one node has in common in all rows under it, as far as it is asked for."""
Key: TypeAlias = frozenset[Values] | tuple[Shared, ...]
"""What a node has of one type: the values themselves, or the contents that have them."""


class AskedGroup(NamedTuple):
    """A group as it was asked."""

    name: str
    filters: tuple[Asked, ...]


class AskedAggregator(NamedTuple):
    """An aggregator as it was asked: an expression with aggregators below it, or groups."""

    expression: str = ""
    below: tuple[AskedAggregator, ...] = ()
    groups: tuple[AskedGroup, ...] = ()


@dataclass(frozen=True)
class Path:
    """What one line of nested aggregators counts by: attributes, each with its type, from the outermost in."""

    attributes: tuple[tuple[str, str], ...]

    @property
    def types(self) -> tuple[str, ...]:
        """The types of the attributes, each once, in order."""
        return tuple(dict.fromkeys(type_name for type_name, _ in self.attributes))

    def of(self, type_name: str) -> Values:
        """The attributes of that type, in order."""
        return tuple(attribute for name, attribute in self.attributes if name == type_name)

    @property
    def labels(self) -> Values:
        """What the attributes are called in a row of the answer: their names, with their types where names meet."""
        names = Counter([COUNT, *(attribute for _, attribute in self.attributes)])
        return tuple(name if names[name] == 1 else f"{type_name}.{name}" for type_name, name in self.attributes)

    def combined(self, found: Mapping[str, frozenset[Values]]) -> Iterable[Values]:
        """
        The distinct values of a node, in the order of the attributes, whose values by type are *found*.

        Raises MalformedAggregator where there are too many to count.
        """
        size = 1
        for type_name in self.types:
            size *= len(found[type_name])
        if size > _MAX_COMBINATIONS:
            msg = f"{' with '.join(self.types)} gives {size} combinations on one node: aggregate by less."
            raise MalformedAggregator(msg)
        places = {type_name: iter(range(len(self.attributes))) for type_name in self.types}
        order = [(self.types.index(type_name), next(places[type_name])) for type_name, _ in self.attributes]
        for parts in itertools.product(*(found[type_name] for type_name in self.types)):
            yield tuple(parts[part][place] for part, place in order)


class Group(NamedTuple):
    """A group: how many nodes match its condition, and how many do not."""

    name: str
    condition: Condition


@dataclass(frozen=True)
class Aggregator:
    """What is counted for one aggregator of a request."""

    paths: tuple[Path, ...] = ()
    groups: tuple[Group, ...] = ()

    @property
    def types(self) -> frozenset[str]:
        """The types that have to be looked at."""
        wanted = {type_name for path in self.paths for type_name in path.types}
        return frozenset(wanted).union(*(group.condition.types for group in self.groups))


def aggregators(asked: Sequence[AskedAggregator], known: Known) -> list[Aggregator]:
    """What *asked* comes to. Errors: MalformedAggregator, MalformedGroup."""
    names = [group.name for one in asked for group in one.groups]
    if len(set(names)) != len(names):
        msg = "Two groups have one name."
        raise MalformedGroup(msg)
    made = []
    for one in asked:
        if bool(one.expression) == bool(one.groups):
            msg = "An aggregator has an Expression or Groups, and not both."
            raise MalformedAggregator(msg)
        if one.groups and one.below:
            msg = "Nothing can be aggregated below Groups."
            raise MalformedAggregator(msg)
        paths = () if one.groups else tuple(Path(tuple(path)) for path in _paths(one, known, 1))
        made.append(Aggregator(paths, tuple(_group(group, known) for group in one.groups)))
    if sum(len(path.attributes) for one in made for path in one.paths) > _MAX_EXPRESSIONS:
        msg = f"There may be {_MAX_EXPRESSIONS} expressions in one request."
        raise MalformedAggregator(msg)
    return made


def _paths(one: AskedAggregator, known: Known, depth: int) -> Iterable[list[tuple[str, str]]]:
    found = split(one.expression, known)
    if found is None:
        msg = (
            f"There is nothing to aggregate by {one.expression!r}: use TYPE.ATTRIBUTE as GetInventorySchema names them."
        )
        raise MalformedAggregator(msg)
    if depth > MAX_DEPTH or (depth > 1 and one.groups):
        msg = f"Aggregators nest {MAX_DEPTH} deep, and Groups stand at the top."
        raise MalformedAggregator(msg)
    if not one.below:
        yield [found]
    for below in one.below:
        for path in _paths(below, known, depth + 1):
            yield [found, *path]


def _group(group: AskedGroup, known: Known) -> Group:
    try:
        return Group(group.name, condition(group.filters, known))
    except InventoryError as error:
        raise MalformedGroup(str(error)) from error


def values_of(attributes: Values, rows: Iterable[Row | Mapping[str, str]]) -> frozenset[Values]:
    """The distinct values of *attributes* in *rows*; rows that lack one of them are left out."""
    return frozenset(tuple(row[name] for name in attributes) for row in rows if all(name in row for name in attributes))


class Tally:
    """Counts nodes by the kinds of them, so that each kind is evaluated once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kinds: Counter[tuple[Key, ...]] = Counter()

    def see(self, keys: tuple[Key, ...]) -> None:
        """Count a node that has *keys* of the path's types, in their order."""
        self._kinds[keys] += 1

    def stored(self) -> Iterable[tuple[Shared, Values]]:
        """The contents that were seen, each with the attributes that are counted of it."""
        for keys in self._kinds:
            for type_name, key in zip(self.path.types, keys, strict=True):
                if not isinstance(key, frozenset):
                    yield from ((shared, self.path.of(type_name)) for shared in key)

    def rows(self, project: Callable[[Key, Values], frozenset[Values]]) -> list[Row]:
        """
        The rows of the answer, the most frequent first; *project* gives the values of attributes under a key.

        Raises MalformedAggregator.
        """
        path, counts = self.path, Counter[Values]()
        for keys, number in self._kinds.items():
            found = {
                type_name: project(key, path.of(type_name)) for type_name, key in zip(path.types, keys, strict=True)
            }
            for values in path.combined(found):
                counts[values] += number
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [{COUNT: str(number), **dict(zip(path.labels, values, strict=True))} for values, number in ordered]
