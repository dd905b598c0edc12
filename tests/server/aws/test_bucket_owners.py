# SPDX-License-Identifier: Apache-2.0
"""Two accounts and the buckets of one installation: what is another account's is neither read nor written in any way."""

from __future__ import annotations

import json
import shutil

import pytest

from patchwright.server import app
from patchwright.server.accounts import Scope
from patchwright.server.aws import rights_of_windows
from patchwright.server.commands import InvalidOutput, Request
from patchwright.server.infra import BucketOwners
from patchwright.server.wire import Credential
from server.aws.test_s3 import Shop
from server.gateway.house import House, build, configure
from server.outputs.printing import Printer
from server.wire.client import MODELS

KEY = "dir/setup.sh"


@pytest.fixture
async def house(shared_sqlite_url, scope, master_key, tmp_path, monkeypatch):
    """A house with a bucket that is everybody's, and one that is the server's."""
    monkeypatch.setattr(app, "load_models", lambda *, strict: MODELS if strict else None)
    shutil.copy(master_key, tmp_path / "master.key")
    built = await build(tmp_path, shared_sqlite_url, scope.account, buckets="shared=*", blob_bucket="blobs")
    yield built
    await built.close()


@pytest.fixture
async def other(house):
    """Another account of the same installation."""
    made = await house.ask("Patchwright.CreateAccount", {"Name": "other"})
    key, account = made["AccessKey"], made["Account"]["AccountId"]
    found = House(house.wired, house.clock, account)
    found.root = Credential(key["AccessKeyId"], key["SecretAccessKey"], account, f"arn:aws:iam::{account}:root")
    return found


async def test_outputs_syncs_and_reports_are_not_written_to_another_account_s_bucket(house, other):
    """Each is refused with AWS's error; to a bucket of one's own, by its name or by the setting, they go."""
    node = await other.enrol()
    own = f"outputs-{other.account}"
    for bucket in ("logs", f"logs-{house.account}", "blobs"):
        place = {"BucketName": bucket, "SyncFormat": "JsonSerDe", "Region": "us-east-1"}
        command = {"DocumentName": "AWS-Noop", "InstanceIds": [node.instance_id], "OutputS3BucketName": bucket}
        assert await other.code("AmazonSSM.SendCommand", command) == "InvalidOutputFolder"
        sync = {"SyncName": "s", "S3Destination": place}
        refused = await other.call("AmazonSSM.CreateResourceDataSync", sync)
        assert refused.code == "ResourceDataSyncInvalidConfigurationException"
        assert "S3 write failed for bucket" in str(refused.body)
        report = {"BucketName": bucket}
        assert await other.code("Patchwright.ExportPatchReport", report) == "BucketRefusedException"
    assert await house.code("Patchwright.ExportPatchReport", {"BucketName": own}) == "BucketRefusedException"
    for bucket in (own, "shared"):
        await other.ask("AmazonSSM.SendCommand", {**command, "OutputS3BucketName": bucket})
        place = {"BucketName": bucket, "SyncFormat": "JsonSerDe", "Region": "us-east-1"}
        await other.ask("AmazonSSM.CreateResourceDataSync", {"SyncName": bucket, "S3Destination": place})
        await other.ask("Patchwright.ExportPatchReport", {"BucketName": bucket})
    root = house.wired.tender._buckets._inner._root
    assert sorted(path.name for path in root.iterdir()) == sorted([own, "shared"])


async def test_a_file_in_another_account_s_bucket_is_not_fetched_by_a_command(house, other):
    """Though root sends it and the file is there; what everybody's bucket has is, and each account has its own."""
    root = house.wired.tender._buckets._inner._root
    for bucket in ("scripts", "shared", f"scripts-{other.account}", "blobs"):
        (root / bucket / "dir").mkdir(parents=True, exist_ok=True)
        (root / bucket / KEY).write_bytes(b"echo hello\n")
    for whose, bucket, status in (
        (house, "scripts", 200),
        (house, "shared", 200),
        (house, f"scripts-{other.account}", 403),
        (house, "blobs", 403),
        (other, "scripts", 403),
        (other, "shared", 200),
        (other, f"scripts-{other.account}", 200),
        (other, "blobs", 403),
    ):
        shop, node = Shop(whose), await whose.enrol()
        info = json.dumps({"path": f"s3://{bucket}/{KEY}"})
        given = {"sourceType": ["S3"], "sourceInfo": [info], "commandLine": ["sh setup.sh"]}
        body = {"DocumentName": "AWS-RunRemoteScript", "InstanceIds": [node.instance_id], "Parameters": given}
        await whose.ask("AmazonSSM.SendCommand", body)

        found = await shop.ask("GET", f"/{bucket}/{KEY}", node)

        assert found.status == status, (whose.account, bucket)
        assert (b"AccessDenied" in found.body) == (status == 403)
        head = await shop.ask("HEAD", f"/{bucket}", node)
        assert head.status == status, (whose.account, bucket)


async def test_what_was_written_before_a_bucket_became_another_s_stays_where_it_is(
    house, other, tmp_path, shared_sqlite_url
):
    """Settings changed: an output that waits to be written is not, and its row says why."""
    printer = await Printer(house).begin(OutputS3BucketName="logs")
    await printer.put(b"words\n", 0, Last=True)
    config = configure(tmp_path, shared_sqlite_url, house.account, buckets=f"logs={other.account}")
    later = await app.build(config, clock=house.clock, strict=True)
    try:
        assert await later.tender.tend() == 0
    finally:
        await later.database.close()

    (one,) = await printer.streams()
    assert "Access Denied" in one["Reason"]
    assert not (house.wired.tender._buckets._inner._root / "logs").exists()


async def test_a_window_s_task_does_not_write_to_another_account_s_bucket(house, other):
    """The command of its invocation is refused before anything is sent: the task says why."""
    rights = rights_of_windows(BucketOwners({}, first=house.account))
    scope = Scope(other.account, "us-east-1")
    with pytest.raises(InvalidOutput, match="logs is not for account"):
        await house.wired.database.read(rights, scope, "", Request("AWS-Noop", {}, output_bucket="logs"), 0.0)
    for bucket in ("", f"logs-{other.account}"):
        asked = Request("AWS-Noop", {}, output_bucket=bucket)
        assert await house.wired.database.read(rights, scope, "", asked, 0.0) is None
