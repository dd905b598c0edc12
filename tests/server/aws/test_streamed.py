# SPDX-License-Identifier: Apache-2.0
"""Answers that are read while they are sent."""

from __future__ import annotations

import pytest

from patchwright.server.aws.streamed import send_content
from patchwright.server.infra import BucketRefused, Content


class Reader:
    """Whoever asked, who hangs up after *takes* messages; and what there is, which ends too early at *breaks*."""

    def __init__(self, *, takes=100, breaks=100):
        self.takes = takes
        self.breaks = breaks
        self.messages = []
        self.read = 0
        self.closed = 0
        self.content = Content(40, self.pieces, close=self.close)

    def close(self):
        self.closed += 1

    async def pieces(self, begin, end):
        for number in range(begin, end, 10):
            if self.read == self.breaks:
                raise BucketRefused
            self.read += 1
            yield b"%010d" % number

    async def send(self, message):
        if len(self.messages) == self.takes:
            raise ConnectionError
        self.messages.append(message)

    async def answer(self, **more):
        await send_content(self.send, 200, [(b"x", b"y")], self.content, begin=0, end=40, **more)


async def test_pieces_are_sent_as_they_are_read_and_the_end_is_told():
    """With their length in front."""
    reader = Reader()
    await reader.answer()

    assert dict(reader.messages[0]["headers"]) == {b"x": b"y", b"content-length": b"40"}
    assert len(b"".join(message["body"] for message in reader.messages[1:])) == 40
    assert [message.get("more_body", False) for message in reader.messages[1:]] == [True] * 4 + [False]
    assert reader.closed == 1


async def test_only_headers_read_nothing():
    """A HEAD is told how long it would be."""
    reader = Reader()
    await reader.answer(bodiless=True)

    assert (reader.read, reader.closed, len(reader.messages)) == (0, 1, 2)
    assert dict(reader.messages[0]["headers"])[b"content-length"] == b"40"


async def test_who_hangs_up_makes_nobody_read_on():
    """What is held is let go."""
    reader = Reader(takes=2)
    with pytest.raises(ConnectionError):
        await reader.answer()

    assert (reader.read, reader.closed) == (2, 1)


async def test_what_cannot_be_read_to_its_end_does_not_end_as_if_it_were_whole():
    """No last message: the connection is closed by the server that carries it."""
    reader = Reader(breaks=2)
    await reader.answer()

    assert [message.get("more_body", False) for message in reader.messages[1:]] == [True, True]
    assert reader.closed == 1
