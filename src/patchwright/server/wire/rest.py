# SPDX-License-Identifier: Apache-2.0
"""
REST-JSON: the operation is named by method and path, and the input is spread over path, query, headers and body.

What stands outside the body is text. It is turned into plain values by the member's shape, put beside the body's, and the
whole is validated at once, so that a refusal names a member the same way wherever it stood.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote

import msgspec

from .errors import ApiError, WireMismatch, invalid_signature, serialization
from .moments import HTTP, ISO, WRITERS
from .protocol import NOTHING, Asked, Dialect, Headers, Operation, Reply
from .reading import read_json
from .shapes import Change, Shapes, moment_form
from .texts import scalar
from .validation import require_conformity

_OUTSIDE = frozenset({"uri", "querystring", "header", "headers", "statusCode"})
_FORMS: Mapping[str, str] = {"uri": ISO, "querystring": ISO, "header": HTTP}  # of moments, where the model names none
_QUOTED = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|\Z)')
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# AWS answers these with 403 where the protocol is REST or Query, and with 400 in JSON.
FORBIDDEN = frozenset(
    {
        "AccessDeniedException", "ExpiredTokenException", "IncompleteSignatureException", "InvalidSignatureException",
        "MissingAuthenticationTokenException", "UnrecognizedClientException",
    }
)  # fmt: skip
_STATUS = {**dict.fromkeys(FORBIDDEN, 403), "UnknownOperationException": 404, "ThrottlingException": 429}


class RestOperation(Operation):
    """One operation of a service that speaks REST-JSON."""

    def __init__(
        self,
        target: str,
        description: Mapping[str, Any],
        shapes: Shapes,
        *,
        metadata: Mapping[str, Any] = NOTHING,
        strict: bool = False,
    ) -> None:
        super().__init__(target, description, shapes, metadata=metadata, strict=strict)
        self._status: int = description["http"].get("responseCode", 200)

    @cached_property
    def _asked(self) -> _Parts:
        return _Parts(self._shapes, self._input)

    @cached_property
    def _answered(self) -> _Parts:
        return _Parts(self._shapes, self._output)

    def read(self, content: bytes, asked: Asked | None) -> dict[str, Any]:
        """The request of which *content* is the body and *asked* the rest. Raises ApiError."""
        parts = self._asked
        if not parts.outside and parts.payload is None:
            return self.input.from_json(content)
        value = parts.read_body(content)
        if not isinstance(value, dict):
            raise serialization("The request body is not a JSON object.")
        if asked is not None:
            value.update(_read_outside(self._shapes, parts.outside, asked))
        return self.input.from_value(value)

    def answer(self, output: Mapping[str, Any], request_id: str) -> Reply:
        """What is sent back for *output*."""
        body = self.serialize(output)
        headers: list[tuple[bytes, bytes]] = []
        status = self._status
        for member, reference in self._answered.outside.items():
            if reference["location"] == "statusCode":
                status = output.get(member) or status
            elif output.get(member) is not None:
                headers += write_headers(self._shapes, member, reference, output[member])
        return status, tuple(headers), body if status != 204 else b""

    def serialize(self, output: Mapping[str, Any]) -> bytes:
        """The response body of *output*: JSON, or the payload itself where that is a blob or a text."""
        if self._strict:
            require_conformity(self._shapes, self._output, output)
        return encode(self._answered.write_body(output)) if self._output else b"{}"


class RestDialect(Dialect):
    """How a service that speaks REST-JSON answers, and how it refuses."""

    operation: ClassVar[type[Operation]] = RestOperation

    def __init__(self, model: Mapping[str, Any], shapes: Shapes, *, strict: bool = False) -> None:
        super().__init__(model, shapes, strict=strict)
        self.content_type = b"application/json"

    def refusal(self, error: ApiError, request_id: str) -> Reply:
        """What a client is told of *error*. Members of its shape may be headers."""
        status, headers, _ = super().refusal(error, request_id)
        members = dict(self.members(error))
        located: list[tuple[bytes, bytes]] = []
        if error.code in self._errors:
            for member, reference in _Parts(self._shapes, error.code).outside.items():
                name = reference.get("locationName", member)
                if members.pop(name, None) is not None and reference["location"] == "header":
                    located += write_headers(self._shapes, member, reference, error.members[member])
        return status, (*headers, *located), error.body(members)

    def status(self, error: ApiError) -> int:
        """The model's status where it names one, else what REST services answer with that code."""
        if error.code in self._errors:
            return super().status(error)
        return _STATUS.get(error.code, error.status)


class _Parts:
    """The members of structure *name*, by where they stand."""

    def __init__(self, shapes: Shapes, name: str | None) -> None:
        self._shapes = shapes
        shape = shapes[name] if name is not None else {}
        members = shape.get("members", {})
        self.outside = {member: one for member, one in members.items() if one.get("location") in _OUTSIDE}
        self.inside = {member: one for member, one in members.items() if member not in self.outside}
        self.payload: str | None = shape.get("payload")
        if self.payload is not None and self.payload in self.outside:
            raise WireMismatch(f"{name}.{self.payload} is the body and stands outside it")

    @cached_property
    def _payload_shape(self) -> str:
        found: str = self.inside[str(self.payload)]["shape"]
        return found

    @cached_property
    def _reader(self) -> Change:
        return self._shapes.structure_reader(self.inside)

    def read_body(self, content: bytes) -> Any:
        """The plain value of what *content* holds: the members inside the body."""
        if self.payload is None:
            return self._reader(read_json(content)) if self.inside else {}
        kind = self._shapes[self._payload_shape]["type"]
        if not content:
            return {}
        if kind == "blob":
            return {self.payload: content}
        if kind == "string":
            try:
                return {self.payload: content.decode()}
            except UnicodeDecodeError:
                raise serialization("The request body is not valid UTF-8.") from None
        value, read = read_json(content), self._shapes.reader_of(self._payload_shape)
        return {self.payload: value if read is None else read(value)}

    @cached_property
    def _writer(self) -> Change:
        return self._shapes.structure_writer(self.inside)

    def write_body(self, output: Mapping[str, Any]) -> Any:
        """The value of the body of *output*: bytes or text where the payload is, else what JSON is made of."""
        if self.payload is None:
            return self._writer(output)
        value, write = output.get(self.payload), self._shapes.writer_of(self._payload_shape)
        return value if value is None or write is None else write(value)


def _read_outside(shapes: Shapes, outside: Mapping[str, Mapping[str, Any]], asked: Asked) -> dict[str, Any]:
    """The members of a request that stand outside its body, as plain values."""
    given: dict[str, list[str]] = {}
    for name, text in _pairs(asked.query):
        given.setdefault(name, []).append(text)
    named = {one.get("locationName", member) for member, one in outside.items() if one["location"] == "querystring"}
    found: dict[str, Any] = {}
    for member, reference in outside.items():
        name, location = reference.get("locationName", member), reference["location"]
        shape = shapes[reference["shape"]]
        if location == "uri":
            found[member] = _texts(shapes, reference, location)(asked.labels[name])
        elif location == "querystring" and shape["type"] == "map":
            lists = shapes[shape["value"]["shape"]]["type"] == "list"
            found[member] = {key: texts if lists else texts[-1] for key, texts in given.items() if key not in named}
        elif location == "querystring" and name in given:
            found[member] = _listed(shapes, reference, location, given[name])
        elif location == "header" and (sent := _header(name, asked)) is not None:
            parts = _split(sent) if shape["type"] == "list" else [sent]
            found[member] = _listed(shapes, reference, location, parts)
        elif location == "headers":
            prefix = name.lower().encode()
            keys = [key for key in asked.headers if key.startswith(prefix)]
            found[member] = {
                key[len(prefix) :].decode("latin-1"): _header(key.decode("latin-1"), asked) for key in keys
            }
    return found


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise serialization("The query string could not be read.") from None


def _header(name: str, asked: Asked) -> str | None:
    """The value of a header that has a meaning here, and so has to be signed."""
    key = name.lower().encode()
    value = asked.headers.get(key)
    if value is None:
        return None
    if key not in asked.signed:
        raise invalid_signature(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _listed(shapes: Shapes, reference: Mapping[str, Any], location: str, texts: list[str]) -> Any:
    """The value of a member that may be a list, each element of it one of *texts*."""
    shape = shapes[reference["shape"]]
    if shape["type"] == "list":
        read = _texts(shapes, shape["member"], location)
        return [read(one) for one in texts]
    return _texts(shapes, reference, location)(texts[-1])


def _texts(shapes: Shapes, reference: Mapping[str, Any], location: str) -> Callable[[str], Any]:
    shape = shapes[reference["shape"]]
    return lambda text: scalar(shape, reference, text, default=_FORMS[location])


def _split(text: str) -> list[str]:
    """The elements of a header that is a list: split at commas that are not quoted."""
    found = []
    position = 0
    while position < len(text):
        match = _QUOTED.match(text, position)
        if match is None:
            return text.split(",")
        quoted, bare = match.groups()
        found.append(bare.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        position = match.end()
    return found


def write_headers(shapes: Shapes, member: str, reference: Mapping[str, Any], value: Any) -> Headers:
    """The headers that tell *value* of *member*. Raises WireMismatch where no header can."""
    name, shape = reference.get("locationName", member), shapes[reference["shape"]]
    if reference["location"] == "headers":
        found = [(name + key, text) for key, text in value.items()]
    elif shape["type"] == "list":
        found = [(name, ", ".join(_header_text(shapes, shape["member"], one) for one in value))]
    else:
        found = [(name, _header_text(shapes, reference, value))]
    if any(_CONTROL.search(text) for pair in found for text in pair):
        raise WireMismatch(f"{member} holds a character that no header can")
    return tuple((key.lower().encode("latin-1"), text.encode()) for key, text in found)


def _header_text(shapes: Shapes, reference: Mapping[str, Any], value: Any) -> str:
    shape = shapes[reference["shape"]]
    if shape["type"] == "timestamp":
        return str(WRITERS[moment_form(shape, reference, HTTP)](value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


# -- which operation


class Paths:
    """Finds the operation of a method and a path. *operations* are a model's."""

    def __init__(self, operations: Mapping[str, Mapping[str, Any]]) -> None:
        templates = [_Template(name, one["http"]) for name, one in operations.items()]
        self._templates = sorted(templates, key=lambda one: one.rank)

    def find(self, method: str, path: str, query: str) -> tuple[str, Mapping[str, str]] | None:
        """The operation's name and the labels in its path (percent-encoded as sent), or None."""
        for template in self._templates:
            labels = template.match(method, path)
            if labels is not None and template.required <= set(_required(query)):
                return template.name, labels
        return None


class _Template:
    """An operation's `http` trait: `GET /things/{id}/parts/{rest+}?kind=x`."""

    def __init__(self, name: str, http: Mapping[str, Any]) -> None:
        self.name = name
        self._method = http["method"]
        path, _, query = http["requestUri"].partition("?")
        self.required = frozenset(_required(query))
        parts = re.split(r"\{([^}]+)\}", path)
        pattern = "".join(
            re.escape(part) if place % 2 == 0 else ("(.+)" if part.endswith("+") else "([^/]+)")
            for place, part in enumerate(parts)
        )
        self._names = [part.rstrip("+") for part in parts[1::2]]
        self._pattern = re.compile(pattern)
        literal = sum(len(part) for part in parts[::2])
        # Words before labels, labels before greedy ones, more that is required before less.
        self.rank = ("+}" in path, len(self._names), -literal, -len(self.required), name)

    def match(self, method: str, path: str) -> Mapping[str, str] | None:
        """The labels in *path*, decoded, if this is its template."""
        found = self._pattern.fullmatch(path) if method == self._method else None
        if found is None:
            return None
        try:
            return {
                name: unquote(text, errors="strict") for name, text in zip(self._names, found.groups(), strict=True)
            }
        except UnicodeDecodeError:
            raise serialization("The path is not valid UTF-8.") from None


def _required(query: str) -> Iterable[str]:
    return [part for part in query.split("&") if part]


def encode(body: Any) -> bytes:
    """The bytes of an answer's body: a blob or a text as it is, everything else as JSON."""
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else msgspec.json.encode({} if body is None else body)
