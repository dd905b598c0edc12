# SPDX-License-Identifier: Apache-2.0
"""SQL of reviews."""

from __future__ import annotations

from patchwright.server.accounts import Scope
from patchwright.server.documents.model import Review
from patchwright.server.infra import UnitOfWork, sql

_MOST = 2**53


def put(scope: Scope, name: str, version: int, review: Review) -> UnitOfWork[None]:
    """Store what somebody did, or what they have said of it since."""
    yield sql(
        "INSERT INTO document_review"
        " (account, region, name, version, number, status, comment, reviewer, created_at, updated_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (account, region, name, version, number)"
        " DO UPDATE SET comment = excluded.comment, reviewer = excluded.reviewer, updated_at = excluded.updated_at",
        *scope,
        name,
        version,
        review.number,
        review.status,
        review.comment,
        review.reviewer,
        review.created_at,
        review.updated_at,
    )


def latest(scope: Scope, name: str, version: int, *, before: int = _MOST, limit: int = 1) -> UnitOfWork[list[Review]]:
    """Up to *limit* reviews of a version below the number *before*, newest first."""
    rows = yield sql(
        "SELECT number, status, comment, reviewer, created_at, updated_at FROM document_review"
        " WHERE account = $1 AND region = $2 AND name = $3 AND version = $4 AND number < $5"
        " ORDER BY number DESC LIMIT $6",
        *scope,
        name,
        version,
        before,
        limit,
    )
    return [Review(*row) for row in rows]


def set_status(scope: Scope, name: str, version: int, status: str) -> UnitOfWork[None]:
    """Note how a version's review stands."""
    yield sql(
        "UPDATE document_version SET review_status = $5"
        " WHERE account = $1 AND region = $2 AND name = $3 AND version = $4",
        *scope,
        name,
        version,
        status,
    )


def standing(scope: Scope, name: str, status: str) -> UnitOfWork[int | None]:
    """The version of a document whose review stands so (one at most is PENDING, one APPROVED), or None."""
    rows = yield sql(
        "SELECT version FROM document_version WHERE account = $1 AND region = $2 AND name = $3 AND review_status = $4"
        " ORDER BY version DESC LIMIT 1",
        *scope,
        name,
        status,
    )
    return rows[0][0] if rows else None
