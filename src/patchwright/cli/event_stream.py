# SPDX-License-Identifier: Apache-2.0
"""Reading server-sent events: what the server tells, one message after the other, over breaks of the connection."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from patchwright.cli.client import Client
from patchwright.cli.clock import Clock
from patchwright.cli.errors import Unreachable

PATH = "/events/stream"
SILENCE_SECONDS = 300.0  # how long a server that does not answer is asked again
PAUSE_SECONDS = 2.0
_LONGEST_LINE = 1024 * 1024
_GAP = "gap"


class Told(NamedTuple):
    """One message: the event, or that some before it were lost."""

    id: str
    event: dict[str, Any] | None


def follow(client: Client, clock: Clock, *, pattern: str = "", after: str = "") -> Iterator[Told]:
    """
    Events as they come, without end; those after the number *after* first, if it is given.

    A stream that ends is opened again where it was. Raises Refused, and Unreachable when there was no answer for long.
    """
    query, last = (f"pattern={quote(pattern, safe='-_.~')}" if pattern else ""), after
    heard = clock.monotonic()
    while True:
        try:
            answer = client.open(PATH, query=query, headers={"Last-Event-ID": last} if last else {})
        except Unreachable:
            if clock.monotonic() - heard > SILENCE_SECONDS:
                raise
            clock.sleep(PAUSE_SECONDS)
            continue
        try:
            for told in messages(answer):
                last = told.id or last
                heard = clock.monotonic()
                if told.event is not None or not told.id:
                    yield told
        except (OSError, http.client.HTTPException):
            clock.sleep(PAUSE_SECONDS)
        finally:
            answer.close()


def messages(lines: Iterable[bytes]) -> Iterator[Told]:
    """The messages that *lines* of a stream say. One without event and without id: some were lost."""
    found: dict[str, str] = {}
    for line in _bounded(lines):
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        name, _, value = text.partition(":")
        if not text:
            if found.get("event") == _GAP:
                yield Told("", None)
            elif found:
                yield Told(found.get("id", ""), json.loads(found["data"]) if "data" in found else None)
            found = {}
        elif name in {"id", "event", "data"}:
            found[name] = value.removeprefix(" ")


def _bounded(lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        if len(line) > _LONGEST_LINE:
            msg = "the server sent a line that is no event"
            raise http.client.HTTPException(msg)
        yield line
