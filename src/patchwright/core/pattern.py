# SPDX-License-Identifier: Apache-2.0
"""
Regular expressions of others, in bounded time.

Python's engine goes back and tries again, and a pattern can be written so that it does so for ever. Here a pattern is a
relation between places in a text: from the set of places where a part may begin follows the set of those where it may have
ended. That needs no going back, and its work is counted.

    Pattern("^(a+)+$").found_in("aaaaaaaaaaaaaaaaaaaaaaaaaaaaab", Effort())      # False, at once
"""

from __future__ import annotations

import re
import sys
from typing import Any, Callable, Dict, List, Sequence, Set

from patchwright.core.errors import PatchwrightError

if sys.version_info >= (3, 11):
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser as parser  # type: ignore[attr-defined]
else:
    import sre_constants as sre
    import sre_parse as parser

EFFORT = 500_000  # places looked at, about a third of a second

Places = Set[int]
Part = Callable[[str, Places, "Effort"], Places]
Test = Callable[[str], bool]

_BOUNDARY = re.compile(r"\b")
_CATEGORIES = {
    sre.CATEGORY_DIGIT: re.compile(r"\d"),
    sre.CATEGORY_NOT_DIGIT: re.compile(r"\D"),
    sre.CATEGORY_SPACE: re.compile(r"\s"),
    sre.CATEGORY_NOT_SPACE: re.compile(r"\S"),
    sre.CATEGORY_WORD: re.compile(r"\w"),
    sre.CATEGORY_NOT_WORD: re.compile(r"\W"),
}


class UnusablePattern(PatchwrightError):
    """A pattern that is no regular expression, or uses what cannot be bounded: references back, atomic groups."""


class TooMuchEffort(PatchwrightError):
    """A pattern that takes too long with this text."""


class Effort:
    """How much may still be done. Raises TooMuchEffort when it is spent."""

    def __init__(self, most: int = EFFORT) -> None:
        self._left = most

    def spend(self, places: int) -> None:
        """Count *places* that are looked at."""
        self._left -= places + 1
        if self._left < 0:
            raise TooMuchEffort("the pattern takes too long with this text")


class Pattern:
    """A regular expression in Python's syntax. Raises UnusablePattern."""

    def __init__(self, pattern: str) -> None:
        try:
            tree = parser.parse(pattern)
            self._part = _sequence(tree, tree.state.flags if hasattr(tree, "state") else tree.pattern.flags)
        except (re.error, OverflowError, RecursionError) as error:
            raise UnusablePattern(f"it cannot be read: {error}") from None

    def found_in(self, text: str, effort: Effort) -> bool:
        """Whether it is found anywhere in *text*. Raises TooMuchEffort."""
        try:
            return bool(self._part(text, set(range(len(text) + 1)), effort))
        except RecursionError:
            raise TooMuchEffort("the pattern is nested too deep") from None


def _sequence(items: Any, flags: int) -> Part:
    parts = [_part(operator, argument, flags) for operator, argument in items]

    def ends(text: str, starts: Places, effort: Effort) -> Places:
        for part in parts:
            if not starts:
                break
            starts = part(text, starts, effort)
        return starts

    return ends


def _part(operator: Any, argument: Any, flags: int) -> Part:
    if operator in _SINGLE:
        return _character(_SINGLE[operator](argument, flags))
    if operator not in _PARTS:
        raise UnusablePattern(
            "references back, conditions on groups, possessive repeats and atomic groups are not served"
        )
    return _PARTS[operator](argument, flags)


# ---------------------------------------------------------------------------------------------------- single characters


def _character(test: Test) -> Part:
    known: Dict[str, bool] = {}

    def fits(letter: str) -> bool:
        if letter not in known:
            known[letter] = test(letter)
        return known[letter]

    def ends(text: str, starts: Places, effort: Effort) -> Places:
        effort.spend(len(starts))
        return {place + 1 for place in starts if place < len(text) and fits(text[place])}

    return ends


def _any_case(test: Test, flags: int) -> Test:
    if not flags & re.IGNORECASE:
        return test
    return lambda letter: any(test(form) for form in (letter, letter.lower(), letter.upper()) if len(form) == 1)


def _literal(code: int, flags: int) -> Test:
    return _any_case(lambda letter: ord(letter) == code, flags)


def _not_literal(code: int, flags: int) -> Test:
    same = _literal(code, flags)
    return lambda letter: not same(letter)


def _any(_argument: None, flags: int) -> Test:
    return lambda letter: bool(flags & re.DOTALL) or letter != "\n"


def _in(items: Sequence[Any], flags: int) -> Test:
    negated = items[0][0] is sre.NEGATE
    tests: List[Test] = [_member(operator, value, flags) for operator, value in items if operator is not sre.NEGATE]
    inside = _any_case(lambda letter: any(test(letter) for test in tests), flags)
    return (lambda letter: not inside(letter)) if negated else inside


def _member(operator: Any, value: Any, flags: int) -> Test:
    if operator is sre.LITERAL:
        return lambda letter: ord(letter) == value
    if operator is sre.RANGE:
        return lambda letter: value[0] <= ord(letter) <= value[1]
    compiled = _CATEGORIES[value]
    if flags & re.ASCII:
        compiled = re.compile(compiled.pattern, re.ASCII)
    return lambda letter: compiled.match(letter) is not None


# ------------------------------------------------------------------------------------------------------ what holds parts


def _group(argument: Any, flags: int) -> Part:
    _, added, removed, items = argument
    return _sequence(items, (flags | added) & ~removed)


def _branch(argument: Any, flags: int) -> Part:
    branches = [_sequence(items, flags) for items in argument[1]]

    def ends(text: str, starts: Places, effort: Effort) -> Places:
        found: Places = set()
        for branch in branches:
            found |= branch(text, starts, effort)
        return found

    return ends


def _repeat(argument: Any, flags: int) -> Part:
    least, most, items = argument
    body = _sequence(items, flags)

    def ends(text: str, starts: Places, effort: Effort) -> Places:
        for _ in range(least):
            if not starts:
                return starts
            starts = body(text, starts, effort)
            effort.spend(len(starts))
        found, fresh, count = set(starts), starts, least
        while fresh and (most is sre.MAXREPEAT or count < most):
            fresh = body(text, fresh, effort) - found  # a place that took fewer turns to reach is as good
            effort.spend(len(fresh))
            found |= fresh
            count += 1
        return found

    return ends


def _at(where: Any, flags: int) -> Part:
    def holds(text: str, place: int) -> bool:
        if where is sre.AT_BEGINNING_STRING or (where is sre.AT_BEGINNING and not flags & re.MULTILINE):
            return place == 0
        if where is sre.AT_BEGINNING:
            return place == 0 or text[place - 1] == "\n"
        if where is sre.AT_END_STRING:
            return place == len(text)
        if where is sre.AT_END:
            at_line = place < len(text) and text[place] == "\n"
            return place == len(text) or (at_line and (bool(flags & re.MULTILINE) or place == len(text) - 1))
        return (_BOUNDARY.match(text, place) is not None) is (where is sre.AT_BOUNDARY)

    def ends(text: str, starts: Places, effort: Effort) -> Places:
        effort.spend(len(starts))
        return {place for place in starts if holds(text, place)}

    return ends


def _look(wanted: bool) -> Callable[[Any, int], Part]:
    def look(argument: Any, flags: int) -> Part:
        direction, items = argument
        body = _sequence(items, flags)
        width = items.getwidth()[0]

        def holds(text: str, place: int, effort: Effort) -> bool:
            effort.spend(1)
            if direction > 0:
                return bool(body(text, {place}, effort))
            return place >= width and place in body(text, {place - width}, effort)

        def ends(text: str, starts: Places, effort: Effort) -> Places:
            return {place for place in starts if holds(text, place, effort) is wanted}

        return ends

    return look


_SINGLE: Dict[Any, Callable[[Any, int], Test]] = {
    sre.LITERAL: _literal,
    sre.NOT_LITERAL: _not_literal,
    sre.ANY: _any,
    sre.IN: _in,
}
_PARTS: Dict[Any, Callable[[Any, int], Part]] = {
    sre.SUBPATTERN: _group,
    sre.BRANCH: _branch,
    sre.MAX_REPEAT: _repeat,
    sre.MIN_REPEAT: _repeat,
    sre.AT: _at,
    sre.ASSERT: _look(True),
    sre.ASSERT_NOT: _look(False),
}
