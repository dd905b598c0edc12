# SPDX-License-Identifier: Apache-2.0
"""
The least that a server of control channels can do: frames out, frames in, each batch kept by one durable commit, then answered.

    python bench/channel_floor.py PORT FILE

The same WebSocket as the product's, in one process. `GET /go` sends a job to everybody who is connected. A frame that comes in
is kept, with all that came while the batch before it was written, as one row; what is a reply is acknowledged after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
import uuid
from typing import Any

import measure
import uvicorn
import uvloop

from patchwright.core.frames import JOB, JOB_REPLY, JOB_REPLY_ACK, Frame
from patchwright.server.wire import Doorstep, Proxies, WebSocket

CONTENT = json.dumps({"CommandId": "1", "DocumentContent": {"schemaVersion": "2.2"}, "Filling": "x" * 900})


class Floor:
    """One ASGI application."""

    def __init__(self, path: str) -> None:
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=FULL")
        self._file.execute("CREATE TABLE batch (content BLOB NOT NULL)")
        self._lines: list[Any] = []
        self._batch: list[tuple[bytes, Any]] = []
        self._writing: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a channel, or let everybody go."""
        if scope["type"] == "websocket":
            await self._channel(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        if scope["path"] == "/go":
            for line in self._lines:
                job = {
                    "SchemaVersion": 1,
                    "JobId": str(uuid.uuid4()),
                    "Topic": "aws.ssm.sendCommand",
                    "Content": CONTENT,
                }
                await self._write(line, JOB, job)

    async def _channel(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()  # its token
        self._lines.append(send)
        while (message := await receive())["type"] != "websocket.disconnect":
            self._batch.append((message["bytes"], send))
            if self._writing is None:
                self._writing = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while self._batch:
            batch, self._batch = self._batch, []
            await asyncio.to_thread(self._commit, b"".join(data for data, _ in batch))
            for data, line in batch:
                frame = Frame.unpack(data)
                if frame.kind == JOB_REPLY:
                    reply = json.loads(frame.payload)
                    answer = {"jobId": reply["jobId"], "acknowledgedMessageId": frame.message_id}
                    await self._write(line, JOB_REPLY_ACK, answer)
        self._writing = None

    def _commit(self, content: bytes) -> None:
        self._file.execute("INSERT INTO batch VALUES (?)", (content,))

    async def _write(self, line: Any, kind: str, payload: dict[str, Any]) -> None:
        frame = Frame(kind, json.dumps(payload).encode(), message_id=str(uuid.uuid4()), created_ms=1)
        with contextlib.suppress(OSError):
            await line({"type": "websocket.send", "bytes": frame.pack()})


def main() -> None:
    """Serve until told to stop."""
    assert measure.ROOT
    config = uvicorn.Config(
        Floor(sys.argv[2]),
        port=int(sys.argv[1]),
        loop="none",
        http=Doorstep.sized(0, Proxies()).protocol(),
        ws=WebSocket,
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="error",
        access_log=False,
    )
    uvloop.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
