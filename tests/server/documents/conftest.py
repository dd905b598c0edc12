# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the documents room."""

from __future__ import annotations

import pytest

from server.accounts.tenants import (
    new_account,
    scope,
    shared_database,
    shared_postgres_url,
    shared_sqlite_url,
    shared_url,
)
from server.documents.shelf import Shelf

__all__ = ["neighbour", "scope", "shared_database", "shared_postgres_url", "shared_sqlite_url", "shared_url", "shelf"]


@pytest.fixture
def shelf(shared_database, scope):
    """The room in an account of its own, once on each engine."""
    return Shelf(shared_database, scope)


@pytest.fixture
def neighbour(shared_database, scope):
    """The room in another account of the same installation."""
    return Shelf(shared_database, scope._replace(account=new_account()))
