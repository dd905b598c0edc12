# SPDX-License-Identifier: Apache-2.0
"""Requests made up from the service models: nearly right, and wrong in every way a caller may think of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

NASTY = (
    "",
    " ",
    "\0",
    "\u2028",
    "é",
    "🦊",
    "a\nb",
    "../../etc/passwd",
    "'; DROP TABLE node; --",
    "${jndi:ldap://x}",
    "{{ Operation }}",
    "%s%n",
    "*",
    "null",
    "-1",
    "9" * 40,
    "x" * 300,
    "x" * 70_000,
    "2026-11-20T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(NASTY),
    st.just([]),
    st.just({}),
    st.just([[]]),
    st.just({"": None}),
)


class Maker:
    """
    Values of a model's shapes. *pool* holds things that exist, by shape or member name: ids, names, whole documents.

    One value in twenty is of another type than the shape's.
    """

    def __init__(self, shapes: Mapping[str, Any], pool: Mapping[str, Sequence[Any]]) -> None:
        self.shapes = shapes
        self.pool = pool

    def value(self, name: str, member: str = "", depth: int = 0) -> st.SearchStrategy[Any]:
        """A value of shape *name*, or nearly."""
        right = self.right(name, member, depth)
        return st.integers(0, 19).flatmap(lambda dice: SCALARS if dice == 0 else right)

    def right(self, name: str, member: str, depth: int) -> st.SearchStrategy[Any]:
        """A value that fits the shape's type, and often the shape."""
        shape = self.shapes[name]
        known = [*self.pool.get(name, ()), *self.pool.get(member, ())]
        made = self.made(shape, depth)
        return st.one_of(st.sampled_from(known), st.sampled_from(known), made) if known else made

    def made(self, shape: Mapping[str, Any], depth: int) -> st.SearchStrategy[Any]:
        kind = shape["type"]
        if kind == "structure":
            return self.structure(shape, depth)
        if kind in {"list", "map"}:
            if depth > 4:
                return st.just([] if kind == "list" else {})
            most = min(shape.get("max", 3), 3)
            if kind == "list":
                inner = self.value(shape["member"]["shape"], depth=depth + 1)
                return st.lists(inner, max_size=most)
            return st.dictionaries(
                st.sampled_from(["Operation", "RebootOption", "SnapshotId", "x"]),
                self.value(shape["value"]["shape"], depth=depth + 1),
                max_size=most,
            )
        if kind == "string":
            words = st.sampled_from([*shape.get("enum", ()), *NASTY])
            return words if "enum" in shape else st.one_of(words, st.text(max_size=30))
        if kind == "boolean":
            return st.booleans()
        if kind == "timestamp":
            return st.sampled_from([0, 1.5e9, 1.8e9, 1e11, -1e12, 4e9])
        low, high = shape.get("min", -5), shape.get("max", 2**31)
        return st.one_of(st.integers(low, high), st.sampled_from([low, high, low - 1, high + 1]))

    def structure(self, shape: Mapping[str, Any], depth: int) -> st.SearchStrategy[Any]:
        if shape.get("document"):
            return st.dictionaries(st.sampled_from(["Actions", "Unresolved", "manager", "x"]), SCALARS, max_size=3)
        members = {
            member: self.value(reference["shape"], member, depth + 1) for member, reference in shape["members"].items()
        }
        required = {name: members[name] for name in shape.get("required", ())}
        optional = {name: made for name, made in members.items() if name not in required}
        few = st.lists(st.sampled_from(sorted(optional)), max_size=2, unique=True) if optional else st.just([])
        whole = st.fixed_dictionaries(required, optional=optional)
        brief = few.flatmap(
            lambda names: st.fixed_dictionaries({**required, **{name: members[name] for name in names}})
        )
        lacking = st.fixed_dictionaries({}, optional={**members, "Unknown": SCALARS})
        return st.integers(0, 9).flatmap(lambda dice: lacking if dice == 0 else brief if dice < 7 else whole)
