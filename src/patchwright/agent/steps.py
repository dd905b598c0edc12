# SPDX-License-Identifier: Apache-2.0
"""The actions of a document's steps, by name, and what a step came to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping

from patchwright.agent import patch_run
from patchwright.agent.client import Refused
from patchwright.agent.patch_run import Desk
from patchwright.core.document import Document, bind, interpolate, parse, runs_on
from patchwright.core.errors import MalformedDocument, PatchwrightError
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
    content, given = payload.get("DocumentContent"), payload.get("Parameters") or {}
    if not isinstance(content, dict) or not isinstance(given, dict):
        raise MalformedDocument("the command carries no document and parameters that are objects")
    document = parse(content)
    values = bind(document, _as_lists(document, given))
    return [
        {
            "name": step.name,
            "action": step.action,
            "inputs": interpolate(dict(step.inputs), values),
            "skip": not runs_on(step, PLATFORM, values),
            "status": "NotStarted",
            "code": 0,
            "stdout": "",
            "stderr": "",
            "started_at": 0.0,
            "ended_at": 0.0,
            "run": {},
        }
        for step in document.steps
    ]


def run_step(step: Step, command_id: str, *, desk: Desk, save: Save, directory: Path) -> None:
    """
    Run one step to its end and put what came of it into *step*. The caller journals that.

    Args:
        step: As `plan_steps` made it, or as the journal has it after an interruption.
        save: Journals the step while it runs.
        directory: For the step's files.
    """
    if step["skip"]:
        _settle(step, "Skipped", 0, "", "the precondition of the step does not hold here")
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


def _as_lists(document: Document, given: Mapping[str, Any]) -> Dict[str, List[str]]:
    """Parameter values as SendCommand gives them: the delivery unwraps all but lists."""
    lists = {}
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]
        parameter = document.parameters.get(name)
        if parameter is not None and parameter.type == "Boolean":
            values = [str(item).lower() if isinstance(item, bool) else item for item in values]
        lists[name] = [str(item) if isinstance(item, int) else item for item in values]
    return lists
