# SPDX-License-Identifier: Apache-2.0
"""
Event patterns, as EventBridge reads them: which events somebody wants to hear of. Pure.

    compiled('{"detail": {"status": [{"prefix": "Fail"}]}}').matches(event.envelope)

A pattern is a JSON object that has the form of an event. Every member it names must match (and); what an event says more
does not matter. At the leaves stands a list of what may be there (or): values, or one of

    {"prefix": "a"}  {"suffix": "a"}  {"equals-ignore-case": "a"}  {"wildcard": "a*b"}
    {"anything-but": "a"}  {"anything-but": ["a", 1]}  {"anything-but": {"prefix": "a"}}, also with the other three
    {"numeric": [">", 0, "<=", 5]}  {"exists": true}  {"exists": false}  {"cidr": "10.0.0.0/8"}

`prefix` and `suffix` also take `{"equals-ignore-case": "a"}`. Where an event has a list, one of its elements must match.
Beside members, or instead of them, `"$or": [pattern, pattern]` asks for one of several. `exists` is about leaves: what holds
an object does not exist, nor does an empty list.
"""

from __future__ import annotations

import ipaddress
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from patchwright.core.errors import PatchwrightError

LONGEST = 4096  # characters
DEEPEST = 16

Check: TypeAlias = Callable[[Any], bool]

_OR = "$or"
_MISSING = object()
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LARGEST = 5e9  # of a number that is compared, as at EventBridge


class InvalidPattern(PatchwrightError):
    """Text that is no event pattern. The message says where and why."""


class Pattern:
    """A pattern that was read."""

    def __init__(self, check: Check) -> None:
        self._check = check

    def matches(self, envelope: Mapping[str, Any]) -> bool:
        """Whether an event is wanted."""
        return self._check(envelope)


@lru_cache(maxsize=512)
def compiled(text: str) -> Pattern:
    """The pattern that *text* is. Raises InvalidPattern."""
    if len(text) > LONGEST:
        msg = f"a pattern has up to {LONGEST} characters"
        raise InvalidPattern(msg)
    try:
        read = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        msg = f"a pattern is at most {DEEPEST} levels deep"
        raise InvalidPattern(msg) from None
    except ValueError as error:
        msg = f"the pattern is no JSON: {error}"
        raise InvalidPattern(msg) from None
    if not isinstance(read, dict):
        msg = "a pattern is a JSON object"
        raise InvalidPattern(msg)
    return Pattern(_members(read, ()))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        msg = "a member is named twice"
        raise ValueError(msg)
    return made


def _no_number(name: str) -> Any:
    msg = f"{name} is no number"
    raise ValueError(msg)


def _members(pattern: Mapping[str, Any], path: tuple[str, ...]) -> Check:
    """What an object of an event must be like; a list of objects: one of them."""
    if len(path) >= DEEPEST:
        raise _invalid(path, f"a pattern is at most {DEEPEST} levels deep")
    if not pattern:
        raise _invalid(path, "an object of a pattern has at least one member")
    checks: list[tuple[str, Check]] = []
    choices: list[Check] = []
    for name, wanted in pattern.items():
        where = (*path, name)
        if name == _OR:
            choices = _choices(wanted, path)
        elif isinstance(wanted, dict):
            checks.append((name, _members(wanted, where)))
        elif isinstance(wanted, list):
            checks.append((name, _leaf(wanted, where)))
        else:
            raise _invalid(where, "here stands a list of what may be there, or an object")

    def fits(found: Any) -> bool:
        known = found if isinstance(found, Mapping) else {}
        return all(check(known.get(name, _MISSING)) for name, check in checks) and (
            not choices or any(choice(found) for choice in choices)
        )

    return lambda found: any(map(fits, found)) if isinstance(found, list) and found else fits(found)


def _choices(wanted: Any, path: tuple[str, ...]) -> list[Check]:
    if not isinstance(wanted, list) or not wanted or not all(isinstance(one, dict) for one in wanted):
        raise _invalid((*path, _OR), "here stands a list of patterns")
    return [_members(one, (*path, _OR)) for one in wanted]


def _leaf(wanted: Sequence[Any], path: tuple[str, ...]) -> Check:
    """What a value of an event must be: one of *wanted*."""
    if not wanted:
        raise _invalid(path, "a list of a pattern has at least one element")
    checks = [_one(value, path) for value in wanted]

    def fits(found: Any) -> bool:
        if isinstance(found, list):  # a list in a list is none of its elements: it matches nothing
            return any(check(one) for check in checks for one in found or [_MISSING])
        return any(check(found) for check in checks)

    return fits


def _one(wanted: Any, path: tuple[str, ...]) -> Check:
    if isinstance(wanted, dict):
        if len(wanted) != 1:
            raise _invalid(path, "a matcher has one member, such as prefix")
        [(name, operand)] = wanted.items()
        make = _MATCHERS.get(name)
        if make is None:
            raise _invalid(path, f"there is no matcher {name[:40]!r}: there are {', '.join(sorted(_MATCHERS))}")
        return make(operand, path)
    if isinstance(wanted, list):
        raise _invalid(path, "a list of a pattern holds values and matchers, no lists")
    return _equal(wanted)


def _equal(wanted: Any) -> Check:
    """Numbers are equal as numbers; true and false are none."""
    kind = _kind(wanted)
    return lambda found: _kind(found) is kind and bool(found == wanted)


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def _text(operand: Any, path: tuple[str, ...]) -> str:
    if not isinstance(operand, str) or not operand:
        raise _invalid(path, "here stands a text that is not empty")
    return operand


def _on_text(check: Callable[[str], bool]) -> Check:
    return lambda found: isinstance(found, str) and check(found)


def _prefix(operand: Any, path: tuple[str, ...]) -> Check:
    wanted, folded = _perhaps_folded(operand, path)
    return _on_text(lambda found: (found.casefold() if folded else found).startswith(wanted))


def _suffix(operand: Any, path: tuple[str, ...]) -> Check:
    wanted, folded = _perhaps_folded(operand, path)
    return _on_text(lambda found: (found.casefold() if folded else found).endswith(wanted))


def _perhaps_folded(operand: Any, path: tuple[str, ...]) -> tuple[str, bool]:
    if isinstance(operand, dict) and operand.keys() == {"equals-ignore-case"}:
        return _text(operand["equals-ignore-case"], path).casefold(), True
    return _text(operand, path), False


def _ignoring_case(operand: Any, path: tuple[str, ...]) -> Check:
    wanted = [_text(one, path).casefold() for one in (operand if isinstance(operand, list) else [operand])]
    return _on_text(lambda found: found.casefold() in wanted)


def _wildcard(operand: Any, path: tuple[str, ...]) -> Check:
    """A `*` stands for any text; `\\*` is a star, and `\\\\` a backslash."""
    texts = operand if isinstance(operand, list) else [operand]
    wanted = [_pieces(_text(one, path), path) for one in texts]
    return _on_text(lambda found: any(_like(found, pieces) for pieces in wanted))


def _pieces(text: str, path: tuple[str, ...]) -> list[str]:
    """The texts between the stars of a wildcard."""
    pieces, rest = [""], iter(text)
    for character in rest:
        if character == "\\":
            escaped = next(rest, "")
            if escaped not in {"*", "\\"}:
                raise _invalid(path, "a backslash stands before a star or a backslash")
            pieces[-1] += escaped
        elif character == "*":
            pieces.append("")
        else:
            pieces[-1] += character
    if any(not piece for piece in pieces[1:-1]):
        raise _invalid(path, "two stars in a row say no more than one")
    return pieces


def _like(found: str, pieces: Sequence[str]) -> bool:
    """Whether *pieces* stand in *found*, in order: the first at its beginning, the last at its end. Each as early as it can."""
    first, *between = pieces
    if not between:
        return found == first
    last = between.pop()
    if len(found) < len(first) + len(last) or not found.startswith(first) or not found.endswith(last):
        return False
    position, end = len(first), len(found) - len(last)
    for piece in between:
        at = found.find(piece, position, end)
        if at < 0:
            return False
        position = at + len(piece)
    return True


def _anything_but(operand: Any, path: tuple[str, ...]) -> Check:
    """Something is there, and it is none of these."""
    if isinstance(operand, dict):
        if len(operand) != 1 or not operand.keys() <= {"prefix", "suffix", "equals-ignore-case", "wildcard"}:
            raise _invalid(path, "anything-but takes values, or prefix, suffix, equals-ignore-case or wildcard")
        [(name, wanted)] = operand.items()
        each = wanted if isinstance(wanted, list) else [wanted]
        excluded = [_MATCHERS[name](one, path) for one in each]
    else:
        values = operand if isinstance(operand, list) else [operand]
        if any(not isinstance(one, str | int | float) or isinstance(one, bool) for one in values):
            raise _invalid(path, "anything-but takes texts and numbers")
        excluded = [_equal(one) for one in values]
    if not excluded:
        raise _invalid(path, "anything-but takes at least one value")
    return lambda found: found is not _MISSING and _is_leaf(found) and not any(check(found) for check in excluded)


def _numeric(operand: Any, path: tuple[str, ...]) -> Check:
    if not isinstance(operand, list) or len(operand) not in {2, 4}:
        raise _invalid(path, 'numeric takes a comparison and a number, or two of both, as in [">", 0, "<=", 5]')
    tests = list(zip(operand[::2], operand[1::2], strict=True))
    for sign, number in tests:
        if sign not in _COMPARE or not isinstance(number, int | float) or isinstance(number, bool):
            raise _invalid(path, f"numeric compares by {' '.join(_COMPARE)} with a number")
        if not -_LARGEST <= number <= _LARGEST:
            raise _invalid(path, "numeric compares with numbers from -5e9 to 5e9")
    if len(tests) == 2 and (tests[0][0] not in {">", ">="} or tests[1][0] not in {"<", "<="}):
        raise _invalid(path, "a range of numeric begins with > or >=, and goes on with < or <=")
    return lambda found: _kind(found) is float and all(_COMPARE[sign](found, number) for sign, number in tests)


def _exists(operand: Any, path: tuple[str, ...]) -> Check:
    if not isinstance(operand, bool):
        raise _invalid(path, "exists takes true or false")
    return lambda found: (found is not _MISSING and _is_leaf(found)) is operand


def _cidr(operand: Any, path: tuple[str, ...]) -> Check:
    try:
        network = ipaddress.ip_network(_text(operand, path), strict=False)
    except ValueError:
        raise _invalid(path, "cidr takes a network such as 10.0.0.0/8") from None

    def inside(found: str) -> bool:
        try:
            return ipaddress.ip_address(found) in network
        except ValueError:
            return False

    return _on_text(inside)


def _is_leaf(found: Any) -> bool:
    return not isinstance(found, Mapping | list)


def _invalid(path: tuple[str, ...], reason: str) -> InvalidPattern:
    return InvalidPattern(f"{'.'.join(path)[:200]}: {reason}" if path else reason)


_MATCHERS: Mapping[str, Callable[[Any, tuple[str, ...]], Check]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _ignoring_case,
    "wildcard": _wildcard,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "exists": _exists,
    "cidr": _cidr,
}
