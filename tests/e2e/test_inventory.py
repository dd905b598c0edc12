# SPDX-License-Identifier: Apache-2.0
"""What a booted node has, as clients of the API see it."""

from __future__ import annotations

import pytest

from farm import until
from patchwright import __version__

from .station import WITH_INVENTORY

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

RACK = "/etc/patchwright-agent/inventory/rack.json"
OLD = [
    {"Key": "AWS:Application.Name", "Values": ["foo"], "Type": "Equal"},
    {"Key": "AWS:Application.Version", "Values": ["1.0-1+deb12u1"], "Type": "LessThan"},
]


def test_what_a_node_has_arrives_and_follows_what_is_installed(station, debrepo, new_node):
    """At its first start and after an operation: packages, services, processors, network, and what people say of it."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    node.write(RACK, '{"SchemaVersion": "1.0", "TypeName": "Custom:Rack", "Content": {"Row": "7"}}')
    instance_id = station.enrol(node, settings=WITH_INVENTORY)
    ssm = station.client()

    def entries(type_name, **filters):
        asked = [{"Key": key, "Values": [value]} for key, value in filters.items()]
        return ssm.list_inventory_entries(InstanceId=instance_id, TypeName=type_name, Filters=asked)["Entries"]

    def version():
        rows = entries("AWS:Application", Name="foo")
        return rows[0]["Version"] if rows else None

    until(lambda: version() == "1.0-1", what="the inventory arrives")
    assert entries("AWS:AWSComponent", Name="patchwright-agent")[0]["Version"] == __version__
    (unit,) = entries("AWS:Service", Name="agent.service")
    assert unit["Status"] == "Running"
    assert entries("AWS:InstanceDetailedInformation", CPUSockets="1") or entries(
        "AWS:InstanceDetailedInformation", CPUSockets="2"
    )
    assert entries("AWS:InstanceInformation", InstanceId=instance_id)[0]["PlatformType"] == "Linux"
    until(lambda: found(ssm, [{"Key": "Custom:Rack.Row", "Values": ["7"]}]) == [instance_id], what="the rack is known")
    assert found(ssm, OLD) == [instance_id]

    assert station.patch(node, "Install", reboot="NoReboot")["Status"] == "Success"

    until(lambda: version() == "1.0-1+deb12u1", what="the inventory follows")
    assert found(ssm, OLD) == []
    sent = [item for body in station.interposer.sent("PutInventory") for item in body["Items"]]
    assert [item["TypeName"] for item in sent if "Content" in item].count("Custom:Rack") == 1


def found(ssm, filters):
    """The ids of the nodes that match."""
    pages = ssm.get_paginator("get_inventory").paginate(Filters=filters)
    return [one["Id"] for page in pages for one in page["Entities"]]
