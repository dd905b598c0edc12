# SPDX-License-Identifier: Apache-2.0
"""
What becomes of outputs beside the API: they are written to buckets, ended where nobody else will, and forgotten.

Rows under a lease (design D9): what a process leaves undone when it dies, another does. An object that is written twice is
the same object.
"""

from __future__ import annotations

from dataclasses import replace

from patchwright.server import commands
from patchwright.server.infra import (
    Blobs,
    Bucket,
    BucketRefused,
    Buckets,
    Clock,
    Database,
    InfraError,
    UnitOfWork,
    backoff,
)
from patchwright.server.outputs import store
from patchwright.server.outputs.model import Output
from patchwright.server.outputs.service import Service

TEND_SECONDS = 2.0
COLLECT_SECONDS = 600.0
KEPT_SECONDS = 30 * 86_400.0  # as long as the history of commands (spec §5.5)
_SILENT_SECONDS = 600.0  # after which an output that has not ended is asked about
_LEASE_SECONDS = 300.0
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 10.0, 1_800.0
_GIVE_UP_SECONDS = 86_400.0
_AT_ONCE = 4
_BATCH = 200
_BLOB_SECONDS = 86_400.0  # that a blob nobody names is left alone: its row may be about to be written
_KIND = "text/plain; charset=utf-8"


class Tender:
    """Looks after the outputs of every account."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        service: Service,
        sent: commands.Service,
        buckets: Buckets,
        blobs: Blobs,
    ) -> None:
        self._database = database
        self._clock = clock
        self._service = service
        self._commands = sent
        self._buckets = buckets
        self._blobs = blobs
        self._shard = 0

    async def tend(self) -> int:
        """Write what is due, and end what is silent and over; returns how many outputs were written."""
        await self._end_silent()
        written = 0
        while await self._database.read(store.any_due, now=self._clock.now()):
            now = self._clock.now()
            due = await self._database.write(store.take_due, now=now, until=now + _LEASE_SECONDS, limit=_AT_ONCE)
            for output in due:
                written += await self._write(output)
            if not due:  # another process is at it
                break
        return written

    async def collect(self) -> int:
        """Forget outputs that are old, and delete some blobs that nobody names; returns how many outputs those were."""
        before, forgotten = self._clock.now() - KEPT_SECONDS, 0
        while count := await self._database.write(store.forget, before=before, limit=_BATCH):
            forgotten += count
        older = self._clock.now() - _BLOB_SECONDS
        digests = await self._blobs.old(self._shard, older_than=older)
        self._shard = (self._shard + 1) % 256
        for start in range(0, len(digests), _BATCH):
            some = digests[start : start + _BATCH]
            kept = await self._database.read(store.named, some)
            await self._blobs.remove([one for one in some if one not in kept], older_than=older)
        return forgotten

    async def _write(self, output: Output) -> bool:
        place, now = output.place, self._clock.now()
        try:
            data = await self._service.whole(output.scope, output.stream)
            bucket = Bucket(place.bucket, place.region, account=output.scope.account)
            await self._buckets.put(bucket, place.key, data, kind=_KIND)
        except (BucketRefused, InfraError) as error:
            attempts = output.attempts + 1
            pause = backoff(attempts, first=_FIRST_RETRY_SECONDS, most=_LAST_RETRY_SECONDS)
            again = now + max(pause, _FIRST_RETRY_SECONDS / 2)
            write_at = again if now - output.heard_at < _GIVE_UP_SECONDS else None
            after = replace(output, write_at=write_at, attempts=attempts, reason=str(error)[:500])
        else:
            after = replace(output, write_at=None, attempts=output.attempts + 1, written_at=now, reason="")
        await self._database.write(store.settle, after)
        return after.written_at is not None

    async def _end_silent(self) -> None:
        """End what a node has left open: its command is over. Of a step that is quiet, ask again later."""
        now = self._clock.now()
        for output in await self._database.read(store.silent, before=now - _SILENT_SECONDS, limit=_BATCH):
            over = await self._is_over(output)
            due = now if over and output.place.bucket else None
            await self._database.write(_note, output, replace(output, ended=over, heard_at=now, write_at=due))

    async def _is_over(self, output: Output) -> bool:
        try:
            _, invocation = await self._commands.invocation(
                output.scope, output.stream.command_id, output.stream.instance_id
            )
        except commands.UnknownInvocation:
            return True
        return invocation.detail.final


def _note(before: Output, after: Output) -> UnitOfWork[bool]:
    return (yield from store.append(before, after, None))
