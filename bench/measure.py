# SPDX-License-Identifier: Apache-2.0
"""
What every benchmark shares: words of the command line, CPU of processes, medians, and the one JSON line at the end.

CPU is user and system time; it is the main measure, because wall time also tells what else the machine was doing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
for _folder in ("src", "tests"):
    if str(ROOT / _folder) not in sys.path:
        sys.path.insert(0, str(ROOT / _folder))

MEMBERS = ("name", "seed", "revision", "machine", "rounds", "quick", "ours", "peer", "ratio", "bound", "within")
SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))
_CPU_CLOCK_OF_ALL_THREADS = 2  # CPUCLOCK_SCHED: nanoseconds, threads that have ended included


@dataclass(frozen=True)
class Bound:
    """What a figure may be at most, or at least where *least*."""

    figure: float | None
    limit: float
    unit: str = ""
    least: bool = False

    @property
    def within(self) -> bool:
        """Whether it holds; a figure that could not be had does not."""
        if self.figure is None:
            return False
        return self.figure >= self.limit if self.least else self.figure <= self.limit

    def to_json(self) -> dict[str, Any]:
        """The bound as the line shows it."""
        word = "at least" if self.least else "at most"
        return {"figure": rounded(self.figure), word: self.limit, "unit": self.unit, "within": self.within}


def words(description: str, *, rounds: int, quick: int = 1) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes; `read` reads it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small and short: shows that it works, not how fast")
    parser.add_argument("--rounds", type=int, default=0, help=f"of both sides, taken in turn (default {rounds})")
    parser.set_defaults(usual_rounds=rounds, quick_rounds=quick)
    return parser


def read(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The words of this run, with the number of rounds filled in."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended on the way out
    options = parser.parse_args()
    options.rounds = options.rounds or (options.quick_rounds if options.quick else options.usual_rounds)
    return options


def tell(text: str) -> None:
    """Progress, for a person: standard output is for the one line."""
    print(text, file=sys.stderr, flush=True)


def print_line(
    name: str,
    options: argparse.Namespace,
    *,
    ours: Mapping[str, Any],
    peer: Mapping[str, Any],
    ratio: float | None,
    bounds: Mapping[str, Bound],
    **more: Any,
) -> None:
    """Print the line. *bounds* by what they bound; the line is within when all of them hold."""
    line = {
        "name": name,
        "seed": SEED,
        "revision": revision(),
        "machine": machine(),
        "rounds": options.rounds,
        "quick": options.quick,
        "ours": rounded(ours),
        "peer": rounded(peer),
        "ratio": rounded(ratio),
        "bound": {what: bound.to_json() for what, bound in bounds.items()},
        "within": all(bound.within for bound in bounds.values()),
        **{key: rounded(value) for key, value in more.items()},
    }
    print(json.dumps(line, sort_keys=False), flush=True)


def revision() -> str:
    """The commit measured; with `+` where the sources differ from it."""
    commit = _git("rev-parse", "--short", "HEAD")
    return f"{commit}+" if commit and _git("status", "--porcelain", "--", "src") else commit or "unknown"


def _git(*argv: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *argv], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def machine() -> dict[str, Any]:
    """What it was measured on. Load and yardstick tell whether it had other work, which makes CPU dearer too."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = [line.partition(": ")[2] for line in info.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "yardstick_ms": round(yardstick(), 2),
    }


def yardstick() -> float:
    """Milliseconds of CPU for a fixed piece of work: cores that are shared with busy neighbours take longer for it."""
    text = json.dumps([{"name": f"package-{number}", "version": f"1.{number}-1"} for number in range(20_000)])
    taken = []
    for _ in range(9):
        begun = time.process_time()
        json.loads(text)
        taken.append((time.process_time() - begun) * 1000)
    return median(taken)


def process_cpu(pid: int) -> float:
    """Seconds of CPU that a living process has used so far, all its threads included, its children not."""
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK_OF_ALL_THREADS)


def tree(pid: int) -> list[int]:
    """*pid* and its living descendants."""
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in children.read_text().split())
            except OSError:  # it ended meanwhile
                continue
    return found


def tree_cpu(pid: int) -> float:
    """`process_cpu` of a process and its living descendants."""
    total = 0.0
    for one in tree(pid):
        try:
            total += process_cpu(one)
        except OSError:  # it ended meanwhile
            continue
    return total


def memory_kib(pid: int) -> dict[str, int]:
    """PSS, RSS and what is private to a process, in KiB, from /proc/PID/smaps_rollup."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        fields[name] = int(rest.split()[0])
    return {"pss": fields["Pss"], "rss": fields["Rss"], "private": fields["Private_Clean"] + fields["Private_Dirty"]}


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> list[float]:
    """Smallest and largest, to show how steady the rounds were."""
    return [min(values), max(values)]


def share(part: float | None, whole: float | None) -> float | None:
    """*part* / *whole*; None where one of them is not there."""
    return part / whole if part is not None and whole else None


def rounded(value: Any) -> Any:
    """*value* with every number cut to what it can tell."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value
