# SPDX-License-Identifier: Apache-2.0
"""Where control channels begin: the token for one, and the WebSocket that is opened with it (spec agent-protocol §7). ASGI."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import structlog

from patchwright.server.accounts import MasterKey
from patchwright.server.commands import Waking
from patchwright.server.gateway.channel import Channel
from patchwright.server.gateway.messages import Messages
from patchwright.server.gateway.recorder import Recorder
from patchwright.server.gateway.rendering import Rendering
from patchwright.server.gateway.switchboard import Switchboard
from patchwright.server.infra import Clock, Database, InfraError
from patchwright.server.wire import ApiError, Caller, NotAdmitted, Rate, Rates, access_denied

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FRAME_LIMIT = 512 * 1024  # bytes; amazon-ssm-agent sends no reply of more than 120,000
_PATH = re.compile(r"/v1/control-channel/([A-Za-z0-9-]{1,128})\Z")
_SCHEMA = "1.0"
_TOKEN_SECONDS = 300.0
_FIRST_SECONDS = 15.0  # between the handshake and the token
_REFUSED, _NO_SERVICE = 1008, 1013  # close codes: policy violation, try again later
_OFF = "This server has no control channels; messages are polled for."

_log = structlog.get_logger("patchwright.channel")


class Identify(Protocol):
    """Who signed the request that opens a channel."""

    def __call__(self, scope: Scope, *, service: str, target: str, status: int) -> Awaitable[Caller]:
        """Raises NotAdmitted."""
        ...


class Tokens:
    """Tokens for channels: which node may open one, for a few minutes. Sealed, stored nowhere, good in every process."""

    def __init__(self, master: MasterKey, clock: Clock) -> None:
        self._master = master
        self._clock = clock

    def issue(self, instance_id: str) -> str:
        """A token for *instance_id*."""
        ends = str(self._clock.now() + _TOKEN_SECONDS)
        return self._master.seal_token(ends.encode(), label=f"channel/{instance_id}")

    def holds(self, token: str, instance_id: str) -> bool:
        """Whether *token* was issued for *instance_id*, and not long ago."""
        content = self._master.open_token(token, label=f"channel/{instance_id}")
        return content is not None and float(content) > self._clock.now()


class Channels:
    """
    The control channels of this process: CreateControlChannel, and the door that their WebSockets come in by.

    *active* says whether an account may still speak, *served* whether there are channels at all: without them agents poll.
    *rate* is how many frames a node may send a second before it has to wait.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        master: MasterKey,
        *,
        messages: Messages,
        rendering: Rendering,
        waking: Waking,
        active: Callable[[str], Awaitable[bool]],
        served: bool,
        rate: Rate,
    ) -> None:
        self.switchboard = Switchboard(database, clock, rendering=rendering, waking=waking, active=active)
        self._clock = clock
        self._tokens = Tokens(master, clock)
        self._messages = messages
        self._recorder = Recorder(database, clock, waking=waking)
        self._served = served
        self._rates = Rates(rate, clock.monotonic)

    async def create_control_channel(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreateControlChannel: a token for the WebSocket. Refused as the agent's protocol says where there are no channels."""
        if not self._served:
            raise ApiError("AccessDeniedException", _OFF)
        instance_id = request["InstanceId"]
        if caller.instance_id is None or instance_id != caller.instance_id:
            raise access_denied(f"{caller.principal} may not open the channel of {instance_id}.")
        return {"MessageSchemaVersion": _SCHEMA, "TokenValue": self._tokens.issue(instance_id)}

    def door(self, identify: Identify) -> ChannelDoor:
        """Where the WebSockets come in; *identify* says who signed their handshakes."""
        return ChannelDoor(
            self.switchboard,
            self._tokens,
            identify=identify,
            messages=self._messages,
            recorder=self._recorder,
            clock=self._clock,
            rates=self._rates,
        )


class ChannelDoor:
    """`GET /v1/control-channel/mi-…`, upgraded."""

    def __init__(
        self,
        switchboard: Switchboard,
        tokens: Tokens,
        *,
        identify: Identify,
        messages: Messages,
        recorder: Recorder,
        clock: Clock,
        rates: Rates,
    ) -> None:
        self._switchboard = switchboard
        self._tokens = tokens
        self._identify = identify
        self._messages = messages
        self._recorder = recorder
        self._clock = clock
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket from its handshake to its end."""
        await receive()  # websocket.connect
        try:
            caller = await self._admit(scope)
        except NotAdmitted as refused:
            await _refuse(send, refused)
            return
        await send({"type": "websocket.accept"})
        channel = Channel(caller, send, messages=self._messages, recorder=self._recorder, clock=self._clock)
        with contextlib.suppress(OSError):  # the node went away
            if not await self._opens(channel.instance_id, receive):
                await send({"type": "websocket.close", "code": _REFUSED, "reason": "no token of this node"})
                return
            await self._serve(channel, receive, send)

    async def _admit(self, scope: Scope) -> Caller:
        found = _PATH.match(scope["path"])
        target = "ssmmessages.OpenControlChannel" if found else "ssmmessages"
        caller = await self._identify(scope, service="ssmmessages", target=target, status=101)
        if found is None or caller.instance_id != found.group(1):
            denied = access_denied("There is no such channel for whoever asks.")
            raise NotAdmitted((403, (), f"<{denied.code}><message>{denied.text}</message></{denied.code}>".encode()))
        return caller

    async def _opens(self, instance_id: str, receive: Receive) -> bool:
        """Whether the first message brings a token of the node."""
        try:
            async with asyncio.timeout(_FIRST_SECONDS):
                message = await receive()
            opening = json.loads(message.get("text") or "null")
        except (TimeoutError, ValueError, RecursionError):
            return False
        token = opening.get("TokenValue") if isinstance(opening, dict) else None
        return isinstance(token, str) and self._tokens.holds(token, instance_id)

    async def _serve(self, channel: Channel, receive: Receive, send: Send) -> None:
        try:
            await self._switchboard.enter(channel)
        except InfraError as error:
            _log.warning("not held", node=channel.instance_id, error=str(error))
            await send({"type": "websocket.close", "code": _NO_SERVICE, "reason": "try again later"})
            return
        _log.info("opened", node=channel.instance_id, account=channel.scope.account)
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                if message.get("bytes") is not None:
                    await channel.take(message["bytes"])
                wait = self._rates.take(channel.instance_id)
                if wait > 0:  # nothing more is read meanwhile: the node's own queue fills up
                    self._rates.charge(channel.instance_id)
                    await self._clock.sleep(wait)
        finally:
            with contextlib.suppress(InfraError):
                await self._switchboard.leave(channel)
            _log.info("closed", node=channel.instance_id, account=channel.scope.account)


async def _refuse(send: Send, refused: NotAdmitted) -> None:
    status, headers, body = refused.reply
    await send({"type": "websocket.http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "websocket.http.response.body", "body": body})
