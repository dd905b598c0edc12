# SPDX-License-Identifier: Apache-2.0
"""
A signed POST over one kept HTTP/1.1 connection, and who may be at its other end.

Written for the process that waits, which has to be small (design D12), and used by every other one too, so that there is one
way to the server. `_socket` and `_ssl` are what `socket` and `ssl` are made of; those two, with the `enum` and the `re` they
bring, cost 2 MB of memory at rest (ADR 0012). For the same reason nothing here imports `re` or `typing`.
"""

from __future__ import annotations

import _socket
import _ssl
import hashlib
import hmac
import io
import os
import time

from patchwright.core.signing import CALL_HEADER, Signer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Callable, Dict, List, Optional, Tuple

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 64 * 1024 * 1024
CONTENT_TYPE = "application/x-amz-json-1.1"
# Service and target prefix by the operations they serve; the same as core.protocol says, which is not imported here
# because the waiting agent has to stay small. A test compares them.
SERVICES: Dict[str, Tuple[str, str]] = {
    "AcknowledgeMessage": ("ec2messages", "EC2WindowsMessageDeliveryService"),
    "FailMessage": ("ec2messages", "EC2WindowsMessageDeliveryService"),
    "GetDocument": ("ssm", "AmazonSSM"),
    "GetMessages": ("ec2messages", "EC2WindowsMessageDeliveryService"),
    "ListInstanceAssociations": ("ssm", "AmazonSSM"),
    "PutInventory": ("ssm", "AmazonSSM"),
    "SendReply": ("ec2messages", "EC2WindowsMessageDeliveryService"),
    "UpdateInstanceInformation": ("ssm", "AmazonSSM"),
}
PATCHWRIGHT = ("patchwright", "Patchwright")


class Closed(Exception):
    """The connection ended before the first byte of an answer."""


class WrongCertificate(Exception):
    """The server's certificate is not the pinned one; nothing was sent to it. *found* is its own pin."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


class Peer:
    """
    Where the server is, and how it is known over TLS: by *pin*, else by the authorities in the file *ca*, else by the
    system's. *host_header* is what the Host header says.
    """

    def __init__(self, host: str, port: int, host_header: str, *, secure: bool, pin: str = "", ca: str = "") -> None:
        self.host = host
        self.port = port
        self.host_header = host_header
        self.secure = secure
        self.pin = pin
        self.ca = ca


class Response:
    """Status, headers (names in lower case), body."""

    def __init__(self, status: int, headers: Dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Connection:
    """
    One connection to *peer*, opened when needed and kept. Not for two threads at once.

    Raises OSError at once where the authority file cannot be used.
    """

    def __init__(self, peer: Peer, *, connect_seconds: float) -> None:
        self.peer = peer
        self._context = _context(peer) if peer.secure else None
        self._connect_seconds = connect_seconds
        self._stream: Optional[Stream] = None
        self._reader: Optional[BinaryIO] = None

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

        A kept connection that the server had closed is opened anew, once; the headers are then those that *again* makes,
        since the server may have taken the request, and takes no signature twice. *timeout* is the longest silence, in seconds.
        Whatever it raises has closed the connection: Closed, WrongCertificate, OSError (the network, TLS), ValueError (no
        HTTP, or too much of it).
        """
        if self._stream is not None:
            try:
                return self._exchange(self._message(target, headers, body), timeout)
            except Closed:
                headers = headers if again is None else again()
        return self._exchange(self._message(target, headers, body), timeout)

    def local_address(self) -> str:
        """This node's end of the connection, which is opened where it is not. Raises as `post` does."""
        return str(self._opened()[0].socket.getsockname()[0])

    def another(self) -> Connection:
        """A second one to the same peer, verified by what this one has loaded for that."""
        found = Connection.__new__(Connection)
        found.__dict__.update(self.__dict__, _stream=None, _reader=None)
        return found

    def taken_over(self) -> Tuple[Stream, BinaryIO]:
        """What it is made of, after an answer 101 has made something else of it. Closed it is here all the same."""
        return self._opened()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        stream, self._stream, self._reader = self._stream, None, None
        if stream is not None:
            try:
                stream.socket.close()
            except OSError:
                return

    def _message(self, target: str, headers: Dict[str, str], body: bytes) -> bytes:
        lines = [f"{target} HTTP/1.1", f"Host: {self.peer.host_header}", f"Content-Length: {len(body)}"]
        lines.extend(f"{name}: {value}" for name, value in headers.items())
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body

    def _exchange(self, message: bytes, timeout: float) -> Response:
        try:
            stream, reader = self._opened()
            stream.socket.settimeout(timeout)
            try:
                stream.send(message)
            except ConnectionError:
                raise Closed from None
            response, keep = _read_response(reader)
        except BaseException:
            self.close()
            raise
        if not keep:
            self.close()
        return response

    def _opened(self) -> Tuple[Stream, BinaryIO]:
        if self._stream is None or self._reader is None:
            plain = _connected(self.peer.host, self.peer.port, self._connect_seconds)
            try:
                plain.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
                self._stream = Stream(plain, self._verified(plain) if self._context else None)
            except BaseException:
                plain.close()
                raise
            self._reader = io.BufferedReader(self._stream, 16 * 1024)
        return self._stream, self._reader

    def _verified(self, plain: _Socket) -> Any:
        secured = self._context._wrap_socket(plain, False, self.peer.host)  # type: ignore[union-attr]
        secured.do_handshake()
        if self.peer.pin:
            found = f"sha256:{hashlib.sha256(secured.getpeercert(True) or b'').hexdigest()}"
            if not hmac.compare_digest(found, self.peer.pin):
                raise WrongCertificate(found)
        return secured


def signed(
    operation: str, body: bytes, *, host: str, signer: Optional[Signer], now: float, compressed: bool = False
) -> Dict[str, str]:
    """The headers of a call besides Host and Content-Length; *now* are epoch seconds by the server's clock."""
    service, prefix = SERVICES.get(operation, PATCHWRIGHT)
    headers = {"Content-Type": CONTENT_TYPE, "X-Amz-Target": f"{prefix}.{operation}"}
    if compressed:
        headers["Content-Encoding"] = "gzip"
    if signer is not None:
        if signer.token:
            headers["X-Amz-Security-Token"] = signer.token
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        headers["X-Amz-Date"] = moment
        headers[CALL_HEADER] = os.urandom(16).hex()
        headers["Authorization"] = signer.authorization({"Host": host, **headers}, body, service=service, moment=moment)
    return headers


class _Socket(_socket.socket):
    """TLS holds its socket by a weak reference, which the bare one cannot have."""

    __slots__ = ("__weakref__",)


class Stream(io.RawIOBase):
    """A connected socket, and TLS over it where there is any."""

    def __init__(self, socket: _Socket, secured: Any) -> None:
        self.socket = socket
        self._secured = secured

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Some bytes; 0 at the end, which a peer over TLS may leave unsaid: lengths tell whether anything is missing."""
        if self._secured is None:
            return self.socket.recv_into(buffer)
        try:
            return int(self._secured.read(len(buffer), buffer))
        except _ssl.SSLError as error:
            if error.args[0] == _ssl.SSL_ERROR_EOF:
                return 0
            raise

    def send(self, data: bytes) -> None:
        """All of *data*."""
        if self._secured is None:
            self.socket.sendall(data)
            return
        view = memoryview(data)
        while view:
            view = view[self._secured.write(view) :]


def _connected(host: str, port: int, seconds: float) -> _Socket:
    """A socket connected to the first address that answers."""
    failure = OSError(f"there is no address for {host}")
    # As bytes: a name given as text would be made ASCII by `encodings.idna`, which brings 1 MB, and it is ASCII already.
    for family, kind, protocol, _, address in _socket.getaddrinfo(host.encode("ascii"), port, 0, _socket.SOCK_STREAM):
        plain = None
        try:
            plain = _Socket(family, kind, protocol)  # refused where the kernel runs without IPv6
            plain.settimeout(seconds)
            plain.connect(address)
        except OSError as error:
            if plain is not None:
                plain.close()
            failure = error
        else:
            return plain
    raise failure


def _context(peer: Peer) -> Any:
    """What verifies the server. PROTOCOL_TLS_CLIENT demands a valid certificate for the host until told otherwise."""
    context: Any = _ssl._SSLContext(_ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _ssl.PROTO_TLSv1_2
    if peer.pin:  # the certificate itself is compared after the handshake
        context.check_hostname = False
        context.verify_mode = _ssl.CERT_NONE
    elif peer.ca:
        context.load_verify_locations(peer.ca, None, None)
    else:
        context.set_default_verify_paths()
    return context


def _read_response(reader: BinaryIO) -> Tuple[Response, bool]:
    """The response, and whether the connection may be used again."""
    while True:
        status, version, headers = _read_head(reader)
        if status >= 200 or status == 101:
            break
    keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    if status == 101:
        return Response(status, headers, b""), True
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
        raise Closed from None
    if not first:
        raise Closed
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
