# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the stories: the farm's, and a station."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from farm import Farm
from farm.fixtures import debrepo, farm, new_node

from .station import Station

__all__ = ["debrepo", "farm", "new_node", "station"]


@pytest.fixture
def station(farm: Farm, tmp_path: Path) -> Iterator[Station]:
    """A server that has started, on SQLite."""
    made = Station(tmp_path, farm)
    made.start()
    yield made
    made.close()
