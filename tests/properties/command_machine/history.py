# SPDX-License-Identifier: Apache-2.0
"""
One history: users send, cancel and withdraw; nodes take, do and tell; messages are lost, doubled and overtake each other; time
passes; jobs run, or do not. Then everything becomes quiet, and has ended.

    found = play(seed, number)                  # what is broken, empty where nothing is
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from patchwright.core.invocation import FINAL, Detail
from patchwright.core.protocol import CANCEL_COMMAND_TOPIC
from patchwright.server import nodes
from patchwright.server.commands import (
    Delivery,
    Reply,
    Request,
    Said,
    StepResult,
    Target,
    UnknownInvocation,
    UnsupportedPlatform,
)
from patchwright.server.infra import UnitOfWork
from patchwright.server.nodes import UnknownNode
from properties.command_machine.house import DOCUMENT, PRINCIPAL, Broken, House, commands, everything, sending
from properties.node_run.central import SHELF

VISIBILITY = 10.0
QUIET_ROUNDS = 12
MUCH = 200  # steps of a job, within which nothing is left
ENDS = (Detail.SUCCESS, Detail.SUCCESS, Detail.FAILED, Detail.EXECUTION_TIMED_OUT)
RATES = ("1", "1", "2", "3", "50%", "100%")
BUDGETS = ("0", "0", "1", "2", "30%", "100%")


@dataclass
class Node:
    """What a node knows: commands it runs or has done, those it was told to drop, and replies it could not send yet."""

    id: str
    running: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    arriving: list[Delivery] = field(default_factory=list)
    acknowledging: list[str] = field(default_factory=list)
    outbox: list[Reply] = field(default_factory=list)
    gone: bool = False


class History:
    """One history."""

    def __init__(self, seed: int, number: int) -> None:
        self.dice = random.Random(f"{seed}/{number}")
        self.house = House(self.dice)
        self.nodes = [Node(one) for one in self.house.enrol(self.dice.randint(1, 7))]
        self.numbers = itertools.count(1)
        self.seen: Counter[str] = Counter()
        self.actions: list[tuple[float, Callable[[], None]]] = [
            (2, self.send),
            (10, self.poll),
            (12, self.arrive),
            (6, self.acknowledge),
            (10, self.work),
            (10, self.tell),
            (4, self.tell_together),
            (1.2, self.cancel),
            (0.3, self.withdraw),
            (6, self.wait),
            (4, self.tend),
            (1, self.postpone),
            (0.7, self.deregister),
        ]

    def play(self) -> None:
        """From the first command to the last invariant. Raises Broken."""
        weights = [weight for weight, _ in self.actions]
        self.send()
        for _ in range(self.dice.randint(10, 60)):
            self.dice.choices(self.actions, weights)[0][1]()
        self.become_quiet()
        self.check_the_end()

    # -------------------------------------------------------------------------------------------------- people

    def send(self) -> None:
        """A command; sometimes its process dies before the targets are all known."""
        if len(self.house.commands) >= 3:
            return
        dice = self.dice
        here = [node.id for node in self.nodes if not node.gone]
        named = tuple(dice.sample(here, dice.randint(1, len(here)))) if here and dice.random() < 0.4 else ()
        request = Request(
            document_name=DOCUMENT,
            parameters={"commands": ["true"]},
            instance_ids=named,
            targets=() if named else (Target("InstanceIds", ("*",)),),
            timeout_seconds=dice.choice((30, 600, 3600)),
            max_concurrency=dice.choice(RATES),
            max_errors=dice.choice(BUDGETS),
        )
        try:
            command, _ = self.house.write(
                "send", sending.send, self.house.scope, PRINCIPAL, request, now=self.house.now, hold=60.0
            )
        except UnsupportedPlatform:
            return
        self.house.commands.append(command.id)
        while dice.random() < 0.9:
            done = self.house.write(
                "spread", sending.spread, self.house.scope, command.id, permitted=None, now=self.house.now
            )
            if not done.more:
                return

    def cancel(self) -> None:
        """A whole command, or some nodes of it."""
        command_id = self.dice.choice(self.house.commands) if self.house.commands else ""
        reached = [node for one, node in self.house.known if one == command_id]
        if not reached:
            return
        some = self.dice.sample(reached, self.dice.randint(1, len(reached))) if self.dice.random() < 0.4 else []
        if not some or len(some) == len(reached):
            self.house.stopped.add(command_id)
        self.house.write(
            f"cancel {some or 'all'}", commands.cancel, self.house.scope, command_id, some, now=self.house.now
        )

    def withdraw(self) -> None:
        """What no node has begun."""
        if self.house.commands:
            command_id = self.dice.choice(self.house.commands)
            self.house.stopped.add(command_id)
            self.house.write(
                "withdraw",
                commands.withdraw,
                self.house.scope,
                command_id,
                now=self.house.now,
            )

    def deregister(self) -> None:
        """A node goes away; what it has to say yet, nobody hears."""
        node = self.dice.choice(self.nodes)
        if node.gone or self.dice.random() < 0.6:
            return
        node.gone = True
        node.arriving, node.outbox, node.acknowledging = [], [], []
        self.house.write(f"deregister {node.id}", self._deregister, node.id)

    def _deregister(self, node: str) -> UnitOfWork[None]:
        house = self.house
        yield from commands.abandon(house.scope, node, now=house.now)
        yield from nodes.deregister(house.scope, node)

    # --------------------------------------------------------------------------------------------------- nodes

    def poll(self, node: Node | None = None, *, lossy: bool = True) -> None:
        """Messages are handed over, and get there, or not, or twice."""
        node = node or self.dice.choice(self.nodes)
        if node.gone:
            return
        found = self.house.write(
            f"{node.id} polls",
            commands.deliveries,
            self.house.scope,
            node.id,
            now=self.house.now,
            visibility=VISIBILITY,
            limit=self.dice.randint(1, 3),
        )
        for one in found:
            self._check_delivery(one)
            fate = self.dice.random() if lossy else 1.0
            self.seen["lost" if fate < 0.2 else "doubled" if fate < 0.3 else "handed over"] += 1
            node.arriving += [] if fate < 0.2 else [one, one] if fate < 0.3 else [one]

    def _check_delivery(self, one: Delivery) -> None:
        detail, released = self.house.known[one.command_id, one.instance_id]
        if Detail(detail) in FINAL:
            raise Broken(f"{one.topic} is handed over for what had ended as {detail}")
        if one.topic == CANCEL_COMMAND_TOPIC:
            if detail != "Cancelling":
                raise Broken(f"what is {detail} is cancelled")
        elif not released or detail == "Cancelling":
            raise Broken(f"what is {detail} (released: {released}) is handed over")

    def arrive(self, node: Node | None = None) -> None:
        """A message gets to a node, in any order."""
        node = node or self.dice.choice(self.nodes)
        if not node.arriving:
            return
        one = node.arriving.pop(self.dice.randrange(len(node.arriving)))
        node.acknowledging.append(one.message_id)
        known = one.command_id in node.running | node.done
        if one.topic == CANCEL_COMMAND_TOPIC:
            node.told.add(one.command_id)
            if one.command_id in node.running:
                node.running.discard(one.command_id)
                node.done.add(one.command_id)
                self._say(node, one.command_id, Detail.CANCELLED)
            elif not known:
                node.dropped.add(one.command_id)
        elif one.command_id in node.dropped:
            node.done.add(one.command_id)
            self._say(node, one.command_id, Detail.CANCELLED)
        elif known:
            self._say(node, one.command_id, Detail.IN_PROGRESS)  # as Amazon's agent answers a message that it has had
        else:
            node.running.add(one.command_id)
            self._say(node, one.command_id, Detail.IN_PROGRESS)

    def acknowledge(self, node: Node | None = None, *, lossy: bool = True) -> None:
        """What a node has it acknowledges; that may be lost, or come twice."""
        node = node or self.dice.choice(self.nodes)
        if not node.acknowledging:
            return
        message = node.acknowledging.pop(0)
        if lossy and self.dice.random() < 0.2:
            return
        self.house.write(
            f"{node.id} acknowledges",
            commands.acknowledge_message,
            self.house.scope,
            node.id,
            message,
            now=self.house.now,
        )
        if lossy and self.dice.random() < 0.1:
            node.acknowledging.append(message)

    def work(self, node: Node | None = None, *, end: bool = False) -> None:
        """Something that runs goes on, or ends."""
        node = node or self.dice.choice(self.nodes)
        # At the end what is cancelled runs until it is stopped: so it shows whether the node is told.
        running = [one for one in sorted(node.running) if not end or self.house.known[one, node.id][0] != "Cancelling"]
        if not running:
            return
        command_id = self.dice.choice(running)
        if not end and self.dice.random() < 0.3:
            self._say(node, command_id, Detail.IN_PROGRESS, step="Success")
            return
        node.running.discard(command_id)
        node.done.add(command_id)
        self._say(node, command_id, self.dice.choice(ENDS))

    def _say(self, node: Node, command_id: str, detail: Detail, *, step: str = "") -> None:
        steps = {"runShellScript": StepResult(step, 0)} if step else {}
        node.outbox.append(Reply(f"{self.house.scope.account}-{next(self.numbers)}", command_id, detail, steps=steps))

    def tell(self, node: Node | None = None, *, lossy: bool = True) -> None:
        """A reply, not always the oldest; it may be lost, and then comes again, whether it was taken or not."""
        node = node or self.dice.choice(self.nodes)
        if not node.outbox or node.gone:
            return
        place = self.dice.randrange(len(node.outbox)) if lossy and self.dice.random() < 0.4 else 0
        reply = node.outbox[place]
        fate = self.dice.random() if lossy else 1.0
        if fate < 0.15:
            return
        house = self.house
        try:
            house.write(
                f"{node.id} says {reply.detail.value}",
                commands.record,
                house.scope,
                node.id,
                reply,
                now=house.now,
            )
        except UnknownInvocation as error:
            raise Broken(f"a reply of a node that had the command is refused: {error}") from None
        if fate > 0.25:
            node.outbox.pop(place)

    def tell_together(self) -> None:
        """What nodes say over channels is recorded together: some twice, some out of order, with acknowledgements between."""
        said: list[Said] = []
        for node in (one for one in self.nodes if not one.gone):
            told = [Said(self.house.scope, node.id, one.command_id, one) for one in node.outbox]
            told += [Said(self.house.scope, node.id, one, None) for one in sorted(node.running | node.done)]
            if told:
                said += self.dice.choices(told, k=self.dice.randint(1, 3))
        if not said:
            return
        house = self.house
        what = f"together: {[(one.instance_id, one.reply and one.reply.detail.value) for one in said]}"
        recorded = house.write(what, commands.record_all, said, now=house.now)
        if recorded.refused:
            raise Broken(f"a reply of a node that had the command is refused: {recorded.refused}")
        self.seen["together"] += len(said)
        kept = self.dice.random() < 0.2  # the answer is lost: everything comes again
        for node in self.nodes:
            taken = [one.reply.id for one in said if one.reply is not None and one.instance_id == node.id]
            node.outbox = [one for one in node.outbox if kept or one.id not in taken]

    def postpone(self) -> None:
        """A node has no room for what is arriving."""
        node = self.dice.choice(self.nodes)
        if node.gone or not node.arriving:
            return
        message = node.arriving.pop().message_id
        until = self.house.now + 30.0
        self.house.write(
            f"{node.id} is full", commands.postpone, self.house.scope, node.id, message, until=until, now=self.house.now
        )

    # -------------------------------------------------------------------------------------------------- server

    def wait(self) -> None:
        """Time passes; what is overdue may be ended."""
        self.house.now += self.dice.choice((0.5, 11.0, 11.0, 11.0, 11.0, 31.0, 61.0, 700.0, 3700.0))
        if self.dice.random() < 0.7:
            self.expire()

    def expire(self) -> int:
        """The sweep."""
        house = self.house
        return len(house.write("sweep", commands.expire, now=house.now))

    def tend(self) -> int:
        """The job, for one of the commands of which something is left; two processes may be at it."""
        from patchwright.server.commands import jobs, tally_store

        house = self.house
        left = [one for one in self._read(tally_store.left, now=house.now, limit=50) if one[0] == house.scope]
        for scope, command_id in left[: self.dice.randint(1, 2)]:
            house.write("job", jobs.go_on, scope, command_id, now=house.now, rights=everything)
            if self.dice.random() < 0.1:
                house.write("job again", jobs.go_on, scope, command_id, now=house.now, rights=everything)
        return len(left)

    def _read(self, work: Callable[..., Any], **how: Any) -> Any:
        from properties.node_run.central import finish

        return finish(self.house.memory.read(work, **how))

    # ----------------------------------------------------------------------------------------------------- end

    def become_quiet(self) -> None:
        """Nothing is lost any more, and every node does what it is told; then the time of whatever is left runs out."""
        for place in range(QUIET_ROUNDS):
            self.house.now += VISIBILITY + 1.0
            self._finish(self.tend)
            for node in self.nodes:
                self.poll(node, lossy=False)
                for _ in range(6):
                    self.arrive(node)
                    self.acknowledge(node, lossy=False)
                    if place > 2:
                        self.work(node, end=True)
                    self.tell(node, lossy=False)
            if all(Detail(detail) in FINAL for detail, _ in self.house.known.values()):
                break
        else:
            self._check_told()
        self.house.now += 3 * 86_400.0
        self._finish(lambda: self.expire() or self.tend())

    def _finish(self, work: Callable[[], int]) -> None:
        """Do *work* until there is none; raises Broken where there always is."""
        for _ in range(MUCH):
            if not work():
                return
        raise Broken("something is left to do for ever")

    def _check_told(self) -> None:
        """A node that runs what is cancelled has been told by now."""
        for node in (one for one in self.nodes if not one.gone):
            for command_id in node.running:
                if self.house.known[command_id, node.id][0] == "Cancelling" and command_id not in node.told:
                    raise Broken(f"{node.id} runs {command_id}, which is cancelled, and was never told")

    def check_the_end(self) -> None:
        """Everything has ended, was told once, and is forgotten when its time has come."""
        house = self.house
        for (command_id, node), (detail, _) in house.known.items():
            self.seen[detail] += 1
            if Detail(detail) not in FINAL:
                raise Broken(f"{command_id} is {detail} on {node} for ever")
        for command_id, detail in house.details.items():
            self.seen[f"command {detail}"] += 1
            if Detail(detail) not in FINAL:
                raise Broken(f"{command_id} is {detail} for ever")
        told = house.memory.rows(
            "SELECT command_id, instance_id, detail, COUNT(*) FROM invocation_event WHERE account = ? AND region = ?"
            " GROUP BY command_id, instance_id, detail",
            *house.scope,
        )
        if any(row[3] != 1 for row in told):
            raise Broken(f"something became the same twice: {told}")
        ended = {(row[0], row[1]): row[2] for row in told if Detail(row[2]) in FINAL}
        if ended != {pair: detail for pair, (detail, _) in house.known.items()}:
            raise Broken("the history of invocations does not say how they ended")
        (events,) = house.memory.rows(
            "SELECT COUNT(*) FROM event WHERE account = ? AND region = ? AND detail_type LIKE '%Invocation%'",
            *house.scope,
        )
        if events[0] != len(told):
            raise Broken(f"{events[0]} events tell of {len(told)} changes")


def play(seed: int, number: int) -> tuple[str, Counter[str]]:
    """What is broken in a history, with all that happened; empty where nothing is. And what was seen in it."""
    history = History(seed, number)
    try:
        history.play()
    except Broken as error:
        SHELF.renew()
        return f"history {number} of seed {seed}: {error}\n" + "\n".join(history.house.lines[-60:]), history.seen
    return "", history.seen


__all__ = ["UnknownNode", "play"]
