# SPDX-License-Identifier: Apache-2.0
"""An output that comes as a whole is kept like one that comes in pieces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from patchwright.server.accounts import Scope
from patchwright.server.outputs import PIECE_BYTES, Service, Stream

Body = Callable[[], Awaitable[bytes]]
# Counts bytes that a node sends; raises ApiError (ThrottlingException) where they are too many.
Charge = Callable[[str, int], None]


async def take_whole(printed: Service, scope: Scope, stream: Stream, bodies: Sequence[Body]) -> None:
    """
    Keep *bodies*, one after the other, as the whole of *stream*. What is kept of it already stays.

    Each is had when it is its turn, and none once no more is kept: who lists a large one a thousand times fills no memory.
    Errors: as of `Service.take`, and of whoever has a body.
    """
    position = 0
    for number, had in enumerate(bodies, 1):
        body = await had()
        for start in range(0, max(len(body), 1), PIECE_BYTES):
            part = body[start : start + PIECE_BYTES]
            last = number == len(bodies) and start + PIECE_BYTES >= len(body)
            taken = await printed.take(scope, stream, part, position=position, last=last)
            position += len(part)
            if taken.full:
                return
