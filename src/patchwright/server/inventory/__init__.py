# SPDX-License-Identifier: Apache-2.0
"""
Inventory: what nodes have, as they report it and as the server knows it itself (spec §1.8, §7.2, §7.3).

The door. `Service` has the use cases; `forget` is a unit of work for whoever takes a node away.
"""

from __future__ import annotations

from patchwright.server.inventory.aggregate import AskedAggregator, AskedGroup
from patchwright.server.inventory.fleet import Counted
from patchwright.server.inventory.model import (
    ContentMismatch,
    ContextNotAllowed,
    Deletion,
    Given,
    InvalidOption,
    InventoryError,
    ItemError,
    ItemTooLarge,
    MalformedAggregator,
    MalformedContent,
    MalformedContext,
    MalformedFilter,
    MalformedGroup,
    Reported,
    TooManySubTypes,
    TooManyTypes,
    TotalTooLarge,
    UnknownDeletion,
    UnknownResult,
    UnknownType,
    UnsupportedVersion,
    version_of,
)
from patchwright.server.inventory.puts import forget
from patchwright.server.inventory.query import Asked, Operator
from patchwright.server.inventory.service import Entity, Entries, Outline, Service

__all__ = [
    "Asked",
    "AskedAggregator",
    "AskedGroup",
    "ContentMismatch",
    "ContextNotAllowed",
    "Counted",
    "Deletion",
    "Entity",
    "Entries",
    "Given",
    "InvalidOption",
    "InventoryError",
    "ItemError",
    "ItemTooLarge",
    "MalformedAggregator",
    "MalformedContent",
    "MalformedContext",
    "MalformedFilter",
    "MalformedGroup",
    "Operator",
    "Outline",
    "Reported",
    "Service",
    "TooManySubTypes",
    "TooManyTypes",
    "TotalTooLarge",
    "UnknownDeletion",
    "UnknownResult",
    "UnknownType",
    "UnsupportedVersion",
    "forget",
    "version_of",
]
