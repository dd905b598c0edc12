# SPDX-License-Identifier: Apache-2.0
"""
Writing what nodes show to the buckets of resource data syncs (spec §7.4).

A run goes through the nodes in order of id and writes what has changed since the last one; the first finds that everything
has. How far it has come is a row, kept under a lease: whoever finds a run that nobody holds goes on with it. What was
written twice is the same object twice, so nothing is harmed by a process that dies at any moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from patchwright.server.infra import BucketRefused, Buckets, Clock, Database, UnitOfWork, new_uuid
from patchwright.server.inventory import Outline, Reported
from patchwright.server.inventory import Service as Inventory
from patchwright.server.reports import sync_store as store
from patchwright.server.reports.sync_model import DONE, FAILED, SUCCESSFUL, Sync, fingerprint, key_of, lines

STEP_SECONDS = 10.0
PAUSE_SECONDS = 60.0  # between two runs of a sync, and
PAUSE_FACTOR = 9.0  # this many times as long as the run took: a run over a large fleet takes a tenth of the time
RETRY_SECONDS = 300.0
_LEASE_SECONDS = 120.0
_PAGE = 50  # nodes
_AT_ONCE = 8  # objects


@dataclass(frozen=True)
class _Task:
    """An object to write."""

    instance_id: str
    reported: Reported
    mark: str


class Writer:
    """Runs the syncs that are due."""

    def __init__(self, database: Database, clock: Clock, buckets: Buckets, inventory: Inventory) -> None:
        self._database = database
        self._clock = clock
        self._buckets = buckets
        self._inventory = inventory

    async def run_due(self) -> int:
        """Run every sync that is due and that nobody else runs; returns how many those were."""
        count = 0
        while await self._database.read(store.any_due, now=self._clock.now()):
            owner, now = new_uuid(), self._clock.now()
            sync = await self._database.write(store.lease, owner, now=now, until=now + _LEASE_SECONDS)
            if sync is None:
                break
            await self._run(sync, owner)
            count += 1
        return count

    async def _run(self, sync: Sync, owner: str) -> None:
        began, position = self._clock.monotonic(), sync.position
        try:
            while True:
                following = await self._page(sync, position)
                if not following:
                    break
                position = following
                until = self._clock.now() + _LEASE_SECONDS
                if not await self._database.write(store.advance, sync, owner, position, until=until):
                    return  # deleted, or another's by now
        except BucketRefused as error:
            message = f"S3 write failed for bucket {sync.bucket.name}: {error}"
            await self._finish(sync, owner, state=FAILED, message=message, position=position, pause=RETRY_SECONDS)
            return
        pause = max(PAUSE_SECONDS, PAUSE_FACTOR * (self._clock.monotonic() - began))
        await self._finish(sync, owner, state=SUCCESSFUL, message=DONE, position="", pause=pause)

    async def _finish(self, sync: Sync, owner: str, *, state: str, message: str, position: str, pause: float) -> None:
        now = self._clock.now()
        await self._database.write(
            store.finish,
            sync,
            owner,
            state=state,
            message=message,
            position=position,
            succeeded_at=now if state == SUCCESSFUL else None,
            due_at=now + pause,
        )

    async def _page(self, sync: Sync, after: str) -> str:
        """Write what has changed of the next nodes; returns the last of them, empty at the end."""
        found = await self._inventory.outline(sync.scope, after=after, limit=_PAGE)
        marks = await self._database.read(store.written, sync, [one.instance_id for one in found])
        tasks = [task for one in found for task in _changed(one, marks[one.instance_id])]
        done: dict[str, dict[str, str]] = {}
        last = found[-1].instance_id if len(found) == _PAGE else ""
        kept = [one.instance_id for one in found]
        refused: BucketRefused | None = None
        for start in range(0, len(tasks), _AT_ONCE):
            part = tasks[start : start + _AT_ONCE]
            try:
                await self._write(sync, part)
            except BucketRefused as error:
                refused = error
                break
            for task in part:
                known = done.setdefault(task.instance_id, dict(marks[task.instance_id]))
                known[task.reported.type_name] = task.mark
        await self._database.write(_note, sync, done, after=after, last=last, kept=kept)
        if refused is not None:
            raise refused
        return last

    async def _write(self, sync: Sync, tasks: list[_Task]) -> None:
        outcomes = await asyncio.gather(*(self._put(sync, task) for task in tasks), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _put(self, sync: Sync, task: _Task) -> None:
        reported = task.reported
        rows = await self._inventory.rows(sync.scope, reported)
        data = lines(task.instance_id, reported.version, reported.capture_time, rows)
        await self._buckets.put(sync.bucket, key_of(sync, task.instance_id, reported.type_name), data)


def _changed(one: Outline, marks: Mapping[str, str]) -> Iterator[_Task]:
    """What is to be written of a node, *marks* being what was written last."""
    for type_name, reported in sorted(one.types.items()):
        mark = fingerprint(reported.version, reported.digest, reported.rows)
        if mark != marks.get(type_name, ""):
            yield _Task(one.instance_id, reported, mark)


def _note(
    sync: Sync, done: Mapping[str, Mapping[str, str]], *, after: str, last: str, kept: list[str]
) -> UnitOfWork[None]:
    """Note what was written, unless the sync was deleted meanwhile."""
    stored = yield from store.find(sync.scope, sync.name)
    if stored is not None and stored.id == sync.id:
        yield from store.put_written(sync, done)
        yield from store.forget_between(sync, after, last, kept)
