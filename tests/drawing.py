# SPDX-License-Identifier: Apache-2.0
"""Of a large matrix bin/test runs a part, drawn by the seed; bin/test --full runs all of it."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable

import pytest

SEED = os.environ.get("PATCHWRIGHT_SEED", "20261120")


def draw(config: pytest.Config, items: list[pytest.Item], share: Callable[[pytest.Item], int]) -> None:
    """Leave out of *items* all but one in *share*, which says 1 where an item always runs."""
    if os.environ.get("PATCHWRIGHT_FULL"):
        return
    left_out = [item for item in items if zlib.crc32(f"{SEED} {item.nodeid}".encode()) % share(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
