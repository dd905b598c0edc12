# SPDX-License-Identifier: Apache-2.0
"""
A world with a clock of its own, in which processes take turns and may be killed wherever they stand.

Every process is a greenlet: the real program runs in it, and gives way where the world lets time pass, which is at every
place a fault may strike. Who comes next is who is due next, and how long things take is the script's chance: the same
script gives the same history.
"""

from __future__ import annotations

import heapq
import random
import traceback
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NoReturn

import greenlet

from patchwright.agent.disk import DiskFull
from properties.node_run.script import Script

BEGIN = 1_795_147_200.0  # 2026-11-20T04:00:00Z
MOST_TURNS = 60_000  # of one history
MOMENT = 0.02  # seconds that pass at most between two steps of a process
TRACE_LINES = 4_000


class Killed(BaseException):
    """This process ends here, whatever it was about to do: `kill -9`, or the power went."""


class Broken(Exception):
    """The history cannot go on: the world itself is at fault, or nothing comes to an end."""


class Process:
    """One process. *where* is `node` or `server`; *directory* that of the task, for a child."""

    def __init__(self, pid: int, role: str, where: str, directory: str) -> None:
        self.pid = pid
        self.role = role
        self.where = where
        self.directory = directory
        self.alive = True
        self.started = False
        self.ticket = 0  # a turn that was arranged before a later one is void
        self.locks: list[Any] = []
        self.run: greenlet.greenlet
        self.at_end: Callable[[], None] = lambda: None


class World:
    """Time, turns, processes and faults of one history."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.random = random.Random(script.seed)
        self.now = BEGIN
        self.quiet = False  # no fault strikes any more
        self.counts: Counter[str] = Counter()
        self.struck: list[str] = []
        self.problems: list[str] = []
        self.trace: deque[str] = deque(maxlen=TRACE_LINES)
        self.disturbed_at = BEGIN  # when the last fault struck, or ended
        self.processes: dict[int, Process] = {}
        self.current: Process | None = None
        self.strike: Callable[[str], None] = lambda what: None  # what a fault does to the world
        self._faults = {(fault.place, fault.nth): fault.what for fault in script.faults}
        self._turns: list[tuple[float, int, Process | None, int, Callable[[], None] | None]] = []
        self._urgent: deque[Callable[[], None]] = deque()
        self._numbers = 0
        self._pids = 100
        self._hub = greenlet.getcurrent()

    def note(self, text: str) -> None:
        """A line of what happened."""
        who = f"{self.current.role}.{self.current.pid}" if self.current else "world"
        self.trace.append(f"{self.now - BEGIN:10.3f} {who:14} {text}")

    def problem(self, text: str) -> None:
        """An invariant is broken."""
        self.note("BROKEN: " + text)
        self.problems.append(text)

    def disturbed(self, until: float = 0.0) -> None:
        """Something was done to the world that takes effect until then."""
        self.disturbed_at = max(self.disturbed_at, self.now, until)

    # ------------------------------------------------------------------------------------------- what processes call

    def pause(self, seconds: float) -> None:
        """Let time pass for the running process. Others run meanwhile; it may be killed."""
        process = self.current
        assert process is not None
        if not process.alive:
            raise Killed
        due = self.now + seconds
        if not self._urgent and (not self._turns or self._turns[0][0] > due):
            self.now = due
            return
        process.ticket += 1
        self._push(due, process, None)
        self._switch(process)

    def wait(self, process: Process, seconds: float) -> None:
        """Let time pass for the running *process*, until it is woken or *seconds* are over."""
        if not process.alive:
            raise Killed
        process.ticket += 1
        self._push(self.now + seconds, process, None)
        self._switch(process)

    def wake(self, process: Process) -> None:
        """End the wait of a process."""
        if process.alive:
            process.ticket += 1
            self._push(self.now, process, None)

    def step(self, place: str, detail: str = "") -> str:
        """
        The running process comes to a place where a fault may strike.

        Answers what the caller has to act out, empty where nothing strikes. Kills by name are acted out here.
        """
        self.counts[place] += 1
        number = self.counts[place]
        self.pause(self.random.random() * MOMENT)
        what = "" if self.quiet else self._faults.get((place, number), "")
        if what:
            self.struck.append(f"{place} {number}: {what} ({detail})")
            self.note(f"FAULT {what} at {place} {number} ({detail})")
            self.disturbed()
            self.act_out(what)
        return what

    def act_out(self, what: str) -> None:
        """Do what a fault says, as far as it is not for the caller alone to do."""
        if what == "kill":
            self.die()
        self.strike(what)

    def die(self) -> NoReturn:
        """The running process is killed."""
        assert self.current is not None
        self.current.alive = False
        raise Killed

    # ------------------------------------------------------------------------------------------ what the world arranges

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do *action*, which lets no time pass, in so many seconds."""
        self._push(self.now + seconds, None, action)

    def at_once(self, action: Callable[[], None]) -> None:
        """Do *action* before anybody else has a turn."""
        self._urgent.append(action)

    def spawn(
        self, role: str, where: str, main: Callable[[], Any], *, directory: str = "", delay: float = 0.0
    ) -> Process:
        """Start a process in *delay* seconds."""
        self._pids += 1
        process = Process(self._pids, role, where, directory)
        process.run = greenlet.greenlet(lambda: self._body(process, main), self._hub)
        self.processes[process.pid] = process
        self._push(self.now + delay, process, None)
        return process

    def kill(self, process: Process) -> None:
        """End a process that is not the running one; from `at_once` and `later` only."""
        if not process.alive:
            return
        process.alive = False
        if process.started:
            self._resume(process, Killed())
        else:
            self._ended(process)

    def drive(self, until: Callable[[], bool], *, limit: Callable[[], float]) -> bool:
        """Take turns until a condition holds; False where it does not hold by then (epoch seconds, asked when it matters)."""
        turns, known = 0, 0.0
        while self._urgent or not until():
            turns += 1
            if self.problems:
                return False
            if turns > MOST_TURNS:
                raise Broken("the history does not come to an end")
            if self._urgent:
                self._urgent.popleft()()
                continue
            if not self._turns:
                raise Broken("nobody has anything to do any more")
            if self._turns[0][0] > known and self._turns[0][0] > (known := limit()):
                return False
            due, _, process, ticket, action = heapq.heappop(self._turns)
            self.now = max(self.now, due)
            if action is not None:
                action()
            elif process is not None and process.alive and process.ticket == ticket:
                self._resume(process, None)
        return True

    def end(self) -> None:
        """End every process, so that nothing is left open."""
        for process in list(self.processes.values()):
            self.kill(process)

    def alive(self, *roles: str) -> list[Process]:
        """The living processes of these roles, in order of start."""
        return [process for process in self.processes.values() if process.role in roles]

    # ---------------------------------------------------------------------------------------------------------- inside

    def _push(self, due: float, process: Process | None, action: Callable[[], None] | None) -> None:
        self._numbers += 1
        heapq.heappush(self._turns, (due, self._numbers, process, process.ticket if process else 0, action))

    def _switch(self, process: Process) -> None:
        self._hub.switch()
        if not process.alive:
            raise Killed

    def _resume(self, process: Process, error: BaseException | None) -> None:
        before, self.current = self.current, process
        process.started = True
        try:
            if error is None:
                process.run.switch()
            else:
                process.run.throw(error)
        finally:
            self.current = before

    def _body(self, process: Process, main: Callable[[], Any]) -> None:
        try:
            main()
            self.note("ends")
        except Killed:
            self.note("is killed")
        except Broken as error:
            self.problems.append(str(error))
        except DiskFull as error:
            self.note(f"ends: {error}")
        except BaseException:
            self.problem(f"{process.role} ended with an error: {traceback.format_exc(limit=-6)}")
        process.alive = False
        self._ended(process)

    def _ended(self, process: Process) -> None:
        for lock in list(process.locks):
            lock.release()
        self.processes.pop(process.pid, None)
        process.at_end()
