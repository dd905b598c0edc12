# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the command line: one server for all, and a node of one's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.bench import Node, Server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has started; every test that uses it finds the others' resources there."""
    made = Server(tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server for one test alone, not started."""
    made = Server(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def silent_node(server: Server, tmp_path: Path) -> Iterator[Node]:
    """A node of the shared server whose agent does not run; its name is its own."""
    made = Node(tmp_path / "node", server, name=f"node-{next(_numbers)}-{tmp_path.name}"[:60])
    yield made
    made.stop()


@pytest.fixture
def node(silent_node: Node) -> Node:
    """A node whose agent runs."""
    silent_node.start()
    return silent_node
