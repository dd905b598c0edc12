# SPDX-License-Identifier: Apache-2.0
"""The actions of a document's steps, by name, and what a step came to."""

from __future__ import annotations

from functools import partial
from typing import Any, Dict, List, Mapping, Sequence, Union

from patchwright.agent import reboot
from patchwright.agent.actions import ACTIONS, Action, Context, Course, Outcome, joined
from patchwright.core import flow
from patchwright.core.actions import PATCH, RUN_DOCUMENT, SCRIPTS
from patchwright.core.document import Document, bind, environment, parse, prepared, ruling
from patchwright.core.document import Step as PlannedStep
from patchwright.core.errors import MalformedDocument, PatchwrightError
from patchwright.core.parameter import given
from patchwright.core.protocol import STDERR_LIMIT, STDOUT_LIMIT, truncate

PLATFORM = "Linux"
NOT_BEGUN = "NotStarted"
MAX_RESTARTS = 5  # of the node, for one step
NESTED_RESTART = "a step of a document that aws:runDocument runs may not restart the node (exit code 194)"

Step = Dict[str, Any]


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


def run_step(step: Step, context: Context, *, nested: bool = False) -> None:
    """
    Run one step to its end and put what came of it into *step*, as `plan_steps` made it or as the journal has it after an
    interruption. The caller journals that. A *nested* step, which another step runs, restarts no node.
    """
    if step["refused"]:
        failed = step["refused"] == "Failed"
        settle(
            step, Outcome(step["refused"], int(failed), "" if failed else step["why"], step["why"] if failed else "")
        )
        return
    action = ACTIONS.get(step["action"])
    if action is None:
        settle(step, Outcome("Failed", 1, "", "action {} is not served by this agent".format(step["action"])))
        return
    context = context._replace(course=Course(plan_steps, following, partial(run_step, nested=True), settle))
    try:
        outcome = _once(action, step, context) if nested else _entered(action, step, context)
    except PatchwrightError as error:
        outcome = Outcome("Failed", 1, context.heard().stdout, str(error))
    settle(step, outcome)


def settle(step: Step, outcome: Outcome) -> None:
    """Put into *step* what came of it, as it counts for the steps after it, its output cut to what a reply carries."""
    status, code = flow.settled(_planned(step), flow.Outcome(outcome.status, outcome.code))
    step.update(
        status=status,
        code=code,
        stdout=truncate(outcome.stdout, STDOUT_LIMIT),
        stderr=truncate(outcome.stderr, STDERR_LIMIT),
        run={},
        restart={},
    )


def following(steps: Sequence[Step]) -> Union[flow.Run, flow.Skip, flow.Done]:
    """What comes next, of the steps of a command."""
    outcomes = [flow.Outcome(step["status"], step["code"]) for step in steps if step["status"] != NOT_BEGUN]
    return flow.following([_planned(step) for step in steps], outcomes)


def patching(step: Step) -> bool:
    """Whether a patch operation that has begun is left half done in *step*, be it in a document that it runs."""
    if step["action"] == PATCH:
        return bool(step["run"])
    inner = step["run"].get("steps", ()) if step["action"] == RUN_DOCUMENT else ()
    return any(one["status"] == flow.IN_PROGRESS and patching(one) for one in inner)


def _entered(action: Action, step: Step, context: Context) -> Outcome:
    """What *action* answers, after as many restarts of the node as it asks for, within reason."""
    while True:
        if step["restart"]:
            if not _restarted(step["restart"], context):
                return context.heard()._replace(status="Cancelled", code=flow.KILLED_CODE)
            step.update(restart={}, restarts=step["restarts"] + 1, run={})
            context.save()
        outcome = action(step, context)
        if outcome.status != flow.REBOOT:
            return outcome
        if step["restarts"] >= MAX_RESTARTS:
            why = f"the step asked for a restart {MAX_RESTARTS + 1} times, and is given up"
            return outcome._replace(status="Failed", code=outcome.code, stderr=joined(outcome.stderr, why))
        # What it did, it did in that boot: another one, whatever brought it about, is the restart.
        step["restart"] = reboot.asked_for(outcome.boot_id or reboot.boot_id())
        context.save()


def _once(action: Action, step: Step, context: Context) -> Outcome:
    """What *action* answers for a step that another step runs."""
    outcome = action(step, context)
    if outcome.status == flow.REBOOT:
        return outcome._replace(status="Failed", stderr=joined(outcome.stderr, NESTED_RESTART))
    return outcome


def _restarted(asked: reboot.Asked, context: Context) -> bool:
    """Restart the node, when nobody else needs it. False: the command was cancelled before it was asked for."""

    def over() -> bool:
        return context.over() and not asked["asked"]

    desk = context.desk
    wait, bench = desk.settings.reboot_wait_seconds, desk.bench
    with desk.turns.restarting(context.command_id, over) as granted:
        if not granted or over():
            return False
        reboot.carry_out(asked, bench.shell, bench.clock, save=context.save, wait_seconds=wait)
    return True


def _planned(step: Step) -> PlannedStep:
    """What of a step in the journal decides what comes after it."""
    return PlannedStep(
        step["name"],
        step["action"],
        {},
        on_failure=step["on_failure"],
        on_success=step["on_success"],
        finally_step=step["finally_step"],
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
        "restart": {},
        "restarts": 0,
    }
