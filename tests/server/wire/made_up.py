# SPDX-License-Identifier: Apache-2.0
"""
Values of service models' shapes, made up by a seeded generator of random numbers: quicker than Hypothesis by far, so that a
hundred thousand of them take minutes.

    maker = Maker(shapes, random.Random(seed))
    maker.value("CreateUserRequest")            # keeps every constraint; moments are whole epoch seconds, blobs bytes
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Mapping, Sequence
from functools import lru_cache
from re import _constants as rc  # type: ignore[attr-defined]
from re import _parser as rp  # type: ignore[attr-defined]
from typing import Any

from patchwright.server.wire.patterns import python_pattern

Shapes = Mapping[str, Mapping[str, Any]]
INTEGERS = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
PLAIN = string.ascii_letters + string.digits + "-_."
ODD = " /+=%&?#'\"<>,;:@~é€🦊\u2028\t\n\r"
DEEPEST = 5  # levels of structure; below, optional members stay away


class Impossible(Exception):
    """No value that keeps the constraints was found."""


class Maker:
    """
    Makes values that keep the constraints of *shapes*, drawn from *chance*.

    *pool* has things that exist, by shape or member name: drawn more often than not. *odd* is how many of a hundred
    characters of free text are odd ones.
    """

    def __init__(
        self, shapes: Shapes, chance: random.Random, *, pool: Mapping[str, Sequence[Any]] | None = None, odd: int = 10
    ) -> None:
        self.shapes = shapes
        self.chance = chance
        self.pool = pool or {}
        self.odd = odd

    def value(self, name: str, *, member: str = "", depth: int = 0) -> Any:
        """A value of shape *name*. Raises Impossible."""
        known = self.pool.get(name) or self.pool.get(member)
        if known and self.chance.random() < (0.7 if depth else 0.3):
            return self.chance.choice(known)
        shape = self.shapes[name]
        make = getattr(self, f"_{shape['type']}")
        return {"x": [1, None, "é"]} if shape.get("document") else make(shape, depth)

    def _structure(self, shape: Mapping[str, Any], depth: int) -> dict[str, Any]:
        members, required = shape["members"], set(shape.get("required", ()))
        if shape.get("union"):
            chosen = [self.chance.choice(sorted(members))]
        else:
            likely = 0.0 if depth > DEEPEST else 0.5 if depth else self.chance.choice([0.0, 0.15, 0.5, 0.9])
            chosen = [one for one in members if one in required or self.chance.random() < likely]
        made = {}
        for one in chosen:
            try:
                made[one] = self.value(members[one]["shape"], member=one, depth=depth + 1)
            except Impossible:
                if one in required or shape.get("union"):
                    raise
        return made

    def _size(self, shape: Mapping[str, Any], most: int) -> int:
        low, high = shape.get("min", 0), shape.get("max", 10**6)
        return self.chance.randint(low, max(low, min(high, most)))

    def _list(self, shape: Mapping[str, Any], depth: int) -> list[Any]:
        size = self._size(shape, 0 if depth > DEEPEST else 3)
        return [self.value(shape["member"]["shape"], depth=depth + 1) for _ in range(size)]

    def _map(self, shape: Mapping[str, Any], depth: int) -> dict[str, Any]:
        size = self._size(shape, 0 if depth > DEEPEST else 2)
        made: dict[str, Any] = {}
        for _ in range(size * 20):
            if len(made) == size:
                break
            key = self.value(shape["key"]["shape"], depth=depth + 1)
            made[key] = self.value(shape["value"]["shape"], depth=depth + 1)
        if len(made) < shape.get("min", 0):
            raise Impossible(shape)
        return made

    def _string(self, shape: Mapping[str, Any], depth: int) -> str:
        if "enum" in shape:
            found: str = self.chance.choice(shape["enum"])
            return found
        low, high = shape.get("min", 0), shape.get("max", 10**6)
        if "pattern" not in shape:
            return self.text(self.chance.randint(low, max(low, min(high, low + 12))))
        java = shape["pattern"]
        for _ in range(500):
            text = self.matching(java, low, high)
            if low <= len(text) <= high and "\0" not in text and _compiled(java).search(text):
                return text
        raise Impossible(java)

    def text(self, length: int) -> str:
        """Free text."""
        return "".join(
            self.chance.choice(ODD if self.chance.randrange(100) < self.odd else PLAIN) for _ in range(length)
        )

    def _number(self, shape: Mapping[str, Any], bounds: tuple[int, int]) -> int:
        low, high = shape.get("min", bounds[0]), shape.get("max", bounds[1])
        near = min(high, max(low, 0) + 10)
        return self.chance.choice([low, high, self.chance.randint(low, high), self.chance.randint(max(low, 0), near)])

    def _integer(self, shape: Mapping[str, Any], depth: int) -> int:
        return self._number(shape, INTEGERS["integer"])

    def _long(self, shape: Mapping[str, Any], depth: int) -> int:
        return self._number(shape, INTEGERS["long"])

    def _double(self, shape: Mapping[str, Any], depth: int) -> float:
        return self.chance.uniform(shape.get("min", -1e6), shape.get("max", 1e6))

    _float = _double

    def _boolean(self, shape: Mapping[str, Any], depth: int) -> bool:
        return self.chance.random() < 0.5

    def _timestamp(self, shape: Mapping[str, Any], depth: int) -> int:
        return self.chance.randint(0, 4_000_000_000)

    def _blob(self, shape: Mapping[str, Any], depth: int) -> bytes:
        return self.chance.randbytes(self._size(shape, 40))

    # -- text that matches

    def matching(self, java: str, low: int, high: int) -> str:
        """A text that, looking ahead and length aside, matches the pattern *java*."""
        return self._sequence(_parsed(java), low, min(high, 300))

    def _sequence(self, parsed: Any, low: int, high: int) -> str:
        return "".join(self._token(code, argument, low, high) for code, argument in parsed)

    def _token(self, code: Any, argument: Any, low: int, high: int) -> str:
        if code is rc.LITERAL:
            return chr(argument)
        if code is rc.NOT_LITERAL:
            return self.chance.choice([one for one in PLAIN if ord(one) != argument])
        if code is rc.ANY:
            return self.chance.choice(PLAIN + " é")
        if code is rc.IN:
            return self._one_of(argument)
        if code is rc.BRANCH:
            return self._sequence(self.chance.choice(argument[1]), low, high)
        if code is rc.SUBPATTERN:
            return self._sequence(argument[-1], low, high)
        if code in {rc.MAX_REPEAT, rc.MIN_REPEAT, rc.POSSESSIVE_REPEAT}:
            least, most, inner = argument
            least = max(least, min(low, int(most))) if self.chance.random() < 0.5 and len(inner) == 1 else least
            times = self.chance.randint(least, max(least, min(int(most), high, least + 6)))
            return "".join(self._sequence(inner, low, high) for _ in range(times))
        if code in {rc.AT, rc.ASSERT, rc.ASSERT_NOT}:
            return ""
        raise Impossible(code)

    def _one_of(self, parts: Any) -> str:
        negated = parts[0][0] is rc.NEGATE
        if negated:
            refused = re.compile("[" + _class(parts[1:]) + "]")
            found = [one for one in PLAIN + " é\t" if not refused.match(one)]
            if not found:
                raise Impossible(parts)
            return self.chance.choice(found)
        code, argument = self.chance.choice(parts)
        if code is rc.LITERAL:
            return chr(argument)
        if code is rc.RANGE:
            return chr(self.chance.randint(argument[0], min(argument[1], argument[0] + 300)))
        if code is rc.CATEGORY:
            return self.chance.choice(_CATEGORIES[argument])
        raise Impossible(code)


_CATEGORIES = {
    rc.CATEGORY_DIGIT: string.digits,
    rc.CATEGORY_WORD: string.ascii_letters + string.digits + "_",
    rc.CATEGORY_SPACE: " \t",
    rc.CATEGORY_NOT_DIGIT: "ab-_ é",
    rc.CATEGORY_NOT_WORD: " -/+€",
    rc.CATEGORY_NOT_SPACE: "ab1-é",
}
_CATEGORY_TEXT = {
    rc.CATEGORY_DIGIT: r"\d",
    rc.CATEGORY_WORD: r"\w",
    rc.CATEGORY_SPACE: r"\s",
    rc.CATEGORY_NOT_DIGIT: r"\D",
    rc.CATEGORY_NOT_WORD: r"\W",
    rc.CATEGORY_NOT_SPACE: r"\S",
}


def _class(parts: Any) -> str:
    written = {
        rc.LITERAL: lambda argument: re.escape(chr(argument)),
        rc.RANGE: lambda argument: f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}",
        rc.CATEGORY: lambda argument: _CATEGORY_TEXT[argument],
    }
    return "".join(written[code](argument) for code, argument in parts)


@lru_cache(maxsize=4096)
def _parsed(java: str) -> Any:
    return rp.parse(python_pattern(java))


@lru_cache(maxsize=4096)
def _compiled(java: str) -> re.Pattern[str]:
    return re.compile(python_pattern(java))
