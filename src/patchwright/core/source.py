# SPDX-License-Identifier: Apache-2.0
"""
Sources: the repositories that a baseline puts in the place of a node's own, for one operation (spec §2.9).

What they say is untrusted: it is written to a file of the operation and never anywhere else.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple, Sequence, Tuple

DIGEST_FORMAT = "sources1"


class Source(NamedTuple):
    """One alternative repository. *configuration* is text in the package manager's own form; it may hold credentials."""

    name: str
    configuration: str

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {len(self.configuration)} characters)"


def digest(sources: Sequence[Source]) -> str:
    """What facts taken with *sources* are marked with: `sources1:…`, empty without any. Their order counts."""
    if not sources:
        return ""
    rows = [[source.name, source.configuration] for source in sources]
    text = json.dumps(rows, ensure_ascii=True, separators=(",", ":"))
    return f"{DIGEST_FORMAT}:{hashlib.sha256(text.encode()).hexdigest()}"


Sources = Tuple[Source, ...]
