# SPDX-License-Identifier: Apache-2.0
"""The control channel from the outside (spec agent-protocol §7): tokens, frames, acknowledgements, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import random
from functools import partial
from unittest import mock

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from patchwright.core.protocol import message_id
from patchwright.server import commands
from patchwright.server.accounts import Scope
from patchwright.server.infra import InfraError, sql
from server.gateway.channels import DEADLINE, listening, looks, token_of, until, until_async
from server.gateway.house import build
from server.wire.client import USER_KEY

STEP = {"PatchLinux": {"status": "Success", "code": 0, "standardOutput": "out", "standardError": ""}}
SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))


@pytest.fixture
async def address(house):
    """Where the house listens."""
    async with listening(house) as found:
        yield found


async def invocation(house, node, command_id):
    """GetCommandInvocation."""
    return await house.ask("AmazonSSM.GetCommandInvocation", {"CommandId": command_id, "InstanceId": node.instance_id})


async def rows(house):
    """Every channel of the account."""

    def ask(account):
        return (yield sql("SELECT instance_id, gateway, epoch FROM channel WHERE account = $1", account))

    return await house.wired.database.read(ask, house.account)


# -- the token


async def test_a_channel_is_created_as_the_agent_wants_it(house, address):
    """201, and XML with the version and a token, byte for byte but for the token."""
    node = await house.enrol()
    answer = await address.create(node)

    token = token_of(answer)
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/xml"
    assert answer.body.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<CreateControlChannelResponse>'
        "<MessageSchemaVersion>1.0</MessageSchemaVersion>"
        f"<TokenValue>{token}</TokenValue></CreateControlChannelResponse>"
    )


async def test_a_server_without_channels_says_so_in_the_words_that_make_agents_poll(
    shared_url, scope, master_key, tmp_path, monkeypatch
):
    """403 and the literal `<AccessDeniedException>`; messages are polled for as ever."""
    (tmp_path / "master.key").write_bytes(master_key.read_bytes())
    house = await build(tmp_path, shared_url, scope.account, control_channel="off")
    async with listening(house) as address:
        node = await house.enrol()
        answer = await address.create(node)
        assert answer.status == 403
        assert b"<AccessDeniedException>" in answer.body
        command = await house.send(node)
        (message,) = await house.messages(node)
        assert message["MessageId"] == message_id(command["CommandId"], node.instance_id)
    await house.close()


async def test_a_node_creates_no_channel_but_its_own(house, address):
    """Nor does a user; a signature for another service or by nobody is refused, in XML."""
    one, other = await house.enrol(), await house.enrol()

    answer = await address.create(one, instance_id=other.instance_id)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    assert (await address.create(house.root, instance_id=one.instance_id)).status == 403
    answer = await address.create(USER_KEY, instance_id=one.instance_id)
    assert answer.body.endswith(b"</UnrecognizedClientException>")
    assert (await address.create(one, service="ssm")).status in {400, 403, 404}


@pytest.mark.parametrize("who", ["another node", "a user", "a stranger", "elsewhere"])
async def test_a_channel_is_opened_by_its_node_alone(house, address, who):
    """The handshake is refused before anything is said; nothing is held."""
    one, other = await house.enrol(), await house.enrol()
    key = {"another node": other, "a user": house.root, "a stranger": USER_KEY, "elsewhere": one}[who]
    path = "/v1/data-channel/session-1" if who == "elsewhere" else ""

    with pytest.raises(InvalidStatus) as refused:
        await address.dial(key, instance_id=one.instance_id, path=path)
    assert refused.value.response.status_code == 403
    assert await rows(house) == []


@pytest.mark.parametrize(
    "opening",
    ["{}", '{"TokenValue": "x"}', "[]", "no json", "[" * 100_000, b"\0\1", '{"TokenValue": 7}', "another's", "old"],
)
async def test_a_channel_without_its_token_is_closed(house, address, opening):
    """Nothing is delivered over it, and nothing is held."""
    node, other = await house.enrol(), await house.enrol()
    sent = opening
    if sent in {"another's", "old"}:
        answer = await address.create(other if sent == "another's" else node)
        opening = json.dumps({"TokenValue": token_of(answer)})
        house.clock.time += 301 if sent == "old" else 0
    await house.send(node)
    socket = await address.dial(node)
    await socket.send(opening)

    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(socket.recv(), DEADLINE)
    assert closed.value.rcvd.code == 1008
    assert await rows(house) == []


# -- jobs and replies


async def test_a_command_goes_out_and_its_end_comes_back(house, address):
    """Job, acknowledgement, replies each acknowledged: nothing is polled for, and the invocation has it all."""
    node = await house.enrol()
    async with address.channel(node) as line:
        command_id = (await house.send(node))["CommandId"]
        frame, job = await line.hear("agent_job")
        assert list(job) == ["SchemaVersion", "JobId", "Topic", "Content"]
        assert (job["SchemaVersion"], job["JobId"]) == (1, message_id(command_id, node.instance_id))
        assert job["Topic"].startswith("aws.ssm.sendCommand")
        content = json.loads(job["Content"])
        assert (content["CommandId"], content["DocumentContent"]["schemaVersion"]) == (command_id, "2.2")
        ack = {"jobId": job["JobId"], "acknowledgedMessageId": frame.message_id, "statusCode": 200}
        await line.say("agent_job_ack", ack)
        await line.reply(job, "InProgress")
        assert (await invocation(house, node, command_id))["Status"] == "InProgress"
        await line.reply(job, "Success", runtimeStatus=STEP)

        found = await invocation(house, node, command_id)
        assert (found["Status"], found["StandardOutputContent"]) == ("Success", "out")


async def test_a_ping_says_that_there_is_nothing_to_do(house, address):
    """AWS-Noop, so that our agent answers at once; no other document says so."""
    node = await house.enrol()
    async with address.channel(node) as line:
        await house.ask("AmazonSSM.SendCommand", {"DocumentName": "AWS-Noop", "InstanceIds": [node.instance_id]})
        assert (await line.take())["NoopStep"] == "Noop"
        await house.send(node)
        assert "NoopStep" not in await line.take()


async def test_what_waited_is_delivered_when_the_channel_opens(house, address):
    """In order, one after the other; what was taken does not wait any more, for a poll either."""
    node = await house.enrol()
    first = (await house.send(node))["CommandId"]
    house.clock.time += 1
    second = (await house.send(node))["CommandId"]
    async with address.channel(node) as line:
        jobs = [await line.take(), await line.take()]

        assert [job["JobId"] for job in jobs] == [message_id(one, node.instance_id) for one in (first, second)]
        house.clock.time += 60  # past the time after which they would be visible again
        waiting = partial(house.wired.database.read, commands.waiting, Scope(house.account, "us-east-1"))
        await until_async(lambda: waiting(node.instance_id, now=house.clock.now()), lambda found: not found)


@pytest.mark.parametrize(
    ("status", "again", "shown"),
    [(200, False, "Pending"), (51405, False, "Pending"), (51402, True, "Pending"), (51401, True, "Pending"),
     (51408, False, "Failed"), (51406, False, "Failed"), (51403, False, "Failed"), (51499, False, "Failed")],
)  # fmt: skip
async def test_what_the_node_says_of_a_job_is_heeded(house, address, status, again, shown):
    """Taken or known: not again. No room: later. Nothing to be made of it: failed, with the number."""
    node = await house.enrol()
    async with address.channel(node) as line:
        command_id = (await house.send(node))["CommandId"]
        await line.take(status=status)
        if shown == "Failed":
            await until_async(lambda: invocation(house, node, command_id), lambda found: found["Status"] == "Failed")
            found = await invocation(house, node, command_id)
            assert str(status) in json.dumps(found)
        else:
            await line.reply({"JobId": "x"}, "InProgress")  # acknowledged once everything before it was seen to
        house.clock.time += 31
        await looks(house, 20)
        if again:
            assert (await line.take())["JobId"] == message_id(command_id, node.instance_id)
        else:
            with pytest.raises(TimeoutError):
                await line.hear("agent_job", seconds=0.2)


async def test_a_cancel_goes_out_over_the_channel(house, address):
    """At once, under an id of its own, until it is acknowledged; the command ends as the node says."""
    node = await house.enrol()
    async with address.channel(node) as line:
        command_id = (await house.send(node))["CommandId"]
        job = await line.take()
        await line.reply(job, "InProgress")
        await house.ask("AmazonSSM.CancelCommand", {"CommandId": command_id})
        cancel = await line.take(status=51402)
        await line.reply({"JobId": "x"}, "InProgress")
        assert cancel["Topic"].startswith("aws.ssm.cancelCommand")
        assert json.loads(cancel["Content"]) == {"CancelMessageId": job["JobId"]}
        house.clock.time += 31
        again = asyncio.create_task(line.take())
        await until_async(house.wired.switchboard.look, lambda _: again.done())
        await again
        await line.reply(job, "Cancelled")

        assert (await invocation(house, node, command_id))["Status"] == "Cancelled"


async def test_a_reply_that_comes_twice_is_acknowledged_twice_and_counts_once(house, address):
    """Its acknowledgement was lost: the same message id again, and a late start changes nothing."""
    node = await house.enrol()
    async with address.channel(node) as line:
        command_id = (await house.send(node))["CommandId"]
        job = await line.take()
        said = await line.reply(job, "Success", runtimeStatus=STEP)
        await line.reply(job, "Success", runtimeStatus=STEP, message_id=said)
        await line.reply(job, "InProgress")

        assert (await invocation(house, node, command_id))["Status"] == "Success"


async def test_replies_that_mean_nothing_are_acknowledged_and_change_nothing(house, address):
    """Of another node's command, of none, unreadable: they would only come again."""
    node, other = await house.enrol(), await house.enrol()
    command_id = (await house.send(other))["CommandId"]
    async with address.channel(node) as line:
        before = await house.dump()
        for job in (message_id(command_id, other.instance_id), message_id("no", node.instance_id), "x", ""):
            await line.reply({"JobId": job}, "Success", runtimeStatus=STEP)
        await line.reply({"JobId": message_id(command_id, node.instance_id)}, "Gone")

        assert await house.dump() == before


# -- several channels, and their end


async def test_the_later_channel_of_a_node_wins(house, address):
    """The one before is closed, and what is sent goes to the later one alone."""
    node = await house.enrol()
    async with address.channel(node) as first, address.channel(node) as second:
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(first.socket.recv(), DEADLINE)
        assert closed.value.rcvd.code == 4000
        await house.send(node)
        await second.take()
        ((held, _, _),) = await rows(house)
        assert held == node.instance_id


@pytest.fixture
async def another(house, tmp_path, shared_url, master_key):
    """Another process with the same database."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other/master.key").write_bytes(master_key.read_bytes())
    built = await build(tmp_path / "other", shared_url, house.account, clock=house.clock)
    yield built
    await built.close()


async def test_the_later_channel_wins_between_processes(house, address, another):
    """One opened at another process: what is sent there or here goes over it, and the first is closed where it is noticed."""
    node = await house.enrol()
    async with listening(another) as elsewhere, address.channel(node) as first, elsewhere.channel(node) as second:
        await house.send(node)  # wakes the first process, which holds the channel no more
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(first.socket.recv(), DEADLINE)
        await another.wired.switchboard.look()
        job = await second.take()
        await second.reply(job, "Success", runtimeStatus=STEP)
        assert len(await rows(house)) == 1


async def test_a_channel_that_ends_leaves_nothing(house, address):
    """No row, no connection that is counted; what was not acknowledged is delivered over the next one, at once."""
    node = await house.enrol()
    async with address.channel(node) as line:
        command_id = (await house.send(node))["CommandId"]
        await line.hear("agent_job")
        line.socket.transport.abort()
        await until(lambda: not len(house.wired.switchboard))
    await until_async(lambda: rows(house), lambda found: found == [])
    await until(lambda: not address.doorstep.by_address)
    async with address.channel(node) as line:
        assert (await line.take())["JobId"] == message_id(command_id, node.instance_id)


async def test_a_node_that_is_deregistered_loses_its_channel(house, address):
    """Within a minute; so does everybody of an account that is disabled."""
    node = await house.enrol()
    async with address.channel(node) as line:
        await house.ask("AmazonSSM.DeregisterManagedInstance", {"InstanceId": node.instance_id})
        house.clock.time += 61
        await house.wired.switchboard.look()

        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(line.socket.recv(), DEADLINE)
    assert await rows(house) == []


async def test_a_server_that_stops_tells_its_channels(house):
    """1012, service restart: nodes open another one somewhere, and what was not acknowledged is delivered there."""
    node = await house.enrol()
    async with listening(house) as address:
        context = address.channel(node)
        line = await context.__aenter__()
        command_id = (await house.send(node))["CommandId"]
        await line.hear("agent_job")
    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(line.socket.recv(), DEADLINE)
    assert closed.value.rcvd.code == 1012
    assert await rows(house) == []
    async with listening(house) as address, address.channel(node) as line:
        assert (await line.take())["JobId"] == message_id(command_id, node.instance_id)


# -- what nobody should send


async def test_a_channel_of_noise_is_closed_and_changes_nothing(house, address):
    """Frames that cannot be read: a few are passed over, then it ends. Damaged ones never end in a traceback."""
    dice = random.Random(SEED)
    node = await house.enrol()
    for _ in range(3):
        async with address.channel(node) as line:
            before = await house.dump()
            for _ in range(10):
                await line.socket.send(dice.randbytes(dice.randrange(300)))
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(line.socket.recv(), DEADLINE)
            assert closed.value.rcvd.code == 1008
            assert {**await house.dump(), "channel": 0} == {**before, "channel": 0}


@pytest.mark.parametrize(
    "kind", ["agent_job_ack", "agent_job_reply", "agent_job", "agent_telemetry", "interactive_shell"]
)
async def test_content_that_is_none_is_passed_over(house, address, kind):
    """No JSON, no object, members of other types, nested without end; the channel goes on."""
    node = await house.enrol()
    odd = [b"", b"no json", b"[]", b"null", b"[" * 100_000, b'{"jobId": [], "statusCode": {}}', b'{"content": 7}']
    async with address.channel(node) as line:
        for content in odd:
            await line.say(kind, content)
        await house.send(node)
        while True:
            data = await asyncio.wait_for(line.socket.recv(), DEADLINE)
            if b'"aws.ssm.sendCommand' in data:
                break


@pytest.mark.parametrize("odd", ["\ud800", "\0", "\u202e"])
async def test_names_that_no_database_holds_are_passed_over(house, address, odd):
    """Half a character and the like where a job is named: nothing of it gets as far as what is recorded for all nodes."""
    node = await house.enrol()
    job = message_id(odd, node.instance_id)
    writing = house.wired.database.write
    failed = []

    async def noting(*args, **options):
        try:
            return await writing(*args, **options)
        except (UnicodeError, InfraError) as error:
            failed.append(error)
            raise

    with mock.patch.object(type(house.wired.database), "write", side_effect=noting):
        async with address.channel(node) as line:
            for status in (200, 51402, 51406):
                await line.say("agent_job_ack", {"jobId": job, "statusCode": status, "errorMessage": odd})
            await line.say("agent_job_reply", {"jobId": job, "content": json.dumps({"documentStatus": "Success"})})
            command_id = (await house.send(node))["CommandId"]
            frame, offered = await line.hear("agent_job")
            refused = {"jobId": offered["JobId"], "statusCode": 51406, "errorMessage": f"no {odd}"}
            await line.say("agent_job_ack", {**refused, "acknowledgedMessageId": frame.message_id})
            await until_async(lambda: invocation(house, node, command_id), lambda found: found["Status"] == "Failed")
    assert failed == []


async def test_a_frame_that_is_too_large_ends_the_channel(house, address):
    """Half a megabyte is more than anybody sends."""
    node = await house.enrol()
    async with address.channel(node) as line:
        await line.socket.send(b"x" * (600 * 1024))
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(line.socket.recv(), DEADLINE)
        assert closed.value.rcvd.code == 1009


async def test_a_node_that_talks_too_much_is_slowed_down(house, address):
    """Not refused: it would fall silent. What it sends waits until its turn comes."""
    node = await house.enrol()
    async with address.channel(node) as line:
        slept = len(house.clock.slept)
        for _ in range(600):
            await line.say("agent_telemetry", {})
        await until(lambda: len(house.clock.slept) > slept)
        await house.send(node)
        await line.take()


async def test_messages_have_a_longer_head_than_allowed_only_once(house, address):
    """A handshake whose head is too large is refused before anybody looks at it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    filling = b"".join(b"x-%d: y\r\n" % number for number in range(200))
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n" + filling + b"\r\n")
    answer = await asyncio.wait_for(reader.read(), DEADLINE)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 431")
