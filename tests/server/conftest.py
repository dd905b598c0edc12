# SPDX-License-Identifier: Apache-2.0
"""Fixtures for everything the server is made of."""

from __future__ import annotations

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
