# SPDX-License-Identifier: Apache-2.0
"""Command documents: reading, binding parameters, interpolating them."""

from __future__ import annotations

import pytest

from patchwright.core.document import (
    PATTERN_TEXT_LIMIT,
    Document,
    Parameter,
    Step,
    bind,
    interpolate,
    may_run_on,
    parse,
    runs_on,
)
from patchwright.core.errors import InvalidParameters, MalformedDocument

STEP = {"name": "patch", "action": "patchwright:patch"}
CONTENT = {
    "schemaVersion": "2.2",
    "description": "Scan or install",
    "parameters": {
        "Operation": {"type": "String", "allowedValues": ["Scan", "Install"]},
        "SnapshotId": {"type": "String", "default": "", "allowedPattern": "^[a-z0-9-]*$"},
        "Hours": {"type": "Integer", "default": 1},
        "Force": {"type": "Boolean", "default": False},
        "Names": {"type": "StringList", "default": []},
    },
    "mainSteps": [
        {**STEP, "precondition": {"StringEquals": ["platformType", "Linux"]}, "inputs": {"op": "{{ Operation }}"}},
        {
            "name": "windows",
            "action": "aws:runPowerShellScript",
            "precondition": {"StringEquals": ["Windows", "platformType"]},
        },
    ],
}
DOCUMENT = parse(CONTENT)


def declared(**parameter):
    """A document with the one parameter P."""
    return parse({"schemaVersion": "2.2", "parameters": {"P": parameter}, "mainSteps": [STEP]})


def test_a_document_is_read_with_its_parameters_and_steps():
    """What the author wrote, in records."""
    assert parse(CONTENT) == Document(
        "2.2",
        "Scan or install",
        {
            "Operation": Parameter("Operation", "String", None, ("Scan", "Install")),
            "SnapshotId": Parameter("SnapshotId", "String", "", (), "^[a-z0-9-]*$"),
            "Hours": Parameter("Hours", "Integer", 1),
            "Force": Parameter("Force", "Boolean", False),
            "Names": Parameter("Names", "StringList", []),
        },
        (
            Step("patch", "patchwright:patch", {"op": "{{ Operation }}"}, "Linux"),
            Step("windows", "aws:runPowerShellScript", {}, "Windows"),
        ),
    )


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "schemaVersion: 2.2",
        {},
        {**CONTENT, "schemaVersion": "1.2"},
        {**CONTENT, "schemaVersion": 2.2},
        {**CONTENT, "mainSteps": []},
        {**CONTENT, "mainSteps": {}},
        {**CONTENT, "mainSteps": ["patch"]},
        {**CONTENT, "mainSteps": [STEP, STEP]},
        {**CONTENT, "mainSteps": [{"action": "a"}]},
        {**CONTENT, "mainSteps": [{"name": "no blanks", "action": "a"}]},
        {**CONTENT, "mainSteps": [{"name": "x" * 129, "action": "a"}]},
        {**CONTENT, "mainSteps": [{"name": "a\n", "action": "a"}]},
        {**CONTENT, "mainSteps": [{"name": "a"}]},
        {**CONTENT, "mainSteps": [{"name": "a", "action": ""}]},
        {**CONTENT, "mainSteps": [{**STEP, "inputs": []}]},
        {**CONTENT, "mainSteps": [{**STEP, "precondition": "Linux"}]},
        {**CONTENT, "mainSteps": [{**STEP, "precondition": {"StringLike": ["platformType", "Linux"]}}]},
        {**CONTENT, "mainSteps": [{**STEP, "precondition": {"StringEquals": ["platformType"]}}]},
        {**CONTENT, "mainSteps": [{**STEP, "precondition": {"StringEquals": ["platformType", "platformType"]}}]},
        {**CONTENT, "mainSteps": [{**STEP, "precondition": {"StringEquals": ["Linux", "Linux"]}}]},
        {**CONTENT, "mainSteps": [{**STEP, "precondition": {"StringEquals": ["platformType", "Plan9"]}}]},
        {**CONTENT, "mainSteps": [{**STEP, "precondition": {"StringEquals": "platformType"}}]},
        {**CONTENT, "mainSteps": [{**STEP, "precondition": {"StringEquals": ["platformType", "Linux"], "x": 1}}]},
        {**CONTENT, "parameters": []},
        {**CONTENT, "parameters": {"P": "String"}},
        {**CONTENT, "parameters": {"P": {"type": "Secret"}}},
        {**CONTENT, "parameters": {"P": {}}},
        {**CONTENT, "parameters": {"P": {"type": "String", "allowedValues": "a"}}},
        {**CONTENT, "parameters": {"P": {"type": "String", "allowedPattern": "("}}},
        {**CONTENT, "parameters": {"P": {"type": "String", "allowedPattern": "a{99999999999999999999}"}}},
        {**CONTENT, "parameters": {"P": {"type": "String", "allowedPattern": "a" * 2049}}},
        {**CONTENT, "parameters": {"P": {"type": "String", "allowedPattern": r"(a)\1"}}},
        {**CONTENT, "parameters": {"P": {"type": "String", "allowedPattern": "(" * 5_000 + ")" * 5_000}}},
    ],
    ids=range(35),
)
def test_what_is_no_document_is_refused(content):
    """Another schema, no steps, a step twice, names, preconditions, types and patterns that cannot be read."""
    with pytest.raises(MalformedDocument):
        parse(content)


def test_a_document_may_lack_parameters_and_description():
    """They are empty then."""
    expected = Document("2.2", "", {}, (Step("patch", "patchwright:patch", {}),))
    assert parse({"schemaVersion": "2.2", "mainSteps": [STEP]}) == expected
    empty = {**STEP, "inputs": None, "precondition": None}
    assert parse({"schemaVersion": "2.2", "description": None, "parameters": None, "mainSteps": [empty]}) == expected


# -------------------------------------------------------------------------------------------------------------- binding


def test_given_values_are_bound_and_defaults_filled_in():
    """A caller's values are strings whatever the type; defaults are the author's."""
    values = bind(DOCUMENT, {"Operation": ["Scan"], "Names": ["a", "b"], "Hours": ["-5"], "Force": ["True"]})

    assert values == {"Operation": "Scan", "SnapshotId": "", "Hours": "-5", "Force": "True", "Names": ["a", "b"]}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "the parameter Operation is required"),
        ({"Operation": ["Scan"], "x": ["1"], "b": []}, "has no parameter b, x"),
        ({"Operation": ["Reboot"]}, "allows Scan, Install, not 'Reboot'"),
        ({"Operation": ["scan"]}, "allows Scan, Install"),
        ({"Operation": []}, "takes exactly one value"),
        ({"Operation": ["Scan", "Scan"]}, "takes exactly one value"),
        ({"Operation": [5]}, "takes strings"),
        ({"Operation": ["Scan"], "SnapshotId": ["A"]}, "must match"),
        ({"Operation": ["Scan"], "SnapshotId": ["a\n"]}, "must match"),
        ({"Operation": ["Scan"], "SnapshotId": ["a" * (PATTERN_TEXT_LIMIT + 1)]}, "must match"),
        ({"Operation": ["Scan"], "Hours": ["1.5"]}, "a whole number"),
        ({"Operation": ["Scan"], "Hours": ["1\n"]}, "a whole number"),
        ({"Operation": ["Scan"], "Hours": ["9" * 19]}, "a whole number"),
        ({"Operation": ["Scan"], "Force": ["yes"]}, "true or false"),
    ],
)
def test_values_that_the_document_does_not_take_are_refused(given, complaint):
    """Unknown names, missing ones, values beyond what is allowed."""
    with pytest.raises(InvalidParameters, match=complaint):
        bind(DOCUMENT, given)


@pytest.mark.parametrize("kind", ["MapList", "StringMap"])
def test_maps_can_be_declared_but_not_given(kind):
    """The default serves."""
    document = declared(type=kind, default={"a": 1})

    assert bind(document, {}) == {"P": {"a": 1}}
    with pytest.raises(InvalidParameters, match="not served yet"):
        bind(document, {"P": ["{}"]})


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        ("^(Scan|Install)$", "Scan", True),
        ("^(Scan|Install)$", "Scan\n", False),
        ("c$", "abc", True),
        (r"\$", "5$", True),
        (r"^5\$", "5$ and more", True),
    ],
)
def test_a_pattern_may_match_anywhere_unless_anchored(pattern, value, fits):
    """And an anchor at the end lets no line end pass; an escaped dollar is a dollar."""
    document = declared(type="String", allowedPattern=pattern)
    if fits:
        assert bind(document, {"P": [value]}) == {"P": value}
    else:
        with pytest.raises(InvalidParameters):
            bind(document, {"P": [value]})


def test_a_pattern_that_takes_for_ever_refuses_the_value():
    """The author of a document cannot hold a server; values that were checked before are not checked again."""
    document = declared(type="String", allowedPattern="(?=(.*.*.*)*x)" * 3 + "y")

    with pytest.raises(InvalidParameters, match="takes too long"):
        bind(document, {"P": ["a" * 4096]})
    assert bind(document, {"P": ["a" * 4096]}, checked=True) == {"P": "a" * 4096}


def test_every_item_of_a_list_is_checked():
    """Not only the first."""
    with pytest.raises(InvalidParameters):
        bind(declared(type="StringList", allowedValues=["a"]), {"P": ["a", "b"]})


def test_an_error_shows_the_beginning_of_a_value_only():
    """Messages stay short whatever was sent."""
    with pytest.raises(InvalidParameters) as caught:
        bind(DOCUMENT, {"Operation": ["x" * 10_000]})
    assert len(str(caught.value)) < 200


# -------------------------------------------------------------------------------------------------------- interpolation

VALUES = {"a": "1", "list": ["x", "y z"], "flag": True, "off": False, "map": {"k": [1]}, "n": 5, "deep": "{{ a }}"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{{ a }}", "1"),
        ("{{a}}", "1"),
        (" {{ a }} ", "1"),
        ("x{{ a }}y{{a}}", "x1y1"),
        ("{{ list }}", ["x", "y z"]),
        ("do {{ list }}", "do x y z"),
        ("{{ flag }}", True),
        ("is {{ flag }} or {{ off }}", "is true or false"),
        ("{{ map }}", {"k": [1]}),
        ("m={{ map }}", 'm={"k": [1]}'),
        ("n={{ n }}", "n=5"),
        ("{{ unknown }}", "{{ unknown }}"),
        ("x {{ unknown }}", "x {{ unknown }}"),
        ("{{ssm:name}}", "{{ssm:name}}"),
        ("{{ deep }}", "{{ a }}"),
        ("x {{ deep }}", "x {{ a }}"),
        ("{ { a } }", "{ { a } }"),
        ({"k": ["{{ a }}", {"{{ a }}": "{{ list }}"}]}, {"k": ["1", {"{{ a }}": ["x", "y z"]}]}),
        (7, 7),
        (None, None),
    ],
)
def test_references_are_replaced_once_at_any_depth(value, expected):
    """A whole string takes the value's type; inside a string it is written out; keys and unknown names stay."""
    assert interpolate(value, VALUES) == expected


def test_a_step_runs_where_its_precondition_holds():
    """Without one, everywhere."""
    assert [runs_on(step, "Linux", {}) for step in DOCUMENT.steps] == [True, False]
    assert runs_on(Step("a", "b", {}), "MacOS", {})


@pytest.mark.parametrize(
    ("operands", "values", "platform", "holds"),
    [
        (["{{ mode }}", "full"], {"mode": "full"}, "Linux", True),
        (["{{ mode }}", "full"], {"mode": "quick"}, "Linux", False),
        (["full", "{{ mode }}"], {"mode": "full"}, "Linux", True),
        (["x-{{ a }}", "{{ b }}"], {"a": "1", "b": "x-1"}, "Linux", True),
        (["{{ on }}", "true"], {"on": True}, "Linux", True),
        (["platformType", "{{ where }}"], {"where": "Linux"}, "Linux", True),
        (["platformType", "{{ where }}"], {"where": "Linux"}, "Windows", False),
    ],
)
def test_a_precondition_may_compare_parameters(operands, values, platform, holds):
    """Once they are filled in; before that, the step may run anywhere (spec §5.9)."""
    step = {**STEP, "precondition": {"StringEquals": operands}}
    (read,) = parse({"schemaVersion": "2.2", "mainSteps": [step]}).steps

    assert runs_on(read, platform, values) is holds
    assert may_run_on(read, platform)


@pytest.mark.parametrize(
    ("parameter", "value", "complaint"),
    [
        ({"type": "StringList", "minItems": 2}, ["a"], "at least 2 items, not 1"),
        ({"type": "StringList", "maxItems": "1"}, ["a", "b"], "at most 1 items, not 2"),
        ({"type": "String", "minChars": 2}, ["a"], "at least 2 characters, not 1"),
        ({"type": "String", "maxChars": 2}, ["abc"], "at most 2 characters, not 3"),
        ({"type": "StringList", "maxChars": 2}, ["ab", "abc"], "at most 2 characters"),
    ],
)
def test_lists_and_values_have_their_lengths(parameter, value, complaint):
    """minItems, maxItems, minChars, maxChars."""
    with pytest.raises(InvalidParameters, match=complaint):
        bind(declared(**parameter), {"P": value})


@pytest.mark.parametrize("bound", [-1, 1.5, True, "many", []])
def test_a_length_that_is_no_number_is_refused(bound):
    """A document says what it means."""
    with pytest.raises(MalformedDocument, match="minItems"):
        declared(type="StringList", minItems=bound)


def test_other_schemas_of_the_same_form_are_read_where_they_are_asked_for():
    """2.0 has the same members; nodes run 2.2."""
    old = {"schemaVersion": "2.0", "mainSteps": [STEP]}

    assert parse(old, versions=("2.0", "2.2")).schema_version == "2.0"
    with pytest.raises(MalformedDocument, match=r"use 2\.2"):
        parse(old)
