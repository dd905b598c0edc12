# SPDX-License-Identifier: Apache-2.0
"""
Texts of a policy: wildcards, variables, ARNs.

Nothing here goes back and tries again. A wildcard text is cut at its `*`; each piece is looked for where the one before
ended, once. A piece with `?` in it is looked for with all its places as bits of one number. So time grows with the text and
not with what could be tried, and nobody who writes a policy or names a resource can make a decision slow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

from .model import MalformedPolicy

Test = Callable[[str], bool]


class Wild(Enum):
    """A wildcard."""

    MANY = auto()  # `*`: any text, none as well
    ONE = auto()  # `?`: any character


class Variable(NamedTuple):
    """`${key}` or `${key, 'default'}`. A key is folded."""

    key: str
    default: str | None


Token = str | Wild | Variable
Tokens = tuple[Token, ...]

_TOKEN = re.compile(r"(\*+)|(\?)|\$\{(?:([*?$])|([^}',${]+)(?:, *'([^']*)')?)\}|(\$\{)")
_WILDCARD = re.compile(r"(\*+)|(\?)")
FIELDS = 6  # of an ARN: arn:partition:service:region:account:resource


def tokens(text: str, *, wildcards: bool, variables: bool) -> Tokens:
    """
    Read a text of a policy.

    Args:
        text: As it is written.
        wildcards: Whether `*` and `?` mean more than themselves.
        variables: Whether `${…}` does (policy version 2012-10-17). `${*}`, `${?}` and `${$}` are the plain characters.

    Raises:
        MalformedPolicy: A variable without an end, or without a name.
    """
    found: list[Token] = []
    end = 0
    for match in (_TOKEN if variables else _WILDCARD).finditer(text):
        token = _token(match, wildcards=wildcards)
        _append(found, text[end : match.start()])
        _append(found, match[0] if token is None else token)
        end = match.end()
    _append(found, text[end:])
    return tuple(found)


def _token(match: re.Match[str], *, wildcards: bool) -> Token | None:
    """What was found; None where it means itself."""
    if match[1] or match[2]:
        return (Wild.MANY if match[1] else Wild.ONE) if wildcards else None
    if match[6]:
        raise MalformedPolicy("", "a variable is not of the form ${name} or ${name, 'default'}")
    return match[3] or Variable(match[4].strip().lower(), match[5])


def _append(found: list[Token], token: Token) -> None:
    """Add *token*; literal texts grow together."""
    if isinstance(token, str) and found and isinstance(found[-1], str):
        found[-1] += token
    elif token != "":
        found.append(token)


def has_variables(given: Tokens) -> bool:
    """Whether the text depends on the request."""
    return any(isinstance(token, Variable) for token in given)


def fill(given: Tokens, context: Mapping[str, Sequence[str]]) -> Tokens | None:
    """
    *given* with the request's values for its variables, as literal texts: a `*` in a value is no wildcard.

    None where a variable has no value, or several, and no default.
    """
    filled: list[Token] = []
    for token in given:
        if not isinstance(token, Variable):
            _append(filled, token)
            continue
        values = context.get(token.key, ())
        value = values[0] if len(values) == 1 else token.default if not values else None
        if value is None:
            return None
        _append(filled, value)
    return tuple(filled)


# --------------------------------------------------------------------------------------------------------------- wildcards


class _Holed:
    """A piece with `?` in it: literal texts at their places, and how long the whole is."""

    __slots__ = ("_literals", "length")

    def __init__(self, given: Tokens) -> None:
        self._literals: list[tuple[int, str]] = []
        self.length = 0
        for token in given:
            if isinstance(token, str):
                self._literals.append((self.length, token))
            self.length += len(token) if isinstance(token, str) else 1

    def at(self, text: str, place: int) -> bool:
        """Whether it stands at *place*."""
        return len(text) - place >= self.length and all(
            text.startswith(literal, place + offset) for offset, literal in self._literals
        )

    def find(self, text: str, start: int, end: int) -> int:
        """The first place between *start* and *end* where it stands whole; -1 where there is none."""
        holes = (1 << self.length) - 1
        accepts: dict[str, int] = {}  # by letter: the places of the piece where it fits
        for offset, literal in self._literals:
            holes &= ~(((1 << len(literal)) - 1) << offset)
            for index, letter in enumerate(literal, offset):
                accepts[letter] = accepts.get(letter, 0) | 1 << index
        last = 1 << (self.length - 1)
        reached = 0  # bit n: the n + 1 letters before here are the first n + 1 of the piece
        for place in range(start, end):
            reached = (reached << 1 | 1) & (accepts.get(text[place], 0) | holes)
            if reached & last:
                return place + 1 - self.length
        return -1


_Piece = str | _Holed


def glob(given: Tokens) -> Test:
    """The test of a text with wildcards; variables are filled in before. The whole text has to fit, case counts."""
    pieces = _pieces(given)
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return first.__eq__ if isinstance(first, str) else lambda text: len(text) == first.length and first.at(text, 0)
    if len(pieces) == 2 and isinstance(first, str) and last == "":
        return (lambda text: text.startswith(first)) if first else (lambda text: True)
    return _long_glob(pieces)


def _long_glob(pieces: Sequence[_Piece]) -> Test:
    first, *middle, last = pieces
    before, after = _length(first), _length(last)

    def fits(text: str) -> bool:
        place, end = before, len(text) - after
        if end < place or not _at(first, text, 0) or not _at(last, text, end):
            return False
        for piece in middle:
            place = _find(piece, text, place, end)
            if place < 0:
                return False
            place += _length(piece)
        return True

    return fits


def _pieces(given: Tokens) -> list[_Piece]:
    """What stands before, between and after the `*`."""
    cut: list[list[Token]] = [[]]
    for token in given:
        if token is Wild.MANY:
            cut.append([])
        else:
            cut[-1].append(token)
    return [_Holed(tuple(piece)) if Wild.ONE in piece else "".join(map(str, piece)) for piece in cut]


def _length(piece: _Piece) -> int:
    return len(piece) if isinstance(piece, str) else piece.length


def _find(piece: _Piece, text: str, start: int, end: int) -> int:
    return text.find(piece, start, end) if isinstance(piece, str) else piece.find(text, start, end)


def _at(piece: _Piece, text: str, place: int) -> bool:
    return text.startswith(piece, place) if isinstance(piece, str) else piece.at(text, place)


# -------------------------------------------------------------------------------------------------------------------- ARNs


def fields(given: Tokens) -> list[Tokens]:
    """The fields of an ARN: what stands between its first five colons, and all that follows."""
    cut: list[list[Token]] = [[]]
    for token in given:
        if not isinstance(token, str):
            cut[-1].append(token)
            continue
        head, *more = token.split(":", FIELDS - len(cut))
        _append(cut[-1], head)
        for part in more:
            cut.append([])
            _append(cut[-1], part)
    return [tuple(field) for field in cut]


class ResourcePattern:
    """
    An ARN of a Resource element.

    Each field is compared by itself; in the last one wildcards stand for colons and slashes too. A `*` that ends a field
    also stands for whole fields after it, as AWS says it does: `arn:aws:ssm:*:document/x` names x in every region and
    account. A `?`, and a `*` inside a field, never stand for one of the first five colons.

    Raises MalformedPolicy where it is no ARN, or has a variable or wildcard where none may be.
    """

    __slots__ = (
        "_asked",
        "_fields",
        "_heads",
        "_last",
        "_may_span",
        "_open",
        "_whole",
        "literal",
        "prefix",
        "variable",
    )

    def __init__(self, given: Tokens) -> None:
        self._fields = fields(given)
        *heads, last = self._fields
        _check_resource(self._fields)
        self._open = [bool(field) and field[-1] is Wild.MANY for field in heads]
        self.variable = has_variables(last)
        self._heads = [glob(field) for field in heads]
        self._may_span = any(self._open) or len(self._fields) < FIELDS
        self._whole = len(self._fields) == FIELDS
        # What any text fits is not asked; the account, which is the likeliest to differ, is asked first.
        asked = [(index, self._heads[index]) for index, field in enumerate(heads) if field != (Wild.MANY,)]
        self._asked = asked[::-1]
        self._last = None if self.variable else glob(last)
        plain = not any(_wild(field) for field in heads)
        whole = self._whole and plain and not self.variable
        self.literal = "".join(map(str, given)) if whole and not _wild(last) else None
        self.prefix = "".join(map(str, given[:-1])) if whole and _wild(last) == 1 and last[-1] is Wild.MANY else None

    def matches(self, resource: str, parts: Sequence[str], context: Mapping[str, Sequence[str]]) -> bool | None:
        """Whether it names *resource*, whose fields are *parts*; None where a variable has no value."""
        last = self._last
        if last is None:
            filled = fill(self._fields[-1], context)
            if filled is None:
                return None
            last = glob(filled)
        if self._whole and len(parts) == FIELDS:
            if last(parts[-1]):
                for index, test in self._asked:
                    if not test(parts[index]):
                        break
                else:
                    return True
            if ":" not in parts[-1]:
                return False
        return self._may_span and self._spans(resource.split(":"), last)

    def _spans(self, parts: Sequence[str], last: Test) -> bool:
        """Whether it fits where a field's `*` may stand for several parts."""
        places = {0}  # how many parts may have been used up
        for test, is_open in zip(self._heads, self._open, strict=True):
            fitting = [place for place in places if place < len(parts) and test(parts[place])]
            if not fitting:
                return False
            places = set(range(min(fitting) + 1, len(parts))) if is_open else {place + 1 for place in fitting}
        return any(last(":".join(parts[place:])) for place in places if place < len(parts))


def _wild(field: Tokens) -> int:
    return sum(isinstance(token, Wild) for token in field)


def _check_resource(parts: Sequence[Tokens]) -> None:
    *heads, last = parts
    if heads[:1] != [("arn",)]:
        raise MalformedPolicy("", "must be an ARN or *")
    if any(isinstance(token, Variable) for field in heads for token in field):
        raise MalformedPolicy("", "a variable may only stand after the fifth colon of an ARN")
    service = heads[2] if len(heads) > 2 else ()
    if len(service) != 1 or not isinstance(service[0], str):
        raise MalformedPolicy("", "must name a service, without wildcards, in its third field")
    spans = any(field and field[-1] is Wild.MANY for field in parts)
    if len(parts) < FIELDS and (not spans or has_variables(last)):
        raise MalformedPolicy("", "must have six fields: arn:partition:service:region:account:resource")


def arn_test(given: Tokens) -> Test | None:
    """
    The test of ArnLike and ArnEquals: each of the six fields by itself, with wildcards.

    `*` alone names every ARN. None where *given* is no ARN.
    """
    wanted = fields(given)
    if wanted == [(Wild.MANY,)]:
        return lambda text: len(text.split(":", FIELDS - 1)) == FIELDS
    if len(wanted) != FIELDS or not _begins_an_arn(wanted[0]):
        return None
    tests = [glob(field) for field in wanted]

    def fits(text: str) -> bool:
        parts = text.split(":", FIELDS - 1)
        return len(parts) == FIELDS and all(test(part) for test, part in zip(tests, parts, strict=True))

    return fits


def _begins_an_arn(field: Tokens) -> bool:
    return field in {("arn",), (Wild.MANY,)}
