# SPDX-License-Identifier: Apache-2.0
"""What is printed: plain where nobody looks, drawn on a terminal, and never able to steer one."""

from __future__ import annotations

import io

from rich.console import Console

from patchwright.cli.output import Plain
from patchwright.cli.terminal import Terminal
from patchwright.cli.wording import Watched, printable

ESCAPE = "\x1b]0;owned\x07red\x1b[31m\r\u202e"


def drawn(width: int, draw) -> list[str]:
    """The lines that *draw* makes on a terminal of that width."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False, markup=False
    )
    draw(Terminal(console))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_plain_columns_are_as_wide_as_their_widest_cell():
    """The last column is not padded, so that lines end where they end."""
    stream = io.StringIO()

    Plain(stream).table(["A", "LONG"], [["wider", "x"], ["y", ""]])

    assert ["  A      LONG", "  wider  x", "  y"] == stream.getvalue().splitlines()


def test_headings_are_set_apart():
    """An empty line stands before a heading, but not before the first."""
    stream = io.StringIO()
    plain = Plain(stream)

    plain.heading("one")
    plain.fact("name", "value")
    plain.heading("two")

    assert ["one", "  name         value", "", "two"] == stream.getvalue().splitlines()


def test_a_node_cannot_steer_the_terminal():
    """Control characters and those that turn the writing direction are dropped wherever text is printed."""
    stream = io.StringIO()
    plain = Plain(stream)
    plain.line(ESCAPE)
    plain.table([ESCAPE], [[ESCAPE]])
    plain.fact("name", ESCAPE)
    with plain.progress() as progress:
        progress.show([Watched("mi-1", ESCAPE, "Pending")])

    lines = drawn(80, lambda screen: (screen.line(ESCAPE), screen.heading(ESCAPE), screen.table([ESCAPE], [[ESCAPE]])))

    assert "]0;ownedred[31m" == printable(ESCAPE)
    for text in (stream.getvalue(), *lines):
        assert not set("\x1b\x07\r\u202e") & set(text)


def test_markup_of_a_node_is_text():
    """Square brackets in a name are no colours."""
    assert ["[red]name[/red] :smile:"] == drawn(80, lambda screen: screen.line("[red]name[/red] :smile:"))


def test_only_the_last_column_is_wrapped_on_a_terminal():
    """An id or a version is never broken; a long reason is, and all of it is there."""
    reason = " ".join(["reason"] * 12)

    lines = drawn(70, lambda screen: screen.table(["PACKAGE", "WHY"], [["libevent-core-2.1-7.amd64", reason]]))

    assert "libevent-core-2.1-7.amd64" == lines[1].split()[0]
    assert 12 == "\n".join(lines).count("reason")
    assert len(lines) > 2


def test_a_table_wider_than_the_terminal_is_not_cut():
    """Where the columns do not fit, the terminal breaks the line: nothing is lost."""
    cells = ["mi-0123456789abcdef0", "a-name-that-is-not-short", "Debian GNU/Linux 12", "81 Missing"]

    lines = drawn(30, lambda screen: screen.table(["A", "B", "C", "D"], [cells]))

    assert all(cell in lines[-1] for cell in cells)


def test_progress_in_a_file_is_a_line_for_each_change():
    """The same state twice is one line."""
    stream = io.StringIO()
    with Plain(stream).progress() as progress:
        progress.show([Watched("mi-1", "web", "Pending"), Watched("mi-2", "", "Pending")])
        progress.show([Watched("mi-1", "web", "Pending"), Watched("mi-2", "", "Success")])

    assert ["mi-1 (web): Pending", "mi-2: Pending", "mi-2: Success"] == stream.getvalue().splitlines()


def test_progress_on_a_terminal_shows_where_every_node_ended():
    """The table that stays behind has each node with its last status."""

    def draw(terminal: Terminal) -> None:
        with terminal.progress() as progress:
            progress.show([Watched("mi-1", "web", "Pending"), Watched("mi-2", "", "InProgress")])
            progress.show([Watched("mi-1", "web", "Success"), Watched("mi-2", "", "Failed")])

    last = drawn(80, draw)[-3:-1]

    assert [["mi-1", "(web)", "Success"], ["mi-2", "Failed"]] == [line.split() for line in last]
