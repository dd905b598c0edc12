# SPDX-License-Identifier: Apache-2.0
"""What archives of every kind have in common: they answer over http inside the farm's network, or not."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from .httpd import Server
from .net import Lan

FAILURES = ("refuse", "error", "gone", "hang")


class Served:
    """
    A tree of files that nodes fetch. A subclass changes its content under `together` and makes the tree in `publish`.

    Attributes:
        requests: Paths asked for so far, oldest first.
        on_request: Called with each path before it is answered, in the server's thread; may change the content.
    """

    def __init__(self, lan: Lan) -> None:
        self.requests: list[str] = []
        self.on_request: Callable[[str], None] | None = None
        self._lan = lan
        self._tree: dict[str, bytes] = {}
        self._lock = threading.RLock()
        self._depth = 0
        self._answering = threading.Event()
        self._answering.set()
        self._mode = "online"
        self._below = ""
        self._server: Server | None = None
        self._port = 0

    def publish(self) -> None:
        """Make the tree anew. Called by every change."""
        raise NotImplementedError

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Publish the changes made inside as one."""
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.publish()

    @property
    def address(self) -> str:
        """`HOST:PORT` as nodes see it."""
        return f"{self._lan.address}:{self._port}"

    def online(self) -> None:
        """Answer again; the address stays the same."""
        self._mode, self._below = "online", ""
        self._answering.set()
        if self._server is None:
            listener = self._lan.listen(self._port)
            self._port = listener.getsockname()[1]
            self._server = Server(listener, self.answer)

    def offline(self, how: str = "refuse", *, below: str = "") -> None:
        """
        Stop answering.

        Args:
            how: `refuse` closes the port, `error` answers 503 (zypper waits 30 s and asks again, four times), `gone` answers
                404, `hang` accepts and stays silent until `online()`.
            below: Only what lies below this first part of the path, such as one repository; not with `refuse`.
        """
        if how not in FAILURES or (below and how == "refuse"):
            raise ValueError(how)
        self._mode, self._below = how, f"/{below}/" if below else ""
        if how == "hang":
            self._answering.clear()
        if how == "refuse" and self._server is not None:
            self._server.end()
            self._server = None

    def close(self) -> None:
        """Stop for good."""
        self._answering.set()
        self.offline()

    def answer(self, path: str) -> tuple[int, bytes]:
        """What the http server says to a GET of *path*: status and body."""
        self.requests.append(path)
        if self.on_request is not None:
            self.on_request(path)
        if path.startswith(self._below):
            self._answering.wait()
            if self._mode != "online":
                return (404 if self._mode == "gone" else 503), b""
        content = self._tree.get(path)
        return (200, content) if content is not None else (404, b"")
