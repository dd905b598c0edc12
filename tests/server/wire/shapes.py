# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies made from the shapes of a service model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from patchwright.server.wire.patterns import python_pattern

Shapes = Mapping[str, Mapping[str, Any]]

INTEGERS = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
    st.just([]),
    st.just({}),
    st.just([None]),
    st.just({"a": 1}),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
DEEPEST = 5  # levels of structure; below, optional members stay away


def nested(levels: int) -> dict[str, Any]:
    """An object of so many levels, lists and objects in turn."""
    value: Any = {} if levels % 2 else []
    for level in range(levels - 1, 0, -1):
        value = {"in": value} if level % 2 else [value]
    return value


def valid(shapes: Shapes, name: str, depth: int = 0) -> st.SearchStrategy[Any]:
    """
    Values that keep every constraint of shape *name*.

    Timestamps are whole epoch seconds, blobs are bytes, as a caller hands them to an SDK.
    """
    shape = shapes[name]
    kind = shape["type"]
    low, high = shape.get("min"), shape.get("max")
    if shape.get("document"):
        return st.dictionaries(TEXT, JSON, max_size=3)
    if kind == "structure":
        return _structure(shapes, shape, depth)
    if kind == "list":
        most = low or 0 if depth > DEEPEST else max(low or 0, min(high or 3, 3))
        return st.lists(valid(shapes, shape["member"]["shape"], depth + 1), min_size=low or 0, max_size=most)
    if kind == "map":
        most = low or 0 if depth > DEEPEST else max(low or 0, min(high or 2, 2))
        keys, values = (valid(shapes, shape[part]["shape"], depth + 1) for part in ("key", "value"))
        return st.dictionaries(keys, values, min_size=low or 0, max_size=most)
    if kind == "string":
        return _text(shape)
    if kind in INTEGERS:
        return st.integers(INTEGERS[kind][0] if low is None else low, INTEGERS[kind][1] if high is None else high)
    if kind in ("float", "double"):
        return st.floats(allow_nan=False, allow_infinity=False, width=32 if kind == "float" else 64)
    if kind == "timestamp":
        return st.integers(0, 4_000_000_000)
    if kind == "blob":
        return st.binary(min_size=low or 0, max_size=min(high or 64, 64))
    return st.booleans()


def near(shapes: Shapes, name: str, depth: int = 0) -> st.SearchStrategy[Any]:
    """JSON values that look like shape *name*: mostly right, wrong here and there."""
    shape = shapes[name]
    kind = shape["type"]
    if shape.get("document"):
        return st.one_of(
            st.dictionaries(TEXT, JSON, max_size=3), st.sampled_from([nested(n) for n in (15, 16, 17)]), JUNK
        )
    if kind == "structure":
        members = shape["members"] if depth <= DEEPEST else {}
        inside = st.fixed_dictionaries(
            {}, optional={member: near(shapes, one["shape"], depth + 1) for member, one in members.items()}
        )
        full = valid_json(shapes, name, depth)
        return st.one_of(inside, full, JUNK) if depth else st.one_of(inside, full)
    if kind == "list":
        inner = near(shapes, shape["member"]["shape"], depth + 1)
        return st.one_of(valid_json(shapes, name, depth), st.lists(inner, max_size=3), JUNK)
    if kind == "map":
        return st.one_of(valid_json(shapes, name, depth), st.dictionaries(TEXT, JUNK, max_size=2), JUNK)
    if kind == "string":
        edges = [n for n in (shape.get("min"), shape.get("max")) if n is not None and n < 300]
        lengths = [length for edge in edges for length in (edge - 1, edge, edge + 1) if length >= 0]
        return st.one_of(_text(shape), st.sampled_from([*("a" * n for n in lengths), "a\n", "é", "x"]), JUNK)
    if kind in INTEGERS:
        edges = [*INTEGERS[kind], *(n for n in (shape.get("min"), shape.get("max")) if n is not None)]
        return st.one_of(st.sampled_from([n + step for n in edges for step in (-1, 0, 1)]), JUNK)
    if kind == "blob":
        return st.one_of(st.sampled_from(["", "YWI=", "YW", "????"]), JUNK)
    return st.one_of(valid(shapes, name), JUNK)


def valid_json(shapes: Shapes, name: str, depth: int = 0) -> st.SearchStrategy[Any]:
    """Like `valid`, for shapes whose values are JSON already."""
    return valid(shapes, name, depth).filter(lambda value: not _holds_bytes(value))


def _structure(shapes: Shapes, shape: Mapping[str, Any], depth: int) -> st.SearchStrategy[Any]:
    members = {
        member: st.deferred(lambda one=one: valid(shapes, one["shape"], depth + 1))
        for member, one in shape["members"].items()
    }
    if shape.get("union"):
        return st.sampled_from(sorted(members)).flatmap(lambda one: st.fixed_dictionaries({one: members[one]}))
    required = {member: members[member] for member in shape.get("required", ())}
    optional = {} if depth > DEEPEST else {member: members[member] for member in members if member not in required}
    return st.fixed_dictionaries(required, optional=optional)


def _text(shape: Mapping[str, Any]) -> st.SearchStrategy[str]:
    low, high = shape.get("min", 0), shape.get("max", 10**6)
    if "enum" in shape:
        return st.sampled_from(shape["enum"])
    if "pattern" in shape:
        found = st.from_regex(python_pattern(shape["pattern"]))
        return found.filter(lambda text: low <= len(text) <= high and "\0" not in text)
    return st.text(TEXT_ALPHABET, min_size=low, max_size=max(low, min(high, low + 20)))


TEXT_ALPHABET = st.characters(exclude_characters="\0", exclude_categories=["Cs"])


def _holds_bytes(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_bytes(one) for one in value.values())
    if isinstance(value, list):
        return any(_holds_bytes(one) for one in value)
    return isinstance(value, bytes)
