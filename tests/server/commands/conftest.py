# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the commands room."""

from __future__ import annotations

import pytest

from server.accounts.tenants import scope, shared_database, shared_postgres_url, shared_sqlite_url, shared_url
from server.commands.bench import Bench

__all__ = ["alone", "bench", "scope", "shared_database", "shared_postgres_url", "shared_sqlite_url", "shared_url"]


@pytest.fixture
def bench(shared_database, scope):
    """The room in an account of its own, once on each engine."""
    return Bench(shared_database, scope)


@pytest.fixture
def alone(database, scope):
    """The room in a database of its own: for what looks at every account."""
    return Bench(database, scope)
