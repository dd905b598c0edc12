# SPDX-License-Identifier: Apache-2.0
"""What an Expiration does is told (spec §7.7)."""

from __future__ import annotations

import json

from patchwright.server import events, parameters
from server.gateway.house import build

DAY = 86_400.0


async def test_what_an_expiration_deletes_is_told(sqlite_url, tmp_path):
    """With the policy as it was given, and then that the parameter is gone; once."""
    house = await build(tmp_path, sqlite_url, "000000000001")
    policy = {"Type": "Expiration", "Version": "1.0", "Attributes": {"Timestamp": "2026-11-21T04:00:00Z"}}
    given = {"Name": "/a/b", "Value": "v", "Type": "String", "Tier": "Advanced", "Description": "of web"}
    try:
        await house.ask("AmazonSSM.PutParameter", {**given, "Policies": json.dumps([policy])})
        for _ in range(2):
            house.clock.time += DAY
            await parameters.delete_expired(house.wired.database, house.clock)
            await events.number_waiting(house.wired.database)
        listed = (await house.ask("Patchwright.ListEvents", {"Subject": "/a/b"}))["Events"]
    finally:
        await house.close()
    told = [json.loads(one["Event"]) for one in reversed(listed)]
    assert [(one["detail-type"], one["detail"].get("operation")) for one in told] == [
        (events.PARAMETER, "Create"),
        (events.PARAMETER_POLICY, None),
        (events.PARAMETER, "Delete"),
    ]
    assert told[1]["resources"] == ["arn:aws:ssm:us-east-1:000000000001:parameter/a/b"]
    detail = told[1]["detail"]
    assert json.loads(detail.pop("policy-content")) == policy
    assert detail == {
        "policy-type": "Expiration",
        "parameter-name": "/a/b",
        "parameter-type": "String",
        "parameter-description": "of web",
        "action-status": "Success",
        "action-reason": "",
    }
