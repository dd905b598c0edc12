# SPDX-License-Identifier: Apache-2.0
"""
One process, two programs: becoming the other one, and what is handed over.

The whole agent (loop.py) becomes the waiting one (waiting.py) while there is nothing to do, and comes back when there is: the
process, its lock and its place under the service manager stay, the memory that work took does not. Nothing is written to
disk. `marshal` reads what `json` would need `re` for; it is never fed but by this program.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # `signal` is this with `enum`
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, NoReturn, Tuple, Union

# What the waiting program is made of, each after what it imports.
WAITING = (
    "patchwright.core.signing",
    "patchwright.core.frames",
    "patchwright.agent.clock",
    "patchwright.agent.connection",
    "patchwright.agent.channel",
    "patchwright.agent.pages",
    "patchwright.agent.baton",
    "patchwright.agent.waiting",
)
# It gets its modules compiled, and parses and looks for nothing, unless Python was upgraded in between and is another one now.
# Run as the archive's main program it would get `contextlib`, `functools` and `collections` from `runpy` as well.
START = """\
import marshal, sys
from _frozen_importlib_external import MAGIC_NUMBER
sys.path.append(sys.argv[1])
with open(int(sys.argv[2]), "rb") as baton:
    told = marshal.load(baton)
    if marshal.load(baton) == MAGIC_NUMBER:
        for name, code in marshal.load(baton):
            sys.modules[name] = module = type(sys)(name)
            exec(code, vars(module))
from patchwright.agent.waiting import wait
sys.exit(wait(told))
"""


class Order:
    """
    What the whole agent leaves to the waiting one.

    Args:
        back: The words that start the whole agent again; the descriptor of what it is told is added.
        lock: The descriptor that holds the agent's lock.
        peer, signer: The members of a Peer and of a Signer.
        offset: Server time minus the node's, for signing, in seconds.
        hello, poll: The bodies of UpdateInstanceInformation and GetMessages; `REQUEST_ID` in a poll is replaced every time.
        hello_due, house_due: By the monotonic clock, which goes on.
        channel_due: When the control channel is tried, by the same clock; until then it polls.
        directories: There is work when a file `*.json` is in one of them, hidden ones apart.
        reserve: The file that keeps room on the disk, and its size; 0 where none is kept.
    """

    def __init__(
        self,
        *,
        back: List[str],
        lock: int,
        peer: Dict[str, Any],
        signer: Dict[str, str],
        offset: float,
        hello: str,
        hello_due: float,
        hello_every: float,
        poll: str,
        poll_seconds: float,
        request_seconds: float,
        connect_seconds: float,
        house_due: float,
        channel_due: float,
        directories: List[str],
        reserve: Tuple[str, int],
    ) -> None:
        self.back = back
        self.lock = lock
        self.peer = peer
        self.signer = signer
        self.offset = offset
        self.hello = hello
        self.hello_due = hello_due
        self.hello_every = hello_every
        self.poll = poll
        self.poll_seconds = poll_seconds
        self.request_seconds = request_seconds
        self.connect_seconds = connect_seconds
        self.house_due = house_due
        self.channel_due = channel_due
        self.directories = directories
        self.reserve = reserve


class Outcome:
    """
    What the waiting agent comes back with: the members of its order that go on, the body of an *answer* to a poll that it has
    not understood, and whether the server was *heard* to the last.
    """

    def __init__(
        self,
        *,
        lock: int,
        offset: float,
        hello_due: float,
        house_due: float,
        channel_due: float,
        answer: bytes,
        heard: bool,
    ) -> None:
        self.lock = lock
        self.offset = offset
        self.hello_due = hello_due
        self.house_due = house_due
        self.channel_due = channel_due
        self.answer = answer
        self.heard = heard


def become_waiting(order: Order) -> NoReturn:
    """Become the waiting agent. Ends only by OSError: nothing changed."""
    import importlib.util

    import patchwright

    place = patchwright.__path__[0].rpartition("/")[0]
    codes = [(name, sys.modules[name].__spec__.loader.get_code(name)) for name in WAITING]  # type: ignore[union-attr]
    _become([sys.executable, "-I", "-S", "-c", START, place], order, (importlib.util.MAGIC_NUMBER, codes))


def become_whole(outcome: Outcome, *, back: List[str]) -> NoReturn:
    """Become the whole agent again. Ends only by OSError: nothing changed."""
    _become(back, outcome)


def become_anew(words: List[str]) -> NoReturn:
    """Become what *words* start, with nothing handed over. Ends only by OSError: nothing changed."""
    os.execv(words[0], words)  # noqa: S606 - no shell is wanted


def taken(descriptor: int) -> Outcome:
    """What the waiting agent that this process was has come back with. Raises ValueError, EOFError, TypeError."""
    with open(descriptor, "rb") as baton:
        return Outcome(**marshal.load(baton))  # noqa: S302 - from ourselves, through memory that nobody else has


def heed_termination() -> None:
    """From now on SIGTERM ends the process, with exit code 0; as process 1 of a container it would be ignored otherwise."""
    _signal.signal(_signal.SIGTERM, _terminated)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {_signal.SIGTERM})


def _terminated(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def _become(argv: List[str], told: Union[Order, Outcome], more: Tuple[Any, ...] = ()) -> NoReturn:
    if not hasattr(os, "memfd_create"):  # a Python that was built for a C library older than glibc 2.27
        raise OSError("this Python knows no files in memory")
    descriptor = os.memfd_create("baton", 0)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            for value in (vars(told), *more):
                marshal.dump(value, file)
        os.lseek(descriptor, 0, os.SEEK_SET)
        # Held back until `heed_termination`: a service manager's stop must not meet a program that does not listen yet.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGTERM})
        os.set_inheritable(told.lock, True)
        os.execv(argv[0], [*argv, str(descriptor)])  # noqa: S606 - no shell is wanted
    except OSError:
        os.set_inheritable(told.lock, False)
        os.close(descriptor)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {_signal.SIGTERM})
        raise
