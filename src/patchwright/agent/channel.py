# SPDX-License-Identifier: Apache-2.0
"""
The control channel from the node's side: one WebSocket (RFC 6455) over the agent's connection, on which commands come at once.

Part of the waiting program, so nothing here imports what that must not hold (ADR 0012). Only what waiting needs: small
messages, one at a time. What was received is never acknowledged here: that is for who has journalled it.
"""

from __future__ import annotations

import _socket
import binascii
import hashlib
import os
import time

from patchwright.agent.connection import CONTENT_TYPE, Connection
from patchwright.core.frames import JOB, JOB_ACK, JOB_REPLY, TAKEN, Frame
from patchwright.core.signing import CALL_HEADER, Signer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Callable, Dict, Optional, Tuple

    from patchwright.agent.connection import Stream

SERVICE = "ssmmessages"
MESSAGE_LIMIT = 1024 * 1024
PING_SECONDS = 54.0  # as amazon-ssm-agent's; a peer that has not said a word for two of them is gone
_GREETING = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10

# A job of a document that does nothing names its step here. No string of JSON has a quote in it: these are members.
_NOTHING_TO_DO, _JOB_ID = b'"NoopStep":"', b'"JobId":"'


class NoChannel(Exception):
    """There is no channel to be had; messages are polled for. *refused*: the server has none for this node."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


class ChannelLost(Exception):
    """The channel has ended."""


class Channel:
    """
    The channel of the node that *signer* signs for, opened over *connection*, which is used up by it.

    *now* are epoch seconds by the server's clock. Whatever else goes wrong than NoChannel raises what `Connection.post` does.
    """

    def __init__(
        self,
        connection: Connection,
        signer: Signer,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        seconds: float,
    ) -> None:
        self._connection = connection
        self._signer = signer
        self._now = now
        self._monotonic = monotonic
        self._seconds = seconds
        self._path = f"/v1/control-channel/{signer.key_id}"
        token = self._token()
        self._stream, self._reader = self._upgraded()
        opening = f'{{"MessageSchemaVersion":"1.0","RequestId":"{_uuid()}","TokenValue":"{token}"}}'
        self._send(_TEXT, opening.encode())
        self._heard = self._said = monotonic()

    def next_job(self, seconds: float) -> Optional[Frame]:
        """
        The next job, or None after *seconds* without one. Raises ChannelLost, OSError.

        Pings are answered and sent meanwhile.
        """
        ends = self._monotonic() + seconds
        while True:
            now = self._monotonic()
            if now >= ends:
                return None
            if now - self._heard > 2 * PING_SECONDS:
                raise ChannelLost("the server has not said a word for long")
            if now - self._said >= PING_SECONDS:
                self._said = now
                self._send(_PING, b"keepalive")
            if not self._readable(min(ends, self._said + PING_SECONDS) - now):
                continue
            self._heard = self._monotonic()
            message = self._message()
            if message is not None and message.kind == JOB:
                return message

    def done_already(self, job: Frame) -> bool:
        """
        Acknowledge *job* and report its success, if there is nothing to do for it: AWS-Noop, by which nodes are pinged.

        Whoever gets such a job by a poll runs it as any other. Nothing is journalled: it may be done twice.
        """
        step, job_id = _member(job.payload, _NOTHING_TO_DO, "_"), _member(job.payload, _JOB_ID, "-.")
        if not step or not job_id:
            return False
        now = self._now()
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(now))
        ack = (
            f'{{"jobId":"{job_id}","acknowledgedMessageId":"{job.message_id}","createdDate":{int(now * 1000)},'
            f'"statusCode":{TAKEN},"errorMessage":""}}'
        )
        content = (
            '{"additionalInfo":{},"documentStatus":"Success","documentTraceOutput":"","runtimeStatus":{"'
            + step
            + '":{"status":"Success","code":0,"name":"aws:runShellScript","output":"","standardOutput":"",'
            f'"standardError":"","startDateTime":"{moment}","endDateTime":"{moment}"}}}}}}'
        ).replace('"', '\\"')
        reply = f'{{"schemaVersion":1,"jobId":"{job_id}","content":"{content}","topic":"aws.ssm.sendCommand"}}'
        for kind, text in ((JOB_ACK, ack), (JOB_REPLY, reply)):
            frame = Frame(kind, text.encode(), message_id=_uuid(), created_ms=int(now * 1000))
            self._send(_BINARY, frame.pack())
        return True

    def close(self) -> None:
        """End it."""
        self._connection.close()

    def _token(self) -> str:
        body = f'{{"MessageSchemaVersion":"1.0","RequestId":"{_uuid()}"}}'.encode()

        def headers() -> Dict[str, str]:
            return self._signed("POST", {"Content-Type": CONTENT_TYPE}, body)

        target = f"POST {self._path}"
        response = self._connection.post(headers(), body, timeout=self._seconds, again=headers, target=target)
        before, _, rest = response.body.partition(b"<TokenValue>")
        token, found, _ = rest.partition(b"</TokenValue>")
        if response.status != 201 or not found or not token.replace(b"+", b"").replace(b"/", b"").strip(b"=").isalnum():
            raise NoChannel(f"the server answered {response.status}", refused=b"<AccessDeniedException>" in before)
        return token.decode("ascii")

    def _upgraded(self) -> Tuple[Stream, BinaryIO]:
        key = binascii.b2a_base64(os.urandom(16), newline=False)
        headers = self._signed("GET", {}, b"")
        headers.update(
            {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Key": key.decode(),
                "Sec-WebSocket-Version": "13",
            }
        )
        response = self._connection.post(headers, b"", timeout=self._seconds, target=f"GET {self._path}")
        expected = binascii.b2a_base64(hashlib.sha1(key + _GREETING).digest(), newline=False)  # noqa: S324 - RFC 6455
        if response.status != 101 or response.headers.get("sec-websocket-accept", "").encode("latin-1") != expected:
            raise NoChannel(f"the server answered {response.status} to the upgrade")
        return self._connection.taken_over()

    def _signed(self, method: str, headers: Dict[str, str], body: bytes) -> Dict[str, str]:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now()))
        headers = {**headers, "X-Amz-Date": moment, CALL_HEADER: os.urandom(16).hex()}
        headers["Authorization"] = self._signer.authorization(
            {"Host": self._connection.peer.host_header, **headers},
            body,
            service=SERVICE,
            moment=moment,
            method=method,
            path=self._path,
        )
        return headers

    def _readable(self, seconds: float) -> bool:
        """Whether something comes within *seconds*. Raises ChannelLost where nothing will any more."""
        self._stream.socket.settimeout(max(seconds, 0.001))
        try:
            if not self._reader.peek(1):  # type: ignore[attr-defined] # a BufferedReader
                raise ChannelLost("the server closed the channel")
        except _socket.timeout:
            return False
        self._stream.socket.settimeout(self._seconds)
        return True

    def _message(self) -> Optional[Frame]:
        """The message that has begun to come; None for one that is none of ours, and for pings and the like."""
        kind, final, data = self._frame()
        if kind == _PING:
            self._send(_PONG, data)
        if kind == _CLOSE:
            raise ChannelLost("the server closed the channel")
        if kind not in (_TEXT, _BINARY):
            return None
        while not final:
            more, final, rest = self._frame()
            if more == 0:
                data += rest
            elif more == _PING:
                self._send(_PONG, rest)
                final = False
            else:
                raise ChannelLost("the pieces of a message are mixed up")
            if len(data) > MESSAGE_LIMIT:
                raise ChannelLost("a message is too large")
        if kind == _TEXT:
            return None
        try:
            return Frame.unpack(data)
        except ValueError as error:
            raise ChannelLost(f"a message cannot be read: {error}") from None

    def _frame(self) -> Tuple[int, bool, bytes]:
        """Opcode, whether it is the last of its message, content. Raises ChannelLost."""
        first, second = self._exactly(2)
        size = second & 0x7F
        if first & 0x70 or second & 0x80:
            raise ChannelLost("a frame has bits that nobody agreed on")
        if size > 125:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        if size > MESSAGE_LIMIT:
            raise ChannelLost("a frame is too large")
        return first & 0x0F, bool(first & 0x80), self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = self._reader.read(size) if size else b""
        if len(data) != size:
            raise ChannelLost("the server closed the channel")
        return data

    def _send(self, kind: int, data: bytes) -> None:
        size, mask = len(data), os.urandom(4)
        if size < 126:
            head = bytes((0x80 | kind, 0x80 | size))
        elif size < 1 << 16:
            head = bytes((0x80 | kind, 0xFE)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x80 | kind, 0xFF)) + size.to_bytes(8, "big")
        pattern = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")
        self._stream.socket.settimeout(self._seconds)
        self._stream.send(head + mask + masked)


def _member(payload: bytes, name: bytes, allowed: str) -> str:
    """The value of a member of *payload*; empty where there is none of letters, digits and what is *allowed*."""
    value, _, _ = payload.partition(name)[2].partition(b'"')
    text = value[:200].decode("latin-1")
    return text if all((one.isalnum() and one.isascii()) or one in allowed for one in text) else ""


def _uuid() -> str:
    text = os.urandom(16).hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
