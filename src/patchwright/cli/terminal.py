# SPDX-License-Identifier: Apache-2.0
"""The screen of a terminal, drawn by Rich. Imported only where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from patchwright.cli.output import Progress, Watched, label, one_line, printable, tone

_STYLES = {"good": "green", "bad": "bold red", "doubtful": "yellow"}
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
        """See `output.Screen`."""
        self._print(_table(columns, [[_cell(cell) for cell in row] for row in rows]))

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """See `output.Screen`: a table that is drawn anew as long as the command runs."""
        with Live(console=self._console, refresh_per_second=8, transient=False) as live:
            yield _Drawn(live)

    def _print(self, item: Text | Table) -> None:
        self._begun = True
        self._console.print(item)


class _Drawn:
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
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _cell(text: str) -> Text:
    return Text(one_line(text), style=_STYLES.get(tone(text), ""))
