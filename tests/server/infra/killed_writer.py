# SPDX-License-Identifier: Apache-2.0
"""
A process that writes until it is killed, for test_sqlite.py: `killed_writer.py FILE`.

Twenty submitters each write pairs of rows; the number of a pair is printed once it has been acknowledged.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from patchwright.server.infra import UnitOfWork, open_database, sql


def create() -> UnitOfWork[None]:
    yield sql("CREATE TABLE IF NOT EXISTS half (number BIGINT, side TEXT, body TEXT, PRIMARY KEY (number, side))")


def highest() -> UnitOfWork[int]:
    ((number,),) = yield sql("SELECT COALESCE(MAX(number), 0) FROM half")
    return int(number)


def add(number: int) -> UnitOfWork[None]:
    for side in ("left", "right"):
        yield sql("INSERT INTO half (number, side, body) VALUES ($1, $2, $3)", number, side, "x" * 500)


async def main(path: Path) -> None:
    database = await open_database(f"sqlite:///{path}", data_dir=Path("/"))
    await database.write(create)
    numbers = itertools.count(await database.read(highest) + 1)

    async def submit() -> None:
        for number in numbers:
            await database.write(add, number)
            os.write(1, b"%d\n" % number)

    await asyncio.gather(*(submit() for _ in range(20)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
