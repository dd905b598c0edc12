# SPDX-License-Identifier: Apache-2.0
"""Which parameters a listing shows: filters, and the part of the store where what they pass can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from patchwright.server.parameters.model import Parameter
from patchwright.server.parameters.names import path_of
from patchwright.server.parameters.store import Span

EQUALS, BEGINS_WITH, CONTAINS = "Equals", "BeginsWith", "Contains"
ONE_LEVEL, RECURSIVE = "OneLevel", "Recursive"

_ATTRIBUTES: Mapping[str, Callable[[Parameter], str]] = {
    "Type": lambda parameter: parameter.type,
    "KeyId": lambda parameter: parameter.key_id,
    "Tier": lambda parameter: parameter.tier,
    "DataType": lambda parameter: parameter.data_type,
}
_COMPARE: Mapping[str, Callable[[str, str], bool]] = {
    EQUALS: lambda value, wanted: value == wanted,
    BEGINS_WITH: lambda value, wanted: value.startswith(wanted),
    CONTAINS: lambda value, wanted: wanted in value,
}


@dataclass(frozen=True)
class Filter:
    """
    A condition: *key* is Name, Path, Type, KeyId, Tier, DataType, Label or tag:KEY; one of *values* has to pass.

    Values of Path are paths without a slash at their end. `tag:KEY` without values passes whatever has the tag.
    """

    key: str
    option: str = EQUALS
    values: tuple[str, ...] = field(default=())

    def passes(self, parameter: Parameter, tags: Mapping[str, str]) -> bool:
        """Whether a parameter with these tags passes."""
        if self.key.startswith("tag:"):
            return self._tagged(tags.get(self.key.removeprefix("tag:")))
        if self.key == "Path":
            return any(_below(parameter.path, level, one_level=self.option == ONE_LEVEL) for level in self.values)
        if self.key == "Name":
            return any(_COMPARE[self.option](parameter.path, self._name(value)) for value in self.values)
        if self.key == "Label":
            return True  # only versions with the label are looked at
        attribute = _ATTRIBUTES[self.key](parameter)
        return any(_COMPARE[self.option](attribute, value) for value in self.values)

    def span(self) -> Span | None:
        """Where what passes must be; None: anywhere."""
        if self.key == "Name" and self.option == EQUALS:
            return Span(paths=tuple(sorted({path_of(value) for value in self.values})))
        if len(self.values) != 1:
            return None
        if self.key == "Name" and self.option == BEGINS_WITH:
            begins = path_of(self.values[0])
            return Span(prefix=begins) if begins.isascii() else None
        if self.key == "Path":
            return within(self.values[0], recursive=self.option == RECURSIVE)
        return None

    def _name(self, value: str) -> str:
        return value if self.option == CONTAINS else path_of(value)

    def _tagged(self, value: str | None) -> bool:
        if value is None:
            return False
        return not self.values or any(_COMPARE[self.option](value, wanted) for wanted in self.values)


def within(level: str, *, recursive: bool) -> Span:
    """The part of the store below *level*."""
    return Span(prefix=level.rstrip("/") + "/") if recursive else Span(parent=level)


def labels_of(filters: Sequence[Filter]) -> tuple[str, ...]:
    """The labels of which one has to be at a version for it to be shown; none: newest versions are shown."""
    return next((one.values for one in filters if one.key == "Label"), ())


def span_of(filters: Sequence[Filter]) -> Span:
    """Where what passes all *filters* must be."""
    return next((span for one in filters if (span := one.span()) is not None), Span())


def _below(path: str, level: str, *, one_level: bool) -> bool:
    top = level.rstrip("/") + "/"
    return path.startswith(top) and not (one_level and "/" in path[len(top) :])
