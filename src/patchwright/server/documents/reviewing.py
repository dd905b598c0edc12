# SPDX-License-Identifier: Apache-2.0
"""Units of work of reviews: a version is sent for review, then approved or rejected (UpdateDocumentMetadata)."""

from __future__ import annotations

from dataclasses import replace

from patchwright.server.accounts import Scope
from patchwright.server.documents import lookup, review_store
from patchwright.server.documents.model import (
    APPROVED,
    PENDING,
    REJECTED,
    Found,
    RefusedOperation,
    Review,
    Version,
)
from patchwright.server.infra import UnitOfWork

SEND, UPDATE = "SendForReview", "UpdateReview"
_ENDS = {"Approve": APPROVED, "Reject": REJECTED}


def review(
    scope: Scope, name: str, version: str, *, action: str, comment: str, reviewer: str, now: float
) -> UnitOfWork[None]:
    """
    Take one step of a review. One version at most is under review, one at most approved.

    Errors: UnknownDocument, UnknownVersion, ReadOnlyDocument, RefusedOperation.
    """
    yield from lookup.require(scope, name)
    found = (yield from lookup.select(scope, name, version)).version
    said = yield from review_store.latest(scope, name, found.number)
    if action == UPDATE:
        yield from _reword(scope, name, found, said, comment=comment, reviewer=reviewer, now=now)
        return
    status = _ENDS.get(action, PENDING)
    if action == SEND:
        yield from _check_free(scope, name, found)
    else:
        _check_pending(found)
    if status == APPROVED:
        former = yield from review_store.standing(scope, name, APPROVED)
        if former is not None:
            yield from review_store.set_status(scope, name, former, REJECTED)
    number = said[0].number + 1 if said else 1
    yield from review_store.put(scope, name, found.number, Review(number, status, comment, reviewer, now, now))
    yield from review_store.set_status(scope, name, found.number, status)


def history(
    scope: Scope, name: str, version: str, *, before: int, limit: int
) -> UnitOfWork[tuple[Found, list[Review]]]:
    """The version, and up to *limit* of its reviews below the number *before*, newest first."""
    yield from lookup.require(scope, name)
    found = yield from lookup.select(scope, name, version)
    said = yield from review_store.latest(scope, name, found.version.number, before=before, limit=limit)
    return found, said


def _reword(
    scope: Scope, name: str, version: Version, said: list[Review], *, comment: str, reviewer: str, now: float
) -> UnitOfWork[None]:
    _check_pending(version)
    changed = replace(said[0], comment=comment or said[0].comment, reviewer=reviewer, updated_at=now)
    yield from review_store.put(scope, name, version.number, changed)


def _check_free(scope: Scope, name: str, version: Version) -> UnitOfWork[None]:
    if version.review_status == APPROVED:
        msg = f"Version {version.number} of {name} is approved already."
        raise RefusedOperation(msg)
    pending = yield from review_store.standing(scope, name, PENDING)
    if pending is not None:
        msg = f"Version {pending} of {name} is under review; only one can be."
        raise RefusedOperation(msg)


def _check_pending(version: Version) -> None:
    if version.review_status != PENDING:
        msg = f"Version {version.number} is not under review: send it for review first."
        raise RefusedOperation(msg)
