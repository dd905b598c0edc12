# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the events room."""

from __future__ import annotations

from server.accounts.tenants import scope, shared_database, shared_postgres_url, shared_sqlite_url, shared_url

__all__ = ["scope", "shared_database", "shared_postgres_url", "shared_sqlite_url", "shared_url"]
