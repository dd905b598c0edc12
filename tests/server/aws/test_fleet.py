# SPDX-License-Identifier: Apache-2.0
"""The fleet through boto3: listed and counted (spec §1.7, §1.19)."""

from __future__ import annotations

import pytest

from server.aws.served import new_region


@pytest.fixture
def fleet(aws):
    """Three nodes; the first of them says of itself what the others do not."""
    said = {
        "ComputerName": "one.example",
        "PlatformName": "Debian GNU/Linux",
        "PlatformVersion": "12",
        "IPAddress": "192.0.2.1",
        "AgentVersion": "1.2.3",
    }
    one = aws.enrol(**said).instance_id
    return [one, *(aws.enrol(PlatformType="Windows", PlatformName="Windows Server").instance_id for _ in range(2))]


@pytest.fixture
def listed(ssm):
    """Ids of the nodes that meet every filter (key, values, type)."""

    def read(*filters, size=2):
        given = [{"Key": key, "Values": values, **({"Type": how} if how else {})} for key, values, how in filters]
        pages = ssm.get_paginator("list_nodes").paginate(
            **({"Filters": given} if given else {}), PaginationConfig={"PageSize": size}
        )
        return [node["Id"] for page in pages for node in page["Nodes"]]

    return read


@pytest.fixture
def summed(ssm):
    """The rows of a summary."""

    def read(*aggregators, size=50, **more):
        pages = ssm.get_paginator("list_nodes_summary").paginate(
            Aggregators=list(aggregators), PaginationConfig={"PageSize": size}, **more
        )
        return [row for page in pages for row in page["Summary"]]

    return read


def count(attribute, *inside):
    """An aggregator."""
    made = {"AggregatorType": "Count", "TypeName": "Instance", "AttributeName": attribute}
    return {**made, "Aggregators": list(inside)} if inside else made


def test_a_node_is_shown_with_its_owner_and_what_it_is(aws, ssm, fleet):
    """Without an organization there are no units."""
    (found,) = ssm.list_nodes(Filters=[{"Key": "InstanceId", "Values": fleet[:1]}])["Nodes"]
    captured = found.pop("CaptureTime")

    assert captured.timestamp() > 1.7e9
    assert found == {
        "Id": fleet[0],
        "Owner": {"AccountId": aws.house.account},
        "Region": aws.region,
        "NodeType": {
            "Instance": {
                "AgentType": "patchwright-agent",
                "AgentVersion": "1.2.3",
                "ComputerName": "one.example",
                "InstanceStatus": "Active",
                "IpAddress": "192.0.2.1",
                "ManagedStatus": "Managed",
                "PlatformType": "Linux",
                "PlatformName": "Debian GNU/Linux",
                "PlatformVersion": "12",
                "ResourceType": "ManagedInstance",
                "SourceId": fleet[0],
                "SourceType": "AWS::SSM::ManagedInstance",
            }
        },
    }


def test_nodes_are_filtered_and_paged(aws, fleet, listed):
    """By every key, equal, different, beginning with; in order of id."""
    one, everyone = fleet[:1], sorted(fleet)
    others = sorted(fleet[1:])
    for size in (1, 2, 50):
        assert listed(size=size) == everyone
    assert listed(("InstanceId", one, None)) == one
    assert listed(("InstanceId", one, "NotEqual")) == others
    assert listed(("ComputerName", ["one."], "BeginWith")) == one
    assert listed(("PlatformType", ["Windows"], "Equal"), ("PlatformName", ["Win"], "BeginWith")) == others
    assert listed(("PlatformVersion", ["12"], None)) == one
    assert listed(("AgentVersion", ["1."], "BeginWith")) == one
    assert listed(("AgentType", ["patchwright-agent"], None)) == everyone
    assert listed(("IpAddress", ["192.0.2.1"], None)) == one
    assert listed(("InstanceStatus", ["Active"], None)) == everyone
    assert listed(("ManagedStatus", ["All"], None)) == everyone
    assert listed(("ManagedStatus", ["All"], "NotEqual")) == []
    assert listed(("ManagedStatus", ["Unmanaged"], None)) == []
    assert listed(("ResourceType", ["ManagedInstance"], None)) == everyone
    assert listed(("Region", [aws.region], None), ("AccountId", [aws.house.account], None)) == everyone
    assert listed(("Region", ["eu-west-1"], None)) == []
    assert listed(("OrganizationalUnitId", ["ou-1234-12345678"], None)) == []
    assert listed(("OrganizationalUnitPath", ["r-1"], "NotEqual")) == everyone
    assert listed(("SourceType", ["AWS::SSM::ManagedInstance"], None), ("SourceId", one, None)) == one
    assert listed(("SourceLocation", ["x"], None)) == []
    assert listed(("AvailabilityZone", ["x"], None), ("AvailabilityZoneId", ["x"], None)) == []


def test_nodes_are_counted_by_attributes(aws, fleet, summed):
    """One attribute, or two, one inside the other; pages of any size; of the nodes that filters leave."""
    assert summed(count("PlatformType")) == [
        {"PlatformType": "Linux", "Count": "1"},
        {"PlatformType": "Windows", "Count": "2"},
    ]
    assert summed(count("PlatformType", count("PlatformName"))) == [
        {"PlatformType": "Linux", "PlatformName": "Debian GNU/Linux", "Count": "1"},
        {"PlatformType": "Windows", "PlatformName": "Windows Server", "Count": "2"},
    ]
    whole = summed(count("PlatformType", count("AgentVersion"), count("PlatformVersion")), count("Region"))
    assert len(whole) == 5
    assert whole[-1] == {"Region": aws.region, "Count": "3"}
    for size in (1, 2, 3, 5):
        assert (
            summed(count("PlatformType", count("AgentVersion"), count("PlatformVersion")), count("Region"), size=size)
            == whole
        )
    only = [{"Key": "PlatformType", "Values": ["Linux"]}]
    assert summed(count("ResourceType"), Filters=only) == [{"ResourceType": "ManagedInstance", "Count": "1"}]
    assert summed(count("SourceType", count("AvailabilityZone")), Filters=only) == [
        {"SourceType": "AWS::SSM::ManagedInstance", "AvailabilityZone": "", "Count": "1"}
    ]


def test_what_a_node_says_at_length_is_cut_and_does_not_stop_a_summary(aws, summed, listed):
    """To what the API shows; tokens of pages stay readable."""
    for letter in ("a", "b", "c"):
        aws.enrol(PlatformName="\U0001f98a" * 511 + letter, PlatformVersion="\U0001f427" * 500 + letter)
    aws.enrol(PlatformName="z")

    rows = summed(count("PlatformName", count("PlatformVersion")), size=1)

    assert sorted(row["Count"] for row in rows) == ["1", "3"]
    assert max(len(row["PlatformName"]) for row in rows) == 120
    assert len(listed(size=1)) == 4


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"SyncName": "all"}, "ResourceDataSyncNotFoundException"),
        ({"Filters": [{"Key": "PlatformType", "Values": ["Plan9"]}]}, "InvalidFilter"),
        ({"Filters": [{"Key": "ManagedStatus", "Values": ["x"], "Type": "NotEqual"}]}, "InvalidFilter"),
        ({"Filters": [{"Key": "Colour", "Values": ["x"]}]}, "ValidationException"),
        ({"Filters": []}, "ValidationException"),
        ({"NextToken": "x"}, "InvalidNextToken"),
        ({"MaxResults": 51}, "ValidationException"),
    ],
)
def test_what_is_no_question_is_refused(ssm, given, code):
    """By both operations; a sync that does not exist is named."""
    for call, more in ((ssm.list_nodes, {}), (ssm.list_nodes_summary, {"Aggregators": [count("Region")]})):
        with pytest.raises(ssm.exceptions.ClientError) as refused:
            call(**given, **more)
        assert refused.value.response["Error"]["Code"] == code
        if "SyncName" in given:
            assert refused.value.response["SyncName"] == "all"


@pytest.mark.parametrize(
    ("aggregators", "code"),
    [
        ([count("Region", count("Region"))], "InvalidAggregatorException"),
        ([count("Region", count("PlatformType", count("AgentVersion")))], "InvalidAggregatorException"),
        ([count("Colour")], "ValidationException"),
        ([], "ValidationException"),
        ([count("Region")] * 3, "ValidationException"),
    ],
)
def test_aggregators_that_cannot_be_counted_are_refused(ssm, aggregators, code):
    """A row has two attributes and their count."""
    with pytest.raises(ssm.exceptions.ClientError) as refused:
        ssm.list_nodes_summary(Aggregators=aggregators)

    assert refused.value.response["Error"]["Code"] == code


def test_a_fleet_is_of_one_account_and_region(aws, fleet):
    """Elsewhere there is nothing to list, and nothing to count."""
    elsewhere = aws.client(region=new_region())

    assert elsewhere.list_nodes()["Nodes"] == []
    assert elsewhere.list_nodes_summary(Aggregators=[count("Region")])["Summary"] == []
