# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the patching room."""

from __future__ import annotations

import pytest

from server.accounts.tenants import scope, shared_database, shared_postgres_url, shared_sqlite_url, shared_url
from server.patching.bench import Bench

__all__ = ["bench", "scope", "shared_database", "shared_postgres_url", "shared_sqlite_url", "shared_url"]


@pytest.fixture
def bench(shared_database, scope):
    """The room in an account of its own, once on each engine."""
    return Bench(shared_database, scope)
