# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: properties take their examples from the seed, and have no deadline of their own."""

from __future__ import annotations

import gc

import hypothesis
import pytest
from hypothesis import HealthCheck

from drawing import SEED

# How long an example takes, and how many a generator throws away, depends on the machine and on luck.
hypothesis.settings.register_profile(
    "patchwright",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
hypothesis.settings.load_profile("patchwright")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Examples are drawn by PATCHWRIGHT_SEED, unless --hypothesis-seed says otherwise."""
    if config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = SEED


def pytest_collection_finish() -> None:
    """Modules, models and tests stay to the end: the garbage collector need not go through them again and again."""
    gc.collect()
    gc.freeze()
