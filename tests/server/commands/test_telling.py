# SPDX-License-Identifier: Apache-2.0
"""What the world hears of commands: events (spec §7.7) and notifications (spec §5.8)."""

from __future__ import annotations

import json
from unittest import mock

import pytest

from patchwright.core.invocation import Detail
from patchwright.server import events
from patchwright.server.accounts import MasterKey
from patchwright.server.commands import InvalidNotification, Notification
from patchwright.server.config import Quotas
from patchwright.server.infra import sql
from server.commands.bench import SCAN


async def told(bench, table="event", *, columns="detail_type, resources, detail"):
    """What was written for the account, in order."""

    def read():
        rows = yield sql(f"SELECT {columns} FROM {table} WHERE account = $1 ORDER BY at, place", bench.scope.account)
        return rows

    return await bench.database.read(read)


async def test_every_change_of_a_command_and_of_its_invocations_is_an_event(bench):
    """In the envelope's words; what did not change is not told."""
    ids = await bench.nodes(2)
    command, _ = await bench.send(*ids, max_concurrency="1")
    await bench.reply(command, ids[0], Detail.IN_PROGRESS)
    await bench.reply(command, ids[0], Detail.FAILED)
    await bench.reply(command, ids[0], Detail.SUCCESS)

    found = [(kind, json.loads(resources), json.loads(detail)) for kind, resources, detail in await told(bench)]
    whole = [(resources, detail["status"]) for kind, resources, detail in found if kind == events.COMMAND]
    arns = [events.node_arn(bench.scope, node) for node in ids]
    assert whole == [(arns, "Pending"), (arns, "InProgress"), (arns, "Failed")]
    each = [(resources, detail) for kind, resources, detail in found if kind == events.COMMAND_INVOCATION]
    assert [(resources, detail["status"]) for resources, detail in each] == [
        ([arns[0]], "InProgress"),
        ([arns[0]], "Failed"),
        ([arns[1]], "Cancelled"),
    ]
    assert each[0][1] == {
        "command-id": command.id,
        "document-name": "AWS-RunPatchBaseline",
        "instance-id": ids[0],
        "requested-date-time": "2026-11-20T04:00:00.000Z",
        "status": "InProgress",
    }
    first = next(detail for kind, _, detail in found if kind == events.COMMAND)
    assert first == {
        "command-id": command.id,
        "document-name": "AWS-RunPatchBaseline",
        "expire-after": "2026-11-20T07:00:00.000Z",
        "parameters": SCAN,
        "requested-date-time": "2026-11-20T04:00:00.000Z",
        "status": "Pending",
    }


@pytest.fixture
async def topic(bench):
    """The ARN of a topic."""
    service = events.Subscriptions(
        bench.database, bench.clock, Quotas(), master=MasterKey(b"k" * 32), postman=mock.Mock()
    )
    await service.put(bench.scope, events.Wish("ops", "https://ops.example.org/hook"))
    return f"arn:aws:sns:{bench.scope.region}:{bench.scope.account}:ops"


async def bodies(bench):
    """What is to be sent, in order."""

    def read():
        rows = yield sql("SELECT body FROM event_delivery WHERE account = $1", bench.scope.account)
        return sorted((json.loads(row[0]) for row in rows), key=lambda body: (body["eventTime"], body["status"]))

    return await bench.database.read(read)


async def test_whoever_wants_to_hear_of_a_command_is_told_what_they_asked_for(bench, topic):
    """Of the whole, and of the statuses that were named."""
    (node,) = await bench.nodes(1)
    command, _ = await bench.send(
        node,
        notification=Notification(topic, ("Success", "Failed"), "Command"),
        output_bucket="logs",
        output_prefix="p",
    )
    await bench.reply(command, node, Detail.IN_PROGRESS)
    bench.clock.time += 9
    await bench.reply(command, node, Detail.SUCCESS)

    assert await bodies(bench) == [
        {
            "commandId": command.id,
            "documentName": "AWS-RunPatchBaseline",
            "instanceIds": [node],
            "requestedDateTime": "2026-11-20T04:00:00.000Z",
            "expiresAfter": "2026-11-20T07:00:00.000Z",
            "outputS3BucketName": "logs",
            "outputS3KeyPrefix": "p",
            "status": "Success",
            "statusDetails": "Success",
            "eventTime": "2026-11-20T04:00:09.000Z",
        }
    ]


async def test_whoever_wants_to_hear_of_every_invocation_is_told_of_each(bench, topic):
    """All statuses, without a list of them too."""
    ids = await bench.nodes(2)
    command, _ = await bench.send(*ids, notification=Notification(topic, (), "Invocation"))
    for node in ids:
        await bench.reply(command, node, Detail.SUCCESS)

    found = await bodies(bench)
    assert {body["instanceId"] for body in found} == set(ids)
    assert found[0] == {
        "commandId": command.id,
        "documentName": "AWS-RunPatchBaseline",
        "instanceId": found[0]["instanceId"],
        "requestedDateTime": "2026-11-20T04:00:00.000Z",
        "status": "Success",
        "statusDetails": "Success",
        "eventTime": "2026-11-20T04:00:00.000Z",
    }


@pytest.mark.parametrize("arn", ["", "ops", "arn:aws:sns:us-east-1:999999999999:ops", "arn:aws:sns:{}:{}:none"])
async def test_nobody_can_be_told_who_is_not_there(bench, topic, arn):
    """Refused when the command is sent."""
    (node,) = await bench.nodes(1)
    assert topic

    with pytest.raises(InvalidNotification):
        await bench.send(node, notification=Notification(arn.format(bench.scope.region, bench.scope.account)))

    assert await told(bench) == []
