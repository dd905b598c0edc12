# SPDX-License-Identifier: Apache-2.0
"""The model can fail: what the agent and the server are careful about is taken away, one thing at a time, and it is seen."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from patchwright.agent import child, client, command_run, disk, journal, loop, outbox, patch_run, reboot
from patchwright.core.invocation import Detail
from patchwright.core.protocol import Report
from patchwright.server import gateway
from patchwright.server.commands import moving
from patchwright.server.patching import operation_store, report
from properties.node_run import history, seams
from properties.node_run.script import Order, Script, script

SEED = 20_261_120
HISTORIES = 2_000  # within which every mutant is found, also when histories change

Mutant = Callable[[], contextlib.AbstractContextManager[Any]]
MUTANTS: dict[str, tuple[Mutant, str, int]] = {}


@pytest.fixture(autouse=True)
def in_place() -> Iterator[None]:
    """The agent lives in the model's world."""
    with seams.in_place():
        yield


def mutant(finding: str, *, seen: int = 0) -> Callable[[Mutant], Mutant]:
    """A mutant by its function's name, words of what is found, and a history that broke once: it is played first."""

    def keep(make: Mutant) -> Mutant:
        MUTANTS[make.__name__] = make, finding, seen
        return make

    return keep


@mutant("", seen=109)
def a_delivery_that_comes_again_begins_anew() -> Any:
    accept = journal.Journal.accept

    def careless(self: journal.Journal, command_id: str, **members: Any) -> bool:
        for stage in journal.STAGES:
            self._path(stage, command_id).unlink(missing_ok=True)
        return accept(self, command_id, **members)

    return mock.patch.object(journal.Journal, "accept", careless)


@mutant("is done again though its result was written", seen=2)
def a_result_is_not_looked_for() -> Any:
    obtain = child.obtain

    def careless(bench: Any, task: str, directory: Any, request: Any, **how: Any) -> Any:
        (directory / child.RESULT).unlink(missing_ok=True)
        return obtain(bench, task, directory, request, **how)

    return mock.patch.object(child, "obtain", careless)


@mutant("restart")
def a_restart_is_asked_for_whatever_boot_this_is() -> Any:
    go_on = patch_run.PatchRun._reboot

    def careless(self: patch_run.PatchRun) -> None:
        reboot.request(self._desk.bench.shell)
        go_on(self)

    return mock.patch.object(patch_run.PatchRun, "_reboot", careless)


@mutant("is under way", seen=19)
def a_reply_is_removed_before_it_is_confirmed() -> Any:
    send = outbox.Outbox._send

    def careless(self: outbox.Outbox, speaker: Any, path: Any) -> None:
        with mock.patch.object(self, "_disk", mock.Mock()):
            kept = path.read_bytes() if path.exists() else b""
            path.unlink(missing_ok=True)
            if kept:
                copy = path.with_name(".sent")
                copy.write_bytes(kept)
                send(self, speaker, copy)

    return mock.patch.object(outbox.Outbox, "_send", careless)


@mutant("is under way")
def the_last_reply_is_not_stored() -> Any:
    put = outbox.Outbox.put

    def careless(self: outbox.Outbox, command_id: str, position: int, **members: Any) -> None:
        if position != outbox.FINAL:
            put(self, command_id, position, **members)

    return mock.patch.object(outbox.Outbox, "put", careless)


@mutant("is under way", seen=99)
def a_delivery_is_acknowledged_before_it_is_journalled() -> Any:
    take = loop.Loop._take_in

    def careless(self: loop.Loop, message: dict[str, Any]) -> None:
        self._settled("AcknowledgeMessage", {"MessageId": message["MessageId"]})
        take(self, message)

    return mock.patch.object(loop.Loop, "_take_in", careless)


@mutant("", seen=14)
def names_are_not_synced() -> Any:
    return mock.patch.object(disk, "sync_directory", return_value=None)


@mutant("", seen=489)
def only_the_last_of_new_directories_is_synced() -> Any:
    def careless(self: disk.Disk, *parts: str) -> Any:
        path = self.root.joinpath(*parts)
        if not path.is_dir():
            path.mkdir(parents=True)
            disk.sync_directory(path.parent)
        return path

    return mock.patch.object(disk.Disk, "directory", careless)


@mutant("InstalledPendingReboot", seen=77)
def what_a_plan_brought_is_forgotten() -> Any:
    return mock.patch.object(operation_store, "acts_of_boot", _finding_nothing)


@mutant("", seen=72)
def locks_hold_nobody_off() -> Any:
    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch.object(disk.Lock, "held", return_value=False))
    stack.enter_context(mock.patch.object(disk.Lock, "take_from_lookers", return_value=True))
    return stack


@mutant("is under way")
def a_wrong_clock_is_never_noticed() -> Any:
    return mock.patch.object(client.Client, "_learn_offset", return_value=False)


@mutant("is under way")
def a_worker_that_died_is_not_replaced() -> Any:
    ensure = loop.Workers.ensure

    def careless(self: loop.Workers, environment: Any) -> None:
        if self._process is None:
            ensure(self, environment)

    return mock.patch.object(loop.Workers, "ensure", careless)


@mutant("the agent's last word")
def an_interrupted_command_is_called_failed_after_its_end() -> Any:
    end = command_run.CommandRun._end

    def careless(self: command_run.CommandRun, entry: Any) -> None:
        if entry["runs"] > 1:
            entry["final"] = {"status": "Failed", "payload": self._payload(entry, "Failed", entry["steps"])}
        end(self, entry)

    return mock.patch.object(command_run.CommandRun, "_end", careless)


@mutant("")
def what_has_ended_goes_on() -> Any:
    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch.object(moving, "advance", lambda _current, wanted: wanted))
    stack.enter_context(mock.patch.object(moving, "hear", lambda heard, _reply_id: f"{heard}."))
    stack.enter_context(mock.patch.object(Detail, "final", property(lambda _self: False)))
    return stack


@mutant("operations", seen=5)
def every_begin_makes_an_operation() -> Any:
    return mock.patch.object(operation_store, "of_step", _finding)


@mutant("is a Success without", seen=3)
def an_install_always_succeeds() -> Any:
    finished = report.finished

    def careless(*args: Any, **members: Any) -> Report:
        said = finished(*args, **members)
        return Report(True, said.text, said.error)

    return mock.patch.object(report, "finished", careless)


@mutant("is under way", seen=33)
def nothing_times_out() -> Any:
    async def careless(_database: Any, _clock: Any) -> int:
        return 0

    return mock.patch.object(gateway, "sweep", careless)


def _finding_nothing(*_args: Any) -> Iterator[Any]:
    """A unit of work that finds no rows."""
    return []
    yield


def _finding(*_args: Any) -> Iterator[Any]:
    """A unit of work that finds nothing."""
    return None
    yield


# All of them where everything is run, else six, by the seed.
_chance = random.Random(f"mutants {os.environ.get('PATCHWRIGHT_SEED', '20261120')}")
DRAWN = list(MUTANTS) if os.environ.get("PATCHWRIGHT_FULL") else _chance.sample(sorted(MUTANTS), 6)


@pytest.mark.parametrize("name", DRAWN)
def test_a_careless_program_is_found_out(name):
    """Within a few hundred histories one breaks, and says what the carelessness led to."""
    make, finding, seen = MUTANTS[name]
    with make():
        for number in (seen, *range(HISTORIES)):
            problems = history.play(script(SEED, number))
            if problems:
                break
    print(f"\n{name}: history {number}: {problems[:1]}")

    assert problems
    assert any(finding in line for line in problems), problems


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE invocation SET detail = 'Failed', ended_at = ended_at + 1",
        "UPDATE invocation SET detail = 'InProgress', ended_at = NULL",
        "UPDATE operation SET state = 'failed'",
    ],
)
def test_what_has_ended_is_watched(change):
    """The database tells of every change to an invocation or operation that has ended."""
    played = history.run(Script(1, (Order("Scan", "NoReboot", 0.0),), ()))
    assert played.world.problems == []
    played.central.memory.rows(f"{change} WHERE account = ?", played.central.scope.account)
    played.judge.at_rest()
    history.SHELF.renew()

    assert any(" that " in line and " became " in line for line in played.world.problems)
