# SPDX-License-Identifier: Apache-2.0
"""What a script step is read as, before anything runs."""

from __future__ import annotations

import pytest

from patchwright.agent.actions import script


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("5", 5),
        (172_800, 172_800),
        (" 60 ", 60),
        ("4", 3600),
        (0, 3600),
        (-1, 3600),
        (172_801, 3600),
        ("", 3600),
        (None, 3600),
        ("1h", 3600),
        ("{{ executionTimeout }}", 3600),
        ("60.5", 3600),
        ([60], 3600),
    ],
)
def test_a_time_limit_that_is_none_is_an_hour(given, seconds):
    """As Amazon's agent reads it: from 5 to 172800, a number or a text (spec §5.3)."""
    assert script.seconds(given) == seconds


@pytest.mark.parametrize(
    ("text", "interpreter"),
    [
        ("echo\n", ["sh"]),
        ("", ["sh"]),
        ("#!/bin/bash\necho\n", ["/bin/bash"]),
        ("#!/bin/bash\r\necho\r\n", ["/bin/bash"]),
        ("#! /bin/sh -e\n", ["/bin/sh", "-e"]),
        ("#!/usr/bin/env -S python3 -I\n", ["/usr/bin/env", "-S python3 -I"]),
        ("#!\n", ["sh"]),
        (" #!/bin/bash\n", ["sh"]),
        ("# a comment\n#!/bin/bash\n", ["sh"]),
    ],
)
def test_the_first_line_names_the_interpreter(text, interpreter):
    """The program and at most one argument, as the kernel reads it."""
    assert script.interpreter_of(text) == interpreter


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["a", "b"], "a\nb\n"),
        ("a\nb", "a\nb\n"),
        ([], ""),
        (None, ""),
        ({"a": 1}, ""),
        ([1, True], "1\nTrue\n"),
    ],
)
def test_lines_become_a_text(lines, text):
    """A list of lines, or a text as it comes from a parameter; anything else is no script."""
    assert script.text_of({"inputs": {"runCommand": lines}}) == text
