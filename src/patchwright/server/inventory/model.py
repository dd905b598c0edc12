# SPDX-License-Identifier: Apache-2.0
"""Records of the inventory room, what may be put into it, and the room's errors. Pure."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from patchwright.core import inventory as core
from patchwright.core.errors import PatchwrightError
from patchwright.core.inventory import CUSTOM_PREFIX, SCHEMAS, Attribute, Row, Schema

CONTENT_FORMAT = "inventory1"
_MAX_SCHEMA_BYTES = 4096  # of a custom type (spec §1.20)
MAX_VERSIONS = 50  # of one custom type
MAX_SUB_TYPES = 12  # kinds of compliance: Patch, Association and ten of one's own

# What the server knows itself, and nobody may say in its place.
OWN_TYPES = frozenset({core.INSTANCE_INFORMATION, core.COMPLIANCE_SUMMARY, core.TAG, core.RESOURCE_GROUP})
# What may be put, and is shown as long as the server has nothing of its own to say.
YIELDING_TYPES = frozenset({core.PATCH_SUMMARY, core.PATCH_COMPLIANCE, core.COMPLIANCE_ITEM})
DERIVED_TYPES = OWN_TYPES | YIELDING_TYPES
WITH_CONTEXT = frozenset({core.COMPLIANCE_ITEM})
WITH_SUB_TYPES = (core.COMPLIANCE_ITEM, core.COMPLIANCE_SUMMARY)
CONTEXT_KEYS = frozenset({"ComplianceType", "ExecutionId", "ExecutionType", "ExecutionTime"})


class InventoryError(PatchwrightError):
    """The root of this room's errors."""


class UnknownType(InventoryError):
    """No such inventory type, or none that this may be done with."""


class ItemError(InventoryError):
    """Something is wrong with the item of one type."""

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(message)
        self.type_name = type_name


class MalformedContent(ItemError):
    """Content that does not fit its type."""


class ContentMismatch(ItemError):
    """No content came, and what is kept is not what its hash names: send it whole."""

    def __init__(self, type_name: str) -> None:
        super().__init__(type_name, f"The content of {type_name} with that hash is not here: send it whole.")


class ItemTooLarge(ItemError):
    """One item is larger than one may be."""


class ContextNotAllowed(ItemError):
    """A context where its type takes none."""


class MalformedContext(InventoryError):
    """A context with other keys than it may have."""


class TotalTooLarge(InventoryError):
    """Items that are too large together, or a node that would have more than it may."""


class TooManyTypes(InventoryError):
    """The account has as many custom types as it may have."""


class TooManySubTypes(InventoryError):
    """One item speaks of more kinds of compliance than there may be."""


class UnsupportedVersion(InventoryError):
    """A schema version that the type does not have."""


class MalformedFilter(InventoryError):
    """A filter by something that there is not."""


class MalformedGroup(InventoryError):
    """A group that cannot be counted."""


class MalformedAggregator(InventoryError):
    """An aggregator that cannot be counted by."""


class UnknownResult(InventoryError):
    """Results of a type that there is not."""


class InvalidOption(InventoryError):
    """A type that is disabled already."""


class UnknownDeletion(InventoryError):
    """No deletion with this id."""


@dataclass(frozen=True)
class Given:
    """One item as it was put. *content* is None where only its hash came."""

    type_name: str
    version: str
    capture_time: str
    content_hash: str = ""
    content: Sequence[Row] | None = None
    context: Mapping[str, str] = field(default_factory=dict)


class Packed(NamedTuple):
    """Rows as they are stored: their digest, the bytes of the canonical form, and that form compressed."""

    digest: str
    size: int
    content: bytes


class Item(NamedTuple):
    """What a node reported last of one type. *size* is that of the rows' canonical form in bytes."""

    instance_id: str
    type_name: str
    version: str
    capture_time: str
    content_hash: str
    digest: str
    context: Mapping[str, str]
    size: int = 0


class CustomType(NamedTuple):
    """One version of a custom type, as its data made it."""

    type_name: str
    version: str
    attributes: tuple[str, ...]
    disabled: bool = False

    @property
    def schema(self) -> Schema:
        """As the standard types have it; every attribute is text."""
        title = self.type_name.removeprefix(CUSTOM_PREFIX)
        return Schema(self.type_name, self.version, title, tuple(map(Attribute, self.attributes)))


@dataclass(frozen=True)
class Deletion:
    """The items of a custom type that were deleted, how many of each version. *id* is empty for a rehearsal."""

    id: str
    type_name: str
    counts: Mapping[str, int]
    deleted_at: float


class Part(NamedTuple):
    """
    Rows that many nodes may share, under *digest*, each with what is this node's in *common*.

    *dated* is given where rows have an InstalledTime that only the node's own history knows: the node's id, and the moment
    at which they were seen (epoch seconds).
    """

    digest: str
    common: tuple[tuple[str, str], ...] = ()
    dated: tuple[str, float] | None = None


@dataclass(frozen=True)
class Reported:
    """What a node shows of one type: *parts* that are kept by content, or *rows* that the server made of what it knows."""

    type_name: str
    version: str
    capture_time: str = ""
    content_hash: str = ""
    parts: tuple[Part, ...] = ()
    rows: tuple[Mapping[str, str], ...] = ()

    @property
    def digest(self) -> str:
        """Another one whenever the rows of *parts* are others; empty where there are none."""
        if len(self.parts) == 1 and self.parts[0][1:] == ((), None):
            return self.parts[0].digest
        return f"parts1:{hashlib.sha256(repr(self.parts).encode()).hexdigest()}" if self.parts else ""


def pack(rows: Sequence[Row]) -> Packed:
    """*rows* as they are stored; takes a while for large ones."""
    body = core.canonical(rows)
    return Packed(f"{CONTENT_FORMAT}:{hashlib.sha256(body).hexdigest()}", len(body), zlib.compress(body))


def check(items: Sequence[Given], *, item_bytes: int, total_bytes: int) -> None:
    """
    Raise unless *items* could be put, whatever is there.

    Errors: UnknownType, UnsupportedVersion, MalformedContent, ContextNotAllowed, MalformedContext, TooManySubTypes,
    ItemTooLarge, TotalTooLarge.
    """
    seen: set[str] = set()
    total = 0
    for item in items:
        if item.type_name in seen:
            raise MalformedContent(item.type_name, f"{item.type_name} is there twice.")
        seen.add(item.type_name)
        _check_type(item)
        _check_context(item)
        total += _check_content(item, item_bytes)
    if total > total_bytes:
        msg = f"The items hold {total} bytes together; one call takes {total_bytes}."
        raise TotalTooLarge(msg)


def _check_type(item: Given) -> None:
    name = item.type_name
    schema = SCHEMAS.get(name)
    if schema is None and not (name.startswith(CUSTOM_PREFIX) and name != CUSTOM_PREFIX and name.isprintable()):
        msg = f"There is no inventory type {name!r}: it is one of AWS's, or begins with Custom: and a name."
        raise UnknownType(msg)
    if name in OWN_TYPES:
        msg = f"{name} is made of what the server knows of a node; it cannot be put."
        raise UnknownType(msg)
    # An agent that sends a hash alone may carry the version of another type (spec agent-protocol §10).
    if schema is not None and item.content is not None and item.version != schema.version:
        msg = f"{name} has the schema version {schema.version}, not {item.version}; see GetInventorySchema."
        raise UnsupportedVersion(msg)


def _check_context(item: Given) -> None:
    if not item.context:
        return
    if item.type_name not in WITH_CONTEXT:
        raise ContextNotAllowed(item.type_name, f"{item.type_name} takes no Context.")
    unknown = sorted(set(item.context) - CONTEXT_KEYS)
    if unknown:
        msg = f"A Context has no {unknown[0]!r}; it takes {', '.join(sorted(CONTEXT_KEYS))}."
        raise MalformedContext(msg)


def _check_content(item: Given, item_bytes: int) -> int:
    """The bytes of an item's content."""
    if item.content is None:
        if not item.content_hash:
            raise MalformedContent(item.type_name, f"{item.type_name} has neither Content nor ContentHash.")
        return 0
    schema = SCHEMAS.get(item.type_name)
    names = {name for row in item.content for name in row}
    if schema is not None:
        unknown = sorted(names.difference(schema.names))
        if unknown:
            raise MalformedContent(item.type_name, f"{item.type_name} has no attribute {unknown[0]!r}.")
    if item.type_name in WITH_SUB_TYPES:
        kinds = {row["ComplianceType"] for row in item.content if "ComplianceType" in row}
        if len(kinds) > MAX_SUB_TYPES:
            msg = f"{item.type_name} speaks of {len(kinds)} compliance types; there may be {MAX_SUB_TYPES}."
            raise TooManySubTypes(msg)
    size = len(core.canonical(item.content))
    if size > item_bytes:
        raise ItemTooLarge(item.type_name, f"{item.type_name} holds {size} bytes; one item takes {item_bytes}.")
    return size


def grown(present: CustomType | None, item: Given) -> CustomType:
    """
    The custom type of *item* once it has the item's attributes too. Raises MalformedContent.

    An attribute keeps the spelling it came with first: the same name in other letters is refused.
    """
    known = {name.lower(): name for name in (present.attributes if present else ())}
    for name in sorted({name for row in item.content or () for name in row}):
        spelt = known.setdefault(name.lower(), name)
        if spelt != name:
            raise MalformedContent(item.type_name, f"{item.type_name} has an attribute {spelt!r}, not {name!r}.")
    made = CustomType(item.type_name, item.version, tuple(known.values()))
    if not made.attributes:
        raise MalformedContent(item.type_name, f"Nothing is known of {item.type_name}, and the content says nothing.")
    if len(made.attributes) > core.MAX_ATTRIBUTES or sum(map(len, made.attributes)) > _MAX_SCHEMA_BYTES:
        raise MalformedContent(
            item.type_name, f"{item.type_name} would have more than {core.MAX_ATTRIBUTES} attributes, or 4 KB of names."
        )
    return made


def order_of(version: str) -> tuple[int, ...]:
    """What schema versions are ordered by."""
    return tuple(map(int, version.split(".")))


def version_of(type_name: str) -> str:
    """The schema version of one of AWS's types; 1.0 where a custom type has versions of its own."""
    schema = SCHEMAS.get(type_name)
    return schema.version if schema else "1.0"
