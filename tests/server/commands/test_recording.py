# SPDX-License-Identifier: Apache-2.0
"""Many replies recorded at once come to the same as each in its turn."""

from __future__ import annotations

import os
import random

import pytest

from patchwright.core.errors import PatchwrightError
from patchwright.core.invocation import Detail
from patchwright.server import commands
from patchwright.server.commands import Reply, Said, StepResult, UnknownInvocation
from patchwright.server.commands.model import HEARD, hear
from patchwright.server.infra import sql

SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))
TIMES = 200 if os.environ.get("PATCHWRIGHT_FULL") == "1" else 6
SAID = (Detail.IN_PROGRESS, Detail.IN_PROGRESS, Detail.SUCCESS, Detail.FAILED, Detail.CANCELLED, None)


def said_of(bench, command, *told):
    """What a node says: node, detail (None: that it has the command), number, steps."""
    node, detail, number, steps = (*told, None)[:4]
    reply = None if detail is None else Reply(f"reply-{number}", command.id, detail, "", steps or {})
    return Said(bench.scope, node, command.id, reply)


async def record_all(bench, said):
    """Record at once."""
    return await bench.database.write(commands.record_all, said, now=bench.clock.now())


async def record_each(bench, said):
    """Record one after the other; who ended, who may start, and how many were refused."""
    ended, released, refused = 0, [], 0
    for one in said:
        if one.reply is None:
            await bench.database.write(
                commands.acknowledge, one.scope, one.command_id, one.instance_id, now=bench.clock.now()
            )
            continue
        try:
            done, more = await bench.database.write(
                commands.record,
                one.scope,
                one.instance_id,
                one.reply,
                now=bench.clock.now(),
            )
        except PatchwrightError:
            refused += 1
            continue
        ended, released = ended + done, released + more
    return ended, released, refused


async def standing(bench, command, nodes):
    """Everything that is stored of a command, nodes by their place."""
    names = {node: f"node-{place}" for place, node in enumerate(nodes)}

    def ask(scope):
        found = []
        for columns in (
            "instance_id, detail, released, acknowledged_at, response_code, steps, trace, ended_at, due_at FROM invocation",
            "instance_id, detail, reason FROM invocation_event",
            "waiting, under_way, begun, success, failed, cancelled FROM command_tally",
        ):
            text = f"SELECT {columns} WHERE account = $1 AND region = $2 AND command_id = $3"
            rows = yield sql(text, *scope, command.id)
            found.append(sorted((names.get(row[0], row[0]), *row[1:]) for row in rows))
        return [*found, (yield sql("SELECT detail FROM command WHERE id = $1", command.id))]

    return await bench.database.read(ask, bench.scope)


def made_up(dice, nodes, stranger):
    """A batch: who says what under which number, with what steps."""
    batch = []
    for _ in range(dice.randrange(1, 9)):
        node = stranger if dice.random() < 0.1 else dice.choice(nodes)
        steps = {"PatchLinux": StepResult("Success", 0, "", "", "out")} if dice.random() < 0.5 else {}
        batch.append((node, dice.choice(SAID), dice.randrange(30), steps))
    return batch


@pytest.mark.parametrize("number", range(TIMES))
async def test_at_once_is_as_one_after_the_other(bench, number):
    """
    Any replies of nodes that have the command, late, repeated, out of order, some while it is being cancelled.

    As long as errors are allowed: a batch in which they become too many lets nobody begin, where one by one some would have.
    """
    dice = random.Random(SEED * 1000 + number)
    nodes = await bench.nodes(6)
    stranger = nodes.pop()
    rates = {"max_concurrency": str(dice.randrange(2, 6)), "max_errors": "100%"}
    (one, started), (other, _) = [await bench.send(*nodes, **rates) for _ in range(2)]
    cancelled = dice.random() < 0.3
    for turn in range(4):
        if cancelled and turn == 2:
            for command in (one, other):
                await bench.cancel(command)
        batch = made_up(dice, sorted(started), stranger)
        together = await record_all(bench, [said_of(bench, one, *each) for each in batch])
        apart = [said_of(bench, other, *each) for each in batch]
        ended, released, refused = await record_each(bench, apart)
        assert (len(together.ended), len(together.refused)) == (ended, refused)
        assert sorted(together.released) == sorted(released)
        assert await standing(bench, one, nodes) == await standing(bench, other, nodes)
        started = [*started, *released]


async def test_who_is_refused_is_told_apart(bench):
    """A reply on a command that was not sent to the node is refused, those around it are recorded."""
    one, other, stranger = await bench.nodes(3)
    command, _ = await bench.send(one, other)
    said = [
        said_of(bench, command, one, Detail.SUCCESS, 1),
        said_of(bench, command, stranger, Detail.SUCCESS, 2),
        said_of(bench, command, other, Detail.SUCCESS, 3),
    ]
    recorded = await record_all(bench, said)

    assert list(recorded.refused) == [1]
    assert isinstance(recorded.refused[1], UnknownInvocation)
    assert [await bench.detail(command, node) for node in (one, other)] == ["Success", "Success"]
    assert await bench.detail(command) == "Success"


async def test_nothing_said_changes_nothing(bench):
    """No reply at all."""
    recorded = await record_all(bench, [])
    assert (recorded.released, recorded.ended, recorded.refused) == ([], [], {})


async def test_a_reply_is_heard_once(bench):
    """The same number again changes nothing, at once or one by one, whatever it says then; another one does."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(node)
    told = {"PatchLinux": StepResult("InProgress", -1, "", "", "first")}
    other = {"PatchLinux": StepResult("InProgress", -1, "", "", "second")}
    await record_all(bench, [said_of(bench, command, node, Detail.IN_PROGRESS, 1, told)])
    for number, steps, output in ((1, other, "first"), (2, other, "second"), (1, told, "second"), (2, told, "second")):
        await record_all(bench, [said_of(bench, command, node, Detail.IN_PROGRESS, number, steps)] * 2)
        await record_each(bench, [said_of(bench, command, node, Detail.IN_PROGRESS, number, steps)])
        _, invocation = await bench.service.invocation(bench.scope, command.id, node)
        assert invocation.steps["PatchLinux"].stdout == output


def test_the_last_replies_are_known_again():
    """Up to `HEARD`; what an id is made of is no matter; and the text stays small."""
    heard = ""
    names = ["", " ", "\ud800", "\0", *(f"reply-{number}" for number in range(2 * HEARD))]
    for place, name in enumerate(names):
        longer = hear(heard, name)
        assert longer != heard
        heard = longer
        known = names[max(place + 1 - HEARD, 0) : place + 1]
        assert all(hear(heard, one) == heard for one in known)
    assert len(heard) == 17 * HEARD
    assert hear(heard, names[0]) != heard
