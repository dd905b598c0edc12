# SPDX-License-Identifier: Apache-2.0
"""The teller remembers what did not hold, and does not wait for ever."""

from __future__ import annotations

import pytest
from demo.tell import Teller


def test_a_check_that_fails_is_remembered(capsys):
    """The exit code depends on it, and the line says so."""
    tell = Teller()
    tell.check(True, "one")
    tell.check(False, "two")

    assert tell.failures == ["two"]
    assert capsys.readouterr().out == "[ok] one\n[FAILED] two\n"


def test_columns_are_as_wide_as_their_widest_member(capsys):
    """A reader's eye finds the versions below each other; no blanks at the end of a line."""
    Teller().table(("name", "why"), [("a-long-name", "x"), ("b", "")])

    assert capsys.readouterr().out.splitlines() == ["  name         why", "  a-long-name  x", "  b"]


def test_waiting_answers_what_was_found():
    """The first answer counts."""
    answers = iter([None, "found"])

    assert Teller().wait("something", lambda: next(answers), seconds=10) == "found"


def test_waiting_ends_with_what_was_awaited():
    """A step that never ends is a failure with a name."""
    with pytest.raises(TimeoutError, match="the moon: no end after 0 s"):
        Teller().wait("the moon", lambda: None, seconds=0)
