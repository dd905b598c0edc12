# SPDX-License-Identifier: Apache-2.0
"""
AWS JSON 1.1, both ways, compiled from a service model.

A request body is decoded and validated in one pass by msgspec against types made from its input shape. What that pass
refuses is read again slowly (`validation`), only to say everything that is wrong with it in AWS's words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cached_property
from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import Meta

from .errors import WireMismatch, serialization, validation
from .patterns import python_pattern
from .validation import INTEGERS, MOMENTS, document_faults, find_violations, require_conformity

Write = Callable[[Any], Any]
# Bytes. The walk is slow; a larger body is refused with the first thing that is wrong with it, in msgspec's words.
_EXPLAINED = 256 * 1024
_dynamic_typed_dict: Any = TypedDict


class Shapes:
    """The shapes of one service, each compiled once, when first needed."""

    def __init__(self, shapes: Mapping[str, Any]) -> None:
        self._shapes = shapes
        self._types: dict[str, Any] = {}
        self._writers: dict[str, Write | None] = {}
        self._reach: dict[tuple[str, str], bool] = {}

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._shapes[name]
        return found

    def reaches(self, name: str, trait: str) -> bool:
        """Whether shape *name*, or a shape below it, carries *trait*."""
        if (name, trait) not in self._reach:
            self._reach[name, trait] = self._search(name, trait)
        return self._reach[name, trait]

    def _search(self, name: str, trait: str) -> bool:
        seen, pending = set(), [name]
        while pending:
            current = pending.pop()
            if current in seen:
                continue
            seen.add(current)
            shape = self._shapes[current]
            if shape.get(trait):
                return True
            below = [
                *shape.get("members", {}).values(),
                *(shape[key] for key in ("member", "key", "value") if key in shape),
            ]
            pending += [reference["shape"] for reference in below]
        return False

    # -- reading

    def type_of(self, name: str) -> Any:
        """The msgspec type that decodes and validates shape *name*."""
        if name not in self._types:
            shape = self._shapes[name]
            if shape.get("document"):
                self._types[name] = dict[str, Any]  # `Operation.parse` looks inside
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
            if "locationName" in reference or "timestampFormat" in reference:
                raise WireMismatch(f"{name}.{member} carries a trait that is not supported on input")
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
            pattern = python_pattern(shape["pattern"]) if "pattern" in shape else None
            return Annotated[str, Meta(**_lengths(shape), pattern=pattern)]
        if kind in INTEGERS:
            low, high = INTEGERS[kind]
            return Annotated[int, Meta(ge=max(low, shape.get("min", low)), le=min(high, shape.get("max", high)))]
        if kind == "blob":
            return Annotated[bytes, Meta(**_lengths(shape))]
        if kind == "timestamp" and shape.get("timestampFormat", "unixTimestamp") == "unixTimestamp":
            return Annotated[float, Meta(ge=MOMENTS[0], le=MOMENTS[1])]
        if kind == "boolean":
            return bool
        raise WireMismatch(f"{name}: a {kind} of this form is not supported on input")

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

    # -- writing

    def writer_of(self, name: str) -> Write | None:
        """What turns a handler's value of shape *name* into JSON's; None when it already is."""
        if name not in self._writers:
            shape = self._shapes[name]
            kind = shape["type"]
            self._writers[name] = None
            if kind == "structure" and not shape.get("document"):
                self._structure_writer(name, shape)
            elif kind == "timestamp":
                self._writers[name] = _MOMENT_WRITERS[shape.get("timestampFormat", "unixTimestamp")]
            elif kind in {"list", "map"}:
                inner = self.writer_of(shape["member" if kind == "list" else "value"]["shape"])
                if inner is not None:
                    self._writers[name] = _list_writer(inner) if kind == "list" else _map_writer(inner)
        return self._writers[name]

    def _structure_writer(self, name: str, shape: Mapping[str, Any]) -> None:
        writers: dict[str, Write | None] = {}

        def write(value: Mapping[str, Any]) -> dict[str, Any]:
            return {
                member: (one if (inner := writers[member]) is None else inner(one))
                for member, one in value.items()
                if one is not None and member in writers
            }

        self._writers[name] = write
        for member, reference in shape["members"].items():
            form = reference.get("timestampFormat")
            writers[member] = _MOMENT_WRITERS[form] if form else self.writer_of(reference["shape"])


class Operation:
    """
    One operation of a service: `parse` a request body, `serialize` a handler's answer.

    *errors* are the error shapes the model declares for it.
    """

    def __init__(self, target: str, description: Mapping[str, Any], shapes: Shapes, *, strict: bool = False) -> None:
        self.target = target
        self.name: str = description["name"]
        self.errors = frozenset(error["shape"] for error in description.get("errors", ()))
        self._input: str | None = description.get("input", {}).get("shape")
        self._output: str | None = description.get("output", {}).get("shape")
        self._shapes = shapes
        self._strict = strict

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[dict[str, Any]]:
        return msgspec.json.Decoder(self._shapes.type_of(self._input) if self._input else dict[str, Any])

    @cached_property
    def holds_documents(self) -> bool:
        """Whether the input holds what is looked through value by value, which takes a microsecond for every few bytes."""
        return self._input is not None and self._shapes.reaches(self._input, "document")

    def prepare(self) -> None:
        """Compile the input's types now. Shapes are compiled by one thread; afterwards any may `parse`."""
        self._decoder  # noqa: B018 - made when first asked for

    @cached_property
    def _documents(self) -> tuple[str, ...]:
        """The members of the input that are documents: msgspec does not look inside, `document_faults` does."""
        return tuple(name for name, shape in self._members if self._shapes[shape].get("document"))

    @cached_property
    def _needs_walk(self) -> bool:
        """Whether only a walk through the whole input tells: it holds a union, or a document below its members."""
        deep = [shape for name, shape in self._members if name not in self._documents]
        return any(self._shapes.reaches(shape, trait) for shape in deep for trait in ("union", "document"))

    @cached_property
    def _members(self) -> tuple[tuple[str, str], ...]:
        """The members of the input, with their shapes."""
        shape = self._shapes[self._input] if self._input is not None else {}
        return tuple((name, member["shape"]) for name, member in shape.get("members", {}).items())

    @cached_property
    def _write(self) -> Write | None:
        return self._shapes.writer_of(self._output) if self._output else None

    def parse(self, body: bytes) -> dict[str, Any]:
        """
        The request in *body*: members by name, unknown and null ones left out; timestamps as epoch seconds (float),
        blobs as bytes. An empty body is an empty request.

        Raises ApiError: SerializationException for what is no JSON object or has a value of the wrong JSON type,
        ValidationException naming every violated constraint of the model.
        """
        body = body or b"{}"
        try:
            request = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            if len(body) > _EXPLAINED:
                wrong_type = ", got `" in str(error)
                raise (serialization if wrong_type else validation)(str(error)[:300]) from None
            self._refuse(body)
            raise serialization(str(error)) from None
        except (ValueError, RecursionError) as error:
            # Broken JSON, invalid UTF-8, a lone surrogate, an integer of thousands of digits, nesting without end.
            raise serialization(f"The request body could not be read: {error}"[:300]) from None
        # Databases refuse U+0000 in text.
        if self._needs_walk or b"\\u0000" in body or self._faulty_documents(request):
            self._refuse(body)
        if b"null" in body and self._input is not None:
            self._shapes.drop_nulls(self._input, request)
        return request

    def _faulty_documents(self, request: Mapping[str, Any]) -> bool:
        return any(document_faults(request[name]) for name in self._documents if request.get(name) is not None)

    def _refuse(self, body: bytes) -> None:
        """Raise what *body* violates, all of it. Returns when it violates nothing."""
        try:
            count, found = find_violations(self._shapes, self._input, msgspec.json.decode(body))
        except (ValueError, RecursionError) as error:
            raise serialization(f"The request body could not be read: {error}"[:300]) from None
        if count:
            raise validation(f"{count} validation error{'s' if count > 1 else ''} detected: {'; '.join(found)}")

    def serialize(self, output: Mapping[str, Any]) -> bytes:
        """
        The response body of *output*: never empty, None and unknown members left out.

        Timestamps are given as epoch seconds. Raises WireMismatch when the models are strict and *output* does not fit.
        """
        if self._strict:
            require_conformity(self._shapes, self._output, output)
        if self._write is None:
            return b"{}"
        return msgspec.json.encode(self._write(output))


def _lengths(shape: Mapping[str, Any]) -> dict[str, Any]:
    return {"min_length": shape.get("min"), "max_length": shape.get("max")}


def _list_writer(inner: Write) -> Write:
    return lambda value: [inner(one) for one in value]


def _map_writer(inner: Write) -> Write:
    return lambda value: {key: inner(one) for key, one in value.items()}


def _epoch(moment: float) -> float:
    """AWS sends milliseconds, as a fraction. Integers stay integers."""
    if not math.isfinite(moment):
        raise WireMismatch(f"{moment} is no moment in time")
    return round(moment, 3)


def _iso8601(moment: float) -> str:
    when = datetime.fromtimestamp(moment, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S") + (
        f".{when.microsecond // 1000:03d}Z" if when.microsecond >= 1000 else "Z"
    )


def _rfc822(moment: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(moment), UTC), usegmt=True)


_MOMENT_WRITERS: Mapping[str, Write] = {"unixTimestamp": _epoch, "iso8601": _iso8601, "rfc822": _rfc822}
