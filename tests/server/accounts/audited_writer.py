# SPDX-License-Identifier: Apache-2.0
"""
A process that acts until it is killed, for test_audit.py: `audited_writer.py URL KEY DIRECTORY`.

Ten callers each make things, and the trail is sealed all the while; the name of a thing is printed once it is made.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from patchwright.server.accounts import Act, Anchor, Audited, AuditService, Trail
from patchwright.server.infra import SystemClock, UnitOfWork, open_database, sql

ACCOUNT = "000000000001"


def act(name: str) -> Act:
    principal = f"arn:aws:iam::{ACCOUNT}:user/{name.partition('-')[0]}"
    return Act(
        ACCOUNT, "us-east-1", principal, "AKIA1", "192.0.2.1", "AmazonSSM.PutParameter", f"request-{name}", (name,)
    )


def make(name: str) -> UnitOfWork[None]:
    yield sql(
        "INSERT INTO client_token (account, region, operation, token, request_hash, result, created_at)"
        " VALUES ($1, 'us-east-1', 'made', $2, '', '', 0)",
        ACCOUNT,
        name,
    )


async def main(url: str, key: bytes, directory: Path) -> None:
    clock = SystemClock()
    opened = await open_database(url, data_dir=directory)
    trail, database = Trail(opened, clock, key=key), Audited(opened)
    service = AuditService(opened, clock, key=key, anchor=Anchor(directory / "audit.head"), first=ACCOUNT)

    async def call(caller: int) -> None:
        for number in itertools.count():
            name = f"{os.getpid()}.{caller}-{number}"
            with trail.during(act(name)):
                await database.write(make, name)
            os.write(1, f"{name}\n".encode())

    async def seal() -> None:
        while True:
            await service.seal()
            await asyncio.sleep(0.02)

    await asyncio.gather(seal(), *(call(number) for number in range(10)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], bytes.fromhex(sys.argv[2]), Path(sys.argv[3])))
