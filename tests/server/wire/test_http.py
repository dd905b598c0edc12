# SPDX-License-Identifier: Apache-2.0
"""What is written during one turn of the event loop goes out in one piece, in order, and before a close."""

from __future__ import annotations

import asyncio

import pytest

from patchwright.server.wire.http import Gathering


class Recorder:
    """A transport that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def write(self, data: bytes) -> None:
        """Note *data*."""
        self.told.append(data)

    def close(self) -> None:
        """Note the end."""
        self.told.append("closed")

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return "closed" in self.told


@pytest.fixture
async def pair():
    """A transport that gathers, and the one behind it."""
    recorder = Recorder()
    return Gathering(recorder, asyncio.get_running_loop()), recorder


async def test_what_is_written_in_one_turn_is_one_write(pair):
    """Head and body of an answer, for instance; the next turn's is another."""
    gathering, recorder = pair
    gathering.write(b"head ")
    gathering.write(b"body")
    assert recorder.told == []
    await asyncio.sleep(0)
    gathering.write(b"next")
    await asyncio.sleep(0)

    assert recorder.told == [b"head body", b"next"]


async def test_a_close_comes_after_what_was_written(pair):
    """Nothing is lost, nothing comes twice, and nothing is written afterwards."""
    gathering, recorder = pair
    gathering.write(b"last words")
    gathering.close()
    await asyncio.sleep(0)

    assert recorder.told == [b"last words", "closed"]


async def test_everything_else_is_the_transports_own(pair):
    """Whether it is closing, for instance."""
    gathering, _ = pair
    assert not gathering.is_closing()
    gathering.close()

    assert gathering.is_closing()


async def test_nothing_is_written_to_a_client_that_has_gone(pair):
    """Its connection broke in the turn of the answer: uvloop refuses a write to it with a traceback in the log."""
    gathering, recorder = pair
    gathering.write(b"answer")
    recorder.close()
    await asyncio.sleep(0)

    assert recorder.told == ["closed"]
