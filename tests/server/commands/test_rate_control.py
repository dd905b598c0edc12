# SPDX-License-Identifier: Apache-2.0
"""How many may start, and when no more do (spec §5.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright.server.commands import InvalidTargets
from patchwright.server.commands.rate_control import Batch, Tally, next_batch, resolve


@pytest.mark.parametrize(
    ("rate", "targets", "least", "number"),
    [
        ("1", 50, 1, 1),
        ("50", 3, 1, 50),
        ("0", 50, 0, 0),
        ("0", 50, 1, 1),
        ("10%", 50, 0, 5),
        ("10%", 55, 0, 5),
        ("10%", 9, 0, 0),
        ("10%", 9, 1, 1),
        ("100%", 7, 1, 7),
        ("0%", 7, 0, 0),
        ("33%", 100, 1, 33),
        ("1%", 0, 1, 1),
        ("9999999", 5, 1, 9_999_999),
    ],
)
def test_a_rate_is_a_number_or_a_percentage_of_the_resolved_targets(rate, targets, least, number):
    """Percentages are rounded down, and at least the least."""
    assert resolve(rate, targets, least=least) == number


@pytest.mark.parametrize(
    "rate", ["", "%", "-1", "1.5", "101%", "999%", "10 %", "10%%", "ten", "01", "1\n", "٣", "12345678", " 1"]
)
def test_anything_else_is_no_rate(rate):
    """And says what is wrong."""
    with pytest.raises(InvalidTargets, match="neither a number nor a percentage"):
        resolve(rate, 10, least=1)


@pytest.mark.parametrize(
    ("tally", "concurrency", "errors", "batch"),
    [
        (Tally(waiting=9, under_way=0, errors=0), 3, 0, Batch(start=3)),
        (Tally(waiting=9, under_way=2, errors=0), 3, 0, Batch(start=1)),
        (Tally(waiting=9, under_way=3, errors=0), 3, 0, Batch()),
        (Tally(waiting=9, under_way=5, errors=0), 3, 0, Batch()),
        (Tally(waiting=2, under_way=0, errors=0), 50, 0, Batch(start=2)),
        (Tally(waiting=0, under_way=1, errors=0), 3, 0, Batch()),
        # 0: on the first; 3: on the fourth; 10 % of 50: on the sixth (spec §5.4)
        (Tally(waiting=9, under_way=0, errors=1), 1, 0, Batch(stop=True)),
        (Tally(waiting=9, under_way=0, errors=3), 1, 3, Batch(start=1)),
        (Tally(waiting=9, under_way=0, errors=4), 1, 3, Batch(stop=True)),
        (Tally(waiting=9, under_way=0, errors=5), 1, resolve("10%", 50, least=0), Batch(start=1)),
        (Tally(waiting=9, under_way=0, errors=6), 1, resolve("10%", 50, least=0), Batch(stop=True)),
        (Tally(waiting=0, under_way=4, errors=9), 1, 0, Batch()),
    ],
)
def test_what_may_start_now(tally, concurrency, errors, batch):
    """Up to the cap, until more errors than allowed have been seen."""
    assert next_batch(tally, max_concurrency=concurrency, max_errors=errors) == batch


@given(st.builds(Tally, *[st.integers(0, 60)] * 3), st.integers(1, 60), st.integers(0, 60))
def test_the_cap_holds_and_nothing_starts_after_a_stop(tally, concurrency, errors):
    """Whatever the numbers."""
    batch = next_batch(tally, max_concurrency=concurrency, max_errors=errors)

    assert 0 <= batch.start <= tally.waiting
    assert batch.start + tally.under_way <= max(concurrency, tally.under_way)
    assert not (batch.stop and batch.start)
    assert batch.stop == (tally.errors > errors and tally.waiting > 0)
