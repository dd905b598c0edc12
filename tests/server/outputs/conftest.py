# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the outputs room: it is tested through the server it is in."""

from __future__ import annotations

from server.accounts.tenants import scope, shared_database, shared_postgres_url, shared_sqlite_url, shared_url
from server.gateway.fixtures import house, master_key

__all__ = ["house", "master_key", "scope", "shared_database", "shared_postgres_url", "shared_sqlite_url", "shared_url"]
