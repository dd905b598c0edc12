# SPDX-License-Identifier: Apache-2.0
"""
The crash matrix of documents with several steps: five scripts, one of which restarts the node, and what each point means.

    First     succeeds
    Second     asks for a restart (194), and succeeds after it
    Third   fails with 3, and its onFailure is exit
    Fourth    is skipped for that
    Fifth    runs all the same: it is the finallyStep

Every script notes that it ran, which is how often it ran. The cells are those of points.py: a side, and the faults there.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from .points import FAULTS, FULL, SEED, SIDES, rows_of
from .stops import script

SCRIPTS = "Scripts"
RAN = "/var/log/ran"
SAMPLE = 2
UNKNOWN = "the outcome is unknown"
UNKNOWN_RESULT = ("Failed", 1)
RESULTS = {
    "First": ("Success", 0),
    "Second": ("Success", 0),
    "Third": ("Failed", 3),
    "Fourth": ("Success", 0),  # a step that was skipped counts as one that succeeded
    "Fifth": ("Success", 0),
}
SCRIPTS_IN_ORDER = ["First", "Second", "Second", "Third", "Fifth"]
RUNS, WANTS = "runs", "Second wants the restart"

TABLE = """
  before it
write the delivery                         | >a
acknowledge                                | <e
write the journal, begun                   | >w
remove the delivery                        | <p
write the journal, planned                 | <w >e
write the reply started                    | >n
remove the reply started                   | >p
write the journal, First begun             | ~w >p
make First run-0 directory                 | <e
write First run-0 request                  | >w
write First run-0 start, counted           | >n
write First run-0 start, noted             | <p
write First run-0 script.sh                | <t >e
write First run-0 acting                   | <t ~p
  First runs, and has not begun
write First run-0 acting                   | >t
  First runs
script of First                            | !a !w !t !e !p !s !n
write First run-0 result                   | <t <w ~e
  between
write First run-0 result                   | >w >p
write the journal, First ended             | <e >w
write the reply of the step                | >a
remove the reply of the step               | <s
write the journal, Second begun            | >p
make Second run-0 directory                | <w
write Second run-0 request                 | >e
write Second run-0 start, counted          | <p
write Second run-0 start, noted            | >a
write Second run-0 script.sh               | >t
write Second run-0 acting                  | ~e
  Second runs, and has not begun
write Second run-0 acting                  | >p
  Second runs
script of Second                           | !w !t !e !p !n
write Second run-0 result                  | <p
  Second wants the restart
write Second run-0 result                  | >w >p
write the journal, Second, restart wanted  | <p <w >e >p
write the journal, Second, restart asked for| <e <p >s
ask for the restart                        | <p <a >w
  between
write the journal, taken up                | <p >w
write the reply started, 2                 | <w
remove the reply started, 2                | >n
write the journal, Second entered again    | <p >e
make Second run-1 directory                | <w
write Second run-1 request                 | >a
write Second run-1 start, counted          | <e
write Second run-1 start, noted            | >w
write Second run-1 script.sh               | <p
write Second run-1 acting                  | <t
  Second runs again
script of Second, restarted                | !a !w !t !p !s
write Second run-1 result                  | ~p
  between
write Second run-1 result                  | >e
write the journal, Second ended            | <p >w
write the reply of step 2                  | <w
remove the reply of step 2                 | >e
write the journal, Third begun             | <p
make Third run-0 directory                 | >w
write Third run-0 request                  | <e
write Third run-0 start, counted           | >p
write Third run-0 start, noted             | <w
write Third run-0 script.sh                | >e
write Third run-0 acting                   | <p
  Third runs
script of Third                            | !w !t !e !p
write Third run-0 result                   | <t
  between
write Third run-0 result                   | >p
write the journal, Third ended             | <w >e
write the reply of step 3                  | <p
remove the reply of step 3                 | >w
write the journal, Fifth begun             | <e >p
make Fifth run-0 directory                 | >e
write Fifth run-0 request                  | <w
write Fifth run-0 start, counted           | >e
write Fifth run-0 start, noted             | <a
write Fifth run-0 script.sh                | >p
write Fifth run-0 acting                   | <w
  Fifth runs
script of Fifth                            | !w !t !e !p !n
write Fifth run-0 result                   | <e
  between
write Fifth run-0 result                   | >w
write the journal, Fifth ended             | <p >e
write the reply of step 5                  | <n
remove the reply of step 5                 | >w
write the journal, final                   | <w >p
write the reply final                      | <e
write the end                              | ~w >p
remove the journal                         | <e
clear the work                             | >w
remove the reply final                     | <p
"""


@dataclass(frozen=True)
class DocumentPoint:
    """First fault at one side of one step of the document; *stretch* is where in the run that is."""

    side: str
    step: str
    fault: str
    stretch: str
    operation: str = SCRIPTS

    def __str__(self) -> str:
        return f"{self.operation}: {self.side} {self.step}: {self.fault}"

    @property
    def stop(self) -> str:
        """What the agent is told: where to stop."""
        return f"{self.side} {self.step}"

    @property
    def unknown(self) -> str:
        """
        The step whose outcome nobody knows afterwards; "" where there is none.

        That is one whose script has begun, and whose keeper dies, with it or without.
        """
        deadly = self.fault in (FAULTS["t"], FAULTS["e"], FAULTS["p"])
        return self.stretch.split()[0] if deadly and f" {RUNS}" in self.stretch else ""

    @property
    def ran(self) -> list[str]:
        """The scripts that have run, in order; a step that restarts the node is in it twice."""
        second = self.stretch.startswith("Second runs again")
        ran = list(SCRIPTS_IN_ORDER)
        if self.unknown == "Second" and not second:
            ran.remove("Second")
        if self.unknown and "not begun" in self.stretch:
            ran.remove(self.unknown)
        return ran

    @property
    def boots(self) -> int:
        """How often the node has started; a power cut once it wants the restart is that restart."""
        cut = self.fault == FAULTS["p"]
        restarts = not (self.unknown == "Second" and "again" not in self.stretch)
        return 1 + cut + restarts - (cut and self.stretch == WANTS)

    @property
    def results(self) -> dict[str, tuple[str, int]]:
        """What is reported of every step."""
        return {**RESULTS, **({self.unknown: UNKNOWN_RESULT} if self.unknown else {})}


def points() -> list[DocumentPoint]:
    """All points, in the order of the table."""
    return [
        DocumentPoint(SIDES[word[0]], step, FAULTS[fault], stretch)
        for stretch, step, (cell,) in rows_of(TABLE)
        for word in cell.split()
        for fault in word[1:]
    ]


def steps() -> set[str]:
    """Every step that the table knows."""
    return {step for _, step, _ in rows_of(TABLE)}


def chosen() -> list[DocumentPoint]:
    """What a run of the tests goes through: all of it, or a sample drawn by `SEED`."""
    everything = points()
    return everything if FULL else random.Random(SEED).sample(everything, SAMPLE)


def document() -> dict[str, Any]:
    """The document of this table."""
    second = f'if [ "$(grep -c Second {RAN})" = 1 ]; then {script("script of Second")} exit 194; fi\n'
    return {
        "schemaVersion": "2.2",
        "description": "Five scripts.",
        "mainSteps": [
            _step("First", script("script of First")),
            _step("Second", second + script("script of Second, restarted")),
            _step("Third", script("script of Third") + "exit 3\n", onFailure="exit"),
            _step("Fourth", script("script of Fourth")),
            _step("Fifth", script("script of Fifth"), finallyStep=True),
        ],
    }


def _step(name: str, text: str, **inputs: Any) -> dict[str, Any]:
    lines = [f"echo {name} >>{RAN}", *text.splitlines(), f"echo the end of {name}"]
    return {"action": "aws:runShellScript", "name": name, "inputs": {"runCommand": lines, **inputs}}
