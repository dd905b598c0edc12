# SPDX-License-Identifier: Apache-2.0
"""
The engine past one machine: PostgreSQL through asyncpg, any number of identical processes.

A write is one SERIALIZABLE transaction, run again from the start when it lost a race. A read is REPEATABLE READ, READ
ONLY: one snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import Any, Literal, ParamSpec, TypeVar

import asyncpg

from patchwright.server.infra.clock import Clock, backoff
from patchwright.server.infra.counters import Counters
from patchwright.server.infra.errors import (
    CheckViolation,
    ForeignKeyViolation,
    InfraError,
    StatementRefused,
    Unavailable,
    UniqueViolation,
)
from patchwright.server.infra.statement import Row, Statement, UnitOfWork, refuse

P = ParamSpec("P")
T = TypeVar("T")

POOL_CONNECTIONS = 10
CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 60.0
CLOSE_SECONDS = 30.0  # for units under way, before their connections are cut
CACHED_STATEMENTS = 512
ATTEMPTS = 20
BESIDE_OTHERS = 3  # attempts, before a unit that keeps losing races runs alone in its process
FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.5

# SQLSTATE codes and classes (PostgreSQL manual, appendix A).
_SERIALIZATION_FAILURE, _DEADLOCK = "40001", "40P01"
_UNIQUE, _FOREIGN_KEY = "23505", "23503"
_CHECKS = frozenset({"23502", "23514"})  # NOT NULL, CHECK
_UNAVAILABLE_CLASSES = frozenset({"08", "53", "57", "58"})  # connection, resources, operator intervention, system
_READ_ONLY = "25006"  # on a write: this server became a standby

_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, UnicodeEncodeError)

_SKIP_LOCKED = "/* skip locked */"


class _LostRace(Exception):
    """This attempt met another transaction; the same work may succeed when run again."""


class _Floor:
    """Where writes run side by side, or one of them alone: a row that everybody changes would else be lost to all but one."""

    def __init__(self) -> None:
        self._alone = asyncio.Lock()  # its line is first come, first served
        self._running = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Run with others, after those who wait to run alone."""
        async with self._alone:
            self._running += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._empty.set()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Run when nobody else does; nobody begins meanwhile."""
        async with self._alone:
            await self._empty.wait()
            yield


class PostgresDatabase:
    """A Database on a PostgreSQL server. Belongs to the event loop that opened it."""

    def __init__(self, pool: asyncpg.Pool, *, clock: Clock, connections: int) -> None:
        """Use `open`."""
        self.counters = Counters()
        self._pool = pool
        self._clock = clock
        self._floor = _Floor()
        self._turn = asyncio.Semaphore(connections)  # waiting for a turn has no limit; connecting has

    @classmethod
    async def open(cls, url: str, *, clock: Clock, connections: int = POOL_CONNECTIONS) -> PostgresDatabase:
        """Open *url*, already migrated, with up to *connections* at a time; further units wait."""
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=0,  # a server that is down is no reason to log every second
                max_size=connections,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
                statement_cache_size=CACHED_STATEMENTS,
                reset=_nothing_to_reset,
                server_settings={"application_name": "patchwright", "jit": "off"},
            )
        except _DRIVER_ERRORS as cause:
            raise unreachable(cause) from cause
        database = cls(pool, clock=clock, connections=connections)
        async with database._connection():
            return database

    async def write(self, work: Callable[P, UnitOfWork[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Run the unit in one SERIALIZABLE transaction; up to 20 times while it loses races, then Unavailable.

        After the third time nothing else of this process runs beside it: then only other processes can beat it.
        """
        result = await self._transact("serializable", lambda: work(*args, **kwargs))
        self.counters.units += 1
        self.counters.commits += 1
        return result

    async def read(self, work: Callable[P, UnitOfWork[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the unit over one snapshot."""
        return await self._transact("repeatable_read", lambda: work(*args, **kwargs))

    async def close(self) -> None:
        """Finish the units under way, refuse new ones, close the connections."""
        try:
            await asyncio.wait_for(self._pool.close(), CLOSE_SECONDS)
        except (TimeoutError, *_DRIVER_ERRORS):
            self._pool.terminate()

    async def _transact(
        self, isolation: Literal["serializable", "repeatable_read"], begin: Callable[[], UnitOfWork[T]]
    ) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if isolation == "repeatable_read":
                    return await self._attempt(isolation, begin)
                async with self._floor.beside() if attempt <= BESIDE_OTHERS else self._floor.alone():
                    return await self._attempt(isolation, begin)
            except _LostRace as lost:
                if attempt == ATTEMPTS:
                    msg = f"not done: lost {ATTEMPTS} races in a row against other transactions"
                    raise Unavailable(msg) from lost.__cause__
            self.counters.repeats += 1
            await self._clock.sleep(backoff(attempt, first=FIRST_PAUSE_SECONDS, most=LONGEST_PAUSE_SECONDS))
        raise AssertionError  # the last attempt returned or raised

    async def _attempt(
        self, isolation: Literal["serializable", "repeatable_read"], begin: Callable[[], UnitOfWork[T]]
    ) -> T:
        async with self._turn, self._connection() as connection:
            transaction = connection.transaction(isolation=isolation, readonly=isolation == "repeatable_read")
            try:
                await transaction.start()
            except _DRIVER_ERRORS as cause:
                raise unreachable(cause) from cause
            try:
                result = await _drive(connection, begin(), reading=isolation == "repeatable_read")
            except BaseException:
                with contextlib.suppress(*_DRIVER_ERRORS):  # a lost connection has rolled back already
                    await transaction.rollback()
                raise
            try:
                await transaction.commit()
            except _DRIVER_ERRORS as cause:
                error = _translate(connection, cause, reading=False)
                if isinstance(error, Unavailable):
                    error = Unavailable(
                        f"the connection was lost while committing, the work may have been kept: {cause}"
                    )
                raise error from cause
            return result

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of the pool. Errors: Unavailable."""
        try:
            connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
        except _DRIVER_ERRORS as cause:
            raise unreachable(cause) from cause
        try:
            yield connection
        finally:
            with contextlib.suppress(*_DRIVER_ERRORS):
                await self._pool.release(connection)


async def _drive(connection: Any, unit: UnitOfWork[T], *, reading: bool) -> T:
    """Run *unit* to its end inside the caller's transaction. Errors: what it raises; InfraError; _LostRace."""
    try:
        statement = next(unit)
        while True:
            try:
                rows = await _rows(connection, statement)
            except _DRIVER_ERRORS as cause:
                error = _translate(connection, cause, reading=reading)
                error.__cause__ = cause
                if isinstance(error, _LostRace):
                    raise error from cause
                refuse(unit, error)
            statement = unit.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        unit.close()


async def _rows(connection: Any, statement: Statement) -> list[Row]:
    text = _for_postgres(statement.text)
    if statement.each is not None:
        await connection.executemany(text, statement.each)
        return []
    return [tuple(record) for record in await connection.fetch(text, *statement.params)]


@lru_cache(maxsize=4096)
def _for_postgres(text: str) -> str:
    return text.replace(_SKIP_LOCKED, "FOR UPDATE SKIP LOCKED")


def _translate(connection: Any, error: Exception, *, reading: bool) -> InfraError | _LostRace:
    """Our error for the driver's, met while *connection* was in use."""
    code = getattr(error, "sqlstate", None) or ""
    if code in {_SERIALIZATION_FAILURE, _DEADLOCK} or isinstance(error, asyncpg.InvalidCachedStatementError):
        return _LostRace()
    if code[:2] in _UNAVAILABLE_CLASSES or (code == _READ_ONLY and not reading):
        return unreachable(error)
    if isinstance(error, asyncpg.PostgresError):
        constraint = getattr(error, "constraint_name", None)
        if code == _UNIQUE:
            return UniqueViolation(str(error), constraint)
        if code == _FOREIGN_KEY:
            return ForeignKeyViolation(str(error), constraint)
        if code in _CHECKS:
            return CheckViolation(str(error), constraint)
        return StatementRefused(str(error))
    if isinstance(error, OSError) or connection.is_closed():
        return unreachable(error)
    return StatementRefused(str(error))


def unreachable(error: Exception) -> Unavailable:
    """What a connection that failed with *error* means. Drivers name hosts and users, never passwords."""
    return Unavailable(f"PostgreSQL cannot be used now: {str(error) or type(error).__name__}")


async def _nothing_to_reset(_connection: Any) -> None:
    """Keep no session state, so save the pool a round trip per transaction."""
