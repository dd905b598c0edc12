# SPDX-License-Identifier: Apache-2.0
"""Reports over the wire: pages of CSV text that are put together as they come."""

from __future__ import annotations

import csv

from server.patching.bench import OUTDATED

REPORT, EXPORT = "Patchwright.GetPatchReport", "Patchwright.ExportPatchReport"


async def whole(house, **request):
    """The rows of a report, over all its pages."""
    answer = await house.ask(REPORT, request)
    text = answer["Report"]
    while "NextToken" in answer:
        answer = await house.ask(REPORT, {**request, "NextToken": answer["NextToken"]})
        text += answer["Report"]
    return list(csv.reader(text.splitlines()))


async def test_every_node_and_one_node(house):
    """The same whatever the size of a page."""
    found = [await house.enrol() for _ in range(3)]
    await house.scan(found[0], OUTDATED)

    rows = await whole(house)

    assert [row[1] for row in rows[1:]] == sorted(node.instance_id for node in found)
    assert await whole(house, MaxResults=1) == rows
    one = await whole(house, InstanceId=found[0].instance_id)
    assert [row[4] for row in one[3:]] == ["bar.amd64", "foo.amd64", "plain.amd64"]
    assert await whole(house, InstanceId=found[0].instance_id, MaxResults=2) == one


async def test_a_report_is_written_to_a_bucket(house):
    """With its key and length in the answer; a bucket that is none is refused, and so is a node as the asker."""
    node = await house.enrol()
    await house.scan(node, OUTDATED)
    whole_text = "".join(",".join(row) for row in await whole(house))

    made = await house.ask(EXPORT, {"BucketName": "audit", "Prefix": "daily"})

    assert made["BucketName"] == "audit"
    assert made["Key"].startswith(f"daily/patch-report/accountid={house.account}/region=us-east-1/2026-11-20T04-")
    assert made["Bytes"] > len(whole_text)
    assert await house.code(EXPORT, {"BucketName": "../x"}) == "BucketRefusedException"
    assert (
        await house.code(EXPORT, {"BucketName": "audit", "InstanceId": "mi-00000000000000000"}) == "InvalidInstanceId"
    )
    assert await house.code(EXPORT, {}) == "ValidationException"
    assert await house.code(EXPORT, {"BucketName": "audit"}, key=node) == "AccessDeniedException"


async def test_refusals(house):
    """A node that is none, a token of another report, a page of no size; and nodes may not ask."""
    nodes = [await house.enrol() for _ in range(2)]
    token = (await house.ask(REPORT, {"MaxResults": 1}))["NextToken"]

    assert await house.code(REPORT, {"InstanceId": "mi-00000000000000000"}) == "InvalidInstanceId"
    assert await house.code(REPORT, {"InstanceId": "x"}) == "ValidationException"
    assert await house.code(REPORT, {"MaxResults": 0}) == "ValidationException"
    for request in ({"NextToken": "nonsense"}, {"NextToken": token, "InstanceId": nodes[0].instance_id}):
        assert await house.code(REPORT, request) == "InvalidNextToken"
    assert await house.code(REPORT, {}, key=nodes[0]) == "AccessDeniedException"
