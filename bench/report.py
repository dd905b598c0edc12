# SPDX-License-Identifier: Apache-2.0
"""
Server CPU of a node's report, unchanged and changed, and of the whole conversation of a Scan.

A report is the PutFacts exchange of a Scan. *Unchanged*: one PutFacts, every digest known. *Changed*: five packages have
another version, so PutFacts, PutBodies with the new set, PutFacts again. The nodes are clients of a real server over HTTP,
signed with their own secrets; every phase is sent for all nodes at once and its CPU divided by their number.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import fleet
import measure
import served
from fleet import Conversation, Made
from measure import SEED, Bound, median, print_line, share, spread, tell

from patchwright.agent.outbox import FINAL, STARTED

AT_MOST_US = 80
CHANGED_PACKAGES = 5
CONNECTIONS = 64  # nodes that speak at the same time, each over its own, as when a command goes to all of them
CONVERSATION = ("delivery", "acknowledge", "started", "begin", "facts", "step", "final")


class Run:
    """One server with its nodes, and what each phase cost, by kind of round."""

    def __init__(self, server: served.Served, nodes: int, packages: int) -> None:
        self.server = server
        self.nodes = served.enrol(server, nodes)
        self.same = [fleet.debian(SEED, packages)] * nodes
        self.own = self.same
        self.figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def floor(self) -> None:
        """As many requests that do next to nothing."""
        self._phase("floor", "healthz", [self.server.get("/healthz")] * len(self.nodes))

    def scan(self, kind: str, made: Sequence[Made]) -> None:
        """A Scan of every node, each with its facts of *made*."""
        talk = Conversation(self.server, self.nodes)
        talk.send()
        talk.delivered(self._phase(kind, "delivery", talk.deliveries()))
        self._phase(kind, "acknowledge", talk.acknowledgements())
        self._phase(kind, "started", talk.replies(STARTED))
        talk.begun(self._phase(kind, "begin", talk.begins()))
        answers = self._phase(kind, "facts", talk.facts(made))
        missing = [answer["Missing"] for answer in answers]
        if any(missing):
            self._phase(kind, "bodies", talk.bodies(made, missing))
            answers = self._phase(kind, "facts again", talk.facts(made))
        assert {answer["Next"] for answer in answers} == {"done"}, answers[0]
        self._phase(kind, "step", talk.replies(1))
        self._phase(kind, "final", talk.replies(FINAL))

    def change(self, round_number: int) -> None:
        """Give every node a package set of its own, CHANGED_PACKAGES away from the common one."""
        self.own = [
            fleet.changed(made, SEED + round_number * 100_003 + number, CHANGED_PACKAGES)
            for number, made in enumerate(self.same)
        ]

    def cost(self, kind: str, *phases: str) -> float | None:
        """Microseconds of server CPU a node, median of the rounds, of *phases* together."""
        if kind not in self.figures:
            return None
        rounds = [self.figures[kind][phase] for phase in phases if phase in self.figures[kind]]
        return median([sum(values) for values in zip(*rounds, strict=True)])

    def _phase(self, kind: str, phase: str, requests: Sequence[bytes]) -> list[Any]:
        answers, cpu, _ = self.server.measured(requests, connections=CONNECTIONS)
        self.figures[kind][phase].append(cpu / len(self.nodes) * 1e6)
        if kind == "floor":
            assert {answer.status for answer in answers} == {200}
            return []
        return [answer.members for answer in answers]


def main() -> int:
    """Measure and print the line."""
    parser = measure.words(__doc__ or "", rounds=5)
    parser.add_argument("--nodes", type=int, default=0, help="how many report (default 300)")
    options = measure.read(parser)
    options.nodes = options.nodes or (10 if options.quick else 300)
    packages = 100 if options.quick else 1000
    with served.serve() as server:
        run = Run(server, options.nodes, packages)
        run.floor()
        run.scan("first", run.same)
        run.scan("warm", run.same)
        for number in range(options.rounds):
            run.floor()
            run.scan("unchanged, shared set", run.same)
            run.change(number)
            run.floor()
            run.scan("changed", run.own)
            run.floor()
            run.scan("unchanged, own set", run.own)
            run.scan("back", run.same)
            tell(
                f"round {number + 1}: "
                + ", ".join(
                    f"{kind} {figures['facts'][-1]:.0f} us" for kind, figures in run.figures.items() if kind != "floor"
                )
            )
    _print(options, run, packages)
    return 0


def _print(options: argparse.Namespace, run: Run, packages: int) -> None:
    own, same = run.cost("unchanged, own set", "facts"), run.cost("unchanged, shared set", "facts")
    floor = run.cost("floor", "healthz")
    print_line(
        "report",
        options,
        ours={
            "unchanged_cpu_us": {"own set": own, "set shared by all": same},
            "unchanged_cpu_us_range": {
                kind: spread(run.figures[kind]["facts"]) for kind in ("unchanged, own set", "unchanged, shared set")
            },
            "changed_cpu_us": run.cost("changed", "facts", "bodies", "facts again"),
            "changed_parts_us": {phase: run.cost("changed", phase) for phase in ("facts", "bodies", "facts again")},
            "scan_conversation_cpu_us": run.cost("unchanged, own set", *CONVERSATION),
            "scan_conversation_parts_us": {phase: run.cost("unchanged, own set", phase) for phase in CONVERSATION},
        },
        peer={"floor": "GET /healthz of the same server, unsigned; reads the database once", "cpu_us": floor},
        ratio=share(own, floor),
        bounds={
            "unchanged report, every node its own set": Bound(own, AT_MOST_US, "us of server CPU"),
            "unchanged report, one set shared by all": Bound(same, AT_MOST_US, "us of server CPU"),
        },
        nodes=options.nodes,
        packages=packages,
        connections=CONNECTIONS,
        report="the PutFacts exchange of a Scan under a snapshot of its own; the conversation is all seven requests of it",
    )


if __name__ == "__main__":
    sys.exit(main())
