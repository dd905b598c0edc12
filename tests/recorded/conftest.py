# SPDX-License-Identifier: Apache-2.0
"""Recording happens only when asked for: `pytest -n 0 tests/recorded --record`."""

from __future__ import annotations

import pytest

from farm.fixtures import debrepo, farm, new_node, rpmrepo

__all__ = ["debrepo", "farm", "new_node", "rpmrepo"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The switch."""
    parser.addoption("--record", action="store_true", help="record the output of real package managers anew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the recorders unless asked for."""
    if not config.getoption("--record", default=False):
        recorders = [item for item in items if "test_record" in item.nodeid]
        items[:] = [item for item in items if item not in recorders]
        config.hook.pytest_deselected(items=recorders)
