# SPDX-License-Identifier: Apache-2.0
"""Inventory through boto3: what is put, listed and deleted (spec §1.8, §7.2)."""

from __future__ import annotations

import json
import uuid

import pytest

from patchwright.core.inventory import SCHEMAS
from server.aws.inventories import CAPTURED, RACK, application, item, listed, refused

OWN = ("AWS:InstanceInformation", "AWS:ComplianceSummary", "AWS:Tag", "AWS:ResourceGroup")


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
