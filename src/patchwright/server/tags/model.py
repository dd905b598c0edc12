# SPDX-License-Identifier: Apache-2.0
"""What a tag may be, and the one tag that chooses a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from patchwright.core.errors import PatchwrightError

Tags: TypeAlias = dict[str, str]

MAINTENANCE_WINDOW = "MaintenanceWindow"
DOCUMENT = "Document"
MANAGED_INSTANCE = "ManagedInstance"
PARAMETER = "Parameter"
PATCH_BASELINE = "PatchBaseline"
LIMIT = 50  # tags of one resource (spec §1.19)

# Where a node carries both, the first counts (spec §3.4).
PATCH_GROUP_KEYS = ("Patch Group", "PatchGroup")


class InvalidTag(PatchwrightError):
    """A tag that cannot be set."""


class TooManyTags(PatchwrightError):
    """More tags than one resource may have."""


def check(tags: Mapping[str, str]) -> None:
    """
    Raise unless a resource could have *tags*: InvalidTag where a key is reserved, TooManyTags.

    Lengths are checked by the model at the edge.
    """
    for key in tags:
        if key.lower().startswith("aws:"):
            msg = f"Tag keys that start with aws: are reserved; {key!r} cannot be set."
            raise InvalidTag(msg)
    if len(tags) > LIMIT:
        msg = f"A resource can have at most {LIMIT} tags."
        raise TooManyTags(msg)


def patch_group(tags: Mapping[str, str]) -> str:
    """The patch group of a node with these tags, empty if none. Keys are case-sensitive (spec §3.4)."""
    return next((tags[key] for key in PATCH_GROUP_KEYS if tags.get(key)), "")
