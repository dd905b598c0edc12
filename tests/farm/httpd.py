# SPDX-License-Identifier: Apache-2.0
"""A small http server on a socket that was opened inside the farm's network; answers GET and HEAD from a function."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

Answer = Callable[[str], tuple[int, bytes]]


class Server(ThreadingHTTPServer):
    """Serves until `end`. *answer* gets the unquoted path and returns status and body; it runs in many threads."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, answer: Answer) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.answer = answer
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="farm-httpd", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Close the port."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A node that vanishes in the middle of an answer is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        body = self._head()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        """zypper asks so whether there is a repository."""
        self._head()

    def _head(self) -> bytes:
        status, body = self.server.answer(unquote(self.path))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return body

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Who serves keeps the log."""
