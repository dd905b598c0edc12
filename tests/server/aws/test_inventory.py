# SPDX-License-Identifier: Apache-2.0
"""Inventory through boto3 (spec §1.8, §7.2)."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.exceptions import ClientError

from patchwright.core.inventory import SCHEMAS

CAPTURED = "2026-11-20T04:00:00Z"
OWN = ("AWS:InstanceInformation", "AWS:ComplianceSummary", "AWS:Tag", "AWS:ResourceGroup")
RACK = "Custom:RackInformation"


def item(type_name, content=None, **members):
    """An item of PutInventory."""
    version = SCHEMAS[type_name].version if type_name in SCHEMAS else "1.0"
    given = {"TypeName": type_name, "SchemaVersion": version, "CaptureTime": CAPTURED, **members}
    return given if content is None else {**given, "Content": content}


def application(name, version, **more):
    """A row of AWS:Application."""
    return {"Name": name, "Version": version, **more}


def refused(call, code, **members):
    """The message with which *call* is refused, which has to be with *code*."""
    with pytest.raises(ClientError) as caught:
        call(**members)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value


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


def listed(ssm, node, type_name, **members):
    """What a node shows of a type."""
    return ssm.list_inventory_entries(InstanceId=node, TypeName=type_name, **members)


def found(ssm, *filters, **members):
    """The ids of the nodes that match filters `(key, type, values…)`."""
    asked = [{"Key": key, "Type": kind, "Values": list(values)} for key, kind, *values in filters]
    pages = ssm.get_paginator("get_inventory").paginate(Filters=asked, **members)
    return [one["Id"] for page in pages for one in page["Entities"]]


def test_what_is_put_is_listed(ssm, put, node):
    """Rows in the order given, with version, capture time and hash; another put takes its place whole."""
    rows = [application("b", "1", Summary="ü"), application("a", "2")]
    assert put(node, item("AWS:Application", rows, ContentHash="h1"), item("AWS:Network", [])).get("Message") is None

    answer = listed(ssm, node, "AWS:Application")
    assert {name: answer[name] for name in ("TypeName", "InstanceId", "SchemaVersion", "CaptureTime", "Entries")} == {
        "TypeName": "AWS:Application",
        "InstanceId": node,
        "SchemaVersion": "1.1",
        "CaptureTime": CAPTURED,
        "Entries": rows,
    }
    (entity,) = ssm.get_inventory(ResultAttributes=[{"TypeName": "AWS:Application"}])["Entities"]
    assert entity == {
        "Id": node,
        "Data": {
            "AWS:Application": {
                "TypeName": "AWS:Application",
                "SchemaVersion": "1.1",
                "CaptureTime": CAPTURED,
                "ContentHash": "h1",
                "Content": rows,
            }
        },
    }
    put(node, item("AWS:Application", [application("c", "3")]))
    assert listed(ssm, node, "AWS:Application")["Entries"] == [application("c", "3")]
    assert listed(ssm, node, "AWS:Network")["Entries"] == []
    assert "CaptureTime" not in listed(ssm, node, "AWS:Service")


def test_a_hash_alone_keeps_what_it_names(ssm, put, node):
    """With the capture time of now; the version of a hash alone may be another type's, as agents send it."""
    put(node, item("AWS:Application", [application("a", "1")], ContentHash="h1"))
    later = "2026-11-21T04:00:00Z"

    put(node, item("AWS:Application", ContentHash="h1", SchemaVersion="1.0", CaptureTime=later))

    answer = listed(ssm, node, "AWS:Application")
    assert (answer["Entries"], answer["CaptureTime"]) == ([application("a", "1")], later)
    assert answer["SchemaVersion"] == "1.1"


def test_a_hash_of_something_else_asks_for_the_whole(ssm, put, node):
    """ItemContentMismatchException names the type, and none of the items is taken."""
    put(node, item("AWS:Application", [application("a", "1")], ContentHash="h1"))
    for wrong in ("AWS:Application", "AWS:Network"):
        error = refused(
            ssm.put_inventory,
            "ItemContentMismatchException",
            InstanceId=node,
            Items=[item("AWS:Service", [{"Name": "cron"}]), item(wrong, ContentHash="h2")],
        )
        assert error.response["TypeName"] == wrong

    assert listed(ssm, node, "AWS:Service")["Entries"] == []
    assert listed(ssm, node, "AWS:Application")["Entries"] == [application("a", "1")]


@pytest.mark.parametrize(
    ("bad", "code", "named"),
    [
        (item("AWS:Unknown", []), "InvalidTypeNameException", None),
        (item("Custom:", []), "InvalidTypeNameException", None),
        (item("Custom:\u0007", []), "InvalidTypeNameException", None),
        *((item(name, [], SchemaVersion="1.0"), "InvalidTypeNameException", None) for name in OWN),
        (item("AWS:Application", [], SchemaVersion="1.0"), "UnsupportedInventorySchemaVersionException", None),
        (item("AWS:Application", [{"Colour": "red"}]), "InvalidItemContentException", "AWS:Application"),
        (item("AWS:Application"), "InvalidItemContentException", "AWS:Application"),
        (item("Custom:Empty", []), "InvalidItemContentException", "Custom:Empty"),
        (item("Custom:Case", [{"Vendor": "1"}, {"vendor": "2"}]), "InvalidItemContentException", "Custom:Case"),
        (
            item("Custom:Wide", [{f"a{n}-{m}": "" for n in range(30)} for m in range(2)]),
            "InvalidItemContentException",
            "Custom:Wide",
        ),
        (
            item("AWS:Application", [], Context={"ExecutionId": "1"}),
            "UnsupportedInventoryItemContextException",
            "AWS:Application",
        ),
        (item("AWS:ComplianceItem", [], Context={"Weather": "1"}), "InvalidInventoryItemContextException", None),
        (
            item("AWS:ComplianceItem", [{"ComplianceType": f"Custom:{n}"} for n in range(13)]),
            "SubTypeCountLimitExceededException",
            None,
        ),
        (
            item("AWS:Application", [{"Name": "x" * 4096} for _ in range(300)]),
            "ItemSizeLimitExceededException",
            "AWS:Application",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_item_that_cannot_be_put_takes_the_others_along(ssm, node, bad, code, named):
    """By its code, with the type where the model has it; nothing is stored."""
    error = refused(ssm.put_inventory, code, InstanceId=node, Items=[item("AWS:Service", [{"Name": "cron"}]), bad])

    assert error.response.get("TypeName") == named
    assert error.response["Error"]["Message"]
    assert listed(ssm, node, "AWS:Service")["Entries"] == []
    assert not [one for one in ssm.get_inventory_schema()["Schemas"] if one["TypeName"].startswith("Custom:")]


def test_items_together_have_a_size_too(ssm, put, node):
    """TotalSizeLimitExceededException for one call, and for all that one node has; what is there may be replaced."""
    big = [{"Name": "x" * 4096} for _ in range(150)]
    names = ("AWS:Application", "AWS:Service")
    refused(
        ssm.put_inventory,
        "TotalSizeLimitExceededException",
        InstanceId=node,
        Items=[item(name, big) for name in names],
    )
    full = [{"Name": "x" * 4096} for _ in range(250)]
    kinds = ("AWS:Application", "AWS:Service", "AWS:File", "AWS:AWSComponent", "AWS:Network", "AWS:WindowsRole")
    for name in kinds[:5]:
        put(node, item(name, full))
    refused(ssm.put_inventory, "TotalSizeLimitExceededException", InstanceId=node, Items=[item(kinds[5], full)])
    put(node, item(kinds[0], full[:-1]))


def test_a_type_is_there_once_in_a_call(ssm, node):
    """InvalidItemContentException."""
    twice = [item("AWS:Service", [])] * 2
    assert refused(ssm.put_inventory, "InvalidItemContentException", InstanceId=node, Items=twice)


def test_nodes_speak_for_themselves(aws, ssm):
    """A node's own put is taken, one for another is denied; nobody's node is InvalidInstanceId."""
    one, other = aws.enrol(), aws.enrol()
    body = {"InstanceId": one.instance_id, "Items": [item("AWS:Service", [{"Name": "cron"}])]}

    assert aws.run(aws.house.call("AmazonSSM.PutInventory", body, key=one)).status == 200
    assert aws.run(aws.house.code("AmazonSSM.PutInventory", body, key=other)) == "AccessDeniedException"
    for unknown in ("mi-0123456789abcdef0", "i-12345678"):
        refused(ssm.put_inventory, "InvalidInstanceId", InstanceId=unknown, Items=body["Items"])
        refused(ssm.list_inventory_entries, "InvalidInstanceId", InstanceId=unknown, TypeName="AWS:Service")
    for operation in ("GetInventory", "DeleteInventory", "ListInventoryEntries"):
        assert aws.run(aws.house.code(f"AmazonSSM.{operation}", {}, key=one)) == "AccessDeniedException"


def test_another_region_sees_nothing(aws, ssm, put, node):
    """Neither the node nor the type."""
    put(node, item(RACK, [{"Rack": "1"}]))
    elsewhere = aws.client(region="xx-elsewhere-1")

    assert elsewhere.get_inventory(ResultAttributes=[{"TypeName": "AWS:Application"}])["Entities"] == []
    refused(elsewhere.list_inventory_entries, "InvalidInstanceId", InstanceId=node, TypeName="AWS:Service")
    refused(elsewhere.get_inventory_schema, "InvalidTypeNameException", TypeName=RACK)
    refused(elsewhere.delete_inventory, "InvalidTypeNameException", TypeName=RACK)
    assert elsewhere.describe_inventory_deletions()["InventoryDeletions"] == []


def test_every_node_shows_what_the_server_knows_of_it(ssm, node):
    """AWS:InstanceInformation, which is what GetInventory returns where nothing else is asked for."""
    (entity,) = ssm.get_inventory()["Entities"]
    (row,) = entity["Data"]["AWS:InstanceInformation"]["Content"]

    assert set(row) == set(SCHEMAS["AWS:InstanceInformation"].names)
    assert (row["InstanceId"], row["PlatformName"], row["PlatformVersion"]) == (node, "Debian GNU/Linux", "12")
    assert (row["InstanceStatus"], row["ResourceType"]) == ("Active", "ManagedInstance")
    assert listed(ssm, node, "AWS:InstanceInformation")["Entries"] == [row]


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


def test_entries_are_paged_and_filtered(ssm, put, node):
    """Fifty at a time, keys with the type or without."""
    put(node, item("AWS:Application", [application(f"p{number:03}", "1") for number in range(120)]))
    seen, token = [], {}
    while True:
        answer = listed(ssm, node, "AWS:Application", **token)
        seen += [row["Name"] for row in answer["Entries"]]
        if "NextToken" not in answer:
            break
        assert len(answer["Entries"]) == 50
        token = {"NextToken": answer["NextToken"]}
    assert seen == [f"p{number:03}" for number in range(120)]

    for key in ("Name", "AWS:Application.Name"):
        some = listed(
            ssm, node, "AWS:Application", Filters=[{"Key": key, "Values": ["p11"], "Type": "BeginWith"}], MaxResults=4
        )
        assert [row["Name"] for row in some["Entries"]] == ["p110", "p111", "p112", "p113"]
    refused(listed, "InvalidNextToken", ssm=ssm, node=node, type_name="AWS:Application", NextToken="rubbish")


def aggregated(ssm, *by, **members):
    """The Data of GetInventory with aggregators."""
    return [one["Data"] for one in ssm.get_inventory(Aggregators=list(by), **members)["Entities"]]


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


def test_schemas_are_paged(ssm, put, node, monkeypatch):
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


@pytest.fixture
def racks(aws, put):
    """Three nodes with custom data, two of one version and one of the next."""
    ids = [aws.enrol().instance_id for _ in range(3)]
    for one, version in zip(ids, ("1.0", "1.0", "2.0"), strict=True):
        put(one, item(RACK, [{"Rack": one}], SchemaVersion=version))
    return ids


def summary(total, remaining):
    """The summary of a deletion of the racks."""
    parts = [("1.0", 2), ("2.0", 1)] if total else []
    return {
        "TotalCount": total,
        "RemainingCount": total if remaining else 0,
        "SummaryItems": [
            {"Version": version, "Count": count, "RemainingCount": count if remaining else 0}
            for version, count in parts
        ],
    }


def test_a_dry_run_counts_and_deletes_nothing(ssm, racks):
    """Without an id, as nothing was begun."""
    answer = ssm.delete_inventory(TypeName=RACK, DryRun=True, SchemaDeleteOption="DeleteSchema")

    assert "DeletionId" not in answer
    assert (answer["TypeName"], answer["DeletionSummary"]) == (RACK, summary(3, remaining=True))
    assert listed(ssm, racks[0], RACK)["Entries"] == [{"Rack": racks[0]}]
    assert ssm.describe_inventory_deletions()["InventoryDeletions"] == []


def test_data_is_deleted_and_the_type_stays(ssm, put, racks):
    """The deletion is listed as complete; new data is taken."""
    answer = ssm.delete_inventory(TypeName=RACK)
    assert answer["DeletionSummary"] == summary(3, remaining=True)

    (done,) = ssm.describe_inventory_deletions(DeletionId=answer["DeletionId"])["InventoryDeletions"]
    assert (done["DeletionId"], done["TypeName"], done["LastStatus"]) == (answer["DeletionId"], RACK, "Complete")
    assert (done["DeletionSummary"], done["LastStatusMessage"]) == (
        summary(3, remaining=False),
        "Deletion is successful.",
    )
    assert done["DeletionStartTime"] <= done["LastStatusUpdateTime"]
    assert all(listed(ssm, one, RACK)["Entries"] == [] for one in racks)
    assert len(ssm.get_inventory_schema(TypeName=RACK)["Schemas"]) == 2
    put(racks[0], item(RACK, [{"Rack": "1"}]))
    assert listed(ssm, racks[0], RACK)["Entries"] == [{"Rack": "1"}]


def test_a_deleted_schema_is_gone_and_may_come_again(ssm, put, racks):
    """DeleteSchema."""
    ssm.delete_inventory(TypeName=RACK, SchemaDeleteOption="DeleteSchema")

    refused(ssm.get_inventory_schema, "InvalidTypeNameException", TypeName=RACK)
    refused(ssm.list_inventory_entries, "InvalidTypeNameException", InstanceId=racks[0], TypeName=RACK)
    refused(ssm.delete_inventory, "InvalidTypeNameException", TypeName=RACK)
    put(racks[0], item(RACK, [{"rack": "1"}]))
    assert listed(ssm, racks[0], RACK)["Entries"] == [{"rack": "1"}]


def test_data_of_a_disabled_version_is_ignored(ssm, put, racks):
    """DisableSchema: versions up to the newest known are passed over, with a message; a newer one is taken."""
    ssm.delete_inventory(TypeName=RACK, SchemaDeleteOption="DisableSchema")

    for version in ("1.0", "1.9", "2.0"):
        answer = put(
            racks[0], item(RACK, [{"Rack": "1"}], SchemaVersion=version), item("AWS:Service", [{"Name": version}])
        )
        assert RACK in answer["Message"]
        assert listed(ssm, racks[0], RACK)["Entries"] == []
        assert listed(ssm, racks[0], "AWS:Service")["Entries"] == [{"Name": version}]
    refused(ssm.delete_inventory, "InvalidOptionException", TypeName=RACK, SchemaDeleteOption="DisableSchema")
    assert "Message" not in put(racks[0], item(RACK, [{"Rack": "1"}], SchemaVersion="2.1"))
    assert listed(ssm, racks[0], RACK)["Entries"] == [{"Rack": "1"}]


def test_only_custom_types_are_deleted(ssm, put, node):
    """InvalidTypeNameException for AWS's own and for unknown ones."""
    put(node, item("AWS:Service", [{"Name": "cron"}]))
    for name in ("AWS:Service", "AWS:Nothing", RACK):
        refused(ssm.delete_inventory, "InvalidTypeNameException", TypeName=name)
    refused(ssm.delete_inventory, "ValidationException", TypeName=RACK, SchemaDeleteOption="Burn")
    assert listed(ssm, node, "AWS:Service")["Entries"] == [{"Name": "cron"}]


def test_the_same_token_deletes_once(ssm, put, racks):
    """The first answer again, though there is new data; with another request it is refused."""
    token = str(uuid.uuid4())
    first = ssm.delete_inventory(TypeName=RACK, ClientToken=token)
    put(racks[0], item(RACK, [{"Rack": "1"}]))

    again = ssm.delete_inventory(TypeName=RACK, ClientToken=token)

    assert {**again, "ResponseMetadata": 0} == {**first, "ResponseMetadata": 0}
    assert listed(ssm, racks[0], RACK)["Entries"] == [{"Rack": "1"}]
    refused(ssm.delete_inventory, "IdempotentParameterMismatch", TypeName=RACK, DryRun=True, ClientToken=token)


def test_deletions_are_paged_the_newest_first(ssm, put, node):
    """All are listed; an unknown id is refused."""
    ids = []
    for _ in range(3):
        put(node, item(RACK, [{"Rack": "1"}]))
        ids.append(ssm.delete_inventory(TypeName=RACK)["DeletionId"])

    pages = ssm.get_paginator("describe_inventory_deletions").paginate(PaginationConfig={"PageSize": 1})
    assert [one["DeletionId"] for page in pages for one in page["InventoryDeletions"]] == ids[::-1]
    refused(ssm.describe_inventory_deletions, "InvalidDeletionIdException", DeletionId=str(uuid.uuid4()))
    refused(ssm.describe_inventory_deletions, "InvalidNextToken", NextToken="rubbish")


def test_a_deregistered_node_takes_its_inventory_along(aws, ssm, put):
    """Nothing of it is left in the database."""
    node = aws.enrol().instance_id
    put(node, item("AWS:Application", [application("only-here", "1")]))

    ssm.deregister_managed_instance(InstanceId=node)

    dump = aws.run(aws.house.dump())
    assert node not in json.dumps(dump["inventory_item"])
    assert ssm.get_inventory()["Entities"] == []
