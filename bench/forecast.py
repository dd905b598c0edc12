# SPDX-License-Identifier: Apache-2.0
"""
The forecast of a maintenance window with 100,000 nodes, a tenth of them at once: how long it takes to make, a page of it
afterwards, and how much memory that needs.

The room's service in this process on SQLite. Every node has a history of twenty scans, installations and restarts, and
something to install.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import measure
from measure import Bound, median, print_line, spread, tell

from patchwright.server import nodes, tags, windows
from patchwright.server.accounts import Scope
from patchwright.server.commands import Target
from patchwright.server.config import Quotas
from patchwright.server.infra import Database, SystemClock, UnitOfWork, open_database, sql_each
from patchwright.server.nodes import store as node_store
from patchwright.server.patching.durations import KEPT, entry
from patchwright.server.windows import Window, WindowTarget, WindowTask

MOST_SECONDS = 10.0  # of CPU for a whole forecast: a client waits for it
MOST_MIB = 256
PAGE, PAGES = 1000, 20
TOGETHER = 1000
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
SCOPE = Scope("000000000001", "us-east-1")
GROUP = {"Patch Group": "web"}


@dataclass
class Bench:
    """A window, its nodes, and what each forecast of it took."""

    opened: Database
    number: int
    made_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    page_ms: list[float] = field(default_factory=list)

    async def furnish(self, chance: random.Random) -> None:
        """The nodes with their past, and the window."""
        clock = SystemClock()
        ids = [f"mi-{number:017x}" for number in range(self.number)]
        for first in range(0, self.number, TOGETHER):
            await self.opened.write(_add_nodes, ids[first : first + TOGETHER], chance, now=clock.now())
        room = windows.Service(self.opened, clock, Quotas())
        made = Window(SCOPE, "", "all", "rate(1 day)", 24, 1, allow_unassociated_targets=False)
        self.window = await room.create(made, own_tags={})
        reached = (Target("tag:Patch Group", ("web",)),)
        registered = await room.add_target(WindowTarget(SCOPE, self.window, "", "INSTANCE", reached))
        targets = (Target("WindowTargetIds", (registered,)),)
        settings = {"RunCommand": {"Parameters": {"Operation": ["Install"]}, "TimeoutSeconds": 86_400}}
        rates = {"max_concurrency": "10%", "max_errors": "0"}
        document = "AWS-RunPatchBaseline"
        task = WindowTask(
            SCOPE, self.window, "", "RUN_COMMAND", document, targets=targets, invocation=settings, **rates
        )
        await room.add_task(task)

    async def round(self) -> None:
        """Make the forecast, and read pages of it."""
        forecasts = windows.Forecasts(self.opened, SystemClock())
        used, begun = time.process_time(), time.perf_counter()
        made = await forecasts.make(SCOPE, self.window)
        self.made_s.append(time.perf_counter() - begun)
        self.cpu_s.append(time.process_time() - used)
        fits = windows.forecast_counts(made.outlooks)[windows.Verdict.FITS]
        assert fits == self.number, windows.forecast_counts(made.outlooks)
        begun = time.perf_counter()
        for number in range(PAGES):
            again = await forecasts.again(SCOPE, self.window, at=made.opens)
            first = number * self.number // PAGES
            assert len(list(itertools.islice(again.nodes(first), PAGE))) == min(PAGE, self.number - first)
        self.page_ms.append((time.perf_counter() - begun) / PAGES * 1e3)


def _add_nodes(ids: Sequence[str], chance: random.Random, *, now: float) -> UnitOfWork[None]:
    machine = nodes.Machine(computer_name="bench", platform_name="Debian GNU/Linux", platform_version="12")
    for one in ids:
        node = nodes.Node(SCOPE, one, "", "bench", "", machine, now, now, None)
        yield from node_store.put_node(node, enrolment_hash=one)
        yield from tags.add(SCOPE, tags.MANAGED_INSTANCE, one, GROUP)
    yield sql_each(
        "INSERT INTO last_operation (account, region, instance_id, operation_id, ended_at, installed, installed_other,"
        " installed_pending_reboot, installed_rejected, missing, failed, not_applicable, available_security_update,"
        " critical, security, other, operating_system, scans, installs, restarts)"
        " VALUES ($1, $2, $3, '', 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 'DEBIAN', $4, $5, $6)",
        [(*SCOPE, one, _past(chance, 5), _past(chance, 120), _past(chance, 60)) for one in ids],
    )


def _past(chance: random.Random, usual: float) -> str:
    return "".join(entry(chance.uniform(usual / 2, usual * 2)) for _ in range(KEPT))


def _private_mib() -> float:
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * PAGE_MIB


async def _measured(options: argparse.Namespace, directory: Path) -> tuple[Bench, list[float]]:
    bench = Bench(await open_database("sqlite:///bench.db", data_dir=directory), options.nodes)
    await bench.furnish(random.Random(measure.SEED))
    tell(f"{options.nodes} nodes are there")
    more = []
    for number in range(options.rounds):
        gc.collect()
        before = _private_mib()
        await bench.round()
        more.append(_private_mib() - before)
        tell(f"round {number + 1}: {bench.made_s[-1]:.1f} s, page {bench.page_ms[-1]:.2f} ms, {more[-1]:.0f} MiB more")
    await bench.opened.close()
    return bench, more


def main() -> int:
    """Measure and print the line."""
    parser = measure.words(__doc__ or "", rounds=3)
    parser.add_argument("--nodes", type=int, default=0, help="how many (default 100000)")
    options = measure.read(parser)
    options.nodes = options.nodes or (2000 if options.quick else 100_000)
    with tempfile.TemporaryDirectory(prefix="patchwright-bench-") as name:
        bench, more = asyncio.run(_measured(options, Path(name)))
    print_line(
        "forecast",
        options,
        ours={
            "seconds": median(bench.made_s),
            "seconds_range": spread(bench.made_s),
            "cpu_seconds": median(bench.cpu_s),
            "cpu_us_per_node": median(bench.cpu_s) / options.nodes * 1e6,
            "page_of_1000_ms": median(bench.page_ms),
            "more_private_mib": max(more),
            "nodes": options.nodes,
        },
        peer={"program": "none: nobody foretells it"},
        ratio=None,
        bounds={
            "cpu for a forecast": Bound(median(bench.cpu_s), MOST_SECONDS, "s"),
            "memory for a forecast": Bound(max(more), MOST_MIB, "MiB"),
        },
    )
    return 0


if __name__ == "__main__":
    tell("the forecast of a maintenance window with many nodes")
    sys.exit(main())
