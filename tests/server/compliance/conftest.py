# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the compliance room."""

from __future__ import annotations

import pytest

from server.accounts.tenants import scope, shared_database, shared_postgres_url, shared_sqlite_url, shared_url
from server.compliance.desk import Desk

__all__ = ["desk", "scope", "shared_database", "shared_postgres_url", "shared_sqlite_url", "shared_url"]


@pytest.fixture
def desk(shared_database, scope):
    """The room in an account of its own, once on each engine."""
    return Desk(shared_database, scope)
