# SPDX-License-Identifier: Apache-2.0
"""Answers that are read while they are sent, as fast as whoever asked takes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import structlog

from patchwright.core.errors import PatchwrightError
from patchwright.server.infra import Content

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = structlog.get_logger("patchwright.server")


async def send_content(
    send: Send,
    status: int,
    headers: Sequence[tuple[bytes, bytes]],
    content: Content,
    *,
    begin: int,
    end: int,
    bodiless: bool = False,
) -> None:
    """
    Answer with *content* from *begin* on and before *end*, or, *bodiless*, with its headers alone; it is closed afterwards.

    What cannot be read to its end is cut off: the length that was announced shows whoever asked that it is not whole.
    """
    try:
        length = (b"content-length", str(end - begin).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        if not bodiless:
            async for piece in content.read(begin, end):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except PatchwrightError as error:
        _log.warning("an answer was cut off", error=str(error))
    finally:
        content.close()
