# SPDX-License-Identifier: Apache-2.0
"""An output that comes as a whole is kept like one that comes in pieces."""

from __future__ import annotations

from collections.abc import Sequence

from patchwright.server.accounts import Scope
from patchwright.server.outputs import PIECE_BYTES, Service, Stream


async def take_whole(printed: Service, scope: Scope, stream: Stream, bodies: Sequence[bytes]) -> None:
    """Keep *bodies*, one after the other, as the whole of *stream*. What is kept of it already stays. Errors: as of `Service.take`."""
    position, left = 0, sum(map(len, bodies))
    for body in bodies or [b""]:
        for start in range(0, max(len(body), 1), PIECE_BYTES):
            part = body[start : start + PIECE_BYTES]
            left -= len(part)
            taken = await printed.take(scope, stream, part, position=position, last=not left)
            position += len(part)
            if taken.full:
                return
