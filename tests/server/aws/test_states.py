# SPDX-License-Identifier: Apache-2.0
"""Patch states through boto3, and beside them the live verdict (spec §1.3, §3.1, §3.2, §13; design D5)."""

from __future__ import annotations

import datetime
import json

import pytest

from patchwright.core.protocol import Phase
from server.patching.bench import OUTDATED, PATCHED, RESTARTED, debian

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def node(aws):
    """A node in the group web that was scanned: two patches missing, one package of its own."""
    made = aws.enrol(tags={"Patch Group": "web"})
    aws.run(aws.house.scan(made, OUTDATED))
    return made


async def verdict(house, node):
    """GetVerdict."""
    answer = await house.ask("Patchwright.GetVerdict", {"InstanceId": node.instance_id}, region=node.region)
    return json.loads(answer["Document"])


async def install(house, node, reboot="NoReboot"):
    """An Install of everything, up to the first facts afterwards."""
    command = await house.send(node, operation="Install", Parameters={"RebootOption": [reboot]})
    await house.messages(node)
    operation_id = await house.begin(node, command["CommandId"])
    directive = await house.put_facts(node, operation_id, OUTDATED)
    actions = [[*wanted, True] for wanted in directive["Intent"]["Wanted"]]
    request = {"OperationId": operation_id, "Attempt": 0, "Resolution": {"Actions": actions, "Unresolved": {}}}
    await house.ask("Patchwright.PutResolution", request, key=node)
    answer = await house.put_facts(node, operation_id, PATCHED, phase=Phase.AFTER, acted_boot_id="boot-1")
    assert answer["Next"] == "done"
    await house.reply(node, command["CommandId"], "Success")


def test_patches_are_rows_as_aws_writes_them(ssm, node):
    """Title, KBId, classification and severity, 1970 for what is missing, nothing for what is of no baseline."""
    rows = {row["KBId"]: row for row in ssm.describe_instance_patches(InstanceId=node.instance_id)["Patches"]}

    assert rows["foo.amd64"] == {
        "Title": "foo.amd64:1.0-1+deb12u1",
        "KBId": "foo.amd64",
        "Classification": "Security",
        "Severity": "Optional",
        "State": "Missing",
        "InstalledTime": EPOCH,
    }
    other = rows["plain.amd64"]
    assert (other["Classification"], other["Severity"], other["State"]) == ("", "", "InstalledOther")
    assert other["InstalledTime"] > EPOCH


def test_a_summary_has_every_counter(ssm, node):
    """And no option of a reboot for a Scan (spec §3.2)."""
    (state,) = ssm.describe_instance_patch_states(InstanceIds=[node.instance_id])["InstancePatchStates"]

    assert (state["PatchGroup"], state["Operation"]) == ("web", "Scan")
    assert state["BaselineId"].endswith(":patchbaseline/pb-09a5f8eb62bde80b1")
    counters = {name: value for name, value in state.items() if name.endswith("Count")}
    assert counters == {
        "InstalledCount": 0,
        "InstalledOtherCount": 1,
        "InstalledPendingRebootCount": 0,
        "InstalledRejectedCount": 0,
        "MissingCount": 2,
        "FailedCount": 0,
        "UnreportedNotApplicableCount": 0,
        "NotApplicableCount": 0,
        "CriticalNonCompliantCount": 0,
        "SecurityNonCompliantCount": 2,
        "OtherNonCompliantCount": 0,
    }
    assert state["OperationEndTime"] >= state["OperationStartTime"]
    assert state["RebootOption"] == "NoReboot"
    assert "LastNoRebootInstallOperationTime" not in state


def test_an_install_without_reboot_is_told_as_such(aws, ssm, node):
    """Two pending, the option, and when it was."""
    aws.run(install(aws.house, node))

    (state,) = ssm.describe_instance_patch_states(InstanceIds=[node.instance_id])["InstancePatchStates"]

    assert (state["Operation"], state["RebootOption"], state["InstalledPendingRebootCount"]) == (
        "Install",
        "NoReboot",
        2,
    )
    assert state["LastNoRebootInstallOperationTime"] == state["OperationEndTime"]
    aws.run(aws.house.scan(node, RESTARTED))
    (state,) = ssm.describe_instance_patch_states(InstanceIds=[node.instance_id])["InstancePatchStates"]
    assert (state["Operation"], state["InstalledCount"], state["InstalledPendingRebootCount"]) == ("Scan", 2, 0)
    assert state["LastNoRebootInstallOperationTime"] < state["OperationEndTime"]


def test_rejected_with_block_shows_live_at_once_and_in_the_rows_after_the_next_scan(aws, ssm, node):
    """The issue's own example, word for word."""
    rules = {"PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 0}]}
    baseline = ssm.create_patch_baseline(Name="web", OperatingSystem="DEBIAN", ApprovalRules=rules)["BaselineId"]
    ssm.register_patch_baseline_for_patch_group(BaselineId=baseline, PatchGroup="web")
    aws.run(install(aws.house, node))
    aws.run(aws.house.scan(node, RESTARTED))

    def states():
        return {
            row["KBId"]: row["State"] for row in ssm.describe_instance_patches(InstanceId=node.instance_id)["Patches"]
        }

    ssm.update_patch_baseline(BaselineId=baseline, RejectedPatches=["foo"], RejectedPatchesAction="BLOCK")

    live = aws.run(verdict(aws.house, node))
    assert {row["KBId"]: row["State"] for row in live["LiveVerdict"]["Patches"]}["foo.amd64"] == "InstalledRejected"
    assert live["LiveVerdict"]["Standing"] == "NON_COMPLIANT"
    assert live["LastOperation"]["Counts"]["InstalledRejected"] == 0
    assert states()["foo.amd64"] == "Installed"
    aws.run(aws.house.scan(node, RESTARTED))
    assert states()["foo.amd64"] == "InstalledRejected"


def test_a_verdict_names_its_facts_its_baseline_and_its_doubts(aws, node):
    """And the last operation beside it, under its own name."""
    found = aws.run(verdict(aws.house, node))

    assert (found["InstanceId"], found["PatchGroup"]) == (node.instance_id, "web")
    live = found["LiveVerdict"]
    assert (live["Standing"], live["BaselineRevision"], live["Counts"]["Missing"]) == ("NON_COMPLIANT", 1, 2)
    assert found["Node"]["Product"] == "Debian12"
    assert found["Node"]["BootId"] == "boot-1"
    assert found["LastOperation"]["Operation"] == "Scan"
    assert found["LastOperation"]["Succeeded"] is True


def test_a_node_that_was_never_scanned_has_no_rows_and_an_unknown_verdict(aws, ssm):
    """Nothing is made up."""
    fresh = aws.enrol()

    assert ssm.describe_instance_patches(InstanceId=fresh.instance_id)["Patches"] == []
    assert ssm.describe_instance_patch_states(InstanceIds=[fresh.instance_id])["InstancePatchStates"] == []
    found = aws.run(verdict(aws.house, fresh))
    assert (found["LiveVerdict"]["Standing"], found["LiveVerdict"]["Doubts"]) == ("UNKNOWN", ["NO_FACTS"])
    assert (found["Node"], found["LastOperation"]) == (None, None)


def test_unknown_nodes_are_refused_alone_and_passed_over_in_lists(aws, ssm, node):
    """InvalidInstanceId for one, silence for many (spec §1.19)."""
    unknown = "mi-00000000000000000"

    with pytest.raises(ssm.exceptions.InvalidInstanceId):
        ssm.describe_instance_patches(InstanceId=unknown)
    found = ssm.describe_instance_patch_states(InstanceIds=[unknown, node.instance_id])["InstancePatchStates"]
    assert [state["InstanceId"] for state in found] == [node.instance_id]
    assert (
        aws.run(aws.house.code("Patchwright.GetVerdict", {"InstanceId": unknown}, region=aws.region))
        == "InvalidInstanceId"
    )


def test_rows_are_filtered(ssm, node):
    """ANDed, values ORed, states in either spelling; a key that is none is InvalidFilter, rows or no rows."""

    def keys(*filters):
        given = [{"Key": key, "Values": list(values)} for key, values in filters]
        return [
            row["KBId"] for row in ssm.describe_instance_patches(InstanceId=node.instance_id, Filters=given)["Patches"]
        ]

    assert keys(("State", ["Missing"])) == keys(("State", ["MISSING"])) == ["bar.amd64", "foo.amd64"]
    assert keys(("State", ["INSTALLED_OTHER", "Failed"])) == ["plain.amd64"]
    assert keys(("KBId", ["foo.amd64", "plain.amd64"]), ("Classification", ["Security"])) == ["foo.amd64"]
    assert keys(("Severity", ["Optional"])) == ["bar.amd64", "foo.amd64"]
    assert keys(("State", ["Nonsense"])) == []
    for filters in ([{"Key": "Colour", "Values": ["red"]}], [{}]):
        with pytest.raises(ssm.exceptions.InvalidFilter):
            ssm.describe_instance_patches(InstanceId=node.instance_id, Filters=filters)


def test_rows_and_summaries_are_paged(aws, ssm):
    """Every row once, whatever the size of a page."""
    many = debian([f"package-{number:03} 1" for number in range(123)])
    nodes = [aws.enrol() for _ in range(11)]
    for one in nodes:
        aws.run(aws.house.scan(one, many))
    rows = ssm.get_paginator("describe_instance_patches")
    summaries = ssm.get_paginator("describe_instance_patch_states")
    ids = [one.instance_id for one in nodes]

    for size in (10, 41, 100):
        config = {"PageSize": size}
        pages = rows.paginate(InstanceId=ids[0], PaginationConfig=config)
        found = [row["KBId"] for page in pages for row in page["Patches"]]
        assert found == [f"package-{number:03}.amd64" for number in range(123)]
        pages = summaries.paginate(InstanceIds=[*ids, ids[0]], PaginationConfig=config)
        assert [state["InstanceId"] for page in pages for state in page["InstancePatchStates"]] == sorted(ids)
