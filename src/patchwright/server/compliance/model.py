# SPDX-License-Identifier: Apache-2.0
"""
Records of the compliance room, the rules of what may be put, and the room's errors (spec §7.1). Pure.

    ComplianceError
    ├── InvalidItems      items, a type or a way of putting that cannot be taken
    ├── ItemTooLarge      one item is larger than one may be
    ├── TooLarge          all items together are larger than they may be
    ├── TooManyTypes      the account has as many custom types as it may have
    └── UnknownResource   no such node
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from patchwright.core.compliance import Item
from patchwright.core.errors import PatchwrightError

PATCH, ASSOCIATION, CUSTOM = "Patch", "Association", "Custom:"
RESOURCE_TYPE = "ManagedInstance"
COMPLIANT, NON_COMPLIANT = "COMPLIANT", "NON_COMPLIANT"
STATUSES = (COMPLIANT, NON_COMPLIANT)
SEVERITIES = ("UNSPECIFIED", "INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")  # a severity's number is its place
PUT_FORMAT = "items1"  # of digests of contents that were put; those of judgements are patching's own


class ComplianceError(PatchwrightError):
    """The root of this room's errors. *type_name* is the compliance type that was spoken of, empty where none was."""

    def __init__(self, message: str, type_name: str = "") -> None:
        super().__init__(message)
        self.type_name = type_name


class InvalidItems(ComplianceError):
    """Items, a type or a way of putting that cannot be taken."""


class ItemTooLarge(ComplianceError):
    """One item is larger than one may be."""


class TooLarge(ComplianceError):
    """The items together are larger than they may be."""


class TooManyTypes(ComplianceError):
    """The account and region have as many custom types as they may have."""


class UnknownResource(ComplianceError):
    """There is no node with this id in this account and region."""


class Entry(NamedTuple):
    """One compliance item as it is kept: what it says, but not of which node. *severity* is one of SEVERITIES."""

    id: str
    title: str
    status: str
    severity: str
    details: Mapping[str, str]


@dataclass(frozen=True)
class Execution:
    """What brought the items about: when (epoch seconds), which run, and of which kind, such as `Command`."""

    at: float
    id: str = ""
    type: str = ""


@dataclass(frozen=True)
class Tally:
    """How many items there are by severity (in the order of SEVERITIES), those that are compliant and those that are not."""

    compliant: tuple[int, ...] = (0,) * len(SEVERITIES)
    non_compliant: tuple[int, ...] = (0,) * len(SEVERITIES)

    @property
    def status(self) -> str:
        """NON_COMPLIANT if one item is."""
        return NON_COMPLIANT if any(self.non_compliant) else COMPLIANT

    @property
    def severity(self) -> int:
        """The number of the highest severity among the items that are not compliant, 0 (unspecified) without any."""
        return max((number for number, count in enumerate(self.non_compliant) if count), default=0)


@dataclass(frozen=True)
class Record:
    """
    What is known of one node and compliance type.

    *digest* names the items: a judgement of the patching room, or a content that was put by hand. *severity* is a place in
    SEVERITIES. *content_hash* is the one that was put with them. *operation_id* is the last patch operation that was taken
    into account, whether or not it is the one shown. Times are epoch seconds.
    """

    instance_id: str
    type: str
    digest: str
    status: str
    severity: int
    execution: Execution
    content_hash: str = ""
    patch_group: str = ""
    baseline_id: str = ""
    document_name: str = ""
    document_version: str = ""
    operation_id: str = ""
    recorded_at: float = 0.0

    @property
    def put(self) -> bool:
        """Whether its items were put, and are not those of a patch operation."""
        return self.digest.startswith(PUT_FORMAT)

    @property
    def details(self) -> dict[str, str]:
        """The Details that every item has in common: which rules and which document they are of."""
        if self.put:
            return {}
        return {
            "DocumentName": self.document_name,
            "DocumentVersion": self.document_version,
            "PatchBaselineId": self.baseline_id,
            "PatchGroup": self.patch_group,
        }


@dataclass(frozen=True)
class Summary:
    """What is known of one node and type, with its items counted."""

    record: Record
    tally: Tally


@dataclass(frozen=True)
class Standing:
    """How many nodes are in one status at one severity (a place in SEVERITIES), for one type."""

    type: str
    status: str
    severity: int
    count: int


@dataclass(frozen=True)
class Listed:
    """One item of one node. *installed_at* is of patches: epoch seconds, 0 for what is not installed; None of others."""

    record: Record
    entry: Entry
    installed_at: float | None = None


@dataclass(frozen=True)
class Upload:
    """
    What somebody puts of one node and type.

    *partial* is for the items of one association; *content_hash* is the sender's own, empty where it gives none.
    """

    type: str
    execution: Execution
    entries: Sequence[Entry] = field(repr=False)
    content_hash: str = ""
    partial: bool = False


def check(upload: Upload, *, item_bytes: int, total_bytes: int) -> None:
    """
    Raise unless *upload* could be taken: InvalidItems, ItemTooLarge, TooLarge.

    Sizes are those of the items as compact JSON in UTF-8. What the service model says of lengths was checked at the edge.
    """
    if upload.type not in (PATCH, ASSOCIATION) and not upload.type.startswith(CUSTOM):
        msg = f"{upload.type} is no compliance type: use {PATCH}, {ASSOCIATION}, or {CUSTOM} and a name of your own."
        raise InvalidItems(msg)
    if upload.partial:
        msg = (
            f"PARTIAL replaces the items of one association whose SyncCompliance is MANUAL, and there is none for them:"
            f" put all items of type {upload.type} with COMPLETE."
        )
        raise InvalidItems(msg, upload.type)
    seen: set[str] = set()
    total = 0
    for entry in upload.entries:
        if entry.id in seen:
            said = f"the Id {entry.id[:100]!r}" if entry.id else "no Id"
            msg = f"Two items have {said}: every item of a type has an Id of its own."
            raise InvalidItems(msg, upload.type)
        seen.add(entry.id)
        size = len(_dump(entry))
        if size > item_bytes:
            msg = f"The item {entry.id[:100]!r} has {size} bytes, more than the {item_bytes} allowed."
            raise ItemTooLarge(msg, upload.type)
        total += size
    if total > total_bytes:
        msg = f"The items have {total} bytes together, more than the {total_bytes} allowed."
        raise TooLarge(msg, upload.type)


def freeze(entries: Iterable[Entry]) -> tuple[str, bytes]:
    """Digest and body of items that were put; the same items in another order are the same."""
    body = b"[" + b",".join(_dump(entry) for entry in sorted(entries, key=lambda entry: entry.id)) + b"]"
    return f"{PUT_FORMAT}:{hashlib.sha256(body).hexdigest()}", body


def thaw(body: bytes) -> list[Entry]:
    """What was frozen, in order of id."""
    return [Entry(*row) for row in json.loads(body)]


def tally(entries: Iterable[Entry]) -> Tally:
    """Count items by status and severity."""
    counts = {status: [0] * len(SEVERITIES) for status in STATUSES}
    for entry in entries:
        counts[entry.status][SEVERITIES.index(entry.severity)] += 1
    return Tally(tuple(counts[COMPLIANT]), tuple(counts[NON_COMPLIANT]))


def entry_of(item: Item) -> Entry:
    """A patch state as a compliance item (spec §3.1, §7.1): its severity is the compliance level that the rule gives."""
    details = {
        "Classification": item.classification,
        "PatchSeverity": item.severity,
        "PatchState": item.state.value,
        **({"CVEIds": ",".join(item.cves)} if item.cves else {}),
    }
    status = COMPLIANT if item.state.compliant else NON_COMPLIANT
    return Entry(item.key, item.title, status, item.level.value, details)


def _dump(entry: Entry) -> bytes:
    row: list[Any] = [entry.id, entry.title, entry.status, entry.severity, dict(sorted(entry.details.items()))]
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
