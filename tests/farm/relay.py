# SPDX-License-Identifier: Apache-2.0
"""A TCP relay from the farm's LAN to a server on the host's loopback."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Accepts on a listener inside the LAN and copies bytes both ways."""

    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        self.address = "{}:{}".format(*listener.getsockname())
        self._listener = listener
        self._target = target
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, name="farm-relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop accepting and cut every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join()
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), name="farm-relayed", daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError), socket.create_connection(self._target, 10) as far:
            far.settimeout(None)
            with self._lock:
                self._open |= {near, far}
            back = threading.Thread(target=_copy, args=(far, near), daemon=True)
            back.start()
            _copy(near, far)
            back.join()
            with self._lock:
                self._open -= {near, far}


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy until either side ends; then tell the other."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
