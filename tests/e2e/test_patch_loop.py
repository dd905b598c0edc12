# SPDX-License-Identifier: Apache-2.0
"""The loop as a client sees it: boto3 alone, against a real node."""

from __future__ import annotations

import pytest

from .station import ENGINES, WITH_INVENTORY

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

EVERYTHING = {
    "PatchRules": [
        {"PatchFilterGroup": {"PatchFilters": [{"Key": "PRIORITY", "Values": ["*"]}]}, "ApproveAfterDays": 7}
    ]
}


@pytest.mark.parametrize("database", ENGINES, indirect=True)
def test_a_node_is_scanned_patched_and_judged_anew(station, debrepo, new_node):
    """Scan lists exactly what is outstanding, Install installs it, and a changed baseline shows live before it is reported."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1")
    debrepo.release("bar", "2.0-1")
    debrepo.security("bar", "2.0-1+deb12u1")
    debrepo.release("plain", "3.0-1")
    debrepo.updates("plain", "3.1-1")
    node = new_node("deb12", debrepo, outstanding=["foo", "bar", "plain"])
    instance_id = station.enrol(node, settings=WITH_INVENTORY)
    ssm = station.client()
    assert [one["InstanceId"] for one in ssm.describe_instance_information()["InstanceInformationList"]] == [
        instance_id
    ]
    ssm.add_tags_to_resource(
        ResourceType="ManagedInstance", ResourceId=instance_id, Tags=[{"Key": "Patch Group", "Value": "web"}]
    )
    baseline = ssm.create_patch_baseline(Name="web", OperatingSystem="DEBIAN", ApprovalRules=EVERYTHING)["BaselineId"]
    ssm.register_patch_baseline_for_patch_group(BaselineId=baseline, PatchGroup="web")

    assert station.patch(node, "Scan")["Status"] == "Success"
    outstanding = {"foo.all": "foo.all:1.0-1+deb12u1", "bar.all": "bar.all:2.0-1+deb12u1"}
    assert station.with_state(node, "Missing", "Failed") == outstanding
    assert station.summary(node)["BaselineId"] == baseline
    assert station.summary(node)["PatchGroup"] == "web"

    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert node.installed()["foo.all"] == ("1.0-1+deb12u1", "ii")
    assert station.states(node, *outstanding) == {"foo.all": "Installed", "bar.all": "Installed"}
    assert station.with_state(node, "Missing", "Failed", "InstalledPendingReboot") == {}
    assert node.installed()["plain.all"] == ("3.0-1", "ii")

    ssm.update_patch_baseline(BaselineId=baseline, RejectedPatches=["foo"], RejectedPatchesAction="BLOCK")
    live = {patch["KBId"]: patch["State"] for patch in station.verdict(node)["LiveVerdict"]["Patches"]}
    assert live["foo.all"] == "InstalledRejected"
    assert station.states(node, "foo.all") == {"foo.all": "Installed"}

    assert station.patch(node, "Scan")["Status"] == "Success"
    assert station.states(node, "foo.all") == {"foo.all": "InstalledRejected"}
    assert station.summary(node)["InstalledRejectedCount"] == 1
