# SPDX-License-Identifier: Apache-2.0
"""Bodies have limits, and the limits hold whatever the client claims."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib

import pytest

from patchwright.server.wire import ApiError
from patchwright.server.wire.body import DRAINED, Disconnected, inflate, read_body


class Pipe:
    """The receiving half of an ASGI server: gives *pieces* and counts what was taken."""

    def __init__(self, *pieces: bytes, endless: bytes = b"", hangs: bool = False) -> None:
        self.pieces = list(pieces)
        self.endless = endless
        self.hangs = hangs
        self.taken = 0

    async def __call__(self) -> dict[str, object]:
        if self.pieces:
            piece = self.pieces.pop(0)
        elif self.endless:
            piece = self.endless
        elif self.hangs:
            await asyncio.Event().wait()
        else:
            return {"type": "http.disconnect"}
        self.taken += len(piece)
        return {
            "type": "http.request",
            "body": piece,
            "more_body": bool(self.pieces) or bool(self.endless) or self.hangs,
        }


async def refusal(pipe: Pipe, length: bytes | None = None, *, limit: int = 100, seconds: float = 5) -> str:
    headers = {} if length is None else {b"content-length": length}
    with pytest.raises(ApiError) as refused:
        await read_body(pipe, headers, limit=limit, seconds=seconds)
    return f"{refused.value.status} {refused.value.code}"


@pytest.mark.parametrize("pieces", [[b""], [b"a" * 100], [b"a" * 50, b"", b"b" * 50], [b"", b"a"]])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_arrives_whole_however_it_is_cut(pieces, declared):
    """With Content-Length or chunked, up to the limit itself."""
    whole = b"".join(pieces)
    headers = {b"content-length": str(len(whole)).encode()} if declared else {}

    assert await read_body(Pipe(*pieces), headers, limit=100, seconds=5) == whole


async def test_a_declared_length_over_the_limit_is_refused_at_once():
    """Little is read, and what is read is thrown away."""
    pipe = Pipe(endless=b"x" * 65536)

    assert await refusal(pipe, b"100000000000") == "413 RequestEntityTooLargeException"
    assert pipe.taken <= DRAINED + 65536


async def test_a_chunked_body_is_cut_off_at_the_limit():
    """There is nothing to believe; it is counted."""
    pipe = Pipe(endless=b"x" * 65536)

    assert await refusal(pipe, limit=200_000) == "413 RequestEntityTooLargeException"
    assert pipe.taken <= 200_000 + DRAINED + 2 * 65536


async def test_one_piece_over_the_limit_is_refused():
    """A server may hand over more than asked in one piece."""
    assert await refusal(Pipe(b"x" * 101)) == "413 RequestEntityTooLargeException"


@pytest.mark.parametrize("length", [b"5", b"0", b"99"])
async def test_a_length_that_lies_is_refused(length):
    """More and less than declared."""
    assert await refusal(Pipe(b"x" * 50), length) == "400 SerializationException"


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"", b"1,1", b" 1", b"9" * 5000, "²".encode()])
async def test_a_length_that_is_no_number_is_refused(length):
    """Digits only, and not many."""
    assert await refusal(Pipe(b"x"), length) == "400 SerializationException"


async def test_a_client_that_stops_sending_is_given_up():
    """After the time a body may take."""
    assert await refusal(Pipe(b"x", hangs=True), seconds=0.05) == "408 RequestTimeoutException"


async def test_a_client_that_goes_away_gets_no_answer():
    """In mid-body."""
    with pytest.raises(Disconnected):
        await read_body(Pipe(), {}, limit=100, seconds=5)


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_gzip_is_inflated(size):
    """Up to the limit itself."""
    assert inflate(gzip.compress(b"x" * size), limit=1000) == b"x" * size


def test_a_bomb_is_refused_without_exploding():
    """A gigabyte in a megabyte: no more than the limit is ever made of it."""
    press = zlib.compressobj(9, wbits=31)
    bomb = b"".join(press.compress(bytes(1 << 20)) for _ in range(1024)) + press.flush()
    assert len(bomb) < 1_100_000

    tracemalloc.start()
    try:
        with pytest.raises(ApiError) as refused:
            inflate(bomb, limit=10_000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert refused.value.status == 413
    assert most < 2_000_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        gzip.compress(b"{}")[:-1],
        gzip.compress(b"{}")[:-8] + b"\0" * 8,
        gzip.compress(b"{}") + b"x",
        gzip.compress(b"{}") * 2,
        zlib.compress(b"{}"),
    ],
    ids=["empty", "plain", "cut", "wrong checksum", "trailing", "two members", "zlib"],
)
def test_what_is_not_one_gzip_stream_is_refused(body):
    """Whole, one member, checksum right, nothing behind it."""
    with pytest.raises(ApiError) as refused:
        inflate(body, limit=1000)

    assert refused.value.code == "SerializationException"
