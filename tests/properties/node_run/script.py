# SPDX-License-Identifier: Apache-2.0
"""
What one history is told: which commands are sent, and which faults strike where.

A script is made of a seed and a number, prints as Python that makes it again, and can be made smaller: every order and every
fault may be left out, and what is left means the same as before.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

OPERATIONS = ("Scan", "Install", "Install", "Install")
REBOOTS = ("RebootIfNeeded", "RebootIfNeeded", "NoReboot")

# Where a fault may strike: the nth time that anything comes to this place. The numbers are what one Install comes to; a fault
# whose place is never reached does not strike.
PLACES = {
    "write": 66,  # a durable write or removal of the agent
    "call": 19,  # a request of the agent
    "commit": 17,  # a transaction of the server
    "poll": 2,  # an answer to GetMessages
    "package": 10,  # a moment of an installation: before it, between unpacking and configuring, between packages
    "refresh": 1,  # the package manager fetches its lists
    "read": 5,  # the package manager is asked
    "reboot": 1,  # the node is asked to restart
    "second": 60,  # a second of the clock, whatever happens in it
}
FAULTS = {
    "write": (
        *("kill", "kill torn", "kill after", "power", "power torn", "power after"),
        *("kill after", "power after", "disk full 40", "disk full 900"),
    ),
    "call": (
        *("lost", "answer lost", "answer lost", "late 5", "late 90", "late 700", "twice 0", "twice 20", "twice 600"),
        *("kill", "kill waiting", "kill after", "power", "power waiting", "cut 30", "cut 900", "cut 9000"),
    ),
    "commit": ("server killed", "server killed after", "server down 600", "unavailable", "unavailable after"),
    "poll": ("again", "again", "cancel"),
    "package": ("kill", "kill", "power", "power", "fails", "kill worker", "kill loop", "newer", "cut 300"),
    "refresh": ("unreachable", "unreachable", "locked", "kill", "power", "newer"),
    "read": ("newer", "newer", "behind", "kill", "power"),
    "reboot": ("refused", "ignored", "slow", "kill", "power"),
    "second": (
        *("kill loop", "kill worker", "kill child", "kill all", "power", "server killed", "server down 900"),
        *("cut 60", "newer", "newer", "behind", "cancel", "off 9000"),
    ),
}
WEIGHTS = {
    "write": 6,
    "call": 6,
    "commit": 3,
    "poll": 2,
    "package": 4,
    "refresh": 1,
    "read": 2,
    "reboot": 1,
    "second": 4,
}


@dataclass(frozen=True)
class Order:
    """A command the operator sends *at* seconds after the beginning, with its TimeoutSeconds."""

    operation: str
    reboot: str
    at: float
    timeout: int = 3600


@dataclass(frozen=True)
class Fault:
    """*what* strikes the *nth* time that something comes to *place*."""

    place: str
    nth: int
    what: str


@dataclass(frozen=True)
class Script:
    """One history. *seed* is what chance there is in it besides: how long things take, and so who comes first."""

    seed: int
    orders: tuple[Order, ...]
    faults: tuple[Fault, ...]
    skew: float = 0.0  # the node's clock minus the server's, in seconds
    failing: bool = False  # one package's configuration fails every time
    held: bool = False  # one package cannot be resolved


def script(seed: int, number: int) -> Script:
    """History *number* of a seed."""
    source = random.Random(f"node run/{seed}/{number}")
    count = source.choice((1, 1, 2, 2, 3))
    orders = tuple(
        Order(
            source.choice(OPERATIONS),
            source.choice(REBOOTS),
            0.0 if index == 0 else float(source.choice((0, 5, 30, 60, 300))),
            source.choice((3600, 3600, 3600, 30)),
        )
        for index in range(count)
    )
    faults = [_fault(source, count) for _ in range(source.choice((0, 1, 1, 2, 2, 3, 4, 6)))]
    return Script(
        source.randrange(2**32),
        orders,
        tuple(faults),
        skew=source.choice((0.0, 0.0, 0.0, 200.0, -90_000.0)),
        failing=source.random() < 0.1,
        held=source.random() < 0.1,
    )


def _fault(source: random.Random, count: int) -> Fault:
    (place,) = source.choices(list(WEIGHTS), list(WEIGHTS.values()))
    return Fault(place, 1 + int(source.random() * PLACES[place] * count), source.choice(FAULTS[place]))


def smaller(found: Script, fails: Callable[[Script], bool]) -> Script:
    """The smallest script that still *fails*, leaving out one thing after the other."""
    shrunk = True
    while shrunk:
        shrunk = False
        for candidate in _simpler(found):
            if fails(candidate):
                found, shrunk = candidate, True
                break
    return found


def _simpler(of: Script) -> Iterator[Script]:
    for index in range(len(of.faults)):
        yield replace(of, faults=of.faults[:index] + of.faults[index + 1 :])
    for index in range(len(of.orders)):
        if len(of.orders) > 1:
            yield replace(of, orders=of.orders[:index] + of.orders[index + 1 :])
    for plain in ({"skew": 0.0}, {"failing": False}, {"held": False}):
        if any(getattr(of, name) != value for name, value in plain.items()):
            yield replace(of, **plain)
