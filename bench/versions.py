# SPDX-License-Identifier: Apache-2.0
"""
Comparisons of package versions for each second of CPU: byte keys against libapt-pkg and librpm on the same pairs.

Keys are made once for each version and kept, so that comparing is the work that repeats; making them is given as well. The
libraries are asked through the system's Python, whose call is part of their figure: it is how a node's program would ask.
"""

from __future__ import annotations

import argparse
import gzip
import json
import operator
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measure
from measure import Bound, median, print_line, share, spread, tell

from patchwright.core import version
from patchwright.core.version import Scheme, key

AT_LEAST = 1_000_000  # key comparisons for each second of CPU
VECTORS = Path(__file__).parents[1] / "tests" / "core" / "vectors"
FILES = {Scheme.DPKG: "dpkg-compare.tsv.gz", Scheme.RPM: "rpm-evr.tsv.gz"}
SYSTEM_PYTHON = "/usr/bin/python3"  # the interpreter that has the distribution's bindings

ASK = {
    Scheme.DPKG: "import apt_pkg; apt_pkg.init_system(); ask = apt_pkg.version_compare",
    Scheme.RPM: """
import ctypes, ctypes.util
rpm = ctypes.CDLL(ctypes.util.find_library("rpm") or "librpm")
rpm.rpmverParse.argtypes, rpm.rpmverParse.restype = [ctypes.c_char_p], ctypes.c_void_p
rpm.rpmverCmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
kept = {}
def parsed(text):
    return kept.get(text) or kept.setdefault(text, rpm.rpmverParse(text.encode()))
ask = lambda a, b: rpm.rpmverCmp(parsed(a), parsed(b))
""",
}
LOOP = """
import json, sys, time
pairs, times = json.load(sys.stdin)
for a, b in pairs: ask(a, b)
start = time.process_time()
for _ in range(times):
    for a, b in pairs: ask(a, b)
print(len(pairs) * times / (time.process_time() - start))
"""


def main() -> int:
    """Measure and print the line."""
    options = measure.read(measure.words(__doc__ or "", rounds=7))
    times = 5 if options.quick else 50
    ours: dict[str, Any] = {}
    peer: dict[str, Any] = {}
    bounds = {}
    for scheme, name in FILES.items():
        pairs = _pairs(name)
        rates, made, native = [list[float]() for _ in range(3)]
        reason = ""
        for number in range(options.rounds):
            rates.append(_compared(scheme, pairs, times * 10))
            made.append(_made(scheme, pairs))
            answer = _native(scheme, pairs, times)
            reason = answer if isinstance(answer, str) else reason
            native += [] if isinstance(answer, str) else [answer]
            tell(f"{scheme.value}, round {number + 1}: {rates[-1]:,.0f} compared, {made[-1]:,.0f} keys made a second")
        ours[scheme.value] = {"compared": median(rates), "compared_range": spread(rates), "keys_made": median(made)}
        peer[scheme.value] = {"compared": median(native)} if native else {"not measured": reason}
        bounds[f"{scheme.value} keys compared"] = Bound(median(rates), AT_LEAST, "a second", least=True)
    _print(options, ours, peer, bounds)
    return 0


def _print(options: argparse.Namespace, ours: dict[str, Any], peer: dict[str, Any], bounds: dict[str, Bound]) -> None:
    slowest = min(ours, key=lambda name: ours[name]["compared"])
    print_line(
        "versions",
        options,
        ours=ours,
        peer={"program": "libapt-pkg, librpm", **peer},
        ratio=share(ours[slowest]["compared"], peer[slowest].get("compared")),
        bounds=bounds,
        pairs={scheme.value: len(_pairs(name)) for scheme, name in FILES.items()},
        note="for each second of CPU; one call of the library includes what Python needs for it",
    )


def _pairs(name: str) -> list[tuple[str, str]]:
    lines = gzip.decompress((VECTORS / name).read_bytes()).decode().splitlines()
    return [(a, b) for a, b, _ in (line.split("\t") for line in lines)]


def _compared(scheme: Scheme, pairs: Sequence[tuple[str, str]], times: int) -> float:
    """Comparisons of kept keys for each second of CPU."""
    left, right = [key(scheme, a) for a, _ in pairs], [key(scheme, b) for _, b in pairs]
    start = time.process_time()
    for _ in range(times):
        sum(map(operator.lt, left, right))
    return len(pairs) * times / (time.process_time() - start)


def _made(scheme: Scheme, pairs: Sequence[tuple[str, str]]) -> float:
    """Keys made for each second of CPU, none of them remembered."""
    for remembered in (version._dpkg_key, version._rpm_key):
        remembered.cache_clear()
    versions = {text for pair in pairs for text in pair}
    start = time.process_time()
    for text in versions:
        key(scheme, text)
    return len(versions) / (time.process_time() - start)


def _native(scheme: Scheme, pairs: Sequence[tuple[str, str]], times: int) -> float | str:
    """Comparisons of the native library for each second of CPU, or why there are none."""
    asked = subprocess.run(
        [SYSTEM_PYTHON, "-c", ASK[scheme] + LOOP],
        input=json.dumps([pairs, times]),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return float(asked.stdout) if asked.returncode == 0 else asked.stderr.strip().rpartition("\n")[2]


if __name__ == "__main__":
    sys.exit(main())
