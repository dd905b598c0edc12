# SPDX-License-Identifier: Apache-2.0
"""
Many replies at once (spec agent-protocol §8.3); a unit of work.

The same as `moving.record` for each in its turn, but that a command is settled once for all of them: what costs by reply is one
row of each table it concerns. Whatever is not plain (late, being cancelled, refused) is recorded by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from patchwright.core.errors import PatchwrightError
from patchwright.core.invocation import TRANSITIONS, Detail
from patchwright.server.accounts import Scope
from patchwright.server.commands import invocation_store, store, tally_store
from patchwright.server.commands.model import Invocation, Reply
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


class _Move(NamedTuple):
    """One invocation that became something else."""

    instance_id: str
    before: Detail
    after: Detail


def record_all(said: Sequence[Said], *, now: float, fresh_ids: Iterator[str]) -> UnitOfWork[Recorded]:
    """Take replies in the order in which they came; of one node's each follows on the one before."""
    result = Recorded([], [], {})
    groups: dict[tuple[Scope, str], list[int]] = {}
    for place, one in enumerate(said):
        groups.setdefault((one.scope, one.command_id), []).append(place)
    for places in groups.values():
        left = yield from _record_plain(said, places, result, now=now, fresh_ids=fresh_ids)
        for place in left:
            yield from _record_one(said[place], place, result, now=now, fresh_ids=fresh_ids)
    return result


def _record_one(one: Said, place: int, result: Recorded, *, now: float, fresh_ids: Iterator[str]) -> UnitOfWork[None]:
    if one.reply is None:
        yield from invocation_store.acknowledge(one.scope, one.command_id, one.instance_id, now=now)
        return
    try:
        ended, released = yield from record(one.scope, one.instance_id, one.reply, now=now, fresh_ids=fresh_ids)
    except InfraError:
        raise
    except PatchwrightError as error:  # found before anything was written
        result.refused[place] = error
        return
    result.released += released
    if ended:
        result.ended.append(one)


def _record_plain(
    said: Sequence[Said], places: Sequence[int], result: Recorded, *, now: float, fresh_ids: Iterator[str]
) -> UnitOfWork[list[int]]:
    """Record what is plain of the replies on one command; returns the places of those that are left."""
    scope, command_id = said[places[0]].scope, said[places[0]].command_id
    nodes = list(dict.fromkeys(said[place].instance_id for place in places))
    before = yield from invocation_store.find_some(scope, command_id, nodes)
    plain, left = _sorted_out(said, places, before)
    asked = dict.fromkeys((one.instance_id, one.reply.id) for one in plain if one.reply is not None)
    fresh = yield from invocation_store.take_replies(scope, list(asked), now=now)
    changed: dict[str, Invocation] = {}
    moves: list[_Move] = []
    for one in plain:
        found = changed.get(one.instance_id, before[one.instance_id])
        changed[one.instance_id] = found
        if one.reply is None or (one.instance_id, one.reply.id) not in fresh:
            continue
        fresh.discard((one.instance_id, one.reply.id))
        after = changed[one.instance_id] = _after(found, one.reply, now=now)
        if after.detail is not found.detail:
            moves.append(_Move(one.instance_id, found.detail, after.detail))
            if after.detail.final:
                result.ended.append(one)
    yield from invocation_store.put_reported(list(changed.values()), now=now)
    if moves:
        result.released += yield from _tell(scope, command_id, moves, now=now, fresh_ids=fresh_ids)
    return left


def _sorted_out(
    said: Sequence[Said], places: Sequence[int], before: Mapping[str, Invocation]
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


def _after(invocation: Invocation, reply: Reply, *, now: float) -> Invocation:
    """An invocation that is under way, after *reply*."""
    steps = merged(invocation.steps, reply.steps)
    final = reply.detail.final
    return replace(
        invocation,
        detail=reply.detail,
        steps=steps,
        trace=reply.trace or invocation.trace,
        response_code=exit_code(steps) if final else -1,
        ended_at=now if final else None,
    )


def _tell(
    scope: Scope, command_id: str, moves: Sequence[_Move], *, now: float, fresh_ids: Iterator[str]
) -> UnitOfWork[list[str]]:
    """Count and tell of what became of invocations of a command, and settle it; returns the nodes that may start now."""
    head = (yield from store.heads(scope, [command_id]))[command_id]
    changes = Counter[str]()
    for (before, after), number in Counter((move.before, move.after) for move in moves).items():
        changes.update(moved(before, after, released=True, number=number))
    by_detail: dict[Detail, list[str]] = {}
    for move in moves:
        by_detail.setdefault(move.after, []).append(move.instance_id)
    for detail in sorted(by_detail, key=lambda one: one.final):  # beginnings before ends
        nodes = by_detail[detail]
        which = [(command_id, node, next(fresh_ids)) for node in nodes]
        yield from invocation_store.add_events(scope, which, detail, "reply", now=now)
        yield from tell_invocations(head, nodes, detail, now=now)
    stands = yield from tally_store.move(scope, command_id, changes)
    return (yield from settle(scope, command_id, stands, now=now))
