# SPDX-License-Identifier: Apache-2.0
"""
The server: its real rooms and its real gateway, over SQLite in memory, called without HTTP.

Every request and every use case is a process of its own, so that a server that is killed forgets all of them at once. What a
transaction committed stays. Triggers in the database watch that what has ended does not change.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from patchwright.core.invocation import Detail
from patchwright.core.protocol import message_id
from patchwright.server import aws, commands, gateway, nodes, patching
from patchwright.server.accounts import Scope
from patchwright.server.commands import Request, Waking
from patchwright.server.gateway import Exchange, Messages
from patchwright.server.infra import Unavailable, schema
from patchwright.server.infra.sqlite_connection import Connection
from patchwright.server.nodes import Machine as Described
from patchwright.server.wire import ApiError, Caller
from properties.node_run.script import Order
from properties.node_run.world import Killed, Process, World

SWEEP_SECONDS = 5.0
RESTART_SECONDS = 5.0
HISTORIES_LIMIT = 200  # that share one database
PRINCIPAL = "arn:aws:iam::000000000001:root"
WATCH = """
CREATE TEMP TABLE broken (what TEXT);
CREATE TEMP TRIGGER invocation_ended BEFORE UPDATE ON main.invocation WHEN OLD.ended_at IS NOT NULL
  AND (OLD.detail <> NEW.detail OR NEW.ended_at IS NULL OR OLD.ended_at <> NEW.ended_at)
  BEGIN INSERT INTO broken VALUES ('an invocation that ended as ' || OLD.detail || ' became ' || NEW.detail); END;
CREATE TEMP TRIGGER operation_ended BEFORE UPDATE ON main.operation WHEN OLD.ended_at IS NOT NULL
  AND (OLD.state <> NEW.state OR NEW.ended_at IS NULL OR OLD.ended_at <> NEW.ended_at OR OLD.report <> NEW.report
       OR OLD.states_digest <> NEW.states_digest OR OLD.failures <> NEW.failures)
  BEGIN INSERT INTO broken VALUES ('an operation that had ' || OLD.state || ' became ' || NEW.state); END;
"""


def finish(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that waits for nothing but the world comes to."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the server waits for something outside this world")


class Memory:
    """A database with the product's own driver, in memory. One transaction at a time; the world goes on around each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.world: World | None = None

    def use(self, world: World | None) -> None:
        self.world = world

    async def write(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        what = self.world.step("commit", work.__name__) if self.world and self.world.current else ""
        if what == "unavailable":
            raise Unavailable("the database cannot be written now")
        result = self._drive(work, args, kwargs)
        if what == "server killed after":
            self.world.strike("server killed")  # type: ignore[union-attr]
        if what == "unavailable after":
            raise Unavailable("the connection was lost; the unit of work may have been kept")
        return result

    async def read(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._connection.drive(work(*args, **kwargs))

    def _drive(self, work: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = connection.drive(work(*args, **kwargs))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return result

    def rows(self, text: str, *params: Any) -> list[tuple[Any, ...]]:
        """What a query of the model's own answers."""
        return self._connection.open().execute(text, params).fetchall()


class _Shelf:
    """One database for many histories, and a template for the next."""

    def __init__(self) -> None:
        self._template: bytes = b""
        self._memory: Memory | None = None
        self._used = 0

    def memory(self) -> tuple[Memory, int]:
        """A database, and a number that no other history has in it."""
        if not self._template:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "template.db"
                schema.migrate_sqlite(path)
                source = sqlite3.connect(path)
                source.execute("PRAGMA journal_mode = DELETE")
                self._template = source.serialize()
                source.close()
        if self._memory is None or self._used >= HISTORIES_LIMIT:
            connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
            connection.deserialize(self._template)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA case_sensitive_like = ON")
            connection.executescript(WATCH)
            held = Connection(Path(":memory:"))
            held._connection = connection
            self._memory, self._used = Memory(held), 0
        self._used += 1
        return self._memory, self._used

    def renew(self) -> None:
        """Begin the next history in a new database: the one in use may hold what it should not."""
        self._memory = None


SHELF = _Shelf()


class Clock:
    """The server's clock: the world's."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return self._world.now

    def monotonic(self) -> float:
        return self._world.now

    async def sleep(self, seconds: float) -> None:
        self._world.pause(seconds)


class Parking(Waking):
    """Parked polls wait in the world's time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def wait(self, instance_id: str, event: Any, *, seconds: float) -> bool:
        left = seconds
        while left > 0 and not event.is_set():
            self._world.pause(min(left, 1.0))
            left -= 1.0
        return self._open and self._parked.get(instance_id) is event


class Central:
    """The server of one history, with one node."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.memory, number = SHELF.memory()
        self.scope = Scope(f"{number:012}", "us-east-1")
        self.up = True
        self.down_until = 0.0
        self.sent: list[dict[str, Any]] = []  # messages handed over, for those that come again
        self.commands: list[str] = []
        self.cancelling = False  # the next poll brings an order to cancel
        self.clock = Clock(world)
        self._wire()
        self.instance_id = self._enrol()
        self.caller = Caller(
            account=self.scope.account,
            region=self.scope.region,
            principal=f"arn:aws:ssm:us-east-1:{self.scope.account}:managed-instance/{self.instance_id}",
            kind="node",
            instance_id=self.instance_id,
            request_id="made-up",
            source_ip="192.0.2.1",
            target="",
        )
        self.memory.use(world)

    def _wire(self) -> None:
        """What `app.build` wires, anew after every start."""
        database: Any = self.memory
        self.waking = Parking(self.world)
        directory = nodes.Service(database, self.clock)
        rendering = gateway.Rendering(lambda action, _name: action)
        self.messages = Messages(database, self.clock, directory=directory, waking=self.waking, rendering=rendering)
        self.exchange = Exchange(
            database,
            patching.Operations(database, self.clock),
            monotonic=lambda: 0.0,
            daily_bytes=10**15,
            baselines=MagicMock(),
        )
        unused: Any = MagicMock()
        self.handlers = gateway.operations(gateway.Edges(self.messages, self.exchange, unused, unused, unused, unused))
        self.service = commands.Service(database, self.clock)
        self.verdicts = patching.Verdicts(database, self.clock, stale_after=1e9)

    def _enrol(self) -> str:
        self.memory.use(None)
        service = nodes.Service(self.memory, self.clock)  # type: ignore[arg-type]
        activation, code = finish(service.create_activation(self.scope, role="node"))
        enrolling = self.memory.write(
            nodes.enrol, activation.id, code, f"token-{self.scope.account}", Described(),
            now=self.world.now, fresh_id=f"mi-{int(self.scope.account):017x}",
        )  # fmt: skip
        return str(finish(enrolling)[0].instance_id)

    # ------------------------------------------------------------------------------------------------ requests

    def serve(self, target: str, members: dict[str, Any], answered: Callable[[int, bytes], None]) -> Process:
        """Begin to answer a request; *answered* gets status and body, status 0 where the server died over it."""
        done: list[tuple[int, bytes]] = []
        role = "poll" if target.endswith(".GetMessages") else "request"
        process = self.world.spawn(role, "server", lambda: done.append(self._answer(target, members)))
        process.at_end = lambda: answered(*(done[0] if done else (0, b"")))
        return process

    def _answer(self, target: str, members: dict[str, Any]) -> tuple[int, bytes]:
        try:
            answer = finish(self.handlers[target](self.caller, members))  # type: ignore[arg-type]
        except Killed:
            raise
        except ApiError as error:
            return error.status, error.body(error.members)
        except Exception as error:
            for kind in type(error).__mro__:
                code = aws.ERRORS.get(kind)
                if code is not None:
                    refusal = ApiError(code, str(error))
                    self.world.note(f"REFUSES {target}: {code} {error}")
                    return refusal.status, refusal.body({})
            self.world.problem(f"the server failed at {target}: {traceback.format_exc(limit=-6)}")
            return 500, b"{}"
        if target.endswith(".GetMessages"):
            self._meddle(answer["Messages"])
        return 200, json.dumps(answer).encode()

    def _meddle(self, messages: list[dict[str, Any]]) -> None:
        """What a queue may do: hand a message over again, long after; and orders to cancel."""
        self.sent.extend(messages)
        what = self.world.step("poll", f"{len(messages)} messages")
        if what == "again" and self.sent:
            messages.append(self.world.random.choice(self.sent))
        if (what == "cancel" or self.cancelling) and self.commands:
            self.cancelling = False
            messages.append(self.cancellation(self.world.random.choice(self.commands)))

    def cancellation(self, command_id: str) -> dict[str, Any]:
        """The message that cancels a command."""
        target = message_id(command_id, self.instance_id)
        self.world.note(f"cancels {command_id}")
        own = ("e" if command_id[0] == "d" else "d") + command_id[1:]  # a message of its own, never the command's
        return {
            "MessageId": message_id(own, self.instance_id),
            "Destination": self.instance_id,
            "Topic": "aws.ssm.cancelCommand",
            "CreatedDate": "2026-11-20T04:00:00.000Z",
            "Payload": json.dumps({"CancelMessageId": target}),
        }

    # ------------------------------------------------------------------------------------------- operator, sweeps

    def order(self, order: Order) -> None:
        """The operator sends a command, again if the server is away or refuses."""

        sent: list[str] = []

        def send() -> None:
            parameters = {"Operation": [order.operation], "RebootOption": [order.reboot]}
            request = Request("AWS-RunPatchBaseline", parameters, (self.instance_id,), timeout_seconds=order.timeout)
            try:
                command, released = finish(self.service.send(self.scope, PRINCIPAL, request))
            except Unavailable:
                return
            sent.append(command.id)
            self.world.note(f"sends {order.operation} {order.reboot} as {command.id}")
            self.commands.append(command.id)
            self.waking.wake(released)
            self.world.later(command.expires_at - self.world.now, self.sweep)

        def again() -> None:
            if not sent:
                self.world.later(5.0, lambda: self.order(order))

        if self.up:
            self.world.spawn("operator", "server", send).at_end = again
        else:
            again()

    def sweep(self) -> None:
        """End what has run out of time; every few seconds while there is such."""

        def run() -> None:
            try:
                finish(gateway.sweep(self.memory, self.clock))  # type: ignore[arg-type]
            except Unavailable:
                self.world.later(SWEEP_SECONDS, self.sweep)

        if self.up:
            self.world.spawn("sweep", "server", run)

    # ------------------------------------------------------------------------------------------------------- faults

    def die(self, seconds: float = RESTART_SECONDS) -> None:
        """The server is killed, and back in so many seconds. From `at_once` or `later` only."""
        self.world.disturbed(self.world.now + seconds)
        self.down_until = max(self.down_until, self.world.now + seconds)
        if self.up:
            self.up = False
            self.world.note("the server is killed")
            for process in list(self.world.processes.values()):
                if process.where == "server":
                    self.world.kill(process)
            self.world.later(seconds, self._start)

    def _start(self) -> None:
        if self.world.now < self.down_until:
            self.world.later(self.down_until - self.world.now, self._start)
            return
        self.up = True
        self.world.note("the server is up again")
        self._wire()
        self.sweep()

    # ------------------------------------------------------------------------------------------------------ looking

    def invocations(self) -> list[tuple[Any, ...]]:
        """command, detail, ended_at, due_at, acknowledged_at, steps, trace."""
        return self.memory.rows(
            "SELECT command_id, detail, ended_at, due_at, acknowledged_at, steps, trace FROM invocation WHERE account = ?"
            " ORDER BY requested_at, command_id",
            self.scope.account,
        )

    def is_done(self) -> bool:
        """Whether nothing is in progress."""
        for table in ("invocation", "operation"):
            if self.memory.rows(
                f"SELECT 1 FROM {table} WHERE account = ? AND ended_at IS NULL LIMIT 1", self.scope.account
            ):
                return False
        return True


FINAL_STATUS = {
    "Success": Detail.SUCCESS.value,
    "Failed": Detail.FAILED.value,
    "Cancelled": Detail.CANCELLED.value,
    "TimedOut": Detail.EXECUTION_TIMED_OUT.value,
}
