# SPDX-License-Identifier: Apache-2.0
"""The command machine: random histories of users, nodes and jobs, what must hold in every one, and mutants that are found."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from patchwright.core.invocation import Detail
from patchwright.server.commands import invocation_store, moving, recording, steering, tally, tally_store
from patchwright.server.infra import sql
from properties.command_machine.history import play
from properties.command_machine.house import few_at_a_time
from properties.node_run.central import SHELF

FULL = os.environ.get("PATCHWRIGHT_FULL", "") not in ("", "0")
SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))
COUNT = 50_000 if FULL else 400
SHARDS = 50 if FULL else 2  # so that a parallel run shares the work
EXPECTED = (
    *("Success", "Failed", "Cancelled", "Terminated", "DeliveryTimedOut", "Undeliverable", "InvalidPlatform"),
    *("lost", "doubled"),
)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_history_breaks_an_invariant(shard):
    """What has ended stays, counts add up, no more than may be are in flight, and nothing begins that was stopped."""
    seen: Counter[str] = Counter()
    with few_at_a_time():
        for number in itertools.count(shard, SHARDS):
            if number >= COUNT and (number >= 5 * COUNT or all(seen[what] for what in EXPECTED)):
                break  # what has luck to thank for what it draws goes on until all has been seen
            broken, happened = play(SEED, number)
            assert not broken, broken
            seen.update(happened)

    assert all(seen[what] for what in EXPECTED), seen


Mutant = Callable[[], AbstractContextManager[Any]]
MUTANTS: dict[str, Mutant] = {}
MUTANTS_SEED, HISTORIES = 20_261_120, 400  # within which every mutant is found


def mutant(make: Mutant) -> Mutant:
    """A mutant by its function's name."""
    MUTANTS[make.__name__] = make
    return make


@mutant
def one_more_may_be_under_way() -> Any:
    careful = moving.next_batch
    return mock.patch.object(
        moving,
        "next_batch",
        lambda tally, *, max_concurrency, **more: careful(tally, max_concurrency=max_concurrency + 1, **more),
    )


@mutant
def errors_are_not_counted() -> Any:
    careful = moving.next_batch
    return mock.patch.object(moving, "next_batch", lambda tally, **more: careful(replace(tally, errors=0), **more))


@mutant
def one_error_more_is_allowed() -> Any:
    careful = moving.next_batch
    return mock.patch.object(
        moving, "next_batch", lambda tally, *, max_errors, **more: careful(tally, max_errors=max_errors + 1, **more)
    )


@mutant
def a_reply_after_the_end_counts() -> Any:
    stack = ExitStack()
    stack.enter_context(mock.patch.object(moving, "advance", lambda _current, wanted: wanted))
    stack.enter_context(mock.patch.object(Detail, "final", property(lambda _self: False)))
    return stack


@mutant
def what_has_ended_goes_on_when_much_is_said_at_once() -> Any:
    stack = ExitStack()
    stack.enter_context(mock.patch.object(recording, "_UNDER_WAY", frozenset(Detail)))
    stack.enter_context(mock.patch.object(recording, "TRANSITIONS", dict.fromkeys(Detail, frozenset(Detail))))
    return stack


@mutant
def nobody_looks_what_many_replies_come_to() -> Any:
    def settle(*_args: Any, **_more: Any) -> Any:
        yield from ()
        return []

    return mock.patch.object(recording, "settle", settle)


@mutant
def a_reply_counts_twice() -> Any:
    def move(scope: Any, command_id: str, changes: Any) -> Any:
        return (yield from careful(scope, command_id, {name: 2 * number for name, number in changes.items()}))

    careful = tally_store.move
    return mock.patch.object(tally_store, "move", move)


@mutant
def what_is_released_is_not_counted() -> Any:
    return mock.patch.object(invocation_store, "let_go", return_value=Counter())


@mutant
def a_cancelled_command_goes_on() -> Any:
    def end_waiting(scope: Any, command_id: str, _detail: Detail, *, cancelling: bool) -> Any:
        stands = yield from tally_store.find(scope, command_id)
        return replace(stands, cancelling=cancelling)

    return mock.patch.object(steering.tally_store, "end_waiting", end_waiting)


@mutant
def what_is_cancelled_is_delivered() -> Any:
    return mock.patch.object(invocation_store, "_CANCELLING", "Nothing")


@mutant
def a_cancel_is_handed_over_once() -> Any:
    def mark(scope: Any, instance_id: str, command_ids: Any, *, visible_at: float) -> Any:
        return (yield from careful(scope, instance_id, command_ids, visible_at=visible_at + 1e6))

    careful = invocation_store.mark_cancel_delivered
    return mock.patch.object(invocation_store, "mark_cancel_delivered", mark)


@mutant
def what_begins_does_not_wait_for_all_targets() -> Any:
    def going_on(scope: Any, command_id: str, instance_id: str) -> Any:
        yield from careful(scope, command_id, instance_id)
        yield from invocation_store.release(scope, command_id, 1)

    careful = tally_store.go_on_after
    return mock.patch.object(tally_store, "go_on_after", going_on)


@mutant
def time_runs_out_for_what_has_ended() -> Any:
    def overdue(*, now: float, limit: int) -> Any:
        rows = yield sql(
            f"SELECT {invocation_store._INVOCATION} FROM invocation WHERE due_at <= $1 ORDER BY due_at DESC LIMIT $2",
            now,
            limit,
        )
        return [invocation_store._invocation(row) for row in rows]

    return mock.patch.object(invocation_store, "overdue", overdue)


@mutant
def an_end_is_not_told() -> Any:
    def tell(*_args: Any, **_more: Any) -> Any:
        yield from ()

    return mock.patch.object(moving, "tell_invocations", tell)


@mutant
def nobody_goes_on_with_what_is_left() -> Any:
    def resume_at(*_args: Any) -> Any:
        yield from ()

    return mock.patch.object(tally_store, "resume_at", resume_at)


@mutant
def a_command_ends_before_its_nodes() -> Any:
    careful = tally.aggregate_counts

    def aggregate(counts: Any, **more: Any) -> Detail:
        return careful({detail: number for detail, number in counts.items() if detail.final} or counts, **more)

    return mock.patch.object(tally, "aggregate_counts", aggregate)


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_the_model_finds(name):
    """What the room is careful about is taken away, one thing at a time, and it is seen."""
    with few_at_a_time(), MUTANTS[name]():
        for number in range(HISTORIES):
            try:
                broken, _ = play(MUTANTS_SEED, number)
            except Exception as error:
                SHELF.renew()
                broken = repr(error)
            if broken:
                return
    pytest.fail(f"{name} is not found in {HISTORIES} histories")
