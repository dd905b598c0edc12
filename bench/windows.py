# SPDX-License-Identifier: Apache-2.0
"""
A maintenance window whose task goes to 50,000 nodes, a tenth of them at once: CPU of an invocation, from the window's start to
the recorded result, and memory meanwhile.

The server's rooms and its jobs run in this process on SQLite; the nodes are stand-ins that hold its channels, take what they are
given, and say at once that they have it, that it began and how it ended. The floor, in turn and in the same run, is two durable
writes of one row for each invocation, fifty callers at a time, so that the database commits many together.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import measure
from measure import Bound, median, print_line, share, spread, tell

from patchwright.core.invocation import Detail
from patchwright.server import aws, commands, nodes, tags, windows
from patchwright.server.accounts import Scope
from patchwright.server.commands import Delivery, Held, Reply, Said, StepResult, Target
from patchwright.server.config import Quotas
from patchwright.server.gateway.recorder import Recorder
from patchwright.server.gateway.rendering import Rendering
from patchwright.server.gateway.switchboard import LOOK_SECONDS, Switchboard
from patchwright.server.infra import Clock, Database, SystemClock, UnitOfWork, open_database, sql
from patchwright.server.nodes import store as node_store
from patchwright.server.windows import Window, WindowTarget, WindowTask

TIMES_THE_FLOOR = 5
MORE_MIB = 16  # that a window may need at its end beyond what it needed after a quarter of its invocations
CALLERS = 50
TOGETHER = 1000
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
SCOPE = Scope("000000000001", "us-east-1")
GROUP = {"Patch Group": "web"}
NAME, STEP = (
    "runShellScript",
    StepResult("Success", 0, "2026-11-20T04:21:54.755Z", "2026-11-20T04:21:54.765Z", "hello from the node\n" * 10),
)


class StandIn:
    """A node: what the switchboard needs of a channel, and answers."""

    has_room = True
    offered: dict[str, None] = {}  # noqa: RUF012 - everything is acknowledged

    def __init__(self, instance_id: str, recorder: Recorder, done: Callable[[], None]) -> None:
        self.scope = SCOPE
        self.instance_id = instance_id
        self.held: Held | None = None
        self._recorder = recorder
        self._done = done

    async def offer(self, deliveries: Sequence[Delivery]) -> None:
        """Take jobs, and say what amazon-ssm-agent says."""
        for one in deliveries:
            self._recorder.take(Said(SCOPE, self.instance_id, one.command_id, None))
            begun = Reply(f"{self.instance_id}-begun-{one.command_id}"[:36], one.command_id, Detail.IN_PROGRESS)
            ended = Reply(
                f"{self.instance_id}-ended-{one.command_id}"[:36], one.command_id, Detail.SUCCESS, steps={NAME: STEP}
            )
            self._recorder.take(Said(SCOPE, self.instance_id, one.command_id, begun))
            await self._recorder.take(Said(SCOPE, self.instance_id, one.command_id, ended))
            self._done()

    def supersede(self) -> None:
        """Nobody else holds it."""
        raise AssertionError(self.instance_id)


@dataclass
class Bench:
    """One server's rooms, its nodes, and what each round cost."""

    opened: Database
    clock: Clock
    number: int
    done: int = 0
    cpu_us: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    floor_us: list[float] = field(default_factory=list)
    memory: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waking = commands.Waking()
        self.switchboard = Switchboard(
            self.opened, self.clock, rendering=Rendering(lambda *_: ""), waking=self.waking, active=_everybody
        )
        self.recorder = Recorder(self.opened, self.clock, waking=self.waking)
        self.executions = windows.Executions(self.opened, self.clock)

    async def furnish(self) -> None:
        """The nodes, in one patch group, each with its channel; and the window."""
        ids = [f"mi-{number:017x}" for number in range(self.number)]
        for part in _parts(ids):
            await self.opened.write(_add_nodes, part, now=self.clock.now())
            await asyncio.gather(*(self.switchboard.enter(StandIn(one, self.recorder, self._count)) for one in part))  # type: ignore[arg-type]
        room = windows.Service(self.opened, self.clock, Quotas())
        schedule = {"schedule": "at(2020-01-01T00:00:00)", "duration": 4, "cutoff": 1}
        self.window = await room.create(
            Window(SCOPE, "", "all", allow_unassociated_targets=False, **schedule), own_tags={}
        )  # type: ignore[arg-type]
        targets = (Target("tag:Patch Group", ("web",)),)
        registered = await room.add_target(WindowTarget(SCOPE, self.window, "", "INSTANCE", targets))
        await room.add_task(
            WindowTask(
                SCOPE,
                self.window,
                "",
                "RUN_COMMAND",
                "AWS-RunShellScript",
                targets=(Target("WindowTargetIds", (registered,)),),
                invocation={"RunCommand": {"Parameters": {"commands": ["echo hello"]}}},
                max_concurrency="10%",
                max_errors="0",
            )
        )

    async def round(self) -> None:
        """Open the window, and let the jobs run until its execution has ended."""
        self.done = 0
        seen: list[tuple[int, float]] = []
        used, begun = time.process_time(), time.perf_counter()
        async with self._jobs():
            execution = await self.executions.run(SCOPE, self.window)
            while not (await self.executions.get(SCOPE, execution.id))[0].status.final:
                seen.append((self.done, _private_mib()))
                await asyncio.sleep(0.25)
        self.cpu_us.append((time.process_time() - used) / self.number * 1e6)
        self.seconds.append(time.perf_counter() - begun)
        ended, (task,) = await self.executions.get(SCOPE, execution.id)
        assert (ended.status, task.status, self.done) == (windows.Status.SUCCESS,) * 2 + (self.number,)
        quarter = [mib for done, mib in seen if done <= self.number / 4]
        self.memory.append({"first": seen[0][1], "quarter": max(quarter), "most": max(mib for _, mib in seen)})

    async def floor(self) -> None:
        """Two writes for each invocation: that it began, and its result."""
        names = itertools.count(len(self.floor_us) * self.number)
        most = (len(self.floor_us) + 1) * self.number

        async def caller() -> None:
            for name in names:
                if name >= most:
                    return
                await self.opened.write(_begin, str(name))
                await self.opened.write(_end, str(name))

        used = time.process_time()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        self.floor_us.append((time.process_time() - used) / self.number * 1e6)

    def _count(self) -> None:
        self.done += 1

    @contextlib.asynccontextmanager
    async def _jobs(self) -> AsyncIterator[None]:
        """What a server does for commands and windows, as often as it does."""
        wake, rights = self.waking.wake, aws.rights_of_task
        jobs: tuple[tuple[float, Callable[[], Awaitable[Any]]], ...] = (
            (commands.TEND_SECONDS, lambda: commands.tend(self.opened, self.clock, wake, rights)),
            (windows.TEND_SECONDS, lambda: windows.tend(self.opened, self.clock, wake, rights)),
            (LOOK_SECONDS, self.switchboard.look),
        )
        tasks = [asyncio.create_task(_repeat(seconds, job)) for seconds, job in jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for found in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(found, asyncio.CancelledError):
                    raise found  # type: ignore[misc]


async def _repeat(seconds: float, job: Callable[[], Awaitable[Any]]) -> None:
    while True:
        await job()
        await asyncio.sleep(seconds)


async def _everybody(_account: str) -> bool:
    return True


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), TOGETHER):
        yield ids[start : start + TOGETHER]


def _add_nodes(ids: Sequence[str], *, now: float) -> UnitOfWork[None]:
    machine = nodes.Machine(computer_name="bench", platform_name="Debian GNU/Linux", platform_version="12")
    for one in ids:
        node = nodes.Node(SCOPE, one, "", "bench", "", machine, now, now, None)
        yield from node_store.put_node(node, enrolment_hash=one)
        yield from tags.add(SCOPE, tags.MANAGED_INSTANCE, one, GROUP)


def _begin(name: str) -> UnitOfWork[None]:
    yield sql(
        "INSERT INTO client_token (account, region, operation, token, request_hash, result, created_at)"
        " VALUES ($1, 'us-east-1', 'bench', $2, '', '', 0)",
        SCOPE.account,
        name,
    )


def _end(name: str) -> UnitOfWork[None]:
    yield sql(
        "UPDATE client_token SET result = $3"
        " WHERE account = $1 AND region = 'us-east-1' AND operation = 'bench' AND token = $2",
        SCOPE.account,
        name,
        STEP.stdout,
    )


def _private_mib() -> float:
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * PAGE_MIB


async def _measured(options: argparse.Namespace, directory: Path) -> Bench:
    opened = await open_database("sqlite:///bench.db", data_dir=directory)
    bench = Bench(opened, SystemClock(), options.nodes)
    await bench.furnish()
    gc.collect()
    gc.freeze()  # what stands in for nodes is no part of the server
    tell(f"{options.nodes} nodes are there")
    for number in range(options.rounds):
        await bench.round()
        await bench.floor()
        shown = f"{bench.cpu_us[-1]:.0f} µs of CPU, floor {bench.floor_us[-1]:.0f} µs, {bench.seconds[-1]:.1f} s"
        tell(f"round {number + 1}: {shown}, {bench.memory[-1]}")
    await opened.close()
    return bench


def main() -> int:
    """Measure and print the line."""
    parser = measure.words(__doc__ or "", rounds=3)
    parser.add_argument("--nodes", type=int, default=0, help="how many (default 50000)")
    options = measure.read(parser)
    options.nodes = options.nodes or (2000 if options.quick else 50_000)
    with tempfile.TemporaryDirectory(prefix="patchwright-bench-") as name:
        bench = asyncio.run(_measured(options, Path(name)))
    ratio = share(median(bench.cpu_us), median(bench.floor_us))
    more = median([one["most"] - one["quarter"] for one in bench.memory])
    print_line(
        "windows",
        options,
        ours={
            "cpu_us": median(bench.cpu_us),
            "cpu_us_range": spread(bench.cpu_us),
            "seconds": median(bench.seconds),
            "private_mib": bench.memory,
            "targets": options.nodes,
        },
        peer={
            "program": "two durable writes of one row, fifty callers",
            "cpu_us": median(bench.floor_us),
            "cpu_us_range": spread(bench.floor_us),
        },
        ratio=ratio,
        bounds={
            "cpu_times_floor": Bound(ratio, TIMES_THE_FLOOR),
            "memory after a quarter": Bound(more, MORE_MIB, "MiB"),
        },
    )
    return 0


if __name__ == "__main__":
    tell("a maintenance window with many targets")
    sys.exit(main())
