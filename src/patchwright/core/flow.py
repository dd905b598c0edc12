# SPDX-License-Identifier: Apache-2.0
"""
Which step of a command document comes next, and what its steps add up to (spec §5.9; agent-protocol §8.3, §8.4, §9).

Pure: steps and what came of them in, one answer out. The caller runs or skips the step it is told, adds its outcome, and
asks again, as often and after as many interruptions as it likes:

    following(steps, [])                          Run(0)
    following(steps, [Success])                   Run(1)
    following(steps, [Success, SuccessAndReboot]) Run(1)     after the restart the same step again
    following(steps, [Failed under onFailure])    Skip(1, …) what is left, but for a finallyStep that is the last
    following(steps, [one for each])              Done(…)
"""

from __future__ import annotations

from typing import NamedTuple, Sequence, Union

from patchwright.core.document import EXIT, SUCCESS_AND_EXIT, Step

SUCCESS, FAILED, TIMED_OUT, CANCELLED, SKIPPED = "Success", "Failed", "TimedOut", "Cancelled", "Skipped"
REBOOT, IN_PROGRESS = "SuccessAndReboot", "InProgress"
FINAL = (SUCCESS, FAILED, TIMED_OUT, CANCELLED, SKIPPED)
STATUSES = (*FINAL, REBOOT, IN_PROGRESS)

SUCCEED_CODE = 168  # a script's exit codes with a meaning: succeed and skip the rest
FAIL_CODE = 169  # fail and skip the rest
REBOOT_CODE = 194  # restart the node, then this step again
KILLED_CODE = 137  # what a step is given that was ended: SIGKILL
_RANKED = (
    REBOOT,
    FAILED,
    TIMED_OUT,
    CANCELLED,
)  # one of them is what the document came to, the first before the others


class Outcome(NamedTuple):
    """What came of a step so far: one of `STATUSES`, and its exit code."""

    status: str
    code: int = 0


class Run(NamedTuple):
    """Run the step at *position*, for the first time or again."""

    position: int


class Skip(NamedTuple):
    """Do not run the step at *position*: its outcome is *status*, code 0, with the reason *why* as its text."""

    position: int
    why: str
    status: str = SKIPPED


class Done(NamedTuple):
    """Every step has its outcome, and this is what the document came to."""

    status: str


def following(steps: Sequence[Step], outcomes: Sequence[Outcome]) -> Union[Run, Skip, Done]:
    """
    What comes after *outcomes*, which are those of the first of *steps* in order, as `settled` gives them.

    A document that was cancelled runs nothing more, not even its finallyStep. A step that has begun and not ended
    (InProgress, SuccessAndReboot) is run again.
    """
    for position, outcome in enumerate(outcomes):
        if outcome.status not in FINAL:
            return Run(position)
    position = len(outcomes)
    if position >= len(steps):
        return Done(document_status(outcomes))
    if any(outcome.status == CANCELLED for outcome in outcomes):
        return Skip(position, "the command was cancelled before this step began", CANCELLED)
    if steps[position].finally_step and position == len(steps) - 1:
        return Run(position)
    for step, outcome in zip(steps, outcomes):
        if _exits(step, outcome):
            return Skip(position, f"not run: step {step.name} ended the document")
    return Run(position)


def settled(step: Step, outcome: Outcome) -> Outcome:
    """
    The outcome of *step* as it counts: 168 succeeds, `onFailure: successAndExit` makes a failure one that does, and what
    failed has a code that says so.
    """
    status, code = outcome
    if code == SUCCEED_CODE and status in (SUCCESS, FAILED):
        return Outcome(SUCCESS, SUCCEED_CODE)
    if status in (FAILED, TIMED_OUT) and code != FAIL_CODE and step.on_failure == SUCCESS_AND_EXIT:
        return Outcome(SUCCESS, SUCCEED_CODE)
    return Outcome(status, code or 1) if status == FAILED else outcome


def of_exit(code: int) -> Outcome:
    """What a script's exit code means. A script that was ended for its time or by a cancel has the outcome of that."""
    if code in (0, SUCCEED_CODE):
        return Outcome(SUCCESS, code)
    return Outcome(REBOOT if code == REBOOT_CODE else FAILED, code)


def document_status(outcomes: Sequence[Outcome]) -> str:
    """What a document came to: SuccessAndReboot > Failed > TimedOut > Cancelled > Success, which takes all of them."""
    found = {outcome.status for outcome in outcomes}
    for status in _RANKED:
        if status in found:
            return status
    return SUCCESS if found and found <= {SUCCESS, SKIPPED} else IN_PROGRESS


def _exits(step: Step, outcome: Outcome) -> bool:
    """Whether nothing but the finallyStep comes after this."""
    if outcome.code in (SUCCEED_CODE, FAIL_CODE):
        return True
    if outcome.status in (
        FAILED,
        TIMED_OUT,
    ):  # a step that ran out of time has failed as well: a hook must not be passed by
        return step.on_failure in (EXIT, SUCCESS_AND_EXIT)
    return outcome.status == SUCCESS and step.on_success == EXIT
