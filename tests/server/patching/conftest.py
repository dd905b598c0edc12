# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the patching room."""

from __future__ import annotations

import pytest

from server.patching.bench import Bench


@pytest.fixture
def bench(database):
    """The room over a database of its own, once on each engine."""
    return Bench(database)
