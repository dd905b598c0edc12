# SPDX-License-Identifier: Apache-2.0
"""Nodes of the farm that carry the agent, for the benchmarks that need a machine."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import served
from measure import ROOT

from farm import Farm, Node
from farm.machine import cgroup_roots

AGENT = "/opt/patchwright-agent.pyz"
METER = "/opt/meter.py"
STATE_DIR = "/var/lib/patchwright-agent"
PYTHON = "/usr/bin/python3"
FOR_THE_BOOT = "RuntimeDirectory=patchwright-agent\nRuntimeDirectoryMode=0700\nRuntimeDirectoryPreserve=yes\n"


@contextlib.contextmanager
def farm() -> Iterator[Farm]:
    """A farm that goes with the block. Raises farm.FarmUnavailable with what the machine lacks."""
    made = Farm()
    try:
        yield made
    finally:
        made.close()


def put_programs(node: Node) -> None:
    """The node program and the meter."""
    with tempfile.TemporaryDirectory() as name:
        archive = Path(name) / "agent.pyz"
        archive.write_bytes(served.agent_program())
        node.push(archive, AGENT)
    node.push(ROOT / "bench/meter.py", METER)


def metered(node: Node, argv: Sequence[str], *, watch: bool = False, timeout: float = 300) -> dict[str, Any]:
    """What a command used in the node: see meter.py. It must end with 0."""
    words = [PYTHON, METER, *(["--watch"] if watch else []), *argv]
    done = node.run(words, timeout=timeout)
    line: dict[str, Any] = json.loads(done.stdout)
    assert line["code"] == 0, f"{argv}: {line['code']}: {done.stderr[-2000:]}"
    return line


def node_cpu(farm: Farm, node: Node) -> float:
    """Seconds of CPU that everything in a node has used so far, its init included, what has ended included."""
    for root in cgroup_roots():
        path = root / "pwfarm" / farm.number / node.name / "cpu.stat"
        if path.exists():
            fields = dict(line.split() for line in path.read_text().splitlines())
            return int(fields["usage_usec"]) / 1e6
    msg = "no control group of this machine tells the CPU of a node"
    raise RuntimeError(msg)


def pids(farm: Farm, node: Node) -> list[int]:
    """Every process of a node, by the machine's number."""
    found: set[int] = set()
    for root in cgroup_roots():
        for path in (root / "pwfarm" / farm.number / node.name).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):  # gone meanwhile, or a threaded group
                found.update(int(pid) for pid in path.read_text().split())
    return sorted(found - {0})


def quiet(farm: Farm, node: Node, *, share: float = 0.02, seconds: float = 60) -> None:
    """Wait until the node does next to nothing, *share* of one core over half a second, and the disk has nothing to write."""
    os.sync()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = node_cpu(farm, node)
        time.sleep(0.5)
        if node_cpu(farm, node) - before < share * 0.5:
            return


def enrol(node: Node, server: served.Served, address: str, *, trust: Sequence[str] = ("--insecure-http",)) -> str:
    """Make *node* a managed node of *server*, which it reaches at *address* (with its scheme), and start its agent."""
    activation = server.call("AmazonSSM.CreateActivation", IamRole="bench")
    words = [PYTHON, "-I", AGENT, "enroll", "--server", address, *trust, "--activation-id", activation["ActivationId"]]
    node.run([*words, "--activation-code", activation["ActivationCode"]])
    node.unit("agent", f"{PYTHON} -I -S {AGENT} run", restart="always", lines="KillMode=process\n" + FOR_THE_BOOT)
    found: str = json.loads(node.read(f"{STATE_DIR}/identity.json"))["instance_id"]
    return found
