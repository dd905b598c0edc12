# SPDX-License-Identifier: Apache-2.0
"""The farm's own tests use its fixtures."""

from __future__ import annotations

import pytest

from drawing import draw

from .fixtures import debrepo, farm, new_node, rpmrepo

__all__ = ["debrepo", "farm", "new_node", "rpmrepo"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Half of what the farm's own rpm nodes are asked."""
    draw(config, items, lambda item: 2 if item.path.name == "test_rpm_nodes.py" else 1)
