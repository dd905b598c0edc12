# SPDX-License-Identifier: Apache-2.0
"""The action `patchwright:patch`: a patch operation, resumable at every phase (patch_run.py)."""

from __future__ import annotations

import contextlib

from patchwright.agent.actions.model import Context, Outcome, StepState
from patchwright.agent.client import Refused
from patchwright.agent.patch_run import Cancelled, PatchRun
from patchwright.core.flow import KILLED_CODE


def run(step: StepState, context: Context) -> Outcome:
    """Scan or install as the server says; the report is the step's output. Raises AgentError where it fails on the node."""
    try:
        course = PatchRun(context.desk, step["run"], context.save, context.directory)
        report = course.run(context.command_id, step["name"])
    except Cancelled as error:
        return Outcome("Cancelled", KILLED_CODE, "", str(error))
    except Refused as refusal:
        return Outcome("Failed", 1, "", f"the server refused the operation: {refusal}")
    with contextlib.suppress(OSError):  # a report that only fits into the reply is one all the same
        context.tell(report.text, report.error)
    return Outcome("Success" if report.succeeded else "Failed", int(not report.succeeded), report.text, report.error)
