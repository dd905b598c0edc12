# SPDX-License-Identifier: Apache-2.0
"""
Tags of every resource type (spec §1.19).

The door. The functions are units of work: other rooms and the edges compose them with `yield from`, in the transaction in
which they have made sure that the resource exists. `carriers` is SQL for statements of theirs.
"""

from __future__ import annotations

from patchwright.server.tags.model import (
    DOCUMENT,
    MANAGED_INSTANCE,
    PARAMETER,
    PATCH_BASELINE,
    InvalidTag,
    Tags,
    TooManyTags,
    check,
    patch_group,
)
from patchwright.server.tags.service import add, carriers, forget, in_patch_group, of, of_each, remove, tagged

__all__ = [
    "DOCUMENT",
    "MANAGED_INSTANCE",
    "PARAMETER",
    "PATCH_BASELINE",
    "InvalidTag",
    "Tags",
    "TooManyTags",
    "add",
    "carriers",
    "check",
    "forget",
    "in_patch_group",
    "of",
    "of_each",
    "patch_group",
    "remove",
    "tagged",
]
