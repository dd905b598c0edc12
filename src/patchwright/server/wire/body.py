# SPDX-License-Identifier: Apache-2.0
"""Request bodies: read up to a limit and within a time, inflated up to a limit."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from .errors import ApiError, serialization, too_large

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# Of a body that is too large, this much more is read and thrown away, so that most clients get to read the refusal
# instead of a broken connection.
DRAINED = 1024 * 1024
DRAIN_SECONDS = 2.0


class Disconnected(Exception):
    """The client went away before its request was complete."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], *, limit: int, seconds: float) -> bytes:
    """
    The whole body, at most *limit* bytes, arrived within *seconds*.

    Raises Disconnected, and ApiError: RequestEntityTooLargeException (at once when Content-Length says so),
    RequestTimeoutException, SerializationException when Content-Length is not what arrives.
    """
    declared = _declared_length(headers)
    if declared is not None and declared > limit:
        await _drain(receive)
        raise too_large(limit)
    first = await _next(receive)
    body: bytes = first.get("body", b"")
    if first.get("more_body"):
        try:
            async with asyncio.timeout(seconds):
                body = await _rest(receive, body, limit)
        except TimeoutError:
            raise ApiError(
                "RequestTimeoutException", f"The request body did not arrive within {seconds:g} seconds."
            ) from None
    if len(body) > limit:
        raise too_large(limit)
    if declared is not None and declared != len(body):
        raise serialization("The request body is not as long as Content-Length says.")
    return body


async def _rest(receive: Receive, first: bytes, limit: int) -> bytes:
    parts, size, more = [first], len(first), True
    while more:
        if size > limit:
            await _drain(receive)
            raise too_large(limit)
        message = await _next(receive)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
    return b"".join(parts)


async def _next(receive: Receive) -> MutableMapping[str, Any]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    return message


async def _drain(receive: Receive) -> None:
    left = DRAINED
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0:
                message = await _next(receive)
                left -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return


def _declared_length(headers: Mapping[bytes, bytes]) -> int | None:
    value = headers.get(b"content-length")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise serialization("Content-Length is not a number.")
    return int(value)


def inflate(body: bytes, *, limit: int) -> bytes:
    """The content of a gzip *body* of one member. Stops at *limit* bytes. Raises ApiError."""
    stream = zlib.decompressobj(wbits=31)  # gzip framing only
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error:
        raise serialization("The request body is not valid gzip.") from None
    if len(plain) > limit:
        raise too_large(limit)
    if not stream.eof or stream.unused_data:
        raise serialization("The request body is not one complete gzip stream.")
    return plain
