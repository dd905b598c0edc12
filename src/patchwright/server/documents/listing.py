# SPDX-License-Identifier: Apache-2.0
"""Which documents a listing shows, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.documents import owned, store
from patchwright.server.documents.model import EVERYBODY, Found
from patchwright.server.infra import UnitOfWork

# Where documents come from, in the order in which they are listed, and what AWS calls each as an owner.
PRODUCT, OWN, SHARED, PUBLIC = "Amazon", "Self", "Private", "Public"
OWNERS: Mapping[str, tuple[str, ...]] = {
    PRODUCT: (PRODUCT,),
    OWN: (OWN,),
    SHARED: (SHARED,),
    PUBLIC: (PUBLIC,),
    "ThirdParty": (),
}
EVERY = (PRODUCT, OWN, SHARED)  # what a listing shows that names no owner
BATCH = 200  # documents looked at in one read where not all of them are shown

Condition = Callable[[Found], bool]


class Cursor(NamedTuple):
    """Where a listing stands: the group, and within it the owner and name of the last document that was looked at."""

    group: str
    owner: str = ""
    name: str = ""


@dataclass(frozen=True)
class Wanted:
    """
    What a listing is narrowed to. Everything is ANDed, the values of each ORed.

    *prefixes* of names, *types*, and *tags* with one of their values (none: with any) are the database's to look for;
    *conditions* are asked of each document.
    """

    groups: tuple[str, ...] = EVERY
    prefixes: tuple[tuple[str, ...], ...] = ()
    types: tuple[tuple[str, ...], ...] = ()
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    conditions: tuple[Condition, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether nothing is narrowed: what is read is what is shown."""
        return not (self.prefixes or self.types or self.tags or self.conditions)

    def holds(self, found: Found) -> bool:
        """Whether the listing shows this document."""
        document = found.document
        return (
            all(document.name.startswith(values) for values in self.prefixes)
            and all(document.type in values for values in self.types)
            and all(key in found.tags and (not values or found.tags[key] in values) for key, values in self.tags)
            and all(condition(found) for condition in self.conditions)
        )


def runs_on(values: Sequence[str]) -> Condition:
    """It runs on one of these platforms."""
    return lambda found: not set(values).isdisjoint(found.version.reading.platform_types)


def targets(values: Sequence[str]) -> Condition:
    """It is for one of these types of targets."""
    return lambda found: found.version.target_type in values


def mentions(values: Sequence[str]) -> Condition:
    """One of these words stands in its name, display name or description, whatever the case."""
    words = [value.casefold() for value in values]

    def holds(found: Found) -> bool:
        version = found.version
        text = f"{found.document.name}\n{version.display_name}\n{version.reading.description}".casefold()
        return any(word in text for word in words)

    return holds


def batch(scope: Scope, wanted: Wanted, cursor: Cursor, *, limit: int) -> UnitOfWork[tuple[list[Found], Cursor | None]]:
    """
    The next documents of the cursor's group, at most *limit*, and where to go on, None at the group's end; a unit of work.

    What is wanted narrows what is read, though not to the last: `Wanted.holds` says.
    """
    if cursor.group == PRODUCT:
        return [owned.found(name) for name in sorted(owned.NAMES) if name > cursor.name], None
    if cursor.group == OWN:
        return (yield from _own(scope, wanted, cursor, limit=limit))
    recipient = scope.account if cursor.group == SHARED else EVERYBODY
    rows = yield from store.shared_with(scope, recipient, after=(cursor.owner, cursor.name), limit=limit)
    found = [Found(document, version) for document, version in rows]
    return found, place_of(cursor, found[-1]) if len(rows) == limit else None


def _own(scope: Scope, wanted: Wanted, cursor: Cursor, *, limit: int) -> UnitOfWork[tuple[list[Found], Cursor | None]]:
    names: list[str] = []
    if wanted.tags:
        carriers = []
        for key, values in wanted.tags:
            carriers.append(set((yield from tags.tagged(scope, tags.DOCUMENT, key, values))))
        names = sorted(name for name in set.intersection(*carriers) if name > cursor.name)[:limit]
        if not names:
            return [], None
    narrowed = store.Narrowed(
        wanted.prefixes[0] if wanted.prefixes else (), tuple(names), wanted.types[0] if wanted.types else ()
    )
    rows = yield from store.own(scope, narrowed, after=cursor.name, limit=limit)
    carried = yield from tags.of_each(scope, tags.DOCUMENT, [document.name for document, _ in rows])
    found = [Found(document, version, carried[document.name]) for document, version in rows]
    read = names if wanted.tags else [document.name for document, _ in rows]
    return found, cursor._replace(owner=scope.account, name=read[-1]) if len(read) == limit else None


def place_of(cursor: Cursor, found: Found) -> Cursor:
    """The cursor after this document."""
    return cursor._replace(owner=found.document.owner, name=found.document.name)
