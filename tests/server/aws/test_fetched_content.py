# SPDX-License-Identifier: Apache-2.0
"""Files of buckets that a step of a command fetches (aws:downloadContent): that node, that file, while the command is open."""

from __future__ import annotations

import json

import pytest

from server.aws.test_s3 import Shop

BUCKET = "scripts"
REMOTE = "AWS-RunRemoteScript"


@pytest.mark.parametrize(
    "path",
    [
        "s3://scripts/dir/setup.sh",
        "https://s3.amazonaws.com/scripts/dir/setup.sh",
        "https://scripts.s3.eu-west-1.amazonaws.com/dir/setup.sh",
    ],
)
async def test_a_node_fetches_the_file_that_a_step_of_its_command_names(house, path):
    """However the URL is written; another node, another file and a command that has ended get nothing."""
    root = house.wired.tender._buckets._inner._root
    (root / BUCKET / "dir").mkdir(parents=True, exist_ok=True)
    for name in ("setup.sh", "other.sh"):
        (root / BUCKET / "dir" / name).write_bytes(b"echo hello\n")
    shop, node, stranger = Shop(house), await house.enrol(), await house.enrol()
    given = {"sourceType": ["S3"], "sourceInfo": [json.dumps({"path": path})], "commandLine": ["sh setup.sh"]}
    body = {"DocumentName": REMOTE, "InstanceIds": [node.instance_id], "Parameters": given}
    wanted = f"/{BUCKET}/dir/setup.sh"
    assert (await shop.ask("GET", wanted, node)).status == 403

    command = (await house.ask("AmazonSSM.SendCommand", body))["Command"]["CommandId"]

    found = await shop.ask("GET", wanted, node)
    assert (found.status, found.body) == (200, b"echo hello\n")
    for where, who in ((wanted, stranger), (wanted, house.root), (f"/{BUCKET}/dir/other.sh", node)):
        assert (await shop.ask("GET", where, who)).status == 403
    assert (await house.reply(node, command, "Success")).status == 200
    asked = {"CommandId": command, "InstanceId": node.instance_id, "PluginName": "runShellScript"}
    assert (await house.ask("AmazonSSM.GetCommandInvocation", asked))["StatusDetails"] not in {"InProgress", "Failed"}
    assert (await shop.ask("GET", wanted, node)).status == 403


@pytest.mark.parametrize("info", ["{}", '{"path": 7}', '{"path": ""}', '{"path": "https://[x/scripts/dir/setup.sh"}'])
async def test_a_step_that_names_no_file_opens_none(house, info):
    """Nor does one that fetches from elsewhere."""
    node = await house.enrol()
    given = {"sourceType": ["S3"], "sourceInfo": [info], "commandLine": ["ls"]}
    body = {"DocumentName": REMOTE, "InstanceIds": [node.instance_id], "Parameters": given}
    await house.ask("AmazonSSM.SendCommand", body)
    given |= {"sourceType": ["HTTP"], "sourceInfo": ['{"path": "s3://scripts/dir/setup.sh"}']}
    await house.ask("AmazonSSM.SendCommand", body)

    assert (await Shop(house).ask("GET", f"/{BUCKET}/dir/setup.sh", node)).status == 403


async def test_what_the_server_wrote_for_another_account_is_not_fetched(house):
    """Outputs of commands, and what resource data syncs write: their keys tell whose they are. One's own are."""
    shop, node, other = Shop(house), await house.enrol(), await house.enrol()
    printed = {"DocumentName": "AWS-Noop", "InstanceIds": [other.instance_id]}
    command = (await house.ask("AmazonSSM.SendCommand", printed))["Command"]["CommandId"]
    theirs = "0fe03b1e-3f6c-4b6c-8f43-2f6f5a9d4c11"
    root = house.wired.tender._buckets._inner._root / BUCKET
    keys = {
        f"logs/{command}/{other.instance_id}/awsrunShellScript/Noop/stdout": 200,
        f"logs/{theirs}/mi-0123456789abcdef0/awsrunShellScript/Noop/stdout": 403,
        f"logs/{theirs}/{other.instance_id}/awsrunShellScript/Noop/stderr": 403,
        f"sync/AWS:Network/accountid={house.account}/region=us-east-1/i-1.json": 200,
        "sync/AWS:Network/accountid=999999999999/region=us-east-1/i-1.json": 403,
    }
    for key, status in keys.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(b"words\n")
        info = json.dumps({"path": f"s3://{BUCKET}/{key}"})
        given = {"sourceType": ["S3"], "sourceInfo": [info], "commandLine": ["ls"]}
        body = {"DocumentName": REMOTE, "InstanceIds": [node.instance_id], "Parameters": given}
        await house.ask("AmazonSSM.SendCommand", body)

        assert (await shop.ask("GET", f"/{BUCKET}/{key}", node)).status == status, key
