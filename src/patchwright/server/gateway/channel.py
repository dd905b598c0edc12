# SPDX-License-Identifier: Apache-2.0
"""One control channel: frames in, frames out (spec agent-protocol §7.1), over an accepted WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import structlog

from patchwright.core import frames
from patchwright.core.errors import MalformedMessage, PatchwrightError
from patchwright.core.frames import Frame, MalformedFrame
from patchwright.core.protocol import command_of, message_id
from patchwright.server.accounts import Scope
from patchwright.server.commands import Delivery, Held, Said
from patchwright.server.gateway.messages import Messages, message_of, read_reply
from patchwright.server.gateway.recorder import Recorder
from patchwright.server.infra import Clock, InfraError, RequestIds
from patchwright.server.wire import Caller

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

UNDER_WAY = 10  # jobs that are being written to one node; amazon-ssm-agent takes as many before it refuses
LATER_SECONDS = 30.0  # spec agent-protocol §7.1: what a node had no room for is offered again after that
_BAD_FRAMES = 10  # after so many that cannot be read the channel is closed
_POLICY, _SUPERSEDED = 1008, 4000  # close codes; from 4000 on they are ours
_NOOP, _NOOP_STEP = "AWS-Noop", "Noop"  # the document that does nothing, and its only step
_LATER = frozenset({frames.CLOSED, frames.FULL})
_THERE = frozenset({frames.TAKEN, frames.DUPLICATE})
_COMMANDS = "aws.ssm."  # what ids of messages begin with that deliver commands

_log = structlog.get_logger("patchwright.channel")


class Channel:
    """
    What is said over one WebSocket with the node of *caller*.

    *held* is set once a process holds it. Replies are recorded in the order in which they come.
    """

    def __init__(self, caller: Caller, send: Send, *, messages: Messages, recorder: Recorder, clock: Clock) -> None:
        self.scope: Scope = caller.scope
        self.instance_id = str(caller.instance_id)
        self.held: Held | None = None
        self.offered: dict[str, None] = {}  # jobs that it has not acknowledged
        self._caller = caller
        self._send = send
        self._messages = messages
        self._recorder = recorder
        self._recording: set[asyncio.Task[None]] = set()
        self._ids = RequestIds()
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
                if delivery.payload.get("DocumentName") == _NOOP:
                    job["NoopStep"] = (
                        _NOOP_STEP  # our agent answers without becoming its whole self; Amazon's passes it over
                    )
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
        job, status = _job(members), members.get("statusCode")
        if not isinstance(status, int):
            msg = "An acknowledgement has no status."
            raise MalformedMessage(msg)
        self.offered.pop(job, None)
        if status in _LATER:
            await self._messages.postpone_message(self._caller, job, seconds=LATER_SECONDS)
        elif status not in _THERE:
            why = f"status {status}: {str(members.get('errorMessage', ''))[:200]}"
            await self._refusable(self._messages.fail_message, {"MessageId": job, "FailureType": why})
        elif job.startswith(_COMMANDS):
            # Nobody waits for it: with a reply that follows it is recorded together, and unrecorded it comes again.
            said = Said(self.scope, self.instance_id, self._own_command(job), None)
            self._recorder.take(said).add_done_callback(_heed)
        else:
            await self._refusable(self._messages.acknowledge_message, {"MessageId": job})

    async def _take_reply(self, frame: Frame) -> None:
        """agent_job_reply: recorded, then acknowledged, whatever was thought of it: it would only come again."""
        members = _members(frame)
        job = _job(members)
        try:
            command_id = self._own_command(job)
            reply = read_reply({"ReplyId": frame.message_id, "Payload": str(members.get("content", ""))}, command_id)
        except MalformedMessage as error:
            _log.warning("refused", node=self.instance_id, error=str(error)[:300])
            await self._write(frames.JOB_REPLY_ACK, {"jobId": job, "acknowledgedMessageId": frame.message_id})
            return
        while len(self._recording) >= UNDER_WAY:
            await asyncio.wait(self._recording, return_when=asyncio.FIRST_COMPLETED)
        future = self._recorder.take(Said(self.scope, self.instance_id, command_id, reply))
        task = asyncio.get_running_loop().create_task(self._recorded(future, job, frame.message_id))
        self._recording.add(task)
        task.add_done_callback(self._recording.discard)

    async def _recorded(self, future: asyncio.Future[None], job: str, message: str) -> None:
        """Acknowledge a reply once it is durable. Where it cannot be kept it is not: the node says it again."""
        try:
            await future
        except InfraError as error:
            _log.warning("not recorded", node=self.instance_id, error=str(error))
            return
        except PatchwrightError as error:
            _log.warning("refused", node=self.instance_id, error=str(error)[:300])
        with contextlib.suppress(OSError, RuntimeError):  # closed meanwhile
            await self._write(frames.JOB_REPLY_ACK, {"jobId": job, "acknowledgedMessageId": message})

    def _own_command(self, job: str) -> str:
        """The command that *job* delivers, which must be one to this node. Raises MalformedMessage."""
        command_id = command_of(job)
        if job != message_id(command_id, self.instance_id):
            msg = f"{self.instance_id} may not speak for the receiver of {job[:120]}."
            raise MalformedMessage(msg)
        return command_id

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
        frame = Frame(kind, content, message_id=self._ids.next(), created_ms=created)
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


def _job(members: dict[str, Any]) -> str:
    """The job that a frame is about; what no id of a job can hold gets no further. Raises MalformedMessage."""
    job = str(members.get("jobId", ""))[:300]
    if not (job.isascii() and job.isprintable()):
        msg = "The id of a job has characters that no id has."
        raise MalformedMessage(msg)
    return job


def _heed(future: asyncio.Future[None]) -> None:
    """Take note of what came of what nobody waits for."""
    if not future.cancelled() and (error := future.exception()) is not None:
        _log.warning("not acknowledged", error=str(error)[:300])
