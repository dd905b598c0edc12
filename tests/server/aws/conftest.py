# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the aws edge."""

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
from server.aws.served import Account, Server, new_region
from server.gateway.fixtures import house, master_key

__all__ = [
    "aws",
    "house",
    "master_key",
    "scope",
    "served",
    "shared_database",
    "shared_postgres_url",
    "shared_sqlite_url",
    "shared_url",
    "ssm",
]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def served(request, master_key, tmp_path_factory):
    """A listening server, once on each engine for each module."""
    url = request.getfixturevalue(f"shared_{request.param}_url")
    server = Server(tmp_path_factory.mktemp("served"), url, new_account(), master_key)
    yield server
    server.close()


@pytest.fixture
def aws(served):
    """A region of the server's account for this test alone."""
    return Account(served, new_region())


@pytest.fixture
def ssm(aws):
    """An ssm client of boto3 in the test's region."""
    return aws.client()
