# SPDX-License-Identifier: Apache-2.0
"""
What a use case says to the database, in one text for both engines.

A unit of work is a plain generator function. It yields statements and receives their rows:

    def rename(account: str, region: str, old: str, new: str) -> UnitOfWork[bool]:
        rows = yield sql("UPDATE node SET name = $4 WHERE account = $1 AND region = $2 AND name = $3 RETURNING id",
                         account, region, old, new)
        return bool(rows)

    renamed = await database.write(rename, account, region, "a", "b")

Units compose with `yield from`. The engine may call a unit again from the start (a lost race on PostgreSQL), so a unit
changes nothing but the database; what it needs from outside (time, new identifiers) comes in as arguments. SQLite runs
it in the writer's thread: context variables of the caller are not there. Transactions are the engine's: no unit says
BEGIN, COMMIT or SAVEPOINT.

A statement that fails ends its unit, on both engines. The error is raised at the `yield`, where the unit may clean up
or raise an error of its own instead; it may not go on. To go on past a taken key, say `ON CONFLICT`.

One text for both engines means:

* Parameters are `$1`, `$2`, …, each used at least once, in any order and as often as needed. They are str, int (64 bit),
  float, bytes, bool (kept as 0/1) or None. `CAST($1 AS TEXT) IS NULL`: PostgreSQL wants a type where none shows.
* Rows are plain tuples in the order of the columns; a statement without rows gives `[]`. Learn what an UPDATE or DELETE
  touched from `RETURNING`.
* `LIKE` respects case; name the escape character: `LIKE $1 ESCAPE '!'`. Text sorts by its UTF-8 bytes.
* Say `NULLS FIRST` or `NULLS LAST` when ordering by what may be null; `CAST(SUM(n) AS BIGINT)`; `CASE`, not two-argument
  `MAX`; a comparison in a result goes through `CASE … THEN 1 ELSE 0 END`; `INSERT … SELECT … WHERE true ON CONFLICT`.
* `SELECT … /* skip locked */` locks the rows read and passes by those that another process has locked (PostgreSQL);
  on SQLite, with its single writer, it says nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn, TypeAlias, TypeVar

from patchwright.server.infra.errors import InfraError

T = TypeVar("T")

Row: TypeAlias = tuple[Any, ...]


class Statement(NamedTuple):
    """
    One SQL text with its parameters.

    `each`, when given, holds many parameter rows: the text is executed once for each, in order, and gives no rows.
    """

    text: str
    params: Row = ()
    each: tuple[Row, ...] | None = None


UnitOfWork: TypeAlias = Generator[Statement, list[Row], T]


def sql(text: str, *params: Any) -> Statement:
    """The statement *text* with *params* for `$1`, `$2`, …"""
    return Statement(text, params)


def sql_each(text: str, rows: Iterable[Row]) -> Statement:
    """The statement *text* once for each of *rows*, which hold its parameters; for writing many rows. Gives no rows."""
    return Statement(text, (), tuple(rows))


@lru_cache(maxsize=512)
def placeholders(start: int, count: int) -> str:
    """The words of an IN list: `placeholders(3, 2)` is `"$3, $4"`. At least one, at most 32,000 in one statement."""
    if count < 1:
        msg = "an IN list needs at least one value"
        raise ValueError(msg)
    return ", ".join(f"${number}" for number in range(start, start + count))


def refuse(unit: UnitOfWork[Any], error: InfraError) -> NoReturn:
    """
    Raise *error* at the unit's `yield`, and out of it. For engines.

    The unit may clean up, or raise an error of its own instead. A unit that swallows the error gets RuntimeError:
    after a failed statement PostgreSQL takes no further one, so neither engine does.
    """
    with contextlib.suppress(StopIteration):
        unit.throw(error)
    msg = "a unit of work went on after a failed statement; say ON CONFLICT to pass by a taken key"
    raise RuntimeError(msg) from error
