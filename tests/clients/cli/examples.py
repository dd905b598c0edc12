# SPDX-License-Identifier: Apache-2.0
"""
The AWS CLI's own documented examples, read from the installed package: commands, the files they name, documented output.

    for example in examples("get-parameter"):
        example.name        # "get-parameter 2": the second command of the page
        example.words       # what a shell makes of the command
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awscli

PAGES = Path(awscli.__file__).parent / "examples" / "ssm"
_COMMAND = re.compile(r"^\s+(?:\$ )?aws ssm ")
_FILE = re.compile(r"^Contents? of (?:the )?``([^`]+)``.*::\s*$")
_ELLIPSIS = re.compile(r"^\s*(?:\.\.\.\S*|<\.\.\.[^>]*>)\s*,?\s*$|--- ?truncated ?---|\[\.\.\.\]", re.MULTILINE)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_OPEN_STRING = re.compile(r'(: "[^"\n]*),$', re.MULTILINE)
_BARE_TIME = re.compile(r": (\d{4}-\d\d-\d\dT[\d:.]+Z)")
_MISSING_COMMA = re.compile(r'(["\d}\]])(\s*\n\s*["{])')


@dataclass(frozen=True)
class Example:
    """A command of a page; *output* is None where the page shows none."""

    page: str
    number: int
    words: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    output: Any = None

    @property
    def name(self) -> str:
        return f"{self.page} {self.number}"

    @property
    def operation(self) -> str:
        """The operation's name in the command: that of its page, but for one slip of the pages."""
        return self.words[2]


def pages() -> list[str]:
    """The names of all pages."""
    return sorted(path.stem for path in PAGES.glob("*.rst"))


def examples(page: str) -> list[Example]:
    """The examples of *page*, in its order. Commands for another shell (`^` at the end of a line) are left out."""
    lines = (PAGES / f"{page}.rst").read_text(encoding="utf-8").splitlines()
    starts = [index for index, line in enumerate(lines) if _COMMAND.match(line)]
    found = []
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True), 1):
        command, after = _command(lines, start)
        rest = lines[after:end]
        found.append(Example(page, number, tuple(shlex.split(command)), _files(rest), _output(rest)))
    return found


def _command(lines: list[str], start: int) -> tuple[str, int]:
    end = start
    # One page forgets the backslash before a line of options.
    while lines[end].rstrip().endswith("\\") or (lines[end + 1 : end + 2] and lines[end + 1].strip().startswith("--")):
        end += 1
    text = " ".join(line.rstrip().removesuffix("\\") for line in lines[start : end + 1])
    return text.strip().removeprefix("$ ").replace("\\$", "$"), end + 1  # a shell's quoting that shlex does not know


def _block(lines: list[str], start: int) -> str:
    """The indented block that follows line *start*."""
    found: list[str] = []
    for line in lines[start:]:
        if line.strip() and not line.startswith((" ", "\t")):
            break
        found.append(line)
    return "\n".join(found).strip("\n")


def _files(lines: list[str]) -> dict[str, str]:
    named = [(index, match[1]) for index, line in enumerate(lines) if (match := _FILE.match(line))]
    return {name: _block(lines, index + 1) for index, name in named}


def _output(lines: list[str]) -> Any:
    start = next((index for index, line in enumerate(lines) if line.strip().lower().startswith("output::")), None)
    if start is None:
        return None
    text = _block(lines, start + 1)
    return _lenient(text) if text.strip() else None


def _lenient(text: str) -> Any:
    """JSON as people write it: cut short, a comma too many or too few, a quotation mark forgotten."""
    cut = _OPEN_STRING.sub(r'\1",', _BARE_TIME.sub(r': "\1"', _ELLIPSIS.sub("", text)))
    cut = _TRAILING_COMMA.sub(r"\1", _MISSING_COMMA.sub(r"\1,\2", cut))
    for candidate in (text, cut):
        try:
            return json.loads(candidate, strict=False)
        except ValueError:
            continue
    return f"unreadable: {text}"
