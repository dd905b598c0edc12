# SPDX-License-Identifier: Apache-2.0
"""Use cases of outputs: nodes send what their steps print, people read it, while it comes and afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from patchwright.server import commands
from patchwright.server.accounts import Scope
from patchwright.server.commands import Command, Invocation
from patchwright.server.config import Quotas
from patchwright.server.infra import Blobs, Clock, Content, Database, UnitOfWork, of_bytes
from patchwright.server.outputs import store
from patchwright.server.outputs.model import (
    PIECE_BYTES,
    STDOUT,
    Output,
    Part,
    Stream,
    Taken,
    UnknownOutput,
    cut_mark,
    place_of,
)

_INLINE_BYTES = 16 * 1024  # of a piece that is kept in its row: a file for each few lines would cost more
_PIECES = 64  # read at once
_LOOK_AGAIN_SECONDS = 1.0  # for what another process has taken
_GONE = "The output is no longer kept."
_UNENDED = frozenset({"", "Pending", "InProgress"})


class Service:
    """
    Outputs of every account. Bytes are in *blobs* or, where they are few, beside their row. Who waits is let go when this process
    is no longer *serving*.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        quotas: Quotas,
        *,
        blobs: Blobs,
        sent: commands.Service,
        serving: Callable[[], bool] = lambda: True,
    ) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas
        self._blobs = blobs
        self._commands = sent
        self._serving = serving
        self._listening: dict[Stream, list[asyncio.Event]] = {}

    async def take(
        self, scope: Scope, stream: Stream, data: bytes, *, position: int, last: bool, cut: bool = False
    ) -> Taken:
        """
        Keep what a node sends of a stream, from *position* on; returns how far it is kept, which is where to go on.

        What is kept already is not kept again, and what leaves a gap not at all. *last*: the stream ends with it; *cut*: it
        went on, but the node has not kept more. Errors: UnknownInvocation, UnknownStep.
        """
        before = await self._database.read(store.find, scope, stream) or await self._new(scope, stream)
        if before.ended or position > before.size:
            return Taken(before.size, before.ended)
        fresh = data[before.size - position :]
        kept = fresh[: max(self._quotas.output_bytes - before.size, 0)]
        full = len(kept) < len(fresh)
        now = self._clock.now()
        after = replace(
            before,
            size=before.size + len(kept),
            ended=last or full,
            cut=full or (last and cut),
            heard_at=now,
            write_at=now if (last or full) and before.place.bucket else None,
        )
        digest = await self._blobs.put(kept) if len(kept) > _INLINE_BYTES else ""
        piece = store.Piece(before.size, len(kept), b"" if digest else kept, digest) if kept else None
        taken = await self._database.write(_take, before, after, piece)
        for event in self._listening.get(stream, ()):
            event.set()
        return taken

    async def read(self, scope: Scope, asked: Stream, *, position: int, wait: float = 0.0) -> tuple[Stream, Part]:
        """
        What there is of a stream from *position* on, at most `PIECE_BYTES`; and which stream that is.

        Where there is nothing yet, it is waited for: *wait* seconds at most. A step that is not named is the document's only
        one. Of a step whose output came with its result alone, that is shown. Errors: UnknownInvocation, UnknownStep.
        """
        stream = asked
        if not asked.step:
            command, invocation = await self._commands.invocation(scope, asked.command_id, asked.instance_id)
            stream = asked._replace(step=commands.step_result(command, invocation)[0])
        deadline = self._clock.monotonic() + wait
        event = asyncio.Event()
        listening = self._listening.setdefault(stream, [])
        listening.append(event)
        try:
            while True:
                part = await self._part(scope, stream, position)
                left = deadline - self._clock.monotonic()
                if part.data or part.ended or left <= 0 or not self._serving():
                    return stream, part
                event.clear()
                await _heard(event, min(left, _LOOK_AGAIN_SECONDS))
        finally:
            listening.remove(event)
            if not listening:
                self._listening.pop(stream, None)

    async def open(self, scope: Scope, stream: Stream) -> Content:
        """
        Everything that is kept of a stream by now, and where it was cut the mark that says so, to be read in pieces. Errors: as of
        `read`.
        """
        output = await self._database.read(store.find, scope, stream)
        if output is None:
            _, part = await self.read(scope, stream, position=0)
            return of_bytes(part.data)
        mark = cut_mark(output.size) if output.cut and output.ended else b""

        async def read(begin: int, end: int) -> AsyncIterator[bytes]:
            while begin < min(end, output.size):
                part = await self._part(scope, stream, begin)
                if not part.data:
                    raise UnknownOutput(_GONE)
                yield part.data[: min(end, output.size) - begin]
                begin += len(part.data)
            if rest := mark[begin - output.size : end - output.size]:
                yield rest

        return Content(output.size + len(mark), read)

    async def whole(self, scope: Scope, stream: Stream) -> bytes:
        """The same, at once."""
        return await (await self.open(scope, stream)).whole()

    async def of_invocations(
        self, scope: Scope, found: Sequence[tuple[Command, Invocation]]
    ) -> dict[tuple[str, str], list[Output]]:
        """The outputs of invocations that are kept apart from their results, by command and node."""
        by_command: dict[str, list[str]] = {}
        for command, invocation in found:
            by_command.setdefault(command.id, []).append(invocation.instance_id)
        kept: dict[tuple[str, str], list[Output]] = {}
        for command_id, instance_ids in by_command.items():
            for one in await self._database.read(store.of_nodes, scope, command_id, instance_ids):
                kept.setdefault((command_id, one.stream.instance_id), []).append(one)
        return kept

    async def object_of(self, account: str, bucket: str, key: str) -> Output | None:
        """The output of an account that is written, or is to be written, as an object of this key."""
        return await self._database.read(store.written_as, account, bucket, key)

    async def _new(self, scope: Scope, stream: Stream) -> Output:
        command, invocation = await self._commands.invocation(scope, stream.command_id, stream.instance_id)
        commands.step_result(command, invocation, stream.step)
        now = self._clock.now()
        return Output(
            scope, stream, 0, ended=False, cut=False, began_at=now, heard_at=now, place=place_of(command, stream)
        )

    async def _part(self, scope: Scope, stream: Stream, position: int) -> Part:
        output = await self._database.read(store.find, scope, stream)
        if output is None:
            return await self._reported(scope, stream, position)
        data = b""
        if position < output.size:
            for piece in await self._database.read(store.pieces, scope, stream, start=position, limit=_PIECES):
                body = await self._blobs.get(piece.digest) if piece.digest else piece.body
                data += body[max(position - piece.position, 0) :]
                if len(data) >= PIECE_BYTES:
                    break
        data = data[:PIECE_BYTES]
        ended = output.ended and position + len(data) >= output.size
        return Part(position, data, ended, ended and output.cut)

    async def _reported(self, scope: Scope, stream: Stream, position: int) -> Part:
        """What the step's result says of a stream that was never sent by itself: all of it, or its beginning."""
        command, invocation = await self._commands.invocation(scope, stream.command_id, stream.instance_id)
        _, result = commands.step_result(command, invocation, stream.step)
        text = result.stdout if stream.name == STDOUT else result.stderr
        ended = invocation.detail.final or result.status not in _UNENDED
        return Part(position, text.encode()[position : position + PIECE_BYTES] if ended else b"", ended)


def _take(before: Output, after: Output, piece: store.Piece | None) -> UnitOfWork[Taken]:
    if not before.size:
        yield from store.begin(before)
    if (yield from store.append(before, after, piece)):
        return Taken(after.size, after.ended)
    now = yield from store.find(before.scope, before.stream)  # the same was sent twice, and the other came first
    return Taken(now.size, now.ended) if now is not None else Taken(0, full=True)


async def _heard(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
