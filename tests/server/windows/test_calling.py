# SPDX-License-Identifier: Apache-2.0
"""A task of type LAMBDA calls the subscription that its function names: signed, tried again, and no longer than the window."""

from __future__ import annotations

import base64
import json

import pytest

from patchwright.server import events
from server.events.receiver import receiving
from server.gateway.house import build
from server.windows.stage import Stage
from server.windows.test_telling import told

HOUR = 3600.0


@pytest.fixture
async def house(sqlite_url, tmp_path):
    """A house that may send to loopback; what it says to the database, the rooms' own tests say to both."""
    made = await build(tmp_path, sqlite_url, "000000000001", webhook_networks="127.0.0.0/8")
    yield made
    await made.close()


@pytest.fixture
def stage(house):
    """A stage on it."""
    return Stage(house)


async def subscribe(house, receiver, **members):
    """A subscription called notify; its secret."""
    request = {"Name": "notify", "Url": receiver.url, **members}
    return (await house.ask("Patchwright.PutSubscription", request)).get("Secret")


async def call(stage, *targets, payload=b"", **members):
    """A task that calls notify."""
    given = {"Targets": [{"Key": "WindowTargetIds", "Values": list(targets)}]} if targets else {"Targets": []}
    if not targets:
        given |= {"MaxConcurrency": None, "MaxErrors": None}
    told_of = {"Lambda": {"Qualifier": "live", **({"Payload": payload} if payload else {})}}
    body = {
        "WindowId": stage.id,
        "TaskType": "LAMBDA",
        "TaskArn": "notify",
        "TaskInvocationParameters": told_of,
        **({"MaxConcurrency": "1", "MaxErrors": "1"} if targets else {}),
        **{name: one for name, one in {**given, **members}.items() if one},
    }
    return await stage.ask("RegisterTaskWithMaintenanceWindow", **body)


async def deliver(house):
    """What is due is sent."""
    await house.wired.news.courier.step()
    await house.wired.news.courier.settled()


async def state(stage):
    """The newest execution, its only task, and that one's invocations."""
    execution, *_ = await stage.executions()
    (task,) = await stage.tasks(execution)
    return execution["Status"], task["Status"], await stage.invocations(task)


async def test_a_function_is_called_and_the_task_ends_with_its_answer(stage, house):
    """With the payload, the pseudo parameters filled in, and who is meant."""
    node = await house.enrol(tags={"Patch Group": "web"})
    async with receiving() as receiver:
        secret = await subscribe(house, receiver)
        window = await stage.window()
        target = await stage.target(OwnerInformation="the web team")
        payload = b'{"text": "{{WINDOW_ID}} reaches {{TARGET_ID}}", "n": [1, "{{TARGET_TYPE}}"]}'
        await call(stage, target, payload=base64.b64encode(payload).decode())
        await stage.tend()
        await stage.tend()
        assert (await state(stage))[:2] == ("IN_PROGRESS", "IN_PROGRESS")
        await deliver(house)
        await stage.tend()
    [posted] = receiver.posted
    assert posted.signed_with(secret)
    assert posted.headers["x-patchwright-kind"] == "Call"
    execution, *_ = await stage.executions()
    body = posted.json
    assert body["payload"] == {"text": f"{window} reaches {node.instance_id}", "n": [1, "INSTANCE"]}
    assert (body["instanceIds"], body["ownerInformation"]) == ([node.instance_id], "the web team")
    assert (body["windowId"], body["windowTargetId"], body["qualifier"]) == (window, target, "live")
    assert body["windowExecutionId"] == execution["WindowExecutionId"]
    status, task, [invocation] = await state(stage)
    assert (status, task, invocation["Status"]) == ("SUCCESS", "SUCCESS", "SUCCESS")
    assert json.loads(invocation["Parameters"]) == body
    found = await told(house, kind=events.WINDOW_TASK_INVOCATION)
    assert [one["detail"]["status"] for one in found] == ["IN_PROGRESS", "COMPLETE"]


async def test_a_function_is_called_for_each_node(stage, house):
    """With that node as its target, as many at once as the task says, one registration after the other (spec §4.7)."""
    nodes = {group: [await house.enrol(tags={"Patch Group": group}) for _ in range(3)] for group in ("web", "database")}
    async with receiving() as receiver:
        await subscribe(house, receiver)
        await stage.window()
        targets = [await stage.target(Targets=[{"Key": "tag:Patch Group", "Values": [one]}]) for one in nodes]
        payload = base64.b64encode(b'"{{TARGET_ID}} {{RESOURCE_ID}} {{WINDOW_TARGET_ID}}"').decode()
        told_of = {"Lambda": {"Payload": payload, "ClientContext": "{{RESOURCE_ID}}"}}
        await call(stage, *targets, MaxConcurrency="2", TaskInvocationParameters=told_of)
        await stage.tend()
        counts = []
        for _ in range(20):
            await stage.tend()
            await deliver(house)
            counts.append(len(receiver.posted))
            if (await state(stage))[0] == "SUCCESS":
                break
        status, task, invocations = await state(stage)
    assert (status, task) == ("SUCCESS", "SUCCESS")
    assert counts[:4] == [2, 3, 5, 6]
    wanted = [
        (node.instance_id, target) for target, group in zip(targets, nodes.values(), strict=True) for node in group
    ]
    called = [(*one.json["instanceIds"], one.json["windowTargetId"]) for one in receiver.posted]
    assert {*called[:3]} == {*wanted[:3]}
    assert {*called[3:]} == {*wanted[3:]}
    for one in receiver.posted:
        [node] = one.json["instanceIds"]
        assert one.json["payload"] == f"{node} {node} {one.json['windowTargetId']}"
        assert one.json["clientContext"] == node
    assert {one["ExecutionId"] for one in invocations} == set(receiver.ids)
    assert len(invocations) == 6


async def test_after_too_many_errors_no_other_node_is_called_for(stage, house):
    """The task has failed, and says what the receiver answered (spec §4.4)."""
    for _ in range(4):
        await house.enrol(tags={"Patch Group": "web"})
    async with receiving(400) as receiver:
        await subscribe(house, receiver)
        await stage.window()
        await call(stage, await stage.target(), MaxConcurrency="1", MaxErrors="1", TaskArn="nobody")
        await stage.tend()
        await stage.tend()
        status, task, invocations = await state(stage)
    assert (status, task) == ("FAILED", "FAILED")
    assert [one["Status"] for one in invocations] == ["FAILED", "FAILED", "CANCELLED", "CANCELLED"]
    assert receiver.posted == []


async def test_a_task_that_reaches_nobody_calls_nobody(stage, house):
    """And has nothing to say against it (spec §4.4)."""
    async with receiving() as receiver:
        await subscribe(house, receiver)
        await stage.window()
        await call(stage, await stage.target())
        await stage.tend()
        await stage.tend()
        await deliver(house)
        assert await state(stage) == ("SUCCESS", "SUCCESS", [])
        assert receiver.posted == []


@pytest.mark.parametrize("payload", ["[" * 700 + "]" * 700, '{"a": "\\ud800"}'], ids=["deep", "surrogate"])
async def test_whatever_the_payload_is_other_tasks_go_on(stage, house, payload):
    """What nobody can go through is given as the text that it is, and nothing fails for its sake."""
    async with receiving() as receiver:
        await subscribe(house, receiver)
        await stage.window()
        await call(stage, payload=base64.b64encode(payload.encode()).decode())
        await stage.tend()
        await stage.tend()
        await deliver(house)
        await stage.tend()
    assert (await state(stage))[0] == "SUCCESS"
    assert receiver.posted[0].json["payload"] in (payload, {"a": "\ud800"})


async def test_a_task_without_targets_calls_once(stage, house):
    """Nobody is meant, and it is told so."""
    async with receiving(500, 200) as receiver:
        await subscribe(house, receiver)
        await stage.window()
        await call(stage)
        await stage.tend()
        await stage.tend()
        await deliver(house)
        await stage.tend(after=30.0)
        assert (await state(stage))[:2] == ("IN_PROGRESS", "IN_PROGRESS")
        await deliver(house)
        await stage.tend()
    assert [one.json["instanceIds"] for one in receiver.posted] == [[], []]
    assert len(set(receiver.ids)) == 1
    status, task, [invocation] = await state(stage)
    assert (status, task, invocation["Status"]) == ("SUCCESS", "SUCCESS", "SUCCESS")
    assert receiver.posted[0].json["payload"] is None


async def test_a_call_that_never_arrives_fails_with_its_reason_before_the_window_is_over(stage, house):
    """Tried as long as the window is open, and no longer."""
    async with receiving(503) as receiver:
        await subscribe(house, receiver)
        await stage.window()
        await call(stage)
        await stage.tend()
        await stage.tend()
        for _ in range(40):
            await deliver(house)
            await stage.tend(after=300.0)
        status, task, [invocation] = await state(stage)
        assert (status, task, invocation["Status"]) == ("FAILED", "FAILED", "FAILED")
        assert invocation["StatusDetails"] == "The receiver answered 503."
        count = len(receiver.posted)
        assert count >= 3
        house.clock.time += 10 * HOUR
        await deliver(house)
        assert len(receiver.posted) == count


async def test_what_cannot_be_called_fails_at_once_and_says_why(stage, house):
    """A function that nobody made, of another account, or that was turned off."""
    for arn, why in (
        ("nobody", "no subscription 'nobody'"),
        ("arn:aws:lambda:us-east-1:999999999999:function:notify", "no function of account"),
    ):
        await stage.window()
        await call(stage, TaskArn=arn)
        await stage.tend()
        await stage.tend()
        status, task, [invocation] = await state(stage)
        assert (status, task) == ("FAILED", "FAILED")
        assert why in invocation["StatusDetails"]
    async with receiving() as receiver:
        await subscribe(house, receiver, Enabled=False)
        await stage.window()
        await call(stage, TaskArn="arn:aws:lambda:us-east-1:000000000001:function:notify:live")
        await stage.tend()
        await stage.tend(after=4 * HOUR)
        await stage.tend()
        status, task, [invocation] = await state(stage)
        assert (status, task) == ("FAILED", "FAILED")
        assert "is the subscription enabled?" in invocation["StatusDetails"]
        assert receiver.posted == []


async def test_at_the_cutoff_a_call_is_withdrawn_where_the_task_says_so(stage, house):
    """Nothing is sent after that."""
    async with receiving(500) as receiver:
        await subscribe(house, receiver)
        await stage.window()
        await call(stage, CutoffBehavior="CANCEL_TASK")
        await stage.tend()
        await stage.tend()
        await deliver(house)
        await stage.tend(after=2 * HOUR)
        status, task, [invocation] = await state(stage)
        assert (status, task, invocation["Status"]) == ("TIMED_OUT", "TIMED_OUT", "TIMED_OUT")
        await deliver(house)
        assert len(receiver.posted) == 1
