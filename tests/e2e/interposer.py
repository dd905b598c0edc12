# SPDX-License-Identifier: Apache-2.0
"""
What stands between nodes and the server: passes every request on, and lets a test act at a chosen one.

    @station.interposer.before("PutResolution")
    def meddle(body): …                      # runs before the request reaches the server
    station.interposer.drop_answer("SendReply", times=1)   # the server has it, the node does not learn so
    station.interposer.lose_first_answers("PutFacts", …)   # of every request, once
    station.interposer.redeliver()                         # the last messages are delivered once more
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Hook = Callable[[dict[str, Any]], None]
Answer = tuple[int, list[tuple[str, str]], bytes]
_HOP = {"connection", "transfer-encoding", "keep-alive"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # five, the default, are soon there when nobody has time to accept

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A node that vanishes in the middle of an answer is part of the stories."""


class Interposer:
    """
    A reverse proxy on loopback. Headers, Host among them, stay as they were signed.

    Attributes:
        seen: How often each operation was asked for, by name.
        record: What nodes sent, oldest first: operation and body ({} where it is compressed).
        deliveries: How many answers of the server brought messages, whether or not somebody was left to read them.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._hooks: dict[str, list[Hook]] = {}
        self._drops: Counter[str] = Counter()
        self._doubles: Counter[str] = Counter()
        self._lossy: set[str] = set()
        self._lost: set[bytes] = set()
        self._delivered: Answer | None = None
        self._again: Counter[str] = Counter()
        self._polls: set[http.client.HTTPConnection] = set()
        self._lock = threading.RLock()
        self.deliveries = 0
        self.record: list[tuple[str, dict[str, Any]]] = []
        self.seen: Counter[str] = Counter()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def before(self, operation: str) -> Callable[[Hook], Hook]:
        """Decorator: call the function with the request's body before each *operation* is passed on."""

        def register(hook: Hook) -> Hook:
            self._hooks.setdefault(operation, []).append(hook)
            return hook

        return register

    def drop_answer(self, operation: str, *, times: int = 1) -> None:
        """Let the server take the next *times* requests of *operation*, and cut the connection instead of answering."""
        self._drops[operation] += times

    def double(self, operation: str, *, times: int = 1) -> None:
        """Pass the next *times* requests of *operation* on twice; the node has the first answer."""
        self._doubles[operation] += times

    def lose_first_answers(self, *operations: str) -> None:
        """Cut the connection instead of answering whenever one of *operations* comes with a body not seen before."""
        self._lossy.update(operations)

    def redeliver(self) -> None:
        """Answer the next poll with the last messages that were delivered, whoever has acknowledged them; at once."""
        with self._lock:
            self._again["GetMessages"] += 1
            for connection in self._polls:  # a poll under way would last until the server has something
                with contextlib.suppress(OSError, AttributeError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def sent(self, operation: str) -> list[dict[str, Any]]:
        """The bodies nodes sent of *operation*, oldest first."""
        return [body for name, body in self.record if name == operation]

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(interposer) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler below has a self of its own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                answer = interposer._exchange(operation, body, lambda: self._pass_on(operation, body))
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, content = answer
                with contextlib.suppress(OSError):
                    self.send_response_only(status)
                    for name, value in headers:
                        if name.lower() not in _HOP:
                            self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)

            def do_GET(self) -> None:
                if "Upgrade" in self.headers:  # no channels pass here, and nobody is to wait for one
                    self.send_response_only(501)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.do_POST()

            def _pass_on(self, operation: str, body: bytes) -> Answer | None:
                connection = http.client.HTTPConnection("127.0.0.1", interposer._upstream, timeout=60)
                try:
                    connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        connection.putheader(name, value)
                    connection.endheaders(body)
                    with interposer._polling(connection if operation == "GetMessages" else None):
                        answer = connection.getresponse()
                        return answer.status, answer.getheaders(), answer.read()
                except (OSError, http.client.HTTPException):
                    return None
                finally:
                    connection.close()

            def log_message(self, *arguments: object) -> None:
                """Nothing: the server's own log tells."""

        return Handler

    def _exchange(self, operation: str, body: bytes, pass_on: Callable[[], Answer | None]) -> Answer | None:
        """What the node is answered; None cuts the connection."""
        content = _decoded(body)
        with self._lock:
            self.seen[operation] += 1
            self.record.append((operation, content))
        if operation == "GetMessages" and self._delivered is not None and self._take(self._again, operation):
            return self._delivered
        for hook in self._hooks.get(operation, []):
            hook(content)
        answer = pass_on()
        if self._take(self._doubles, operation):
            pass_on()
        if operation == "GetMessages" and answer is not None and _decoded(answer[2]).get("Messages"):
            with self._lock:
                self._delivered = answer
                self.deliveries += 1
        if self._take(self._drops, operation) or self._is_lost(operation, body):
            return None
        return answer

    def _is_lost(self, operation: str, body: bytes) -> bool:
        with self._lock:
            if operation not in self._lossy or body in self._lost:
                return False
            self._lost.add(body)
            return True

    @contextlib.contextmanager
    def _polling(self, connection: http.client.HTTPConnection | None) -> Iterator[None]:
        if connection is None:
            yield
            return
        with self._lock:
            self._polls.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._polls.discard(connection)

    def _take(self, counter: Counter[str], operation: str) -> bool:
        with self._lock:
            if counter[operation] > 0:
                counter[operation] -= 1
                return True
            return False


def _decoded(body: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found: dict[str, Any] = json.loads(body)
        return found
    return {}
