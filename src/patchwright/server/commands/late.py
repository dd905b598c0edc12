# SPDX-License-Identifier: Apache-2.0
"""
Commands that have to end by some moment: what would last longer is not begun (docs/adr/0036); units of work.

A node is judged when its turn comes, by the seconds that were noted for it when the command was sent. Where nothing is known
of it, it is begun, as long as there is any time left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from patchwright.core.invocation import Detail
from patchwright.server.accounts import Scope
from patchwright.server.commands import invocation_store, store, tally_store
from patchwright.server.commands.model import TOGETHER
from patchwright.server.commands.tally import Standing
from patchwright.server.commands.telling import tell_invocations
from patchwright.server.infra import UnitOfWork

_MINUTE = 60
_AHEAD = 100  # nodes beyond those that may begin, which are looked at together
_TURNED_AWAY = Detail.DELIVERY_TIMED_OUT  # the time for it was over before it could be handed over


class TurnedAway(NamedTuple):
    """How many nodes of a command were not begun, and whether all others succeeded."""

    number: int
    rest_succeeded: bool


def release_in_time(
    scope: Scope, command_id: str, stands: Standing, places: int, *, end_by: float, now: float
) -> UnitOfWork[tuple[list[str], Standing]]:
    """
    Let the next ones be delivered, at most *places*, that end by *end_by*, and end those whose turn it is and that do not.

    Looks at no more than `TOGETHER` at a time; a job goes on with the rest.
    """
    released: list[str] = []
    seen, left = 0, end_by - now
    while places and stands.waiting and seen < TOGETHER:
        late: dict[str, str] = {}
        fitting = 0
        front = yield from invocation_store.front(scope, command_id, limit=places + _AHEAD)
        if not front:
            return released, stands
        for node, needs in front:
            if fitting == places:
                break
            if left <= 0 or (needs or 0.0) > left:
                late[node] = why(needs, left)
            else:
                fitting += 1
        if late:
            stands = yield from _turn_away(scope, command_id, late, now=now)
        if fitting:
            some, stands = yield from invocation_store.release(scope, command_id, stands, fitting, now=now)
            released += some
        places -= fitting
        seen += len(late) + fitting
    if places and stands.waiting:
        yield from tally_store.resume_at(scope, command_id, now)
    return released, stands


def turned_away(scope: Scope, command_id: str) -> UnitOfWork[TurnedAway]:
    """What of a command was not begun since it would have ended too late."""
    stands: Standing | None = yield from tally_store.find(scope, command_id)
    if stands is None or stands.end_by is None:
        return TurnedAway(0, True)
    number = yield from invocation_store.count_turned_away(scope, command_id, _TURNED_AWAY)
    return TurnedAway(number, stands.ended[Detail.SUCCESS] + number == stands.completed)


def why(needs: float | None, left: float) -> str:
    """What is said of a node that is not begun with *left* seconds to go."""
    if left <= 0 or needs is None:
        return "Not begun: no time is left."
    return f"Not begun: needs {spelt(needs, up=True)} (p95), {spelt(left)} left."


def spelt(seconds: float, *, up: bool = False) -> str:
    """Seconds for people: `45 s`, `14 min`, `2 h 5 min`; what is less than a unit counts as a whole one if *up*, else as none."""
    if seconds < 2 * _MINUTE:
        return f"{_whole(seconds, 1, up)} s"
    minutes = _whole(seconds, _MINUTE, up)
    if minutes < 2 * _MINUTE:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours} h {minutes} min"


def _whole(seconds: float, unit: int, up: bool) -> int:
    return -int(-seconds // unit) if up else int(seconds // unit)


def _turn_away(scope: Scope, command_id: str, late: Mapping[str, str], *, now: float) -> UnitOfWork[Standing]:
    stands: Standing = yield from invocation_store.turn_away(scope, command_id, late, _TURNED_AWAY, now=now)
    for reason in dict.fromkeys(late.values()):
        nodes = [node for node, told in late.items() if told == reason]
        yield from invocation_store.add_history(scope, command_id, nodes, _TURNED_AWAY, reason, now=now)
    head = (yield from store.heads(scope, [command_id]))[command_id]
    yield from tell_invocations(head, list(late), _TURNED_AWAY, now=now)
    return stands
