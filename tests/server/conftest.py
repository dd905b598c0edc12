# SPDX-License-Identifier: Apache-2.0
"""Fixtures for everything the server is made of."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

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

SEED = os.environ.get("PATCHWRIGHT_SEED", "20261120")
SHARE = 3  # one in so many
EDGES = {Path(__file__).parent / name for name in ("aws", "gateway")}


def pytest_collection_modifyitems(config, items):
    """
    Of what is asked through the API, or by agents, on PostgreSQL, a third by the seed, unless everything is run.

    The rooms' own tests run on both engines always; the edges above them know no engine.
    """
    if os.environ.get("PATCHWRIGHT_FULL"):
        return
    left_out = [item for item in items if EDGES & set(item.path.parents) and _on_postgres(item) and not _drawn(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def _on_postgres(item):
    return "postgres" in getattr(getattr(item, "callspec", None), "params", {}).values()


def _drawn(item):
    return zlib.crc32(f"{SEED} {item.nodeid}".encode()) % SHARE == 0
