# SPDX-License-Identifier: Apache-2.0
"""
CPU of the next and of the previous firing of a schedule that was compiled before, of every expression in
`tests/server/windows/schedules.toml`, from moments in the years after them; the dearest of all counts.

The peer is cronsim, of an expression that both read, from the same moments: it reads the expression each time, which is how it
is asked, so reading is part of its figure.
"""

from __future__ import annotations

import random
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import measure
from cronsim import CronSim
from measure import Bound, median, print_line, share, spread, tell

from patchwright.server.windows.schedule import MalformedSchedule, Schedule, compile_schedule

AT_MOST = 20.0  # microseconds of CPU
CASES = Path(__file__).parents[1] / "tests" / "server" / "windows" / "schedules.toml"
START = datetime(2026, 11, 20, tzinfo=UTC)
YEARS = 5
SHARED, ITS_FORM = "cron(30 3 ? * 2#1 *)", "30 3 * * 1#1"


def main() -> int:
    """Measure and print the line."""
    options = measure.read(measure.words(__doc__ or "", rounds=5))
    drawn = random.Random(measure.SEED)
    moments = [
        START + timedelta(seconds=drawn.randrange(YEARS * 365 * 86400)) for _ in range(20 if options.quick else 200)
    ]
    schedules = compiled()
    dearest: dict[str, list[float]] = {"next": [], "previous": []}
    typical: dict[str, list[float]] = {"next": [], "previous": []}
    shared, peer, named = [], [], ""
    for number in range(options.rounds):
        for way, kept in dearest.items():
            taken = {text: _each(getattr(one, way), moments) for text, one in schedules.items()}
            named = max(taken, key=lambda text: taken[text]) if way == "next" else named
            kept.append(max(taken.values()))
            typical[way].append(median(list(taken.values())))
        shared.append(_each(compile_schedule(SHARED).next, moments))
        peer.append(_peer(moments))
        tell(f"round {number + 1}: next {dearest['next'][-1]:.1f} µs at most, {named}")
    ours = {
        way: {"at_most_us": median(dearest[way]), "range": spread(dearest[way]), "median_us": median(typical[way])}
        for way in dearest
    }
    print_line(
        "schedules",
        options,
        ours={**ours, "shared_us": median(shared)},
        peer={"program": "cronsim", "shared_us": median(peer)},
        ratio=share(median(shared), median(peer)),
        bounds={f"{way} firing": Bound(median(dearest[way]), AT_MOST, "µs") for way in dearest},
        schedules=len(schedules),
        dearest=named,
    )
    return 0


def compiled() -> dict[str, Schedule]:
    """Every schedule of the cases, each once, by its text and zone."""
    found = {}
    for case in tomllib.loads(CASES.read_text())["case"]:
        zone, offset = case.get("zone", ""), case.get("offset", 0)
        made = datetime.fromisoformat(case["after"]).timestamp()
        try:
            schedule = compile_schedule(case["expression"], zone=zone, offset_days=offset, created=made)
        except MalformedSchedule:
            continue
        found[f"{case['expression']} {zone} {offset}"] = schedule
    return found


def _each(ask: Callable[[float], float | None], moments: Sequence[datetime]) -> float:
    """Microseconds of CPU for one firing. The first round of asking is not counted: months are looked at once and kept."""
    asked = [moment.timestamp() for moment in moments]
    for moment in asked:
        ask(moment)
    start = time.process_time()
    for moment in asked:
        ask(moment)
    return (time.process_time() - start) / len(asked) * 1e6


def _peer(moments: Sequence[datetime]) -> float:
    start = time.process_time()
    for moment in moments:
        next(CronSim(ITS_FORM, moment))
    return (time.process_time() - start) / len(moments) * 1e6


if __name__ == "__main__":
    sys.exit(main())
