# SPDX-License-Identifier: Apache-2.0
"""Properties of managed nodes through boto3 (spec §1.7, §1.19)."""

from __future__ import annotations

import pytest


def test_properties_are_filtered_with_operators(aws, ssm):
    """Each operator; old filters; tags; versions are compared as versions; pages of any size."""
    linux = sorted(aws.enrol(PlatformVersion="12.5", AgentVersion="3.9.0").instance_id for _ in range(6))
    other = aws.enrol(
        tags={"role": "web"}, PlatformType="Windows", PlatformName="Windows Server", AgentVersion="3.10.0"
    ).instance_id
    pages = ssm.get_paginator("describe_instance_properties")

    def matching(key, operator, *values):
        given = [{"Key": key, "Values": list(values), **({"Operator": operator} if operator else {})}]
        return found(FiltersWithOperator=given)

    def found(**given):
        paged = pages.paginate(**given, PaginationConfig={"PageSize": 5})
        return [node["InstanceId"] for page in paged for node in page["InstanceProperties"]]

    assert found() == sorted([*linux, other])
    assert matching("InstanceIds", "Equal", other) == [other]
    assert matching("InstanceIds", "NotEqual", other) == linux
    assert matching("PlatformTypes", None, "Linux") == linux
    assert matching("PlatformName", "BeginWith", "Win") == [other]
    assert matching("AgentVersion", "GreaterThan", "3.9.0") == [other]
    assert matching("AgentVersion", "LessThan", "3.10") == linux
    assert matching("PingStatus", "BeginWith", "On") == sorted([*linux, other])
    assert matching("tag:role", "Equal", "web") == [other]
    assert matching("tag:role", "NotEqual", "web") == linux
    assert matching("tag-key", None, "role") == [other]
    assert matching("DocumentName", None, "AWS-RunPatchBaseline") == []
    assert matching("InstanceState", "NotEqual", "running") == sorted([*linux, other])
    old = [{"key": "PlatformTypes", "valueSet": ["Windows"]}, {"key": "PingStatus", "valueSet": ["Online"]}]
    assert found(InstancePropertyFilterList=old) == [other]


def test_properties_say_what_is_known_of_a_node(aws, ssm):
    """What only a cloud knows is not there."""
    node = aws.enrol(ComputerName="host", PlatformName="Debian GNU/Linux", PlatformVersion="12", IPAddress="192.0.2.7")

    (found,) = ssm.describe_instance_properties()["InstanceProperties"]

    assert {name: found[name] for name in ("InstanceId", "PingStatus", "IamRole", "ResourceType", "IPAddress")} == {
        "InstanceId": node.instance_id,
        "PingStatus": "Online",
        "IamRole": "node",
        "ResourceType": "ManagedInstance",
        "IPAddress": "192.0.2.7",
    }
    assert not {"InstanceType", "KeyName", "InstanceState", "Architecture", "LaunchTime", "IsLatestVersion"} & set(
        found
    )


@pytest.mark.parametrize(
    ("key", "operator", "value", "code"),
    [
        ("Colour", "Equal", "red", "InvalidFilterKey"),
        ("InstanceIds", "Equal", "x", "InvalidInstanceId"),
        ("ActivationIds", "NotEqual", "x", "InvalidActivationId"),
        ("PingStatus", "Equal", "x", "InvalidInstancePropertyFilterValue"),
        ("tag-key", "BeginWith", "x", "InvalidInstancePropertyFilterValue"),
        ("tag:x", "LessThan", "x", "InvalidInstancePropertyFilterValue"),
        ("DocumentName", "Equal", "no-such-document", "InvalidDocument"),
        ("InstanceIds", "Like", "x", "ValidationException"),
    ],
)
def test_property_filters_that_are_none_are_refused(ssm, key, operator, value, code):
    """Though there is no node."""
    with pytest.raises(ssm.exceptions.ClientError) as refused:
        ssm.describe_instance_properties(FiltersWithOperator=[{"Key": key, "Values": [value], "Operator": operator}])

    assert refused.value.response["Error"]["Code"] == code


def test_the_two_kinds_of_property_filters_do_not_mix(ssm):
    """And sizes of pages are 5 to 1000."""
    both = {
        "FiltersWithOperator": [{"Key": "IamRole", "Values": ["x"]}],
        "InstancePropertyFilterList": [{"key": "IamRole", "valueSet": ["x"]}],
    }
    for given in (both, {"MaxResults": 4}, {"MaxResults": 1001}):
        with pytest.raises(ssm.exceptions.ClientError, match="ValidationException"):
            ssm.describe_instance_properties(**given)
