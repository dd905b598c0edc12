# SPDX-License-Identifier: Apache-2.0
"""
The database, as the rooms see it.

`open_database` gives one of two engines with the same promises: SQLite in one file (`sqlite.py`) or PostgreSQL
(`postgres.py`). How to write a unit of work is told in `statement.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from patchwright.server.infra import schema
from patchwright.server.infra.clock import Clock, SystemClock
from patchwright.server.infra.counters import Counters
from patchwright.server.infra.errors import UnknownDatabase
from patchwright.server.infra.statement import UnitOfWork

P = ParamSpec("P")
T = TypeVar("T")


class Database(Protocol):
    """
    A database that drives units of work.

    Errors of both methods: what the unit raises; UniqueViolation and its siblings; Unavailable when the database
    cannot be reached or written, with nothing half written. Whoever raises, the whole unit is undone.
    """

    @property
    def counters(self) -> Counters:
        """What this process has asked of the database since it opened it."""
        ...

    async def write(self, work: Callable[P, UnitOfWork[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Run `work(*args, **kwargs)` in one transaction; returns its result once that is durable.

        Units are isolated as if they ran one after another. *work* may be called more than once. A caller that is
        cancelled while waiting learns nothing: the unit may have been kept.
        """
        ...

    async def read(self, work: Callable[P, UnitOfWork[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Run `work(*args, **kwargs)` over one consistent snapshot that has every write which has returned.

        For short reads: SQLite reads on the event loop. What takes longer than 50 ms pages by key.
        """
        ...

    async def close(self) -> None:
        """Finish the units that were accepted, refuse new ones with Unavailable, let go of the database."""
        ...


async def open_database(url: str, *, data_dir: Path, clock: Clock | None = None) -> Database:
    """
    The database at *url*, brought to the newest schema.

    `sqlite:///patchwright.db` is relative to *data_dir*, `sqlite:////srv/patchwright.db` is absolute;
    `postgresql://…` is read as libpq reads it. Errors: UnknownDatabase, SchemaTooNew, Unavailable.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        from patchwright.server.infra.sqlite import SqliteDatabase

        path = data_dir / unquote(urlsplit(url).path.removeprefix("/"))
        await asyncio.to_thread(schema.migrate_sqlite, path)
        return await SqliteDatabase.open(path)
    if scheme in {"postgresql", "postgres"}:
        from patchwright.server.infra.postgres import PostgresDatabase

        await schema.migrate_postgres(url)
        return await PostgresDatabase.open(url, clock=clock or SystemClock())
    msg = f"a database URL begins with sqlite: or postgresql:, not {scheme!r}"
    raise UnknownDatabase(msg)
