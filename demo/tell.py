# SPDX-License-Identifier: Apache-2.0
"""What the demo says, and which of its checks held."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
BEAT_SECONDS = 10.0  # how often a long step says that it goes on
LOOK_SECONDS = 0.1
WIDTH = 100


class Teller:
    """Prints the story to standard output as it happens; remembers every check that failed."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._begun = time.monotonic()
        self._bold = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")

    @property
    def seconds(self) -> float:
        """How long the story has been going on."""
        return time.monotonic() - self._begun

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        begin, end = self._bold
        print(f"\n{begin}== {title}{end}  [{self.seconds:.1f} s]", flush=True)

    def say(self, text: str) -> None:
        """A paragraph."""
        print(textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False), flush=True)

    def lines(self, text: str) -> None:
        """Text as it is, set in."""
        print(textwrap.indent(text, "  "), flush=True)

    def check(self, held: bool, text: str) -> None:
        """Something that has to be so. The demo ends well only if every check held."""
        print(textwrap.fill(f"[{'ok' if held else 'FAILED'}] {text}", WIDTH, subsequent_indent="     "), flush=True)
        if not held:
            self.failures.append(text)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as their widest member; the last one goes on to the end."""
        widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
        for row in (head, *rows):
            print("  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        sys.stdout.flush()

    def wait(self, what: str, look: Callable[[], T | None], *, seconds: float) -> T:
        """
        Look until there is an answer, saying now and then that it goes on.

        Raises TimeoutError after *seconds*.
        """
        begun = time.monotonic()
        beat = begun + BEAT_SECONDS
        while True:
            answer = look()
            if answer is not None:
                return answer
            now = time.monotonic()
            if now - begun > seconds:
                raise TimeoutError(f"{what}: no end after {seconds:.0f} s")
            if now > beat:
                beat += BEAT_SECONDS
                print(f"  … {what}, {now - begun:.0f} s", flush=True)
            time.sleep(LOOK_SECONDS)
