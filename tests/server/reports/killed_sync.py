# SPDX-License-Identifier: Apache-2.0
"""A process that runs the syncs that are due until it is killed, for test_killed.py: `killed_sync.py URL BUCKETS`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from patchwright.server.config import Quotas
from patchwright.server.infra import SystemClock, open_buckets, open_database
from patchwright.server.inventory import Service
from patchwright.server.reports import Writer


async def main(url: str, root: Path) -> None:
    clock = SystemClock()
    database = await open_database(url, data_dir=Path("/"))
    inventory = Service(database, clock, Quotas(), online_seconds=660.0)
    await Writer(database, clock, open_buckets(root, None, clock), inventory).run_due()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
