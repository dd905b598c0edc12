# SPDX-License-Identifier: Apache-2.0
"""How many invocations of a command may be under way, and when no more are started (spec §5.4). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from patchwright.server.commands.model import InvalidTargets

_RATE = re.compile(r"(0|[1-9][0-9]{0,6})(%?)\Z")


@dataclass(frozen=True)
class Tally:
    """The invocations of one command: how many wait, are under way, and ended in an error."""

    waiting: int
    under_way: int
    errors: int


@dataclass(frozen=True)
class Batch:
    """What rate control lets happen now: how many may start, or that those that wait never will."""

    start: int = 0
    stop: bool = False


def resolve(rate: str, targets: int, *, least: int) -> int:
    """
    A rate (`10`, `10%`) as a number: percentages are of *targets*, rounded down, and at least *least*.

    Raises InvalidTargets for anything else.
    """
    match = _RATE.match(rate)
    if match is None or (match.group(2) and int(match.group(1)) > 100):
        msg = f"{rate!r} is neither a number nor a percentage."
        raise InvalidTargets(msg)
    number = int(match.group(1))
    return max(targets * number // 100 if match.group(2) else number, least)


def next_batch(tally: Tally, *, max_concurrency: int, max_errors: int) -> Batch:
    """
    What may start now.

    Args:
        tally: How the command's invocations stand.
        max_concurrency: How many may be under way at once, resolved to a number.
        max_errors: How many errors are allowed: the one after that stops the command (spec §0.3, D1).
    """
    if tally.errors > max_errors:
        return Batch(stop=tally.waiting > 0)
    return Batch(start=max(min(max_concurrency - tally.under_way, tally.waiting), 0))
