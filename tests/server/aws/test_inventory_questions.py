# SPDX-License-Identifier: Apache-2.0
"""Inventory through boto3: filters, aggregators, groups, schemas, pages (spec §1.8, §7.2)."""

from __future__ import annotations

import pytest

from patchwright.core.inventory import SCHEMAS
from server.aws.inventories import RACK, aggregated, application, found, item, listed, refused


@pytest.fixture
def node(aws):
    """A node's id."""
    return aws.enrol(PlatformName="Debian GNU/Linux", PlatformType="Linux", PlatformVersion="12").instance_id


@pytest.fixture
def put(ssm):
    """Put items of a node."""

    def do(node, *items):
        return ssm.put_inventory(InstanceId=node, Items=list(items))

    return do


@pytest.fixture
def three(aws, put):
    """Three nodes: openssl old and curl; openssl new; nothing reported."""
    ids = sorted(aws.enrol(PlatformName="Debian", PlatformType="Linux").instance_id for _ in range(3))
    put(ids[0], item("AWS:Application", [application("openssl", "3.0.9"), application("curl", "7.88")]))
    put(ids[1], item("AWS:Application", [application("openssl", "3.0.15"), application("curl", "3.0.9")]))
    return ids


def test_tags_are_inventory(ssm, node):
    """AWS:Tag follows the tags at once; a node without any shows none."""
    wanted = [{"TypeName": "AWS:Tag"}]
    assert ssm.get_inventory(ResultAttributes=wanted)["Entities"] == [{"Id": node, "Data": {}}]

    ssm.add_tags_to_resource(ResourceType="ManagedInstance", ResourceId=node, Tags=[{"Key": "k", "Value": "v"}])

    assert listed(ssm, node, "AWS:Tag")["Entries"] == [{"Key": "k", "Value": "v"}]
    assert found(ssm, ("AWS:Tag.Key", "Equal", "k"), ("AWS:Tag.Value", "Equal", "v", "w")) == [node]


@pytest.mark.parametrize(
    ("filters", "positions"),
    [
        ([("AWS:Application.Name", "Equal", "openssl")], [0, 1]),
        ([("AWS:Application.Name", "Equal", "zsh", "curl")], [0, 1]),
        ([("AWS:Application.Name", "Equal", "openssl"), ("AWS:Application.Version", "Equal", "3.0.9")], [0]),
        ([("AWS:Application.Name", "Equal", "openssl"), ("AWS:Application.Version", "NotEqual", "3.0.9")], [1]),
        ([("AWS:Application.Name", "Equal", "openssl"), ("AWS:Application.Version", "LessThan", "3.0.15")], [0]),
        ([("AWS:Application.Name", "BeginWith", "open"), ("AWS:Application.Version", "GreaterThan", "3.0.9")], [1]),
        ([("AWS:Application.Name", "NotEqual", "openssl")], []),
        ([("AWS:Application.Name", "NotEqual", "zsh")], [0, 1]),
        ([("AWS:Application.Version", "NotEqual", "7.88")], [1]),
        ([("AWS:InstanceInformation.PlatformType", "Equal", "Linux")], [0, 1, 2]),
        ([("AWS:InstanceInformation.InstanceStatus", "NotEqual", "Terminated", "Stopped")], [0, 1, 2]),
        (
            [
                ("AWS:InstanceInformation.PlatformName", "BeginWith", "Deb"),
                ("AWS:Application.Version", "Equal", "7.88"),
            ],
            [0],
        ),
        ([("AWS:Service.Name", "Equal", "cron")], []),
    ],
)
def test_filters_choose_nodes(ssm, three, filters, positions):
    """Filters of one type speak of one row; values are ORed, filters ANDed."""
    assert found(ssm, *filters) == [three[position] for position in positions]


def test_filters_by_what_there_is_not_are_refused(ssm, three):
    """InvalidFilter; Exists needs aggregators, and a type there is."""
    for key, kind, value in (
        ("Name", "Equal", "x"),
        ("AWS:Application", "Equal", "x"),
        ("AWS:Application.Colour", "Equal", "x"),
        ("Custom:Nobody.Name", "Equal", "x"),
        ("TypeName", "Equal", "AWS:Application"),
        ("TypeName", "Exists", "AWS:Application"),
    ):
        filters = [{"Key": key, "Values": [value], "Type": kind}]
        refused(ssm.get_inventory, "InvalidFilter", Filters=filters)
        refused(
            ssm.list_inventory_entries,
            "InvalidFilter" if key != "Name" else "InvalidTypeNameException",
            InstanceId=three[0],
            TypeName="AWS:Application" if key != "Name" else "AWS:Nothing",
            Filters=filters,
        )
    by = [{"Expression": "AWS:Application.Name"}]
    for key, value, code in (
        ("AWS:Application.Name", "x", "InvalidFilter"),
        ("TypeName", "AWS:Nothing", "InvalidTypeNameException"),
    ):
        refused(
            ssm.get_inventory,
            code,
            Filters=[{"Key": key, "Values": [value], "Type": "Exists"}],
            Aggregators=by,
        )
    refused(ssm.get_inventory, "InvalidResultAttributeException", ResultAttributes=[{"TypeName": "AWS:Nothing"}])


def test_nodes_are_paged_by_id(aws, ssm):
    """One by one as all at once; a token belongs to its request."""
    ids = sorted(aws.enrol().instance_id for _ in range(4))

    pages = ssm.get_paginator("get_inventory").paginate(PaginationConfig={"PageSize": 1})
    assert [one["Id"] for page in pages for one in page["Entities"]] == ids
    first = ssm.get_inventory(MaxResults=2)
    assert [one["Id"] for one in first["Entities"]] == ids[:2]
    rest = ssm.get_inventory(MaxResults=50, NextToken=first["NextToken"])
    assert [one["Id"] for one in rest["Entities"]] == ids[2:]
    assert "NextToken" not in rest
    for token in ("rubbish", first["NextToken"]):
        refused(
            ssm.get_inventory,
            "InvalidNextToken",
            NextToken=token,
            ResultAttributes=[{"TypeName": "AWS:Application"}],
        )


def test_aggregators_count_nodes_by_values(ssm, three):
    """Nested ones by combinations of one row; the most frequent first; counts are texts."""
    (data,) = aggregated(ssm, {"Expression": "AWS:Application.Name"})
    assert data["AWS:Application"]["Content"] == [{"Count": "2", "Name": "curl"}, {"Count": "2", "Name": "openssl"}]
    (data,) = aggregated(
        ssm,
        {
            "Expression": "AWS:Application.Name",
            "Aggregators": [
                {
                    "Expression": "AWS:Application.Version",
                    "Aggregators": [{"Expression": "AWS:InstanceInformation.PlatformType"}],
                }
            ],
        },
    )
    rows = {
        (row["Name"], row["Version"], row["PlatformType"], row["Count"]) for row in data["AWS:Application"]["Content"]
    }
    assert rows == {
        ("openssl", "3.0.9", "Linux", "1"),
        ("openssl", "3.0.15", "Linux", "1"),
        ("curl", "7.88", "Linux", "1"),
        ("curl", "3.0.9", "Linux", "1"),
    }
    platforms, filtered = aggregated(
        ssm,
        {"Expression": "AWS:InstanceInformation.PlatformType"},
        {
            "Expression": "AWS:InstanceInformation.PlatformType",
            "Aggregators": [{"Expression": "AWS:InstanceInformation.PlatformName"}],
        },
        Filters=[{"Key": "AWS:Application.Version", "Values": ["7.88"]}],
    )
    assert platforms["AWS:InstanceInformation"]["Content"] == [{"Count": "1", "PlatformType": "Linux"}]
    assert filtered["AWS:InstanceInformation"]["Content"] == [
        {"Count": "1", "PlatformType": "Linux", "PlatformName": "Debian"}
    ]


def test_attributes_of_one_name_keep_their_types(ssm, put, node):
    """A row of the answer has each under a name of its own."""
    put(node, item("AWS:Application", [application("a", "1")]), item("AWS:Service", [{"Name": "cron"}]))

    (data,) = aggregated(
        ssm, {"Expression": "AWS:Application.Name", "Aggregators": [{"Expression": "AWS:Service.Name"}]}
    )

    assert data["AWS:Application"]["Content"] == [
        {"Count": "1", "AWS:Application.Name": "a", "AWS:Service.Name": "cron"}
    ]


def test_groups_count_nodes_that_match_and_that_do_not(ssm, three, put):
    """By Exists as the guide shows it, and by any other filter."""

    def group(name, *filters):
        return {
            "Name": name,
            "Filters": [{"Key": key, "Type": kind, "Values": values} for key, kind, values in filters],
        }

    put(three[2], item("AWS:Service", [{"Name": "cron"}]))
    both = ["AWS:Application", "AWS:Service"]
    groups = [
        group("Either", ("TypeName", "Exists", both)),
        group("Both", *(("TypeName", "Exists", [name]) for name in both)),
        group("Old", ("AWS:Application.Name", "Equal", ["openssl"]), ("AWS:Application.Version", "Equal", ["3.0.9"])),
    ]

    (data,) = aggregated(ssm, {"Groups": groups})

    assert {name: one["Content"] for name, one in data.items()} == {
        "Either": [{"notMatchingCount": "0"}, {"matchingCount": "3"}],
        "Both": [{"notMatchingCount": "3"}, {"matchingCount": "0"}],
        "Old": [{"notMatchingCount": "2"}, {"matchingCount": "1"}],
    }
    exists = [{"Key": "TypeName", "Values": ["AWS:Service"], "Type": "Exists"}]
    (data,) = aggregated(ssm, {"Groups": groups[:1]}, Filters=exists)
    assert data["Either"]["Content"] == [{"notMatchingCount": "0"}, {"matchingCount": "1"}]


def test_aggregators_that_cannot_be_counted_are_refused(ssm, three):
    """InvalidAggregatorException and InvalidInventoryGroupException."""
    exists = {"Name": "a", "Filters": [{"Key": "TypeName", "Values": ["AWS:Service"], "Type": "Exists"}]}
    deep = {"Expression": "AWS:Application.Name"}
    for _ in range(10):
        deep = {"Expression": "AWS:Application.Version", "Aggregators": [deep]}
    wide = {"Expression": "AWS:Application.Name", "Aggregators": [{"Expression": "AWS:Application.Version"}] * 10}
    wrong = [
        {},
        {"Expression": "AWS:Application"},
        {"Expression": "AWS:Application.Colour"},
        {"Expression": "Custom:Nobody.Name"},
        {"Expression": "AWS:Application.Name", "Groups": [exists]},
        {"Groups": [exists], "Aggregators": [{"Expression": "AWS:Application.Name"}]},
        {"Expression": "AWS:Application.Name", "Aggregators": [{"Groups": [exists]}]},
        deep,
    ]
    for one in wrong:
        refused(ssm.get_inventory, "InvalidAggregatorException", Aggregators=[one])
    refused(ssm.get_inventory, "InvalidAggregatorException", Aggregators=[wide] * 10)
    bad = {"Name": "b", "Filters": [{"Key": "AWS:Service.Colour", "Values": ["1"]}]}
    unknown = {"Name": "b", "Filters": [{"Key": "TypeName", "Values": ["AWS:Nothing"], "Type": "Exists"}]}
    for groups in ([exists, exists], [bad], [unknown]):
        refused(ssm.get_inventory, "InvalidInventoryGroupException", Aggregators=[{"Groups": groups}])


def test_schemas_are_those_of_the_guide(ssm):
    """Eighteen types with their attributes, in order; by prefix; with Aggregator what AWS names."""
    schemas = ssm.get_inventory_schema()["Schemas"]
    assert [one["TypeName"] for one in schemas] == sorted(SCHEMAS)
    by_name = {one["TypeName"]: one for one in schemas}
    assert by_name["AWS:Tag"] == {
        "TypeName": "AWS:Tag",
        "Version": "1.0",
        "Attributes": [{"Name": "Key", "DataType": "string"}, {"Name": "Value", "DataType": "string"}],
        "DisplayName": "Tag",
    }
    numbers = {
        one["Name"] for one in by_name["AWS:InstanceDetailedInformation"]["Attributes"] if one["DataType"] == "number"
    }
    assert numbers == {"CPUCores", "CPUs", "CPUSpeedMHz", "CPUSockets"}
    some = ssm.get_inventory_schema(TypeName="AWS:Patch")["Schemas"]
    assert [one["TypeName"] for one in some] == ["AWS:PatchCompliance", "AWS:PatchSummary"]
    counted = {
        one["TypeName"]: [item["Name"] for item in one["Attributes"]]
        for one in ssm.get_inventory_schema(Aggregator=True)["Schemas"]
    }
    assert counted == {
        "AWS:Application": ["Name", "Version"],
        "AWS:InstanceInformation": ["PlatformName", "PlatformType", "PlatformVersion"],
        "AWS:ResourceGroup": ["Name"],
        "AWS:Service": ["Name", "DisplayName", "ServiceType", "Status", "StartType"],
        "AWS:WindowsRole": ["Name", "DisplayName", "FeatureType", "Installed"],
    }
    kinds = ssm.get_inventory_schema(SubType=True)["Schemas"]
    assert [one["TypeName"] for one in kinds] == ["AWS:ComplianceItem", "AWS:ComplianceSummary"]
    refused(ssm.get_inventory_schema, "InvalidTypeNameException", TypeName="AWS:Nothing")
    refused(ssm.get_inventory_schema, "InvalidNextToken", NextToken="rubbish")


def test_schemas_are_paged(ssm, put, node):
    """Fifty at least to a page: with enough custom types there is a second one."""
    for number in range(20):
        for version in ("1.0", "2.0"):
            put(node, item(f"Custom:T{number:02}", [{"a": "1"}], SchemaVersion=version))

    pages = list(ssm.get_paginator("get_inventory_schema").paginate(PaginationConfig={"PageSize": 50}))

    assert [len(page["Schemas"]) for page in pages] == [50, 8]
    refused(
        ssm.put_inventory, "CustomSchemaCountLimitExceededException", InstanceId=node, Items=[item(RACK, [{"a": "1"}])]
    )


def test_custom_types_are_made_of_their_data(ssm, put, node):
    """Attributes of every row that came, each version apart; filters and aggregators take them."""
    put(node, item(RACK, [{"Rack": "1"}, {"Zone.Name": "b"}]))
    put(node, item(RACK, [{"Rack": "1", "Row": "7"}]))

    (schema,) = ssm.get_inventory_schema(TypeName=RACK)["Schemas"]
    assert (schema["Version"], schema["DisplayName"]) == ("1.0", "RackInformation")
    assert {one["Name"] for one in schema["Attributes"]} == {"Rack", "Row", "Zone.Name"}
    assert found(ssm, (f"{RACK}.Row", "Equal", "7")) == [node]
    assert found(ssm, (f"{RACK}.Zone.Name", "Equal", "b")) == []
    (data,) = aggregated(ssm, {"Expression": f"{RACK}.Rack"})
    assert data[RACK]["Content"] == [{"Count": "1", "Rack": "1"}]
    refused(ssm.put_inventory, "InvalidItemContentException", InstanceId=node, Items=[item(RACK, [{"rack": "1"}])])
