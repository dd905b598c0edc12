# SPDX-License-Identifier: Apache-2.0
"""A server for all examples, and a region for each."""

from __future__ import annotations

import pytest

from clients import place
from clients.cli.scenes import Stage
from server.aws.served import Account, new_region


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server for all examples of a module."""
    with place.listening(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def stage(server, tmp_path, monkeypatch):
    """A region for one example, and an empty folder to be in."""
    found = Stage(Account(server, new_region()), tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in place.environment(server, found.account.region).items():
        monkeypatch.setenv(name, value)
    return found
