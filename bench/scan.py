# SPDX-License-Identifier: Apache-2.0
"""
CPU of the process that takes a node's facts against `apt list --upgradable`, on one node with the genuine archive's lists.

Four ways, each side in turn: the repositories refreshed or not (`apt-get update` on both sides or on neither), apt's binary
cache (pkgcache.bin) there or deleted beforehand. Memory is measured in runs of its own, so that looking costs no CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import measure
import nodes
from measure import Bound, median, print_line, share, tell
from nodes import AGENT, STATE_DIR

from farm import FarmUnavailable, Node

AT_MOST = {"platform bindings": 1.5, "own parser": 2.5}
MEMORY_AT_MOST_MB = 80
WAYS = {f"{u}, {c}": (u, c) for u, c in itertools.product(("not refreshed", "refreshed"), ("warm cache", "cold cache"))}
MAIN = "not refreshed, warm cache"  # where apt has the least to do
_number = itertools.count()


def main() -> int:
    """Measure and print the line."""
    parser = measure.words(__doc__ or "", rounds=7)
    parser.add_argument(
        "--kind", default="", help="of node (default deb12-real; deb12, without any archive, with --quick)"
    )
    options = measure.read(parser)
    options.kind = options.kind or ("deb12" if options.quick else "deb12-real")
    try:
        with nodes.farm() as farm:
            node = farm.node(options.kind)
            nodes.put_programs(node)
            _measure(options, node)
    except FarmUnavailable as error:
        tell(str(error))
        return 1
    return 0


def _measure(options: argparse.Namespace, node: Node) -> None:
    for way in WAYS.values():  # both warm
        ours(node, *way)
        apt(node, *way)
    rows: dict[str, dict[str, list[dict[str, Any]]]] = {name: {"ours": [], "apt": []} for name in WAYS}
    for number in range(options.rounds):
        for name, way in WAYS.items():
            rows[name]["ours"].append(ours(node, *way))
            rows[name]["apt"].append(apt(node, *way))
        last = rows[MAIN]
        tell(f"round {number + 1}: {MAIN}: ours {last['ours'][-1]['cpu']:.3f} s, apt {last['apt'][-1]['cpu']:.3f} s")
    watched = [ours(node, *WAYS["not refreshed, cold cache"], watch=True) for _ in range(2 if options.quick else 5)]
    _print(options, node, rows, watched)


def _print(
    options: argparse.Namespace,
    node: Node,
    rows: dict[str, dict[str, list[dict[str, Any]]]],
    watched: list[dict[str, Any]],
) -> None:
    def of(name: str, side: str, member: str) -> float:
        return median([row[member] for row in rows[name][side]])

    ratios = {name: share(of(name, "ours", "cpu"), of(name, "apt", "cpu")) for name in WAYS}
    own = median([row["own_kib"] for row in watched]) / 1024
    reader = "own parser"
    print_line(
        "scan",
        options,
        ours={
            "cpu_s": {name: of(name, "ours", "cpu") for name in WAYS},
            "wall_s": {name: of(name, "ours", "wall") for name in WAYS},
            "child_peak_rss_mb": own,
            "tree_peak_pss_mb": median([row["tree_pss_kib"] for row in watched]) / 1024,
            "largest_process_mb": median([row["largest_process_kib"] for row in watched]) / 1024,
        },
        peer={
            "program": "apt list --upgradable",
            "cpu_s": {name: of(name, "apt", "cpu") for name in WAYS},
            "wall_s": {name: of(name, "apt", "wall") for name in WAYS},
            "largest_process_mb": median([row["largest_process_kib"] for row in rows[MAIN]["apt"]]) / 1024,
        },
        ratio=ratios[MAIN],
        bounds={
            **{f"scan CPU / apt's, {name}": Bound(ratios[name], AT_MOST[reader], "times") for name in WAYS},
            "scan child, peak RSS": Bound(own, MEMORY_AT_MOST_MB, "MB"),
        },
        ratios=ratios,
        reader=reader,
        node=options.kind,
        installed=len(node.installed()),
        list_mb=_size(node, "/var/lib/apt/lists") / 2**20,
    )


def ours(node: Node, update: str, cache: str, *, watch: bool = False) -> dict[str, Any]:
    """The facts task, as the worker starts it."""
    directory = str(Path(STATE_DIR, "work", "bench", f"facts-{next(_number)}"))
    node.write(f"{directory}/request.json", json.dumps({"refresh": update == "refreshed", "clock_offset": 0.0}))
    _prepare(node, cache)
    argv = [nodes.PYTHON, "-I", AGENT, "child", "facts", "--directory", directory, "--state-dir", STATE_DIR]
    row = nodes.metered(node, argv, watch=watch)
    result = json.loads(node.read(f"{directory}/result.json"))
    assert "result" in result, result
    node.run(["rm", "-r", directory])
    return row


def apt(node: Node, update: str, cache: str) -> dict[str, Any]:
    """What a person would type."""
    _prepare(node, cache)
    shell = "apt-get -q update && apt list --upgradable" if update == "refreshed" else "exec apt list --upgradable"
    return nodes.metered(node, ["sh", "-c", shell])


def _prepare(node: Node, cache: str) -> None:
    if cache == "cold cache":
        node.run(["sh", "-c", "rm -f /var/cache/apt/*.bin"])


def _size(node: Node, folder: str) -> int:
    return int(node.run(["du", "-sb", folder]).stdout.split()[0])


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
