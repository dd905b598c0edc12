# SPDX-License-Identifier: Apache-2.0
"""
The errors of the ground.

    PatchwrightError
    └── InfraError                     what keeps our data could not do what was asked
        ├── Unavailable                it cannot be reached or written now; asking again later may work
        ├── SchemaTooNew               the database was written by a newer Patchwright
        ├── UnknownDatabase            a database URL that names no engine
        ├── StatementRefused           the engine does not take this statement: a mistake of ours
        │   └── ConstraintViolation    the rows would break a rule the schema holds
        │       ├── UniqueViolation        the key is taken
        │       ├── ForeignKeyViolation    the row refers to nothing, or is referred to
        │       └── CheckViolation         a value is missing or outside what its column allows
        ├── BlobNotFound               no blob has this digest
        ├── BlobTooLarge               more bytes than one blob may have
        └── BlobDamaged                the stored bytes are no longer what their digest names
"""

from __future__ import annotations

from patchwright.core.errors import PatchwrightError


class InfraError(PatchwrightError):
    """What keeps our data could not do what was asked."""


class Unavailable(InfraError):
    """
    The database or blob store cannot be reached or written now: disk full, connection lost, shutting down.

    Nothing half written remains. When the connection was lost during a commit, the unit of work may have been kept;
    the message says so.
    """


class SchemaTooNew(InfraError):
    """The database was written by a newer Patchwright."""

    def __init__(self, stored: str, newest_known: str) -> None:
        super().__init__(
            f"the database has schema {stored!r}, which this version does not know (its newest is {newest_known!r}): "
            "start the newer version, or restore the backup made before the upgrade"
        )
        self.stored = stored
        self.newest_known = newest_known


class UnknownDatabase(InfraError):
    """A database URL that names no engine."""


class StatementRefused(InfraError):
    """The engine does not take this statement or its parameters: a mistake of ours, never of a user."""


class ConstraintViolation(StatementRefused):
    """
    The rows would break a rule the schema holds.

    `constraint` is its name in `tables.py`, the same on both engines; None where the engine does not tell (SQLite
    does not name foreign keys, and neither names a NOT NULL).
    """

    def __init__(self, message: str, constraint: str | None) -> None:
        super().__init__(message)
        self.constraint = constraint


class UniqueViolation(ConstraintViolation):
    """The key is taken. `constraint` names the primary key, unique constraint or unique index."""


class ForeignKeyViolation(ConstraintViolation):
    """The row refers to nothing, or rows still refer to it."""


class CheckViolation(ConstraintViolation):
    """A value is missing or outside what its column allows."""


class BlobNotFound(InfraError):
    """No blob has this digest."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"no blob has the digest {digest}")
        self.digest = digest


class BlobTooLarge(InfraError):
    """More bytes than one blob may have."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} bytes are more than the {limit} one blob may have")
        self.size = size
        self.limit = limit


class BlobDamaged(InfraError):
    """The stored bytes are no longer what their digest names."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"the bytes stored as {digest} have another digest")
        self.digest = digest
