# SPDX-License-Identifier: Apache-2.0
"""Large bytes that are read as they are wanted: whoever reads slowly holds a piece of them, not all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

PIECE_BYTES = 256 * 1024

Read = Callable[[int, int], AsyncIterator[bytes]]


def _nothing() -> None:
    """Nothing is held."""


class Content:
    """
    *size* bytes. `read(begin, end)` gives those from *begin* on and before *end*, in pieces of at most `PIECE_BYTES`; it is asked
    once. `close` lets go of what is held, whether anything was read or not.
    """

    def __init__(self, size: int, read: Read, *, close: Callable[[], None] = _nothing) -> None:
        self.size = size
        self.read = read
        self.close = close

    async def whole(self) -> bytes:
        """All of it, and nothing is held afterwards."""
        try:
            return b"".join([piece async for piece in self.read(0, self.size)])
        finally:
            self.close()


def of_bytes(data: bytes) -> Content:
    """Bytes that are there already."""

    async def read(begin: int, end: int) -> AsyncIterator[bytes]:
        for start in range(begin, end, PIECE_BYTES):
            yield data[start : min(start + PIECE_BYTES, end)]

    return Content(len(data), read)


def of_file(path: Path) -> Content:
    """A file as it is now: one that is replaced meanwhile is read to its end as it was. Raises OSError."""
    file = path.open("rb", buffering=0)

    async def read(begin: int, end: int) -> AsyncIterator[bytes]:
        while begin < end:
            piece = await asyncio.to_thread(os.pread, file.fileno(), min(PIECE_BYTES, end - begin), begin)
            if not piece:
                raise EOFError
            begin += len(piece)
            yield piece

    return Content(os.fstat(file.fileno()).st_size, read, close=file.close)
