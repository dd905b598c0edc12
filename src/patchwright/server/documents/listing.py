# SPDX-License-Identifier: Apache-2.0
"""Which documents a listing shows, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.documents import owned, store
from patchwright.server.documents.model import EVERYBODY, Document, Found, Version
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
BATCH = 200


class Cursor(NamedTuple):
    """Where a listing stands: the group, and within it the owner and name of the last document that was looked at."""

    group: str
    owner: str = ""
    name: str = ""


@dataclass(frozen=True)
class Wanted:
    """What a listing is narrowed to. Conditions are ANDed, the values of each ORed."""

    groups: tuple[str, ...] = EVERY
    conditions: tuple[Condition, ...] = ()

    def holds(self, found: Found) -> bool:
        """Whether the listing shows this document."""
        return all(condition(found) for condition in self.conditions)


Condition = Callable[[Found], bool]


def name_begins(values: Sequence[str]) -> Condition:
    """The name begins with one of *values*; a shared document's does not begin with its ARN."""
    return lambda found: found.document.name.startswith(tuple(values))


def type_is(values: Sequence[str]) -> Condition:
    """The type is one of *values*."""
    return lambda found: found.document.type in values


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


def tagged(key: str, values: Sequence[str]) -> Condition:
    """It carries the tag with one of *values*; without values, with any."""
    return lambda found: key in found.tags and (not values or found.tags[key] in values)


def batch(scope: Scope, cursor: Cursor) -> UnitOfWork[tuple[list[Found], bool]]:
    """The next documents of the cursor's group, at most `BATCH`, and whether the group ends with them; a unit of work."""
    if cursor.group == PRODUCT:
        return [owned.found(name) for name in sorted(owned.NAMES) if name > cursor.name], True
    rows: list[tuple[Document, Version]]
    if cursor.group == OWN:
        rows = yield from store.own(scope, after=cursor.name, limit=BATCH)
        carried = yield from tags.of_each(scope, tags.DOCUMENT, [document.name for document, _ in rows])
        found = [Found(document, version, carried[document.name]) for document, version in rows]
    else:
        recipient = scope.account if cursor.group == SHARED else EVERYBODY
        rows = yield from store.shared_with(scope, recipient, after=(cursor.owner, cursor.name), limit=BATCH)
        found = [Found(document, version) for document, version in rows]
    return found, len(rows) < BATCH


def place_of(cursor: Cursor, found: Found) -> Cursor:
    """The cursor after this document."""
    return cursor._replace(owner=found.document.owner, name=found.document.name)
