# SPDX-License-Identifier: Apache-2.0
"""Members that several operations have in common: Tags and Filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from patchwright.server.wire import validation


def tags_of(request: Mapping[str, Any]) -> dict[str, str]:
    """The Tags of a request. A key given twice is refused."""
    given = request.get("Tags", [])
    tags = {tag["Key"]: tag["Value"] for tag in given}
    if len(tags) != len(given):
        raise validation("A tag key is given twice.")
    return tags


def filters_of(
    filters: Iterable[Mapping[str, Any]], *, key: str = "Key", values: str = "Values"
) -> list[tuple[str, list[str]]]:
    """Filters as (key, values), whatever the operation calls their members. Some models require neither: then they are empty."""
    return [(item.get(key, ""), list(item.get(values, []))) for item in filters]
