# SPDX-License-Identifier: Apache-2.0
"""
Many replies at once (spec agent-protocol §8.3); a unit of work.

The same as `moving.record` for each in its turn, but that a command is settled once for all of them: what costs by reply is one
row of each table it concerns. Whatever is not plain (late, being cancelled, refused) is recorded by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from patchwright.core.errors import PatchwrightError
from patchwright.core.invocation import TRANSITIONS, Detail
from patchwright.server.accounts import Scope
from patchwright.server.commands import invocation_store, store, tally_store
from patchwright.server.commands.invocation_store import Reported
from patchwright.server.commands.model import Reply, hear
from patchwright.server.commands.moving import exit_code, merged, record, settle
from patchwright.server.commands.tally import moved
from patchwright.server.commands.telling import tell_invocations
from patchwright.server.infra import InfraError, UnitOfWork

_UNDER_WAY = frozenset({Detail.PENDING, Detail.DELAYED, Detail.IN_PROGRESS})


class Said(NamedTuple):
    """A reply of a node; without one (None) it only has the command."""

    scope: Scope
    instance_id: str
    command_id: str
    reply: Reply | None


@dataclass
class Recorded:
    """What came of several replies: the nodes that may start now, who ended by which reply, and which were refused, and why."""

    released: list[str]
    ended: list[Said]
    refused: dict[int, PatchwrightError]  # by the place of the reply


def record_all(said: Sequence[Said], *, now: float) -> UnitOfWork[Recorded]:
    """Take replies in the order in which they came; of one node's each follows on the one before."""
    result = Recorded([], [], {})
    groups: dict[tuple[Scope, str], list[int]] = {}
    for place, one in enumerate(said):
        groups.setdefault((one.scope, one.command_id), []).append(place)
    for places in groups.values():
        left = yield from _record_plain(said, places, result, now=now)
        for place in left:
            yield from _record_one(said[place], place, result, now=now)
    return result


def _record_one(one: Said, place: int, result: Recorded, *, now: float) -> UnitOfWork[None]:
    if one.reply is None:
        yield from invocation_store.acknowledge(one.scope, one.command_id, one.instance_id, now=now)
        return
    try:
        ended, released = yield from record(one.scope, one.instance_id, one.reply, now=now)
    except InfraError:
        raise
    except PatchwrightError as error:  # found before anything was written
        result.refused[place] = error
        return
    result.released += released
    if ended:
        result.ended.append(one)


def _record_plain(
    said: Sequence[Said], places: Sequence[int], result: Recorded, *, now: float
) -> UnitOfWork[list[int]]:
    """Record what is plain of the replies on one command; returns the places of those that are left."""
    scope, command_id = said[places[0]].scope, said[places[0]].command_id
    nodes = list(dict.fromkeys(said[place].instance_id for place in places))
    found = yield from invocation_store.reported(scope, command_id, nodes)
    plain, left = _sorted_out(said, places, found)
    moves: dict[tuple[Detail, Detail], list[str]] = {}
    for one in plain:
        if one.reply is None:
            continue
        stands = found[one.instance_id]
        before, heard = stands.detail, hear(stands.heard, one.reply.id)
        if heard == stands.heard:
            continue
        stands.heard = heard
        _take(stands, one.reply, now=now)
        if stands.detail is not before:
            moves.setdefault((before, stands.detail), []).append(one.instance_id)
            if stands.detail.final:
                result.ended.append(one)
    changed = [found[node] for node in dict.fromkeys(one.instance_id for one in plain)]
    yield from invocation_store.put_reported(scope, command_id, changed, now=now)
    if moves:
        result.released += yield from _tell(scope, command_id, moves, now=now)
    return left


def _sorted_out(
    said: Sequence[Said], places: Sequence[int], before: Mapping[str, Reported]
) -> tuple[list[Said], list[int]]:
    """Which replies say nothing but how a command that is under way goes on, and the places of all others."""
    stands = {name: one.detail for name, one in before.items() if one.released and one.detail in _UNDER_WAY}
    plain, left = [], []
    for place in places:
        one = said[place]
        detail = stands.get(one.instance_id)
        wanted = detail if one.reply is None else one.reply.detail
        if detail is None or wanted is None or (wanted is not detail and wanted not in TRANSITIONS[detail]):
            stands.pop(one.instance_id, None)  # what follows on it is not plain either
            left.append(place)
            continue
        plain.append(one)
        stands[one.instance_id] = wanted
        if wanted.final:
            del stands[one.instance_id]
    return plain, left


def _take(stands: Reported, reply: Reply, *, now: float) -> None:
    """Note *reply* on an invocation that is under way."""
    stands.detail = reply.detail
    if reply.steps:
        stands.steps = merged(stands.steps, reply.steps)
    if reply.trace:
        stands.trace = reply.trace
    if reply.detail.final:
        stands.response_code, stands.ended_at = exit_code(stands.steps), now


def _tell(
    scope: Scope, command_id: str, moves: Mapping[tuple[Detail, Detail], Sequence[str]], *, now: float
) -> UnitOfWork[list[str]]:
    """
    Count and tell of what became of invocations of a command, and settle it; returns the nodes that may start now.

    *moves* are the nodes by what their invocations were and became.
    """
    head = (yield from store.heads(scope, [command_id]))[command_id]
    changes = Counter[str]()
    by_detail: dict[Detail, list[str]] = {}
    for (before, after), nodes in moves.items():
        changes.update(moved(before, after, released=True, number=len(nodes)))
        by_detail.setdefault(after, []).extend(nodes)
    for detail in sorted(by_detail, key=lambda one: one.final):  # beginnings before ends
        yield from invocation_store.add_history(scope, command_id, by_detail[detail], detail, "reply", now=now)
        yield from tell_invocations(head, by_detail[detail], detail, now=now)
    stands = yield from tally_store.move(scope, command_id, changes)
    return (yield from settle(scope, command_id, stands, now=now))
