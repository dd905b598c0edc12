# SPDX-License-Identifier: Apache-2.0
"""
Where the agent touches the world: clock, disk, locks, processes, network, boots and package manager. Everything else of it is
the program as it is.
"""

from __future__ import annotations

import contextlib
import errno
import json
import random
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from patchwright.agent import (
    baton,
    child,
    client,
    disk,
    facts,
    installing,
    log,
    loop,
    node,
    providers,
    reboot,
    shell,
    waiting,
    worker,
)
from patchwright.agent.clock import Clock
from patchwright.agent.config import Identity, load_settings
from patchwright.agent.transport import TransportFailed
from patchwright.core.package import Manager
from patchwright.server.infra import identifiers
from patchwright.server.patching import operations
from properties.node_run.machine import Machine, Provider
from properties.node_run.platter import Platter
from properties.node_run.wires import Network
from properties.node_run.world import World

RELEASE = {"ID": "debian", "VERSION_ID": "12", "NAME": "Debian GNU/Linux"}
RESERVE_KIB = 64
START_SECONDS = 0.2  # at most, from starting a process to its first line
JOIN_SECONDS = 0.5


# What a node has is sent by a program of its own, which no command waits for: tests/agent/test_inventory.py has its story.
# Processes are greenlets here, and a thread would be none: commands run one after the other. The wires carry no channel.
WITHOUT_INVENTORY = {
    "PATCHWRIGHT_AGENT_INVENTORY_HOURS": "0",
    "PATCHWRIGHT_AGENT_COMMANDS_AT_ONCE": "1",
    "PATCHWRIGHT_AGENT_CONTROL_CHANNEL": "0",
}


class Seams:
    """What the agent of one history touches."""

    def __init__(self, world: World, machine: Machine, network: Network, root: Path) -> None:
        self.world = world
        self.machine = machine
        self.network = network
        self.root = root
        self.platter = Platter(root)
        self.full_until = 0.0
        self.room = 0

    @property
    def full(self) -> bool:
        """Whether the disk has no room but what was given up of the reserve."""
        return self.world.now < self.full_until

    def fill(self, seconds: float) -> None:
        """Somebody else uses up the disk for so long."""
        if not self.full:
            self.room = 0
        self.full_until = max(self.full_until, self.world.now + seconds)
        self.world.disturbed(self.full_until)

    def start_agent(self, identity: Identity) -> None:
        """What systemd does: the waiting agent, again whenever it ends."""

        def main() -> None:
            lock = disk.Lock(self.root / "lock")
            if not lock.take():
                self.world.problem("two agents run with one state directory")
                return
            woken = None
            while True:
                order = self._attend(identity, loop.Rest(_become, lock.descriptor, [], woken))
                woken = waiting.Waiting(order, Clock()).run()
                self.world.pause(self.world.random.random() * START_SECONDS)

        def again() -> None:
            if self.machine.up and not self.world.alive("loop"):
                self.start_agent(identity)

        process = self.world.spawn("loop", "node", main, delay=self.world.random.random())
        process.at_end = lambda: self.world.later(1.0 + self.world.random.random() * 4, again)

    def _attend(self, identity: Identity, rest: loop.Rest) -> baton.Order:
        """The whole agent, until it becomes the waiting one."""
        settings = load_settings(self.root, WITHOUT_INVENTORY)
        kept = disk.Disk(self.root, settings.reserve_kib * 1024)
        whole = loop.Loop(identity, settings, disk=kept, clock=Clock(), program=("agent",), environment={}, rest=rest)
        try:
            whole.run()
        except _Becomes as step:
            return step.order
        raise AssertionError("the agent stopped waiting")

    def start(self, argv: Sequence[str]) -> shell.Detached:
        """A process of the agent's own: the worker, or a task."""
        words = list(argv[argv.index("child") + 1 :])
        kept = disk.Disk(self.root, RESERVE_KIB * 1024)
        directory = Path(words[words.index("--directory") + 1]) if "--directory" in words else None
        if directory is None:
            role, main = "worker", lambda: worker.work(kept, load_settings(self.root, WITHOUT_INVENTORY), ("agent",))
        else:
            role, main = words[0], lambda: child.perform(words[0], directory, kept)
        delay = self.world.random.random() * START_SECONDS
        process = self.world.spawn(role, "node", main, directory=str(directory or ""), delay=delay)
        self.world.note(f"starts {role}.{process.pid}")
        return shell.Detached(process.pid, self.machine.boots)

    def is_alive(self, process: shell.Detached) -> bool:
        return process.pid in self.world.processes and process.started == self.machine.boots

    # --------------------------------------------------------------------------------------------------------- disk

    def write(self, path: Path, data: bytes, original: Callable[[Path, bytes], None]) -> None:
        """A durable write: the process may end before it, in the middle, after it; the disk may be full."""
        what = self.world.step("write", path.name)
        torn = what.endswith(" torn")
        if torn:
            path.with_name(f".{path.name}.new").write_bytes(data[: len(data) // 2])
            self.world.act_out(what.split()[0])
        self._take_room(len(data))
        original(path, data)
        self._watch(path, data)
        if what.endswith(" after"):
            self.world.act_out(what.split()[0])

    def remove(self, owner: Any, path: Path, original: Callable[[Any, Path], None]) -> None:
        """A durable removal, in the same way."""
        what = self.world.step("write", f"remove {path.name}")
        if path.name == disk.RESERVE_NAME and path.exists():
            self.room += path.stat().st_size
        original(owner, path)
        if what.endswith((" after", " torn")):
            self.world.act_out(what.split()[0])

    def allocate(self, path: Path, size: int, original: Callable[[Path, int], None]) -> None:
        if self.full:
            path.touch()
            raise OSError(errno.ENOSPC, "no space left on device")
        original(path, size)

    def _take_room(self, size: int) -> None:
        if self.full:
            if size > self.room:
                raise OSError(errno.ENOSPC, "no space left on device")
            self.room -= size

    def _watch(self, path: Path, data: bytes) -> None:
        """Note what is durable now: a task's result; a command's last word, which is a promise."""
        if path.name == child.RESULT:
            self.machine.results.add(str(path.parent))
        if b'"final":{' in data and path.parent.name in ("current", "done"):
            said = str(json.loads(data)["final"]["status"])
            before = self.machine.promised.setdefault(path.stem, said)
            if before != said:
                self.world.problem(f"the agent's last word on {path.stem} was {before} and is {said}")


class Stage:
    """Which history has the agent now. One at a time."""

    world: World
    now: Seams
    dice: random.Random


STAGE = Stage()


class Line:
    """The agent's transport."""

    def __init__(self, server: Any, *, connect_seconds: float) -> None:
        self.peer = server.peer()
        self._connect_seconds = connect_seconds

    def another(self) -> WaitingLine:
        """A second one to the same peer."""
        return WaitingLine(self.peer, connect_seconds=self._connect_seconds)

    def post(self, headers: Mapping[str, str], body: bytes, *, timeout: float, again: Any = None) -> Any:
        return STAGE.now.network.exchange(headers, body, timeout)

    def local_address(self) -> str:
        return "192.0.2.2"

    def close(self) -> None:
        """Nothing is kept open."""


class WaitingLine(Line):
    """The waiting agent's transport, which speaks of its failures as the system does."""

    def __init__(self, peer: Any, *, connect_seconds: float) -> None:
        self.peer = peer
        self._connect_seconds = connect_seconds

    def post(self, headers: Mapping[str, str], body: bytes, *, timeout: float, again: Any = None) -> Any:
        try:
            return super().post(headers, body, timeout=timeout, again=again)
        except TransportFailed as error:
            raise OSError(str(error)) from None


class _Becomes(BaseException):
    """This process becomes the waiting program: nothing of the whole one is left."""

    def __init__(self, order: baton.Order) -> None:
        super().__init__()
        self.order = order


def _become(order: baton.Order) -> None:
    raise _Becomes(order)


def unexpected() -> None:
    """Stands for `traceback.print_exc`: what the agent did not expect is a finding."""
    STAGE.world.problem("the agent met what it did not expect: " + traceback.format_exc(limit=-6))


class Inline:
    """Stands for the module asyncio where work is sent to a thread: it is done at once."""

    @staticmethod
    async def to_thread(work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)


@contextlib.contextmanager
def in_place() -> Iterator[None]:
    """The agent speaks to `STAGE` while this lasts."""
    with contextlib.ExitStack() as stack:
        for owner, name, value in _replacements():
            stack.enter_context(mock.patch.object(owner, name, value))
        yield


def _replacements() -> list[tuple[Any, str, Any]]:
    return [
        *_of_disk(),
        *_of_processes(),
        *_of_tasks(),
        (Clock, "now", lambda _: STAGE.world.now - STAGE.world.script.skew),
        (Clock, "monotonic", lambda _: STAGE.world.now),
        (Clock, "sleep", lambda _, seconds: STAGE.world.pause(seconds)),
        (Clock, "jitter", lambda _, seconds: STAGE.world.random.random() * seconds),
        (log, "_write", lambda level, text: STAGE.world.note(f"{level} {text}")),
        (client, "Transport", Line),
        (waiting, "Connection", WaitingLine),
        (waiting, "forget_unused_code", lambda: None),
        (reboot, "boot_id", lambda: STAGE.now.machine.boot_id),
        (installing, "boot_id", lambda: STAGE.now.machine.boot_id),
        (reboot, "request", lambda _shell: STAGE.now.machine.ask_restart()),
        (node, "os_release", lambda *_, **__: RELEASE),
        (facts, "supported_system", lambda *_, **__: facts.identify(RELEASE)),
        (facts, "stale_services", lambda *_, **__: ()),
        (providers, "detect", lambda *_, **__: Manager.APT),
        (providers, "load", lambda *_, **__: Provider(STAGE.now.machine)),
        (child, "JOIN_SECONDS", JOIN_SECONDS),
        (traceback, "print_exc", unexpected),
        (operations, "asyncio", Inline),
        (identifiers, "secrets", _Dice),
    ]


class _Dice:
    """Identifiers that follow from the script."""

    @staticmethod
    def token_bytes(size: int) -> bytes:
        return STAGE.dice.randbytes(size)

    @staticmethod
    def token_hex(size: int) -> str:
        return STAGE.dice.randbytes(size).hex()


def _of_disk() -> list[tuple[Any, str, Any]]:
    write, remove, allocate = disk._write, disk.Disk.remove, disk._allocate
    sync, take, release = disk.sync_directory, disk.Lock.take, disk.Lock.release

    def writing(path: Path, data: bytes) -> None:
        def noted(path: Path, data: bytes) -> None:
            STAGE.now.platter.written(path, data)
            write(path, data)

        STAGE.now.write(path, data, noted)

    def syncing(path: Path) -> None:
        sync(path)
        STAGE.now.platter.synced(path)

    def taking(self: disk.Lock) -> bool:
        taken = take(self)
        process = STAGE.world.current
        if taken and process is not None:
            process.locks.append(self)
        return taken

    def releasing(self: disk.Lock) -> None:
        release(self)
        process = STAGE.world.current
        if process is not None and self in process.locks:
            process.locks.remove(self)

    return [
        (disk, "_write", writing),
        (disk, "sync_directory", syncing),
        (disk, "_allocate", lambda path, size: STAGE.now.allocate(path, size, allocate)),
        (disk.Disk, "remove", lambda self, path: STAGE.now.remove(self, path, remove)),
        (disk.Lock, "take", taking),
        (disk.Lock, "release", releasing),
    ]


def _of_processes() -> list[tuple[Any, str, Any]]:
    def end(_self: shell.Shell, process: shell.Detached, **_options: Any) -> None:
        world = STAGE.world
        found = world.processes.get(process.pid)
        if found is not None:
            world.at_once(lambda: world.kill(found))
            world.pause(0.0)

    return [
        (shell.Shell, "spawn_detached", lambda _, argv, **__: STAGE.now.start(argv)),
        (shell.Shell, "is_alive", lambda _, process: STAGE.now.is_alive(process)),
        (shell.Shell, "end", end),
    ]


def _of_tasks() -> list[tuple[Any, str, Any]]:
    """A task with a result is not done again, and none is done of a command that has ended."""

    def watched(name: str, original: Callable[[Path, disk.Disk], dict[str, Any]]) -> Any:
        def task(directory: Path, kept: disk.Disk) -> dict[str, Any]:
            world, machine = STAGE.world, STAGE.now.machine
            world.note(f"does {name} in {directory.name}")
            if str(directory) in machine.results:
                world.problem(f"{name} is done again though its result was written: {directory.name}")
            if machine.command() in machine.promised:
                world.problem(f"{name} is done for a command that has ended: {machine.command()}")
            return original(directory, kept)

        return task

    return [(child, "_TASKS", {name: watched(name, task) for name, task in child._TASKS.items()})]
