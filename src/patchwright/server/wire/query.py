# SPDX-License-Identifier: Apache-2.0
"""
Query: the input is a form, named by Action and Version; the answer is XML.

EC2's dialect of it, which is not built, would differ in: names in forms (`queryName`, else locationName with a capital),
lists without `member` (`Filter.1.Name`), answers without a result element, `requestId` in place of ResponseMetadata, and
errors as `<Response><Errors><Error>…</Error></Errors><RequestID>…</RequestID></Response>`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape, quoteattr

from .errors import ApiError, serialization
from .moments import ISO, WRITERS
from .protocol import NOTHING, Asked, Dialect, Operation, Reply
from .rest import FORBIDDEN
from .shapes import Shapes, moment_form
from .texts import scalar
from .validation import require_conformity

_CONTAINERS = frozenset({"structure", "list", "map"})
_POSITION = re.compile(r"[1-9]\d{0,6}", re.ASCII)
_ACTION = re.compile(rb"(?:\A|&)Action=([A-Za-z0-9]{1,128})(?=&|\Z)")
_VERSION = re.compile(rb"(?:\A|&)Version=([0-9-]{1,32})(?=&|\Z)")
_FIELDS = 10_000  # of one form
_DEEPEST = 64  # names in one key
# What XML cannot say, not even escaped.
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What Query services call the errors that every service has.
_CODES: Mapping[str, str] = {
    "AccessDeniedException": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "InternalServerError": "InternalFailure",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "SerializationException": "MalformedInput",
    "ServiceUnavailableException": "ServiceUnavailable",
    "ThrottlingException": "Throttling",
    "UnknownOperationException": "InvalidAction",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ValidationException": "ValidationError",
}


class QueryOperation(Operation):
    """One operation of a service that speaks Query."""

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
        self._namespace = quoteattr(metadata.get("xmlNamespace", ""))
        self._wrapper: str = description.get("output", {}).get("resultWrapper", f"{self.name}Result")

    def read(self, content: bytes, asked: Asked | None) -> dict[str, Any]:
        """The request in the form *content*. Raises ApiError."""
        return self.read_form(read_form(content))

    def read_form(self, form: Mapping[str, str]) -> dict[str, Any]:
        """The request in *form*."""
        if self._input is None:
            return {}
        try:
            value = _Reader(self._shapes).structure(self._shapes[self._input], _tree(form))
        except RecursionError:
            raise serialization("The form is nested too deeply.") from None
        return self.input.from_value(value)

    def answer(self, output: Mapping[str, Any], request_id: str) -> Reply:
        """What is sent back for *output*."""
        return 200, (), self.serialize(output, request_id)

    def serialize(self, output: Mapping[str, Any], request_id: str = "") -> bytes:
        """The response body of *output*."""
        if self._strict:
            require_conformity(self._shapes, self._output, output)
        result = ""
        if self._output is not None:
            members = "".join(XmlWriter(self._shapes).members(self._shapes[self._output], output))
            result = f"<{self._wrapper}>{members}</{self._wrapper}>"
        metadata = f"<ResponseMetadata><RequestId>{xml_text(request_id)}</RequestId></ResponseMetadata>"
        return f"<{self.name}Response xmlns={self._namespace}>{result}{metadata}</{self.name}Response>".encode()


class QueryDialect(Dialect):
    """How a service that speaks Query answers, and how it refuses."""

    operation: ClassVar[type[Operation]] = QueryOperation

    def __init__(self, model: Mapping[str, Any], shapes: Shapes, *, strict: bool = False) -> None:
        super().__init__(model, shapes, strict=strict)
        self.content_type = b"text/xml"
        self._namespace = quoteattr(model["metadata"].get("xmlNamespace", ""))

    def refusal(self, error: ApiError, request_id: str) -> Reply:
        """What a client is told of *error*: its code as Query services have it, and whose fault it is."""
        status, trait = self.status(error), self.trait(error)
        code = trait.get("code") or _CODES.get(error.code, error.code)
        fault = "Sender" if status < 500 else "Receiver"
        shape = self._shapes[error.code] if error.code in self._errors else {"type": "structure", "members": {}}
        if self._strict:
            self.members(error)
        members = "".join(XmlWriter(self._shapes).members(shape, error.members))
        text = (
            f"<ErrorResponse xmlns={self._namespace}><Error><Type>{fault}</Type><Code>{xml_text(code)}</Code>"
            f"<Message>{xml_text(error.text)}</Message>{_lower_message(shape, error)}{members}</Error>"
            f"<RequestId>{xml_text(request_id)}</RequestId></ErrorResponse>"
        )
        return status, (), text.encode()

    def status(self, error: ApiError) -> int:
        """The model's status where it names one, else what Query services answer with that code."""
        if error.code in self._errors:
            return super().status(error)
        return 403 if error.code in FORBIDDEN else error.status


def _lower_message(shape: Mapping[str, Any], error: ApiError) -> str:
    """The message once more, where the shape has a member for it that is spelled small: SDKs fill it from there."""
    return f"<message>{xml_text(error.text)}</message>" if "message" in shape["members"] else ""


# -- forms


def action_of(content: bytes) -> tuple[str, str]:
    """The Action and the Version that a form names, each empty where it does not. The rest is not read yet."""
    found = [pattern.search(content) for pattern in (_ACTION, _VERSION)]
    action, version = (match[1].decode() if match else "" for match in found)
    return action, version


def read_form(content: bytes) -> dict[str, str]:
    """The form in *content*, by name. Raises ApiError for what is no form, and for a name that is given twice."""
    try:
        pairs = parse_qsl(content.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS)
    except ValueError:
        raise serialization("The form could not be read.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise serialization("A parameter is given more than once.")
    return form


class _Node:
    """What a form says under one name: a value, and what is below."""

    __slots__ = ("below", "text")

    def __init__(self) -> None:
        self.text: str | None = None
        self.below: dict[str, _Node] = {}


def _tree(form: Mapping[str, str]) -> _Node:
    root = _Node()
    for name, text in form.items():
        parts = name.split(".")
        if len(parts) > _DEEPEST:
            raise serialization("The form is nested too deeply.")
        node = root
        for part in parts:
            node = node.below.setdefault(part, _Node())
        node.text = text
    return root


class _Reader:
    """Makes plain values of a form's nodes, by the shapes they belong to."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def structure(self, shape: Mapping[str, Any], node: _Node) -> dict[str, Any]:
        found = {}
        for member, reference in shape["members"].items():
            named = node.below.get(self._name(member, reference))
            if named is not None:
                found[member] = self.value(reference, named)
        return found

    def _name(self, member: str, reference: Mapping[str, Any]) -> str:
        """Under which name a form has *member*: a flattened list goes by the name of its elements, where they have one."""
        shape = self._shapes[reference["shape"]]
        if shape["type"] == "list" and shape.get("flattened"):
            inner: str | None = shape["member"].get("locationName")
            if inner is not None:
                return inner
        name: str = reference.get("locationName", member)
        return name

    def value(self, reference: Mapping[str, Any], node: _Node) -> Any:
        shape = self._shapes[reference["shape"]]
        kind = shape["type"]
        if kind not in _CONTAINERS:
            return scalar(shape, reference, node.text or "", default=ISO)
        if kind == "structure":
            return self.structure(shape, node)
        if kind == "list":
            outer = node if shape.get("flattened") else node.below.get(shape["member"].get("locationName", "member"))
            return [] if outer is None else [self.value(shape["member"], one) for one in _in_order(outer)]
        outer = node if shape.get("flattened") else node.below.get("entry")
        return {} if outer is None else dict(self._entry(shape, one) for one in _in_order(outer))

    def _entry(self, shape: Mapping[str, Any], node: _Node) -> tuple[str, Any]:
        key = node.below.get(shape["key"].get("locationName", "key"))
        value = node.below.get(shape["value"].get("locationName", "value"))
        if key is None or key.text is None or value is None:
            raise serialization("An entry of a map has no key or no value.")
        return key.text, self.value(shape["value"], value)


def _in_order(node: _Node) -> list[_Node]:
    """The elements below *node*, by their numbers; gaps close up."""
    numbers = [name for name in node.below if _POSITION.fullmatch(name)]
    return [node.below[name] for name in sorted(numbers, key=int)]


# -- XML


class XmlWriter:
    """Writes values as elements, by the shapes they belong to."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def members(self, shape: Mapping[str, Any], value: Mapping[str, Any]) -> Iterator[str]:
        """The elements of a structure's members; None and unknown ones are left out."""
        for member, reference in shape["members"].items():
            if value.get(member) is not None:
                yield self.element(member, reference, value[member])

    def element(self, member: str, reference: Mapping[str, Any], value: Any) -> str:
        shape = self._shapes[reference["shape"]]
        name = reference.get("locationName", member)
        if shape.get("flattened"):
            if shape["type"] == "list":
                name = shape["member"].get("locationName", name)
                return "".join(f"<{name}>{self.inside(shape['member'], one)}</{name}>" for one in value)
            return "".join(f"<{name}>{self._entry(shape, pair)}</{name}>" for pair in value.items())
        return f"<{name}>{self.inside(reference, value)}</{name}>"

    def inside(self, reference: Mapping[str, Any], value: Any) -> str:
        """What stands between the tags of *value*."""
        shape = self._shapes[reference["shape"]]
        kind = shape["type"]
        if kind == "structure":
            return "".join(self.members(shape, value))
        if kind == "list":
            name = shape["member"].get("locationName", "member")
            return "".join(f"<{name}>{self.inside(shape['member'], one)}</{name}>" for one in value)
        if kind == "map":
            return "".join(f"<entry>{self._entry(shape, pair)}</entry>" for pair in value.items())
        if kind == "timestamp":
            return str(WRITERS[moment_form(shape, reference, ISO)](value))
        if kind == "blob":
            return b64encode(value).decode()
        if kind == "boolean":
            return "true" if value else "false"
        return xml_text(str(value))

    def _entry(self, shape: Mapping[str, Any], pair: tuple[str, Any]) -> str:
        key, value = shape["key"].get("locationName", "key"), shape["value"].get("locationName", "value")
        return f"<{key}>{xml_text(pair[0])}</{key}><{value}>{self.inside(shape['value'], pair[1])}</{value}>"


def xml_text(value: str) -> str:
    """*value* between tags. What XML cannot say becomes the sign for it; a return is escaped, or parsers would change it."""
    return escape(_UNSPEAKABLE.sub("\ufffd", value), {"\r": "&#13;"})
