# SPDX-License-Identifier: Apache-2.0
"""
The slow reading of a value against its shape: everything that is wrong with it, in AWS's words.

Member paths are AWS's: `approvalRules.patchRules.1.member.approveAfterDays` (first letter lowered, list positions from 1).
Values of shapes marked sensitive are never repeated.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol

from .errors import WireMismatch, serialization
from .moments import RANGE as MOMENTS
from .patterns import python_pattern

INTEGERS: Mapping[str, tuple[int, int]] = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
FRACTIONS = frozenset({"float", "double"})

DOCUMENT_DEPTH = 16  # levels of objects and lists in a shape marked `document`, itself included
_CONTAINERS = frozenset({"structure", "list", "map"})
REPORTED = 100  # violations told at once; the count told is the true one
_SHOWN = 200  # characters of a refused value that are repeated
_PATTERN_REACH = 4096  # longer strings, too long already, are not matched as well
_JSON_NAMES = {
    dict: "START_OBJECT",
    list: "START_ARRAY",
    str: "STRING_VALUE",
    bool: "BOOLEAN_VALUE",
    int: "NUMBER_VALUE",
    float: "NUMBER_VALUE",
}
_JAVA_NAMES = {
    "structure": "a Structure", "list": "a List", "map": "a Map", "string": "a String", "integer": "an Integer", "long": "a Long",
    "boolean": "a Boolean", "blob": "a Blob", "timestamp": "a Timestamp", "float": "a Float", "double": "a Double",
}  # fmt: skip
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,), "list": (list,), "map": (dict,), "string": (str,), "integer": (int,), "long": (int,), "boolean": (bool,),
    "blob": (str, bytes), "timestamp": (int, float), "float": (int, float), "double": (int, float),
}  # fmt: skip


class ShapeTable(Protocol):
    """Shapes by name, as a service model describes them."""

    def __getitem__(self, name: str) -> Mapping[str, Any]: ...

    def reaches(self, name: str, trait: str) -> bool:
        """Whether shape *name*, or a shape below it, carries *trait*."""
        ...


def find_violations(shapes: ShapeTable, name: str | None, value: Any) -> tuple[int, list[str]]:
    """
    What *value* (decoded JSON) violates of shape *name*: how much, and the first `REPORTED` texts in the model's order.

    Raises ApiError (SerializationException) at the first value of a wrong JSON type.
    """
    walk = _Walk(shapes)
    if name is not None:
        walk.visit(name, value, "")
    return walk.count, walk.found


class _Walk:
    def __init__(self, shapes: ShapeTable) -> None:
        self.shapes = shapes
        self.count = 0
        self.found: list[str] = []

    def visit(self, name: str, value: Any, path: str) -> None:
        """Collect the violations of *value*; *path* is empty at the top."""
        shape = self.shapes[name]
        kind = shape["type"]
        _require_json_type(kind, value, path)
        for constraint in _constraints(shape, value):
            self.report(name, value, path, constraint)
        if shape.get("document"):
            for constraint in document_faults(value):
                self.report(name, "", path, constraint)
        elif kind == "structure":
            self.structure(name, value, path)
        elif kind == "list":
            self.inside(name, path, value, subject="Member")
        elif kind == "map":
            key = self.shapes[shape["key"]["shape"]]
            broken = next((found for one in value if (found := _constraints(key, one))), [])
            if broken:
                self.report(name, value, path, f"Map keys {_obligation(key, broken)}")
            self.inside(name, path, value, subject="Map value")

    def structure(self, name: str, value: Mapping[str, Any], path: str) -> None:
        shape = self.shapes[name]
        required = shape.get("required", ())
        given = [member for member in shape["members"] if value.get(member) is not None]
        for member, reference in shape["members"].items():
            below = f"{path}.{member[:1].lower()}{member[1:]}".lstrip(".")
            if value.get(member) is not None:
                self.visit(reference["shape"], value[member], below)
            elif member in required:
                self.report_null(below)
        if shape.get("union") and len(given) != 1:
            self.report(name, value, path, "Member must have exactly one member set")

    def inside(self, name: str, path: str, value: Any, *, subject: str) -> None:
        """The elements of a list, or the values of a map. AWS reports simple ones once for all of them."""
        shape = self.shapes[name]
        inner_name = shape["member" if shape["type"] == "list" else "value"]["shape"]
        inner = self.shapes[inner_name]
        broken: list[str] = []
        for step, one in value.items() if isinstance(value, dict) else enumerate(value, start=1):
            below = f"{path}.{_shown(step)}.member"
            if one is None:
                self.report_null(below)
            elif inner["type"] in _CONTAINERS:
                self.visit(inner_name, one, below)
            else:
                _require_json_type(inner["type"], one, below)
                broken = broken or _constraints(inner, one)
        if broken:
            self.report(name, value, path, f"{subject} {_obligation(inner, broken)}")

    def report(self, name: str, value: Any, path: str, constraint: str) -> None:
        self.count += 1
        if self.count <= REPORTED:
            shown = "Value" if self.shapes.reaches(name, "sensitive") else f"Value '{_shown(value)}'"
            self.found.append(f"{shown} at '{path}' failed to satisfy constraint: {constraint}")

    def report_null(self, path: str) -> None:
        self.count += 1
        if self.count <= REPORTED:
            self.found.append(f"Value null at '{path}' failed to satisfy constraint: Member must not be null")


def document_faults(document: dict[str, Any]) -> list[str]:
    """What no *document* may have inside, whatever it means."""
    faults = set()
    low, high = INTEGERS["long"]
    level: list[Any] = [document]
    depth = 1
    while level:
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is str:
                if "\0" in value:
                    faults.add("Member must not contain the character U+0000")
            elif kind is dict or kind is list:
                if depth > DOCUMENT_DEPTH:
                    faults.add(f"Member must not be nested more than {DOCUMENT_DEPTH} levels deep")
                    continue
                below += value
                if kind is dict:
                    below += value.values()
            elif kind is int and not low <= value <= high:
                faults.add("Member must not contain integers of more than 64 bits")
        level, depth = below, depth + 1
    return sorted(faults)


def _obligation(inner: Mapping[str, Any], broken: list[str]) -> str:
    """Every constraint elements are under; one that only we impose is named where it is *broken*."""
    every = _modelled_constraints(inner)
    return f"must satisfy constraint: [{', '.join([*every, *(one for one in broken if one not in every)])}]"


def _require_json_type(kind: str, value: Any, path: str) -> None:
    at = f" at '{path}'" if path else ""
    refused = serialization(
        f"{_JSON_NAMES.get(type(value), 'VALUE_NULL')} can not be converted to {_JAVA_NAMES[kind]}{at}"
    )
    if type(value) not in _PYTHON_TYPES[kind]:
        raise refused
    if kind in INTEGERS and not INTEGERS[kind][0] <= value <= INTEGERS[kind][1]:
        raise refused
    if kind == "timestamp" and not MOMENTS[0] <= value <= MOMENTS[1]:
        raise refused
    if kind == "blob" and type(value) is str:
        try:
            binascii.a2b_base64(value, strict_mode=True)
        except ValueError:
            raise refused from None


def _constraints(shape: Mapping[str, Any], value: Any) -> list[str]:
    """The constraints of *shape* alone that *value*, of the right JSON type, breaks."""
    broken = []
    kind = shape["type"]
    if kind == "string":
        if "enum" in shape:
            return [] if value in shape["enum"] else _modelled_constraints(shape)
        if "\0" in value:
            broken.append("Member must not contain the character U+0000")
    if kind in {"string", "list", "map", "blob"}:
        size = len(binascii.a2b_base64(value)) if kind == "blob" and type(value) is str else len(value)
        unit = "length"
    elif kind in INTEGERS or kind in FRACTIONS:
        size, unit = value, "value"
    else:
        return broken
    if "max" in shape and size > shape["max"]:
        broken.append(f"Member must have {unit} less than or equal to {shape['max']}")
    if "min" in shape and size < shape["min"]:
        broken.append(f"Member must have {unit} greater than or equal to {shape['min']}")
    matched = kind == "string" and "pattern" in shape and (size <= _PATTERN_REACH or not broken)
    if matched and not _compiled(shape["pattern"]).search(value):
        broken.append(f"Member must satisfy regular expression pattern: {shape['pattern']}")
    return broken


def _modelled_constraints(shape: Mapping[str, Any]) -> list[str]:
    """Every constraint that values of *shape* are under."""
    if "enum" in shape:
        return [f"Member must satisfy enum value set: [{', '.join(shape['enum'])}]"]
    unit = "value" if shape["type"] in INTEGERS or shape["type"] in FRACTIONS else "length"
    named = []
    if "max" in shape:
        named.append(f"Member must have {unit} less than or equal to {shape['max']}")
    if "min" in shape:
        named.append(f"Member must have {unit} greater than or equal to {shape['min']}")
    if "pattern" in shape:
        named.append(f"Member must satisfy regular expression pattern: {shape['pattern']}")
    return named


@lru_cache(maxsize=512)
def _compiled(java: str) -> re.Pattern[str]:
    return re.compile(python_pattern(java))


def _shown(value: Any) -> str:
    """*value* as Java prints it, cut after `_SHOWN` characters."""
    shown = _text(value)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_text(one) for one in value[:_SHOWN])}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}={_text(one)}' for key, one in islice(value.items(), _SHOWN))}}}"
    return str(value)[: _SHOWN + 1]


# -- what handlers answer


def require_conformity(shapes: ShapeTable, name: str | None, value: Any) -> None:
    """Raise WireMismatch unless *value*, a handler's answer, fits shape *name*: members known, types right."""
    if name is None:
        if value:
            raise WireMismatch(f"the operation answers nothing, not {sorted(value)}")
        return
    _conform(shapes, name, value, name)


def _conform(shapes: ShapeTable, name: str, value: Any, path: str) -> None:
    shape = shapes[name]
    kind = shape["type"]
    expected = (bytes,) if kind == "blob" else _PYTHON_TYPES[kind]
    if type(value) not in expected:
        raise WireMismatch(f"{path} is a {type(value).__name__}, not {_JAVA_NAMES[kind]}")
    if kind == "structure" and not shape.get("document"):
        for member, one in value.items():
            if member not in shape["members"]:
                raise WireMismatch(f"{path} has no member {member!r}")
            if one is not None:
                _conform(shapes, shape["members"][member]["shape"], one, f"{path}.{member}")
    elif kind in {"list", "map"}:
        inner = shape["member" if kind == "list" else "value"]["shape"]
        for step, one in value.items() if kind == "map" else enumerate(value, start=1):
            _conform(shapes, inner, one, f"{path}.{step}")
