# SPDX-License-Identifier: Apache-2.0
"""
Which servers are safe to talk to, and what went wrong in words.

The server is verified by the system's authorities, by a given authority, or by the pin of its certificate alone.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, NamedTuple, Optional, Tuple

from patchwright.agent.connection import Closed, Connection, Peer, Response, WrongCertificate
from patchwright.core.errors import PatchwrightError

_URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?/?\Z")
_PIN = re.compile(r"sha256:[0-9a-f]{64}\Z")
_LOOPBACK = re.compile(r"localhost\Z|127(\.[0-9]{1,3}){3}\Z|\[::1\]\Z")


class BadServer(PatchwrightError):
    """A server URL, pin or authority file that cannot be used, or is not safe to use."""


class TransportFailed(PatchwrightError):
    """No answer: the network, TLS, or something that is not HTTP."""


class Server(NamedTuple):
    """Where the server is and how it is known."""

    url: str
    pin: str = ""
    ca: str = ""
    insecure_http: bool = False

    def checked(self) -> Server:
        """The same, found usable; raises BadServer saying what is wrong and what would do."""
        match = _URL.match(self.url)
        if not match or int(match.group(3) or 1) not in range(1, 65536):
            raise BadServer(f"{self.url[:200]!r} is no server URL; it looks like https://patch.example:8473")
        if self.pin and not _PIN.match(self.pin):
            raise BadServer("the pin is not sha256: and 64 hexadecimal digits in lower case")
        if self.pin and self.ca:
            raise BadServer("a pin and an authority file exclude each other")
        plain = match.group(1) == "http"
        if plain and not self.insecure_http and not _LOOPBACK.match(match.group(2).lower()):
            raise BadServer("plain HTTP is for this machine alone; use https://, or --insecure-http where you must")
        if plain and (self.pin or self.ca):
            raise BadServer("a pin or an authority file needs https://")
        return self

    @property
    def address(self) -> Tuple[str, int]:
        """Host name or address, and port."""
        match = _URL.match(self.url)
        if match is None:
            raise BadServer(f"{self.url[:200]!r} is no server URL")
        default = "443" if match.group(1) == "https" else "80"
        return match.group(2).strip("[]"), int(match.group(3) or default)

    @property
    def host_header(self) -> str:
        """The Host header: the port only where it is not the scheme's."""
        match = _URL.match(self.url)
        if match is None:
            raise BadServer(f"{self.url[:200]!r} is no server URL")
        default = "443" if match.group(1) == "https" else "80"
        return match.group(2) if match.group(3) in (None, default) else f"{match.group(2)}:{match.group(3)}"

    def peer(self) -> Peer:
        """The same for a connection."""
        host, port = self.address
        return Peer(host, port, self.host_header, secure=self.url.startswith("https:"), pin=self.pin, ca=self.ca)


class Transport:
    """One connection to the server, opened when needed and kept. Not for two threads at once. Raises BadServer."""

    def __init__(self, server: Server, *, connect_seconds: float) -> None:
        self._server = server.checked()
        self.peer = server.peer()
        try:
            self._connection = Connection(self.peer, connect_seconds=connect_seconds)
        except OSError as error:
            raise BadServer(f"the authority file {server.ca} cannot be used: {error}") from None

    def post(
        self,
        headers: Dict[str, str],
        body: bytes,
        *,
        timeout: float,
        again: Optional[Callable[[], Dict[str, str]]] = None,
        target: str = "POST /",
    ) -> Response:
        """
        POST *body* to `/`, or make another request with it (*target*: method and path), and read the answer.

        A kept connection that the server had closed is opened anew, once, with headers that *again* makes. *timeout* is the longest silence, in seconds.
        Raises TransportFailed.
        """
        try:
            return self._connection.post(headers, body, timeout=timeout, again=again, target=target)
        except Closed:
            raise TransportFailed(f"{self._server.url} closed the connection without an answer") from None
        except (OSError, ValueError, WrongCertificate) as error:
            raise self._failure(error) from None

    def local_address(self) -> str:
        """This node's end of the connection, which is opened where it is not; raises TransportFailed."""
        try:
            return self._connection.local_address()
        except (OSError, ValueError, WrongCertificate) as error:
            self.close()
            raise self._failure(error) from None

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def _failure(self, error: Exception) -> TransportFailed:
        url = self._server.url
        if isinstance(error, WrongCertificate):
            return TransportFailed(
                f"{url} shows the certificate {error.found}, not the pinned {self.peer.pin}: nothing was sent to it"
            )
        return TransportFailed(f"{url} cannot be reached: {error}")
