# SPDX-License-Identifier: Apache-2.0
"""
Runs the commands in the journal, a few side by side, and exits when there are none.

A process of its own: the agent that waits stays small, goes on listening, and its death does not end a command.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from typing import Callable, Dict, Iterator, List, Tuple

from patchwright.agent import inventory, log
from patchwright.agent.child import Bench
from patchwright.agent.client import Client
from patchwright.agent.clock import Clock
from patchwright.agent.command_run import CommandRun, Office
from patchwright.agent.config import Settings, inherited_environment, load_identity
from patchwright.agent.disk import Disk, DiskFull, Lock
from patchwright.agent.journal import Journal
from patchwright.agent.outbox import Outbox
from patchwright.agent.shell import Shell
from patchwright.agent.steps import patching
from patchwright.agent.streaming import Spool
from patchwright.agent.turns import Turns
from patchwright.core.errors import PatchwrightError

WORKER_LOCK = "worker.lock"
DRAIN_SECONDS = 300.0  # that a worker without work goes on sending output for
LOOK_SECONDS = 0.2  # between two looks for commands that have come meanwhile


def work(disk: Disk, settings: Settings, program: Tuple[str, ...]) -> int:
    """Run the commands of a state directory, in a process started for that. Answers the exit code."""
    identity, clock = load_identity(disk.root), Clock()
    limit = int(settings.output_mib) * 1024 * 1024
    office = Office(
        identity.instance_id,
        Journal(disk),
        Outbox(disk, instance_id=identity.instance_id),
        Spool(disk, clock, instance_id=identity.instance_id, limit_bytes=limit),
        Bench(disk, Shell(), clock, program, inherited_environment()),
        settings,
        Turns(),
    )
    return Worker(office, lambda: Client.of(identity, settings=settings, clock=clock)).run()


class Worker:
    """Runs what is in the journal of *office*. *connect* makes a client."""

    def __init__(self, office: Office, connect: Callable[[], Client]) -> None:
        self._office = office
        self._connect = connect
        self._journal = office.journal
        self._bench = office.bench
        self._clients: List[Client] = []  # of commands that have ended: their connections are open
        self._running: Dict[str, threading.Thread] = {}
        self._ended = threading.Event()
        self._failed = False

    def run(self) -> int:
        """Run commands until none is left, or leave at once where another worker is at it. Answers the exit code."""
        lock = Lock(self._bench.disk.root / WORKER_LOCK)
        # Looked at again after the lock is free: an entry written while we were about to leave found the lock taken.
        while self._journal.has_work():
            if not lock.take_from_lookers(self._bench.clock):
                return 0
            try:
                self._attend()
            finally:
                lock.release()
            if self._failed:
                return 1
            with self._client() as client:
                self._office.spool.try_to_drain(client, seconds=DRAIN_SECONDS, enough=self._journal.has_work)
        self._clean_up()
        self._see_to_inventory()
        return 0

    def _attend(self) -> None:
        """Run what there is and what comes meanwhile, as many at a time as the settings allow."""
        waiting = self._journal.unfinished()
        for command_id in waiting:
            self._resume(command_id)
        limit = int(self._office.settings.commands_at_once)
        while waiting or self._running:
            while waiting and len(self._running) < limit and not self._failed:
                self._begin(waiting.pop(0), alone=limit == 1)
            if self._running:
                self._ended.wait(LOOK_SECONDS)
                self._ended.clear()
            for command_id in [one for one, thread in self._running.items() if not thread.is_alive()]:
                self._running.pop(command_id).join()
            if self._failed:
                waiting = []
            elif self._journal.ids() - set(self._running) - set(waiting):
                waiting = [one for one in self._journal.unfinished() if one not in self._running]

    def _resume(self, command_id: str) -> None:
        """Tell the turns what an earlier worker has left half done, before anything else begins."""
        with contextlib.suppress(PatchwrightError, OSError):
            entry = self._journal.read(command_id)
            for step in entry["steps"] or []:
                if step["status"] == "InProgress":
                    self._office.turns.left(command_id, patching=patching(step))

    def _begin(self, command_id: str, *, alone: bool) -> None:
        if alone:
            self._run(command_id)
            return
        thread = threading.Thread(target=self._run, args=(command_id,), name=command_id)
        self._running[command_id] = thread
        thread.start()

    def _run(self, command_id: str) -> None:
        try:
            with self._client() as client:
                CommandRun(self._office, client, command_id).run()
        except (DiskFull, OSError) as error:
            log.error(f"the command waits: {error}")
            self._failed = True
        except BaseException:
            self._failed = True
            raise
        finally:
            self._office.turns.gone(command_id)
            self._ended.set()

    @contextlib.contextmanager
    def _client(self) -> Iterator[Client]:
        """A client for one command at a time."""
        client = self._clients.pop() if self._clients else self._connect()
        try:
            yield client
        finally:
            self._clients.append(client)

    def _see_to_inventory(self) -> None:
        """What a patch operation has changed is told at once, by a process of its own."""
        bench = self._bench
        if (bench.disk.root / inventory.DIRECTORY / inventory.WANTED).exists():
            inventory.start(bench.disk, bench.shell, program=bench.program, environment=bench.environment)

    def _clean_up(self) -> None:
        """Remove the files of commands that ended just before their worker died."""
        for path in self._bench.disk.directory("work").iterdir():
            if self._journal.stage(path.name) not in ("pending", "current"):
                shutil.rmtree(str(path), ignore_errors=True)
