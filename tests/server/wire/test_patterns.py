# SPDX-License-Identifier: Apache-2.0
"""Java's patterns, read by Python."""

from __future__ import annotations

import re
from functools import partial

import pytest

from effort import cpu_seconds
from patchwright.server.wire.patterns import python_pattern
from patchwright.server.wire.services import SOURCES
from server.wire.client import MODELS

PATTERNS = sorted(
    {
        shape["pattern"]
        for prefix in SOURCES
        for shape in MODELS.service(prefix).model["shapes"].values()
        if "pattern" in shape
    }
)


@pytest.mark.parametrize("java", PATTERNS)
def test_every_pattern_of_every_model_is_understood(java):
    """None is skipped."""
    assert re.compile(python_pattern(java))


@pytest.mark.parametrize("java", [java for java in PATTERNS if r"\p{L}" in java])
def test_letters_come_with_numbers_and_the_underscore(java):
    r"""The translation of \p{L} adds the underscore and digits: every pattern that has letters has those too."""
    assert r"\p{N}" in java
    assert "_" in java or r"\p{P}" in java


@pytest.mark.parametrize(
    ("java", "yes", "no"),
    [
        ("(?i)all|[0-9]{12}", ["all", "ALL", "012345678901"], ["alle", "0123456789012", "al"]),
        (r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$", ["", "Pätch Group", "日本 1_2", "a-b@c", "a\u00a0b", "\u2460"], ["a#b", "a\tb", "a\n", "e\u0301"]),
        (r"^([\p{L}\p{Z}\p{N}\p{P}\p{M}]*)$", ["a#b «x»", "e\u0301", "_"], ["a+b", "a\tb", "$"]),
        (r"^arn:aws[a-z0-9-]*:iam::\d{12}:role\/[\w-\/.@+=,]{1,1017}$", ["arn:aws:iam::012345678901:role/a-b/c"], ["arn:aws:iam::٣12345678901:role/a"]),
        (r"^\w{3}$", ["abc", "a_1"], ["äbc", "abc\n", "abcd"]),
        ("^(range|count|sum)", ["range"], ["ranges", "a range"]),
        (r"^(?!\s*$).+", ["a", " a"], ["", "  ", "a\nb"]),
    ],
)  # fmt: skip
def test_patterns_mean_what_they_mean_in_java(java, yes, no):
    """Whole values, ASCII classes, Unicode categories, the case flag in front."""
    compiled = re.compile(python_pattern(java))

    assert [text for text in yes if not compiled.search(text)] == []
    assert [text for text in no if compiled.search(text)] == []


def test_no_pattern_takes_long_on_a_hostile_value():
    """Strings as long as their shapes allow (or as a body does), made to backtrack, answer in time."""
    shapes = [
        shape for prefix in SOURCES for shape in MODELS.service(prefix).model["shapes"].values() if "pattern" in shape
    ]
    slow = []
    for shape in shapes:
        compiled = re.compile(python_pattern(shape["pattern"]))
        size = min(shape.get("max", 200_000), 200_000)
        for seed in ("a", "1", " ", "-", "a-", "a/", "s3://a/", "\n", "arn:aws:", ".", "0", "20:"):
            hostile = (seed * size)[: max(size - 1, 0)] + "\0"
            if cpu_seconds(partial(compiled.search, hostile), enough=1.0) > 1.0:
                slow.append((shape["pattern"], seed))

    assert slow == []


def test_a_pair_is_the_character_it_stands_for():
    """As in DynamoDB's `[\\uD800\\uDC00-\\uDBFF\\uDFFF]`: everything beyond U+FFFF."""
    beyond = re.compile(python_pattern(r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\u000A]*"))

    assert beyond.match("a\n🦊\U0010ffff")
    assert not beyond.match("\t")
    assert not beyond.match("\ud800")


@pytest.mark.parametrize(
    ("java", "whole", "not_whole"),
    [
        (r"\p{Print}+", "a b~", "é"),
        (r"[\p{Alnum}\-]+", "a-1", "a_"),
        (r"[^\p{Punct}]+", "ab1", "a["),
        (r"\p{L}[\p{Zs}x]", "é\u00a0", "éé"),
        (r"\[\p{Lu}\]", "[É]", "[é]"),
    ],
)
def test_names_of_characters_stand_in_a_class_or_by_themselves(java, whole, not_whole):
    """POSIX's, which are of ASCII, and Unicode's, of one letter or two."""
    compiled = re.compile(python_pattern(java))

    assert compiled.match(whole)
    assert not compiled.match(not_whole)


def test_a_name_that_nobody_knows_is_refused():
    """As what Python cannot read."""
    with pytest.raises(re.error, match="Nonsense"):
        python_pattern(r"\p{Nonsense}+")
