# SPDX-License-Identifier: Apache-2.0
"""Asking the server in the course of a step: until it answers, however long it is away, unless the command is cancelled."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from patchwright.agent import log
from patchwright.agent.actions.model import Context, Outcome
from patchwright.agent.client import Backoff, ServerUnavailable
from patchwright.agent.errors import AgentError
from patchwright.agent.outbox import try_to_drain
from patchwright.core.flow import CANCELLED, KILLED_CODE


class Cancelled(AgentError):
    """The command was cancelled while its step waited for the server."""

    @property
    def outcome(self) -> Outcome:
        """What the step comes to."""
        return Outcome(CANCELLED, KILLED_CODE, "", str(self))


def ask(context: Context, operation: str, members: Mapping[str, Any]) -> Dict[str, Any]:
    """The server's answer. Raises Refused, Cancelled."""
    desk = context.desk
    backoff = Backoff(desk.bench.clock, cap=desk.settings.backoff_cap_seconds)
    while True:
        if desk.cancelled():
            raise Cancelled(f"the command was cancelled before {operation} was asked")
        try:
            return desk.client.call(operation, dict(members))
        except ServerUnavailable as error:
            log.warning(f"{operation} waits: {error}")
        context.meanwhile()
        backoff.pause()
        try_to_drain(desk.outbox, desk.client)
