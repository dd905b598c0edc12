# SPDX-License-Identifier: Apache-2.0
"""
The shapes of one service, compiled: what reads and validates them, and what turns them into JSON and back.

What comes in is read in two steps. `reader_of` turns a body's values into plain ones (members by their own names, moments
as epoch seconds); most shapes need nothing of it. `type_of` is the msgspec type that holds a plain value to its shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta

from .errors import WireMismatch
from .moments import EPOCH, WRITERS, read_text
from .moments import RANGE as MOMENTS
from .patterns import python_pattern
from .validation import FRACTIONS, INTEGERS

Change = Callable[[Any], Any]
_dynamic_typed_dict: Any = TypedDict
# What a model may ask for and nobody here speaks. On a shape, or on what refers to one.
_UNSPOKEN = ("eventstream", "event", "eventpayload", "eventheader", "jsonvalue", "xmlAttribute", "hostLabel")


class Shapes:
    """The shapes of one service, each compiled once, when first needed."""

    def __init__(self, shapes: Mapping[str, Any]) -> None:
        self._shapes = shapes
        self._types: dict[str, Any] = {}
        self._writers: dict[str, Change | None] = {}
        self._readers: dict[str, Change | None] = {}
        self._reach: dict[tuple[str, str], bool] = {}

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._shapes[name]
        return found

    def reaches(self, name: str, trait: str) -> bool:
        """Whether shape *name*, or a shape below it, carries *trait*."""
        if (name, trait) not in self._reach:
            self._reach[name, trait] = any(self._shapes[one].get(trait) for one in self.below(name))
        return self._reach[name, trait]

    def below(self, name: str) -> set[str]:
        """The names of shape *name* and of every shape below it."""
        seen: set[str] = set()
        pending = [name]
        while pending:
            current = pending.pop()
            if current not in seen:
                seen.add(current)
                pending += [reference["shape"] for reference in self.references(current).values()]
        return seen

    def references(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """What shape *name* refers to: by member, or as `member`, `key` and `value` of a list or map."""
        shape = self._shapes[name]
        if shape["type"] == "structure":
            found: Mapping[str, Mapping[str, Any]] = shape["members"]
            return found
        return {key: shape[key] for key in ("member", "key", "value") if key in shape}

    def require_spoken(self, name: str) -> None:
        """Raise WireMismatch where shape *name*, or one below it, asks for what is not spoken here."""
        for one in sorted(self.below(name)):
            shape = self._shapes[one]
            for place, described in [
                (one, shape),
                *((f"{one}.{key}", ref) for key, ref in self.references(one).items()),
            ]:
                unspoken = [trait for trait in _UNSPOKEN if described.get(trait)]
                if described.get("timestampFormat", EPOCH) not in WRITERS:
                    unspoken.append(f"timestampFormat {described['timestampFormat']}")
                if unspoken:
                    raise WireMismatch(f"{place}: {unspoken[0]} is not spoken here")

    # -- reading

    def type_of(self, name: str) -> Any:
        """The msgspec type that validates plain values of shape *name*, and decodes JSON where no reader is needed."""
        if name not in self._types:
            shape = self._shapes[name]
            if shape.get("document"):
                self._types[name] = dict[str, Any]  # `Input` looks inside
            elif shape["type"] == "structure":
                self._structure_type(name, shape)
            else:
                self._types[name] = self._plain_type(name, shape)
        return self._types[name]

    def _structure_type(self, name: str, shape: Mapping[str, Any]) -> None:
        # Stored before its members are built, since shapes may contain themselves.
        made = self._types[name] = _dynamic_typed_dict(name, {}, total=False)
        required = frozenset(shape.get("required", ()))
        hints = {}
        for member, reference in shape["members"].items():
            hint = self.type_of(reference["shape"])
            # An explicit null means absent; `drop_nulls` takes it out.
            hints[member] = hint if member in required else hint | None
        made.__annotations__ = hints
        made.__required_keys__ = required

    def _plain_type(self, name: str, shape: Mapping[str, Any]) -> Any:
        kind = shape["type"]
        if kind in {"list", "map"}:
            return self._container_type(shape)
        if kind == "string":
            if "enum" in shape:
                return Literal[tuple(shape["enum"])]
            try:
                pattern = python_pattern(shape["pattern"]) if "pattern" in shape else None
            except re.error as error:
                raise WireMismatch(f"{name}: the pattern {shape['pattern']} cannot be read here: {error}") from None
            return Annotated[str, Meta(**_lengths(shape), pattern=pattern)]
        if kind in INTEGERS:
            low, high = INTEGERS[kind]
            return Annotated[int, Meta(ge=max(low, shape.get("min", low)), le=min(high, shape.get("max", high)))]
        if kind in FRACTIONS:
            return Annotated[float, Meta(ge=shape.get("min"), le=shape.get("max"))]
        if kind == "blob":
            return Annotated[bytes, Meta(**_lengths(shape))]
        if kind == "timestamp":
            return Annotated[float, Meta(ge=MOMENTS[0], le=MOMENTS[1])]
        if kind == "boolean":
            return bool
        raise WireMismatch(f"{name}: a {kind} is not supported on input")

    def _container_type(self, shape: Mapping[str, Any]) -> Any:
        if shape["type"] == "list":
            return Annotated[list[self.type_of(shape["member"]["shape"])], Meta(**_lengths(shape))]  # type: ignore[misc]
        key, value = self.type_of(shape["key"]["shape"]), self.type_of(shape["value"]["shape"])
        return Annotated[dict[key, value], Meta(**_lengths(shape))]  # type: ignore[valid-type]

    def drop_nulls(self, name: str, request: dict[str, Any]) -> None:
        """Take members of structures whose value is None out of *request*, in place. Documents keep theirs."""
        pending: list[tuple[str, Any]] = [(name, request)]
        while pending:
            current, value = pending.pop()
            shape = self._shapes[current]
            if shape["type"] == "structure" and not shape.get("document"):
                for member in [member for member, one in value.items() if one is None]:
                    del value[member]
                pending += [(shape["members"][member]["shape"], one) for member, one in value.items()]
            elif shape["type"] == "list":
                pending += [(shape["member"]["shape"], one) for one in value]
            elif shape["type"] == "map":
                pending += [(shape["value"]["shape"], one) for one in value.values()]

    def reader_of(self, name: str) -> Change | None:
        """What makes JSON of shape *name* plain; None where it is. What has not the shape's type passes, to be refused later."""
        if name not in self._readers:
            self._readers[name] = None
            shape = self._shapes[name]
            kind = shape["type"]
            if kind == "timestamp":
                self._readers[name] = _moment_reader(shape, {})
            elif any(self._is_other(one) for one in self.below(name)):
                if kind == "structure":
                    self._readers[name] = self.structure_reader(shape["members"])
                else:
                    inner = self._reader_at(shape["member" if kind == "list" else "value"])
                    self._readers[name] = inner and (_each_item if kind == "list" else _each_value)(inner)
        return self._readers[name]

    def _reader_at(self, reference: Mapping[str, Any]) -> Change | None:
        shape = self._shapes[reference["shape"]]
        return _moment_reader(shape, reference) if shape["type"] == "timestamp" else self.reader_of(reference["shape"])

    def _is_other(self, name: str) -> bool:
        """Whether JSON of this very shape differs from its plain form."""
        shape = self._shapes[name]
        if shape["type"] == "timestamp":
            return moment_form(shape, {}, EPOCH) != EPOCH
        renamed = shape["type"] == "structure" and any("locationName" in one for one in shape["members"].values())
        return renamed or any("timestampFormat" in one for one in self.references(name).values())

    def structure_reader(self, members: Mapping[str, Mapping[str, Any]]) -> Change:
        """A reader of a structure that has *members*: by their names on the wire, to their own."""
        known: dict[str, tuple[str, Change | None]] = {}
        pending = dict(members)

        def read(value: Any) -> Any:
            while pending:  # at the first use: shapes may contain themselves
                member, reference = pending.popitem()
                known[reference.get("locationName", member)] = (member, self._reader_at(reference))
            if not isinstance(value, dict):
                return value
            return {
                known[key][0]: (one if (inner := known[key][1]) is None else inner(one))
                for key, one in value.items()
                if key in known
            }

        return read

    # -- writing

    def writer_of(self, name: str) -> Change | None:
        """What turns a handler's value of shape *name* into JSON's; None when it already is."""
        if name not in self._writers:
            shape = self._shapes[name]
            kind = shape["type"]
            self._writers[name] = None
            if kind == "structure" and not shape.get("document"):
                self._writers[name] = self.structure_writer(shape["members"], keep=name)
            elif kind == "timestamp":
                self._writers[name] = WRITERS[moment_form(shape, {}, EPOCH)]
            elif kind in {"list", "map"}:
                inner = self._writer_at(shape["member" if kind == "list" else "value"])
                if inner is not None:
                    self._writers[name] = (_list_writer if kind == "list" else _map_writer)(inner)
        return self._writers[name]

    def structure_writer(self, members: Mapping[str, Mapping[str, Any]], *, keep: str = "") -> Change:
        """
        A writer of a structure that has *members*: by their names on the wire, None and unknown ones left out.

        It is kept as the writer of shape *keep* before its members are looked at, since shapes may contain themselves.
        """
        writers: dict[str, Change | None] = {}
        names = {member: reference.get("locationName", member) for member, reference in members.items()}

        def write(value: Mapping[str, Any]) -> dict[str, Any]:
            return {
                member: (one if (inner := writers[member]) is None else inner(one))
                for member, one in value.items()
                if one is not None and member in writers
            }

        def write_renamed(value: Mapping[str, Any]) -> dict[str, Any]:
            return {names[member]: one for member, one in write(value).items()}

        chosen = write if all(member == name for member, name in names.items()) else write_renamed
        if keep:
            self._writers[keep] = chosen
        for member, reference in members.items():
            writers[member] = self._writer_at(reference)
        return chosen

    def _writer_at(self, reference: Mapping[str, Any]) -> Change | None:
        shape = self._shapes[reference["shape"]]
        if shape["type"] == "timestamp":
            return WRITERS[moment_form(shape, reference, EPOCH)]
        return self.writer_of(reference["shape"])


def moment_form(shape: Mapping[str, Any], reference: Mapping[str, Any], default: str) -> str:
    """The form in which a moment of *shape* is written where *reference* refers to it."""
    form: str = reference.get("timestampFormat") or shape.get("timestampFormat") or default
    return form


def _moment_reader(shape: Mapping[str, Any], reference: Mapping[str, Any]) -> Change | None:
    """What reads a moment in JSON; None where it is a number already."""
    form = moment_form(shape, reference, EPOCH)
    return None if form == EPOCH else lambda value: read_text(value, form)


def _lengths(shape: Mapping[str, Any]) -> dict[str, Any]:
    return {"min_length": shape.get("min"), "max_length": shape.get("max")}


def _list_writer(inner: Change) -> Change:
    return lambda value: [inner(one) for one in value]


def _map_writer(inner: Change) -> Change:
    return lambda value: {key: inner(one) for key, one in value.items()}


def _each_item(inner: Change) -> Change:
    return lambda value: [inner(one) for one in value] if isinstance(value, list) else value


def _each_value(inner: Change) -> Change:
    return lambda value: {key: inner(one) for key, one in value.items()} if isinstance(value, dict) else value
