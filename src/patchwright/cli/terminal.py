# SPDX-License-Identifier: Apache-2.0
"""The screen of a terminal, drawn by Rich. Imported only where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.segment import Segment, Segments
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from patchwright.cli.wording import Watched, label, one_line, printable, tone

_STYLES = {"good": "green", "bad": "bold red", "doubtful": "yellow"}
_LAST_COLUMN_WIDTH = 30  # characters that a text to be wrapped gets at least
_GAP = 2
_RUNNING = {"Pending", "Delayed", "InProgress", "Cancelling"}


class Terminal:
    """See `output.Screen`."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        self._begun = False

    def heading(self, text: str) -> None:
        """See `output.Screen`."""
        if self._begun:
            self.line()
        self._print(Text(printable(text), style="bold"))

    def line(self, text: str = "") -> None:
        """See `output.Screen`."""
        self._print(Text(printable(text)))

    def fact(self, name: str, value: str) -> None:
        """See `output.Screen`."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=14)
        grid.add_column(overflow="fold")
        grid.add_row(Text(f"  {name}", style="dim"), _cell(value))
        self._print(grid)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """See `output.Screen`: only the last column is wrapped. What is wider than the terminal, the terminal wraps."""
        columns, *rows = [[one_line(cell) for cell in row] for row in (columns, *rows)]
        widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
        before = sum(widths[:-1]) + _GAP * len(widths[:-1])
        table = _table(columns, [[_cell(cell) for cell in row] for row in rows])
        table.columns[-1].width = min(widths[-1], max(_LAST_COLUMN_WIDTH, self._console.width - before))
        options = self._console.options.update(width=before + table.columns[-1].width)
        self._begun = True
        for line in self._console.render_lines(table, options, pad=False):
            self._console.print(Segments([*line, Segment.line()]), soft_wrap=True, end="")

    @contextmanager
    def progress(self) -> Iterator[Drawn]:
        """See `output.Screen`: a table that is drawn anew as long as the command runs."""
        with Live(console=self._console, refresh_per_second=8, transient=False) as live:
            yield Drawn(live)

    def _print(self, item: Text | Table) -> None:
        self._begun = True
        self._console.print(item)


class Drawn:
    """Redraws the table of nodes."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._spinner = Spinner("dots")

    def show(self, rows: Sequence[Watched]) -> None:
        """See `output.Progress`."""
        cells: list[list[Text | Spinner]] = [
            [
                self._spinner if row.status in _RUNNING else Text(" "),
                Text(label(row.instance_id, one_line(row.name))),
                _cell(row.status),
            ]
            for row in rows
        ]
        self._live.update(_table(("", "NODE", "STATUS"), cells))


def _table(columns: Sequence[str], rows: Sequence[Sequence[Text | Spinner]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, _GAP, 0, 0))
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1])
    for row in rows:
        table.add_row(*row)
    return table


def _cell(text: str) -> Text:
    return Text(one_line(text), style=_STYLES.get(tone(text), ""))
