# SPDX-License-Identifier: Apache-2.0
"""docs/reference/conformance.md, which says what differs and why: its tables are what the tests go by."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"


def rows(title: str, text: str = "") -> list[tuple[str, ...]]:
    """The rows of the table below the heading *title*, without their reasons' column, backticks taken off."""
    parts = re.split(r"^#+ ", text or PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (found,) = [part for part in parts if part.startswith(title + "\n")]
    lines = [line for line in found.splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]
    assert all(len(line) > 1 and line[-1].strip(" |") for line in cells), f"a row without a reason below {title}"
    return [tuple(line[:-1]) for line in cells]
