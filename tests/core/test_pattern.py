# SPDX-License-Identifier: Apache-2.0
"""Patterns of others: what Python's engine says, in bounded time."""

from __future__ import annotations

import inspect
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchwright.core.pattern import Effort, Pattern, TooMuchEffort, UnusablePattern

TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "aab",
    "abab",
    "a\n",
    "\na",
    "A",
    "é",
    "Ä",
    "1",
    "a1 b_",
    "x-y",
    "mi-0123",
    "a b",
    "aaaa",
    "ß",
]


def found(pattern, text):
    """Whether *pattern* is found in *text*."""
    return Pattern(pattern).found_in(text, Effort())


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a",
        "^a$",
        r"\Aa\Z",
        "a|b",
        "(a|ab)(b|)$",
        "^(a|b)*$",
        "^(a*)*b$",
        "a{2}",
        "^a{1,2}$",
        "^a{2,}?$",
        "^a?b+?",
        "[ab]+$",
        "[^ab]",
        r"[^\W\d_]",
        r"^\w+$",
        r"^[\w-]+$",
        r"\d",
        r"\D",
        r"\s",
        r"\S\s\S",
        r"\bb",
        r"\Bb",
        ".",
        "(?s).$",
        "(?m)^a$",
        "(?i)^a",
        "(?i)[a-z]",
        "(?i:É)",
        "(?i)a(?-i:b)",
        "(?i)[^a]",
        "(?i)ß",
        "(?a)\\w",
        "(?x) a  b # both",
        "(?=a)a",
        "(?!a)[a-z]",
        "(?<=a)b",
        "(?<!a)b",
        "^(?!.*b).*$",
        "^(?P<name>a)b",
        "(?:ab){2}",
        "^$|^mi-[0-9]{4}$",
        "[0-9a-fA-F]",
        r"\x61",
        r"[\x61-\x62]",
        "a$",
    ],
)
def test_what_is_found_is_what_python_finds(pattern):
    """Every kind of part."""
    assert [found(pattern, text) for text in TEXTS] == [re.search(pattern, text) is not None for text in TEXTS]


def parts():
    """Patterns of literals, classes, groups, branches, repeats and looks."""
    single = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\w", r"\W", "^", "$", r"\b", "", r"\Z"])

    def grow(inner):
        return st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "*?", "{0}"])).map(
                lambda pair: f"(?:{pair[0]}){pair[1]}"
            ),
            inner.map(lambda one: f"(?={one})"),
            inner.map(lambda one: f"(?!{one})"),
        )

    return st.recursive(single, grow, max_leaves=8)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(pattern=parts(), text=st.text(alphabet="ab\n-", max_size=8))
def test_made_up_patterns_mean_what_they_mean_to_python(pattern, text):
    """Whatever they are made of."""
    assert found(pattern, text) == (re.search(pattern, text) is not None)


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|aa)+$", "^(a*)*$", "^(.*a){12}$", "(?:a+a+)+b", "^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_a_pattern_that_would_never_end_is_answered(pattern):
    """Either with what is true or with a refusal, after a bounded time; these are answered."""
    assert not found(pattern, "a" * 200 + "!")


def test_what_takes_too_long_is_refused():
    """A text and a pattern that are both long."""
    pattern = Pattern("(?=(.*.*.*)*x)" * 3 + "y")

    with pytest.raises(TooMuchEffort):
        pattern.found_in("a" * 4096, Effort())


def test_effort_is_spent_over_several_texts():
    """One request has one effort, however many values it brings."""
    pattern, effort = Pattern("^[a-z]*$"), Effort(10_000)

    with pytest.raises(TooMuchEffort):
        sum(pattern.found_in("a" * 1000, effort) for _ in range(100))


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        "*",
        "[",
        "a{2,1}",
        r"(a)\1",
        "(?P<x>a)(?P=x)",
        "(a)?(?(1)b|c)",
        "(?P<x",
        "(" * 5000 + ")" * 5000,
        "a{99999999999999999999}",
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern):
    """No regular expression, or with parts whose work cannot be bounded."""
    with pytest.raises(UnusablePattern):
        Pattern(pattern)


def test_parts_that_give_nothing_back_are_refused():
    """Possessive repeats and atomic groups: some Pythons know them, and none here."""
    for pattern in ("(?>a+)b", "a++b"):
        with pytest.raises(UnusablePattern):
            Pattern(pattern)


def test_a_pattern_that_is_nested_deep_is_refused_where_the_stack_ends():
    """A caller who stands deep in the stack hears so in the same words."""
    pattern = Pattern("(?=" * 100 + "a" + ")" * 100)

    def deeper(frames):
        return deeper(frames - 1) if frames else pattern.found_in("a", Effort())

    assert deeper(0)
    with pytest.raises(TooMuchEffort):
        deeper(sys.getrecursionlimit() - len(inspect.stack(0)) - 60)


def test_a_long_repeat_is_no_long_work():
    """Counts in braces are turns, not copies."""
    assert found("^(a{0,100000}){0,100000}$", "aaaa")
    with pytest.raises(TooMuchEffort):
        found("^(a?){1000000}$", "a" * 100)
