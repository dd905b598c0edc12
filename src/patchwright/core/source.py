# SPDX-License-Identifier: Apache-2.0
"""
Sources: the repositories that a baseline puts in the place of a node's own, for one operation (spec §2.9).

What they say is untrusted: it is written to a file of the operation and never anywhere else.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from patchwright.core.errors import MalformedMessage

DIGEST_FORMAT = "sources1"
COUNT_LIMIT = 20  # of one baseline
TEXT_LIMIT = 1024  # characters of one source's name or configuration


class Source(NamedTuple):
    """One alternative repository. *configuration* is text in the package manager's own form; it may hold credentials."""

    name: str
    configuration: str

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {len(self.configuration)} characters)"


Sources = Tuple[Source, ...]


def digest(sources: Sequence[Source]) -> str:
    """What facts taken with *sources* are marked with: `sources1:…`, empty without any. Their order counts."""
    if not sources:
        return ""
    rows = [list(source) for source in sources]
    text = json.dumps(rows, ensure_ascii=True, separators=(",", ":"))
    return f"{DIGEST_FORMAT}:{hashlib.sha256(text.encode()).hexdigest()}"


def to_json(sources: Sequence[Source]) -> List[Dict[str, str]]:
    """The wire form."""
    return [{"Name": source.name, "Configuration": source.configuration} for source in sources]


def from_json(data: Any) -> Sources:
    """Read the wire form; anything else, or more than a baseline may have, raises MalformedMessage."""
    if not isinstance(data, list) or len(data) > COUNT_LIMIT:
        raise MalformedMessage(f"the sources are no list of at most {COUNT_LIMIT}")
    return tuple(Source(_text(row, "Name"), _text(row, "Configuration")) for row in data)


def _text(row: Any, name: str) -> str:
    value = row.get(name) if isinstance(row, dict) else None
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LIMIT:
        raise MalformedMessage(f"a source has no {name} of at most {TEXT_LIMIT} characters")
    return value
