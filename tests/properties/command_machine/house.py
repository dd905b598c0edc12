# SPDX-License-Identifier: Apache-2.0
"""The commands room over SQLite in memory, and what is watched after every transaction."""

from __future__ import annotations

import itertools
import random
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from patchwright.core.invocation import ERRORS, FINAL, Detail
from patchwright.server import commands, nodes
from patchwright.server.accounts import Scope
from patchwright.server.commands import jobs, moving, sending, steering, store, targets
from patchwright.server.commands.tally import ENDS
from patchwright.server.nodes import Machine
from properties.node_run.central import SHELF, finish

PRINCIPAL = "arn:aws:iam::000000000001:root"
DOCUMENT = "AWS-RunShellScript"
START = 1_795_147_200.0
FEW = 2  # invocations that one transaction touches here, so that nothing is done in one
UNREACHED = {Detail.UNDELIVERABLE, Detail.INVALID_PLATFORM, Detail.ACCESS_DENIED}


@contextmanager
def few_at_a_time() -> Any:
    """Everything that is done in parts is done in parts of two."""
    with ExitStack() as stack:
        for module, name in (
            (targets, "TOGETHER"),
            (moving, "TOGETHER"),
            (jobs, "TOGETHER"),
            (steering, "CANCEL_TOGETHER"),
        ):
            stack.enter_context(mock.patch.object(module, name, FEW))
        yield


class Broken(AssertionError):
    """An invariant does not hold."""


class House:
    """One history's account, its clock, and what is known of its commands from before."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.memory, number = SHELF.memory()
        self.scope = Scope(f"{number:012}", "eu-north-1")
        self.now = START
        self.lines: list[str] = []
        self.commands: list[str] = []
        self.known: dict[tuple[str, str], tuple[str, int]] = {}  # detail and released, by command and node
        self.details: dict[str, str] = {}
        self.stopped: set[str] = set()  # commands of which no more may begin
        self._unknown = dice.random() < 0.3
        self._numbers = itertools.count(1)

    def enrol(self, number: int) -> list[str]:
        """New nodes; some are not for this document."""
        clock = mock.Mock(now=lambda: self.now)
        service = nodes.Service(self.memory, clock)  # type: ignore[arg-type]
        activation, code = finish(service.create_activation(self.scope, role="node", registration_limit=number))
        found = []
        for place in range(number):
            platform = "Windows" if self.dice.random() < 0.1 else "Linux"
            enrolling = self.memory.write(
                nodes.enrol,
                activation.id,
                code,
                f"token-{self.scope.account}-{place}",
                Machine(platform_type=platform),
                now=self.now,
                fresh_id=f"mi-{int(self.scope.account):09x}{self.dice.getrandbits(32):08x}",
            )
            found.append(finish(enrolling)[0].instance_id)
        return found

    def write(self, what: str, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """One transaction, and then a look at everything."""
        self.lines.append(f"{self.now - START:8.0f} {what}")
        result = finish(self.memory.write(work, *args, **kwargs))
        self.look()
        return result

    def ids(self) -> Any:
        """Ids of events, each of them new."""
        return (str(uuid.UUID(int=self.dice.getrandbits(128))) for _ in itertools.count())

    # ---------------------------------------------------------------------------------------------- invariants

    def look(self) -> None:
        """What must hold after every transaction."""
        for command_id, detail, count, most, errors_most in self.memory.rows(
            "SELECT id, detail, target_count, max_concurrency, max_errors FROM command WHERE account = ? AND region = ?",
            *self.scope,
        ):
            self._look_at(command_id, Detail(detail), count, most, errors_most)

    def _look_at(self, command_id: str, detail: Detail, count: int, most: str, errors_most: str) -> None:
        rows = self.memory.rows(
            "SELECT instance_id, detail, released, ended_at FROM invocation WHERE account = ? AND region = ?"
            " AND command_id = ?",
            *self.scope,
            command_id,
        )
        complete = self._check_counts(command_id, rows)
        if count != len(rows):
            raise Broken(f"{command_id} counts {count} targets and has {len(rows)}")
        errors_before = sum(
            Detail(before) in ERRORS for (one, _), (before, _) in self.known.items() if one == command_id
        )
        budget = _resolved(errors_most, count, least=0)
        in_flight = 0
        for instance_id, now_is, released, ended_at in rows:
            was, was_released = self.known.get((command_id, instance_id), ("Pending", 0))
            self._check_move(command_id, instance_id, was, now_is, ended_at)
            if released and not was_released:
                if errors_before > budget or command_id in self.stopped:
                    raise Broken(f"{command_id} begins on {instance_id} though it was stopped")
                if not complete:
                    raise Broken(f"{command_id} begins on {instance_id} before all its targets are known")
            in_flight += bool(released) and ended_at is None
            self.known[command_id, instance_id] = now_is, released
        if complete and in_flight > _resolved(most, count, least=1):
            raise Broken(f"{command_id} has {in_flight} in flight, and may have {most} of {count}")
        self._check_whole(command_id, detail, rows, budget, complete=complete)

    def _check_counts(self, command_id: str, rows: list[tuple[Any, ...]]) -> bool:
        names = ("waiting", "under_way", "begun", *ENDS.values())
        ((*counted, looking),) = self.memory.rows(
            f"SELECT {', '.join(names)}, spread_after FROM command_tally WHERE account = ? AND region = ?"
            " AND command_id = ?",
            *self.scope,
            command_id,
        )
        true: Counter[str] = Counter()
        for _, detail, released, _ in rows:
            if Detail(detail) in FINAL:
                true[ENDS[Detail(detail)]] += 1
            else:
                true["under_way" if released else "waiting"] += 1
                true["begun"] += detail != "Pending"
        if [true[name] for name in names] != counted:
            raise Broken(f"{command_id} counts {dict(zip(names, counted, strict=True))} and has {dict(true)}")
        return looking is None

    def _check_move(self, command_id: str, instance_id: str, was: str, now_is: str, ended_at: float | None) -> None:
        if Detail(was) in FINAL and now_is != was:
            raise Broken(f"{command_id} had ended on {instance_id} as {was}, and is {now_is}")
        if (Detail(now_is) in FINAL) != (ended_at is not None):
            raise Broken(f"{command_id} is {now_is} on {instance_id}, and ended at {ended_at}")

    def _check_whole(
        self, command_id: str, detail: Detail, rows: list[tuple[Any, ...]], budget: int, *, complete: bool
    ) -> None:
        before = self.details.get(command_id, "Pending")
        if Detail(before) in FINAL and before != detail:
            raise Broken(f"{command_id} had ended as {before}, and is {detail.value}")
        found = Counter(Detail(row[1]) for row in rows)
        if complete and (set(found) <= set(FINAL)) != (detail in FINAL):
            raise Broken(f"{command_id} is {detail.value}, and its invocations are {dict(found)}")
        if detail is Detail.SUCCESS and not (found[Detail.SUCCESS] and set(found) <= {Detail.SUCCESS, *UNREACHED}):
            raise Broken(f"{command_id} is a Success of {dict(found)}")
        errors = sum(found[one] for one in ERRORS)
        if detail is Detail.INCOMPLETE and errors > budget:
            raise Broken(f"{command_id} is Incomplete with {errors} errors where {budget} may be")
        self.details[command_id] = detail.value


def _resolved(rate: str, count: int, *, least: int) -> int:
    number = int(rate.rstrip("%"))
    return max(count * number // 100 if rate.endswith("%") else number, least)


def everything(_scope: Scope, _owner: str, _request: Any, _now: float) -> Any:
    """Rights of root."""
    yield from ()


__all__ = ["Broken", "House", "commands", "everything", "few_at_a_time", "sending", "store"]
