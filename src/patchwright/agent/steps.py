# SPDX-License-Identifier: Apache-2.0
"""The actions of a document's steps, by name, and what a step came to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping

from patchwright.agent import patch_run
from patchwright.agent.client import Refused
from patchwright.agent.patch_run import Desk
from patchwright.core.actions import SCRIPTS
from patchwright.core.document import Document, bind, environment, parse, prepared, ruling
from patchwright.core.document import Step as PlannedStep
from patchwright.core.errors import MalformedDocument, PatchwrightError
from patchwright.core.parameter import given
from patchwright.core.protocol import PATCH_ACTION, STDERR_LIMIT, STDOUT_LIMIT, truncate

PLATFORM = "Linux"
FINAL_STATUSES = ("Success", "Failed", "Cancelled", "TimedOut", "Skipped")
CANCELLED_CODE = 137  # what amazon-ssm-agent reports for a step that was cancelled (spec agent-protocol §8.2)

Step = Dict[str, Any]
Save = Callable[[], None]


def plan_steps(payload: Mapping[str, Any]) -> List[Step]:
    """
    The steps of a delivered command (spec agent-protocol §8.1), parameters filled in, none begun.

    Raises MalformedDocument, InvalidParameters.
    """
    content, sent = payload.get("DocumentContent"), payload.get("Parameters") or {}
    if not isinstance(content, dict) or not isinstance(sent, dict):
        raise MalformedDocument("the command carries no document and parameters that are objects")
    document = parse(content)
    values = bind(document, {name: given(value) for name, value in sent.items()})
    variables = environment(document, values)
    return [_not_begun(document, step, values, variables) for step in prepared(document, values)]


def run_step(step: Step, command_id: str, *, desk: Desk, save: Save, directory: Path) -> None:
    """
    Run one step to its end and put what came of it into *step*. The caller journals that.

    Args:
        step: As `plan_steps` made it, or as the journal has it after an interruption.
        save: Journals the step while it runs.
        directory: For the step's files.
    """
    if step["refused"]:
        _settle(step, step["refused"], int(step["refused"] == "Failed"), "", step["why"])
        return
    if step["action"] != PATCH_ACTION:
        _settle(step, "Failed", 1, "", "action {} is not served by this agent".format(step["action"]))
        return
    try:
        report = patch_run.PatchRun(desk, step["run"], save, directory).run(command_id, step["name"])
    except patch_run.Cancelled as error:
        _settle(step, "Cancelled", CANCELLED_CODE, "", str(error))
    except Refused as refusal:
        _settle(step, "Failed", 1, "", f"the server refused the operation: {refusal}")
    except PatchwrightError as error:
        _settle(step, "Failed", 1, "", str(error))
    else:
        _settle(step, "Success" if report.succeeded else "Failed", int(not report.succeeded), report.text, report.error)


def _settle(step: Step, status: str, code: int, stdout: str, stderr: str) -> None:
    step.update(
        status=status, code=code, stdout=truncate(stdout, STDOUT_LIMIT), stderr=truncate(stderr, STDERR_LIMIT), run={}
    )


def _not_begun(document: Document, step: PlannedStep, values: Mapping[str, Any], variables: Mapping[str, str]) -> Step:
    """*step* as the journal keeps it; *refused* is Skipped or Failed for one that is not to be run here, *why* says it."""
    refused, why = ruling(document, step, PLATFORM, values)
    return {
        "name": step.name,
        "action": step.action,
        "inputs": step.inputs,
        "refused": refused,
        "why": why,
        "on_failure": step.on_failure,
        "on_success": step.on_success,
        "finally_step": step.finally_step,
        "variables": dict(variables) if step.action in SCRIPTS else {},
        "status": "NotStarted",
        "code": 0,
        "stdout": "",
        "stderr": "",
        "started_at": 0.0,
        "ended_at": 0.0,
        "run": {},
    }
