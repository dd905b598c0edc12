# SPDX-License-Identifier: Apache-2.0
"""Documents, their versions, who may see them, and what goes wrong with them (spec §6.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import Scope

AMAZON = "Amazon"  # the owner of the documents that come with the product, as the API calls it
DEFAULT, LATEST, ALL = "$DEFAULT", "$LATEST", "$ALL"
EVERYBODY = "all"  # the recipient of a public document
NOT_REVIEWED, PENDING, APPROVED, REJECTED = "NOT_REVIEWED", "PENDING", "APPROVED", "REJECTED"
LIMIT_BYTES = 64 * 1024  # of a document's content (spec §1.20)

_RESERVED = re.compile(r"(?i)(aws|amazon|amzn)")  # the longer ones of spec §6.1 begin with these
_ARN = re.compile(r"arn:aws[a-z-]*:ssm:([a-z0-9-]+):([0-9]{12}|):document/([a-zA-Z0-9_.-]{3,128})\Z")
_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,128}\Z")


class DocumentsError(PatchwrightError):
    """The root of this room's errors."""


class UnknownDocument(DocumentsError):
    """There is no document of this name that the caller may see."""


class UnknownVersion(DocumentsError):
    """The document has no such version that the caller may see, or not the one that is wanted here."""


class InvalidContent(DocumentsError):
    """Content that cannot be read, or is no document of its type."""


class InvalidSchemaVersion(DocumentsError):
    """A schema version that documents of this type do not have."""


class TooLarge(DocumentsError):
    """Content beyond `LIMIT_BYTES`."""


class ReservedName(DocumentsError):
    """A name that begins as only the product's own documents do."""


class NameTaken(DocumentsError):
    """There is a document of this name already."""


class VersionNameTaken(DocumentsError):
    """Another version of the document has this name."""


class SameContent(DocumentsError):
    """A new version that says what the latest says."""


class TooManyDocuments(DocumentsError):
    """As many documents as there may be."""


class TooManyVersions(DocumentsError):
    """As many versions as a document may have."""


class TooManyShares(DocumentsError):
    """Beyond the accounts that a document may be shared with, or the public documents; or all accounts and some of them."""


class RefusedOperation(DocumentsError):
    """What cannot be done to the document as it stands."""


class ReadOnlyDocument(RefusedOperation):
    """A change of a document that comes with the product."""


class Parameter(NamedTuple):
    """A parameter as the API lists it. *default* is its text, None where the caller must give a value."""

    name: str
    type: str
    description: str
    default: str | None


@dataclass(frozen=True)
class Reading:
    """What a content says of itself. *files*: what the manifest of a package names."""

    schema_version: str = ""
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    platform_types: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class Attachment(NamedTuple):
    """A file that belongs to a version: its name (empty where only its place was given), and where it was said to be."""

    name: str
    key: str
    value: str


@dataclass(frozen=True)
class Draft:
    """What a caller gives for a new version. None: as the version before has it."""

    content: str
    format: str = "JSON"
    version_name: str = ""
    display_name: str | None = None
    target_type: str | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True)
class Version:
    """A version of a document. *content* is the text as given; listings leave it out."""

    number: int
    format: str
    content: str
    hash: str
    reading: Reading
    created_at: float
    version_name: str = ""
    display_name: str = ""
    target_type: str = ""
    attachments: tuple[Attachment, ...] = ()
    author: str = ""
    review_status: str = NOT_REVIEWED


@dataclass(frozen=True)
class Document:
    """
    A document as one caller sees it.

    *owner* is an account or `AMAZON`; *reference* what the caller calls it: the name, or for another account's the ARN.
    *visible* are the versions that the caller may see, None for all.
    """

    owner: str
    name: str
    reference: str
    type: str
    default_version: int
    latest_version: int
    last_version: int
    requires: tuple[Mapping[str, Any], ...] = ()
    visible: frozenset[int] | None = None

    def shows(self, number: int) -> bool:
        """Whether the caller may see the version *number*, if there is one."""
        return self.visible is None or number in self.visible


@dataclass(frozen=True)
class Review:
    """What somebody did about a version's review."""

    number: int
    status: str
    comment: str
    reviewer: str
    created_at: float
    updated_at: float


@dataclass(frozen=True)
class Found:
    """A version of a document, with what a full description shows beside it."""

    document: Document
    version: Version
    tags: Mapping[str, str] = field(default_factory=dict)
    reviews: tuple[Review, ...] = ()
    approved_version: int = 0
    pending_version: int = 0


class Share(NamedTuple):
    """An account (or `EVERYBODY`) that a document is shared with, and which of its versions."""

    recipient: str
    shared_version: str


def check_name(name: str) -> None:
    """Raise ReservedName unless an account may have a document of this name."""
    if _RESERVED.match(name):
        msg = f"The name {name} is reserved: names that begin with aws, amazon or amzn are for documents that come with it."
        raise ReservedName(msg)


def place(scope: Scope, reference: str) -> tuple[str, str]:
    """
    Owner (empty: the product) and name of what a caller calls *reference*: a name or an ARN. A bare name may be the
    product's as well.

    Errors: UnknownDocument where it is neither, or of another region.
    """
    if _NAME.match(reference):
        return scope.account, reference
    match = _ARN.match(reference)
    if match is None or match[1] != scope.region:
        raise UnknownDocument(unknown(reference))
    return match[2], match[3]


def arn(scope: Scope, name: str) -> str:
    """The ARN of an account's document."""
    return f"arn:aws:ssm:{scope.region}:{scope.account}:document/{name}"


def unknown(reference: str) -> str:
    """What a caller is told of a document that is not there."""
    return f"Document with name {reference} does not exist."


def narrowed(document: Document, shares: Set[str]) -> Document:
    """The document as somebody sees it with whom these of its versions are shared: `ALL`, `DEFAULT`, `LATEST`."""
    if ALL in shares:
        return document
    seen = set()
    if DEFAULT in shares:
        seen.add(document.default_version)
    if LATEST in shares:
        seen.add(document.latest_version)
    default = document.default_version if document.default_version in seen else max(seen)
    return replace(document, visible=frozenset(seen), default_version=default, latest_version=max(seen))
