# SPDX-License-Identifier: Apache-2.0
"""What a document of each type has to be, and what its content says of itself (spec §5.9, §6)."""

from __future__ import annotations

import json

import pytest

from patchwright.server.documents.kinds import convert, examine, values
from patchwright.server.documents.model import InvalidContent, InvalidSchemaVersion, Parameter, TooLarge

STEP = {"name": "one", "action": "aws:runShellScript", "inputs": {"runCommand": ["true"]}}
COMMAND = {"schemaVersion": "2.2", "mainSteps": [STEP]}
OLD = {"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {"properties": [{"runCommand": ["true"]}]}}}
RUNBOOK = {"schemaVersion": "0.3", "mainSteps": [{"name": "a", "action": "aws:sleep", "inputs": {"Duration": "PT1S"}}]}
SESSION = {"schemaVersion": "1.0", "sessionType": "Standard_Stream", "inputs": {}}
PACKAGE = {
    "schemaVersion": "2.0",
    "version": "1.0",
    "packages": {"debian": {"_any": {"x86_64": {"file": "a.zip"}}}},
    "files": {"a.zip": {"checksums": {"sha256": "00"}}},
}
CALENDAR = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nX-CALENDAR-TYPE:DEFAULT_CLOSED\r\nX-WR-CALDESC:Freeze\r\n{}END:VCALENDAR\r\n"
EVENT = "BEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=UTC:20261120T100000\r\nSUMMARY:a long\r\n  line\r\nEND:VEVENT\r\n"


def look(kind, value, form="JSON"):
    """What is read of *value*."""
    return examine(kind, value if isinstance(value, str) else json.dumps(value), form)


def step(action, **more):
    """A command document with one step."""
    return {"schemaVersion": "2.2", "mainSteps": [{"name": "one", "action": action, **more}]}


@pytest.mark.parametrize(
    ("kind", "value", "schema"),
    [
        ("Command", COMMAND, "2.2"),
        ("Command", {**COMMAND, "schemaVersion": "2.0"}, "2.0"),
        ("Command", {**COMMAND, "schemaVersion": 2.2}, "2.2"),
        ("Command", OLD, "1.2"),
        ("Policy", {**COMMAND, "schemaVersion": "2.0"}, "2.0"),
        ("Automation", RUNBOOK, "0.3"),
        ("Automation.ChangeTemplate", RUNBOOK, "0.3"),
        ("Session", SESSION, "1.0"),
        ("Package", PACKAGE, "2.0"),
        ("ApplicationConfiguration", {"anything": 1}, ""),
        ("ApplicationConfiguration", [1, 2], ""),
        ("ApplicationConfigurationSchema", {"$schema": "x", "type": "object"}, ""),
        ("DeploymentStrategy", {"schemaVersion": "1.0"}, "1.0"),
        ("CloudFormation", {"Resources": {}}, ""),
        ("QuickSetup", {"a": {}}, ""),
        ("ProblemAnalysis", {"schemaVersion": 3}, ""),
    ],
)
def test_each_type_has_its_schema_versions(kind, value, schema):
    """Where it has any; some write them without quotes."""
    assert look(kind, value).schema_version == schema


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("Command", {**COMMAND, "schemaVersion": "2.1"}),
        ("Command", {**COMMAND, "schemaVersion": "0.3"}),
        ("Command", {**COMMAND, "schemaVersion": ["2.2"]}),
        ("Command", {**COMMAND, "schemaVersion": "9" * 1000}),
        ("Automation", {**RUNBOOK, "schemaVersion": "2.2"}),
        ("Policy", {**COMMAND, "schemaVersion": "1.2"}),
        ("Session", {**SESSION, "schemaVersion": "2.2"}),
        ("Package", {**PACKAGE, "schemaVersion": "1.0"}),
    ],
)
def test_another_schema_version_is_refused_by_its_own_name(kind, value):
    """InvalidDocumentSchemaVersion, and which ones there are."""
    with pytest.raises(InvalidSchemaVersion, match="use ") as refused:
        look(kind, value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("kind", "value", "complaint"),
    [
        ("Command", {"mainSteps": [STEP]}, "no schemaVersion"),
        ("Command", [], "no object"),
        ("Command", "true", "no object"),
        ("Command", "{", "not well-formed JSON"),
        ("Command", {"schemaVersion": "2.2"}, "mainSteps"),
        ("Command", {**COMMAND, "mainSteps": [STEP, STEP]}, "same name"),
        ("Command", {**COMMAND, "parameters": {"P": {"type": "Secret"}}}, "unknown type"),
        ("Command", {**COMMAND, "parameters": {"P": {"type": "String", "allowedPattern": "("}}}, "allowedPattern"),
        ("Command", {**COMMAND, "parameters": {"P": {"type": "String", "allowedPattern": r"(a)\1"}}}, "not served"),
        ("Command", step("aws:runShellScript", precondition={"StringEquals": "Linux"}), "precondition"),
        ("Command", {"schemaVersion": "1.2"}, "runtimeConfig"),
        ("Command", {**OLD, "runtimeConfig": {"aws:runShellScript": []}}, "aws:runShellScript is no object"),
        ("Command", {**OLD, "parameters": []}, "parameters"),
        ("Command", {**OLD, "parameters": {"a": {}}}, "unknown type"),
        ("Policy", {"schemaVersion": "2.0"}, "mainSteps"),
        ("Automation", {"schemaVersion": "0.3", "mainSteps": []}, "mainSteps"),
        ("Automation", {"schemaVersion": "0.3", "mainSteps": [{"name": "a"}]}, "action"),
        ("Automation", {"schemaVersion": "0.3", "mainSteps": ["a"]}, "action"),
        ("Automation", {**RUNBOOK, "mainSteps": RUNBOOK["mainSteps"] * 2}, "Two steps"),
        ("Automation", {**RUNBOOK, "parameters": {"a": {"type": 7}}}, "no type"),
        ("Session", {"schemaVersion": "1.0"}, "sessionType"),
        ("Session", {**SESSION, "sessionType": "Telnet"}, "sessionType"),
        ("Package", {**PACKAGE, "files": {}}, "files"),
        ("Package", {**PACKAGE, "packages": []}, "packages"),
        ("Package", {"schemaVersion": "2.0"}, "version"),
        ("ApplicationConfiguration", "7", "no object"),
        ("CloudFormation", "[]", "no object"),
    ],
    ids=range(27),
)
def test_content_that_is_no_document_of_its_type_is_refused(kind, value, complaint):
    """InvalidDocumentContent says what is missing."""
    with pytest.raises(InvalidContent, match=complaint):
        look(kind, value)


@pytest.mark.parametrize(
    ("kind", "value", "platforms"),
    [
        ("Command", COMMAND, ("Linux", "MacOS")),
        ("Command", OLD, ("Linux", "MacOS")),
        ("Command", step("aws:runPowerShellScript"), ("Windows", "Linux", "MacOS")),
        ("Command", {**step("aws:runPowerShellScript"), "schemaVersion": "2.0"}, ("Windows",)),
        ("Command", step("aws:applications"), ("Windows",)),
        ("Command", step("aws:runDocument"), ("Windows", "Linux", "MacOS")),
        ("Command", step("aws:unheardOf"), ("Windows", "Linux", "MacOS")),
        ("Command", step("aws:runDocument", precondition={"StringEquals": ["platformType", "MacOS"]}), ("MacOS",)),
        (
            "Command",
            step("aws:runDocument", precondition={"StringEquals": ["{{ a }}", "b"]}),
            ("Windows", "Linux", "MacOS"),
        ),
        ("Command", step("aws:runShellScript", precondition={"StringEquals": ["platformType", "Windows"]}), ()),
        ("Automation", RUNBOOK, ("Windows", "Linux", "MacOS")),
        ("Package", PACKAGE, ("Linux",)),
        ("Package", {**PACKAGE, "packages": {"windows": {}, "macos": {}}}, ("Windows", "MacOS")),
        ("Package", {**PACKAGE, "packages": {"_any": {}}}, ("Windows", "Linux", "MacOS")),
        ("CloudFormation", {"a": 1}, ()),
    ],
    ids=range(15),
)
def test_platforms_follow_from_the_steps(kind, value, platforms):
    """Where at least one of them can run."""
    assert look(kind, value).platform_types == platforms


def test_parameters_are_listed_as_declared():
    """Types beyond String and StringList by their own names, defaults as text."""
    declared = {
        "a": {"type": "String", "description": "What"},
        "b": {"type": "StringList", "default": ["x", "é"]},
        "c": {"type": "Boolean", "default": True},
        "d": {"type": "Integer", "default": 5},
        "e": {"type": "StringMap", "default": {"k": 1}},
        "f": {"type": "String", "default": ""},
    }

    assert look("Command", {**COMMAND, "parameters": declared}).parameters == (
        Parameter("a", "String", "What", None),
        Parameter("b", "StringList", "", '["x", "é"]'),
        Parameter("c", "Boolean", "", "true"),
        Parameter("d", "Integer", "", "5"),
        Parameter("e", "StringMap", "", '{"k": 1}'),
        Parameter("f", "String", "", ""),
    )


def test_a_calendar_is_an_icalendar_text():
    """Its events may be anything that begins and ends; it has a description."""
    assert look("ChangeCalendar", CALENDAR.format(EVENT * 3), "TEXT").description == "Freeze"
    assert look("ChangeCalendar", CALENDAR.format("").replace("\r\n", "\n"), "TEXT").platform_types == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (CALENDAR.format("").replace("X-CALENDAR-TYPE:DEFAULT_CLOSED\r\n", ""), "X-CALENDAR-TYPE"),
        (CALENDAR.format("").replace("DEFAULT_CLOSED", "ALWAYS"), "X-CALENDAR-TYPE"),
        (CALENDAR.format("").replace("VERSION:2.0", "VERSION:1.0"), "VERSION:2.0"),
        (CALENDAR.format("BEGIN:VEVENT\r\n"), "ends nothing"),
        (CALENDAR.format("END:VEVENT\r\n"), "ends nothing"),
        (CALENDAR.format("no field\r\n"), "line 6"),
        (CALENDAR.format("") + "X:1\r\n", "BEGIN:VCALENDAR to END"),
        ("X:1", "BEGIN:VCALENDAR to END"),
        (" ", "BEGIN:VCALENDAR to END"),
        (json.dumps(COMMAND), "line 1"),
    ],
)
def test_what_is_no_calendar_is_refused(text, complaint):
    """With what is missing, or where."""
    with pytest.raises(InvalidContent, match=complaint):
        look("ChangeCalendar", text, "TEXT")


def test_formats_belong_to_types():
    """Text is for calendars, and calendars are text."""
    with pytest.raises(InvalidContent, match="TEXT"):
        look("ChangeCalendar", CALENDAR.format(""), "JSON")
    with pytest.raises(InvalidContent, match="JSON or YAML"):
        look("Command", "x", "TEXT")


def test_sixty_four_kilobytes_are_the_limit():
    """Of UTF-8, whatever is in them."""
    frame = len(json.dumps({**COMMAND, "description": ""}))
    fits = json.dumps({**COMMAND, "description": "x" * (65_536 - frame)})

    assert look("Command", fits).schema_version == "2.2"
    with pytest.raises(TooLarge, match="65537 bytes"):
        look("Command", fits + " ")
    with pytest.raises(TooLarge):
        look("Command", "é" * 40_000)


def test_a_conversion_says_the_same():
    """Both ways; what agrees is not touched."""
    text = "# ours\nschemaVersion: 2.2\nmainSteps:\n- name: one\n  action: aws:runShellScript\n  inputs: {runCommand: ['true']}\n"

    as_json = convert("Command", text, stored="YAML", wanted="JSON")
    assert json.loads(as_json) == COMMAND == values("Command", text, "YAML")
    assert values("Command", convert("Command", as_json, stored="JSON", wanted="YAML"), "YAML") == COMMAND
    assert convert("Command", text, stored="YAML", wanted="YAML") == text
    template = convert("CloudFormation", "a: !Ref b\n", stored="YAML", wanted="JSON")
    assert json.loads(template) == {"a": {"Ref": "b"}}
