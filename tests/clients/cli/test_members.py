# SPDX-License-Identifier: Apache-2.0
"""The comparison of a documented answer with a given one, and the tables of conformance.md, find what they are for."""

from __future__ import annotations

import pytest

from clients import page
from clients.cli.examples import examples
from clients.cli.members import answer, lacking

PATCHES = answer("describe-instance-patches")
DOCUMENTED = {
    "Patches": [{"Title": "one", "InstalledTime": 1.0}, {"Title": "two", "Severity": "Low"}],
    "NextToken": "x",
}


def test_a_member_that_no_element_has_is_lacking():
    """The elements of a list are looked at together; a further page is none of it."""
    assert lacking(DOCUMENTED, {"Patches": [{"Title": "a"}, {"InstalledTime": 2.0, "Severity": ""}]}, PATCHES) == []
    assert lacking(DOCUMENTED, {"Patches": [{"Title": "a"}]}, PATCHES) == [
        "Patches[].InstalledTime",
        "Patches[].Severity",
    ]
    assert lacking(DOCUMENTED, {"Patches": []}, PATCHES) == ["Patches[]"]


def test_another_type_is_told():
    """A number where text is documented, and text that is no time."""
    given = {"Patches": [{"Title": 1, "InstalledTime": "soon", "Severity": "Low"}]}

    assert lacking(DOCUMENTED, given, PATCHES) == [
        "Patches[].InstalledTime: no time: 'soon' instead of time",
        "Patches[].Title: number instead of text",
    ]


def test_a_documented_member_that_is_no_member_is_told():
    """A page that shows another operation's answer does not pass for an example."""
    assert lacking({"Items": []}, {}, PATCHES) == ["Items: not in the model"]


def test_keys_of_maps_are_data():
    """Their values are compared, their names are not."""
    shape = answer("describe-patch-properties")

    assert lacking({"Properties": [{"Name": "a"}]}, {"Properties": [{"Title": "b"}]}, shape) == []


def test_a_row_without_a_reason_is_refused():
    """Every difference has one."""
    text = "## Differences\n\n| what | why |\n|---|---|\n| `one` | because |\n"

    assert page.rows("Differences", text) == [("one",)]
    with pytest.raises(AssertionError, match="without a reason"):
        page.rows("Differences", text + "| `two` | |\n")


def test_examples_are_read_whole():
    """Commands over several lines, the files they name, and output that people wrote."""
    one, two, three, four = examples("create-patch-baseline")
    assert one.words[:3] == ("aws", "ssm", "create-patch-baseline")
    assert (one.output, two.number, four.output) == ({"BaselineId": "pb-045f10b4f3EXAMPLE"}, 2, None)
    (text,) = three.files.values()
    assert '"OperatingSystem": "AMAZON_LINUX"' in text
    assert set(examples("describe-activations")[0].output["ActivationList"][0]) >= {"ActivationId", "IamRole"}
