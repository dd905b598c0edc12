# SPDX-License-Identifier: Apache-2.0
"""What is done about parameters while nobody asks."""

from __future__ import annotations

from patchwright.server.infra import Clock, Database
from patchwright.server.parameters import service

SWEEP_SECONDS = 10.0


async def delete_expired(database: Database, clock: Clock) -> int:
    """Delete every parameter whose time has come; returns how many those were. Any process may do it at any time."""
    total = 0
    while await database.read(service.any_expired, now=clock.now()):
        deleted = await database.write(service.expire, now=clock.now())
        total += deleted
        if not deleted:  # another process is at it
            break
    return total
