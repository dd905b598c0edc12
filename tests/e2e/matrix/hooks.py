# SPDX-License-Identifier: Apache-2.0
"""
The crash matrix of AWS-RunPatchBaselineWithHooks: an Install with a restart and three hooks, and what each point means.

A patch step is resumable, so that nothing that befalls it changes the end. A hook is a script, and opaque: where its keeper dies
its outcome is unknown, and the run ends as it does after a hook that failed (spec §3.8): nothing is installed after a failed
pre-install hook, the node is not restarted after a failed post-install hook, and the on-exit hook always runs.

The cells are those of points.py. What has every durable step of a patch operation and of a script is in the other two tables:
here are the moments between steps, and those that mean something else here.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .points import FAULTS, FULL, SEED, SIDES, rows_of
from .stops import script

WITH_HOOKS = "WithHooks"
DOCUMENT = "AWS-RunPatchBaselineWithHooks"
RAN = "/var/log/ran"
SAMPLE = 1
PRE, POST, EXIT = "PreInstallHook", "PostInstallHook", "OnExitHook"
HOOKS = (PRE, POST, EXIT)
STEPS = ("Scan", "VerifyOperation", PRE, "Install", POST, "VerifyReboot", "RebootAndReport", EXIT)
INSTALLED = ("installed", "the restart is wanted")  # stretches in which a power cut is the restart

TABLE = """
  before
write the journal, Scan begun            | <w >p
write the journal, Scan ended            | <e >w
write the journal, VerifyOperation begun | >p
write the journal, VerifyOperation ended | <p >e
write the journal, PreInstallHook begun  | <w >p
  PreInstallHook runs
hook of PreInstallHook                   | !a !w !t !e !p !s !n
  before
write the journal, PreInstallHook ended  | <p >w
write the journal, Install begun         | <e >p
  changing
preinst of foo                           | !t !p !w
configuration of bar                     | !w !p !e
  installed
write the journal, Install ended         | <w <p >p
write the journal, PostInstallHook begun | >e
  PostInstallHook runs
hook of PostInstallHook                  | !a !w !t !e !p !s !n
  installed
write the journal, PostInstallHook ended | <p >w
write the journal, VerifyReboot begun    | >p
write the journal, VerifyReboot ended    | <e
write the journal, RebootAndReport begun | <w >p
  the restart is wanted
ask for the restart                      | <p <a >w
  over
write the journal, RebootAndReport ended | <p >e
write the journal, OnExitHook begun      | <w >p
  OnExitHook runs
hook of OnExitHook                       | !a !w !t !e !p !s !n
  over
write the journal, OnExitHook ended      | <p >w
write the journal, final                 | >e
write the end                            | <p
"""


@dataclass(frozen=True)
class HookPoint:
    """One fault at one side of one step of the run; *stretch* is where in the run that is."""

    side: str
    step: str
    fault: str
    stretch: str
    operation: str = WITH_HOOKS

    def __str__(self) -> str:
        return f"{self.operation}: {self.side} {self.step}: {self.fault}"

    @property
    def stop(self) -> str:
        """What the agent is told: where to stop."""
        return f"{self.side} {self.step}"

    @property
    def unknown(self) -> str:
        """The hook whose outcome nobody knows afterwards; "" where there is none."""
        deadly = self.fault in (FAULTS["t"], FAULTS["e"], FAULTS["p"])
        return self.stretch.split()[0] if deadly and self.stretch.endswith(" runs") else ""

    @property
    def ran(self) -> list[str]:
        """The hooks that have run, in order."""
        return [PRE, EXIT] if self.unknown == PRE else list(HOOKS)

    @property
    def boots(self) -> int:
        """How often the node has started."""
        cut = self.fault == FAULTS["p"]
        restarted = self.unknown not in (PRE, POST)
        return 1 + cut + restarted - (cut and self.stretch in INSTALLED)

    @property
    def state(self) -> str:
        """What the last operation reports of both packages."""
        return {PRE: "Missing", POST: "InstalledPendingReboot"}.get(self.unknown, "Installed")

    @property
    def results(self) -> Mapping[str, str]:
        """The status of every step; one that was skipped counts as one that succeeded."""
        return {step: "Failed" if step == self.unknown else "Success" for step in STEPS}


def points() -> list[HookPoint]:
    """All points, in the order of the table."""
    return [
        HookPoint(SIDES[word[0]], step, FAULTS[fault], stretch)
        for stretch, step, (cell,) in rows_of(TABLE)
        for word in cell.split()
        for fault in word[1:]
    ]


def chosen() -> list[HookPoint]:
    """What a run of the tests goes through: all of it, or a sample drawn by `SEED`."""
    everything = points()
    return everything if FULL else random.Random(SEED).sample(everything, SAMPLE)


def documents() -> dict[str, dict[str, Any]]:
    """The hooks, by their documents' names."""
    return {f"Matrix-{hook}": _document(hook) for hook in HOOKS}


def parameters() -> dict[str, Sequence[str]]:
    """What the run is sent with."""
    return {"Operation": ["Install"], **{f"{hook}DocName": [f"Matrix-{hook}"] for hook in HOOKS}}


def _document(hook: str) -> dict[str, Any]:
    lines = [f"echo {hook} >>{RAN}", *script(f"hook of {hook}").splitlines(), f"echo the end of {hook}"]
    step = {"action": "aws:runShellScript", "name": "Hook", "inputs": {"runCommand": lines}}
    return {"schemaVersion": "2.2", "description": "A hook.", "mainSteps": [step]}
