# SPDX-License-Identifier: Apache-2.0
"""
Who waits for whom, of the commands that run side by side in one worker.

Steps run beside each other, but patch operations have the node for themselves, one after the other; and a restart of the node
waits until no step of another command runs, and lets none begin. Nothing of it is written down: a worker says first whose
steps an earlier one has left half done (`left`), so that these are as good as running.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Callable, Iterator, List, Set

LOOK_SECONDS = 0.5  # between two looks whether a command that waits was cancelled


def _never() -> bool:
    return False


class Turns:
    """The turns of one worker. *command* is the id of the command whose step it is; it has one at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: Set[str] = set()
        self._restarting: List[str] = []
        self._patching = ""

    def left(self, command: str, *, patching: bool) -> None:
        """A step of *command* was left half done; *patching*: a patch operation that had begun."""
        with self._changed:
            self._running.add(command)
            self._patching = command if patching else self._patching

    def gone(self, command: str) -> None:
        """The command runs no step any more, however that came."""
        with self._changed:
            self._running.discard(command)
            self._patching = "" if self._patching == command else self._patching
            self._changed.notify_all()

    @contextlib.contextmanager
    def step(self, command: str, cancelled: Callable[[], bool] = _never) -> Iterator[None]:
        """A step runs, as soon as no restart is under way, or at once where it is *cancelled* and will do nothing."""
        with self._changed:
            self._wait(lambda: not self._restarting or command in self._running, cancelled)
            self._running.add(command)
        try:
            yield
        finally:
            self.gone(command)

    @contextlib.contextmanager
    def patching(
        self, command: str, cancelled: Callable[[], bool] = _never, waiting: Callable[[str], None] = lambda _: None
    ) -> Iterator[bool]:
        """
        A patch operation runs, as soon as no other does. *waiting* is told once whose is waited for.

        Yields whether it has the turn: not, where it was *cancelled* before that.
        """
        with self._changed:
            if self._patching not in ("", command):
                waiting(self._patching)
                self._running.discard(command)  # who waits is in nobody's way
                self._changed.notify_all()
                self._wait(lambda: not self._patching and not self._restarting, cancelled)
                self._running.add(command)
            granted = self._patching in ("", command)
            self._patching = command if granted else self._patching
        try:
            yield granted
        finally:
            with self._changed:
                self._patching = "" if self._patching == command else self._patching
                self._changed.notify_all()

    @contextlib.contextmanager
    def restarting(self, command: str, cancelled: Callable[[], bool] = _never) -> Iterator[bool]:
        """
        The node is restarted for a step of *command*, as soon as no step of another runs, and one restart at a time.

        Yields whether it may: not, where it was *cancelled* before that.
        """

        def free() -> bool:
            return self._restarting[0] == command and self._running <= set(self._restarting)

        with self._changed:
            self._restarting.append(command)
            self._changed.notify_all()
            self._wait(free, cancelled)
            granted = free()
        try:
            yield granted
        finally:
            with self._changed:
                self._restarting.remove(command)
                self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool], cancelled: Callable[[], bool]) -> None:
        """Wait with the lock held, which is given up while it is looked whether the command was cancelled."""
        over = False
        while not condition() and not over:
            self._changed.wait(LOOK_SECONDS)
            self._changed.release()
            try:
                over = cancelled()
            finally:
                self._changed.acquire()
