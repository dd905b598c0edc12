# SPDX-License-Identifier: Apache-2.0
"""What was captured changes nothing a second time, wherever it is sent: processes share which signatures changed something."""

from __future__ import annotations

import asyncio

import pytest

from patchwright.server.accounts import Act, Audited, SignatureReused, Signed, Trail, forget_signatures
from patchwright.server.infra import sql
from server.accounts.tenants import new_account
from server.clocks import FakeClock
from server.gateway.house import build, signed

NOW = 1_795_000_000.0
SIGNED = Signed("0123456789abcdef", "call-1 attempt=1", "10.0.0.1")


def _change(setting_id):
    yield sql(
        "INSERT INTO service_setting (account, region, id, value, modified_at, modified_by)"
        " VALUES ('1', 'xx', $1, 'v', 0, 'me') ON CONFLICT DO NOTHING",
        setting_id,
    )


def _changed():
    return [row[0] for row in (yield sql("SELECT id FROM service_setting WHERE account = '1'"))]


class Process:
    """One of several that serve the same database."""

    def __init__(self, database, clock, *, shared=True):
        self.database = Audited(database)
        self.trail = Trail(database, clock, key=b"k" * 32, shared=shared)

    async def serve(self, signed, setting_id="/a"):
        act = Act("1", "xx", "arn:aws:iam::1:root", "AK", signed.source, "AmazonSSM.X", "r", signed=signed)
        with self.trail.during(act):
            await self.database.write(_change, setting_id)


@pytest.fixture
def clock():
    return FakeClock(NOW)


async def test_a_signature_that_changed_something_is_refused_by_every_process(database, clock):
    """And what the second one was to change is as it was."""
    first, second = Process(database, clock), Process(database, clock)
    await first.serve(SIGNED)
    for process in (first, second):
        with pytest.raises(SignatureReused, match="Sign the request again"):
            await process.serve(SIGNED, "/b")
    assert await database.read(_changed) == ["/a"]


async def test_at_once_only_one_of_them_takes_it(database, clock):
    """Of five processes that get the same request in the same moment."""
    served = [Process(database, clock).serve(SIGNED, f"/{number}") for number in range(5)]
    came = await asyncio.gather(*served, return_exceptions=True)
    assert sum(one is None for one in came) == 1
    assert {type(one) for one in came if one is not None} == {SignatureReused}
    assert len(await database.read(_changed)) == 1


async def test_an_sdk_may_ask_twice_in_a_second(database, clock):
    """Another call of the same signer, from the same address and within two seconds; not from elsewhere, not later."""
    process, other = Process(database, clock), SIGNED._replace(call="call-2 attempt=1")
    await process.serve(SIGNED)
    await process.serve(other, "/b")
    with pytest.raises(SignatureReused):
        await process.serve(SIGNED._replace(call="call-3", source="10.0.0.2"))
    with pytest.raises(SignatureReused):
        await process.serve(SIGNED._replace(call=""))
    clock.time += 3
    with pytest.raises(SignatureReused):
        await process.serve(SIGNED._replace(call="call-4"))
    assert sorted(await database.read(_changed)) == ["/a", "/b"]


async def test_a_process_that_is_alone_remembers_by_itself(database, clock):
    """No row is written where nobody shares the database."""
    await Process(database, clock, shared=False).serve(SIGNED)
    assert await database.read(_count) == 0


async def test_what_no_server_accepts_any_more_is_forgotten(database, clock):
    """After the time for which signatures are good."""
    process = Process(database, clock)
    await process.serve(SIGNED)
    clock.time += 1700
    await forget_signatures(database, clock, window=900.0)
    assert await database.read(_count) == 1
    clock.time += 103
    await forget_signatures(database, clock, window=900.0)
    assert await database.read(_count) == 0


async def test_a_recorded_request_changes_nothing_in_the_other_process(postgres_url, tmp_path):
    """Byte for byte, to a server that has not seen it; the next one, signed anew, is served."""
    first = await build(tmp_path, postgres_url, new_account())
    second = await build(tmp_path, postgres_url, first.account)
    body = {"Name": "/recorded", "Type": "String", "Value": "1", "Overwrite": True}
    recorded = signed("AmazonSSM.PutParameter", body, key=first.root, region="us-east-1", at=first.clock.now())
    assert (await first.knock(*recorded)).status == 200
    answer = await second.knock(*recorded)
    assert (answer.status, answer.code) == (400, "InvalidSignatureException")
    assert (await second.ask("AmazonSSM.GetParameter", {"Name": "/recorded"}))["Parameter"]["Version"] == 1
    second.clock.time += 1
    assert (await second.ask("AmazonSSM.PutParameter", body))["Version"] == 2
    await second.close()
    await first.close()


def _count():
    return (yield sql("SELECT COUNT(*) FROM used_signature"))[0][0]
