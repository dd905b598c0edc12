# SPDX-License-Identifier: Apache-2.0
"""Fixtures of what is tested at the API: a house in an account of its own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from patchwright.server import app
from patchwright.server.accounts import MasterKey, Scope
from server.gateway.house import House, build
from server.wire.client import MODELS


@pytest.fixture(scope="session")
def master_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The master key of every house on the shared database."""
    path = tmp_path_factory.mktemp("master") / "master.key"
    MasterKey.load(path)
    return path


@pytest.fixture
async def house(
    shared_url: str, scope: Scope, master_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    """A server in this process, once on each engine. Its models are compiled once for all tests."""
    monkeypatch.setattr(app, "load_models", lambda *, strict: MODELS if strict else None)
    shutil.copy(master_key, tmp_path / "master.key")
    built = await build(tmp_path, shared_url, scope.account)
    yield built
    await built.close()
