# SPDX-License-Identifier: Apache-2.0
"""The text of documents: JSON and YAML to values and back, whatever somebody writes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchwright.server.documents.model import InvalidContent
from patchwright.server.documents.text import read, write

LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
WORDS = st.sampled_from(["yes", "no", "on", "null", "~", "1", "012", "1e5", "0x1f", "1_000", "2026-11-20", "<<", "=", "true", ".inf", "- a", "a: b", "#x", "&a", "*a", "!x", "%", "|", "'", '"', " ", "", "a\nb\n", "1:30"])  # fmt: skip
TEXTS = WORDS | st.text(LETTERS, max_size=12)
NUMBERS = st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400, derandomize=True, deadline=None, database=None)
@given(value=st.dictionaries(TEXTS, VALUES, max_size=4))
def test_what_is_written_is_read_again(value):
    """In both formats, with the same types and the members in their order."""
    for form in ("JSON", "YAML"):
        again = read(write(value, form), form)
        assert json.dumps(again) == json.dumps(value), form


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes", "yes"),
        ("a: off", "off"),
        ("a: true", True),
        ("a: False", False),
        ("a: ~", None),
        ("a:", None),
        ("a: 12", 12),
        ("a: -12", -12),
        ("a: 012", "012"),
        ("a: 0o17", "0o17"),
        ("a: 0x1f", "0x1f"),
        ("a: 1_000", "1_000"),
        ("a: 1:30:00", "1:30:00"),
        ("a: 2.2", 2.2),
        ("a: 1e3", 1000.0),
        ("a: .5", ".5"),
        ("a: .inf", ".inf"),
        ("a: .nan", ".nan"),
        ("a: 2026-11-20", "2026-11-20"),
        ("a: 2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
        ("a: !!str 5", "5"),
        ("a: '5'", "5"),
        ("a: =", "="),
        ("a: |\n  x\n  y\n", "x\ny\n"),
        ("a: >-\n  x\n  y\n", "x y"),
        ("a: {b: [1, {c: d}]}", {"b": [1, {"c": "d"}]}),
        ("b: &x {c: 1}\na: *x", {"c": 1}),
        ("b: &x {c: 1, d: 2}\na: {<<: *x, d: 3}", {"c": 1, "d": 3}),
        ('{"a": ["JSON is YAML"]}', ["JSON is YAML"]),
        ("a: {1: x, true: y, null: z}", {"1": "x", "true": "y", "null": "z"}),
    ],
)
def test_yaml_is_read_as_json_would_say_it(text, value):
    """YAML 1.2's scalars; keys are texts; anchors and merge keys as long as they are small."""
    found = read(text, "YAML")["a"]

    assert (found, type(found)) == (value, type(value))


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{number}: &a{number} [{','.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 10)
)
MERGES = "m0: &m0 {a: 1}\n" + "".join(
    f"m{number}: &m{number} {{<<: [{','.join([f'*m{number - 1}'] * 9)}], c{number}: 1}}\n" for number in range(1, 10)
)
WIDE = f"a: &a [{','.join(['1'] * 3000)}]\nb: [{','.join(['*a'] * 3000)}]"
LONG = f"a: &a {'x' * 30_000}\nb: [{','.join(['*a'] * 3000)}]"


@pytest.mark.parametrize(
    ("form", "text", "complaint"),
    [
        ("YAML", BOMB, "add up to more"),
        ("YAML", MERGES, "add up to more"),
        ("YAML", WIDE, "add up to more"),
        ("YAML", LONG, "add up to more"),
        ("YAML", "a: &a [*a]", "add up to more"),
        ("YAML", "a: &a {b: {c: *a}}", "add up to more"),
        ("YAML", "[" * 65_000, "64 levels"),
        ("YAML", "{a: " * 15_000, "64 levels"),
        ("YAML", "- " * 30_000, "64 levels"),
        ("YAML", "a: 1\na: 2", "'a' is given twice in line"),
        ("YAML", "? [a]\n: 1", "a key that is a list"),
        ("YAML", "a: *b", "undefined alias"),
        ("YAML", "a: !!set {x}", "tag"),
        ("YAML", "a: !!binary aGVsbG8=", "tag"),
        ("YAML", "a: !!timestamp 2026-11-20", "tag"),
        ("YAML", "a: !!omap [b: 1]", "tag"),
        ("YAML", "a: !!python/object/apply:os.system [ls]", "tag"),
        ("YAML", "a: !Ref b", "tag"),
        ("YAML", "a: !!int x", "no number"),
        ("YAML", "a: !!bool maybe", "neither true nor false"),
        ("YAML", "a: " + "9" * 5000, "too long"),
        ("YAML", "--- a\n--- b", "another document"),
        ("YAML", "a: \x07", "not well-formed"),
        ("YAML", 'a: "\\0"', "no text"),
        ("YAML", "a: 'x", "in line 1"),
        ("YAML", "\t- a", "in line 1"),
        ("JSON", '{"a": 1, "b": {"c": 1, "c": 2}}', "'c' twice"),
        ("JSON", "[" * 60_000, "64 levels"),
        ("JSON", "[" * 65 + "1" + "]" * 65, "64 levels"),
        ("JSON", "NaN", "no number"),
        ("JSON", "-Infinity", "no number"),
        ("JSON", "[1e999]", "too large"),
        ("JSON", "9" * 5000, "too long"),
        ("JSON", '"\\u0000"', "no text"),
        ("JSON", '{"\\ud800": 1}', "no text"),
        ("JSON", "schemaVersion: '2.2'", "line 1, column 1"),
        ("JSON", "{} {}", "line 1, column 4"),
        ("JSON", "", "line 1"),
    ],
    ids=range(38),
)
def test_what_goes_too_far_is_refused_with_a_reason(form, text, complaint):
    """Quickly, and in words that say where."""
    with pytest.raises(InvalidContent, match=complaint) as refused:
        read(text, form)
    assert len(str(refused.value)) < 600


def test_short_forms_of_functions_are_read_where_a_type_has_them():
    """CloudFormation's templates are full of them; in JSON they are written out."""
    template = "a: !GetAtt b.c.d\ne: !Sub ['x', {y: !Ref z}]\nf: !Condition g\nh: !Join [',', [a]]\n"

    found = read(template, "YAML", intrinsics=True)

    assert found == {
        "a": {"Fn::GetAtt": ["b", "c.d"]},
        "e": {"Fn::Sub": ["x", {"y": {"Ref": "z"}}]},
        "f": {"Condition": "g"},
        "h": {"Fn::Join": [",", ["a"]]},
    }
    for text in ("a: !x y", "a: !!python/name:os.system x"):
        with pytest.raises(InvalidContent):
            read(text, "YAML", intrinsics=True)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(
    text=st.text(st.sampled_from("ab:-[]{},&*!?|>'\"#% \n\t<~1.\\"), max_size=40),
    form=st.sampled_from(["JSON", "YAML"]),
)
def test_any_text_is_read_or_refused(text, form):
    """Never anything else."""
    try:
        value = read(text, form)
    except InvalidContent:
        return
    json.dumps(value, allow_nan=False)
