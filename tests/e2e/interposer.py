# SPDX-License-Identifier: Apache-2.0
"""
What stands between nodes and the server: passes every request on, and lets a test act at a chosen one.

    @station.interposer.before("PutResolution")
    def meddle(body): …                      # runs before the request reaches the server
    station.interposer.drop_answer("SendReply", times=1)   # the server has it, the node does not learn so
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Hook = Callable[[dict[str, Any]], None]
_HOP = {"connection", "transfer-encoding", "keep-alive"}


class Interposer:
    """A reverse proxy on loopback. Headers, Host among them, stay as they were signed."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._hooks: dict[str, list[Hook]] = {}
        self._drops: Counter[str] = Counter()
        self._doubles: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

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
        """Pass the next *times* requests of *operation* on twice."""
        self._doubles[operation] += times

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
                interposer.seen[operation] += 1
                for hook in interposer._hooks.get(operation, []):
                    hook(_decoded(body))
                answers = [self._pass_on(body)]
                if interposer._take(interposer._doubles, operation):
                    answers.append(self._pass_on(body))
                if interposer._take(interposer._drops, operation) or answers[-1] is None:
                    self.close_connection = True
                    return
                status, headers, content = answers[-1]
                with contextlib.suppress(OSError):
                    self.send_response_only(status)
                    for name, value in headers:
                        if name.lower() not in _HOP:
                            self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)

            def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes] | None:
                connection = http.client.HTTPConnection("127.0.0.1", interposer._upstream, timeout=60)
                try:
                    connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        connection.putheader(name, value)
                    connection.endheaders(body)
                    answer = connection.getresponse()
                    return answer.status, answer.getheaders(), answer.read()
                except OSError:
                    return None
                except http.client.HTTPException:
                    return None
                finally:
                    connection.close()

            def log_message(self, *arguments: object) -> None:
                """Nothing: the server's own log tells."""

        return Handler

    @staticmethod
    def _take(counter: Counter[str], operation: str) -> bool:
        if counter[operation] > 0:
            counter[operation] -= 1
            return True
        return False


def _decoded(body: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found: dict[str, Any] = json.loads(body)
        return found
    return {}
