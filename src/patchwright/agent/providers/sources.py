# SPDX-License-Identifier: Apache-2.0
"""
The files that a package manager reads an operation's sources from (`Settings.sources`), and what may stand in them.

They are made anew by every task, so nothing depends on their having outlived a crash, and nothing of the node's own is touched.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Collection, Mapping

from patchwright.agent.errors import UnusableSource
from patchwright.agent.providers.words import without_secret
from patchwright.core.source import Source

SHOWN = 80  # characters of a line in a message
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def text_of(source: Source) -> str:
    """
    The configuration with its lines ended by `\\n`.

    Raises UnusableSource where it has characters that end a line for some and not for others, or no meaning in a file.
    """
    text = source.configuration.replace("\r\n", "\n")
    if _CONTROL.search(text):
        raise refusal(source, "has characters that do not belong into a repository's configuration")
    return text.rstrip("\n") + "\n"


def check_address(source: Source, address: str, schemes: Collection[str]) -> None:
    """Raise UnusableSource unless *address* begins with one of *schemes*: others start programs, or reach what is not meant."""
    found = _SCHEME.match(address)
    if found is None or found.group(1).lower() not in schemes:
        shown = without_secret(address)[:SHOWN]
        raise refusal(source, "has the address {!r}, which begins with none of {}".format(shown, ", ".join(schemes)))


def refusal(source: Source, why: str) -> UnusableSource:
    """The error that names *source* and says what is wrong with it."""
    return UnusableSource(f"the source {source.name!r} of the baseline {why}; mend the Sources of the baseline")


def keep(directory: Path, files: Mapping[str, str]) -> None:
    """
    Have *directory* hold *files* (mode 0600: addresses may hold credentials) by name, and nothing else.

    A file that is as it should be stays as it is; any other is replaced in one piece.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in directory.iterdir():
        if path.name not in files:
            path.unlink()
    for name, text in files.items():
        path, data = directory / name, text.encode("utf-8", "surrogatepass")
        try:
            if path.read_bytes() == data:
                continue
        except FileNotFoundError:
            pass
        beside = directory / f".{name}.new"
        descriptor = os.open(str(beside), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
