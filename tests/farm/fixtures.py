# SPDX-License-Identifier: Apache-2.0
"""
Pytest fixtures: `farm` (one per test process), `debrepo`, `rpmrepo` and `new_node` (per test).

A folder of tests gets them by `from farm.fixtures import debrepo, farm, new_node, rpmrepo` in its conftest.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from . import DebRepo, Farm, FarmUnavailable, Node, RpmRepo


def required() -> bool:
    """Whether a machine without a farm is an error: in CI, and where PATCHWRIGHT_REQUIRE_FARM is set."""
    return os.environ.get("CI", "").lower() in {"true", "1"} or os.environ.get("PATCHWRIGHT_REQUIRE_FARM") == "1"


def without(error: FarmUnavailable) -> NoReturn:
    """Skip a test that this machine cannot run, or fail it where it is required."""
    if required():
        pytest.fail(f"NO TEST FARM, and it is required here: {error}", pytrace=False)
    pytest.skip(f"NO TEST FARM: {error}")


@pytest.fixture(scope="session")
def farm() -> Iterator[Farm]:
    """The farm of this test process; skips, or fails where it is required, when the machine cannot run one."""
    try:
        made = Farm()
    except FarmUnavailable as error:
        without(error)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def debrepo(farm: Farm) -> Iterator[DebRepo]:
    """An empty archive of this test."""
    repo = farm.debrepo()
    yield repo
    repo.close()


@pytest.fixture
def rpmrepo(farm: Farm) -> Iterator[RpmRepo]:
    """Empty rpm repositories of this test, `base` and `updates`."""
    repo = farm.rpmrepo()
    yield repo
    repo.close()


@pytest.fixture
def new_node(farm: Farm) -> Iterator[Callable[..., Node]]:
    """Makes nodes (arguments as for `Farm.node`) that are destroyed when the test ends."""
    nodes: list[Node] = []

    def make(*args: object, **kwargs: object) -> Node:
        try:
            nodes.append(farm.node(*args, **kwargs))  # type: ignore[arg-type]
        except FarmUnavailable as error:  # of this kind of node alone
            without(error)
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy()
