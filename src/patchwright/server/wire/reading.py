# SPDX-License-Identifier: Apache-2.0
"""
The input of an operation: decoded, validated, and refused in AWS's words.

JSON is decoded and validated in one pass by msgspec against types made from the shape. What that pass refuses is read
again slowly (`validation`), only to say everything that is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec

from .errors import serialization, validation
from .shapes import Change, Shapes
from .validation import document_faults, find_violations

# Bytes. The walk is slow; a larger body is refused with the first thing that is wrong with it, in msgspec's words.
_EXPLAINED = 256 * 1024


class Input:
    """What requests of the shape *name* are (None: nothing is asked for). Found to be spoken here, or WireMismatch."""

    def __init__(self, shapes: Shapes, name: str | None) -> None:
        if name is not None:
            shapes.require_spoken(name)
        self._shapes = shapes
        self._name = name

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[dict[str, Any]]:
        return msgspec.json.Decoder(self._type)

    @cached_property
    def _type(self) -> Any:
        return self._shapes.type_of(self._name) if self._name else dict[str, Any]

    @cached_property
    def holds_documents(self) -> bool:
        """Whether it holds what is looked through value by value, which takes a microsecond for every few bytes."""
        return self._name is not None and self._shapes.reaches(self._name, "document")

    @cached_property
    def _documents(self) -> tuple[str, ...]:
        """The members that are documents: msgspec does not look inside, `document_faults` does."""
        return tuple(name for name, shape in self._members if self._shapes[shape].get("document"))

    @cached_property
    def _needs_walk(self) -> bool:
        """Whether only a walk through the whole input tells: it holds a union, or a document below its members."""
        deep = [shape for name, shape in self._members if name not in self._documents]
        return any(self._shapes.reaches(shape, trait) for shape in deep for trait in ("union", "document"))

    @cached_property
    def _members(self) -> tuple[tuple[str, str], ...]:
        """The members, with their shapes."""
        shape = self._shapes[self._name] if self._name is not None else {}
        return tuple((name, member["shape"]) for name, member in shape.get("members", {}).items())

    def prepare(self) -> None:
        """Compile the types now. Shapes are compiled by one thread; afterwards any may read."""
        self._decoder  # noqa: B018 - made when first asked for

    def from_json(self, body: bytes) -> dict[str, Any]:
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
            self._refuse(read_json(body))
            raise serialization(str(error)) from None
        except (ValueError, RecursionError) as error:
            raise _unreadable(error) from None
        # Databases refuse U+0000 in text.
        if self._needs_walk or b"\\u0000" in body or self._faulty_documents(request):
            self._refuse(read_json(body))
        if b"null" in body and self._name is not None:
            self._shapes.drop_nulls(self._name, request)
        return request

    def from_value(self, value: Any) -> dict[str, Any]:
        """The same of a plain *value*: as decoded JSON, but blobs may be bytes, and every moment a number of seconds."""
        try:
            self._refuse(value)
            request: dict[str, Any] = msgspec.convert(value, self._type)
        except (msgspec.ValidationError, RecursionError) as error:
            raise serialization(str(error)[:300]) from None
        if self._name is not None:
            self._shapes.drop_nulls(self._name, request)
        return request

    def _faulty_documents(self, request: Mapping[str, Any]) -> bool:
        return any(document_faults(request[name]) for name in self._documents if request.get(name) is not None)

    def _refuse(self, value: Any) -> None:
        """Raise what *value* violates, all of it. Returns when it violates nothing."""
        try:
            count, found = find_violations(self._shapes, self._name, value)
        except RecursionError as error:
            raise _unreadable(error) from None
        if count:
            raise validation(f"{count} validation error{'s' if count > 1 else ''} detected: {'; '.join(found)}")


class ChangedInput(Input):
    """The same where JSON is not plain yet: *change* makes it so."""

    def __init__(self, shapes: Shapes, name: str, change: Change) -> None:
        super().__init__(shapes, name)
        self._change = change

    def from_json(self, body: bytes) -> dict[str, Any]:
        """The request in *body*."""
        return self.from_value(self._change(read_json(body)))


def input_of(shapes: Shapes, name: str | None) -> Input:
    """The input of shape *name*. Raises WireMismatch where it is not spoken here."""
    change = None if name is None else shapes.reader_of(name)
    return Input(shapes, name) if name is None or change is None else ChangedInput(shapes, name, change)


def read_json(body: bytes) -> Any:
    """The value that *body* holds; an empty one holds an empty object. Raises ApiError (SerializationException)."""
    try:
        return msgspec.json.decode(body or b"{}")
    except (ValueError, RecursionError) as error:
        # Broken JSON, invalid UTF-8, a lone surrogate, an integer of thousands of digits, nesting without end.
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> Exception:
    return serialization(f"The request body could not be read: {error}"[:300])
