# SPDX-License-Identifier: Apache-2.0
"""Reads an iCalendar as strictly as RFC 5545 writes it; whatever is wrong is an AssertionError that says what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9-]+)(?P<params>(;[A-Za-z0-9-]+=[^\x00-\x08\x0a-\x1f\x7f\",;:]*)*):(?P<value>.*)\Z"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MOMENT = re.compile(r"\d{8}T\d{6}Z\Z")
_TEXT = re.compile(r"(?:[^\\;,]|\\[\\;,nN])*\Z")
_DURATION = re.compile(r"PT\d+[HMS]\Z")
_TEXTS = {"SUMMARY", "DESCRIPTION", "NAME", "X-WR-CALNAME", "UID"}
_MOMENTS = {"DTSTAMP", "DTSTART", "DTEND"}
_OF_CALENDAR = {"VERSION", "PRODID", "NAME", "X-WR-CALNAME", "REFRESH-INTERVAL", "X-PUBLISHED-TTL"}
_OF_EVENT = {"UID", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY", "DESCRIPTION", "TRANSP"}


@dataclass
class Calendar:
    """What was read: *about* the calendar, and its events by UID; values with nothing escaped any more."""

    about: dict[str, str] = field(default_factory=dict)
    events: dict[str, dict[str, str]] = field(default_factory=dict)


def read(content: bytes) -> Calendar:
    """The calendar in *content*."""
    assert content.endswith(b"\r\n"), "every line ends with CRLF"
    lines = content[:-2].split(b"\r\n")
    for line in lines:
        assert line, "no line is empty"
        assert len(line) <= 75, f"{len(line)} octets in one line"
        assert b"\n" not in line, "LF without CR"
        assert b"\r" not in line, "CR without LF"
        line.decode()  # no character is cut in two
    found, event, open_parts = Calendar(), {}, []
    for line in content[:-2].decode().replace("\r\n ", "").split("\r\n"):
        match = _LINE.match(line)
        assert match, f"no content line: {line!r}"
        assert not _CONTROL.search(line), f"a control character: {line!r}"
        name, value = match["name"].upper(), match["value"]
        if name == "BEGIN":
            open_parts.append(value)
            assert open_parts in (["VCALENDAR"], ["VCALENDAR", "VEVENT"]), open_parts
            event = {}
        elif name == "END":
            assert open_parts.pop() == value
            if value == "VEVENT":
                _check_event(event)
                assert event["UID"] not in found.events, f"twice: {event['UID']}"
                found.events[event["UID"]] = event
        else:
            _put(event if open_parts[-1] == "VEVENT" else found.about, open_parts[-1], name, value)
    assert not open_parts, "not ended"
    assert found.about["VERSION"] == "2.0"
    assert found.about["PRODID"]
    return found


def _put(where: dict[str, str], part: str, name: str, value: str) -> None:
    assert name in (_OF_EVENT if part == "VEVENT" else _OF_CALENDAR), f"{name} in {part}"
    assert name not in where, f"{name} twice"
    if name in _TEXTS:
        assert _TEXT.match(value), f"{name} is not escaped: {value!r}"
        value = re.sub(r"\\(.)", lambda found: "\n" if found[1] in "nN" else found[1], value)
    elif name in _MOMENTS:
        assert _MOMENT.match(value), f"{name} is no moment in UTC: {value!r}"
    elif name in {"REFRESH-INTERVAL", "X-PUBLISHED-TTL"}:
        assert _DURATION.match(value), value
    where[name] = value


def _check_event(event: dict[str, str]) -> None:
    assert {"UID", "DTSTAMP", "DTSTART", "DTEND"} <= event.keys(), event
    assert event["DTSTART"] < event["DTEND"], event
