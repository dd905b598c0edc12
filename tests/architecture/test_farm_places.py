# SPDX-License-Identifier: Apache-2.0
"""bin/test looks for tests on nodes in the folders that it names, so there are none elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARKED = re.compile(r"pytest\.mark\.(farm|real|e2e)\b")
PLACES = re.search(r"^places='(.*)'$", (ROOT / "bin/test").read_text(), re.MULTILINE)


def test_tests_on_nodes_are_where_bin_test_looks_for_them():
    """A test marked so in another folder would never run."""
    assert PLACES
    places = [ROOT / word for word in PLACES[1].split()]
    here = Path(__file__)
    marked = [path for path in (ROOT / "tests").rglob("*.py") if path != here and MARKED.search(path.read_text())]
    assert len(marked) > 20
    assert [str(path) for path in marked if not any(path.is_relative_to(place) for place in places)] == []
    assert [str(place) for place in places if not place.is_dir()] == []
