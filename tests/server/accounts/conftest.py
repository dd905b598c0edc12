# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the accounts room."""

from __future__ import annotations

from server.accounts.audit_desk import desk, written
from server.accounts.tenants import scope, shared_database, shared_postgres_url, shared_sqlite_url, shared_url

__all__ = ["desk", "scope", "shared_database", "shared_postgres_url", "shared_sqlite_url", "shared_url", "written"]
