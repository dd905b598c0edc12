# SPDX-License-Identifier: Apache-2.0
"""
50 small and 5 large updates: an Install by the agent against apt's own work on an identical node, in turn.

apt's own work is `apt-get update`, `apt-get install` of the same versions, `apt list --upgradable`. Ours is everything from
SendCommand to the server's word that the command has ended. CPU is that of the whole node, its init included.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import measure
import nodes
import served
from measure import SEED, Bound, median, print_line, share, spread, tell
from nodes import STATE_DIR

from farm import DebRepo, Farm, FarmUnavailable, Node

AT_MOST = 1.25
SMALL, LARGE = 50, 5
LARGE_MB = (20, 40)
OLD, NEW = "1.0-1", "1.0-1+deb12u1"
FINAL = {"Success", "Failed", "TimedOut", "Cancelled"}
LOOK_SECONDS = 0.01
ANSWER_SECONDS = 0.05
ENV = {"DEBIAN_FRONTEND": "noninteractive"}


@dataclass
class Side:
    """What one run took: wall and CPU in seconds, and its parts in order."""

    wall: float
    cpu: float
    parts: dict[str, float] = field(default_factory=dict)


def main() -> int:
    """Measure and print the line."""
    parser = measure.words(__doc__ or "", rounds=5)
    parser.add_argument("--processes", action="store_true", help="also which programs ran when, in a run of its own")
    options = measure.read(parser)
    try:
        with nodes.farm() as farm, served.serve() as server:
            _measure(options, farm, server)
    except FarmUnavailable as error:
        tell(str(error))
        return 1
    return 0


def _measure(options: argparse.Namespace, farm: Farm, server: served.Served) -> None:
    repo, names = farm.debrepo(), _names(options.quick)
    sizes = _publish(repo, names, quick=options.quick)
    address = f"http://{farm.expose(server.port)}"
    bench = Bench(farm, server, repo, names, address)
    mine: list[Side] = []
    theirs: list[Side] = []
    if not options.quick:  # the files of the layer, and the server, are cold the first time
        bench.ours()
        bench.apt()
    for number in range(options.rounds):
        for side in ("ours", "apt") if number % 2 == 0 else ("apt", "ours"):
            mine.append(bench.ours()) if side == "ours" else theirs.append(bench.apt())
        tell(f"round {number + 1}: ours {mine[-1].wall:.2f} s, apt {theirs[-1].wall:.2f} s")
    processes = bench.ours(processes=True).parts if options.processes else None
    wall = share(median([side.wall for side in mine]), median([side.wall for side in theirs]))
    cpu = share(median([side.cpu for side in mine]), median([side.cpu for side in theirs]))
    print_line(
        "install",
        options,
        ours=_figures(mine),
        peer={"program": "apt-get update && apt-get install … && apt list --upgradable", **_figures(theirs)},
        ratio=wall,
        bounds={"wall, ours / apt's": Bound(wall, AT_MOST, "times")},
        cpu_ratio=cpu,
        updates={"small": len(names) - len(sizes), "large_mb": [round(size / 2**20, 1) for size in sizes]},
        **({"processes": processes} if processes else {}),
    )


def _figures(sides: Sequence[Side]) -> dict[str, Any]:
    parts = {name: median([side.parts.get(name, 0.0) for side in sides]) for name in sides[0].parts}
    return {
        "wall_s": median([side.wall for side in sides]),
        "wall_s_range": spread([side.wall for side in sides]),
        "cpu_s": median([side.cpu for side in sides]),
        "parts_s": parts,
    }


def _names(quick: bool) -> list[str]:
    small, large = (3, 1) if quick else (SMALL, LARGE)
    return [f"small-{number:02}" for number in range(small)] + [f"large-{number}" for number in range(large)]


def _publish(repo: DebRepo, names: Sequence[str], *, quick: bool) -> list[int]:
    """Every name in the release and, newer, in -security; answers the large ones' sizes in bytes."""
    chance = random.Random(SEED)
    sizes = []
    with repo.together():
        for name in names:
            size = 0
            if name.startswith("large"):
                size = chance.randrange(LARGE_MB[0] * 2**20, LARGE_MB[1] * 2**20) // (20 if quick else 1)
                sizes.append(size)
            for version, add in ((OLD, repo.release), (NEW, repo.security)):
                files: dict[str, bytes | str] = {
                    f"/usr/share/{name}/{part}": f"{name} {version} {part}\n" * 20 for part in range(8)
                }
                if size:
                    files[f"/usr/share/{name}/data"] = chance.randbytes(size)
                add(name, version, files=files)
    return sizes


class Bench:
    """Makes a fresh node for every run."""

    def __init__(self, farm: Farm, server: served.Served, repo: DebRepo, names: Sequence[str], address: str) -> None:
        self._farm = farm
        self._server = server
        self._repo = repo
        self._names = names
        self._address = address

    def apt(self) -> Side:
        """apt's own work."""
        with self._node() as node:
            nodes.quiet(self._farm, node)
            versions = [f"{name}={NEW}" for name in self._names]
            commands = {
                "apt-get update": ["apt-get", "-q", "update"],
                "apt-get install": ["apt-get", "-q", "-y", "install", *versions],
                "apt list": ["apt", "list", "--upgradable"],
            }
            parts = {}
            cpu, begun = nodes.node_cpu(self._farm, node), time.monotonic()
            for name, argv in commands.items():
                start = time.monotonic()
                node.run(argv, env=ENV, timeout=600)
                parts[name] = time.monotonic() - start
            side = Side(time.monotonic() - begun, nodes.node_cpu(self._farm, node) - cpu, parts)
            self._check(node)
        return side

    def ours(self, *, processes: bool = False) -> Side:
        """The same through the agent, which waits for commands as it does all day."""
        with self._node() as node:
            nodes.put_programs(node)
            instance = nodes.enrol(node, self._server, self._address)
            served.until(lambda: self._online(instance), what=f"{instance} is online")
            nodes.quiet(self._farm, node)
            watch = Watch(self._farm, node, processes=processes)
            cpu, begun = nodes.node_cpu(self._farm, node), time.monotonic()
            command = self._send(instance)
            watch.start(command, begun)
            answer = served.until(lambda: self._ended(command, instance), what="the command ends", every=ANSWER_SECONDS)
            side = Side(time.monotonic() - begun, nodes.node_cpu(self._farm, node) - cpu)
            side.parts = watch.parts(side.wall)
            assert answer["Status"] == "Success", (answer["Status"], answer["StandardErrorContent"][-2000:])
            self._check(node)
        return side

    @contextlib.contextmanager
    def _node(self) -> Any:
        node = self._farm.node("deb12", self._repo, outstanding=self._names)
        try:
            yield node
        finally:
            node.destroy()

    def _check(self, node: Node) -> None:
        installed = node.installed()
        wrong = [name for name in self._names if installed[f"{name}.all"] != (NEW, "ii")]
        assert not wrong, wrong

    def _online(self, instance: str) -> bool:
        listed = self._server.call("AmazonSSM.DescribeInstanceInformation")["InstanceInformationList"]
        return any(row["InstanceId"] == instance and row["PingStatus"] == "Online" for row in listed)

    def _send(self, instance: str) -> str:
        answer = self._server.call(
            "AmazonSSM.SendCommand",
            DocumentName="AWS-RunPatchBaseline",
            InstanceIds=[instance],
            Parameters={"Operation": ["Install"], "RebootOption": ["NoReboot"]},
        )
        return str(answer["Command"]["CommandId"])

    def _ended(self, command: str, instance: str) -> dict[str, Any] | None:
        answer = self._server.call("AmazonSSM.GetCommandInvocation", CommandId=command, InstanceId=instance)
        return answer if answer["Status"] in FINAL else None


class Watch:
    """
    When the phases of a run began and ended, seen from outside: by the files that the agent's tasks leave.

    With *processes* also which programs ran, by looking at /proc: that costs CPU beside the node and is not for timing.
    """

    def __init__(self, farm: Farm, node: Node, *, processes: bool) -> None:
        self._farm = farm
        self._node = node
        self._processes = processes
        self._seen: dict[str, float] = {}
        self._programs: dict[tuple[int, str], list[float]] = {}
        init = min(pid for pid in nodes.pids(farm, node) if _name(pid) == "systemd")
        self._root = Path(f"/proc/{init}/root{STATE_DIR}")
        self._begun = 0.0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, command: str, begun: float) -> None:
        """Look from now on; moments count from *begun*."""
        self._begun = begun
        self._thread = threading.Thread(target=self._look, args=(command,), daemon=True)
        self._thread.start()

    def parts(self, wall: float) -> dict[str, float]:
        """End looking; how long each phase took, in seconds, in order."""
        self._ended.set()
        if self._thread:
            self._thread.join()
        if self._processes:
            return self._by_program()
        return phases(self._seen, wall)

    def _look(self, command: str) -> None:
        work = self._root / "work" / command
        files = {stage: self._root / "commands" / stage / f"{command}.json" for stage in ("pending", "current", "done")}
        while not self._ended.wait(LOOK_SECONDS):
            for stage, path in files.items():
                if path.exists():
                    self._note(stage)
            for path in work.glob("*/*/*.json"):
                self._note(f"{path.parent.name} {path.stem}")
            for path in work.glob("*/*/acting"):
                self._note(f"{path.parent.name} acting")
            if self._processes:
                self._look_at_processes()

    def _note(self, what: str) -> None:
        self._seen.setdefault(what, time.monotonic() - self._begun)

    def _look_at_processes(self) -> None:
        first = not self._programs
        for pid in nodes.pids(self._farm, self._node):
            with contextlib.suppress(OSError):
                argv = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
                cpu, moment = measure.process_cpu(pid), time.monotonic() - self._begun
                row = self._programs.setdefault(
                    (pid, " ".join(argv[:6])[:120]), [moment, moment, cpu if first else 0.0, cpu]
                )
                row[1], row[3] = moment, cpu

    def _by_program(self) -> dict[str, Any]:
        """By program, in order: first seen, last seen, CPU. What was gone before it was seen twice is left out."""
        rows = sorted((row[0], name, row) for (_, name), row in self._programs.items() if name and row[1] > row[0])
        return {
            f"{number:03} {name}": [round(value, 3) for value in (row[0], row[1], row[3] - row[2])]
            for number, (_, name, row) in enumerate(rows)
        }


def phases(seen: Mapping[str, float], wall: float) -> dict[str, float]:
    """From when each file was first seen to how long each phase took."""

    def at(*prefixes: str, word: str) -> float | None:
        found = [moment for what, moment in seen.items() if what.startswith(prefixes) and what.endswith(word)]
        return min(found) if found else None

    marks: list[tuple[str, float | None]] = [
        ("delivery: SendCommand to the agent's journal", at("pending", "current", word="")),
        ("worker starts, first reply, begin", at("before-", word=" request")),
        ("facts before: apt-get update, lists, status", at("before-", word=" result")),
        ("facts to the server, intent", at("resolve-", word=" request")),
        ("resolve: apt simulates", at("resolve-", word=" result")),
        ("closure to the server, plan", at("act-", word=" request")),
        ("install child starts, looks for drift", at("act-", word=" acting")),
        ("apt-get install and what surrounds it", at("act-", word=" result")),
        ("until the facts afterwards begin", at("after-", word=" request")),
        ("facts after", at("after-", word=" result")),
        ("facts to the server, replies", at("done", word="")),
        ("last reply, seen by the operator", wall),
    ]
    parts: dict[str, float] = {}
    last = 0.0
    for name, moment in marks:
        if moment is not None:
            parts[name] = max(0.0, moment - last)
            last = max(last, moment)
    return parts


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
