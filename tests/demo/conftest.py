# SPDX-License-Identifier: Apache-2.0
"""The demo lies beside the package, at the top of the tree."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo import mounts, place, twin
from farm.fixtures import required


@pytest.fixture
def layers() -> list[mounts.Layer]:
    """The layers of a twin of this machine; skips, or fails where the farm is required, when it can have none."""
    try:
        return twin.survey()
    except mounts.Unisolated as refusal:
        if required():
            pytest.fail(f"NO TWIN, and it is required here: {refusal}", pytrace=False)
        pytest.skip(f"NO TWIN: {refusal}")


@pytest.fixture
def new_twin(layers: list[mounts.Layer]) -> Iterator[Callable[..., twin.Twin]]:
    """Makes twins that go with the test."""
    own = place.Place()
    made: list[twin.Twin] = []

    def make(**arguments: object) -> twin.Twin:
        folder = own.folder / f"twin-{len(made)}"
        made.append(twin.Twin(folder, layers, hidden=own.base, **arguments))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.stop()
    own.close()
