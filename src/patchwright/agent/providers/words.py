# SPDX-License-Identifier: Apache-2.0
"""What package managers say, as it is passed on: without secrets, without what no terminal should be told, no longer than needed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Iterator

REASON_CHARACTERS = 400
_SECRET = re.compile(r"(?<=://)[^/@\s]+@")
_UNREADABLE = re.compile(r"[^\n\t\x20-\x7e\u00a0-\uffff]")


def without_secret(text: str) -> str:
    """*text* with user names and passwords taken out of its addresses."""
    return _SECRET.sub("", text)


def cut(text: str, limit: int = REASON_CHARACTERS) -> str:
    """*text* of at most *limit* characters, without control characters."""
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def readable(text: str) -> str:
    """*text* with its lines, and without control characters and what is no text."""
    return _UNREADABLE.sub("", text.replace("\r", "\n"))


@contextlib.contextmanager
def output_file() -> Iterator[Path]:
    """A file for what a package manager writes, in a directory that goes with the block."""
    directory = Path(tempfile.mkdtemp(prefix="patchwright-"))
    try:
        yield directory / "output"
    finally:
        shutil.rmtree(str(directory), ignore_errors=True)


def end_of(file: Path, limit: int) -> str:
    """The last *limit* bytes of a file as text; empty where there is none."""
    try:
        with file.open("rb") as output:
            size = output.seek(0, os.SEEK_END)
            output.seek(max(0, size - limit))
            return output.read().decode("utf-8", "replace")
    except OSError:
        return ""
