# SPDX-License-Identifier: Apache-2.0
"""SQL of documents and their versions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from patchwright.server.accounts import Scope
from patchwright.server.documents.model import Attachment, Document, Parameter, Reading, Share, Version, arn
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql

_HEAD = (
    "d.account, d.name, d.type, d.default_version, d.last_version, d.requires,"
    " (SELECT MAX(n.version) FROM document_version n"
    " WHERE n.account = d.account AND n.region = d.region AND n.name = d.name)"
)
_VERSION = (
    "v.version, v.format, v.hash, v.schema_version, v.description, v.parameters, v.platform_types, v.created_at,"
    " v.version_name, v.display_name, v.target_type, v.attachments, v.author, v.review_status"
)
_SHOWN = _VERSION.replace("v.parameters", "'[]'").replace("v.attachments", "'[]'")  # what listings show of a version
_WIDTH = 7  # columns of _HEAD


class Narrowed(NamedTuple):
    """What the database narrows a listing to: names by how they begin, names, types. Empty: it does not."""

    prefixes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


def put(scope: Scope, document: Document, *, now: float) -> UnitOfWork[bool]:
    """Store a new document; false if there is one of its name."""
    rows = yield sql(
        "INSERT INTO document (account, region, name, type, default_version, last_version, requires, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (account, region, name) DO NOTHING RETURNING name",
        *scope,
        document.name,
        document.type,
        document.default_version,
        document.last_version,
        json.dumps(document.requires),
        now,
    )
    return bool(rows)


def put_version(scope: Scope, name: str, version: Version) -> UnitOfWork[None]:
    """Store a new version, which is the document's last from now on."""
    reading = version.reading
    yield sql(
        "INSERT INTO document_version (account, region, name, version, version_name, display_name, target_type, format,"
        " content, hash, schema_version, description, parameters, platform_types, attachments, author, review_status,"
        f" created_at) VALUES ({placeholders(1, 18)})",
        *scope,
        name,
        version.number,
        version.version_name,
        version.display_name,
        version.target_type,
        version.format,
        version.content,
        version.hash,
        reading.schema_version,
        reading.description,
        json.dumps(reading.parameters),
        ",".join(reading.platform_types),
        json.dumps(version.attachments),
        version.author,
        version.review_status,
        version.created_at,
    )
    yield sql(
        "UPDATE document SET last_version = $4 WHERE account = $1 AND region = $2 AND name = $3",
        *scope,
        name,
        version.number,
    )


def set_default(scope: Scope, name: str, number: int) -> UnitOfWork[None]:
    """Make a version the default."""
    yield sql(
        "UPDATE document SET default_version = $4 WHERE account = $1 AND region = $2 AND name = $3",
        *scope,
        name,
        number,
    )


def find(scope: Scope, name: str) -> UnitOfWork[Document | None]:
    """The account's own document, or None."""
    rows = yield sql(
        f"SELECT {_HEAD} FROM document d WHERE d.account = $1 AND d.region = $2 AND d.name = $3", *scope, name
    )
    return _document(scope, rows[0]) if rows else None


def count(scope: Scope) -> UnitOfWork[int]:
    """How many documents the account has."""
    rows = yield sql("SELECT COUNT(*) FROM document WHERE account = $1 AND region = $2", *scope)
    return int(rows[0][0])


def version(scope: Scope, name: str, number: int) -> UnitOfWork[Version | None]:
    """A version with its content, or None."""
    rows = yield sql(
        f"SELECT {_VERSION}, v.content FROM document_version v"
        " WHERE v.account = $1 AND v.region = $2 AND v.name = $3 AND v.version = $4",
        *scope,
        name,
        number,
    )
    return _version(rows[0], content=rows[0][-1]) if rows else None


def number_of(scope: Scope, name: str, version_name: str) -> UnitOfWork[int | None]:
    """The number of the version that has this name, or None."""
    rows = yield sql(
        "SELECT version FROM document_version"
        " WHERE account = $1 AND region = $2 AND name = $3 AND version_name = $4 AND version_name <> ''",
        *scope,
        name,
        version_name,
    )
    return rows[0][0] if rows else None


def count_versions(scope: Scope, name: str) -> UnitOfWork[int]:
    """How many versions the document has."""
    rows = yield sql(
        "SELECT COUNT(*) FROM document_version WHERE account = $1 AND region = $2 AND name = $3", *scope, name
    )
    return int(rows[0][0])


def versions(
    scope: Scope, name: str, *, only: Sequence[int] | None, before: int, limit: int
) -> UnitOfWork[list[Version]]:
    """Up to *limit* versions below the number *before*, newest first, without their contents; *only* these if given."""
    narrowed = f" AND v.version IN ({placeholders(6, len(only))})" if only else ""
    rows = yield sql(
        f"SELECT {_SHOWN} FROM document_version v WHERE v.account = $1 AND v.region = $2 AND v.name = $3"
        f" AND v.version < $4{narrowed} ORDER BY v.version DESC LIMIT $5",
        *scope,
        name,
        before,
        limit,
        *(only or ()),
    )
    return [_version(row) for row in rows]


def delete_version(scope: Scope, name: str, number: int) -> UnitOfWork[None]:
    """Remove one version and what was said about it."""
    yield sql(
        "DELETE FROM document_review WHERE account = $1 AND region = $2 AND name = $3 AND version = $4",
        *scope,
        name,
        number,
    )
    yield sql(
        "DELETE FROM document_version WHERE account = $1 AND region = $2 AND name = $3 AND version = $4",
        *scope,
        name,
        number,
    )


def delete(scope: Scope, name: str) -> UnitOfWork[None]:
    """Remove a document with its versions and what was said about them."""
    yield sql("DELETE FROM document_review WHERE account = $1 AND region = $2 AND name = $3", *scope, name)
    yield sql("DELETE FROM document_version WHERE account = $1 AND region = $2 AND name = $3", *scope, name)
    yield sql("DELETE FROM document WHERE account = $1 AND region = $2 AND name = $3", *scope, name)


# ------------------------------------------------------------------------------------------------------------ listings


def own(scope: Scope, narrowed: Narrowed, *, after: str, limit: int) -> UnitOfWork[list[tuple[Document, Version]]]:
    """Up to *limit* of the account's documents after the name *after*, with their default versions, without contents."""
    prefixes, names, types = narrowed
    start = 5
    begins = " OR ".join(
        f"SUBSTR(d.name, 1, LENGTH(CAST(${start + number} AS TEXT))) = ${start + number}"
        for number in range(len(prefixes))
    )
    beginning = f" AND ({begins})" if prefixes else ""
    start += len(prefixes)
    among = f" AND d.name IN ({placeholders(start, len(names))})" if names else ""
    start += len(names)
    of_type = f" AND d.type IN ({placeholders(start, len(types))})" if types else ""
    rows = yield sql(
        f"SELECT {_HEAD}, {_SHOWN} FROM document d JOIN document_version v ON v.account = d.account"
        " AND v.region = d.region AND v.name = d.name AND v.version = d.default_version"
        f" WHERE d.account = $1 AND d.region = $2 AND d.name > $3{beginning}{among}{of_type} ORDER BY d.name LIMIT $4",
        *scope,
        after,
        limit,
        *prefixes,
        *names,
        *types,
    )
    return [(_document(scope, row), _version(row[_WIDTH:])) for row in rows]


def shared_with(
    scope: Scope, recipient: str, *, after: tuple[str, str], limit: int
) -> UnitOfWork[list[tuple[Document, Version]]]:
    """
    Up to *limit* documents of the region that are shared with *recipient*, as *scope* sees them, after (account, name).

    With each the version that is shared: the latest where only that is, else the default. Without contents.
    """
    rows = yield sql(
        f"SELECT {_HEAD}, {_SHOWN} FROM document_share s"
        " JOIN document d ON d.account = s.account AND d.region = s.region AND d.name = s.name"
        " JOIN document_version v ON v.account = d.account AND v.region = d.region AND v.name = d.name"
        " AND v.version = CASE WHEN s.shared_version = '$LATEST' THEN (SELECT MAX(n.version) FROM document_version n"
        " WHERE n.account = d.account AND n.region = d.region AND n.name = d.name) ELSE d.default_version END"
        " WHERE s.region = $1 AND s.recipient = $2 AND (s.account > $3 OR (s.account = $3 AND s.name > $4))"
        " ORDER BY s.account, s.name LIMIT $5",
        scope.region,
        recipient,
        *after,
        limit,
    )
    return [(_document(scope, row), _version(row[_WIDTH:])) for row in rows]


# -------------------------------------------------------------------------------------------------------------- shares


def put_share(scope: Scope, name: str, share: Share, *, now: float) -> UnitOfWork[None]:
    """Share a document, or share another of its versions."""
    yield sql(
        "INSERT INTO document_share (account, region, name, recipient, shared_version, shared_at)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, region, name, recipient)"
        " DO UPDATE SET shared_version = excluded.shared_version",
        *scope,
        name,
        *share,
        now,
    )


def delete_shares(scope: Scope, name: str, recipients: Sequence[str]) -> UnitOfWork[None]:
    """Share a document with these no longer; those with whom it is not shared are passed over."""
    if recipients:
        yield sql(
            "DELETE FROM document_share WHERE account = $1 AND region = $2 AND name = $3"
            f" AND recipient IN ({placeholders(4, len(recipients))})",
            *scope,
            name,
            *recipients,
        )


def shares(scope: Scope, name: str, *, after: str, limit: int) -> UnitOfWork[list[Share]]:
    """Up to *limit* of those with whom a document is shared, in their order, after *after*."""
    rows = yield sql(
        "SELECT recipient, shared_version FROM document_share"
        " WHERE account = $1 AND region = $2 AND name = $3 AND recipient > $4 ORDER BY recipient LIMIT $5",
        *scope,
        name,
        after,
        limit,
    )
    return [Share(*row) for row in rows]


def shared_versions(scope: Scope, name: str, recipients: Sequence[str]) -> UnitOfWork[list[str]]:
    """Which versions of a document are shared with any of *recipients*; empty: none is."""
    rows = yield sql(
        "SELECT shared_version FROM document_share WHERE account = $1 AND region = $2 AND name = $3"
        f" AND recipient IN ({placeholders(4, len(recipients))})",
        *scope,
        name,
        *recipients,
    )
    return [row[0] for row in rows]


def count_shares(scope: Scope, name: str) -> UnitOfWork[int]:
    """With how many a document is shared."""
    rows = yield sql(
        "SELECT COUNT(*) FROM document_share WHERE account = $1 AND region = $2 AND name = $3", *scope, name
    )
    return int(rows[0][0])


def count_shared_with(scope: Scope, recipient: str) -> UnitOfWork[int]:
    """How many of the account's documents are shared with *recipient*."""
    rows = yield sql(
        "SELECT COUNT(*) FROM document_share WHERE account = $1 AND region = $2 AND recipient = $3", *scope, recipient
    )
    return int(rows[0][0])


def _document(viewer: Scope, row: Row) -> Document:
    account, name, kind, default_version, last_version, requires, latest = row[:_WIDTH]
    own = account == viewer.account
    return Document(
        owner=account,
        name=name,
        reference=name if own else arn(Scope(account, viewer.region), name),
        type=kind,
        default_version=default_version,
        latest_version=latest,
        last_version=last_version,
        requires=tuple(json.loads(requires)),
    )


def _version(row: Row, *, content: str = "") -> Version:
    number, form, digest, schema, description, parameters, platforms, created_at = row[:8]
    version_name, display_name, target_type, attachments, author, review_status = row[8:14]
    return Version(
        number=number,
        format=form,
        content=content,
        hash=digest,
        reading=Reading(
            schema,
            description,
            tuple(Parameter(*entry) for entry in json.loads(parameters)),
            tuple(platforms.split(",")) if platforms else (),
        ),
        created_at=created_at,
        version_name=version_name,
        display_name=display_name,
        target_type=target_type,
        attachments=tuple(Attachment(*entry) for entry in json.loads(attachments)),
        author=author,
        review_status=review_status,
    )
