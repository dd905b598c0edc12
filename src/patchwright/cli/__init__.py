# SPDX-License-Identifier: Apache-2.0
"""
The operator's command: thin, over the same API as every other client. Knows core, and neither server nor agent.

The door: `main`. Whatever takes time to import is imported by the command that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patchwright.core.facts import View

    TakeView = Callable[[bool], tuple[View, Sequence[str]]]

__all__ = ["main"]


def main(words: Sequence[str], *, take_view: TakeView | None = None) -> int:
    """
    Run `patchwright WORDS`; returns the exit code: 0 done, 1 refused or failed, 2 usage.

    Args:
        words: What follows `patchwright` on the command line.
        take_view: Takes this machine's facts; its argument says whether repository metadata is fetched first. Answers
            what it saw, and in sentences what could not be done. May raise PatchwrightError. None: `scan` is refused.
    """
    from patchwright.cli.program import run

    return run(words, take_view)
