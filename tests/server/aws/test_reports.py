# SPDX-License-Identifier: Apache-2.0
"""Reports over the wire: pages of CSV text that are put together as they come."""

from __future__ import annotations

import csv

from server.patching.bench import OUTDATED

REPORT = "Patchwright.GetPatchReport"


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
