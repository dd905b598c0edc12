# SPDX-License-Identifier: Apache-2.0
"""Who receives webhooks in tests: a server that answers as it is told, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from dataclasses import dataclass, field


@dataclass
class Posted:
    """One request."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    def signed_with(self, secret):
        """Whether the signature is that of *secret*, checked as the receiver's manual says."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        mark = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        return self.headers["webhook-signature"] == f"v1,{mark}"


@dataclass
class Receiver:
    """Answers with *answers* one after the other, the last one for ever. An answer is a status, or bytes as they are sent."""

    answers: list = field(default_factory=lambda: [200])
    posted: list[Posted] = field(default_factory=list)
    held: asyncio.Event | None = None  # nobody is answered before it is set
    most: int = 0  # at a time
    _now: int = 0
    port: int = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook?a=b"

    @property
    def ids(self):
        return [one.headers["webhook-id"] for one in self.posted]

    async def got(self, count):
        """Wait until there are so many requests."""
        async with asyncio.timeout(30):
            while len(self.posted) < count:
                await asyncio.sleep(0.01)

    async def answer(self, reader, writer):
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.strip().split("\r\n")
            headers = dict(one.split(": ", 1) for one in lines)
            self.posted.append(Posted(line, headers, await reader.readexactly(int(headers["content-length"]))))
            if self.held is not None:
                await self.held.wait()
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, int):
                answer = f"HTTP/1.1 {answer} Told\r\ncontent-length: 0\r\n\r\n".encode()
            writer.write(answer)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        finally:
            self._now -= 1
            writer.close()


@contextlib.asynccontextmanager
async def receiving(*answers, tls=None):
    """A receiver at work."""
    receiver = Receiver(list(answers) or [200])
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
