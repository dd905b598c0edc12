# SPDX-License-Identifier: Apache-2.0
"""Fixtures for everything the server is made of."""

from __future__ import annotations

from pathlib import Path

from drawing import draw
from server.databases import (
    database,
    database_url,
    empty_database_url,
    empty_postgres_url,
    empty_sqlite_url,
    postgres_cluster,
    postgres_database,
    postgres_url,
    private_postgres_cluster,
    sqlite_database,
    sqlite_template,
    sqlite_url,
)

__all__ = [
    "database",
    "database_url",
    "empty_database_url",
    "empty_postgres_url",
    "empty_sqlite_url",
    "postgres_cluster",
    "postgres_database",
    "postgres_url",
    "private_postgres_cluster",
    "sqlite_database",
    "sqlite_template",
    "sqlite_url",
]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config, items):
    """
    On PostgreSQL a third of what is asked of rooms and through their edges.

    What knows engines, `infra`, is asked whole on both.
    """
    draw(config, items, _share)


def _share(item):
    if HERE not in item.path.parents or item.path.relative_to(HERE).parts[0] == "infra":
        return 1
    return 3 if "postgres" in getattr(getattr(item, "callspec", None), "params", {}).values() else 1
