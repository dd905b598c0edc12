# SPDX-License-Identifier: Apache-2.0
"""
Documents as amazon-ssm-agent can run them (design D6).

Owned documents are written once, with actions of ours. On a node that keeps Amazon's agent such a step becomes a script that
fetches our node program and runs it; everything else about the document stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from patchwright.core.actions import PATCH, PATCH_CHECK, SHELL_SCRIPT
from patchwright.server import commands, documents, nodes
from patchwright.server.accounts import Scope
from patchwright.server.gateway.registration import AMAZON_AGENT
from patchwright.server.infra import Database, UnitOfWork
from patchwright.server.wire import Caller, Handler

RENDERED = frozenset({PATCH, PATCH_CHECK})
# What of a step's inputs is about when it runs, and not about what it does.
_ABOUT_THE_FLOW = ("timeoutSeconds", "onFailure", "onSuccess", "finallyStep")


class Script(Protocol):
    """
    The script of a step, by its action and its name, which has letters, digits and underscores only.

    *within*: the step stands in a document that another runs.
    """

    def __call__(self, action: str, step: str, *, within: bool = False) -> str:
        """Its text."""
        ...


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
    return {**payload, "DocumentContent": _document(payload["DocumentContent"], script)}


class InnerDocuments:
    """
    GetDocument, by which amazon-ssm-agent gets what aws:runDocument runs (spec agent-protocol §10), in the form it can run.

    *answer* is GetDocument as everybody else hears it.
    """

    def __init__(self, database: Database, script: Script, answer: Handler) -> None:
        self._database = database
        self._script = script
        self._answer = answer

    async def __call__(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetDocument."""
        answer = await self._answer(caller, request)
        if (
            caller.instance_id is None
            or answer["DocumentType"] != documents.COMMAND
            or answer["DocumentFormat"] != "JSON"
        ):
            return answer
        content = json.loads(answer["Content"])
        if not _has_steps_of_ours({"DocumentContent": content}):
            return answer
        known = await self._database.read(nodes.known, caller.scope, [caller.instance_id])
        if not known or known[0].machine.agent_name != AMAZON_AGENT:
            return answer
        return {**answer, "Content": json.dumps(_document(content, self._script, within=True))}


def _has_steps_of_ours(payload: Mapping[str, Any]) -> bool:
    steps = payload.get("DocumentContent", {}).get("mainSteps") or ()
    return any(step.get("action") in RENDERED for step in steps)


def _document(document: Mapping[str, Any], script: Script, *, within: bool = False) -> dict[str, Any]:
    steps = [
        _step(step, script, within=within) if step.get("action") in RENDERED else step for step in document["mainSteps"]
    ]
    return {**document, "mainSteps": steps}


def _step(step: Mapping[str, Any], script: Script, *, within: bool) -> dict[str, Any]:
    """What the step is to do, the node program asks the server for: no value of a parameter gets into the script."""
    given = step.get("inputs") or {}
    inputs: dict[str, Any] = {name: given[name] for name in _ABOUT_THE_FLOW if name in given}
    text = script(step["action"], step["name"], within=True) if within else script(step["action"], step["name"])
    inputs["runCommand"] = text.splitlines()
    return {**step, "action": SHELL_SCRIPT, "inputs": inputs}
