# SPDX-License-Identifier: Apache-2.0
"""docs/reference/events.md tells of every event and of every matcher, with the figures that count."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from patchwright.server import events
from patchwright.server.aws import event_stream
from patchwright.server.events import courier, model, notifying, pattern, sending

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "events.md").read_text()


def test_every_event_has_a_row_and_no_other():
    """What is told is documented, and what is documented is told."""
    rows = re.findall(r"^\| ([A-Z][A-Za-z0-9 -]+) \| .* \| .* \|$", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(events.DETAIL_TYPES)


@pytest.mark.parametrize("name", pattern._MATCHERS)
def test_every_matcher_is_explained(name):
    """With an example that is read as the page says."""
    assert re.search(rf"\b{name}\b", PAGE)


def test_every_example_of_a_pattern_is_one():
    """Whoever copies it gets what the page promises."""
    examples = re.findall(r'`(\{"(?:detail|\$or).*?\]\}+)`', PAGE)
    assert len(examples) >= 8
    for example in examples:
        pattern.compiled(example)


def test_the_figures_are_those_of_the_code():
    """Days, hours, minutes, seconds and sizes."""
    assert f"Kept for {courier.KEPT_SECONDS / 86400:.0f} days" in PAGE
    assert f"for {notifying.KEPT_TRYING_SECONDS / 3600:.0f} hours" in PAGE
    assert sending.SECONDS == 10
    assert "within ten seconds" in PAGE
    assert f"names the first {model.MOST_RESOURCES}" in PAGE
    assert f"to {pattern.LONGEST:,} characters and {pattern.DEEPEST} levels" in PAGE
    assert f"every {event_stream.BEAT_SECONDS:.0f} seconds" in PAGE
    assert f"after {event_stream.LIFE_SECONDS / 60:.0f} minutes" in PAGE
