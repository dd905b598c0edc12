# SPDX-License-Identifier: Apache-2.0
"""
`GET /events/stream`: events as they come, as server-sent events. Plain ASGI.

Signed as any request is, for the service patchwright. `?pattern=` narrows as a subscription's pattern does. Without
Last-Event-ID it begins with what comes next; with it, after the event of that number (0: with the oldest that is kept).
Whoever reads slowly is waited for: what is not read yet is in the database, and nothing else is kept for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

import structlog

from patchwright.server.aws.authority import Warden
from patchwright.server.events import Event, Feed, InvalidPattern, Part, compiled
from patchwright.server.infra import Clock, InfraError
from patchwright.server.wire import ApiError, Caller, NotAdmitted, access_denied, throttled, validation

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = "/events/stream"
ACTION = "patchwright:StreamEvents"
LOOK_SECONDS = 0.5
BEAT_SECONDS = 15.0
LIFE_SECONDS = 900.0  # then whoever reads signs again

_RETRY_MILLISECONDS = 2000
_BUSY_SECONDS = 10.0
_LARGEST = 2**62
_EVERYTHING = '{"source": [{"exists": true}]}'
_GAP = b"event: gap\ndata: {}\n\n"

_log = structlog.get_logger("patchwright.stream")


class Identify(Protocol):
    """Who signed the request that becomes a stream."""

    def __call__(
        self, scope: Scope, *, service: str, target: str, check: Callable[[Caller], Awaitable[None]]
    ) -> Awaitable[Caller]:
        """Raises NotAdmitted; *check* may refuse who it is."""
        ...


class EventStream:
    """The streams of this process, of which an account may hold *most* open at a time. They end when it is not *serving* any more."""

    def __init__(
        self,
        feed: Feed,
        clock: Clock,
        *,
        identify: Identify,
        warden: Warden,
        most: int,
        serving: Callable[[], bool],
    ) -> None:
        self._feed = feed
        self._clock = clock
        self._identify = identify
        self._warden = warden
        self._most = most
        self._open: Counter[str] = Counter()
        self._serving = serving

    def serves(self, path: str) -> bool:
        """Whether *path* is that of the stream, and there are streams here."""
        return path == PATH and self._most > 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one stream to its end."""
        asked: dict[str, Any] = {}

        async def check(caller: Caller) -> None:
            await self._check(caller)
            asked.update(await self._asked(scope, caller))

        try:
            caller = await self._identify(scope, service="Patchwright", target="Patchwright.StreamEvents", check=check)
        except NotAdmitted as refused:
            status, headers, body = refused.reply
            headers = (*headers, (b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.start", "status": status, "headers": list(headers)})
            await send({"type": "http.response.body", "body": body})
            return
        with self._counted(caller.account):
            reading = asyncio.ensure_future(self._serve(caller, send, **asked))
            leaving = asyncio.ensure_future(_gone(receive))
            try:
                await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (reading, leaving):
                    task.cancel()
                await asyncio.gather(reading, leaving, return_exceptions=True)

    async def _check(self, caller: Caller) -> None:
        """Raise ApiError unless *caller* may read along."""
        if caller.kind != "user":
            raise access_denied(f"{caller.principal} is not authorized to perform: {ACTION}; it is for users.")
        await self._warden.admit(caller, ACTION)

    async def _asked(self, scope: Scope, caller: Caller) -> dict[str, Any]:
        """Where to begin, and what is wanted. Raises ApiError."""
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        pattern = query.get("pattern", "")
        last = dict(scope["headers"]).get(b"last-event-id", query.get("after", "").encode()).decode("latin-1")
        head = await self._feed.head(caller.scope)
        if last and not (last.isascii() and last.isdigit() and len(last) < 20 and int(last) < _LARGEST):
            raise validation("Last-Event-ID is the id of an event of this stream.")
        try:
            compiled(pattern or _EVERYTHING)
        except InvalidPattern as error:
            raise ApiError("ValidationException", str(error)) from None
        # Last: from here to where it is counted nothing is waited for, so no two take the same place.
        if self._open[caller.account] >= self._most:
            raise throttled(f"The account holds {self._most} event streams open here.", seconds=_BUSY_SECONDS)
        return {"position": min(int(last), head) if last else head, "pattern": pattern}

    async def _serve(self, caller: Caller, send: Send, *, position: int, pattern: str) -> None:
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
            (b"x-amzn-requestid", caller.request_id.encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _say(send, f"retry: {_RETRY_MILLISECONDS}\n\n".encode())
        with contextlib.suppress(InfraError, ApiError):  # whoever reads comes again, with the id it has
            await self._tell(caller, send, position, pattern)
        await send({"type": "http.response.body", "body": b""})

    async def _tell(self, caller: Caller, send: Send, position: int, pattern: str) -> None:
        ends, beat = self._end(caller), self._clock.monotonic()
        fresh = position == 0  # whoever begins with the oldest loses nothing
        while self._serving() and self._clock.now() < ends:
            part = await self._feed.after(caller.scope, position, pattern=pattern)
            lines = [_GAP] if part.lost and not fresh else []
            lines += [_lines(event) for event in part.events]
            moved, position, fresh = part.position > position, part.position, False
            if lines:
                beat = self._clock.monotonic()
                await _say(send, b"".join([*lines, *_at(part)]))
            elif self._clock.monotonic() - beat >= BEAT_SECONDS:
                beat = self._clock.monotonic()
                await self._check(caller)
                await _say(send, b": \nid: %d\n\n" % position)
            if not (moved and part.full):
                await self._clock.sleep(LOOK_SECONDS)

    def _end(self, caller: Caller) -> float:
        """When a stream of *caller* ends at the latest."""
        until = self._clock.now() + LIFE_SECONDS
        session = caller.identity.session if caller.identity is not None else None
        return until if session is None else min(until, session.expires_at)

    @contextlib.contextmanager
    def _counted(self, account: str) -> Iterator[None]:
        self._open[account] += 1
        try:
            yield
        finally:
            self._open[account] -= 1
            if not self._open[account]:
                del self._open[account]


def _lines(event: Event) -> bytes:
    return f"id: {event.sequence}\ndata: {event.text}\n\n".encode()


def _at(part: Part) -> list[bytes]:
    """Says where the reader stands, where the last event it got is not the last there is."""
    told = part.events[-1].sequence if part.events else 0
    return [b"id: %d\n\n" % part.position] if part.position > told else []


async def _say(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
