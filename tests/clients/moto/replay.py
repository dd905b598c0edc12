# SPDX-License-Identifier: Apache-2.0
"""
Replays the tests that moto publishes for Systems Manager against this server. None of their text is kept here.

    python -m pytest -p clients.moto.replay --outcomes FILE DIRECTORY/tests/test_ssm

A plugin of pytest for a process of its own: `mock_aws` mocks nothing, each test has a server of its own, and what came of
each is written to FILE as JSON: {"test_ssm.py::test_x": ""} for what passed, else the last line of the failure.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest

from clients import place


class Nothing(contextlib.ContextDecorator):
    """`mock_aws` in each of its uses: a decorator with and without words, and a context."""

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def mock_aws(decorated: Callable[..., Any] | None = None, **_: object) -> Any:
    """Mock nothing."""
    return Nothing() if decorated is None else decorated


# Now, since moto's own conftest imports its tests' package before any hook is called.
moto.mock_aws = mock_aws


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the outcomes go."""
    parser.addoption("--outcomes", type=Path, required=True)


def pytest_configure(config: pytest.Config) -> None:
    """Keep what comes of the tests."""
    config.pluginmanager.register(Outcomes(config.getoption("--outcomes")))


@pytest.fixture(autouse=True)
def patchwright_server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server for this test alone, in the account that moto's tests know; boto3 finds it by its environment."""
    with place.listening(tmp_path_factory.mktemp("server")) as server:
        for name, value in place.environment(server).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_REGION")  # several tests name a default region themselves
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        yield


class Outcomes:
    """What came of each test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst of a test's three phases."""
        path, _, function = report.nodeid.partition("::")
        name = f"{path.rpartition('/')[2]}::{function}"
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            self.found[name] = (crash.message if crash else str(report.longrepr)) or "failed"
        elif report.skipped:
            self.found.setdefault(name, "skipped")
        else:
            self.found.setdefault(name, "")

    def pytest_sessionfinish(self) -> None:
        """Write them down."""
        self.path.write_text(json.dumps(self.found, indent=1, sort_keys=True))
