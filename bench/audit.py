# SPDX-License-Identifier: Apache-2.0
"""
What the audit trail adds to a call that changes something, and what sealing and verifying an entry cost later.

*ours* is a unit of work that writes one row through `Audited`, within a call; *peer* the same unit through the database
alone, in the same process and in turn: SQLite, fifty callers at a time, CPU of all threads. Sealing and verifying are
measured over the entries that came of it. Of PostgreSQL there is a figure beside it where `--postgres URL` gives a database
that may be written to.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import measure
from measure import Bound, median, print_line, spread, tell

from patchwright.core.audit import Chain, read_lines
from patchwright.server.accounts import Act, Anchor, Audited, AuditService, Trail
from patchwright.server.infra import Database, SystemClock, UnitOfWork, open_database, sql

AT_MOST_US = 40
CALLERS = 50
ACCOUNT = "000000000001"
KEY = b"k" * 32


class Bench:
    """One database, written with and without a trail."""

    def __init__(self, opened: Database, directory: Path) -> None:
        clock = SystemClock()
        self.opened = opened
        self.audited = Audited(opened)
        self.trail = Trail(opened, clock, key=KEY)
        self.service = AuditService(opened, clock, key=KEY, anchor=Anchor(directory / "audit.head"), first=ACCOUNT)
        self._made = 0

    async def plain(self, name: str) -> None:
        """A change alone."""
        await self.opened.write(_make, name)

    async def watched(self, name: str) -> None:
        """A change within a call that has an entry."""
        principal = f"arn:aws:iam::{ACCOUNT}:user/anna"
        act = Act(ACCOUNT, "us-east-1", principal, "AKIABENCH", "192.0.2.1", "AmazonSSM.PutParameter", name, (name,))
        with self.trail.during(act):
            await self.audited.write(_make, name)

    async def load(self, one: Callable[[str], Awaitable[None]], calls: int) -> float:
        """Microseconds of CPU for a call."""
        names = iter([f"thing-{self._made + number}" for number in range(calls)])
        self._made += calls

        async def caller() -> None:
            for name in names:
                await one(name)

        return await _cpu_us(asyncio.gather(*(caller() for _ in range(CALLERS)))) / calls


def _make(name: str) -> UnitOfWork[None]:
    yield sql(
        "INSERT INTO client_token (account, region, operation, token, request_hash, result, created_at)"
        " VALUES ($1, 'us-east-1', 'bench', $2, '', '', 0)",
        ACCOUNT,
        name,
    )


async def _cpu_us(work: Awaitable[Any]) -> float:
    begun = time.process_time()
    await work
    return (time.process_time() - begun) * 1e6


async def _measured(url: str, directory: Path, *, rounds: int, calls: int) -> dict[str, Any]:
    bench = Bench(await open_database(url, data_dir=directory), directory)
    await bench.load(bench.plain, CALLERS)
    ours, peer, seal = [], [], []
    for _ in range(rounds):
        peer.append(await bench.load(bench.plain, calls))
        ours.append(await bench.load(bench.watched, calls))
        seal.append(await _cpu_us(bench.service.seal()) / calls)
    after, verify, entries, findings = 0, 0.0, 0, 0
    more: int | None = 0
    while more is not None:
        begun = time.process_time()
        page = await bench.service.verified(after=after)
        verify += time.process_time() - begun
        entries, findings, more = entries + page.entries, findings + len(page.findings), page.after
        after = more or 0
    lines, _ = await bench.service.exported(ACCOUNT, "", after=0)
    chain, begun = Chain(), time.process_time()
    found = [one for part, members in read_lines(iter(lines)) for one in chain.take(part, members)]
    offline = (time.process_time() - begun) * 1e6 / len(lines)
    assert (entries, findings, found) == (calls * rounds, 0, [])
    await bench.opened.close()
    return {"ours": ours, "peer": peer, "seal": seal, "verify": verify * 1e6 / entries, "offline": offline}


def main() -> int:
    """Run the benchmark; returns the exit code."""
    parser = measure.words(str(__doc__), rounds=7)
    parser.add_argument("--postgres", default="", help="the URL of a PostgreSQL database that may be written to")
    options: argparse.Namespace = measure.read(parser)
    calls = 500 if options.quick else 5000
    with tempfile.TemporaryDirectory(prefix="patchwright-bench-") as name:
        found = asyncio.run(_measured("sqlite:///bench.db", Path(name), rounds=options.rounds, calls=calls))
        tell(f"sqlite: {found}")
        more: dict[str, Any] = {}
        if options.postgres:
            (Path(name) / "postgres").mkdir()
            there = asyncio.run(
                _measured(options.postgres, Path(name) / "postgres", rounds=options.rounds, calls=calls)
            )
            tell(f"postgres: {there}")
            more["postgres"] = {"ours_cpu_us": median(there["ours"]), "peer_cpu_us": median(there["peer"])}
    added = median(found["ours"]) - median(found["peer"])
    print_line(
        "audit",
        options,
        ours={"cpu_us": median(found["ours"]), "cpu_us_range": spread(found["ours"]), "added_us": added},
        peer={"program": "the same without a trail", "cpu_us": median(found["peer"])},
        ratio=median(found["ours"]) / median(found["peer"]),
        bounds={"CPU added to a change": Bound(added, AT_MOST_US, "µs")},
        later={
            "seal_us": median(found["seal"]),
            "verify_us": found["verify"],
            "verify_offline_us": found["offline"],
        },
        calls=calls,
        callers=CALLERS,
        **more,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
