# SPDX-License-Identifier: Apache-2.0
"""
Rows by the digest of what they are made of, whichever room keeps it: inventory that was put, the judgements of patching, the
items of compliance. A digest says which, by its prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from patchwright.core import inventory as core
from patchwright.core.compliance import Item, PatchState
from patchwright.core.inventory import SCHEMAS, Row
from patchwright.server import compliance, patching
from patchwright.server.accounts import Scope
from patchwright.server.compliance import Entry
from patchwright.server.infra import UnitOfWork
from patchwright.server.inventory import store
from patchwright.server.inventory.model import CONTENT_FORMAT, Part

PATCHES, ITEMS = "patches:", "items:"
INSTALLED = "InstalledTime"
_WITHOUT_CLASS = {PatchState.INSTALLED_OTHER, PatchState.NOT_APPLICABLE}
_ITEM_ATTRIBUTES = frozenset(SCHEMAS[core.COMPLIANCE_ITEM].names)

Content: TypeAlias = bytes | Sequence[Row]
"""Rows, or what they are to be unpacked from."""


def load(scope: Scope, digests: Iterable[str]) -> UnitOfWork[dict[str, Content]]:
    """What is under these digests; what is gone meanwhile is left out."""
    wanted = sorted(set(digests))
    found: dict[str, Content] = {}
    found.update((yield from store.contents(scope, [one for one in wanted if one.startswith(CONTENT_FORMAT)])))
    for one in wanted:
        kind, _, rest = one.partition(":")
        if f"{kind}:" == PATCHES:
            found[one] = [_patch(item) for item in (yield from patching.items(scope, rest))]
        elif f"{kind}:" == ITEMS:
            found[one] = [_item(entry) for entry in (yield from compliance.entries(scope, rest))]
    return found


def unpacked(content: Content) -> Sequence[Row]:
    """The rows of what `load` found; takes a while for large ones."""
    return store.unpacked(content) if isinstance(content, bytes) else content


def whole(part: Part, rows: Sequence[Row], installed: Mapping[str, float], iso: Mapping[float, str]) -> list[Row]:
    """The *rows* of a part as a node shows them; *installed* are moments by the key of a patch, *iso* how they are written."""
    common, made = dict(part.common), []
    for row in rows:
        moment = installed.get(row.get("KBId") or row.get("Id") or "")
        made.append({**row, **common, **({INSTALLED: iso[moment]} if moment else {})})
    return made


def _patch(item: Item) -> Row:
    """A row of AWS:PatchCompliance."""
    plain = item.state in _WITHOUT_CLASS
    return {
        "Title": item.title,
        "KBId": item.key,
        "Classification": "" if plain else item.classification,
        "Severity": "" if plain else item.severity,
        "State": item.state.value,
        INSTALLED: "",
    }


def _item(entry: Entry) -> Row:
    """A row of AWS:ComplianceItem, as far as it is the same for all nodes."""
    details = {name: value for name, value in entry.details.items() if name in _ITEM_ATTRIBUTES}
    return {
        **details,
        "Id": entry.id,
        "Title": entry.title,
        "Status": entry.status,
        "Severity": entry.severity,
    }
