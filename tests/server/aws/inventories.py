# SPDX-License-Identifier: Apache-2.0
"""What tests of inventory at the API say and ask."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from patchwright.core.inventory import SCHEMAS

CAPTURED = "2026-11-20T04:00:00Z"
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


def listed(ssm, node, type_name, **members):
    """What a node shows of a type."""
    return ssm.list_inventory_entries(InstanceId=node, TypeName=type_name, **members)


def found(ssm, *filters, **members):
    """The ids of the nodes that match filters `(key, type, values…)`."""
    asked = [{"Key": key, "Type": kind, "Values": list(values)} for key, kind, *values in filters]
    pages = ssm.get_paginator("get_inventory").paginate(Filters=asked, **members)
    return [one["Id"] for page in pages for one in page["Entities"]]


def aggregated(ssm, *by, **members):
    """The Data of GetInventory with aggregators."""
    return [one["Data"] for one in ssm.get_inventory(Aggregators=list(by), **members)["Entities"]]
