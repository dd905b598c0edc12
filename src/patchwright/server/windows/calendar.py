# SPDX-License-Identifier: Apache-2.0
"""When windows open in the time to come, as entries and as an iCalendar (RFC 5545), pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from itertools import islice

from patchwright.core.errors import PatchwrightError
from patchwright.server.windows.describing import described
from patchwright.server.windows.model import HOUR, Window

_LINE = 75  # octets of a line, its end not among them
_CONTROLS = dict.fromkeys(map(chr, (*range(9), *range(10, 32), 127)), "")  # in no text (RFC 5545, 3.1)
_ESCAPES = str.maketrans({**_CONTROLS, "\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})
_AGAIN = "PT1H"  # how often programs are asked to look


@dataclass(frozen=True)
class Entry:
    """One opening of a window. Nothing starts at *cutoff_at* or later; it closes at *closes_at*. Epoch seconds."""

    window: Window
    opens_at: float
    cutoff_at: float
    closes_at: float
    description: str


def entries(windows: Iterable[Window], *, after: float, until: float, most: int) -> list[Entry]:
    """
    The openings of enabled windows later than *after* and not later than *until*, in order of time; the first *most*.

    None from before a window's schedule was what it is, and none of a window whose schedule cannot be read any more, since its
    time zone is gone.
    """
    coming = [_of(window, after, until) for window in windows if window.enabled]
    return list(islice(merge(*coming, key=lambda one: one.opens_at), most))


def icalendar(found: Sequence[Entry], *, name: str) -> str:
    """
    *found* as a calendar called *name*, lines ended as the standard wants them; the same for the same.

    It has no METHOD, so that DTSTAMP is when a window was changed (RFC 5545, 3.8.7.2). How often to look again is said as in
    RFC 7986 and as older programs read it.
    """
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Patchwright//Maintenance windows//EN"]
    lines += [f"NAME:{_text(name)}", f"X-WR-CALNAME:{_text(name)}"]
    lines += [f"REFRESH-INTERVAL;VALUE=DURATION:{_AGAIN}", f"X-PUBLISHED-TTL:{_AGAIN}"]
    for one in found:
        window = one.window
        about = [window.description, one.description, f"No task starts after {_shown(one.cutoff_at)}."]
        lines += [
            "BEGIN:VEVENT",
            f"UID:{window.id}-{int(one.opens_at)}@{window.scope.account}.{window.scope.region}.patchwright",
            f"DTSTAMP:{_moment(window.modified_at)}",
            f"DTSTART:{_moment(one.opens_at)}",
            f"DTEND:{_moment(one.closes_at)}",
            f"SUMMARY:{_text(window.name)}",
            f"DESCRIPTION:{_text(chr(10).join(line for line in about if line))}",
            "TRANSP:TRANSPARENT",
            "END:VEVENT",
        ]
    return "".join(f"{part}\r\n" for line in [*lines, "END:VCALENDAR"] for part in _folded(line))


def _of(window: Window, after: float, until: float) -> Iterator[Entry]:
    try:
        schedule = window.compiled()
    except PatchwrightError:
        return
    description = described(schedule)
    for opens in schedule.between(max(after, window.scheduled_from - 1e-3), until):
        closes = opens + window.duration * HOUR
        yield Entry(window, opens, closes - window.cutoff * HOUR, closes, description)


def _text(text: str) -> str:
    return text.translate(_ESCAPES)


def _moment(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")


def _shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _folded(line: str) -> Iterator[str]:
    """*line* in pieces that are short enough, each after the first begun with a space, no character cut in two."""
    octets, begin, room, lead = line.encode(), 0, _LINE, ""
    while len(octets) - begin > room:
        end = begin + room
        while octets[end] & 0xC0 == 0x80:  # in the middle of a character
            end -= 1
        yield lead + octets[begin:end].decode()
        begin, room, lead = end, _LINE - 1, " "
    yield lead + octets[begin:].decode()
