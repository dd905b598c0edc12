# SPDX-License-Identifier: Apache-2.0
"""A file that a command names in a bucket of the server's is read with the rights of who sent the command."""

from __future__ import annotations

import pytest

from server.aws.granted import new_user, statement
from server.aws.test_s3 import Shop

BUCKET, KEY = "lists", "web/list.yaml"
SENDS = statement("ssm:SendCommand")


@pytest.fixture
def shop(house):
    """The shop of the house, with a list in a bucket."""
    place = house.wired.tender._buckets._inner._root / BUCKET / KEY
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("patches: []")
    return Shop(house)


async def fetched(house, shop, node, user):
    """What the node gets when *user* has sent a command that names the list, and the node has begun it."""
    parameters = {"Operation": ["Install"], "InstallOverrideList": [f"s3://{BUCKET}/{KEY}"]}
    body = {"DocumentName": "AWS-RunPatchBaseline", "InstanceIds": [node.instance_id], "Parameters": parameters}
    sent = await house.ask("AmazonSSM.SendCommand", body, key=user)
    await house.messages(node)
    await house.begin(node, sent["Command"]["CommandId"])
    return await shop.ask("GET", f"/{BUCKET}/{KEY}", node)


async def test_who_may_not_read_an_object_cannot_make_a_node_read_it(house, shop):
    """SendCommand alone does not open the buckets; s3:GetObject on the object does, and nobody else's command lends it."""
    anna = await new_user(house, "anna", SENDS)
    bert = await new_user(house, "bert", SENDS, statement("s3:GetObject", resource=f"arn:aws:s3:::{BUCKET}/web/*"))
    carl = await new_user(house, "carl", SENDS, statement("s3:GetObject", resource=f"arn:aws:s3:::{BUCKET}/other/*"))
    node = await house.enrol()
    for user, status in ((anna, 403), (bert, 200), (carl, 403), (None, 200)):
        assert (await fetched(house, shop, node, user)).status == status, user
