# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the inventory room."""

from __future__ import annotations

import pytest

from server.accounts.tenants import scope, shared_database, shared_postgres_url, shared_sqlite_url, shared_url
from server.inventory.shelf import Shelf

__all__ = ["scope", "shared_database", "shared_postgres_url", "shared_sqlite_url", "shared_url", "shelf"]


@pytest.fixture
def shelf(shared_database, scope):
    """The room in an account of its own, once on each engine."""
    return Shelf(shared_database, scope)
