# SPDX-License-Identifier: Apache-2.0
"""The action `aws:refreshAssociation`: look at the node's associations now. There are none that this agent runs yet."""

from __future__ import annotations

from patchwright.agent.actions.asking import Cancelled, ask
from patchwright.agent.actions.model import Context, Outcome, StepState
from patchwright.agent.client import Refused
from patchwright.core.flow import FAILED, SUCCESS

PAGE = 20


def run(step: StepState, context: Context) -> Outcome:
    """Success where the node has no association; where it has, what this agent cannot do. Resumable."""
    signer = context.desk.client.signer
    members = {"InstanceId": signer.key_id if signer else "", "MaxResults": PAGE}
    try:
        found = ask(context, "ListInstanceAssociations", members).get("Associations") or []
    except Cancelled as cancelled:
        return cancelled.outcome
    except Refused as refusal:
        return Outcome(FAILED, 1, "", f"the server does not list associations: {refusal}")
    wanted = step["inputs"].get("associationIds") or []
    if found or wanted:
        return Outcome(FAILED, 1, "", f"this agent does not run associations; of this node there are {len(found)}")
    text = "The node has no associations.\n"
    context.tell(text)
    return Outcome(SUCCESS, 0, text)
