# SPDX-License-Identifier: Apache-2.0
"""
The embedded engine: one SQLite file.

Reads run on the event loop over their own connection; each sees one snapshot and never waits for the writer (WAL).
Writes go through one thread with group commit (`sqlite_writer.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import ParamSpec, TypeVar

from patchwright.server.infra.clock import Clock, SystemClock
from patchwright.server.infra.counters import Counters
from patchwright.server.infra.errors import Unavailable
from patchwright.server.infra.sqlite_connection import Connection, SeveralStatements
from patchwright.server.infra.sqlite_writer import QUEUE_UNITS, Writer
from patchwright.server.infra.statement import UnitOfWork

P = ParamSpec("P")
T = TypeVar("T")

READS_IN_A_ROW = 16  # on the event loop before whoever else waits there has a turn
READ_WAIT_SECONDS = 0.5  # for a lock, on the event loop; only another process's recovery or vacuum holds one


class SqliteDatabase:
    """A Database in one SQLite file, for one process. Belongs to the event loop that opened it."""

    def __init__(self, reader: Connection, writer: Writer) -> None:
        """Use `open`."""
        self._reader = reader
        self._writer = writer
        self._closed = False
        self._reads = 0
        self._several: set[CodeType] = set()

    @classmethod
    async def open(cls, path: Path, *, clock: Clock | None = None, queue_units: int = QUEUE_UNITS) -> SqliteDatabase:
        """Open the file at *path*, already migrated. At most *queue_units* writes wait at a time; more callers wait."""
        writing = Connection(path)
        reading = Connection(path, read_only=True, wait_seconds=READ_WAIT_SECONDS)
        await asyncio.to_thread(writing.open)
        await asyncio.to_thread(reading.open)
        writer = Writer(writing, clock=clock or SystemClock(), queue_units=queue_units)
        writer.start()
        return cls(reading, writer)

    @property
    def counters(self) -> Counters:
        """What has been written since the database was opened."""
        return self._writer.counters

    async def write(self, work: Callable[P, UnitOfWork[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the unit in the writer thread; returns once its transaction is on disk."""
        return await self._writer.submit(lambda: work(*args, **kwargs))

    async def read(self, work: Callable[P, UnitOfWork[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the unit in the event loop over one snapshot; every so often after whoever else has something to do there."""
        # Nothing below waits: without this, a request that reads page after page would hold up all others.
        self._reads += 1
        if self._reads % READS_IN_A_ROW == 0:
            await asyncio.sleep(0)
        if self._closed:
            msg = "the database is closed"
            raise Unavailable(msg)
        reader, code = self._reader, getattr(work, "__code__", None)
        if code is not None and code not in self._several:
            # Most ask one thing, and one statement sees one snapshot by itself. Those who ask more begin anew, and are known.
            try:
                return reader.drive(work(*args, **kwargs), only_one=True)
            except SeveralStatements:
                self._several.add(code)
            except Unavailable:
                reader.forget()
                raise
        try:
            reader.execute("BEGIN")
            result = reader.drive(work(*args, **kwargs))
            reader.execute("COMMIT")
        except Unavailable:
            reader.forget()
            raise
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                reader.execute("ROLLBACK")
            raise
        return result

    async def close(self) -> None:
        """Finish what was accepted, fold the write-ahead log into the file, let go of it."""
        await self._writer.close()
        if not self._closed:
            self._closed = True
            self._reader.forget()
