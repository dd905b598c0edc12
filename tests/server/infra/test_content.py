# SPDX-License-Identifier: Apache-2.0
"""Large bytes that are read as they are wanted."""

from __future__ import annotations

import random

import pytest

from drawing import SEED
from patchwright.server.infra.content import PIECE_BYTES, of_bytes, of_file


@pytest.mark.parametrize("kind", ["bytes", "file"])
async def test_any_part_is_read_in_pieces_that_are_not_large(kind, tmp_path):
    """From anywhere to anywhere, nothing at all included; put together they are what is there."""
    dice = random.Random(f"{SEED} {kind}")
    data = dice.randbytes(PIECE_BYTES * 2 + 1234)
    (tmp_path / "file").write_bytes(data)
    for begin, end in [
        (0, len(data)),
        (0, 0),
        (7, 7),
        *(sorted(dice.choices(range(len(data)), k=2)) for _ in range(6)),
    ]:
        content = of_bytes(data) if kind == "bytes" else of_file(tmp_path / "file")
        assert content.size == len(data)
        pieces = [piece async for piece in content.read(begin, end)]
        content.close()

        assert b"".join(pieces) == data[begin:end]
        assert max(map(len, pieces), default=1) <= PIECE_BYTES
        assert all(pieces)


async def test_a_file_that_is_replaced_is_read_as_it_was(tmp_path):
    """One that became shorter ends with an error, and not as if it were whole."""
    path = tmp_path / "file"
    path.write_bytes(b"old" * PIECE_BYTES)
    content = of_file(path)
    path.with_name("new").write_bytes(b"new")
    path.with_name("new").replace(path)
    assert await content.whole() == b"old" * PIECE_BYTES

    content = of_file(path)
    path.write_bytes(b"n")
    with pytest.raises(EOFError):
        await content.whole()
