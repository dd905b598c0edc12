# SPDX-License-Identifier: Apache-2.0
"""What inventory shows of patches and compliance: the last operation, as every other operation shows it (spec §7.3)."""

from __future__ import annotations

import pytest

from patchwright.core.inventory import SCHEMAS
from server.aws.inventories import found, item, listed, refused
from server.patching.bench import OUTDATED, PATCHED

CUSTOM = "Custom:Antivirus"


@pytest.fixture
def scanned(aws):
    """A node that was scanned, with what it misses."""
    node = aws.enrol(tags={"Patch Group": "web"})
    aws.run(aws.house.scan(node, OUTDATED))
    return node


def put_compliance(ssm, node, type_name, *items):
    """PutComplianceItems."""
    ssm.put_compliance_items(
        ResourceId=node,
        ResourceType="ManagedInstance",
        ComplianceType=type_name,
        ExecutionSummary={"ExecutionTime": 1_795_147_200, "ExecutionId": "run-1", "ExecutionType": "Command"},
        Items=list(items),
    )


def test_the_patch_summary_is_the_last_operations(ssm, scanned):
    """With the numbers of DescribeInstancePatchStates, as texts."""
    (row,) = listed(ssm, scanned.instance_id, "AWS:PatchSummary")["Entries"]
    (state,) = ssm.describe_instance_patch_states(InstanceIds=[scanned.instance_id])["InstancePatchStates"]

    assert set(row) == set(SCHEMAS["AWS:PatchSummary"].names)
    for name, value in row.items():
        if name.endswith("Count"):
            assert value == str(state[name]), name
    for name in ("PatchGroup", "BaselineId", "SnapshotId"):
        assert row[name] == state[name]
    assert (row["OperationType"], row["PatchGroup"]) == ("Scan", "web")
    assert row["OperationEndTime"] == f"{state['OperationEndTime']:%Y-%m-%dT%H:%M:%SZ}"
    assert int(row["MissingCount"]) > 0
    assert row["NonCompliantSeverity"] == "UNSPECIFIED"


def test_patch_compliance_is_that_of_the_last_operation(ssm, scanned):
    """Row by row as DescribeInstancePatches has it."""
    rows = listed(ssm, scanned.instance_id, "AWS:PatchCompliance")["Entries"]
    patches = ssm.describe_instance_patches(InstanceId=scanned.instance_id)["Patches"]

    assert [(row["KBId"], row["State"], row["Title"], row["Severity"]) for row in rows] == [
        (one["KBId"], one["State"], one["Title"], one["Severity"]) for one in patches
    ]
    assert {row["KBId"] for row in rows if row["InstalledTime"]} == {
        one["KBId"] for one in patches if one["InstalledTime"].timestamp()
    }


def test_nodes_are_found_by_their_patches(aws, ssm, scanned):
    """By one row of PatchCompliance, and by numbers of PatchSummary; after the next operation no more."""
    other = aws.enrol()
    aws.run(aws.house.scan(other, PATCHED))
    missing = [("AWS:PatchCompliance.Title", "BeginWith", "foo"), ("AWS:PatchCompliance.State", "Equal", "Missing")]
    some = [("AWS:PatchSummary.MissingCount", "GreaterThan", "0")]
    node = scanned.instance_id
    assert found(ssm, *missing) == found(ssm, *some) == [node]
    assert found(ssm, ("AWS:PatchSummary.MissingCount", "Equal", "0")) == [other.instance_id]
    assert found(ssm, ("AWS:PatchCompliance.State", "NotEqual", "Missing")) == [other.instance_id]

    aws.run(aws.house.scan(scanned, PATCHED))

    assert found(ssm, *missing) == found(ssm, *some) == []


def test_patches_are_counted_over_nodes(aws, ssm, scanned):
    """By state and title; nodes share what they miss."""
    for _ in range(2):
        aws.run(aws.house.scan(aws.enrol(), OUTDATED))

    answer = ssm.get_inventory(
        Aggregators=[
            {
                "Expression": "AWS:PatchCompliance.State",
                "Aggregators": [{"Expression": "AWS:PatchCompliance.KBId"}],
            }
        ]
    )

    rows = answer["Entities"][0]["Data"]["AWS:PatchCompliance"]["Content"]
    (foo,) = (row for row in rows if row["KBId"].startswith("foo."))
    assert (foo["Count"], foo["State"]) == ("3", "Missing")


def test_compliance_of_every_type_is_inventory(ssm, scanned):
    """Items and summaries, patches beside what was put; both agree with the compliance operations."""
    node = scanned.instance_id
    put_compliance(
        ssm,
        node,
        CUSTOM,
        {
            "Id": "1",
            "Title": "Signatures",
            "Severity": "HIGH",
            "Status": "NON_COMPLIANT",
            "Details": {"DetailedText": "old"},
        },
    )
    rows = listed(ssm, node, "AWS:ComplianceItem")["Entries"]
    items = ssm.list_compliance_items(ResourceIds=[node])["ComplianceItems"]

    assert {name for row in rows for name in row} <= set(SCHEMAS["AWS:ComplianceItem"].names)
    assert sorted((row["ComplianceType"], row["Id"], row["Status"], row["Severity"]) for row in rows) == sorted(
        (one["ComplianceType"], one["Id"], one["Status"], one["Severity"]) for one in items
    )
    (own,) = (row for row in rows if row["ComplianceType"] == CUSTOM)
    assert (own["ExecutionId"], own["DetailedText"], own["ExecutionTime"]) == ("run-1", "old", "2026-11-20T04:00:00Z")
    patch = next(row for row in rows if row["ComplianceType"] == "Patch")
    assert (patch["PatchGroup"], patch["DocumentName"]) == ("web", "AWS-RunPatchBaseline")

    summaries = {row["ComplianceType"]: row for row in listed(ssm, node, "AWS:ComplianceSummary")["Entries"]}
    assert set(summaries) == {"Patch", CUSTOM}
    assert set(summaries[CUSTOM]) == set(SCHEMAS["AWS:ComplianceSummary"].names)
    assert (summaries[CUSTOM]["NonCompliantHighCount"], summaries[CUSTOM]["OverallSeverity"]) == ("1", "HIGH")
    assert summaries["Patch"]["Status"] == "NON_COMPLIANT"
    assert found(
        ssm,
        ("AWS:ComplianceItem.ComplianceType", "Equal", CUSTOM),
        ("AWS:ComplianceItem.Status", "Equal", "NON_COMPLIANT"),
    ) == [node]
    assert found(ssm, ("AWS:ComplianceItem.ComplianceType", "NotEqual", CUSTOM)) == []
    assert found(ssm, ("AWS:ComplianceItem.PatchGroup", "Equal", "web"), ("AWS:ComplianceItem.Id", "Equal", "1")) == []
    assert found(ssm, ("AWS:ComplianceSummary.NonCompliantHighCount", "GreaterThan", "0")) == [node]


def test_what_was_put_of_patches_yields_to_the_servers_own(aws, ssm):
    """A node that some other program patches shows what was put, until an operation of this server finishes."""
    node = aws.enrol()
    rows = {
        "AWS:PatchSummary": [{"BaselineId": "pb-elsewhere", "MissingCount": "7"}],
        "AWS:PatchCompliance": [{"KBId": "x", "State": "Missing"}],
        "AWS:ComplianceItem": [{"ComplianceType": "Patch", "Id": "x", "Status": "NON_COMPLIANT"}],
    }
    context = {"ExecutionId": "1", "ExecutionType": "Command", "ExecutionTime": "2026-11-20T04:00:00Z"}
    items = [
        item(name, content, **({"Context": context} if name == "AWS:ComplianceItem" else {}))
        for name, content in rows.items()
    ]
    ssm.put_inventory(InstanceId=node.instance_id, Items=items)
    rows["AWS:ComplianceItem"] = [{**row, **context} for row in rows["AWS:ComplianceItem"]]
    for name, content in rows.items():
        assert listed(ssm, node.instance_id, name)["Entries"] == content
    assert found(ssm, ("AWS:ComplianceItem.ExecutionId", "Equal", "1")) == [node.instance_id]
    assert found(ssm, ("AWS:PatchSummary.MissingCount", "Equal", "7")) == [node.instance_id]

    aws.run(aws.house.scan(node, PATCHED))

    for name, content in rows.items():
        assert listed(ssm, node.instance_id, name)["Entries"] != content
    assert found(ssm, ("AWS:PatchSummary.MissingCount", "Equal", "7")) == []


def test_a_node_without_operations_shows_nothing_of_them(aws, ssm):
    """No row, and no match."""
    node = aws.enrol().instance_id
    for name in ("AWS:PatchSummary", "AWS:PatchCompliance", "AWS:ComplianceItem", "AWS:ComplianceSummary"):
        assert listed(ssm, node, name)["Entries"] == []
        (entity,) = ssm.get_inventory(ResultAttributes=[{"TypeName": name}])["Entities"]
        assert entity == {"Id": node, "Data": {}}
    assert found(ssm, ("AWS:PatchSummary.MissingCount", "NotEqual", "1")) == []
    refused(
        ssm.list_inventory_entries, "InvalidInstanceId", InstanceId="mi-0123456789abcdef0", TypeName="AWS:PatchSummary"
    )


def test_entities_have_patch_data_whole(ssm, scanned):
    """GetInventory returns the rows that ListInventoryEntries does."""
    for name in ("AWS:PatchSummary", "AWS:PatchCompliance", "AWS:ComplianceItem", "AWS:ComplianceSummary"):
        (entity,) = ssm.get_inventory(ResultAttributes=[{"TypeName": name}])["Entities"]
        answer = listed(ssm, scanned.instance_id, name)
        assert entity["Data"][name]["Content"] == answer["Entries"] != []
        assert entity["Data"][name]["CaptureTime"] == answer["CaptureTime"]
