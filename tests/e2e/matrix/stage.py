# SPDX-License-Identifier: Apache-2.0
"""Where a point is played: one server for many, and for each a node of its own with two updates outstanding."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.station import STATE_DIR, Station
from farm import DebRepo, Farm, FarmError, Node, until

from . import hooks
from .documents import RAN, SCRIPTS, DocumentPoint, document
from .points import Point
from .stops import Stops, agent_archive, script

OLD, NEW = "1.0-1", "1.0-1+deb12u1"
NAMES = ("foo", "bar")  # in the order in which dpkg comes to them
# The agent finds out within two seconds that nobody answers, and looks after its worker as often.
IMPATIENT = {"connect_seconds": 1, "request_seconds": 2, "poll_seconds": 2, "inventory_hours": 0}
REBOOT = {"Install, restart": "RebootIfNeeded"}


@dataclass
class Stage:
    """A managed node that is about to run an operation, and what has been asked of it."""

    station: Station
    node: Node
    stops: Stops
    command: str = ""

    def begin(self, point: Point | DocumentPoint | hooks.HookPoint) -> None:
        """Send the command, and wait until the node stands at the step of *point*."""
        self.stops.at(point.stop)
        self.send(point.operation)
        self.stops.wait()

    def send(self, operation: str) -> None:
        """Send the command of an operation."""
        if operation == SCRIPTS:
            self.station.make_documents({SCRIPTS: document()})
            self.command = self.station.send_document(self.node, SCRIPTS)
            return
        if operation == hooks.WITH_HOOKS:
            self.station.make_documents(hooks.documents())
            self.command = self.station.send_document(self.node, hooks.DOCUMENT, hooks.parameters())
            return
        kind = operation.partition(",")[0]
        self.command = self.station.send(self.node, kind, reboot=REBOOT.get(operation, "NoReboot"))

    def invocation(self) -> dict[str, Any]:
        """The command on the node and its steps, as the API lists them."""
        return self.station.invocation(self.node, self.command)

    def ran(self) -> list[str]:
        """The scripts that have run on this node, in order."""
        path = self.node.root / RAN[1:]
        return path.read_text().splitlines() if path.exists() else []

    def left_to_do(self) -> list[str]:
        """The files of the agent that stand for work, or for words, that are not done."""
        state = self.node.root / STATE_DIR[1:]
        places = ("outbox", "commands/pending", "commands/current", "commands/cancel")
        return [path.name for place in places for path in (state / place).glob("[!.]*")]

    def story(self) -> str:
        """What the agent's files tell, for a point that went wrong."""
        state = self.node.root / STATE_DIR[1:]
        parts = [f"left: {self.left_to_do()}", *("\t".join(line) for line in self.stops.trace()[-25:])]
        for name in ("worker.log", *(str(path.relative_to(state)) for path in state.glob("work/*/*/*/log"))):
            with contextlib.suppress(OSError):
                parts.append(f"--- {name}\n{(state / name).read_text()[-2000:]}")
        with contextlib.suppress(FarmError):
            parts.append("--- journal\n" + self.node.journal("agent")[-3000:])
        return "\n".join(parts)

    def dpkg_log(self) -> list[str]:
        """What dpkg did on this node since it was made: not what the layers below brought."""
        lines = (self.node.root / "var/log/dpkg.log").read_text().splitlines()
        return [line for line in lines if NEW in line]


class Theatre:
    """A server and an archive with foo and bar in two versions, for any number of stages one after the other."""

    def __init__(self, farm: Farm, directory: Path) -> None:
        self._farm = farm
        self.station = Station(directory, farm)
        (directory / "agent.pyz").write_bytes(agent_archive())
        self.repo = _archive(farm)

    def stage(self) -> Stage:
        """A fresh node, enrolled and waiting for commands, with a server that runs."""
        if not self.station.running:
            self.station.start()
        node = self._farm.node("deb12", self.repo, outstanding=NAMES)
        stops = Stops(node)
        seen = self.station.interposer.seen
        polls = seen["GetMessages"]
        self.station.enrol(node, settings=IMPATIENT)
        until(lambda: seen["GetMessages"] > polls, what="the agent waits for commands")
        stops.forget()
        return Stage(self.station, node, stops)

    def close(self) -> None:
        """End what runs."""
        self.station.close()
        self.repo.close()


def _archive(farm: Farm) -> DebRepo:
    """Foo, and bar that needs the new foo: dpkg unpacks foo, then bar, and configures them in that order."""
    repo = farm.debrepo()
    with repo.together():
        for name in NAMES:
            unpacking = f'if [ "$1" = upgrade ]; then {script(f"unpacking of {name}")} fi'
            repo.release(name, OLD, postrm=unpacking)
            repo.security(
                name,
                NEW,
                depends=f"foo (>= {NEW})" if name == "bar" else "",
                preinst=script(f"preinst of {name}"),
                postinst=script(f"configuration of {name}"),
            )
    return repo
