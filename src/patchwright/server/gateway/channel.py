# SPDX-License-Identifier: Apache-2.0
"""One control channel: frames in, frames out (spec agent-protocol §7.1), over an accepted WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import structlog

from patchwright.core import frames
from patchwright.core.errors import MalformedMessage, PatchwrightError
from patchwright.core.frames import Frame, MalformedFrame
from patchwright.server.accounts import Scope
from patchwright.server.commands import Delivery, Held
from patchwright.server.gateway.messages import Messages, message_of
from patchwright.server.infra import Clock, InfraError, new_uuid
from patchwright.server.wire import Caller

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

UNDER_WAY = 10  # jobs that are being written to one node; amazon-ssm-agent takes as many before it refuses
LATER_SECONDS = 30.0  # spec agent-protocol §7.1: what a node had no room for is offered again after that
_BAD_FRAMES = 10  # after so many that cannot be read the channel is closed
_POLICY, _SUPERSEDED = 1008, 4000  # close codes; from 4000 on they are ours
_LATER = frozenset({frames.CLOSED, frames.FULL})

_log = structlog.get_logger("patchwright.channel")


class Channel:
    """
    What is said over one WebSocket with the node of *caller*.

    *held* is set once a process holds it. Replies are recorded in the order in which they come.
    """

    def __init__(self, caller: Caller, send: Send, *, messages: Messages, clock: Clock) -> None:
        self.scope: Scope = caller.scope
        self.instance_id = str(caller.instance_id)
        self.held: Held | None = None
        self.offered: dict[str, None] = {}  # jobs that it has not acknowledged
        self._caller = caller
        self._send = send
        self._messages = messages
        self._clock = clock
        self._under_way = 0
        self._bad = 0
        self._closing: asyncio.Task[None] | None = None

    @property
    def has_room(self) -> bool:
        """Whether more may be written to it: it is open, and its node reads what it gets."""
        return self._closing is None and self._under_way < UNDER_WAY

    async def offer(self, deliveries: Sequence[Delivery]) -> None:
        """Write jobs to the node. One that is gone is told later, by whoever holds its next channel."""
        self._under_way += len(deliveries)
        try:
            for delivery in deliveries:
                message = message_of(delivery)
                job = {
                    "SchemaVersion": 1,
                    "JobId": message["MessageId"],
                    "Topic": message["Topic"],
                    "Content": message["Payload"],
                }
                self.offered[message["MessageId"]] = None
                await self._write(frames.JOB, job)
        except (OSError, RuntimeError):  # closed meanwhile
            return
        finally:
            self._under_way -= len(deliveries)

    def supersede(self) -> None:
        """Close it: the node has a later one, or may not have any."""
        self._close(_SUPERSEDED, "this channel does not count any more")

    async def take(self, data: bytes) -> None:
        """Act on what the node sent. What cannot be read is counted, and too much of it ends the channel."""
        try:
            frame = Frame.unpack(data)
            if frame.kind == frames.JOB_ACK:
                await self._take_ack(_members(frame))
            elif frame.kind == frames.JOB_REPLY:
                await self._take_reply(frame)
        except (MalformedFrame, MalformedMessage) as error:
            self._bad += 1
            _log.warning("unreadable", node=self.instance_id, error=str(error)[:200])
            if self._bad >= _BAD_FRAMES:
                self._close(_POLICY, "too much that cannot be read")
        except InfraError as error:  # not answered: the node says it again
            _log.warning("not recorded", node=self.instance_id, error=str(error))

    async def _take_ack(self, members: dict[str, Any]) -> None:
        """agent_job_ack: the node has the job, or has no room for it, or cannot make anything of it."""
        job, status = str(members.get("jobId", ""))[:300], members.get("statusCode")
        if not isinstance(status, int):
            msg = "An acknowledgement has no status."
            raise MalformedMessage(msg)
        self.offered.pop(job, None)
        if status in {frames.TAKEN, frames.DUPLICATE}:
            await self._refusable(self._messages.acknowledge_message, {"MessageId": job})
        elif status in _LATER:
            await self._messages.postpone_message(self._caller, job, seconds=LATER_SECONDS)
        else:
            why = f"status {status}: {str(members.get('errorMessage', ''))[:200]}"
            await self._refusable(self._messages.fail_message, {"MessageId": job, "FailureType": why})

    async def _take_reply(self, frame: Frame) -> None:
        """agent_job_reply: recorded, then acknowledged, whatever was thought of it: it would only come again."""
        members = _members(frame)
        job = str(members.get("jobId", ""))[:300]
        request = {"MessageId": job, "ReplyId": frame.message_id, "Payload": str(members.get("content", ""))}
        await self._refusable(self._messages.send_reply, request)
        await self._write(frames.JOB_REPLY_ACK, {"jobId": job, "acknowledgedMessageId": frame.message_id})

    async def _refusable(
        self, operation: Callable[[Caller, dict[str, Any]], Awaitable[object]], request: dict[str, Any]
    ) -> None:
        try:
            await operation(self._caller, request)
        except InfraError:
            raise
        except PatchwrightError as error:
            _log.warning("refused", node=self.instance_id, error=str(error)[:300])

    async def _write(self, kind: str, payload: dict[str, Any]) -> None:
        created = int(self._clock.now() * 1000)
        content = json.dumps(payload, separators=(",", ":")).encode()
        frame = Frame(kind, content, message_id=new_uuid(), created_ms=created)
        await self._send({"type": "websocket.send", "bytes": frame.pack()})

    def _close(self, code: int, reason: str) -> None:
        if self._closing is None:
            message = {"type": "websocket.close", "code": code, "reason": reason}
            self._closing = asyncio.get_running_loop().create_task(self._say(message))

    async def _say(self, message: MutableMapping[str, Any]) -> None:
        try:
            await self._send(message)
        except (OSError, RuntimeError):  # it was closed from the other side
            return


def _members(frame: Frame) -> dict[str, Any]:
    try:
        members = json.loads(frame.payload)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        msg = f"The content of {frame.kind} is no object."
        raise MalformedMessage(msg)
    return members
