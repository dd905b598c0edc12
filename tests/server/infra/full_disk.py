# SPDX-License-Identifier: Apache-2.0
"""
A process that fills its disk, for test_sqlite.py: `full_disk.py tmpfs|limit FOLDER`.

`tmpfs` mounts one of 2 MiB on FOLDER (its caller unshares the mount namespace); `limit` uses RLIMIT_FSIZE. Writes until
it is refused, checks that everything acknowledged is there, makes room, and writes on. Prints `recovered`.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

from patchwright.server.infra import Database, Unavailable, UnitOfWork, open_database, sql

LIMIT_BYTES = 600_000
PAIR_BYTES = 20_000


def create() -> UnitOfWork[None]:
    yield sql("CREATE TABLE half (number BIGINT, side TEXT, body TEXT, CONSTRAINT pk_half PRIMARY KEY (number, side))")


def add(number: int) -> UnitOfWork[int]:
    for side in ("left", "right"):
        yield sql("INSERT INTO half (number, side, body) VALUES ($1, $2, $3)", number, side, "x" * (PAIR_BYTES // 2))
    return number


def stored() -> UnitOfWork[list[int]]:
    rows = yield sql("SELECT number, COUNT(*) FROM half GROUP BY number ORDER BY number")
    assert {count for _, count in rows} <= {2}, "half a unit was kept"
    return [number for number, _ in rows]


async def write_until_full(database: Database, first: int) -> tuple[list[int], int]:
    """Write groups of three units until one is refused; returns what was acknowledged and the next number."""
    kept: list[int] = []
    for start in range(first, first + 3000, 3):
        results = await asyncio.gather(*(database.write(add, start + n) for n in range(3)), return_exceptions=True)
        kept += [result for result in results if isinstance(result, int)]
        refused = [result for result in results if not isinstance(result, int)]
        if refused:
            assert {Unavailable} == {type(error) for error in refused}, refused
            return kept, start + 3
    raise AssertionError("the disk never filled")


async def main(kind: str, folder: Path) -> None:
    filler = folder / "filler"
    if kind == "tmpfs":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
        filler.write_bytes(b"\0" * 1_000_000)
    database = await open_database("sqlite:///full.db", data_dir=folder)
    await database.write(create)
    if kind == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, resource.RLIM_INFINITY))

    kept, following = await write_until_full(database, 0)
    assert kept, "nothing could be written at all"
    assert kept == await database.read(stored)
    again, following = await write_until_full(database, following)  # still full, or just enough for one
    assert kept + again == await database.read(stored)

    if kind == "tmpfs":
        filler.unlink()
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert await database.write(add, following) == following
    assert [*kept, *again, following] == await database.read(stored)
    await database.close()
    with sqlite3.connect(folder / "full.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    print("recovered")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
