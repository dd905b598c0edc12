# SPDX-License-Identifier: Apache-2.0
"""
Finding documents: the product's, the account's own, those that others share. Units of work, for this room and others.
"""

from __future__ import annotations

from dataclasses import replace

from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.documents import owned, review_store, store
from patchwright.server.documents.model import (
    AMAZON,
    APPROVED,
    DEFAULT,
    EVERYBODY,
    LATEST,
    PENDING,
    Document,
    Found,
    ReadOnlyDocument,
    UnknownDocument,
    UnknownVersion,
    arn,
    narrowed,
    place,
    unknown,
)
from patchwright.server.infra import UnitOfWork

_REVIEWS = 10  # that a description shows
_LONGEST = 9  # digits of a version's number


def find(scope: Scope, reference: str) -> UnitOfWork[Document]:
    """The document that the account calls *reference*, as far as the account may see it. Errors: UnknownDocument."""
    account, name = place(scope, reference)
    if name in owned.NAMES and (not account or account == scope.account):
        return owned.found(name).document
    found = (yield from store.find(Scope(account, scope.region), name)) if account else None
    if found is None:
        raise UnknownDocument(unknown(reference))
    if account == scope.account:
        return found
    shared = yield from store.shared_versions(Scope(account, scope.region), name, (scope.account, EVERYBODY))
    if not shared:
        raise UnknownDocument(unknown(reference))
    seen = narrowed(found, frozenset(shared))
    return replace(seen, reference=arn(Scope(account, scope.region), name))


def require(scope: Scope, reference: str) -> UnitOfWork[Document]:
    """The account's own document of this name, to be changed. Errors: UnknownDocument, ReadOnlyDocument."""
    found = yield from find(scope, reference)
    if found.owner == AMAZON:
        msg = f"{found.name} comes with the product: create a document of your own and change that."
        raise ReadOnlyDocument(msg)
    if found.owner != scope.account:
        raise UnknownDocument(unknown(reference))
    return found


def select(scope: Scope, reference: str, version: str = "", version_name: str = "") -> UnitOfWork[Found]:
    """
    A version of a document, with its content.

    Args:
        reference: The document's name or ARN.
        version: `$DEFAULT`, `$LATEST`, a number, or empty.
        version_name: The version's name, or empty. With neither it is the default version.

    Raises:
        UnknownDocument, UnknownVersion: There is none that the account may see.
    """
    document = yield from find(scope, reference)
    if document.owner == AMAZON:
        if version not in {"", DEFAULT, LATEST, "1"} or version_name:
            raise UnknownVersion(_no_version(document, version or version_name))
        return owned.found(document.name)
    number = yield from number_of(scope, document, version, version_name)
    found = yield from store.version(_owner(scope, document), document.name, number)
    if found is None:
        raise UnknownVersion(_no_version(document, str(number)))
    return Found(document, found)


def number_of(scope: Scope, document: Document, version: str, version_name: str) -> UnitOfWork[int]:
    """The number that *version* and *version_name* mean; they must mean the same. Errors: UnknownVersion."""
    number = _number(document, version) if version or not version_name else None
    if version_name:
        named = yield from store.number_of(_owner(scope, document), document.name, version_name)
        if named is None or number not in {None, named}:
            raise UnknownVersion(_no_version(document, version_name))
        number = named
    if number is None or not document.shows(number):
        raise UnknownVersion(_no_version(document, version or version_name))
    return number


def described(scope: Scope, found: Found) -> UnitOfWork[Found]:
    """With what a full description shows beside a version: tags and reviews, of the account's own documents only."""
    document, version = found.document, found.version
    if document.owner != scope.account:
        return found
    return Found(
        document,
        version,
        (yield from tags.of(scope, tags.DOCUMENT, document.name)),
        tuple((yield from review_store.latest(scope, document.name, version.number, limit=_REVIEWS))),
        (yield from review_store.standing(scope, document.name, APPROVED)) or 0,
        (yield from review_store.standing(scope, document.name, PENDING)) or 0,
    )


def _owner(scope: Scope, document: Document) -> Scope:
    return Scope(document.owner, scope.region)


def _number(document: Document, version: str) -> int | None:
    if version in {"", DEFAULT}:
        return document.default_version
    if version == LATEST:
        return document.latest_version
    return int(version) if version.isascii() and version.isdigit() and len(version) <= _LONGEST else None


def _no_version(document: Document, version: str) -> str:
    return f"Document {document.reference} has no version {version[:128]}."
