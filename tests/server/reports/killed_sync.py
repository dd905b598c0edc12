# SPDX-License-Identifier: Apache-2.0
"""A process that runs the syncs that are due until it is killed, for test_killed.py: `killed_sync.py URL BUCKETS`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from patchwright.server.config import Quotas
from patchwright.server.infra import SystemClock, open_buckets, open_database
from patchwright.server.inventory import Service
from patchwright.server.reports import Writer

DEADLINE_SECONDS = 60


async def kill_in_the_middle(url: str, root: Path, enough: Callable[[], bool]) -> None:
    """Run this file as a process until it has done *enough*, and kill it."""
    paths = os.pathsep.join([str(Path(__file__).parents[3] / "src"), *sys.path])
    process = subprocess.Popen([sys.executable, __file__, url, root], env={**os.environ, "PYTHONPATH": paths})
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not enough():
                assert process.poll() is None
                await asyncio.sleep(0.001)
    finally:
        process.kill()
        process.wait(DEADLINE_SECONDS)


async def main(url: str, root: Path) -> None:
    clock = SystemClock()
    database = await open_database(url, data_dir=Path("/"))
    inventory = Service(database, clock, Quotas(), online_seconds=660.0)
    await Writer(database, clock, open_buckets(root, None, clock), inventory).run_due()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
