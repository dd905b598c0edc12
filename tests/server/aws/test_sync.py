# SPDX-License-Identifier: Apache-2.0
"""Resource data syncs through boto3 (spec §1.14, §7.4)."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from server.aws.test_parameters import code

DESTINATION = {"BucketName": "ssm-bucket", "Prefix": "inventory", "SyncFormat": "JsonSerDe", "Region": "us-east-1"}
SOURCE = {"SourceType": "SingleAccountMultiRegions", "SourceRegions": ["us-east-1", "us-west-2"]}
INVALID = "ResourceDataSyncInvalidConfigurationException"


def items(ssm, **members):
    """The syncs in a listing."""
    return ssm.list_resource_data_sync(**members)["ResourceDataSyncItems"]


def test_a_sync_is_made_listed_run_and_deleted(aws, ssm):
    """The CLI's documented examples; what was written stays where it is."""
    node = aws.enrol().instance_id
    ssm.create_resource_data_sync(SyncName="MyResourceDataSync", S3Destination=DESTINATION)

    (one,) = items(ssm)
    assert (one["SyncName"], one["SyncType"], one["S3Destination"]) == (
        "MyResourceDataSync",
        "SyncToDestination",
        DESTINATION,
    )
    assert one["SyncCreatedTime"] == one["SyncLastModifiedTime"]
    assert not {"LastStatus", "LastSyncTime", "LastSuccessfulSyncTime", "LastSyncStatusMessage", "SyncSource"} & set(
        one
    )

    aws.run(aws.house.wired.writer.run_due())
    (one,) = items(ssm)
    assert (one["LastStatus"], one["LastSyncStatusMessage"]) == ("Successful", "The sync was successfully completed")
    assert one["SyncCreatedTime"] <= one["LastSyncTime"] <= one["LastSuccessfulSyncTime"]
    place = f"accountid={aws.house.account}/region={aws.region}/resourcetype=ManagedInstanceInventory/{node}.json"
    path = aws.server.directory / "buckets" / "ssm-bucket" / "inventory" / "AWS:InstanceInformation" / place
    (line,) = [json.loads(text) for text in path.read_text().splitlines()]
    assert line["resourceId"] == line["InstanceId"] == node

    ssm.delete_resource_data_sync(SyncName="MyResourceDataSync", SyncType="SyncToDestination")
    assert items(ssm) == []
    assert path.exists()


def test_a_sync_from_sources_is_kept_updated_and_honest(ssm):
    """There is no Explorer here: LastStatus says Failed, and the message why."""
    ssm.create_resource_data_sync(SyncName="exampleSync", SyncType="SyncFromSource", SyncSource=SOURCE)
    organization = {
        "SourceType": "AwsOrganizations",
        "SourceRegions": ["us-east-1"],
        "AwsOrganizationsSource": {"OrganizationSourceType": "EntireOrganization"},
    }
    ssm.create_resource_data_sync(SyncName="whole", SyncType="SyncFromSource", SyncSource=organization)

    one, whole = items(ssm, SyncType="SyncFromSource")
    assert (one["SyncSource"], one["LastStatus"]) == (SOURCE, "Failed")
    assert "not part of this server" in one["LastSyncStatusMessage"]
    assert whole["SyncSource"] == {**organization, "State": "OrganizationNotExists"}
    assert items(ssm, SyncType="SyncToDestination") == []

    changed = {**SOURCE, "SourceRegions": ["eu-west-1"], "IncludeFutureRegions": True}
    ssm.update_resource_data_sync(SyncName="exampleSync", SyncType="SyncFromSource", SyncSource=changed)
    (one, _) = items(ssm)
    assert one["SyncSource"] == changed
    assert one["SyncLastModifiedTime"] > one["SyncCreatedTime"]
    assert (
        code(ssm.update_resource_data_sync, SyncName="exampleSync", SyncType="SyncFromSource", SyncSource=organization)[
            0
        ]
        == INVALID
    )


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"SyncType": "SyncToDestination"},
        {"SyncType": "SyncToDestination", "SyncSource": SOURCE},
        {"S3Destination": DESTINATION, "SyncSource": SOURCE},
        {"SyncType": "SyncFromSource", "S3Destination": DESTINATION},
        {"SyncType": "SyncFromSource"},
        {"SyncType": "Teapot", "S3Destination": DESTINATION},
        {"SyncType": "SyncFromSource", "SyncSource": {**SOURCE, "SourceType": "Teapot"}},
        {"SyncType": "SyncFromSource", "SyncSource": {**SOURCE, "SourceType": "AwsOrganizations"}},
        {"SyncType": "SyncFromSource", "SyncSource": {**SOURCE, "SourceRegions": []}},
        {"S3Destination": {**DESTINATION, "BucketName": "No_Bucket"}},
        {"S3Destination": {**DESTINATION, "Prefix": "../../etc"}},
        {"S3Destination": {**DESTINATION, "Region": "mars\r\nX: y"}},
        {"S3Destination": {**DESTINATION, "AWSKMSKeyARN": "arn:aws:kms:us-east-1:000000000001:key/x"}},
        {"S3Destination": {**DESTINATION, "DestinationDataSharing": {"DestinationDataSharingType": "Organization"}}},
    ],
)
def test_configurations_that_cannot_be_are_refused(ssm, members):
    """ResourceDataSyncInvalidConfigurationException; nothing is kept."""
    found, message = code(ssm.create_resource_data_sync, SyncName="x", **members)

    assert found == INVALID
    assert message
    assert items(ssm) == []


def test_a_bucket_that_cannot_be_written_to_is_told_as_terraform_expects(ssm):
    """It waits and tries again when it reads this."""
    _, message = code(ssm.create_resource_data_sync, SyncName="x", S3Destination={**DESTINATION, "BucketName": "A"})
    assert message.startswith("S3 write failed for bucket A: ")


def test_errors_carry_the_names_they_are_about(ssm):
    """AlreadyExists the sync's, NotFound the sync's and the type's."""
    ssm.create_resource_data_sync(SyncName="one", S3Destination=DESTINATION)
    with pytest.raises(ssm.exceptions.ResourceDataSyncAlreadyExistsException) as taken:
        ssm.create_resource_data_sync(SyncName="one", SyncType="SyncFromSource", SyncSource=SOURCE)
    assert taken.value.response["SyncName"] == "one"

    for call, members, kind in (
        (ssm.delete_resource_data_sync, {"SyncName": "two"}, None),
        (ssm.delete_resource_data_sync, {"SyncName": "one", "SyncType": "SyncFromSource"}, "SyncFromSource"),
        (
            ssm.update_resource_data_sync,
            {"SyncName": "one", "SyncType": "SyncFromSource", "SyncSource": SOURCE},
            "SyncFromSource",
        ),
    ):
        with pytest.raises(ssm.exceptions.ResourceDataSyncNotFoundException) as unknown:
            call(**members)
        assert unknown.value.response["SyncName"] == members["SyncName"]
        assert unknown.value.response.get("SyncType") == kind
    update = {"SyncName": "one", "SyncType": "SyncToDestination", "SyncSource": SOURCE}
    assert code(ssm.update_resource_data_sync, **update)[0] == INVALID
    assert code(ssm.delete_resource_data_sync, SyncName="one", SyncType="Teapot")[0] == INVALID
    assert code(ssm.list_resource_data_sync, SyncType="Teapot")[0] == INVALID
    assert [one["SyncName"] for one in items(ssm)] == ["one"]


def test_pages_hold_every_sync_once_and_a_sixth_is_too_many(aws, ssm):
    """ResourceDataSyncCountExceededException; another region counts for itself."""
    for number in range(5):
        ssm.create_resource_data_sync(SyncName=f"s{number}", S3Destination=DESTINATION)
    assert code(ssm.create_resource_data_sync, SyncName="s5", S3Destination=DESTINATION)[0] == (
        "ResourceDataSyncCountExceededException"
    )

    names, token = [], {}
    while token is not None:
        page = ssm.list_resource_data_sync(MaxResults=2, **token)
        names += [one["SyncName"] for one in page["ResourceDataSyncItems"]]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    assert names == [f"s{number}" for number in range(5)]
    assert code(ssm.list_resource_data_sync, NextToken="x")[0] == "InvalidNextToken"
    elsewhere = aws.client(region=f"{aws.region}-b")
    assert items(elsewhere) == []
    with pytest.raises(ClientError, match="ResourceDataSyncNotFoundException"):
        elsewhere.delete_resource_data_sync(SyncName="s0")
    elsewhere.create_resource_data_sync(SyncName="s0", S3Destination=DESTINATION)
    assert len(items(ssm)) == 5
