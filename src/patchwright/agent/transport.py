# SPDX-License-Identifier: Apache-2.0
"""
HTTP/1.1 POST over one kept connection, and who may be at its other end.

Smaller than http.client by the whole of `email`: the waiting agent has to be small (design D12). The server is verified by
the system's authorities, by a given authority, or by the pin of its certificate alone.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import re
import socket
import ssl
from typing import BinaryIO, Dict, List, NamedTuple, Optional, Tuple

from patchwright.core.errors import PatchwrightError

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 64 * 1024 * 1024
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

    def context(self) -> Optional[ssl.SSLContext]:
        """What verifies the server; None over plain HTTP. Raises BadServer where the authority file is none."""
        if not self.url.startswith("https:"):
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.pin:  # the certificate itself is compared after the handshake
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self.ca:
            try:
                context.load_verify_locations(cafile=self.ca)
            except OSError as error:
                raise BadServer(f"the authority file {self.ca} cannot be used: {error}") from None
        else:
            context.load_default_certs()
        return context


class Response(NamedTuple):
    """Status, headers (names in lower case), body."""

    status: int
    headers: Dict[str, str]
    body: bytes


class Transport:
    """One connection to the server, opened when needed and kept. Not for two threads at once."""

    def __init__(self, server: Server, *, connect_seconds: float) -> None:
        self._server = server.checked()
        self._context = server.context()
        self._connect_seconds = connect_seconds
        self._socket: Optional[socket.socket] = None
        self._reader: Optional[BinaryIO] = None
        self.host = server.host_header

    def post(self, headers: Dict[str, str], body: bytes, *, timeout: float) -> Response:
        """
        POST *body* to `/` and read the answer.

        A kept connection that the server had closed is opened anew, once. *timeout* is the longest silence, in seconds.
        Raises TransportFailed.
        """
        lines = ["POST / HTTP/1.1", f"Host: {self.host}", f"Content-Length: {len(body)}"]
        lines.extend(f"{name}: {value}" for name, value in headers.items())
        message = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
        kept = self._socket is not None
        try:
            return self._exchange(message, timeout)
        except _Closed:
            if not kept:
                raise TransportFailed(f"{self._server.url} closed the connection without an answer") from None
        try:
            return self._exchange(message, timeout)
        except _Closed:
            raise TransportFailed(f"{self._server.url} closed the connection without an answer") from None

    def local_address(self) -> str:
        """This node's end of the connection, which is opened where it is not; raises TransportFailed."""
        try:
            return str(self._connected()[0].getsockname()[0])
        except OSError as error:
            self.close()
            raise TransportFailed(f"{self._server.url} cannot be reached: {error}") from None

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        for part in (self._reader, self._socket):
            if part is not None:
                try:
                    part.close()
                except OSError:
                    continue
        self._reader = self._socket = None

    def _exchange(self, message: bytes, timeout: float) -> Response:
        try:
            connection, reader = self._connected()
            connection.settimeout(timeout)
            try:
                connection.sendall(message)
            except (BrokenPipeError, ConnectionError):
                raise _Closed from None
            response, keep = _read_response(reader)
        except _Closed:
            self.close()
            raise
        except (OSError, ValueError) as error:
            self.close()
            raise TransportFailed(f"{self._server.url} cannot be reached: {error}") from None
        except PatchwrightError:
            self.close()
            raise
        if not keep:
            self.close()
        return response

    def _connected(self) -> Tuple[socket.socket, BinaryIO]:
        if self._socket is None or self._reader is None:
            host, port = self._server.address
            plain = socket.create_connection((host, port), timeout=self._connect_seconds)
            try:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._socket = self._verified(plain, host) if self._context else plain
            except BaseException:
                plain.close()
                raise
            self._reader = io.BufferedReader(socket.SocketIO(self._socket, "r"), 16 * 1024)
        return self._socket, self._reader

    def _verified(self, plain: socket.socket, host: str) -> ssl.SSLSocket:
        if self._context is None:
            raise BadServer("no TLS context")
        secured = self._context.wrap_socket(plain, server_hostname=host)
        if self._server.pin:
            certificate = secured.getpeercert(binary_form=True) or b""
            found = f"sha256:{hashlib.sha256(certificate).hexdigest()}"
            if not hmac.compare_digest(found, self._server.pin):
                secured.close()
                raise TransportFailed(
                    f"{self._server.url} shows the certificate {found}, not the pinned {self._server.pin}: "
                    "nothing was sent to it"
                )
        return secured


class _Closed(Exception):
    """The connection ended before the first byte of an answer."""


def _read_response(reader: BinaryIO) -> Tuple[Response, bool]:
    """The response, and whether the connection may be used again."""
    while True:
        status, version, headers = _read_head(reader)
        if status >= 200 or status == 101:
            break
    keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _read_chunks(reader)
    elif "content-length" in headers:
        body = _read_exactly(reader, _size(headers["content-length"], 10))
    else:
        body, keep = reader.read(BODY_LIMIT + 1), False
        if len(body) > BODY_LIMIT:
            raise ValueError("the answer is too large")
    return Response(status, headers, body), keep


def _read_head(reader: BinaryIO) -> Tuple[int, str, Dict[str, str]]:
    try:
        first = reader.readline(HEAD_LIMIT)
    except ConnectionError:
        raise _Closed from None
    if not first:
        raise _Closed
    parts = first.decode("latin-1").split(None, 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
        raise ValueError("the answer is not HTTP")
    headers: Dict[str, str] = {}
    left = HEAD_LIMIT
    while True:
        line = reader.readline(left)
        left -= len(line)
        if left <= 0 or not line.endswith(b"\n"):
            raise ValueError("the head of the answer is cut short or too large")
        if line in (b"\r\n", b"\n"):
            return int(parts[1]), parts[0], headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()


def _read_chunks(reader: BinaryIO) -> bytes:
    chunks: List[bytes] = []
    total = 0
    while True:
        size = _size(reader.readline(1024).decode("latin-1").partition(";")[0].strip(), 16)
        total += size
        if total > BODY_LIMIT:
            raise ValueError("the answer is too large")
        if size == 0:
            while reader.readline(HEAD_LIMIT) not in (b"\r\n", b"\n", b""):
                continue
            return b"".join(chunks)
        chunks.append(_read_exactly(reader, size))
        _read_exactly(reader, 2)


def _read_exactly(reader: BinaryIO, size: int) -> bytes:
    data = reader.read(size)
    if len(data) != size:
        raise ValueError("the answer is cut short")
    return data


def _size(text: str, base: int) -> int:
    size = int(text, base)
    if not 0 <= size <= BODY_LIMIT:
        raise ValueError("the answer is too large")
    return size
