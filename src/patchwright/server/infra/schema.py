# SPDX-License-Identifier: Apache-2.0
"""
Bringing a database to the newest schema.

Revisions are the files of `migrations/versions`, numbered (`0001_initial.py`), each following the one before. A database
that is up to date is recognised without importing SQLAlchemy or Alembic.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patchwright.server.infra.errors import SchemaTooNew, Unavailable
from patchwright.server.infra.sqlite_connection import create_private

if TYPE_CHECKING:
    import sqlalchemy

MIGRATIONS = Path(__file__).parent / "migrations"

_ADVISORY_LOCK = 0x7061746368  # one process migrates a PostgreSQL database at a time
_DEADLOCK = "40P01"  # with a server that is still at work: all of it was taken back, and is done again
_ATTEMPTS = 5


def revisions() -> Sequence[str]:
    """The revisions this version knows, oldest first."""
    return sorted(path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def is_current(stored: str | None) -> bool:
    """Whether a database at revision *stored* (None: empty) needs nothing. Errors: SchemaTooNew."""
    known = revisions()
    if stored is not None and stored not in known:
        raise SchemaTooNew(stored, known[-1])
    return stored == known[-1]


def migrate_sqlite(path: Path) -> None:
    """Bring the SQLite file at *path* to the newest schema, creating it if there is none; all or nothing."""
    create_private(path)
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            stored = _stored_in_sqlite(connection)
        if not is_current(stored):
            _upgrade_sqlite(path)
    except sqlite3.Error as cause:
        msg = f"{path} cannot be opened: {cause}"
        raise Unavailable(msg) from cause


async def migrate_postgres(url: str) -> None:
    """Bring the PostgreSQL database at *url* to the newest schema; all or nothing, one process at a time."""
    import asyncpg

    from patchwright.server.infra.postgres import CONNECT_SECONDS, unreachable

    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
        try:
            await connection.execute(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})")
            stored = None
            if await connection.fetchval("SELECT to_regclass('alembic_version')"):
                stored = await connection.fetchval("SELECT version_num FROM alembic_version")
            if not is_current(stored):
                await _upgrade_postgres(url)
        finally:
            await connection.close()  # and with it the lock
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as cause:
        raise unreachable(cause) from cause


def _stored_in_sqlite(connection: sqlite3.Connection) -> str | None:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'alembic_version'").fetchall():
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row and str(row[0])


def _upgrade_sqlite(path: Path) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(path, isolation_level=None), poolclass=sqlalchemy.NullPool
    )
    try:
        with engine.connect() as connection:
            # Begun by hand, because Python's sqlite3 does not begin a transaction before DDL.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            upgrade(connection)
            connection.exec_driver_sql("COMMIT")
    except sqlalchemy.exc.DBAPIError as cause:
        msg = f"{path} cannot be migrated: {cause.orig}\nin {cause.statement}"
        raise Unavailable(msg) from cause
    finally:
        engine.dispose()


async def _upgrade_postgres(url: str) -> None:
    import asyncpg
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    async def connect(*_args: Any, **_kwargs: Any) -> Any:
        return await asyncpg.connect(url)  # SQLAlchemy would read some URLs differently

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        for left in reversed(range(_ATTEMPTS)):
            try:
                async with engine.begin() as connection:
                    await connection.run_sync(upgrade)
                break
            except DBAPIError as cause:
                if left and getattr(cause.orig, "sqlstate", "") == _DEADLOCK:
                    continue
                msg = f"the PostgreSQL database cannot be migrated: {cause.orig}\nin {cause.statement}"
                raise Unavailable(msg) from cause
    finally:
        await engine.dispose()


def upgrade(connection: sqlalchemy.Connection, *, target: str = "head") -> None:
    """Run the migrations up to *target* inside the transaction that *connection* is in."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)
