# SPDX-License-Identifier: Apache-2.0
"""
One history: a node, a server, orders, faults; then quiet, rest, and the invariants.

    found = play(script(seed, number))          # what is broken, empty where nothing is
    print(told(script))                         # the same with everything that happened
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from pathlib import Path

from patchwright.agent.config import SETTINGS_NAME, Identity
from properties.node_run.central import SHELF, SWEEP_SECONDS, Central
from properties.node_run.machine import Machine
from properties.node_run.script import Order, Script
from properties.node_run.seams import RESERVE_KIB, STAGE, Seams
from properties.node_run.truth import SETTLE_SECONDS, Judge
from properties.node_run.wires import Network
from properties.node_run.world import BEGIN, Broken, World

SHARED_MEMORY = Path("/dev/shm")
EXECUTION_TIMEOUT_SECONDS = 7200  # of the document of these histories
DELIVERY_SECONDS = 400.0  # within which what waits at the server is with the node, once nothing is in the way
_DICE = random.Random()
NEAR = "kill worker", "kill loop", "kill child", "kill all"


class History:
    """The parts of one history, put together."""

    def __init__(self, script: Script, root: Path) -> None:
        self.script = script
        self.world = world = STAGE.world = World(script)
        self.machine = Machine(world)
        root.mkdir(mode=0o700)
        (root / SETTINGS_NAME).write_text(json.dumps({"reserve_kib": RESERVE_KIB}))
        STAGE.dice = _DICE  # what is shared by the histories of one database has to differ
        self.central = Central(world)
        STAGE.dice = world.random
        self.network = Network(world, self.central)
        self.seams = STAGE.now = Seams(world, self.machine, self.network, root)
        self.seams.platter.synced(root)
        self.judge = Judge(world, self.machine, self.central)
        identity = Identity(self.central.instance_id, "secret", "us-east-1", self.central.scope.account, "http://s")
        (root / "identity.json").write_text(json.dumps(identity._asdict()))
        self.seams.platter.synced(root)
        self.machine.start = lambda: self.seams.start_agent(identity)
        self.machine.cut = lambda: self.seams.platter.cut(world.random)
        self.machine.working_on = self._working_on
        self.network.boot = lambda: self.machine.boot_id
        self.machine.wanted = self.judge.wants_restart
        world.strike = self.strike

    def play(self) -> None:
        """From the first order to the last invariant."""
        world = self.world
        self.machine.start()
        for order in self.script.orders:
            world.later(order.at, lambda order=order: self.central.order(order))  # type: ignore[misc]
        for fault in self.script.faults:
            if fault.place == "second":
                world.later(float(fault.nth), lambda what=fault.what: self._strike_now(what))  # type: ignore[misc]
        if not self._rests(len(self.script.orders)):
            return
        self.judge.at_rest()
        self._scan_at_last()

    def strike(self, what: str) -> None:
        """What a fault does to the world, beside what its place does by itself."""
        world = self.world
        words = what.split()
        if what in NEAR:
            roles = {"child": ("facts", "resolve", "install"), "all": ("loop", "worker", "facts", "resolve", "install")}
            gone = world.alive(*roles.get(words[1], (words[1],)))
            world.at_once(lambda: [world.kill(process) for process in gone] and None)
        elif what == "power":
            world.at_once(self.machine.power_cut)
        elif words[0] == "off":
            world.at_once(lambda: self.machine.power_cut(float(words[1])))
        elif what == "server killed":
            world.at_once(self.central.die)
        elif what.startswith("server down"):
            world.at_once(lambda: self.central.die(float(words[2])))
        elif words[0] == "cut":
            self.network.cut(float(words[1]))
        elif what.startswith("disk full"):
            self.seams.fill(float(words[2]))
        elif what == "newer":
            self.machine.newer()
        elif what == "behind":
            self.machine.behind()
        elif what == "cancel":
            self.central.cancelling = True
        if world.current is not None:
            world.pause(0.0)

    def _strike_now(self, what: str) -> None:
        if not self.world.quiet:
            self.world.struck.append(f"second {self.world.now - BEGIN:.0f}: {what}")
            self.world.note(f"FAULT {what}")
            self.world.disturbed()
            self.strike(what)

    def _rests(self, orders: int) -> bool:
        """Take turns until nothing is under way on either side. False, and a finding, where that takes too long."""
        world = self.world

        def rested() -> bool:
            return (
                len(self.central.commands) == orders
                and world.now >= world.disturbed_at
                and self.machine.up
                and not world.alive("worker", "facts", "resolve", "install", "operator", "request")
                and not self._left()
            )

        if world.drive(rested, limit=self._deadline):
            return True
        if not world.problems:
            world.problem(
                f"{self._left() or self._running()} is under way {world.now - world.disturbed_at:.0f} s after the last fault"
            )
        return False

    def _deadline(self) -> float:
        """When everything has ended: soon after the last disturbance, or when what could not begin in time is given up."""
        begun = max([self.world.disturbed_at, *[BEGIN + order.at for order in self.script.orders]])
        late = [
            due + SWEEP_SECONDS * 12
            for _, _, ended, due, acknowledged, *_ in self.central.invocations()
            if not ended and not acknowledged and due - EXECUTION_TIMEOUT_SECONDS < begun + DELIVERY_SECONDS
        ]
        return max([begun + SETTLE_SECONDS, *late])

    def _left(self) -> str:
        """What is not done yet; empty where all is."""
        root = self.seams.root
        if not self.central.is_done():
            return "a command or operation on the server"
        for place in ("commands/pending", "commands/current", "outbox"):
            if any(name.endswith(".json") and name[0] != "." for name in os.listdir(root / place)):
                return place
        return ""

    def _working_on(self) -> str:
        return next((path.stem for path in (self.seams.root / "commands/current").glob("[!.]*.json")), "")

    def _running(self) -> str:
        return ", ".join(f"{process.role}.{process.pid}" for process in self.world.processes.values())

    def _scan_at_last(self) -> None:
        """When all faults are over, a Scan shows that node and server still work, and agree."""
        world = self.world
        world.quiet = True
        world.disturbed()
        self.machine.unreachable_until = 0.0
        self.central.cancelling = False
        self.central.order(Order("Scan", "NoReboot", 0.0))
        if not self._rests(len(self.script.orders) + 1):
            return
        self.judge.at_rest()
        self.judge.after_closing_scan(self.central.commands[-1])
        left = sorted(path.name for path in (self.seams.root / "work").glob("*"))
        if left:
            world.problem(f"files of ended commands are left: {left}")


def run(script: Script) -> History:
    """Play a script inside `seams.in_place`; what is broken is in its world's problems."""
    base = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="patchwright-model-", dir=base) as folder:
        history = History(script, Path(folder) / "state")
        try:
            history.play()
        except Broken as error:
            history.world.problems.append(str(error))
        finally:
            history.world.end()
            history.central.memory.use(None)
        if history.world.problems:
            SHELF.renew()
    return history


def play(script: Script) -> list[str]:
    """What a script breaks."""
    return run(script).world.problems


def told(script: Script, lines: int = 400) -> str:
    """A script, what it breaks, and the end of what happened."""
    world = run(script).world
    return "\n".join([repr(script), *world.problems, "", *list(world.trace)[-lines:]])
