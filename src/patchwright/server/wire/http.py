# SPDX-License-Identifier: Apache-2.0
"""
HTTP/1.1 as uvicorn speaks it, with one write to the network for each answer instead of one for its head and one for its body.

And with bounds that it does not have: on how many connections there are, in all and from one address, on how large the head of
a request may be and how long it may take, on what comes beside a body's bytes, and on how long a request may go on arriving.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakSet

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .proxies import Proxies

_OTHER_FILES, _MOST_FILES = 256, 1_000_000
_TOO_LARGE = b"The head of the request is larger than allowed."
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(_TOO_LARGE), _TOO_LARGE)
)


@dataclass
class Doorstep:
    """
    How many connections there may be, and what a request may bring besides its body; what all connections share.

    *connections* in all, *from_one_address* of them; addresses of *proxies* may have all. *head_bytes* and *headers* of one
    request, *head_seconds* for them to arrive, *seconds* for the whole request. *beside_bytes* may come with a body in a row
    without a byte of it: sizes of chunks, trailers. Every *look_seconds* it is looked what takes too long.
    """

    connections: int = 10_000
    from_one_address: int = 5_000
    head_bytes: int = 64 * 1024
    headers: int = 100
    head_seconds: float = 20.0
    seconds: float = 60.0
    beside_bytes: int = 512 * 1024
    look_seconds: float = 2.0
    proxies: Proxies = field(default_factory=Proxies)
    open: WeakSet[Protocol] = field(default_factory=WeakSet)
    by_address: Counter[str] = field(default_factory=Counter)
    sweeping: bool = False

    @classmethod
    def sized(cls, connections: int, proxies: Proxies) -> Doorstep:
        """
        For so many *connections*, half of them from one address; 0: as many as files may be open, less those needed besides.

        The process is allowed as many files as it may have.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        most = connections or max(min(hard, _MOST_FILES) - _OTHER_FILES, _OTHER_FILES)
        return cls(connections=most, from_one_address=max(most // 2, 1), proxies=proxies)

    def protocol(self) -> type[Protocol]:
        """uvicorn's protocol with these bounds: `uvicorn.Config(http=Doorstep(…).protocol())`."""
        return type("Protocol", (Protocol,), {"doorstep": self})

    def leave(self, connection: Protocol) -> None:
        """A connection has ended, as whatever it was last."""
        if connection in self.open:
            self.open.discard(connection)
            self.by_address[connection.counted] -= 1
            if not self.by_address[connection.counted]:
                del self.by_address[connection.counted]


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol over a transport that gathers what is written, within the bounds of its *doorstep*."""

    doorstep = Doorstep()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._arriving = True  # a request, or the connection waits for its first
        self._since = self.loop.time()
        self._in_head = True
        self._head = 0
        self._beside = 0
        self.counted = ""

    def connection_made(self, transport: Any) -> None:
        """A client has connected. One too many is shown out at once."""
        super().connection_made(Gathering(transport, self.loop))  # type: ignore[arg-type] # all that uvicorn asks of it
        doorstep, address = self.doorstep, self.client[0] if self.client else ""
        full = len(doorstep.open) >= doorstep.connections
        if full or (doorstep.by_address[address] >= doorstep.from_one_address and not doorstep.proxies.trusts(address)):
            if not doorstep.by_address[address]:
                del doorstep.by_address[address]
            transport.abort()
            return
        doorstep.open.add(self)
        doorstep.by_address[address] += 1
        self.counted = address
        if not doorstep.sweeping:
            doorstep.sweeping = True
            self.loop.call_later(doorstep.look_seconds, _sweep, doorstep, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self.doorstep.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request, or of several."""
        if self.transport.is_closing():
            return
        if not self._arriving:
            self._begin()
        if self._in_head:
            self._head += len(data)
        else:
            self._beside += len(data)
        super().data_received(data)
        if self._in_head and self._head > self.doorstep.head_bytes and not self.transport.is_closing():
            self.transport.write(_REFUSAL)
            self.transport.close()
        elif self._beside > self.doorstep.beside_bytes:
            self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what comes after the body is none."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there. One that is too large is answered without asking anybody."""
        self._in_head = False
        self._beside = 0
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if len(self.headers) <= self.doorstep.headers and size <= self.doorstep.head_bytes:
            super().on_headers_complete()
            return
        if self._should_upgrade():
            self.transport.write(_REFUSAL)
            self.transport.close()
            return
        served, self.app = self.app, _refuse_head
        try:
            super().on_headers_complete()
        finally:
            self.app = served

    def handle_websocket_upgrade(self) -> None:
        """The connection becomes a WebSocket, and is still counted."""
        if self.transport.is_closing():  # its head was too large
            return
        self._arriving = False
        made: Any = self.ws_protocol_class
        self.ws_protocol_class = partial(made, entered_as=self)  # type: ignore[assignment]
        try:
            super().handle_websocket_upgrade()
        finally:
            self.ws_protocol_class = made

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._beside = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request is there; what else there is of the same bytes is the next one."""
        self._arriving = False
        super().on_message_complete()
        self._in_head = True
        self._head = self._beside = 0

    def on_message_begin(self) -> None:
        """Another request begins."""
        if not self._arriving:
            self._begin()
        super().on_message_begin()

    def overdue(self, now: float) -> bool:
        """Whether what arrives has taken too long; *now* by the event loop's clock."""
        most = self.doorstep.head_seconds if self._in_head else self.doorstep.seconds
        return self._arriving and now - self._since > most

    def _begin(self) -> None:
        self._arriving = True
        self._since = self.loop.time()


class WebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket over a connection that *entered_as* HTTP, through a doorstep: `uvicorn.Config(ws=WebSocket)`."""

    def __init__(self, *args: Any, entered_as: Protocol, **options: Any) -> None:
        super().__init__(*args, **options)
        self._entered_as = entered_as

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._entered_as.doorstep.leave(self._entered_as)
        super().connection_lost(exc)


class Gathering:
    """A transport that passes on, in one piece and at the next turn of the event loop, what was written during one."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write *data*, with what else is written in this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Close the connection after what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():  # where the client has gone meanwhile, uvloop would raise
            self._transport.write(b"".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _sweep(doorstep: Doorstep, loop: asyncio.AbstractEventLoop) -> None:
    """Close what takes too long, now and as long as there are connections."""
    now = loop.time()
    for connection in [one for one in doorstep.open if one.overdue(now)]:
        connection.transport.abort()
    doorstep.sweeping = bool(doorstep.open)
    if doorstep.sweeping:
        loop.call_later(doorstep.look_seconds, _sweep, doorstep, loop)


async def _refuse_head(_scope: Any, _receive: Any, send: Callable[[dict[str, Any]], Any]) -> None:
    headers = [(b"content-length", str(len(_TOO_LARGE)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": _TOO_LARGE})
