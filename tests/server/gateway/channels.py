# SPDX-License-Identifier: Apache-2.0
"""
A house behind a real socket, and nodes that open control channels to it as amazon-ssm-agent does (spec agent-protocol §7).

Requests are signed by botocore, the WebSocket is the `websockets` library's: neither is ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import socket
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import uvicorn
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.asyncio.client import ClientConnection, connect

from patchwright.core.frames import Frame
from patchwright.server import serving
from patchwright.server.wire import Credential, Doorstep, Proxies
from server.gateway.house import House
from server.wire.client import Answer

DEADLINE = 60.0


def signed(method: str, url: str, body: bytes, *, key: Credential, at: float, service: str = "ssmmessages") -> Any:
    """The headers of a request as botocore signs it."""
    headers = {"Content-Type": "application/json"} if body else {}
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None), create=True):
        SigV4Auth(Credentials(key.access_key_id, key.secret), service, key.region or "us-east-1").add_auth(request)
    return dict(request.headers.items())


def token_of(answer: Answer) -> str:
    """The token in the answer to CreateControlChannel."""
    return answer.body.decode().partition("<TokenValue>")[2].partition("</TokenValue>")[0]


class Address:
    """Where a house listens."""

    def __init__(self, house: House, port: int, doorstep: Doorstep) -> None:
        self.house = house
        self.port = port
        self.doorstep = doorstep
        self.at: float | None = None

    @property
    def now(self) -> float:
        """The time to sign with: every signature has a second of its own, since it is good once."""
        return self.house.clock.now()

    async def create(self, node: Credential, *, instance_id: str | None = None, **how: Any) -> Answer:
        """CreateControlChannel."""
        url = f"http://127.0.0.1:{self.port}/v1/control-channel/{instance_id or node.instance_id}"
        body = json.dumps({"MessageSchemaVersion": "1.0", "RequestId": str(uuid.uuid4())}).encode()
        headers = signed("POST", url, body, key=node, at=self.now, **how)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = [f"POST {url.partition(str(self.port))[2]} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", *lines]
        writer.write("\r\n".join([*head, f"Content-Length: {len(body)}", "Connection: close", "", ""]).encode() + body)
        answer = await asyncio.wait_for(reader.read(), DEADLINE)
        writer.close()
        top, _, content = answer.partition(b"\r\n\r\n")
        first, *rest = top.decode().split("\r\n")
        pairs = (line.partition(":") for line in rest)
        return Answer(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, content)

    async def dial(self, node: Credential, *, instance_id: str | None = None, path: str = "") -> ClientConnection:
        """The WebSocket, upgraded. Raises websockets.InvalidStatus."""
        self.house.clock.time += 1  # no two of the same second
        path = path or f"/v1/control-channel/{instance_id or node.instance_id}"
        at = f"127.0.0.1:{self.port}{path}?role=subscribe&stream=input"
        headers = signed("GET", f"http://{at}", b"", key=node, at=self.now)
        return await connect(
            f"ws://{at}", additional_headers=headers, compression=None, proxy=None, open_timeout=DEADLINE
        )

    @contextlib.asynccontextmanager
    async def channel(self, node: Credential) -> AsyncIterator[Line]:
        """An open channel of *node*."""
        self.house.clock.time += 1
        answer = await self.create(node)
        assert answer.status == 201, answer.body
        token = token_of(answer)
        line = Line(node, await self.dial(node))
        held = len(self.house.wired.switchboard)
        await line.socket.send(
            json.dumps(
                {
                    "Cookie": None,
                    "MessageSchemaVersion": "1.0",
                    "RequestId": str(uuid.uuid4()),
                    "TokenValue": token,
                    "AgentVersion": "3.3.0.0",
                    "PlatformType": "linux",
                }
            )
        )
        await until(lambda: len(self.house.wired.switchboard) >= max(held, 1))
        try:
            yield line
        finally:
            await line.socket.close()


class Line:
    """What a node says and hears on its channel."""

    def __init__(self, node: Credential, socket: ClientConnection) -> None:
        self.node = node
        self.socket = socket

    async def hear(self, kind: str, *, seconds: float = DEADLINE) -> tuple[Frame, dict[str, Any]]:
        """The next frame, which is of *kind*, and its content."""
        data = await asyncio.wait_for(self.socket.recv(), seconds)
        assert isinstance(data, bytes)
        frame = Frame.unpack(data)
        assert frame.kind == kind
        return frame, json.loads(frame.payload)

    async def say(self, kind: str, content: Any, *, message_id: str | None = None) -> str:
        """Send a frame; returns its id."""
        payload = content if isinstance(content, bytes) else json.dumps(content).encode()
        frame = Frame(kind, payload, message_id=message_id or str(uuid.uuid4()), created_ms=int(time.time() * 1000))
        await self.socket.send(frame.pack())
        return frame.message_id

    async def take(self, *, status: int = 200) -> dict[str, Any]:
        """The next job, acknowledged with *status*."""
        frame, job = await self.hear("agent_job")
        await self.say(
            "agent_job_ack",
            {
                "jobId": job["JobId"],
                "acknowledgedMessageId": frame.message_id,
                "createdDate": frame.created_ms,
                "statusCode": status,
                "errorMessage": "" if status == 200 else "why",
            },
        )
        return job

    async def reply(self, job: dict[str, Any], status: str, *, message_id: str | None = None, **members: Any) -> str:
        """A reply to a job, acknowledged by the server; returns its id."""
        content = json.dumps({"documentStatus": status, "runtimeStatus": {}, "documentTraceOutput": "", **members})
        reply = {"schemaVersion": 1, "jobId": job["JobId"], "content": content, "topic": "aws.ssm.sendCommand"}
        said = await self.say("agent_job_reply", reply, message_id=message_id)
        _, acknowledged = await self.hear("agent_job_reply_ack")
        assert acknowledged == {"jobId": job["JobId"], "acknowledgedMessageId": said}
        return said


async def until(condition: Any) -> None:
    """Wait until *condition* holds."""
    ends = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.005)


async def until_async(ask: Any, condition: Any) -> None:
    """Ask until *condition* holds of the answer."""
    ends = time.monotonic() + DEADLINE
    while not condition(await ask()):
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)


async def looks(house: House, times: int) -> None:
    """The switchboard looks for work so many times, and what it begins has its turn in between."""
    for _ in range(times):
        await house.wired.switchboard.look()
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def listening(house: House) -> AsyncIterator[Address]:
    """*house* behind a socket on loopback, as the server's process sets it up."""
    listener = socket.create_server(("127.0.0.1", 0))
    doorstep = Doorstep.sized(0, Proxies(()))
    server = uvicorn.Server(serving.settings(house.wired.application, None, doorstep))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    try:
        yield Address(house, listener.getsockname()[1], doorstep)
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 30)
        listener.close()
