# SPDX-License-Identifier: Apache-2.0
"""How answers look: plain lines for files and pipes, Rich on a terminal (and imported only there), JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TextIO

from patchwright.cli.wording import Watched, label, one_line, printable


class Progress(Protocol):
    """Shows how far a command has come."""

    def show(self, rows: Sequence[Watched]) -> None:
        """Show the present state of every node."""
        ...


class Screen(Protocol):
    """Where answers go."""

    def heading(self, text: str) -> None:
        """A title; an empty line stands before it, unless it comes first."""
        ...

    def line(self, text: str = "") -> None:
        """A line of text."""
        ...

    def fact(self, name: str, value: str) -> None:
        """A named value; the words of a standing or a state stand out."""
        ...

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows below the names of their columns."""
        ...

    def progress(self) -> AbstractContextManager[Progress]:
        """What shows a running command."""
        ...


def screen() -> Screen:
    """Rich on a terminal, plain lines elsewhere."""
    if sys.stdout.isatty():
        from patchwright.cli.terminal import Terminal

        return Terminal()
    return Plain(sys.stdout)


class Plain:
    """See `Screen`. Columns are padded to their widest cell, the last one is not."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = False

    def heading(self, text: str) -> None:
        """See `Screen`."""
        if self._begun:
            self.line()
        self.line(text)

    def line(self, text: str = "") -> None:
        """See `Screen`."""
        self._begun = True
        print(printable(text).rstrip(), file=self._stream, flush=True)

    def fact(self, name: str, value: str) -> None:
        """See `Screen`."""
        self.line(f"  {name:<12} {value}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """See `Screen`."""
        cells = [[one_line(cell) for cell in row] for row in (columns, *rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            self.line("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """See `Screen`: one line for each change."""
        yield _Changes(self)


class _Changes:
    def __init__(self, plain: Plain) -> None:
        self._plain = plain
        self._seen: dict[str, str] = {}

    def show(self, rows: Sequence[Watched]) -> None:
        for row in rows:
            if self._seen.get(row.instance_id) != row.status:
                self._seen[row.instance_id] = row.status
                self._plain.line(f"{label(row.instance_id, row.name)}: {row.status}")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2))
