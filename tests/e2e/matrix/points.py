# SPDX-License-Identifier: Apache-2.0
"""
The crash matrix as a table: a row for every durable step of an operation, a column for every operation.

A cell says what befalls the node at that step: a side and the faults on it, each of which is one point.

    <  before the step      ~  half: the new file is written, and not renamed      >  after it      !  in the middle of it
    a  the agent that waits is killed        w  its worker is killed      t  the process of the task is killed
    e  everything of the agent is killed, apt and dpkg with it            p  the node loses power
    s  the server is killed, and started again when the node has missed it
    n  the network is cut, and healed when the node has missed it

`-` stands where an operation has no such step. Every kill is a SIGKILL. An indented line begins a stretch of the run; it
decides what a power cut means (see `Point.expected`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass

FULL = os.environ.get("PATCHWRIGHT_FULL", "") not in ("", "0")
SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))
SAMPLE = 8

SCAN, INSTALL, RESTART = "Scan", "Install", "Install, restart"
OPERATIONS = (SCAN, INSTALL, RESTART)
SIDES = {"<": "before", "~": "half", ">": "after", "!": "during"}
FAULTS = {
    "a": "agent killed",
    "w": "worker killed",
    "t": "task killed",
    "e": "everything killed",
    "p": "power cut",
    "s": "server killed",
    "n": "network cut",
}
ASKING, FETCHING, CHANGED = "asking the archives", "fetching", "changed, and not told yet"

TABLE = """
  nothing is changed yet
write the delivery                         | <a    | >a             | <p >a
acknowledge                                | >e    | <s             | >p <n
write the journal, begun                   | <w    | >e             | <w >p
remove the delivery                        | >p    | <p             | <p >e
write the journal, planned                 | <e    | <n             | <e >s
write the reply started                    | >w    | >w             | <p >w
remove the reply started                   | <p    | <s             | <p >n
write the journal, step begun              | >n    | ~w             | <w >p
  asking the archives
write the journal, phase before            | <s    | >a             | ~p >e
make before-0 directory                    | <w    | >e             | <e >s
write before-0 request                     | >p    | <p             | <p >w
write before-0 start, counted              | <e <n | <n             | <p >n
  nothing is changed yet
write before-0 start, noted                | >w    | >w             | <w >p
write before-0 body                        | <t    | >t             | <t >p
write before-0 result                      | ~p    | <w             | <p >t
write the journal, before-0 numbered       | <w    | >p             | <p >e
write the journal, phase resolve           | -     | <s             | ~p >e
make resolve-0 directory                   | -     | <w             | <e >s
write resolve-0 request                    | -     | >a             | <p >w
write resolve-0 start, counted             | -     | >e             | <p >n
write resolve-0 start, noted               | -     | <p             | <w >p
write resolve-0 result                     | -     | <p             | <e >w
  fetching
write the journal, phase act               | -     | <n             | ~p >e
make act-0 directory                       | -     | >w             | <e >s
write act-0 request                        | -     | <s             | <p >w
write act-0 start, counted                 | -     | ~w             | <p >n
write act-0 start, noted                   | -     | >a             | <w >p
write act-0 acting                         | -     | <n >p          | <s ~p
  changing
preinst of foo                             | -     | !t !p !w       | !e !p
unpacking of foo                           | -     | !t !p !w       | !t !e !p
preinst of bar                             | -     | !t !p !w       | !e !a !p
unpacking of bar                           | -     | !t !p !w       | !e !p
configuration of foo                       | -     | !t !s !n !a !p | !t !e !p
configuration of bar                       | -     | !w !e !p       | !e !n !p
write act-0 result                         | -     | <t <s          | <t <p
  changed, and not told yet
write act-0 result                         | -     | >p >a          | >p >e
write the journal, phase after             | -     | >e             | ~p >e
make after-0 directory                     | -     | <p             | <e >s
write after-0 request                      | -     | <n             | <p >w
write after-0 start, counted               | -     | >w             | <p >n
write after-0 start, noted                 | -     | <s             | <w >p
write after-0 body                         | -     | >t             | <p >t
write after-0 result                       | -     | <w             | <e >w
write the journal, after-0 numbered        | -     | <e             | <w >p
write the journal, phase reboot            | -     | -              | ~p >e
write the journal, restart asked for       | -     | -              | <e >s
ask for the restart                        | -     | -              | <p <a >w >s
  over
write the journal, taken up                | -     | -              | <p >n
write the reply started, 2                 | -     | -              | <w >p
remove the reply started, 2                | -     | -              | <p >e
write the journal, phase after the restart | -     | -              | <e >s
make after-1 directory                     | -     | -              | <p >w
write after-1 request                      | -     | -              | <p >n
write after-1 start, counted               | -     | -              | <w >p
write after-1 start, noted                 | -     | -              | ~p >e
write after-1 body                         | -     | -              | <s ~p
write after-1 result                       | -     | -              | <t >p
write the journal, after-1 numbered        | -     | -              | <p >w
write the journal, phase done              | ~p    | ~w             | <e >s
write the journal, step ended              | >n    | >a             | <p >w
write the reply of the step                | <s    | >e             | <p >n
remove the reply of the step               | <w    | <p             | <w >p
write the journal, final                   | >p    | <n             | ~p >e
write the reply final                      | <e    | >w             | <e >s
write the end                              | >w    | <s             | <p >w
remove the journal                         | <p    | <w             | <p >n
clear the work                             | >n    | >a             | <w >p
remove the reply final                     | <s    | >e             | <p >e
"""


@dataclass(frozen=True)
class Outcome:
    """
    How a point has to end.

    Attributes:
        boots: How often the node has started, its first start included.
        states: What is reported of both packages; "" where nothing is reported.
        unpacked_again: The package that dpkg may unpack twice.
        reason: What the report of a command that Failed says; "" where it has to be a Success.
    """

    boots: int
    states: str
    unpacked_again: str = ""
    reason: str = ""


# What a network that is cut in these stretches prevents.
PREVENTED = {
    ASKING: Outcome(1, "", reason="the node cannot read these repositories"),
    FETCHING: Outcome(1, "Failed", reason="cannot be fetched"),
}


@dataclass(frozen=True)
class Point:
    """One fault at one side of one step of one operation; *stretch* is where in the run that is."""

    operation: str
    side: str
    step: str
    fault: str
    stretch: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.side} {self.step}: {self.fault}"

    @property
    def stop(self) -> str:
        """What the agent is told: where to stop."""
        return f"{self.side} {self.step}"

    @property
    def expected(self) -> Outcome:
        """
        What must hold in the end.

        Every point ends with Success, but for a network that is cut while the node needs its archives: that prevents the
        operation, is Failed with that reason, and has changed nothing.

        A power cut is one more start of the node. Where everything was installed and the facts afterwards are not reported
        yet, it is the restart that RebootIfNeeded wants: no other follows, and without RebootIfNeeded nothing stays pending.
        What dpkg was about to unpack when it died with the node or the agent, it has to unpack again; nothing else.
        """
        cut = self.fault == FAULTS["p"]
        if self.fault == FAULTS["n"] and self.stretch in PREVENTED:
            return PREVENTED[self.stretch]
        restarted = cut and self.stretch == CHANGED
        boots = 1 + cut + (self.operation == RESTART and not restarted)
        if self.operation == SCAN:
            return Outcome(boots, "Missing")
        killed_dpkg = cut or self.fault == FAULTS["e"]
        kind, _, name = self.step.rpartition(" of ")
        again = name if killed_dpkg and kind in ("preinst", "unpacking") else ""
        pending = self.operation == INSTALL and not restarted
        return Outcome(boots, "InstalledPendingReboot" if pending else "Installed", again)


def points() -> list[Point]:
    """All points, in the order of the table."""
    return [
        Point(operation, SIDES[word[0]], step, FAULTS[fault], stretch)
        for stretch, step, cells in rows_of(TABLE)
        for operation, cell in zip(OPERATIONS, cells, strict=True)
        for word in cell.replace("-", "").split()
        for fault in word[1:]
    ]


def steps(operation: str) -> set[str]:
    """Every step that the table knows of an operation."""
    return {step for _, step, cells in rows_of(TABLE) if cells[OPERATIONS.index(operation)] != "-"}


def chosen() -> list[Point]:
    """What a run of the tests goes through: all of it, or a sample with every fault in it, drawn by `SEED`."""
    everything = points()
    if FULL:
        return everything
    source = random.Random(SEED)
    by_fault = {fault: [point for point in everything if point.fault == fault] for fault in FAULTS.values()}
    drawn = [source.choice(found) for found in by_fault.values()]
    left = [point for point in everything if point not in drawn]
    return drawn + source.sample(left, SAMPLE - len(drawn))


def rows_of(table: str) -> list[tuple[str, str, Sequence[str]]]:
    """Of a *table*: stretch, step, and a cell for each operation."""
    found, stretch = [], ""
    for line in table.strip("\n").splitlines():
        if line.startswith("  "):
            stretch = line.strip()
            continue
        step, *cells = (part.strip() for part in line.split("|"))
        found.append((stretch, step, cells))
    return found
