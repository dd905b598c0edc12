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
HERE = Path(__file__).parent
SHARES = {"infra": 1}  # on PostgreSQL one in so many; of other rooms every third


def pytest_collection_modifyitems(config, items):
    """
    On PostgreSQL a part of what is asked of rooms and through their edges, drawn by the seed, unless everything is run.

    What knows engines, `infra`, is asked whole on both.
    """
    if os.environ.get("PATCHWRIGHT_FULL"):
        return
    left_out = [item for item in items if HERE in item.path.parents and _on_postgres(item) and not _drawn(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def _on_postgres(item):
    return "postgres" in getattr(getattr(item, "callspec", None), "params", {}).values()


def _drawn(item):
    room = item.path.relative_to(HERE).parts[0]
    return zlib.crc32(f"{SEED} {item.nodeid}".encode()) % SHARES.get(room, 3) == 0
