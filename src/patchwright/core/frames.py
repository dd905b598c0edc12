# SPDX-License-Identifier: Apache-2.0
"""
The binary messages of the control channel, as amazon-ssm-agent speaks it (spec agent-protocol §7.1), both ways.

Pure. The waiting agent reads and writes them, so nothing here imports `typing`, `uuid` or `dataclasses` (ADR 0012).
"""

from __future__ import annotations

import hashlib
import struct

JOB = "agent_job"
JOB_ACK = "agent_job_ack"
JOB_REPLY = "agent_job_reply"
JOB_REPLY_ACK = "agent_job_reply_ack"

# What a node says of a job it was given (agent_job_ack): there it is, later, it was there already; all else is never.
TAKEN = 200
CLOSED = 51401
FULL = 51402
DUPLICATE = 51405

HEADER_LENGTH = 116
SCHEMA_VERSION = 1
_HEAD = struct.Struct(">I32sIQqQ16s32sI")
_LENGTH = struct.Struct(">I")
_SMALLEST = HEADER_LENGTH + _LENGTH.size


class MalformedFrame(ValueError):
    """Bytes that are no message of the control channel."""


class Frame:
    """
    One message: *kind* (`agent_job`, …) and *payload* (JSON, as bytes).

    Args:
        kind: At most 32 ASCII characters.
        payload: As it is sent.
        message_id: A UUID in its usual form, in lower case.
        created_ms: Milliseconds since the epoch, not 0.
    """

    __slots__ = ("created_ms", "kind", "message_id", "payload")

    def __init__(self, kind: str, payload: bytes, *, message_id: str, created_ms: int) -> None:
        self.kind = kind
        self.payload = payload
        self.message_id = message_id
        self.created_ms = created_ms

    def __repr__(self) -> str:
        return f"Frame({self.kind}, {self.message_id}, {len(self.payload)} bytes)"

    def pack(self) -> bytes:
        """The bytes of the message. Raises MalformedFrame for a kind or an id that has no such form."""
        try:
            kind = self.kind.encode("ascii")
            identity = bytes.fromhex(self.message_id.replace("-", ""))
        except ValueError:
            raise MalformedFrame("the kind is no ASCII text, or the message id no UUID") from None
        if len(kind) > 32 or len(identity) != 16:
            raise MalformedFrame("the kind is too long, or the message id no UUID")
        head = _HEAD.pack(
            HEADER_LENGTH,
            kind.ljust(32),
            SCHEMA_VERSION,
            self.created_ms,
            0,
            0,
            identity[8:] + identity[:8],
            hashlib.sha256(self.payload).digest(),
            0,
        )
        return b"".join((head, _LENGTH.pack(len(self.payload)), self.payload))

    @classmethod
    def unpack(cls, data: bytes) -> Frame:
        """
        The message that *data* is, to its last byte.

        Sequence, flags, payload type and digest are not looked at: the other side does not either. Raises MalformedFrame.
        """
        if len(data) < _SMALLEST:
            raise MalformedFrame(f"{len(data)} bytes are too few")
        length, kind, _, created, _, _, identity, _, _ = _HEAD.unpack_from(data)
        if length != HEADER_LENGTH:
            raise MalformedFrame(f"the header says that it has {length} bytes")
        (size,) = _LENGTH.unpack_from(data, HEADER_LENGTH)
        if size != len(data) - _SMALLEST:
            raise MalformedFrame(f"{size} bytes are announced, {len(data) - _SMALLEST} are there")
        name = kind.strip(b" \0")
        if not name or not all(33 <= byte < 127 for byte in name) or not created:
            raise MalformedFrame("the kind is no word, or the time is none")
        text = (identity[8:] + identity[:8]).hex()
        message_id = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        return cls(name.decode(), bytes(data[_SMALLEST:]), message_id=message_id, created_ms=created)
