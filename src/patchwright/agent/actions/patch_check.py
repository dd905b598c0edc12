# SPDX-License-Identifier: Apache-2.0
"""The action `patchwright:patchCheck`: whether the patch steps that come next have anything to do. The server says it."""

from __future__ import annotations

from patchwright.agent.actions.asking import Cancelled, ask
from patchwright.agent.actions.model import Context, Outcome, StepState, named
from patchwright.agent.client import Refused
from patchwright.core.flow import FAILED, SUCCEED_CODE, SUCCESS


def run(step: StepState, context: Context) -> Outcome:
    """Success where they have; success that skips the rest of the document (168) where they have not. Resumable."""
    try:
        answer = ask(context, "GetPatchCheck", {"CommandId": context.command_id, **named(step)})
    except Cancelled as cancelled:
        return cancelled.outcome
    except Refused as refusal:
        return Outcome(FAILED, 1, "", f"the server refused the check: {refusal}")
    text = "{}\n".format(answer.get("Text", ""))
    context.tell(text)
    return Outcome(SUCCESS, 0 if answer.get("Continue") is True else SUCCEED_CODE, text)
