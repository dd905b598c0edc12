# SPDX-License-Identifier: Apache-2.0
"""One connection to a SQLite file: how it is opened, how it drives a unit of work, what its errors mean."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from patchwright.server.infra.errors import (
    CheckViolation,
    ForeignKeyViolation,
    InfraError,
    StatementRefused,
    Unavailable,
    UniqueViolation,
)
from patchwright.server.infra.statement import Row, Statement, UnitOfWork, refuse

T = TypeVar("T")

WAIT_SECONDS = 5.0  # for a lock that another process holds, such as a backup
CACHED_STATEMENTS = 512
CACHE_KIB = 32 * 1024
LOG_LIMIT_BYTES = 64 * 1024 * 1024  # the write-ahead log is cut back to this after a checkpoint

_PLACEHOLDER = re.compile(r"\$([0-9]+)")
_KEY = re.compile(r'CONSTRAINT "?(\w+)"? (?:PRIMARY KEY|UNIQUE) \(([^)]*)\)')
_FAILED_KEY = re.compile(r"UNIQUE constraint failed: (.*)")
_FAILED_CHECK = re.compile(r"CHECK constraint failed: (\w+)")

# What sqlite3 raises for a value it cannot bind, beside its own errors: integers beyond 64 bit, lone surrogates; and for two statements
# in one text.
_BAD_VALUE = (OverflowError, UnicodeEncodeError, sqlite3.Warning)

_UNIQUE = frozenset(
    {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID}
)
_CHECK = frozenset(
    {sqlite3.SQLITE_CONSTRAINT_CHECK, sqlite3.SQLITE_CONSTRAINT_NOTNULL, 3091}  # 3091: a STRICT column's type
)
_UNAVAILABLE = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
})  # fmt: skip


class SeveralStatements(Exception):
    """A unit of work that was driven as one of a single statement is none."""


class Connection:
    """
    A connection that opens itself again after `forget`, which is what follows a failing disk.

    Used by one thread at a time. Transactions are the caller's: `execute("BEGIN IMMEDIATE")`.
    """

    def __init__(self, path: Path, *, read_only: bool = False, wait_seconds: float = WAIT_SECONDS) -> None:
        self._path = path
        self._read_only = read_only
        self._wait_seconds = wait_seconds
        self._connection: sqlite3.Connection | None = None

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; SQLite ends it by itself when the disk fails it."""
        return self._connection is not None and self._connection.in_transaction

    def open(self) -> sqlite3.Connection:
        """The connection, opened if it is not. Errors: Unavailable."""
        if self._connection is None:
            try:
                self._connection = _connect(self._path, self._wait_seconds, read_only=self._read_only)
            except sqlite3.Error as cause:
                raise self._translate(cause) from cause
        return self._connection

    def forget(self) -> None:
        """Close the connection, undoing what it has not committed; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def execute(self, text: str) -> None:
        """Execute a statement that has neither parameters nor rows. Errors: as `drive`."""
        try:
            self.open().execute(text)
        except sqlite3.Error as cause:
            raise self._translate(cause) from cause

    def drive(self, unit: UnitOfWork[T], *, only_one: bool = False) -> T:
        """
        Run *unit* to its end inside the caller's transaction. Errors: what it raises; InfraError of a statement.

        With *only_one*, a unit that has more to say than one statement is left at the second, by SeveralStatements.
        """
        try:
            statement = next(unit)
            while True:
                try:
                    rows = self._rows(statement)
                except sqlite3.Error as cause:
                    error = self._translate(cause)
                    error.__cause__ = cause
                    refuse(unit, error)
                except _BAD_VALUE as cause:
                    refuse(unit, StatementRefused(str(cause)))
                except StatementRefused as error:
                    refuse(unit, error)
                statement = unit.send(rows)
                if only_one:
                    raise SeveralStatements
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            unit.close()

    def _rows(self, statement: Statement) -> list[Row]:
        text, params, each = statement
        connection = self.open()
        prepared, expected, order = _prepared(text)
        if each is not None:
            connection.executemany(prepared, [_bound(row, expected, order) for row in each])
            return []
        return connection.execute(prepared, _bound(params, expected, order)).fetchall()

    def _translate(self, error: sqlite3.Error) -> InfraError:
        """Our error for SQLite's. What carries no code was refused by Python's binding before it reached SQLite."""
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            return StatementRefused(str(error))
        if code in _UNIQUE:
            return UniqueViolation(str(error), self._key_name(str(error)))
        if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            return ForeignKeyViolation(str(error), None)
        if code in _CHECK:
            check = _FAILED_CHECK.search(str(error))
            return CheckViolation(str(error), check and check.group(1))
        if code & 0xFF in _UNAVAILABLE and not (self._read_only and code == sqlite3.SQLITE_READONLY):
            return Unavailable(f"the database cannot be used now: {error}")
        return StatementRefused(str(error))

    def _key_name(self, message: str) -> str | None:
        """
        The name of the key that SQLite's *message* reports as broken.

        SQLite names columns (`UNIQUE constraint failed: node.account, node.name`), the schema holds the name. Two keys
        over the same columns (two partial indexes) cannot be told apart: the first by name is given.
        """
        found = _FAILED_KEY.search(message)
        if found is None:
            return None
        if found.group(1).startswith("index '"):
            return found.group(1).removeprefix("index '").removesuffix("'")
        table = found.group(1).partition(".")[0]
        columns = [column.partition(".")[2] for column in found.group(1).split(", ")]
        connection = self.open()
        for (ddl,) in connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", (table,)):
            for name, listed in _KEY.findall(ddl):
                if [column.strip(' "') for column in listed.split(",")] == columns:
                    return str(name)
        indexes = connection.execute(
            "SELECT l.name, i.name FROM pragma_index_list(?) l, pragma_index_info(l.name) i"
            " WHERE l.\"unique\" = 1 AND l.origin = 'c' ORDER BY l.name, i.seqno",
            (table,),
        ).fetchall()
        for index in sorted({name for name, _ in indexes}):
            if [column for name, column in indexes if name == index] == columns:
                return str(index)
        return None


def _connect(path: Path, wait_seconds: float, *, read_only: bool) -> sqlite3.Connection:
    create_private(path)
    connection = sqlite3.connect(
        path,
        timeout=wait_seconds,
        isolation_level=None,  # transactions are begun by name
        check_same_thread=False,  # opened in one thread, used in another; never in two at a time
        cached_statements=CACHED_STATEMENTS,
    )
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            msg = f"{path} cannot keep a write-ahead log: is it on a network file system?"
            raise Unavailable(msg)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA case_sensitive_like = ON")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT_BYTES}")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except (sqlite3.Error, Unavailable):
        connection.close()
        raise
    return connection


def create_private(path: Path) -> None:
    """
    Create the file at *path* with mode 0600 if there is none; SQLite gives its side files the same mode.

    An existing file is not opened: closing it would drop the locks that this process holds on it through SQLite.
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


@lru_cache(maxsize=4096)
def _prepared(text: str) -> tuple[str, int, Callable[[Row], Row] | None]:
    """
    *text* with `?` for `$1`, how many parameters it takes, and what puts them in their places, unless that is each in turn.

    SQLite takes `$1` for a name, and binding by name costs a dictionary a statement. So does Python 3.12 take `?1`, up to
    3.12.3: it warns of every one, which takes longer than the statement (python/cpython#117995).
    """
    numbers = [int(number) for number in _PLACEHOLDER.findall(text)]
    expected = max(numbers, default=0)
    in_turn = numbers == list(range(1, expected + 1))
    return _PLACEHOLDER.sub("?", text), expected, None if in_turn else _in_order([number - 1 for number in numbers])


def _in_order(places: list[int]) -> Callable[[Row], Row]:
    """What takes these places of a row, in this order."""
    if len(places) == 1:  # of which `itemgetter` makes no row
        return lambda row: (row[places[0]],)
    return itemgetter(*places)


def _bound(params: Row, expected: int, order: Callable[[Row], Row] | None) -> Row:
    """*params* in the places of the statement, unless PostgreSQL would refuse them."""
    if len(params) != expected:
        msg = f"the statement takes {expected} parameters, {len(params)} were given"
        raise StatementRefused(msg)
    for value in params:
        if type(value) is str and "\0" in value:
            msg = "text with a NUL character cannot be stored"
            raise StatementRefused(msg)
    return params if order is None else order(params)
