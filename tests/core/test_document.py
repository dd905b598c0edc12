# SPDX-License-Identifier: Apache-2.0
"""Command documents: reading, binding parameters, interpolating them."""

from __future__ import annotations

import pytest

from patchwright.core.document import (
    DEPTH_LIMIT,
    STEPS_LIMIT,
    Document,
    Ruling,
    Step,
    bind,
    environment,
    interpolate,
    may_run_on,
    parse,
    prepared,
    ruling,
)
from patchwright.core.errors import InvalidParameters, MalformedDocument
from patchwright.core.parameter import PATTERN_TEXT_LIMIT, Parameter, given

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


def nested(levels):
    """An object in an object, as deep as that."""
    found = {}
    for _ in range(levels):
        found = {"in": found}
    return found


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
        {**CONTENT, "schemaVersion": "0.3"},
        {"schemaVersion": "1.2", "runtimeConfig": {}},
        {"schemaVersion": "1.2", "runtimeConfig": []},
        {"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": []}},
        {"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {"properties": "{{ x }}"}}},
        {"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {"properties": ["x"]}}},
        {"schemaVersion": "1.2", "runtimeConfig": {"a/b": {}}},
        {**CONTENT, "mainSteps": [{**STEP, "name": f"s{number}"} for number in range(STEPS_LIMIT + 1)]},
        {**CONTENT, "mainSteps": [{**STEP, "inputs": nested(DEPTH_LIMIT)}]},
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
        {**CONTENT, "mainSteps": [{**STEP, "precondition": {"StringLike": "platformType"}}]},
        {**CONTENT, "mainSteps": [{**STEP, "precondition": {"StringEquals": ["platformType", 5]}}]},
        {**CONTENT, "parameters": {"P": {"type": "String", "interpolationType": "SHELL"}}},
        {**CONTENT, "parameters": {"P": {"type": "StringList", "interpolationType": "ENV_VAR"}}},
        {**CONTENT, "mainSteps": [{**STEP, "precondition": {"StringEquals": "platformType"}}]},
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


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("StringMap", ['{"a": "1", "b": ["2"]}'], {"a": "1", "b": ["2"]}),
        ("StringMap", ["{}"], {}),
        ("MapList", ['{"a": "1"}', '{"b": "2"}'], [{"a": "1"}, {"b": "2"}]),
        ("MapList", [], []),
    ],
)
def test_maps_are_given_as_json(kind, value, expected):
    """Each in a string; the node is given them as objects, and reads the same of that."""
    document = declared(type=kind, default={"a": 1})

    assert bind(document, {}) == {"P": {"a": 1}}
    bound = bind(document, {"P": value})
    assert bound == {"P": expected}
    assert bind(document, {"P": given(bound["P"])}) == bound


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("StringMap", ["[]"]),
        ("StringMap", ["x"]),
        ("StringMap", []),
        ("StringMap", ["{}", "{}"]),
        ("StringMap", ["[" * 100_000]),
        ("StringMap", ['{"a":' * 17 + "1" + "}" * 17]),
        ("MapList", ["{}", "5"]),
    ],
)
def test_what_is_no_map_is_refused(kind, value):
    """Lists, numbers, other texts, more than one, and what is nested without end."""
    with pytest.raises(InvalidParameters):
        bind(declared(type=kind), {"P": value})


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
        (" {{ a }} ", " 1 "),
        ("x{{ a }}y{{a}}", "x1y1"),
        ("{{ list }}", ["x", "y z"]),
        ("do {{ list }}", 'do ["x","y z"]'),
        ("{{ flag }}", True),
        ("is {{ flag }} or {{ off }}", "is true or false"),
        ("{{ map }}", {"k": [1]}),
        ("m={{ map }}", 'm={"k":[1]}'),
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


def conditional(precondition, *, schema="2.2", action="patchwright:patch", **parameters):
    """A document whose only step has a precondition, with parameters and their values; and those values."""
    step = {"name": "s", "action": action, "precondition": precondition}
    types = {name: {"type": "Boolean" if isinstance(value, bool) else "String"} for name, value in parameters.items()}
    return parse({"schemaVersion": schema, "parameters": types, "mainSteps": [step]}), parameters


@pytest.mark.parametrize(
    ("operands", "values", "platform", "status"),
    [
        (["platformType", "Linux"], {}, "Linux", ""),
        (["Linux", "platformType"], {}, "Linux", ""),
        (["linux", "platformType"], {}, "Linux", ""),
        (["platformType", "Windows"], {}, "Linux", "Skipped"),
        (["platformType", "Plan9"], {}, "Linux", "Skipped"),
        (["{{ mode }}", "full"], {"mode": "full"}, "Linux", ""),
        (["{{ mode }}", "full"], {"mode": "quick"}, "Linux", "Skipped"),
        (["full", "{{ mode }}"], {"mode": "full"}, "Linux", ""),
        (["x-{{ a }}", "{{ b }}"], {"a": "1", "b": "x-1"}, "Linux", ""),
        (["{{ on }}", "true"], {"on": True}, "Linux", ""),
        (["{{ other }}", "x"], {}, "Linux", "Skipped"),
        (["platformType", "{{ where }}"], {"where": "Linux"}, "Linux", "Failed"),
        (["platformType"], {}, "Linux", "Failed"),
        (["platformType", "Linux", "Windows"], {}, "Linux", "Failed"),
        ([], {}, "Linux", "Failed"),
        (["platformType", "platformType"], {}, "Linux", "Failed"),
        (["Linux", "Linux"], {}, "Linux", "Failed"),
        (["a", "b"], {}, "Linux", "Failed"),
        (["{{ a }}", "{{ a }}"], {"a": "1"}, "Linux", "Failed"),
        (["{{ssm:/stage}}", "{{ a }}"], {"a": "1"}, "Linux", "Failed"),
        (["{{ ssm-secure:/stage }}", "x"], {}, "Linux", "Failed"),
    ],
)
def test_a_precondition_holds_or_not_or_is_none(operands, values, platform, status):
    """Then the step runs, is skipped, or fails when its turn comes (spec §5.9); the rest of the document is not touched."""
    document, values = conditional({"StringEquals": operands}, **values)

    assert ruling(document, document.steps[0], platform, values).status == status


def test_an_operator_that_nobody_knows_fails_the_step_unless_another_one_skips_it():
    """As amazon-ssm-agent has it."""
    unknown = {"StringLike": ["platformType", "Linux"]}
    for other, status in (
        ({}, "Failed"),
        ({"StringEquals": ["platformType", "Linux"]}, "Failed"),
        ({"StringEquals": ["platformType", "Windows"]}, "Skipped"),
    ):
        document, _ = conditional({**unknown, **other})
        assert ruling(document, document.steps[0], "Linux", {}).status == status


def test_a_step_runs_where_its_precondition_and_its_action_let_it():
    """An action of another platform is skipped in schema 2.2, and fails before it; there preconditions fail as well."""
    patch, windows = DOCUMENT.steps
    assert [ruling(DOCUMENT, step, "Linux", {}).status for step in (patch, windows)] == ["", "Skipped"]
    assert may_run_on(Step("a", "b", {}), "MacOS")
    assert may_run_on(patch, "Linux")
    assert not may_run_on(patch, "Windows")
    for schema, action, status in (
        ("2.2", "aws:psModule", "Skipped"),
        ("2.0", "aws:psModule", "Failed"),
        ("2.0", "aws:runPowerShellScript", "Failed"),
        ("2.2", "aws:runPowerShellScript", ""),
        ("2.0", "aws:runShellScript", ""),
    ):
        document, _ = conditional({}, schema=schema, action=action)
        assert ruling(document, document.steps[0], "Linux", {}).status == status
    early, _ = conditional({"StringEquals": ["platformType", "Linux"]}, schema="2.0")
    assert ruling(early, early.steps[0], "Linux", {}) == Ruling("Failed", "preconditions came with schema version 2.2")


def test_steps_are_prepared_with_their_values():
    """Inputs filled in, and what they say of the steps after them read from that."""
    inputs = {
        "onFailure": "{{ then }}",
        "onSuccess": "exit",
        "finallyStep": "{{ last }}",
        "runCommand": ["echo {{ then }}"],
    }
    document = parse(
        {
            "schemaVersion": "2.2",
            "parameters": {"then": {"type": "String"}, "last": {"type": "Boolean"}},
            "mainSteps": [{"name": "s", "action": "aws:runShellScript", "inputs": inputs}],
        }
    )
    assert document.steps[0].on_failure == ""

    (step,) = prepared(document, bind(document, {"then": ["successAndExit"], "last": ["true"]}))

    assert (step.on_failure, step.on_success, step.finally_step) == ("successAndExit", "exit", True)
    assert step.inputs["runCommand"] == ["echo successAndExit"]
    (other,) = prepared(document, bind(document, {"then": ["stop"], "last": ["false"]}))
    assert (other.on_failure, other.finally_step) == ("", False)


def test_a_variable_is_no_text_of_the_script():
    """interpolationType ENV_VAR: in commands the reference stays, so that a value is never read as a command."""
    hostile = '"; rm -rf / #'
    document = parse(
        {
            "schemaVersion": "2.2",
            "parameters": {
                "word": {"type": "String", "interpolationType": "ENV_VAR"},
                "raw": {"type": "String", "interpolationType": "RAW", "default": "r"},
            },
            "mainSteps": [
                {
                    "name": "s",
                    "action": "aws:runShellScript",
                    "inputs": {"runCommand": ["echo {{ word }} {{ raw }}"], "workingDirectory": "/{{ word }}"},
                },
                {"name": "d", "action": "aws:runDocument", "inputs": {"documentPath": "{{ word }}"}},
            ],
        }
    )
    values = bind(document, {"word": [hostile]})

    script, child = prepared(document, values)

    assert script.inputs == {"runCommand": ["echo {{ word }} r"], "workingDirectory": "/" + hostile}
    assert child.inputs == {"documentPath": hostile}
    assert environment(document, values) == {"SSM_word": hostile}


def test_an_old_document_has_a_step_for_each_entry_of_its_properties():
    """Schema 1.2: named as the plugin, and in the order they are written."""
    document = parse(
        {
            "schemaVersion": "1.2",
            "parameters": {"commands": {"type": "StringList"}},
            "runtimeConfig": {
                "aws:runShellScript": {"properties": [{"id": "0.x", "runCommand": "{{ commands }}"}, {"id": "1.x"}]},
                "aws:softwareInventory": {"properties": {"applications": "Enabled", "onFailure": "exit"}},
                "aws:refreshAssociation": {},
            },
        }
    )

    assert [(step.name, step.action) for step in document.steps] == [
        ("aws:runShellScript", "aws:runShellScript"),
        ("aws:runShellScript.2", "aws:runShellScript"),
        ("aws:softwareInventory", "aws:softwareInventory"),
        ("aws:refreshAssociation", "aws:refreshAssociation"),
    ]
    assert document.steps[2].on_failure == "exit"
    assert prepared(document, {"commands": ["a", "b"]})[0].inputs == {"id": "0.x", "runCommand": ["a", "b"]}


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


def test_a_caller_may_want_fewer_schemas():
    """2.0 has the same members as 2.2."""
    old = {"schemaVersion": "2.0", "mainSteps": [STEP]}

    assert parse(old).schema_version == "2.0"
    with pytest.raises(MalformedDocument, match=r"use 2\.2"):
        parse(old, versions=("2.2",))
