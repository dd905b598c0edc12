# SPDX-License-Identifier: Apache-2.0
"""
The one writer of a SQLite file: a thread that commits many units of work together.

A durable commit costs one sync of the disk, whatever it holds. So the thread takes the units that wait, runs each in a
savepoint of one transaction, commits once, and only then answers all of them. A unit that fails is undone alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from patchwright.server.infra.clock import Clock
from patchwright.server.infra.counters import Counters
from patchwright.server.infra.errors import Unavailable
from patchwright.server.infra.sqlite_connection import Connection
from patchwright.server.infra.statement import UnitOfWork

T = TypeVar("T")

QUEUE_UNITS = 4096
BATCH_UNITS = 512
BATCH_SECONDS = 0.02  # a batch takes no further unit after this, so that heavy units do not add up for light ones


class _Job:
    """One submitted unit of work and, once run, what came of it."""

    __slots__ = ("begin", "error", "future", "result")

    def __init__(self, begin: Callable[[], UnitOfWork[Any]], future: asyncio.Future[Any]) -> None:
        self.begin = begin
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """Runs units of work one after another in its own thread. Submitted to from one event loop."""

    def __init__(self, connection: Connection, *, clock: Clock, queue_units: int = QUEUE_UNITS) -> None:
        self.counters = Counters()
        self._connection = connection
        self._clock = clock
        self._room = asyncio.Semaphore(queue_units)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()  # None: no more will come
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def submit(self, begin: Callable[[], UnitOfWork[T]]) -> T:
        """Run the unit that *begin* makes; returns its result once committed. Waits first while the queue is full."""
        await self._room.acquire()
        if self._closing:
            self._room.release()
            msg = "the database is closed"
            raise Unavailable(msg)
        job = _Job(begin, self._loop.create_future())
        self._jobs.put(job)
        return cast("T", await job.future)

    async def close(self) -> None:
        """Run what is queued, refuse what comes, end the thread. May be called twice."""
        if not self._closing:
            self._closing = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            batch = [job]
            last = self._commit_together(batch)
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it everyone who waited
                self._loop.call_soon_threadsafe(self._answer, batch)
            if last:
                break
        self._connection.forget()

    def _commit_together(self, batch: list[_Job]) -> bool:
        """
        Run the one job in *batch*, add those that wait, commit. Whether the queue has ended.

        Every job leaves with a result or an error.
        """
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
        except Exception as error:  # noqa: BLE001 - whatever it is (memory, the library), the thread that writes must go on
            last = self._take_all(batch)
            self._give_up(batch, error)
            return last
        until = self._clock.monotonic() + BATCH_SECONDS
        last = False
        try:
            self._run_in_savepoint(batch[0])
            while len(batch) < BATCH_UNITS and self._clock.monotonic() < until:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    last = True
                    break
                batch.append(job)
                self._run_in_savepoint(job)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - as above; whoever waits is told, and the next batch begins anew
            self._give_up(batch, error)
        else:
            self.counters.commits += 1
            self.counters.units += sum(job.error is None for job in batch)
        return last

    def _run_in_savepoint(self, job: _Job) -> None:
        """Run *job*, undoing it alone when it fails. Errors: InfraError when the whole transaction is lost."""
        if job.future.cancelled():
            job.error = asyncio.CancelledError()
            return
        connection = self._connection
        connection.execute("SAVEPOINT unit")
        try:
            job.result = connection.drive(job.begin())
        except BaseException as error:  # whatever a unit raises is its caller's; the thread goes on
            job.error = error
            if not connection.in_transaction:
                msg = f"the transaction was lost: {error}"
                raise Unavailable(msg) from error
            connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")

    def _take_all(self, batch: list[_Job]) -> bool:
        """Add what waits to *batch*. Whether the queue has ended."""
        while len(batch) < BATCH_UNITS:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return False
            if job is None:
                return True
            batch.append(job)
        return False

    def _give_up(self, batch: list[_Job], error: Exception) -> None:
        """
        Nothing of *batch* was kept: undo it, tell everyone, and begin anew with a fresh connection.

        Those that had failed for reasons of their own too: they may have met rows that never came to be.
        """
        self._connection.forget()
        for job in batch:
            job.error = Unavailable(f"not written: {error}")
            job.error.__cause__ = error

    def _answer(self, batch: list[_Job]) -> None:
        """Resolve the futures of *batch*, in the event loop."""
        for job in batch:
            self._room.release()
            if job.future.done():
                continue
            if job.error is None:
                job.future.set_result(job.result)
            elif isinstance(job.error, StopIteration):
                msg = "a unit of work raised StopIteration"
                job.future.set_exception(RuntimeError(msg))
            else:
                job.future.set_exception(job.error)
