# SPDX-License-Identifier: Apache-2.0
"""The messages of the agent protocol (spec agent-protocol §6, §8): presence, long poll, replies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from patchwright.core.errors import MalformedMessage
from patchwright.core.invocation import Detail
from patchwright.core.protocol import (
    LONG_POLL_SECONDS,
    STDERR_LIMIT,
    STDOUT_LIMIT,
    command_of,
    message_id,
    truncate,
)
from patchwright.server import commands, compliance, nodes, patching
from patchwright.server.accounts import Scope
from patchwright.server.commands import Waking
from patchwright.server.gateway.machines import said
from patchwright.server.gateway.rendering import Rendering
from patchwright.server.infra import Clock, Database, UnitOfWork
from patchwright.server.nodes import Machine
from patchwright.server.wire import Caller, access_denied

LOOK_AGAIN_SECONDS = 3.0  # for what another process released, and for what was not acknowledged in time
_DEADLINE_MARGIN_SECONDS = 0.5
_CANCEL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")  # the id of a message that cancels
_STEPS_LIMIT = 50  # of one reply
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_DETAILS = {
    "InProgress": Detail.IN_PROGRESS,
    "SuccessAndReboot": Detail.IN_PROGRESS,  # not terminal: the node comes back (spec agent-protocol §8.3)
    "PassedAndReboot": Detail.IN_PROGRESS,  # what older agents say for it
    "Success": Detail.SUCCESS,
    "Failed": Detail.FAILED,
    "Cancelled": Detail.CANCELLED,
    "TimedOut": Detail.EXECUTION_TIMED_OUT,
}


class Messages:
    """What an agent says and asks, apart from the patch exchange."""

    def __init__(
        self, database: Database, clock: Clock, *, directory: nodes.Service, waking: Waking, rendering: Rendering
    ) -> None:
        self._rendering = rendering
        self._database = database
        self._clock = clock
        self._directory = directory
        self._waking = waking

    async def update_instance_information(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """AmazonSSM.UpdateInstanceInformation: the node is there, and says what it is."""
        scope, instance_id = _node(caller, request.get("InstanceId"))
        unsaid = Machine(platform_type="", agent_name="")  # what it does not say stays as it is known
        await self._directory.ping(scope, instance_id, replace(unsaid, **said(request)))
        return {}

    async def get_messages(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetMessages: what waits for the node, at once or as soon as there is something, within the long poll's time."""
        scope, instance_id = _node(caller, request["Destination"])
        visibility = float(request["VisibilityTimeoutInSeconds"])
        found = await self._wait(scope, instance_id, visibility)
        return {
            "Destination": instance_id,
            "MessagesRequestId": request["MessagesRequestId"],
            "Messages": [message_of(delivery) for delivery in found],
        }

    async def acknowledge_message(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """AcknowledgeMessage: the node has journalled what the message says; it is not delivered again."""
        scope, instance_id = _node(caller)
        message = request["MessageId"]
        if not _CANCEL.match(message):
            _own_command(caller, message)
        await self._database.write(commands.acknowledge_message, scope, instance_id, message, now=self._clock.now())
        return {}

    async def postpone_message(self, caller: Caller, message: str, *, seconds: float) -> None:
        """The node has no room for what the message says: it is delivered again in *seconds*."""
        scope, instance_id = _node(caller)
        now = self._clock.now()
        await self._database.write(commands.postpone, scope, instance_id, message, until=now + seconds, now=now)

    async def send_reply(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """SendReply: what a command came to so far, or in the end."""
        scope, instance_id = _node(caller)
        await self._take(scope, instance_id, read_reply(request, _own_command(caller, request["MessageId"])))
        return {}

    async def fail_message(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """FailMessage: the node can make nothing of a message: a command has failed there, and is not cancelled by it."""
        scope, instance_id = _node(caller)
        if _CANCEL.match(request["MessageId"]):
            return await self.acknowledge_message(caller, request)
        reply = commands.Reply(
            id=f"fail/{request['MessageId']}",
            command_id=_own_command(caller, request["MessageId"]),
            detail=Detail.FAILED,
            trace=f"The node could not take the message: {_clean(request['FailureType'])}.",
        )
        await self._take(scope, instance_id, reply)
        return {}

    async def _take(self, scope: Scope, instance_id: str, reply: commands.Reply) -> None:
        released = await self._database.write(_record, scope, instance_id, reply, now=self._clock.now())
        self._waking.wake(released)

    async def _wait(self, scope: Scope, instance_id: str, visibility: float) -> list[commands.Delivery]:
        deadline = self._clock.monotonic() + LONG_POLL_SECONDS - _DEADLINE_MARGIN_SECONDS
        event = self._waking.park(instance_id)
        try:
            while True:
                now = self._clock.now()
                if await self._database.read(commands.waiting, scope, instance_id, now=now):
                    return await self._database.write(
                        self._rendering.deliveries, scope, instance_id, now=now, visibility=visibility
                    )
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    return []
                if not await self._waking.wait(instance_id, event, seconds=min(left, LOOK_AGAIN_SECONDS)):
                    return []  # nobody listens to this poll any more: a later one of the node waits, or the server stops
                event.clear()
        finally:
            self._waking.leave(instance_id, event)


def read_reply(request: Mapping[str, Any], command_id: str) -> commands.Reply:
    """The reply on *command_id* in a SendReply (spec agent-protocol §8.3). Raises MalformedMessage."""
    try:
        payload = json.loads(request["Payload"])
        runtime = payload.get("runtimeStatus") or {}
        if len(runtime) > _STEPS_LIMIT:
            msg = f"A reply tells of at most {_STEPS_LIMIT} steps."
            raise MalformedMessage(msg)
        return commands.Reply(
            id=request["ReplyId"],
            command_id=command_id,
            detail=_DETAILS[payload["documentStatus"]],
            trace=truncate(_clean(payload.get("documentTraceOutput", "")), STDERR_LIMIT),
            steps={_clean(name)[:128]: _step(step) for name, step in runtime.items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        msg = f"The reply cannot be read: {error!r}"[:300]
        raise MalformedMessage(msg) from None


def _step(step: Mapping[str, Any]) -> commands.StepResult:
    code = int(step.get("code", -1))
    code -= 2**32 if 2**31 <= code < 2**32 else 0  # as Windows writes it: 4294967295 is -1
    if not -(2**31) <= code < 2**31:
        msg = "an exit code has 32 bits"
        raise ValueError(msg)
    return commands.StepResult(
        status=_status(str(step["status"])),
        code=code,
        started=_moment(step.get("startDateTime", "")),
        ended=_moment(step.get("endDateTime", "")),
        stdout=truncate(_clean(step.get("standardOutput", "")), STDOUT_LIMIT),
        stderr=truncate(_clean(step.get("standardError", "")), STDERR_LIMIT),
    )


def _clean(value: object) -> str:
    """What a program printed; what neither a database nor JSON can hold becomes U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", str(value))


def _moment(value: object) -> str:
    """A moment as the API writes it; empty for what is none, and for the year 1, which is Go's for none."""
    try:
        moment = datetime.fromisoformat(str(value)[:64])
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return ""
    return "" if moment.year == 1 else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _status(text: str) -> str:
    """A step's status in the words of the API; skipped steps count as succeeded (spec §5.9)."""
    if text in {"Skipped", "NotStarted"}:
        return "Success" if text == "Skipped" else "Pending"
    return _DETAILS[text].value


def _record(scope: Scope, instance_id: str, reply: commands.Reply, *, now: float) -> UnitOfWork[list[str]]:
    ended, released = yield from commands.record(scope, instance_id, reply, now=now)
    if ended:
        reason = f"The command ended as {reply.detail.value} before the operation did."
        if (yield from patching.close(scope, instance_id, reply.command_id, now=now, reason=reason)):
            yield from compliance.refresh(scope, instance_id)
    return released


def _node(caller: Caller, claimed: str | None = None) -> tuple[Scope, str]:
    """The node that signed. What a body says of it must be the same: a node speaks for itself alone."""
    if caller.instance_id is None or claimed not in {None, caller.instance_id}:
        raise access_denied(f"{caller.principal} may not speak for {claimed}.")
    return caller.scope, caller.instance_id


def _own_command(caller: Caller, message: str) -> str:
    """The command that *message*, which must be one to the node that signed, delivers. Raises MalformedMessage."""
    command_id = command_of(message)
    if message != message_id(command_id, str(caller.instance_id)):
        raise access_denied(f"{caller.principal} may not speak for the receiver of {message}.")
    return command_id


class _LastPayload:
    """A command goes to many nodes with the same payload: its text is made once, as long as no other comes between."""

    def __init__(self) -> None:
        self._payload: Mapping[str, Any] = {}
        self._text = "{}"

    def text_of(self, payload: Mapping[str, Any]) -> str:
        """*payload*, which nobody changes, as JSON."""
        if payload is not self._payload:
            self._payload, self._text = payload, json.dumps(payload)
        return self._text


_LAST_PAYLOAD = _LastPayload()


def message_of(delivery: commands.Delivery) -> dict[str, Any]:
    """What waits for a node, in the form of a message of GetMessages."""
    created = datetime.fromtimestamp(delivery.requested_at, UTC)
    return {
        "MessageId": delivery.message_id,
        "Destination": delivery.instance_id,
        "Topic": delivery.topic,
        "CreatedDate": created.strftime("%Y-%m-%dT%H:%M:%S.") + f"{created.microsecond // 1000:03d}Z",
        "Payload": _LAST_PAYLOAD.text_of(delivery.payload),
    }
