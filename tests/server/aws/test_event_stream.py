# SPDX-License-Identifier: Apache-2.0
"""How many streams of events there may be at once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from unittest import mock

from patchwright.server.aws import EventStream
from patchwright.server.events import Part
from patchwright.server.wire import ApiError, Caller, NotAdmitted
from server.clocks import FakeClock


class Feed:
    """Nothing ever happens, and every question takes a moment."""

    async def head(self, _scope):
        """Where nothing has come yet."""
        await asyncio.sleep(0)
        return 0

    async def after(self, _scope, position, *, pattern=""):
        """Nothing."""
        return Part([], position, lost=False, full=False)


async def test_of_many_that_come_at_once_no_more_are_let_in_than_there_may_be():
    """However close together they come."""
    caller = Caller("000000000001", "us-east-1", "arn:aws:iam::000000000001:root", "user", None, "id", "::1", "")

    async def identify(_scope, *, check, **_options):
        try:
            await check(caller)
        except ApiError as error:
            raise NotAdmitted((429, (), b"")) from error
        return caller

    stopped = []
    warden = SimpleNamespace(admit=mock.AsyncMock())
    stream = EventStream(Feed(), FakeClock(0.0), identify=identify, warden=warden, most=2, serving=lambda: not stopped)
    told = []

    async def send(message):
        if message["type"] == "http.response.start":
            told.append(message["status"])

    async def receive():
        await asyncio.Event().wait()

    scope = {"query_string": b"", "headers": []}
    streams = [asyncio.create_task(stream(scope, receive, send)) for _ in range(6)]
    while len(told) < 6:
        await asyncio.sleep(0)
    stopped.append(True)
    await asyncio.gather(*streams)
    assert sorted(told) == [200, 200, 429, 429, 429, 429]
