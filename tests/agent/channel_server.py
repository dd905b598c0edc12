# SPDX-License-Identifier: Apache-2.0
"""
A server of control channels for one connection after the other, in threads; the WebSocket is the `websockets` library's.

Requests are noted as they come; what is said over a channel is up to the test.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

TOKEN = "TOK+en/of=="
ANSWER = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<CreateControlChannelResponse><MessageSchemaVersion>1.0</MessageSchemaVersion>'
    f"<TokenValue>{TOKEN}</TokenValue></CreateControlChannelResponse>"
)


class Talk:
    """One WebSocket from the server's side."""

    def __init__(self, plug: socket.socket, protocol: ServerProtocol) -> None:
        self._plug = plug
        self._protocol = protocol
        self._waiting: list[Frame] = []

    def hear(self) -> Frame | None:
        """The next frame of the node; None where it went away. Pings are answered."""
        while not self._waiting:
            data = self._received()
            if not data:
                return None
            self._protocol.receive_data(data)
            self._waiting += [event for event in self._protocol.events_received() if isinstance(event, Frame)]
            self._flush()
        return self._waiting.pop(0)

    def say(self, opcode: Opcode, data: bytes, *, fin: bool = True) -> None:
        """Send a frame as it is."""
        self.raw(Frame(opcode, data, fin=fin).serialize(mask=False))

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        self._plug.sendall(data)

    def _received(self) -> bytes:
        # A node that went away before its ping was answered resets the connection.
        try:
            return self._plug.recv(65536)
        except ConnectionResetError:
            return b""

    def _flush(self) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for data in self._protocol.data_to_send():
                self._plug.sendall(data)


class ChannelServer:
    """Listens on loopback. *talk* is given each channel; *status* and *body* are what CreateControlChannel answers."""

    def __init__(
        self,
        talk: Callable[[Talk], Any],
        *,
        status: int = 201,
        body: str = ANSWER,
        certificate: tuple[Path, Path] | None = None,
        accept: bytes = b"",
    ) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.talked: list[Any] = []
        self._talk = talk
        self._answer = (status, body)
        self.answers: dict[str, tuple[int, str]] = {}  # to other operations, by name
        self._accept = accept
        self._context = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*map(str, certificate))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._plugs: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def wait_for(self, operation: str) -> None:
        """Wait until *operation* was called."""
        ends = time.monotonic() + 60
        while not any(operation in headers.get("x-amz-target", "") for _, headers, _ in self.requests):
            assert time.monotonic() < ends
            time.sleep(0.01)

    def close(self, *, hang_up: bool = False) -> None:
        """Listen no more, and wait until every talk has ended, or end it."""
        self._listener.close()
        for plug in self._plugs if hang_up else ():
            with contextlib.suppress(OSError):
                plug.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plug, _ = self._listener.accept()
                thread = threading.Thread(target=self._attend, args=(plug,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _attend(self, plug: socket.socket) -> None:
        with contextlib.suppress(OSError), plug:
            if self._context:
                plug = self._context.wrap_socket(plug, server_side=True)
            self._plugs.append(plug)
            plug.settimeout(60)
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    more = plug.recv(65536)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                size = int(headers.get("content-length", "0"))
                while len(data) < size:
                    data += plug.recv(65536)
                body, data = data[:size], data[size:]
                self.requests.append((first, headers, body))
                if first.startswith("GET "):
                    self._upgrade(plug, head)
                    return
                operation = headers.get("x-amz-target", "").rpartition(".")[2]
                status, text = self.answers.get(operation, self._answer)
                plug.sendall(f"HTTP/1.1 {status} Said\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode())

    def _upgrade(self, plug: socket.socket, head: bytes) -> None:
        protocol = ServerProtocol(max_size=None)
        protocol.receive_data(head + b"\r\n\r\n")
        (request,) = [event for event in protocol.events_received() if isinstance(event, Request)]
        protocol.send_response(protocol.accept(request))
        answer = b"".join(protocol.data_to_send())
        plug.sendall(self._accept or answer)
        self.talked.append(self._talk(Talk(plug, protocol)))
