# SPDX-License-Identifier: Apache-2.0
"""Units of work that make, change and remove documents (spec §6.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.documents import lookup, store
from patchwright.server.documents.model import (
    AMAZON,
    DEFAULT,
    LATEST,
    Attachment,
    Document,
    Draft,
    Found,
    InvalidContent,
    NameTaken,
    Reading,
    RefusedOperation,
    SameContent,
    TooManyDocuments,
    TooManyVersions,
    UnknownDocument,
    UnknownVersion,
    Version,
    VersionNameTaken,
    unknown,
)
from patchwright.server.infra import UnitOfWork

_NEEDS_FORCE = "ApplicationConfigurationSchema"


def create(
    scope: Scope,
    document: Document,
    draft: Draft,
    reading: Reading,
    *,
    author: str,
    own_tags: Mapping[str, str],
    limit: int,
    now: float,
) -> UnitOfWork[Found]:
    """A new document with its first version. Errors: NameTaken, TooManyDocuments, InvalidContent, InvalidTag, TooManyTags."""
    if (yield from store.find(scope, document.name)) is not None:
        msg = f"Document with name {document.name} already exists."
        raise NameTaken(msg)
    if (yield from store.count(scope)) >= limit:
        msg = f"There are {limit} documents in this account and region, which is all there may be: delete one."
        raise TooManyDocuments(msg)
    attachments = yield from _attachments(scope, draft, reading)
    version = _version(1, draft, reading, attachments, author=author, now=now)
    yield from store.put(scope, document, now=now)
    yield from store.put_version(scope, document.name, version)
    if own_tags:
        yield from tags.add(scope, tags.DOCUMENT, document.name, own_tags)
    return (yield from lookup.described(scope, Found(document, version)))


def update(
    scope: Scope,
    name: str,
    draft: Draft,
    reading: Reading,
    *,
    kind: str,
    based_on: str,
    author: str,
    limit: int,
    now: float,
) -> UnitOfWork[Found]:
    """
    A new version, which is not the default yet. *kind* is the type by which the content was examined.

    Errors: UnknownDocument, ReadOnlyDocument, UnknownVersion, SameContent, VersionNameTaken, TooManyVersions, InvalidContent.
    """
    document = yield from lookup.require(scope, name)
    if document.type != kind:  # deleted meanwhile, and made anew as something else
        raise UnknownDocument(unknown(name))
    _check_base(document, based_on)
    latest = yield from store.version(scope, name, document.latest_version)
    if latest is None:
        raise UnknownDocument(unknown(name))
    if latest.content == draft.content and latest.format == draft.format:
        msg = f"The content is that of version {latest.number}, the latest of {name}: change it and try again."
        raise SameContent(msg)
    if draft.version_name and (yield from store.number_of(scope, name, draft.version_name)) is not None:
        msg = f"Another version of {name} has the name {draft.version_name}."
        raise VersionNameTaken(msg)
    if (yield from store.count_versions(scope, name)) >= limit:
        msg = f"{name} has {limit} versions, which is all it may have: delete one."
        raise TooManyVersions(msg)
    attachments = yield from _attachments(scope, draft, reading)
    number = document.last_version + 1
    version = _version(number, draft, reading, attachments, author=author, now=now, former=latest)
    yield from store.put_version(scope, name, version)
    changed = yield from lookup.require(scope, name)
    return (yield from lookup.described(scope, Found(changed, version)))


def set_default(scope: Scope, name: str, version: str) -> UnitOfWork[Found]:
    """Make a version the default. Errors: UnknownDocument, ReadOnlyDocument, UnknownVersion."""
    document = yield from lookup.require(scope, name)
    found = yield from lookup.select(scope, name, version)
    yield from store.set_default(scope, name, found.version.number)
    return Found(document, found.version)


def delete(scope: Scope, name: str, version: str, version_name: str, *, force: bool) -> UnitOfWork[None]:
    """Remove a document, or one version of it. Errors: UnknownDocument, UnknownVersion, RefusedOperation."""
    document = yield from lookup.require(scope, name)
    if version or version_name:
        number = yield from lookup.number_of(scope, document, version, version_name)
        if (yield from store.version(scope, name, number)) is None:
            msg = f"Document {name} has no version {number}."
            raise UnknownVersion(msg)
        if number == document.default_version:
            msg = f"Default version of the document can't be deleted: make another the default of {name} first."
            raise RefusedOperation(msg)
        yield from store.delete_version(scope, name, number)
        return
    if (yield from store.count_shares(scope, name)):
        msg = "Must unshare document first before delete."
        raise RefusedOperation(msg)
    if document.type == _NEEDS_FORCE and not force:
        msg = f"A document of type {_NEEDS_FORCE} is deleted with Force only: configurations may depend on it."
        raise RefusedOperation(msg)
    yield from store.delete(scope, name)
    yield from tags.forget(scope, tags.DOCUMENT, name)


def _check_base(document: Document, based_on: str) -> None:
    """A new version follows the latest: whoever names another has not seen it."""
    named = {LATEST: document.latest_version, DEFAULT: document.default_version}
    if based_on and str(named.get(based_on, based_on)) != str(document.latest_version):
        msg = f"Only the latest version of {document.name} can be updated, which is {document.latest_version}."
        raise UnknownVersion(msg)


def _version(
    number: int,
    draft: Draft,
    reading: Reading,
    attachments: tuple[Attachment, ...],
    *,
    author: str,
    now: float,
    former: Version | None = None,
) -> Version:
    display_name, target_type = draft.display_name, draft.target_type
    if former is not None:
        display_name = former.display_name if display_name is None else display_name
        target_type = former.target_type if target_type is None else target_type
    return Version(
        number=number,
        format=draft.format,
        content=draft.content,
        hash=hashlib.sha256(draft.content.encode()).hexdigest(),
        reading=reading,
        created_at=now,
        version_name=draft.version_name,
        display_name=display_name or "",
        target_type=target_type or "",
        attachments=attachments,
        author=author,
    )


def _attachments(scope: Scope, draft: Draft, reading: Reading) -> UnitOfWork[tuple[Attachment, ...]]:
    """The attachments by name: as given, as the manifest of a package names them, or as another document has them."""
    found: list[Attachment] = []
    for given in draft.attachments:
        if given.key == "AttachmentReference":
            found.append((yield from _referred(scope, given)))
        elif not given.value.startswith(("s3://", "https://")):
            msg = f"The attachment {given.value[:80]!r} is no place in a bucket, such as s3://bucket/file."
            raise InvalidContent(msg)
        elif given.key == "SourceUrl" and reading.files:
            found += [Attachment(name, given.key, given.value) for name in reading.files]
        else:
            name = given.name or (given.value.rpartition("/")[2] if given.key == "S3FileUrl" else "")
            found.append(Attachment(name, given.key, given.value))
    _check_names(found)
    return tuple(found)


def _referred(scope: Scope, given: Attachment) -> UnitOfWork[Attachment]:
    """What `DOCUMENT/VERSION/FILE` leads to; the document may be given by its ARN."""
    path, _, file = given.value.rpartition("/")
    reference, _, version = path.rpartition("/")
    msg = f"The attachment {given.value[:80]!r} leads to no file of a document: it is DOCUMENT/VERSION/FILE."
    try:
        found = yield from lookup.select(scope, reference, version or "none")
    except (UnknownDocument, UnknownVersion):
        raise InvalidContent(msg) from None
    if found.document.owner == AMAZON or file not in {one.name for one in found.version.attachments}:
        raise InvalidContent(msg)
    return Attachment(given.name or file, given.key, given.value)


def _check_names(attachments: Sequence[Attachment]) -> None:
    names: list[Any] = [one.name for one in attachments if one.name]
    if len(set(names)) != len(names):
        msg = "Two attachments have the same name."
        raise InvalidContent(msg)
