# SPDX-License-Identifier: Apache-2.0
"""How many windows are open at once (spec §1.20, §4.4)."""

from __future__ import annotations

from patchwright.server.accounts import Scope
from patchwright.server.windows import Executions

HOUR = 3600.0


async def opened(stage, name, **members):
    """A window that is due, with one task; returns a function that says how its only execution stands."""
    window_id = await stage.window(Name=name, **members)
    await stage.task(await stage.target())

    async def stands():
        stage.id = window_id
        (execution,) = await stage.executions()
        return execution["Status"], execution.get("StatusDetails", "")

    return stands


async def test_windows_beyond_the_limit_wait_for_their_turn(stage, node):
    """They say why, do nothing, and open one after the other, the first of them first; the limit is not passed."""
    first = await opened(stage, "first")
    await stage.tend(most_open=1)
    second = await opened(stage, "second")
    stage.house.clock.time += 1
    third = await opened(stage, "third")
    await stage.tend(most_open=1)

    waiting = ("PENDING", "Waits until one of the 1 windows that may be open at once has ended.")
    assert [(await first())[0], await second(), await third()] == ["IN_PROGRESS", waiting, waiting]
    assert len(await stage.house.messages(node)) == 1

    commands = [(await stage.house.ask("AmazonSSM.ListCommands", {}))["Commands"][0]["CommandId"]]
    for number, (before, after) in enumerate([(first, second), (second, third)], start=1):
        assert (await stage.house.reply(node, commands[-1], "InProgress")).status == 200
        await stage.carry_out(node, command_id=commands[-1])
        await stage.tend(most_open=1)
        await stage.tend(most_open=1)
        assert ((await before())[0], await after()) == ("SUCCESS", ("IN_PROGRESS", ""))
        sent = (await stage.house.ask("AmazonSSM.ListCommands", {}))["Commands"]
        assert len(sent) == number + 1
        commands.append(next(one["CommandId"] for one in sent if one["CommandId"] not in commands))
        await stage.house.messages(node)


async def test_what_waited_until_its_cutoff_has_timed_out_and_says_so(stage, node):
    """Nothing of it began; what was open goes on."""
    first = await opened(stage, "first")
    await stage.tend(most_open=1)
    second = await opened(stage, "second")
    await stage.tend(most_open=1)
    await stage.tend(after=2 * HOUR, most_open=1)

    assert (await first())[0] == "IN_PROGRESS"
    status, details = await second()
    assert status == "TIMED_OUT"
    assert details == (
        "The cutoff time was reached. It waited until one of the 1 windows that may be open at once has ended."
    )
    assert [task["Status"] for task in await stage.tasks((await stage.executions())[0])] == ["TIMED_OUT"]
    assert node.instance_id


async def test_what_waits_is_cancelled_at_once(stage, node):
    """Without a turn; and a window that is opened by hand waits as any other."""
    await opened(stage, "first")
    await stage.tend(most_open=1)
    await opened(stage, "second", Schedule="cron(0 2 ? * SUN *)")
    room = Executions(stage.house.wired.database, stage.house.clock, most_open=1)
    scope = Scope(stage.house.account, "us-east-1")
    execution = await room.run(scope, stage.id)
    assert execution.status.value == "PENDING"
    await room.cancel(scope, execution.id)
    await stage.tend(most_open=1)
    assert (await room.get(scope, execution.id))[0].status.value == "CANCELLED"
    assert node.instance_id
