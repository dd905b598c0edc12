# SPDX-License-Identifier: Apache-2.0
"""
How long work took on a node: its last scans, installations and restarts, by the server's clock (docs/adr/0036). Pure.

The last `KEPT` of each are one text, newest first, in entries of equal width: one more is put in front, and what is beyond
the last is cut off, by the statement that stores the operation they are of.
"""

from __future__ import annotations

from typing import NamedTuple

from patchwright.server.patching.model import Operation, OperationState

KEPT = 20  # of each kind
_WIDTH = 6  # digits: tenths of seconds
WIDTH = KEPT * _WIDTH  # characters of a whole text
_MOST = 10**_WIDTH - 1


class Spent(NamedTuple):
    """Entries for what one operation took: its scan, its installation, its restart; empty for what it had none of."""

    scan: str = ""
    install: str = ""
    restart: str = ""


NOTHING = Spent()


class History(NamedTuple):
    """
    What is known of a node by its last operation.

    *missing* patches were not installed, *pending* ones wait for a restart. *scans*, *installs* and *restarts* are texts of
    this module's.
    """

    operating_system: str
    missing: int
    pending: int
    scans: str
    installs: str
    restarts: str


def spent(operation: Operation, *, now: float) -> Spent:
    """
    What an operation took that ends *now*, as it stood before.

    A scan lasts from when it began until its facts were there, an installation from then until the facts it ended with, and a
    restart from when the node was told to until it was back with facts. A scan that has to wait for files waits in its scan.
    """
    looked, acted = operation.looked_at, operation.acted_at
    if looked is None:
        return NOTHING
    back = operation.state is OperationState.REBOOTING
    return Spent(
        entry(looked - operation.started_at),
        entry(acted - looked) if acted is not None else "",
        entry(now - (looked if acted is None else acted)) if back else "",
    )


def entry(seconds: float) -> str:
    """One entry; a clock that went back makes it nought."""
    return f"{min(max(round(seconds * 10), 0), _MOST):0{_WIDTH}d}"


def read(text: str) -> list[float]:
    """The durations of a text, newest first, in seconds."""
    return [int(text[place : place + _WIDTH]) / 10 for place in range(0, len(text), _WIDTH)]
