# SPDX-License-Identifier: Apache-2.0
"""What steps print: taken in pieces, once each, and read by offset while it comes and afterwards (spec §5.5)."""

from __future__ import annotations

import asyncio
import base64
import os
import random
from unittest.mock import AsyncMock, MagicMock

import pytest

from patchwright.core.errors import PatchwrightError
from patchwright.server import commands
from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.gateway import Outputs
from patchwright.server.infra import DirectoryBlobs
from patchwright.server.outputs import PIECE_BYTES, Service, Stream, Taken
from patchwright.server.wire import ApiError
from server.outputs.printing import STEP, Printer

SEED = int(os.environ.get("PATCHWRIGHT_SEED", "7"))


@pytest.fixture
async def printer(house):
    """A command under way."""
    return await Printer(house).begin()


async def test_output_is_read_as_it_comes_and_in_full_afterwards(printer):
    """By offset; the end is told, and stderr is another stream."""
    assert await printer.put(b"one\n", 0) == (4, False)
    part = await printer.get()
    assert (part["Body"], part["NextOffset"], part["Ended"], part["StepName"]) == (b"one\n", 4, False, STEP)
    assert (await printer.get(4))["Body"] == b""

    assert await printer.put(b"two\n", 4) == (8, False)
    assert (await printer.get(4))["Body"] == b"two\n"
    assert await printer.put(b"", 8, Last=True) == (8, True)
    assert await printer.put(b"oops\n", 0, Stream="stderr", Last=True) == (5, True)
    await printer.end()

    assert await printer.whole() == b"one\ntwo\n"
    assert await printer.whole(Stream="stderr", StepName=STEP) == b"oops\n"
    assert (await printer.get(8))["Ended"]
    told = [(one["Stream"], one["Size"], one["Ended"], one["Truncated"]) for one in await printer.streams()]
    assert told == [("stdout", 8, True, False), ("stderr", 5, True, False)]


async def test_a_piece_that_is_sent_twice_is_kept_once(printer):
    """Whole or in part, one after the other or at once; one that leaves a gap is not kept, and the answer says from where on."""
    assert await printer.put(b"abcdef", 0) == (6, False)
    assert await printer.put(b"abcdef", 0) == (6, False)
    assert await printer.put(b"defghi", 3) == (9, False)
    assert await printer.put(b"xyz", 100) == (9, False)
    answers = await asyncio.gather(*(printer.put(b"jkl", 9) for _ in range(5)))
    assert set(answers) == {(12, False)}
    assert await printer.put(b"", 12, Last=True) == (12, True)
    assert await printer.put(b"more", 12) == (12, True)
    assert await printer.whole() == b"abcdefghijkl"


async def test_any_cut_into_pieces_with_any_loss_gives_what_was_printed(printer):
    """Large pieces are blobs, small ones stand in their rows: whoever reads sees neither."""
    dice = random.Random(SEED)
    printed = dice.randbytes(700_000)
    kept = 0
    while kept < len(printed):
        size = dice.choice((1, 100, 16_384, 16_385, 100_000, PIECE_BYTES))
        begin = max(0, kept - dice.choice((0, 0, 50, 20_000)))
        kept, _ = await printer.put(printed[begin : begin + size], begin)
    await printer.put(b"", kept, Last=True)
    assert await printer.whole() == printed
    offset = dice.randrange(len(printed))
    assert (await printer.get(offset))["Body"] == printed[offset : offset + PIECE_BYTES]


async def test_processes_that_take_at_once_keep_every_byte_once(printer, tmp_path):
    """Several of them over one database, pieces that overlap, in any order: what is kept is always a beginning of what was printed."""
    house, dice = printer.house, random.Random(SEED)
    database, clock, blobs = house.wired.database, house.clock, DirectoryBlobs(tmp_path / "shared")
    sent = commands.Service(database, clock)
    processes = [Service(database, clock, Quotas(), blobs=blobs, sent=sent) for _ in range(3)]
    scope, stream = Scope(house.account, "us-east-1"), Stream(printer.command, printer.node.instance_id, STEP, "stdout")
    printed, kept = dice.randbytes(400_000), 0
    while kept < len(printed):
        begins = [max(0, kept - dice.choice((0, 0, 10, 30_000))) for _ in range(4)]
        sizes = [dice.choice((10, 9_000, 20_000, 90_000)) for _ in begins]
        taken = await asyncio.gather(
            *(
                dice.choice(processes).take(scope, stream, printed[begin : begin + size], position=begin, last=False)
                for begin, size in zip(begins, sizes, strict=True)
            )
        )
        kept = max(one.size for one in taken)
        assert await processes[0].whole(scope, stream) == printed[:kept]
    ends = [process.take(scope, stream, b"", position=kept, last=True) for process in processes]
    assert set(await asyncio.gather(*ends)) == {Taken(len(printed), full=True)}


async def test_more_than_the_limit_is_cut_and_says_so(printer, tmp_path):
    """The node is told to stop; what is kept is the beginning."""
    house = printer.house
    database, clock = house.wired.database, house.clock
    sent = commands.Service(database, clock)
    small = Service(database, clock, Quotas(output_bytes=10), blobs=DirectoryBlobs(tmp_path / "few"), sent=sent)
    scope, stream = Scope(house.account, "us-east-1"), Stream(printer.command, printer.node.instance_id, STEP, "stdout")
    assert await small.take(scope, stream, b"12345678", position=0, last=False) == (8, False)
    assert await small.take(scope, stream, b"9abcdef", position=8, last=False) == (10, True)
    assert await printer.whole() == b"123456789a"
    part = await printer.get(5)
    assert (part["Ended"], part["Truncated"]) == (True, True)
    assert await small.whole(scope, stream) == (b"123456789a\n--output truncated: more than 10 bytes were printed--\n")


async def test_a_node_says_when_it_has_kept_no_more(printer):
    """Its own limit is as good as the server's."""
    await printer.put(b"beginning", 0, Last=True, Truncated=True)
    assert (await printer.get())["Truncated"]


async def test_who_waits_is_answered_as_soon_as_there_is_more(printer):
    """Within the time waited for, and with nothing when that is over."""
    waiting = asyncio.create_task(printer.get(0, WaitSeconds=15))
    await asyncio.sleep(0)
    await printer.put(b"news", 0)
    assert (await asyncio.wait_for(waiting, 5))["Body"] == b"news"

    later = asyncio.create_task(printer.get(4, WaitSeconds=15))
    async with asyncio.timeout(10):
        while not (await asyncio.wait({later}, timeout=0.2))[0]:
            printer.house.clock.time += 16  # it looks again every second, and at the end of its time answers
    assert (await later)["Body"] == b""


async def test_who_waits_is_let_go_when_the_server_stops(printer):
    """A stop is not held up by those who watch."""
    waiting = asyncio.create_task(printer.get(0, WaitSeconds=15))
    await asyncio.sleep(0)
    printer.house.wired.waking.close()
    assert (await asyncio.wait_for(waiting, 5))["Body"] == b""


async def test_what_came_with_the_result_alone_is_read_the_same_way(printer):
    """A short step sends no stream of its own."""
    assert (await printer.get())["Body"] == b""
    assert not (await printer.get())["Ended"]
    await printer.end("grüße\n")
    part = await printer.get()
    assert (part["Body"].decode(), part["Ended"]) == ("grüße\n", True)
    assert [(one["Stream"], one["Size"], one["Ended"]) for one in await printer.streams()] == [
        ("stdout", 8, True),
        ("stderr", 0, True),
    ]


async def test_a_node_sends_output_of_its_own_steps_only(house, printer):
    """Not of another node's command, nor of a step that the document does not have."""
    other = await house.enrol()
    body = printer.body(b"x", 0)
    assert await house.code("Patchwright.PutOutput", body, key=other) == "InvocationDoesNotExist"
    assert await house.code("Patchwright.PutOutput", body, key=house.root) == "AccessDeniedException"
    unknown = printer.body(b"x", 0, StepName="Nothing")
    assert await house.code("Patchwright.PutOutput", unknown, key=printer.node) == "InvalidPluginName"
    asked = {"CommandId": printer.command, "InstanceId": printer.node.instance_id}
    assert await house.code("Patchwright.GetOutput", asked, key=printer.node) == "AccessDeniedException"
    for refused in ({"Offset": -1}, {"Stream": "stdin"}, {"Body": base64.b64encode(bytes(PIECE_BYTES + 1)).decode()}):
        code = await house.code("Patchwright.PutOutput", {**body, **refused}, key=printer.node)
        assert code == "ValidationException"
    assert await printer.streams() == []


async def test_output_belongs_to_its_region(house, printer):
    """A neighbour sees none of it, whatever it knows."""
    await printer.put(b"secret", 0, Last=True)
    asked = {"CommandId": printer.command, "InstanceId": printer.node.instance_id}
    assert await house.code("Patchwright.GetOutput", asked, region="eu-west-1") == "InvocationDoesNotExist"
    assert await house.code("Patchwright.ListOutputs", asked, region="eu-west-1") == "InvalidCommandId"


async def test_a_node_that_prints_without_end_is_slowed_down(printer):
    """What is kept of one in a day is bounded; whoever has sent too much is told to come later."""
    clock = printer.house.clock
    edge = Outputs(
        MagicMock(take=AsyncMock(return_value=Taken(1, full=False))), monotonic=clock.monotonic, daily_bytes=10
    )
    caller = MagicMock(instance_id="mi-1")
    request = {"CommandId": "c", "StepName": "s", "Stream": "stdout", "Offset": 0, "Body": b"12345678"}
    assert await edge.put_output(caller, request) == {"Offset": 1, "Full": False}
    with pytest.raises(ApiError) as refused:
        await edge.put_output(caller, request)
    assert refused.value.code == "ThrottlingException"
    clock.time += 86_400
    await edge.put_output(caller, request)


async def test_what_is_large_is_read_as_it_is_taken(house, printer):
    """From S3, from its link and by piece: no answer has a part larger than a piece, and a slow reader makes nobody read ahead."""
    text = b"0123456789abcde\n" * 80_000
    for offset in range(0, len(text), PIECE_BYTES):
        part = text[offset : offset + PIECE_BYTES]
        await printer.put(part, offset, Last=offset + PIECE_BYTES >= len(text))
    service = house.wired.tender._service
    scope = Scope(house.account, "us-east-1")
    stream = Stream(printer.command, str(printer.node.instance_id), STEP, "stdout")
    read, get = [], service._blobs.get

    async def counted(digest):
        read.append(digest)
        return await get(digest)

    service._blobs.get = counted
    content = await service.open(scope, stream)
    assert (content.size, read) == (len(text), [])
    pieces = content.read(0, content.size)
    assert await anext(pieces) == text[:PIECE_BYTES]
    assert len(read) == 1
    rest = [piece async for piece in pieces]
    assert b"".join(rest) == text[PIECE_BYTES:]
    assert max(map(len, rest)) <= PIECE_BYTES
    some = content.read(PIECE_BYTES + 5, PIECE_BYTES + 15)
    assert b"".join([piece async for piece in some]) == text[PIECE_BYTES + 5 : PIECE_BYTES + 15]


async def test_what_is_collected_while_it_is_read_does_not_end_as_if_it_were_whole(house, printer):
    """The length was announced: whoever reads sees that something is missing."""
    await printer.put(b"x" * PIECE_BYTES, 0)
    await printer.put(b"y" * PIECE_BYTES, PIECE_BYTES, Last=True)
    stream = Stream(printer.command, str(printer.node.instance_id), STEP, "stdout")
    content = await house.wired.tender._service.open(Scope(house.account, "us-east-1"), stream)
    pieces = content.read(0, content.size)
    assert await anext(pieces) == b"x" * PIECE_BYTES
    house.clock.time += 31 * 86_400
    await house.wired.tender.collect()

    with pytest.raises(PatchwrightError):
        await anext(pieces)
