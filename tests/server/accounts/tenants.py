# SPDX-License-Identifier: Apache-2.0
"""
One database for many tests, each with an account of its own: what one account does, no other sees.

    async def test_something(shared_database, scope):     # runs twice: [sqlite], [postgres]

A test that counts rows of every account, or that sets the clock for all of them, takes `database` instead.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from patchwright.server.accounts import Scope
from patchwright.server.infra import Database, open_database

_accounts = itertools.count(1)


@pytest.fixture(scope="session")
def shared_sqlite_url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated SQLite file for the whole run."""
    path = tmp_path_factory.mktemp("shared") / "patchwright.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def shared_postgres_url(postgres_cluster: Any) -> Iterator[str]:
    """A migrated PostgreSQL database for the whole run."""
    name = postgres_cluster.clone()
    yield postgres_cluster.url(name)
    postgres_cluster.drop(name)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def shared_url(request: pytest.FixtureRequest) -> str:
    """The URL of the shared database, once on each engine."""
    url: str = request.getfixturevalue(f"shared_{request.param}_url")
    return url


@pytest.fixture
async def shared_database(shared_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """The shared database, opened for this test, once on each engine."""
    opened = await open_database(shared_url, data_dir=tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def scope() -> Scope:
    """An account of this test's own, in us-east-1."""
    return Scope(new_account(), "us-east-1")


def new_account() -> str:
    """The id of an account that no test has used."""
    return f"{next(_accounts):012}"
