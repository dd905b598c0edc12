# SPDX-License-Identifier: Apache-2.0
"""
Operations, both ways, compiled from a service model; and AWS JSON, the first of the protocols.

Every protocol has the same two ends: `read` makes a handler's request of what was sent, `answer` makes of what the handler
answers what is sent back. REST-JSON (`rest`) and Query (`query`) differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from .errors import ApiError
from .reading import input_of
from .shapes import Change, Shapes
from .validation import require_conformity

Headers = tuple[tuple[bytes, bytes], ...]
# Status, headers beside those that every answer has, body.
Reply = tuple[int, Headers, bytes]
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says outside its body: the path's *labels*, the query, its headers, and which of them are *signed*."""

    labels: Mapping[str, str]
    query: str
    headers: Mapping[bytes, bytes]
    signed: tuple[bytes, ...]


class Operation:
    """
    One operation of a service that speaks JSON: `parse` a request body, `serialize` a handler's answer.

    *errors* are the error shapes the model declares for it; *metadata* is the whole service's. Raises WireMismatch where the model asks for what is not
    spoken here.
    """

    def __init__(
        self,
        target: str,
        description: Mapping[str, Any],
        shapes: Shapes,
        *,
        metadata: Mapping[str, Any] = NOTHING,
        strict: bool = False,
    ) -> None:
        self.target = target
        self.name: str = description["name"]
        self.errors = frozenset(error["shape"] for error in description.get("errors", ()))
        self._input: str | None = description.get("input", {}).get("shape")
        self._output: str | None = description.get("output", {}).get("shape")
        self._shapes = shapes
        self._strict = strict
        self.input = input_of(shapes, self._input)
        self.parse = self.input.from_json
        if self._output is not None:
            shapes.require_spoken(self._output)

    @cached_property
    def _write(self) -> Change | None:
        return self._shapes.writer_of(self._output) if self._output else None

    def read(self, content: bytes, asked: Asked | None) -> dict[str, Any]:
        """The request of which *content* is the body and *asked* the rest. Raises ApiError."""
        return self.parse(content)

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

    def answer(self, output: Mapping[str, Any], request_id: str) -> Reply:
        """What is sent back for *output*."""
        return 200, (), self.serialize(output)


class Dialect:
    """How a service that speaks JSON answers, and how it refuses. The other protocols' dialects refine it."""

    operation: ClassVar[type[Operation]] = Operation

    def __init__(self, model: Mapping[str, Any], shapes: Shapes, *, strict: bool = False) -> None:
        self._strict = strict
        self.content_type = f"application/x-amz-json-{model['metadata'].get('jsonVersion', '1.1')}".encode()
        self._shapes = shapes
        self._errors = {name for name, shape in model["shapes"].items() if shape.get("exception")}

    def refusal(self, error: ApiError, request_id: str) -> Reply:
        """What a client is told of *error*: `__type` and the message; and the header that has the code."""
        return self.status(error), ((b"x-amzn-errortype", error.code.encode()),), error.body(self.members(error))

    def status(self, error: ApiError) -> int:
        """The model's status where it names one, else the error's own."""
        trait = self.trait(error)
        status: int = trait.get("httpStatusCode", error.status)
        return status

    def trait(self, error: ApiError) -> Mapping[str, Any]:
        """What the model says of *error*: its code, its status, whose fault it is; empty where it does not know it."""
        found: Mapping[str, Any] = self._shapes[error.code].get("error", {}) if error.code in self._errors else {}
        return found

    def members(self, error: ApiError) -> Mapping[str, Any]:
        """The further members of *error*, as the wire has them. Raises WireMismatch when the models are strict and they do not fit."""
        if not error.members or error.code not in self._errors:
            return error.members
        if self._strict:
            require_conformity(self._shapes, error.code, error.members)
        write = self._shapes.writer_of(error.code)
        found: Mapping[str, Any] = error.members if write is None else write(error.members)
        return found
