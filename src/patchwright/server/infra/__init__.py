# SPDX-License-Identifier: Apache-2.0
"""
Ground: database, migrations, leases, blobs, clock, identifiers.

The door. Importing it imports neither a PostgreSQL driver nor SQLAlchemy.
"""

from __future__ import annotations

from patchwright.server.infra.blobs import Blobs, DirectoryBlobs
from patchwright.server.infra.bucket_blobs import BucketBlobs
from patchwright.server.infra.bucket_owners import BucketOwners, OwnedBuckets
from patchwright.server.infra.buckets import (
    S3,
    Bucket,
    BucketRefused,
    Buckets,
    ObjectMissing,
    check_key,
    joined,
    open_buckets,
)
from patchwright.server.infra.clock import Clock, SystemClock, backoff, today
from patchwright.server.infra.content import Content, of_bytes
from patchwright.server.infra.counters import Counters
from patchwright.server.infra.database import Database, open_database
from patchwright.server.infra.errors import (
    BlobDamaged,
    BlobNotFound,
    BlobTooLarge,
    CheckViolation,
    ConstraintViolation,
    ForeignKeyViolation,
    InfraError,
    SchemaTooNew,
    StatementRefused,
    Unavailable,
    UniqueViolation,
    UnknownDatabase,
)
from patchwright.server.infra.identifiers import RequestIds, new_id, new_uuid, note, noting
from patchwright.server.infra.repeating import Job, repeat, repeating
from patchwright.server.infra.statement import Row, Statement, UnitOfWork, placeholders, sql, sql_each
from patchwright.server.infra.tokens import ClientToken, TokenReused, earlier_result, keep_result, once

__all__ = [
    "S3",
    "BlobDamaged",
    "BlobNotFound",
    "BlobTooLarge",
    "Blobs",
    "Bucket",
    "BucketBlobs",
    "BucketOwners",
    "BucketRefused",
    "Buckets",
    "CheckViolation",
    "ClientToken",
    "Clock",
    "ConstraintViolation",
    "Content",
    "Counters",
    "Database",
    "DirectoryBlobs",
    "ForeignKeyViolation",
    "InfraError",
    "Job",
    "ObjectMissing",
    "OwnedBuckets",
    "RequestIds",
    "Row",
    "SchemaTooNew",
    "Statement",
    "StatementRefused",
    "SystemClock",
    "TokenReused",
    "Unavailable",
    "UniqueViolation",
    "UnitOfWork",
    "UnknownDatabase",
    "backoff",
    "check_key",
    "earlier_result",
    "joined",
    "keep_result",
    "new_id",
    "new_uuid",
    "note",
    "noting",
    "of_bytes",
    "once",
    "open_buckets",
    "open_database",
    "placeholders",
    "repeat",
    "repeating",
    "sql",
    "sql_each",
    "today",
]
