# SPDX-License-Identifier: Apache-2.0
"""The action `patchwright:patch`: a patch operation, resumable at every phase (patch_run.py)."""

from __future__ import annotations

import contextlib
from typing import List

from patchwright.agent import inventory
from patchwright.agent.actions.model import Context, Outcome, StepState, place_of
from patchwright.agent.actions.script import seconds
from patchwright.agent.client import Refused
from patchwright.agent.deadline import Deadline
from patchwright.agent.errors import AgentError
from patchwright.agent.patch_run import Cancelled, Late, PatchRun
from patchwright.core.flow import CANCELLED, FAILED, KILLED_CODE, SUCCESS, TIMED_OUT

WAITS = "Waited for the patch operation of command {}, which had the node to itself.\n"


def run(step: StepState, context: Context) -> Outcome:
    """
    Scan or install as the server says; the report is the step's output.

    `timeoutSeconds` ends a step that has changed nothing yet. An installation that has begun goes to its end.
    """
    waited: List[str] = []

    def waiting(other: str) -> None:
        waited.append(WAITS.format(other))
        _tell(context, waited[0])

    def over() -> bool:
        return context.over() or deadline.left() <= 0

    desk = context.desk
    limit = seconds(step["inputs"].get("timeoutSeconds"))
    deadline = Deadline(step.setdefault("until", {}), seconds=limit, client=desk.client, clock=desk.bench.clock)
    with desk.turns.patching(context.command_id, over, waiting) as granted:
        if not granted and desk.cancelled():
            return Outcome(CANCELLED, KILLED_CODE, "".join(waited), "the command was cancelled before its turn came")
        if not granted:
            why = f"the turn of the step did not come within {limit} s"
            return Outcome(TIMED_OUT, KILLED_CODE, "".join(waited), why)
        outcome = _patched(step, context, deadline)
    outcome = outcome._replace(stdout="".join(waited) + outcome.stdout)
    _tell(context, outcome.stdout, outcome.stderr)
    if desk.settings.inventory_hours:
        inventory.want(desk.bench.disk)
    return outcome


def _patched(step: StepState, context: Context, deadline: Deadline) -> Outcome:
    try:
        course = PatchRun(context.desk, step["run"], context.save, context.directory, deadline=deadline)
        report = course.run(context.command_id, place_of(step), told=step["inputs"] if step.get("told") else None)
    except Cancelled as error:
        return Outcome(CANCELLED, KILLED_CODE, "", str(error))
    except Late as error:
        return Outcome(TIMED_OUT, KILLED_CODE, "", str(error))
    except Refused as refusal:
        return Outcome(FAILED, 1, "", f"the server refused the operation: {refusal}")
    except AgentError as error:
        return Outcome(FAILED, 1, "", str(error))
    return Outcome(SUCCESS if report.succeeded else FAILED, int(not report.succeeded), report.text, report.error)


def _tell(context: Context, stdout: str, stderr: str = "") -> None:
    with contextlib.suppress(OSError):  # a report that only fits into the reply is one all the same
        context.tell(stdout, stderr)
