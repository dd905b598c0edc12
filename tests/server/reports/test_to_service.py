# SPDX-License-Identifier: Apache-2.0
"""A sync to an S3-compatible service (moto's), wired as the settings say, from CreateResourceDataSync to the objects."""

from __future__ import annotations

import json

import boto3
import pytest
from moto.server import ThreadedMotoServer

from server.accounts.tenants import new_account
from server.gateway.house import build
from server.infra.test_buckets import CREDENTIALS


@pytest.fixture(scope="module")
def service():
    """An S3-compatible service."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def test_a_sync_writes_to_the_service_that_the_settings_name(service, shared_sqlite_url, tmp_path):
    """And where the bucket does not exist, that is what the caller is told; nothing lies in a directory."""
    objects = boto3.client("s3", endpoint_url=service, **CREDENTIALS)
    objects.create_bucket(Bucket="inventory-bucket")
    settings = {"s3_endpoint": service, "s3_access_key_id": "AKIAX", "s3_secret_access_key": "made-up-secret"}
    house = await build(tmp_path, shared_sqlite_url, new_account(), **settings)
    node = await house.enrol()
    destination = {"BucketName": "inventory-bucket", "Prefix": "a/b", "SyncFormat": "JsonSerDe", "Region": "us-east-1"}

    async def create(name, bucket):
        body = {"SyncName": name, "S3Destination": {**destination, "BucketName": bucket}}
        return await house.call("AmazonSSM.CreateResourceDataSync", body)

    refused = await create("other", "never-made")
    assert refused.code == "ResourceDataSyncInvalidConfigurationException"
    assert refused.json["Message"] == "S3 write failed for bucket never-made: the service answers NoSuchBucket"
    assert (await create("sync", "inventory-bucket")).status == 200
    await house.wired.writer.run_due()

    (listed,) = (await house.ask("AmazonSSM.ListResourceDataSync", {}))["ResourceDataSyncItems"]
    assert listed["LastStatus"] == "Successful"
    (found,) = objects.list_objects_v2(Bucket="inventory-bucket")["Contents"]
    place = f"accountid={house.account}/region=us-east-1/resourcetype=ManagedInstanceInventory/{node.instance_id}.json"
    assert found["Key"] == f"a/b/AWS:InstanceInformation/{place}"
    read = objects.get_object(Bucket="inventory-bucket", Key=found["Key"])
    assert json.loads(read["Body"].read())["resourceId"] == node.instance_id
    assert read["ContentType"] == "application/json"
    assert not (tmp_path / "buckets").exists()
    await house.close()
