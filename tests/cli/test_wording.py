# SPDX-License-Identifier: Apache-2.0
"""Times, states and rules as people read them."""

from __future__ import annotations

import pytest

from patchwright.cli.wording import filter_texts, moment, one_line, rule_text, since, span, tone


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (7_199, "1 h"), (86_400 * 3, "3 d")]
)
def test_a_length_of_time_has_one_unit(seconds, text):
    """The largest unit that fits; a clock that is ahead makes no negative ages."""
    assert text == span(seconds)


def test_moments_are_told_in_utc_and_in_relation_to_now():
    """Nobody has to know the server's time zone; nothing at all is `never`."""
    assert "2026-11-20 04:00 UTC" == moment(1_795_147_200)
    assert "2 h ago (2026-11-20 04:00 UTC)" == since(1_795_147_200, 1_795_147_200 + 7_300)
    assert "never" == since(0, 1.0) == since(None, 1.0)


def test_a_cell_has_one_line():
    """Line ends and tabs in a cell are spaces."""
    assert "a b c" == one_line("a\n b\t\tc\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("NON_COMPLIANT: 3 Missing", "bad"), ("Online, heard", "good"), ("InProgress", "doubtful"), ("anything", "")],
)
def test_the_first_word_has_the_tone(text, expected):
    """Colours follow the words of the API."""
    assert expected == tone(text)


def test_a_rule_is_a_sentence():
    """What is approved, when, and where; filters that leave nothing out are not mentioned."""
    filters = [("PRODUCT", ["*"]), ("SEVERITY", ["Critical", "Important"])]

    assert (
        "approves security updates 7 days after their release; SEVERITY is Critical or Important; level HIGH"
        == rule_text(filters, days=7, until=None, non_security=False, level="HIGH")
    )
    assert "approves all updates that were released up to 2026-01-31" == rule_text(
        [], days=None, until="2026-01-31", non_security=True, level="UNSPECIFIED"
    )
    assert ["NAME is a"] == filter_texts([("NAME", ["a"]), ("ARCH", ["*"])])
