# SPDX-License-Identifier: Apache-2.0
"""Notices: what a vendor says about the packages that it fixes. Stored once each by content (design D2)."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from patchwright.core.errors import MalformedFacts

NOTICE_FORMAT = "notice1"
NOTICE_LIMIT_BYTES = 1024 * 1024  # of one canonical form; a kernel erratum with 500 CVEs has about 30 KB
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")

# The vendor's weights, most severe first. Red Hat writes Moderate where Amazon Linux writes Medium (spec §2.1).
SEVERITIES = ("Critical", "Important", "Moderate", "Low", "None")


def severity_word(text: str) -> str:
    """*text* in lower case, with the one synonym folded: Medium is Moderate (spec §2.5)."""
    word = text.strip().lower()
    return "moderate" if word == "medium" else word


def severity_rank(text: str) -> int:
    """0 for the most severe; unknown words rank behind all known ones."""
    word = severity_word(text)
    for rank, known in enumerate(SEVERITIES):
        if known.lower() == word:
            return rank
    return len(SEVERITIES)


@dataclass(frozen=True)
class Notice:
    """
    One update notice (advisory, erratum).

    *issued* and *updated* are UTC days as `YYYY-MM-DD`, empty where the vendor gives none. Severity comes from the publisher
    alone, never from a CVE's score (spec §2.5).
    """

    id: str
    classification: str = ""
    severity: str = ""
    title: str = ""
    issued: str = ""
    updated: str = ""
    cves: Tuple[str, ...] = ()
    bugzillas: Tuple[str, ...] = ()
    reboot_suggested: bool = False

    @property
    def date(self) -> Optional[datetime.date]:
        """The day that counts for approval delays: *updated*, else *issued* (spec §2.4)."""
        text = self.updated or self.issued
        return datetime.date.fromisoformat(text) if text else None

    def canonical(self) -> bytes:
        """The form that is hashed and sent: JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """`notice1:` and the SHA-256 of the canonical form."""
        return f"{NOTICE_FORMAT}:{hashlib.sha256(self.canonical()).hexdigest()}"

    @classmethod
    def parse(cls, body: bytes) -> Notice:
        """Read a canonical form; anything else raises MalformedFacts."""
        if len(body) > NOTICE_LIMIT_BYTES:
            raise MalformedFacts(f"a notice of {len(body)} bytes, more than the {NOTICE_LIMIT_BYTES} allowed")
        try:
            notice = cls(**_typed(json.loads(body)))
            _check(notice)
        except (ValueError, TypeError, RecursionError) as error:
            raise MalformedFacts(f"the notice cannot be read: {error}") from None
        if notice.canonical() != body:
            raise MalformedFacts("the notice is not in canonical form")
        return notice


def _typed(data: Mapping[str, Any]) -> Dict[str, Any]:
    if not isinstance(data, dict):
        raise TypeError("a notice is an object")
    result = dict(data)
    for name in ("cves", "bugzillas"):
        result[name] = tuple(str(item) for item in result.get(name, ()))
    for name, value in result.items():
        wanted = (tuple,) if name in ("cves", "bugzillas") else (bool,) if name == "reboot_suggested" else (str,)
        if not isinstance(value, wanted):
            raise TypeError(f"the member {name} has the wrong type")
    return result


def _check(notice: Notice) -> None:
    """What no baseline could be decided on, or no database hold, must be found when it is read: raises ValueError."""
    if not notice.id or "," in notice.id or not notice.id.isprintable():
        raise ValueError(f"{notice.id[:80]!r} is no notice id")
    for day in (notice.issued, notice.updated):
        if day and not _DAY.match(day):
            raise ValueError(f"{day[:80]!r} is no day in the form YYYY-MM-DD")
        if day:
            datetime.date.fromisoformat(day)
    texts = (notice.classification, notice.severity, notice.title, *notice.cves, *notice.bugzillas)
    if any("\0" in text for text in texts):
        raise ValueError("a text contains NUL")
    "".join(texts).encode()
