# SPDX-License-Identifier: Apache-2.0
"""A file that a command names in a bucket of the server's is read with the rights of who sent the command."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from server.aws.granted import new_user, statement
from server.aws.test_audited import entries
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


async def test_who_is_refused_an_object_is_in_the_audit_trail(house, shop):
    """By a policy, or because it is nobody's of his: who, which object, from where. What is given has no entry, nor what is not there."""
    user = await new_user(house, "anna", statement("s3:GetObject", resource="arn:aws:s3:::other/*"))
    node = await house.enrol()
    before = len(await entries(house))
    path = f"/{BUCKET}/{KEY}"
    assert (await shop.ask("GET", path, user)).status == 403
    assert (await shop.ask("PUT", path, user, b"x")).status == 403
    assert (await shop.ask("GET", path, node)).status == 403
    assert (await fetched(house, shop, node, None)).status == 200
    assert (await shop.ask("GET", f"/{BUCKET}?encryption", house.root)).status == 404

    refused = [one for one in await entries(house) if one["Result"] == "AccessDeniedException"]
    refused += [one for one in await entries(house) if one["Result"] == "AccessDenied"]
    assert [(one["Operation"], one["Principal"], one["Resources"], one["SourceIp"]) for one in refused] == [
        ("s3.PutObject", user.principal, [BUCKET, KEY], "192.0.2.7"),
        ("s3.GetObject", user.principal, [BUCKET, KEY], "192.0.2.7"),
        ("s3.GetObject", node.principal, [BUCKET, KEY], "192.0.2.7"),
    ]
    assert len(await entries(house)) == before + 3 + 2  # and the command, and its beginning


async def test_what_nobody_expects_of_s3_is_an_answer_and_a_line_in_the_log(house, shop):
    """As it is everywhere: no words of the inside are told."""
    with (
        patch.object(house.wired.application._buckets._endpoint, "_errors", {}),
        patch("patchwright.server.aws.s3.objects.commands.fetched_by", side_effect=ValueError("the inside")),
    ):
        answer = await shop.ask("GET", f"/{BUCKET}/{KEY}", await house.enrol())

    assert (answer.status, b"<Code>InternalError</Code>" in answer.body) == (500, True)
    assert b"the inside" not in answer.body
