# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the stories: the farm's, the servers of the databases, and a station."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drawing import draw
from farm import Farm
from farm.fixtures import debrepo, farm, new_node, rpmrepo
from server.databases import empty_postgres_url, postgres_cluster

from .station import Station

__all__ = ["debrepo", "empty_postgres_url", "farm", "new_node", "postgres_cluster", "rpmrepo", "station"]


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Where the station's server keeps its data: SQLite (empty), unless the test is parametrized with `ENGINES`."""
    engine = getattr(request, "param", "sqlite")
    return "" if engine == "sqlite" else str(request.getfixturevalue("empty_postgres_url"))


@pytest.fixture
def station(farm: Farm, tmp_path: Path, database: str) -> Iterator[Station]:
    """A server that has started."""
    made = Station(tmp_path, farm, database)
    made.start()
    yield made
    made.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Half of the hard times and of the interruptions."""
    many = {"test_hardships.py", "test_interruptions.py"}
    draw(config, items, lambda item: 2 if item.path.name in many else 1)
