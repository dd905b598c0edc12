# SPDX-License-Identifier: Apache-2.0
"""
The words of answers: times, states, rules and nodes as people read them.

What nodes report is foreign text: control characters do not reach the terminal.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import NamedTuple

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_GOOD = {"COMPLIANT", "Installed", "Online", "Success", "APPROVED"}
_BAD = {"NON_COMPLIANT", "Missing", "Failed", "TimedOut", "Cancelled", "InstalledRejected"}
_DOUBTFUL = {"UNKNOWN", "InstalledPendingReboot", "ConnectionLost", "InProgress", "Cancelling", "PENDING"}


class Watched(NamedTuple):
    """One node of a command that runs."""

    instance_id: str
    name: str
    status: str


def printable(text: str) -> str:
    """*text* without the characters that would steer a terminal."""
    return _CONTROL.sub("", text)


def one_line(text: str) -> str:
    """*text* as it fits into a cell."""
    return printable(" ".join(text.split()))


def tone(text: str) -> str:
    """`good`, `bad`, `doubtful`, or nothing: what the first word of *text* is a word for."""
    word = text.partition(" ")[0].rstrip(":,;")
    return "good" if word in _GOOD else "bad" if word in _BAD else "doubtful" if word in _DOUBTFUL else ""


def label(instance_id: str, name: str) -> str:
    """A node as people recognise it."""
    return f"{instance_id} ({name})" if name else instance_id


def bare_id(baseline_id: str) -> str:
    """The id people type: of a predefined baseline the end of its ARN."""
    return baseline_id.rpartition("/")[2]


def span(seconds: float) -> str:
    """A length of time in its largest unit: `3 h`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(int(seconds), 0)} s"


def moment(epoch_seconds: float) -> str:
    """`2026-11-20 04:21 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(epoch_seconds))


def since(epoch_seconds: float | None, now: float) -> str:
    """How long ago, and when: `3 h ago (2026-11-20 04:21 UTC)`; `never` for nothing."""
    if not epoch_seconds:
        return "never"
    return f"{span(now - epoch_seconds)} ago ({moment(epoch_seconds)})"


def rule_text(
    filters: Sequence[tuple[str, Sequence[str]]],
    *,
    days: int | None,
    until: str | None,
    non_security: bool,
    level: str,
) -> str:
    """What an approval rule does, as a sentence without its subject."""
    when = f"that were released up to {until}" if until else f"{days} days after their release" if days else "at once"
    parts = [f"approves {'all' if non_security else 'security'} updates {when}"]
    parts += filter_texts(filters)
    parts += [f"level {level}"] if level != "UNSPECIFIED" else []
    return "; ".join(parts)


def filter_texts(filters: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """`PRIORITY is Required or Important`, one for each filter that leaves something out."""
    return [f"{key} is {' or '.join(values)}" for key, values in filters if "*" not in values]
