# SPDX-License-Identifier: Apache-2.0
"""Files of buckets that a step of a command fetches (aws:downloadContent): that node, that file, while the command is open."""

from __future__ import annotations

import json
import re

import pytest

from server.aws.granted import new_user, statement
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


async def fetching(house, node, path):
    """Send a command whose step fetches *path*."""
    given = {"sourceType": ["S3"], "sourceInfo": [json.dumps({"path": path})], "commandLine": ["ls"]}
    body = {"DocumentName": REMOTE, "InstanceIds": [node.instance_id], "Parameters": given}
    return (await house.ask("AmazonSSM.SendCommand", body))["Command"]["CommandId"]


def keys_of(answer):
    """The keys in a listing."""
    return re.findall(r"<Key>(.*?)</Key>", answer.body.decode())


@pytest.mark.parametrize("path", ["s3://scripts/dir", "https://s3.amazonaws.com/scripts/dir/"])
async def test_a_folder_that_a_step_names_is_listed_and_fetched(house, path):
    """As Amazon's agent asks, and as newer clients do; another folder, another node and who is no node learn nothing."""
    root = house.wired.tender._buckets._inner._root / BUCKET
    for key in ("dir/a.sh", "dir/sub/b & c.sh", "dirt/c.sh", "d.sh"):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(key.encode())
    shop, node, stranger = Shop(house), await house.enrol(), await house.enrol()
    listing = f"/{BUCKET}?prefix=dir%2F"
    assert (await shop.ask("GET", listing, node)).status == 403

    command = await fetching(house, node, path)

    found = await shop.ask("GET", listing, node)
    assert (found.status, keys_of(found)) == (200, ["dir/a.sh", "dir/sub/b &amp; c.sh"])
    assert b"<IsTruncated>false</IsTruncated>" in found.body
    encoded = await shop.ask("GET", f"/{BUCKET}?encoding-type=url&list-type=2&prefix=dir%2Fsub%2F", node)
    assert (keys_of(encoded), b"<KeyCount>1</KeyCount>" in encoded.body) == (["dir/sub/b%20%26%20c.sh"], True)
    got = await shop.ask("GET", f"/{BUCKET}/dir/sub/b%20%26%20c.sh", node)
    assert (got.status, got.body) == (200, b"dir/sub/b & c.sh")
    for where, who in (
        (listing, stranger),
        (listing, house.root),
        (f"/{BUCKET}?prefix=dirt%2F", node),
        (f"/{BUCKET}?prefix=di", node),
        (f"/{BUCKET}", node),
        (f"/{BUCKET}/dirt/c.sh", node),
        (f"/{BUCKET}/d.sh", node),
    ):
        assert (await shop.ask("GET", where, who)).status == 403, where
    assert (await shop.ask("GET", f"{listing}&max-keys=x", node)).status == 400
    assert (await shop.ask("GET", f"/{BUCKET}?delimiter=%2F&prefix=dir%2F", node)).status == 501
    assert (await house.reply(node, command, "Success")).status == 200
    assert (await shop.ask("GET", listing, node)).status == 403


async def test_a_folder_is_listed_in_pages_by_both_versions(house):
    """Each goes on where the one before ended, and the last one says that it is."""
    root = house.wired.tender._buckets._inner._root / BUCKET / "many"
    root.mkdir(parents=True)
    names = [f"many/{number:02}" for number in range(5)]
    for name in names:
        (root.parent / name).write_bytes(b"x")
    shop, node = Shop(house), await house.enrol()
    await fetching(house, node, f"s3://{BUCKET}/many/")
    for more, follow, member in (
        ("max-keys=2&prefix=many%2F", "marker", "NextMarker"),
        ("list-type=2&max-keys=2&prefix=many%2F", "continuation-token", "NextContinuationToken"),
    ):
        found, after = [], ""
        while True:
            query = f"{follow}={after}&{more}" if after else more
            answer = await shop.ask("GET", f"/{BUCKET}?{query}", node)
            found += keys_of(answer)
            more_to_come = re.search(f"<{member}>(.*?)</{member}>", answer.body.decode())
            if more_to_come is None:
                break
            after = more_to_come[1].replace("/", "%2F")
        assert found == names


async def test_a_file_that_a_step_names_is_a_folder_without_anything_in_it(house):
    """Amazon's agent asks for that before it fetches the file."""
    root = house.wired.tender._buckets._inner._root / BUCKET / "dir"
    root.mkdir(parents=True)
    (root / "setup.sh").write_bytes(b"true")
    shop, node = Shop(house), await house.enrol()
    await fetching(house, node, f"s3://{BUCKET}/dir/setup.sh")

    found = await shop.ask("GET", f"/{BUCKET}?prefix=dir%2Fsetup.sh%2F", node)

    assert (found.status, keys_of(found)) == (200, [])
    assert (await shop.ask("GET", f"/{BUCKET}?prefix=dir%2F", node)).status == 403


async def test_a_listing_shows_what_may_be_fetched(house):
    """By who sent the command; and nothing that the server wrote for another account."""
    root = house.wired.tender._buckets._inner._root / BUCKET
    for key in ("dir/open/a.sh", "dir/secret/b.sh", "dir/accountid=999999999999/x.json"):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(b"x")
    reads = statement("s3:GetObject", resource=f"arn:aws:s3:::{BUCKET}/dir/open/*")
    anna = await new_user(house, "anna", statement("ssm:SendCommand"), reads)
    shop, node = Shop(house), await house.enrol()
    given = {"sourceType": ["S3"], "sourceInfo": [json.dumps({"path": f"s3://{BUCKET}/dir"})], "commandLine": ["ls"]}
    body = {"DocumentName": REMOTE, "InstanceIds": [node.instance_id], "Parameters": given}
    await house.ask("AmazonSSM.SendCommand", body, key=anna)
    assert keys_of(await shop.ask("GET", f"/{BUCKET}?prefix=dir%2F", node)) == ["dir/open/a.sh"]
    assert (await shop.ask("GET", f"/{BUCKET}/dir/secret/b.sh", node)).status == 403

    other = await house.enrol()
    await fetching(house, other, f"s3://{BUCKET}/dir")
    assert keys_of(await shop.ask("GET", f"/{BUCKET}?prefix=dir%2F", other)) == ["dir/open/a.sh", "dir/secret/b.sh"]


@pytest.mark.parametrize("path", ["s3:", "s3://", "s3:///", "", "https://s3.amazonaws.com"])
async def test_a_step_that_names_no_bucket_opens_none(house, path):
    """Nothing that is written here is the beginning of every URL."""
    root = house.wired.tender._buckets._inner._root / BUCKET
    root.mkdir(parents=True)
    (root / "a.sh").write_bytes(b"x")
    node = await house.enrol()
    await fetching(house, node, path)

    assert (await Shop(house).ask("GET", f"/{BUCKET}/a.sh", node)).status == 403
    assert (await Shop(house).ask("GET", f"/{BUCKET}", node)).status == 403
