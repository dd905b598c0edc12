# SPDX-License-Identifier: Apache-2.0
"""
Documents: what commands, calendars and configurations are written in; their versions, sharing and reviews.

The door. `Service` has the use cases that stand alone; `require` and `select` are units of work for other rooms, and
`values` reads what a version's content says.
"""

from __future__ import annotations

from patchwright.server.documents import listing
from patchwright.server.documents.kinds import COMMAND, values
from patchwright.server.documents.listing import Cursor, Wanted
from patchwright.server.documents.lookup import require, select
from patchwright.server.documents.model import (
    ALL,
    AMAZON,
    DEFAULT,
    EVERYBODY,
    LATEST,
    LIMIT_BYTES,
    Attachment,
    Document,
    DocumentsError,
    Draft,
    Found,
    InvalidContent,
    InvalidSchemaVersion,
    NameTaken,
    Parameter,
    Reading,
    ReadOnlyDocument,
    RefusedOperation,
    ReservedName,
    Review,
    SameContent,
    Share,
    TooLarge,
    TooManyDocuments,
    TooManyShares,
    TooManyVersions,
    UnknownDocument,
    UnknownVersion,
    Version,
    VersionNameTaken,
)
from patchwright.server.documents.service import Service, converted
from patchwright.server.documents.text import read as read_text

__all__ = [
    "ALL",
    "AMAZON",
    "COMMAND",
    "DEFAULT",
    "EVERYBODY",
    "LATEST",
    "LIMIT_BYTES",
    "Attachment",
    "Cursor",
    "Document",
    "DocumentsError",
    "Draft",
    "Found",
    "InvalidContent",
    "InvalidSchemaVersion",
    "NameTaken",
    "Parameter",
    "ReadOnlyDocument",
    "Reading",
    "RefusedOperation",
    "ReservedName",
    "Review",
    "SameContent",
    "Service",
    "Share",
    "TooLarge",
    "TooManyDocuments",
    "TooManyShares",
    "TooManyVersions",
    "UnknownDocument",
    "UnknownVersion",
    "Version",
    "VersionNameTaken",
    "Wanted",
    "converted",
    "listing",
    "read_text",
    "require",
    "select",
    "values",
]
