# SPDX-License-Identifier: Apache-2.0
"""The stage for the agent's stories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.simulator import Simulator
from agent.stage import Stage, Zygote


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A server of its own; the test fails when it saw something it could not answer."""
    simulator = Simulator()
    yield simulator
    simulator.close()
    assert simulator.problems == []


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """The process that agents are forked from."""
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture
def stage(tmp_path: Path, simulator: Simulator, zygote: Zygote) -> Iterator[Stage]:
    """A node whose agent runs in forks."""
    stage = Stage(tmp_path / "node", simulator, zygote)
    yield stage
    stage.close()


@pytest.fixture
def real_stage(tmp_path: Path, simulator: Simulator) -> Iterator[Stage]:
    """A node whose agent and all its children are started as on a real node."""
    stage = Stage(tmp_path / "node", simulator)
    yield stage
    stage.close()
