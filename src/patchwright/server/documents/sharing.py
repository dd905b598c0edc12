# SPDX-License-Identifier: Apache-2.0
"""Units of work that share documents with other accounts of this installation, or with all of them."""

from __future__ import annotations

from collections.abc import Sequence

from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.documents import lookup, store
from patchwright.server.documents.model import EVERYBODY, Share, TooManyShares
from patchwright.server.infra import UnitOfWork

_EITHER = "Accounts can either be all or a group of AWS accounts"


def share(
    scope: Scope, name: str, *, add: Sequence[Share], remove: Sequence[str], quotas: Quotas, now: float
) -> UnitOfWork[None]:
    """
    Share a document with these, and no longer with those; removing wins where one is in both.

    Errors: UnknownDocument, ReadOnlyDocument, TooManyShares.
    """
    yield from lookup.require(scope, name)
    for named in ([one.recipient for one in add], remove):
        if EVERYBODY in named and len(set(named)) > 1:
            raise TooManyShares(_EITHER)
    yield from store.delete_shares(scope, name, remove)
    for one in add:
        if one.recipient not in remove:
            yield from store.put_share(scope, name, one, now=now)
    if (yield from store.count_shares(scope, name)) > quotas.document_shares:
        msg = f"A document can be shared with at most {quotas.document_shares} accounts."
        raise TooManyShares(msg)
    public = any(one.recipient == EVERYBODY for one in add)
    if public and (yield from store.count_shared_with(scope, EVERYBODY)) > quotas.public_documents:
        msg = f"At most {quotas.public_documents} documents of an account and region can be public."
        raise TooManyShares(msg)


def shares(scope: Scope, name: str, *, after: str, limit: int) -> UnitOfWork[list[Share]]:
    """With whom a document is shared, in order. Errors: UnknownDocument, ReadOnlyDocument."""
    yield from lookup.require(scope, name)
    return (yield from store.shares(scope, name, after=after, limit=limit))
