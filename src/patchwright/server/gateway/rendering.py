# SPDX-License-Identifier: Apache-2.0
"""
Documents as amazon-ssm-agent can run them (design D6).

Owned documents are written once, with actions of ours. On a node that keeps Amazon's agent such a step becomes a script that
fetches our node program and runs it; everything else about the document stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from patchwright.core.actions import PATCH, PATCH_CHECK, SHELL_SCRIPT
from patchwright.server import commands, nodes
from patchwright.server.accounts import Scope
from patchwright.server.gateway.registration import AMAZON_AGENT
from patchwright.server.infra import UnitOfWork

RENDERED = frozenset({PATCH, PATCH_CHECK})
# What of a step's inputs is about when it runs, and not about what it does.
_ABOUT_THE_FLOW = ("timeoutSeconds", "onFailure", "onSuccess", "finallyStep")

# The script of a step, by its action and its name, which has letters, digits and underscores only.
Script = Callable[[str, str], str]


class Rendering:
    """Hands commands over in the form that each node's agent can run; *script* makes what Amazon's runs in the place of a step."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def deliveries(
        self, scope: Scope, instance_id: str, *, now: float, visibility: float, limit: int = 1
    ) -> UnitOfWork[list[commands.Delivery]]:
        """`commands.deliveries`; a unit of work."""
        found = yield from commands.deliveries(scope, instance_id, now=now, visibility=visibility, limit=limit)
        if not any(_has_steps_of_ours(delivery.payload) for delivery in found):
            return found
        known = yield from nodes.known(scope, [instance_id])
        if not known or known[0].machine.agent_name != AMAZON_AGENT:
            return found
        return self._rendered(found)

    def deliveries_to_each(
        self, whom: Sequence[tuple[Scope, str]], *, now: float, visibility: float, limit: int
    ) -> UnitOfWork[dict[str, list[commands.Delivery]]]:
        """`commands.deliveries_to_each`; a unit of work."""
        found = yield from commands.deliveries_to_each(whom, now=now, visibility=visibility, limit=limit)
        asked: dict[Scope, list[str]] = {}
        for scope, instance_id in whom:
            if any(_has_steps_of_ours(delivery.payload) for delivery in found.get(instance_id, ())):
                asked.setdefault(scope, []).append(instance_id)
        for scope, ids in asked.items():
            for node in (yield from nodes.known(scope, ids)):
                if node.machine.agent_name == AMAZON_AGENT:
                    found[node.id] = self._rendered(found[node.id])
        return found

    def _rendered(self, found: Sequence[commands.Delivery]) -> list[commands.Delivery]:
        return [replace(delivery, payload=rendered(delivery.payload, self._script)) for delivery in found]


def rendered(payload: Mapping[str, Any], script: Script) -> Mapping[str, Any]:
    """The payload of a command with every step of ours as a script of its own; of a message that cancels, the same."""
    if not _has_steps_of_ours(payload):
        return payload
    document = payload["DocumentContent"]
    steps = [_step(step, script) if step.get("action") in RENDERED else step for step in document["mainSteps"]]
    return {**payload, "DocumentContent": {**document, "mainSteps": steps}}


def _has_steps_of_ours(payload: Mapping[str, Any]) -> bool:
    steps = payload.get("DocumentContent", {}).get("mainSteps") or ()
    return any(step.get("action") in RENDERED for step in steps)


def _step(step: Mapping[str, Any], script: Script) -> dict[str, Any]:
    """What the step is to do, the node program asks the server for: no value of a parameter gets into the script."""
    given = step.get("inputs") or {}
    inputs: dict[str, Any] = {name: given[name] for name in _ABOUT_THE_FLOW if name in given}
    inputs["runCommand"] = script(step["action"], step["name"]).splitlines()
    return {**step, "action": SHELL_SCRIPT, "inputs": inputs}
