# SPDX-License-Identifier: Apache-2.0
"""
The control channel of Amazon's agent, played (docs/reference/spec/agent-protocol.md §7): jobs in, acknowledgements and replies out.

    with Channel(agent, url) as channel:            creates it, opens it, reads it in a thread of its own
        …                                       documents run beside each other, as the agent runs them
    channel.unheard                             replies that nobody acknowledged within their second

Frames are packed here from the specification, on their own.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import struct
import threading
import uuid
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as Xml

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from . import amazon_wire as wire
from .amazon_agent import VERSION, AmazonAgent

_HEAD = struct.Struct(">I32sIQqQ16s32sI")
_ACK_SECONDS = 1.0
_BUFFER = 10  # 5 that run and 5 that wait: the next one is refused
FULL = 51402


def pack(kind: str, payload: dict[str, Any], *, message_id: uuid.UUID, created: float) -> bytes:
    """A frame."""
    body, number = wire.encode(payload), message_id.bytes
    digest = hashlib.sha256(body).digest()
    head = _HEAD.pack(116, kind.encode().ljust(32), 1, int(created * 1000), 0, 0, number[8:] + number[:8], digest, 0)
    return head + struct.pack(">I", len(body)) + body


def unpack(data: bytes) -> tuple[str, uuid.UUID, dict[str, Any]]:
    """Kind, id and payload of a frame, which the agent wants to have a date."""
    length, kind, _, created, _, _, number, _, _ = _HEAD.unpack_from(data)
    assert length == 116
    assert created > 0
    (size,) = struct.unpack_from(">I", data, length)
    payload: dict[str, Any] = json.loads(data[length + 4 : length + 4 + size])
    return kind.decode().strip(" \0"), uuid.UUID(bytes=number[8:] + number[:8]), payload


class Channel:
    """One channel of *agent*. It is an Upstream: what comes over it is answered over it."""

    def __init__(self, agent: AmazonAgent, url: str, *, context: ssl.SSLContext | None = None) -> None:
        self.agent = agent
        self.unheard: list[str] = []
        self.acknowledged: list[int] = []
        self._parts = urlsplit(url)
        self._context = context
        self._path = f"/v1/control-channel/{agent.instance_id}"
        self._heard: dict[str, threading.Event] = {}
        self._frames: dict[str, uuid.UUID] = {}  # of jobs, by their id
        self._lock = threading.Lock()
        self._stack = ExitStack()

    def __enter__(self) -> Channel:
        token = self._create()
        self._socket = self._stack.enter_context(self._dial())
        self._socket.send(
            json.dumps(
                {
                    "Cookie": None,
                    "MessageSchemaVersion": "1.0",
                    "RequestId": str(uuid.uuid4()),
                    "TokenValue": token,
                    "AgentVersion": VERSION,
                    "PlatformType": "linux",
                }
            )
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.agent.join()
        self._stack.close()
        self._reader.join()

    def reply(self, message_id: str, content: str, reply_id: str) -> None:
        """agent_job_reply; what says that a document has begun is sent without caring what becomes of it."""
        said = json.loads(content)
        number = uuid.UUID(reply_id)
        heard = self._heard[reply_id] = threading.Event()
        payload = {"schemaVersion": 1, "jobId": message_id, "content": content, "topic": "aws.ssm.sendCommand"}
        self._send("agent_job_reply", payload, number)
        begins = said["documentStatus"] == "InProgress" and not said["runtimeStatus"]
        if not begins and not heard.wait(_ACK_SECONDS):
            self.unheard.append(reply_id)

    def acknowledge(self, message_id: str, status: int) -> None:
        """agent_job_ack."""
        self.acknowledged.append(status)
        payload = {
            "jobId": message_id,
            "acknowledgedMessageId": str(self._frames[message_id]),
            "createdDate": wire.iso(self.agent.now()),
            "statusCode": status,
            "errorMessage": "",
        }
        self._send("agent_job_ack", payload, uuid.uuid4())

    def _send(self, kind: str, payload: dict[str, Any], number: uuid.UUID) -> None:
        with self._lock:
            self._socket.send(pack(kind, payload, message_id=number, created=self.agent.now()))

    def _read(self) -> None:
        try:
            for data in self._socket:
                assert isinstance(data, bytes)
                kind, number, payload = unpack(data)
                if kind == "agent_job_reply_ack":
                    heard = self._heard.get(payload["acknowledgedMessageId"])
                    if heard is not None:
                        heard.set()
                elif kind == "agent_job":
                    self._frames[payload["JobId"]] = number
                    self._take(payload)
        except ConnectionClosed:
            return

    def _take(self, payload: dict[str, Any]) -> None:
        """A job, unless there are as many as the agent has room for."""
        is_command = payload["Topic"].startswith("aws.ssm.sendCommand")
        if is_command and len(self.agent.running) >= _BUFFER:
            self.acknowledge(payload["JobId"], FULL)
            return
        self.agent.take(payload["JobId"], payload["Topic"], payload["Content"], self, beside=True)

    def _create(self) -> str:
        """CreateControlChannel; returns the token."""
        body = wire.encode({"MessageSchemaVersion": "1.0", "RequestId": str(uuid.uuid4())})
        headers = self._signed("POST", body, {"content-type": "application/json"})
        connection: http.client.HTTPConnection
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            connection = http.client.HTTPSConnection(host, port, timeout=15, context=self._context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=15)
        try:
            connection.request("POST", self._path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status != 201:  # anything else is an error
            raise wire.Refused(answer.status, "", content[:500].decode(errors="replace"))
        token = Xml.fromstring(content).findtext("TokenValue")  # noqa: S314 - of the server that is tested
        assert token
        return token

    def _dial(self) -> AbstractContextManager[ClientConnection]:
        query = "role=subscribe&stream=input"
        headers = self._signed("GET", b"", {}, query=query)
        del headers["host"]
        scheme = "wss" if self._parts.scheme == "https" else "ws"
        url = f"{scheme}://{self._parts.netloc}{self._path}?{query}"
        return connect(url, additional_headers=headers, ssl=self._context, compression=None, ping_interval=54)

    def _signed(self, method: str, body: bytes, more: dict[str, str], *, query: str = "") -> dict[str, str]:
        agent = self.agent
        session = agent.session or agent.refresh()
        headers = {
            **more,
            "host": self._parts.netloc,
            "x-amz-date": wire.basic(agent.now()),
            "x-amz-security-token": session.token,
        }
        headers["authorization"] = wire.authorization(
            headers,
            body,
            key_id=session.key_id,
            sign=session.signer(headers["x-amz-date"][:8], agent.region, "ssmmessages"),
            region=agent.region,
            service="ssmmessages",
            method=method,
            path=self._path,
            query=query,
            signed=";".join(sorted(headers)),
        )
        return headers
