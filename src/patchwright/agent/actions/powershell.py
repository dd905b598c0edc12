# SPDX-License-Identifier: Apache-2.0
"""The action `aws:runPowerShellScript`: a script for PowerShell, where somebody installed it. Opaque, as every script."""

from __future__ import annotations

from patchwright.agent.actions import script
from patchwright.agent.actions.model import Context, Outcome, StepState

INTERPRETER = ("pwsh", "-NoProfile", "-NonInteractive", "-File")
NAME = "script.ps1"  # -File takes no other suffix


def run(step: StepState, context: Context) -> Outcome:
    """Run the lines `runCommand` of the step. A node without PowerShell fails it, and says so."""
    text = script.text_of(step)
    if not text:
        return Outcome("Failed", 1, "", "the step has no runCommand")
    return script.execute(step, context, text, interpreter=INTERPRETER, name=NAME)
