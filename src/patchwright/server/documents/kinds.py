# SPDX-License-Identifier: Apache-2.0
"""What a document of each type has to be (spec §5.9, §6), and what its content says of itself (pure)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from patchwright.core import document as command
from patchwright.core.actions import PLATFORMS, platforms_of
from patchwright.core.errors import MalformedDocument
from patchwright.server.documents import text
from patchwright.server.documents.model import (
    LIMIT_BYTES,
    InvalidContent,
    InvalidSchemaVersion,
    Parameter,
    Reading,
    TooLarge,
)

COMMAND = "Command"
_SESSIONS = ("Standard_Stream", "InteractiveCommands", "NonInteractiveCommands", "Port")
_CALENDARS = ("DEFAULT_OPEN", "DEFAULT_CLOSED")
_FIELD = re.compile(r"([A-Za-z0-9-]+)[:;]")


class _Rule(NamedTuple):
    """The *schemas* of a type, none where its content has no schema version; and what else its content is held to."""

    schemas: tuple[str, ...] = ()
    check: Callable[[Mapping[str, Any]], None] | None = None
    platforms: Callable[[Mapping[str, Any]], Iterable[str]] | None = None
    intrinsics: bool = False
    object: bool = True


def examine(kind: str, content: str, form: str) -> Reading:
    """
    What the *content* of a document of type *kind*, written in *form* (JSON, YAML, TEXT), says of itself.

    Raises:
        TooLarge, InvalidContent, InvalidSchemaVersion: It is no document of this type; the text says why.
    """
    size = len(content.encode())
    if size > LIMIT_BYTES:
        msg = f"The content has {size} bytes; a document may have {LIMIT_BYTES}."
        raise TooLarge(msg)
    if kind == "ChangeCalendar":
        if form != "TEXT":
            msg = "The content of a ChangeCalendar is an iCalendar text: its DocumentFormat is TEXT."
            raise InvalidContent(msg)
        return _calendar(content)
    if form == "TEXT":
        msg = f"A document of type {kind} is written in JSON or YAML; only a ChangeCalendar is TEXT."
        raise InvalidContent(msg)
    rule = _RULES.get(kind, _Rule())
    value = text.read(content, form, intrinsics=rule.intrinsics)
    if not isinstance(value, dict):
        if rule.object or not isinstance(value, list):
            msg = f"The content of a document of type {kind} is no object with named members."
            raise InvalidContent(msg)
        return Reading()
    schema = _schema(kind, value, rule.schemas)
    if rule.check is not None:
        rule.check(value)
    parameters = _parameters(value) if rule.schemas else ()
    platforms = tuple(rule.platforms(value)) if rule.platforms is not None else ()
    files = tuple(value.get("files", {})) if kind == "Package" else ()
    return Reading(schema, _text(value.get("description")), parameters, platforms, files)


def values(kind: str, content: str, form: str) -> Any:
    """The values of a content that `examine` has found sound, its schema version as a text."""
    rule = _RULES.get(kind, _Rule())
    found = text.read(content, form, intrinsics=rule.intrinsics)
    if isinstance(found, dict) and rule.schemas:
        found["schemaVersion"] = _as_schema(found.get("schemaVersion"))
    return found


def convert(kind: str, content: str, *, stored: str, wanted: str) -> str:
    """*content*, stored in one format, in the *wanted* one; as it is where they agree."""
    return content if stored == wanted else text.write(values(kind, content, stored), wanted)


def _schema(kind: str, value: Mapping[str, Any], served: Sequence[str]) -> str:
    schema = value.get("schemaVersion")
    if not served:
        return schema if isinstance(schema, str) and re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}", schema) else ""
    if schema is None:
        msg = f"The content has no schemaVersion; a document of type {kind} has {' or '.join(served)}."
        raise InvalidContent(msg)
    found = _as_schema(schema)
    if found not in served:
        msg = f"Schema version {found[:20]} is not one of a document of type {kind}: use {' or '.join(served)}."
        raise InvalidSchemaVersion(msg)
    return found


def _as_schema(value: Any) -> str:
    """Some write 2.2 without quotes."""
    return str(value) if isinstance(value, str | int | float) else ""


# ------------------------------------------------------------------------------------------------------------- checks


def _check_command(value: Mapping[str, Any]) -> None:
    try:
        _as_command(value)
    except MalformedDocument as error:
        msg = f"The content is no command document: {error}."
        raise InvalidContent(msg) from None


def _as_command(value: Mapping[str, Any]) -> command.Document:
    return command.parse({**value, "schemaVersion": _as_schema(value["schemaVersion"])})


def _check_steps(value: Mapping[str, Any]) -> None:
    steps = value.get("mainSteps")
    if not isinstance(steps, list) or not steps:
        msg = "The content has no mainSteps, or none in them."
        raise InvalidContent(msg)
    names = set()
    for step in steps:
        if not isinstance(step, dict) or not all(isinstance(step.get(key), str) for key in ("name", "action")):
            msg = "A step of mainSteps lacks its name or its action."
            raise InvalidContent(msg)
        if step["name"] in names:
            msg = f"Two steps have the name {step['name'][:80]!r}."
            raise InvalidContent(msg)
        names.add(step["name"])


def _check_session(value: Mapping[str, Any]) -> None:
    if value.get("sessionType") not in _SESSIONS:
        msg = f"The sessionType of a session document is one of {', '.join(_SESSIONS)}."
        raise InvalidContent(msg)


def _check_package(value: Mapping[str, Any]) -> None:
    for member, kind in (("version", str), ("packages", dict), ("files", dict)):
        if not isinstance(value.get(member), kind) or not value[member]:
            msg = f"The manifest of a package has no {member}."
            raise InvalidContent(msg)


def _calendar(content: str) -> Reading:
    """What an iCalendar text says; its events are read where the calendar is asked."""
    lines = [line for line in re.sub(r"\r?\n[ \t]", "", content).splitlines() if line.strip()]
    open_parts: list[str] = []
    kind, version, described = "", "", ""
    for number, line in enumerate(lines):
        match = _FIELD.match(line)
        if match is None:
            msg = f"The content is no iCalendar text: line {number + 1} has no name and value."
            raise InvalidContent(msg)
        name, value = match[1].upper(), line.partition(":")[2].strip()
        if name == "BEGIN":
            open_parts.append(value.upper())
        elif name == "END":
            if not open_parts or open_parts.pop() != value.upper():
                msg = f"The content is no iCalendar text: END:{value[:40]} ends nothing that has begun."
                raise InvalidContent(msg)
        elif open_parts == ["VCALENDAR"]:
            version = value if name == "VERSION" else version
            kind = value if name == "X-CALENDAR-TYPE" else kind
            described = value if name == "X-WR-CALDESC" else described
    ends = lines and lines[0].upper() == "BEGIN:VCALENDAR" and lines[-1].upper() == "END:VCALENDAR"
    if not ends or open_parts or version != "2.0":
        msg = (
            "The content is no iCalendar 2.0 text: it goes from BEGIN:VCALENDAR to END:VCALENDAR and says VERSION:2.0."
        )
        raise InvalidContent(msg)
    if kind not in _CALENDARS:
        msg = f"The calendar has no X-CALENDAR-TYPE of {' or '.join(_CALENDARS)}."
        raise InvalidContent(msg)
    return Reading(description=described[:1024])


# ----------------------------------------------------------------------------------------------------- what it says


def _parameters(value: Mapping[str, Any]) -> tuple[Parameter, ...]:
    declared = value.get("parameters", {})
    if declared is None:
        return ()
    if not isinstance(declared, dict) or not all(isinstance(entry, dict) for entry in declared.values()):
        msg = "The parameters are no object with an object for each."
        raise InvalidContent(msg)
    found = []
    for name, entry in declared.items():
        if not isinstance(entry.get("type"), str):
            msg = f"The parameter {name[:80]} has no type."
            raise InvalidContent(msg)
        default = entry.get("default")
        shown = default if isinstance(default, str) or default is None else json.dumps(default, ensure_ascii=False)
        found.append(Parameter(name, entry["type"], _text(entry.get("description")), shown))
    return tuple(found)


def _platforms_of_command(value: Mapping[str, Any]) -> Iterable[str]:
    """Where at least one of its steps runs."""
    found = _as_command(value)
    return [
        platform
        for platform in PLATFORMS
        if any(
            platform in platforms_of(step.action, schema=found.schema_version) and command.may_run_on(step, platform)
            for step in found.steps
        )
    ]


def _platforms_of_package(value: Mapping[str, Any]) -> Iterable[str]:
    names = {name.lower() for name in value["packages"]}
    if "_any" in names:
        return PLATFORMS
    found = {"Windows" if "windows" in name else "MacOS" if "mac" in name else "Linux" for name in names}
    return [platform for platform in PLATFORMS if platform in found]


def _everywhere(_value: Mapping[str, Any]) -> Iterable[str]:
    return PLATFORMS


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# Types that are not here are kept once they can be read as JSON or YAML.
_RULES: Mapping[str, _Rule] = {
    COMMAND: _Rule(("1.2", "2.0", "2.2"), _check_command, _platforms_of_command),
    "Policy": _Rule(("2.0",), _check_steps, _everywhere),
    "Automation": _Rule(("0.3",), _check_steps, _everywhere),
    "Automation.ChangeTemplate": _Rule(("0.3",), _check_steps, _everywhere),
    "Session": _Rule(("1.0",), _check_session, _everywhere),
    "Package": _Rule(("2.0",), _check_package, _platforms_of_package),
    "ApplicationConfiguration": _Rule(object=False),
    "CloudFormation": _Rule(intrinsics=True),
    "ConformancePackTemplate": _Rule(intrinsics=True),
}
