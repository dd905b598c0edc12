# SPDX-License-Identifier: Apache-2.0
"""Use cases of documents (spec §1.6, §6.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.documents import changing, kinds, listing, lookup, reviewing, sharing, store
from patchwright.server.documents.listing import Cursor, Wanted
from patchwright.server.documents.model import Document, Draft, Found, Reading, Review, Share, Version, check_name
from patchwright.server.infra import Clock, Database, UnitOfWork

_OFFLOAD = 8 * 1024  # characters of YAML from which reading would hold up the event loop


class Service:
    """Documents of every account."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas

    async def create(
        self,
        scope: Scope,
        name: str,
        draft: Draft,
        *,
        kind: str,
        author: str,
        requires: Sequence[Mapping[str, Any]] = (),
        own_tags: Mapping[str, str] | None = None,
    ) -> Found:
        """
        Make a document of type *kind*, its first version being the default.

        Errors: ReservedName, NameTaken, TooLarge, InvalidContent, InvalidSchemaVersion, TooManyDocuments, InvalidTag,
        TooManyTags.
        """
        check_name(name)
        reading = await _examine(kind, draft)
        document = Document(scope.account, name, name, kind, 1, 1, 1, tuple(requires))
        return await self._database.write(
            changing.create,
            scope,
            document,
            draft,
            reading,
            author=author,
            own_tags=own_tags or {},
            limit=self._quotas.documents,
            now=self._clock.now(),
        )

    async def update(self, scope: Scope, name: str, draft: Draft, *, author: str, based_on: str = "") -> Found:
        """
        Make a new version of a document, which does not become the default by that.

        *based_on* is `$LATEST` or the latest version's number: anything else is refused.

        Errors: UnknownDocument, ReadOnlyDocument, UnknownVersion, TooLarge, InvalidContent, InvalidSchemaVersion,
        SameContent, VersionNameTaken, TooManyVersions.
        """
        kind = (await self._database.read(lookup.require, scope, name)).type
        reading = await _examine(kind, draft)
        return await self._database.write(
            changing.update,
            scope,
            name,
            draft,
            reading,
            kind=kind,
            based_on=based_on,
            author=author,
            limit=self._quotas.document_versions,
            now=self._clock.now(),
        )

    async def set_default(self, scope: Scope, name: str, version: str) -> Found:
        """Make a version the default. Errors: UnknownDocument, ReadOnlyDocument, UnknownVersion."""
        return await self._database.write(changing.set_default, scope, name, version)

    async def delete(
        self, scope: Scope, name: str, *, version: str = "", version_name: str = "", force: bool = False
    ) -> None:
        """
        Remove a document with all its versions, or the one that is named.

        Errors: UnknownDocument, UnknownVersion, ReadOnlyDocument; RefusedOperation where it is shared, is the default
        version, or needs *force*.
        """
        await self._database.write(changing.delete, scope, name, version, version_name, force=force)

    async def get(self, scope: Scope, reference: str, *, version: str = "", version_name: str = "") -> Found:
        """A version with its content. Errors: UnknownDocument, UnknownVersion."""
        return await self._database.read(lookup.select, scope, reference, version, version_name)

    async def describe(self, scope: Scope, reference: str, *, version: str = "", version_name: str = "") -> Found:
        """The same, with tags and reviews. Errors: UnknownDocument, UnknownVersion."""
        return await self._database.read(_describe, scope, reference, version, version_name)

    async def listed(
        self, scope: Scope, wanted: Wanted, *, cursor: Cursor | None, limit: int
    ) -> tuple[list[Found], Cursor | None]:
        """
        Up to *limit* documents after *cursor*, with the versions that are shown of them, without contents.

        The product's come first, then the account's own, then others', each in order of name. Returns the cursor of the
        next page, None after the last.
        """
        groups = list(wanted.groups)
        place = cursor or (Cursor(groups[0]) if groups else None)
        look = limit + 1 if wanted.plain else listing.BATCH
        found: list[tuple[Found, Cursor]] = []
        while place is not None and len(found) <= limit:
            batch, rest = await self._database.read(listing.batch, scope, wanted, place, limit=look)
            found += [(one, listing.place_of(place, one)) for one in batch if wanted.holds(one)]
            later = groups[groups.index(place.group) + 1 :]
            place = rest or (Cursor(later[0]) if later else None)
        more = found[limit - 1][1] if len(found) > limit else None
        return [one for one, _ in found[:limit]], more

    async def versions(
        self, scope: Scope, reference: str, *, before: int, limit: int
    ) -> tuple[Document, list[Version]]:
        """Up to *limit* versions that the account may see, newest first, below the number *before*. Errors: UnknownDocument."""
        return await self._database.read(_versions, scope, reference, before=before, limit=limit)

    async def share(self, scope: Scope, name: str, *, add: Sequence[Share], remove: Sequence[str]) -> None:
        """Share a document with some, and with others no longer. Errors: UnknownDocument, ReadOnlyDocument, TooManyShares."""
        await self._database.write(
            sharing.share, scope, name, add=add, remove=remove, quotas=self._quotas, now=self._clock.now()
        )

    async def shares(self, scope: Scope, name: str, *, after: str, limit: int) -> list[Share]:
        """Up to *limit* of those with whom a document is shared. Errors: UnknownDocument, ReadOnlyDocument."""
        return await self._database.read(sharing.shares, scope, name, after=after, limit=limit)

    async def review(self, scope: Scope, name: str, version: str, *, action: str, comment: str, reviewer: str) -> None:
        """Take a step of a version's review. Errors: UnknownDocument, UnknownVersion, ReadOnlyDocument, RefusedOperation."""
        await self._database.write(
            reviewing.review,
            scope,
            name,
            version,
            action=action,
            comment=comment,
            reviewer=reviewer,
            now=self._clock.now(),
        )

    async def reviews(
        self, scope: Scope, name: str, version: str, *, before: int, limit: int
    ) -> tuple[Found, list[Review]]:
        """A version, and what was done about its review, newest first. Errors: UnknownDocument, UnknownVersion."""
        return await self._database.read(reviewing.history, scope, name, version, before=before, limit=limit)


async def converted(found: Found, wanted: str) -> str:
    """The content of a version in the format *wanted* (JSON, YAML); a calendar is TEXT whatever is wanted."""
    version = found.version
    if "TEXT" in {version.format, wanted} or version.format == wanted:
        return version.content
    return await asyncio.to_thread(
        kinds.convert, found.document.type, version.content, stored=version.format, wanted=wanted
    )


async def _examine(kind: str, draft: Draft) -> Reading:
    if draft.format == "YAML" and len(draft.content) > _OFFLOAD:
        return await asyncio.to_thread(kinds.examine, kind, draft.content, draft.format)
    return kinds.examine(kind, draft.content, draft.format)


def _describe(scope: Scope, reference: str, version: str, version_name: str) -> UnitOfWork[Found]:
    found = yield from lookup.select(scope, reference, version, version_name)
    return (yield from lookup.described(scope, found))


def _versions(scope: Scope, reference: str, *, before: int, limit: int) -> UnitOfWork[tuple[Document, list[Version]]]:
    document = yield from lookup.find(scope, reference)
    if document.owner == "Amazon":
        shown = (yield from lookup.select(scope, reference)).version
        return document, [shown] if shown.number < before else []
    only = None if document.visible is None else sorted(document.visible)
    owner = Scope(document.owner, scope.region)
    return document, (yield from store.versions(owner, document.name, only=only, before=before, limit=limit))
