# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the stories: the farm's, the servers of the databases, and a station."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from farm import Farm
from farm.fixtures import debrepo, farm, new_node
from server.databases import empty_postgres_url, postgres_cluster

from .station import Station

__all__ = ["debrepo", "empty_postgres_url", "farm", "new_node", "postgres_cluster", "station"]


@pytest.fixture
def database() -> str:
    """Where the station's server keeps its data; empty: SQLite. A test that names the fixture chooses another."""
    return ""


@pytest.fixture
def station(farm: Farm, tmp_path: Path, database: str) -> Iterator[Station]:
    """A server that has started, on SQLite unless the test says otherwise."""
    made = Station(tmp_path, farm, database)
    made.start()
    yield made
    made.close()
