# SPDX-License-Identifier: Apache-2.0
"""What a delivered document becomes before anything runs."""

from __future__ import annotations

import pytest

from agent.simulator import DOCUMENT
from patchwright.agent.steps import plan_steps
from patchwright.core.errors import InvalidParameters, MalformedDocument


def test_parameters_are_filled_in_with_their_defaults():
    """Given values and defaults stand in the inputs."""
    (step,) = plan_steps({"DocumentContent": DOCUMENT, "Parameters": {"Operation": "Scan"}})

    assert step["inputs"] == {"Operation": "Scan", "RebootOption": "RebootIfNeeded"}
    assert (step["name"], step["action"], step["status"]) == ("Patch", "patchwright:patch", "NotStarted")


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("String", "a", "a"),
        ("String", ["a"], "a"),
        ("StringList", ["a", "b"], ["a", "b"]),
        ("Boolean", True, "true"),
        ("Boolean", "false", "false"),
        ("Integer", 5, "5"),
    ],
)
def test_parameters_come_unwrapped(kind, value, read):
    """The delivery unwraps values by type; both forms are read."""
    document = {
        "schemaVersion": "2.2",
        "parameters": {"P": {"type": kind}},
        "mainSteps": [{"name": "S", "action": "x", "inputs": {"p": "{{ P }}"}}],
    }

    (step,) = plan_steps({"DocumentContent": document, "Parameters": {"P": value}})
    assert step["inputs"] == {"p": read}


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({}, MalformedDocument),
        ({"DocumentContent": {**DOCUMENT, "schemaVersion": "1.2"}}, MalformedDocument),
        ({"DocumentContent": DOCUMENT, "Parameters": []}, InvalidParameters),
        ({"DocumentContent": DOCUMENT, "Parameters": {"Operation": "Explode"}}, InvalidParameters),
        ({"DocumentContent": DOCUMENT, "Parameters": {"Operation": "Scan", "X": "y"}}, InvalidParameters),
        ({"DocumentContent": DOCUMENT, "Parameters": {"Operation": {"a": "b"}}}, InvalidParameters),
    ],
)
def test_a_document_that_does_not_fit_is_refused(payload, error):
    """Another schema, parameters it does not take, values it does not allow."""
    with pytest.raises(error):
        plan_steps(payload)
