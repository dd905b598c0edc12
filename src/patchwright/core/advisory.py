# SPDX-License-Identifier: Apache-2.0
"""Notices: what a vendor says about the packages that it fixes. Stored once each by content (design D2)."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from patchwright.core.errors import MalformedFacts
from patchwright.core.package import FIELD_LIMIT

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


class Fixed(NamedTuple):
    """One package of a notice and the version that the notice brings it to, in the manager's full form."""

    name: str
    arch: str
    version: str

    @property
    def key(self) -> str:
        """`name.arch`."""
        return f"{self.name}.{self.arch}"


@dataclass(frozen=True)
class Notice:
    """
    One update notice (advisory, erratum); on SUSE the patch itself, under the patch's name (design D3).

    *issued* and *updated* are UTC days as `YYYY-MM-DD`, empty where the vendor gives none. Severity comes from the publisher
    alone, never from a CVE's score (spec §2.5). *packages* is the whole list of a SUSE patch, whatever of it a node has, and is
    kept sorted; elsewhere it is empty, since there each offer names its notices.
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
    packages: Tuple[Fixed, ...] = ()

    def __post_init__(self) -> None:
        if self.packages:
            rows = tuple(sorted({Fixed(*row) for row in self.packages}))
            object.__setattr__(self, "packages", rows)

    @property
    def date(self) -> Optional[datetime.date]:
        """The day that counts for approval delays: *updated*, else *issued* (spec §2.4)."""
        text = self.updated or self.issued
        return datetime.date.fromisoformat(text) if text else None

    def canonical(self) -> bytes:
        """The form that is hashed and sent: JSON with sorted keys. An empty list of packages is not written."""
        data = asdict(self)
        if not self.packages:
            del data["packages"]  # notices from before there was this member keep their form and their digest
        return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()

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
    result["packages"] = _packages(result.get("packages", []))
    for name, value in result.items():
        wanted = (
            (tuple,) if name in ("cves", "bugzillas", "packages") else (bool,) if name == "reboot_suggested" else (str,)
        )
        if not isinstance(value, wanted):
            raise TypeError(f"the member {name} has the wrong type")
    return result


def _packages(rows: Any) -> Tuple[Fixed, ...]:
    """The packages of a notice; TypeError where a row is no three texts."""
    if not isinstance(rows, list):
        raise TypeError("the member packages has the wrong type")
    for row in rows:
        if not isinstance(row, list) or len(row) != 3 or not all(isinstance(field, str) for field in row):
            raise TypeError("a package of a notice is name, architecture and version")
    return tuple(Fixed(*row) for row in rows)


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
    for package in notice.packages:
        _check_package(package)


def _check_package(package: Fixed) -> None:
    if not all(0 < len(field) <= FIELD_LIMIT and field.isprintable() for field in package):
        raise ValueError(f"{tuple(field[:80] for field in package)!r} is no package")
