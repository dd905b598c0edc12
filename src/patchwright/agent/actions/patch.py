# SPDX-License-Identifier: Apache-2.0
"""The action `patchwright:patch`: a patch operation, resumable at every phase (patch_run.py)."""

from __future__ import annotations

import contextlib
from typing import List

from patchwright.agent import inventory
from patchwright.agent.actions.model import Context, Outcome, StepState, place_of
from patchwright.agent.client import Refused
from patchwright.agent.errors import AgentError
from patchwright.agent.patch_run import Cancelled, PatchRun
from patchwright.core.flow import CANCELLED, FAILED, KILLED_CODE, SUCCESS

WAITS = "Waited for the patch operation of command {}, which had the node to itself.\n"


def run(step: StepState, context: Context) -> Outcome:
    """Scan or install as the server says; the report is the step's output."""
    waited: List[str] = []

    def waiting(other: str) -> None:
        waited.append(WAITS.format(other))
        _tell(context, waited[0])

    with context.desk.turns.patching(context.command_id, context.over, waiting) as granted:
        if not granted:
            return Outcome(CANCELLED, KILLED_CODE, "".join(waited), "the command was cancelled before its turn came")
        outcome = _patched(step, context)
    outcome = outcome._replace(stdout="".join(waited) + outcome.stdout)
    _tell(context, outcome.stdout, outcome.stderr)
    if context.desk.settings.inventory_hours:
        inventory.want(context.desk.bench.disk)
    return outcome


def _patched(step: StepState, context: Context) -> Outcome:
    try:
        course = PatchRun(context.desk, step["run"], context.save, context.directory)
        report = course.run(context.command_id, place_of(step), told=step["inputs"] if step.get("told") else None)
    except Cancelled as error:
        return Outcome(CANCELLED, KILLED_CODE, "", str(error))
    except Refused as refusal:
        return Outcome(FAILED, 1, "", f"the server refused the operation: {refusal}")
    except AgentError as error:
        return Outcome(FAILED, 1, "", str(error))
    return Outcome(SUCCESS if report.succeeded else FAILED, int(not report.succeeded), report.text, report.error)


def _tell(context: Context, stdout: str, stderr: str = "") -> None:
    with contextlib.suppress(OSError):  # a report that only fits into the reply is one all the same
        context.tell(stdout, stderr)
