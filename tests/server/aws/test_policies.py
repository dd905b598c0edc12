# SPDX-License-Identifier: Apache-2.0
"""Resource policies through boto3 (spec §1.15)."""

from __future__ import annotations

import json

import pytest

from server.aws.served import new_region

POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "111122223333"},
                "Action": ["ssm:GetParameter", "ssm:GetParameters"],
                "Resource": "*",
            }
        ],
    }
)
CONTENT = {
    "schemaVersion": "2.2",
    "mainSteps": [{"action": "aws:runShellScript", "name": "a", "inputs": {"runCommand": ["true"]}}],
}


@pytest.fixture(params=["opsitemgroup/default", "parameter/web/size", "parameter/size", "document/web"])
def arn(request, aws, ssm):
    """What can carry a policy."""
    kind, _, name = request.param.partition("/")
    if kind == "parameter":
        ssm.put_parameter(Name=f"/{name}" if "/" in name else name, Value="1", Type="String")
    if kind == "document":
        ssm.create_document(Name=name, Content=json.dumps(CONTENT), DocumentType="Command")
    return f"arn:aws:ssm:{aws.region}:{aws.house.account}:{request.param}"


def delete(ssm, arn):
    """Delete the resource."""
    name = arn.split("/", 1)[1]
    if ":document/" in arn:
        ssm.delete_document(Name=name)
    else:
        ssm.delete_parameter(Name=f"/{name}")


def test_a_policy_is_put_read_replaced_and_deleted(ssm, arn):
    """Its hash names the version."""
    assert ssm.get_resource_policies(ResourceArn=arn)["Policies"] == []
    made = ssm.put_resource_policy(ResourceArn=arn, Policy=POLICY)
    named = {"PolicyId": made["PolicyId"], "PolicyHash": made["PolicyHash"]}
    assert ssm.get_resource_policies(ResourceArn=arn)["Policies"] == [{**named, "Policy": POLICY}]

    other = POLICY.replace("Allow", "Deny")
    changed = ssm.put_resource_policy(ResourceArn=arn, Policy=other, **named)
    assert changed["PolicyId"] == named["PolicyId"]
    for call, more in ((ssm.put_resource_policy, {"Policy": POLICY}), (ssm.delete_resource_policy, {})):
        with pytest.raises(ssm.exceptions.ResourcePolicyConflictException):
            call(ResourceArn=arn, **named, **more)
    (found,) = ssm.get_resource_policies(ResourceArn=arn)["Policies"]
    assert (found["Policy"], found["PolicyHash"]) == (other, changed["PolicyHash"])

    named["PolicyHash"] = changed["PolicyHash"]
    assert set(ssm.delete_resource_policy(ResourceArn=arn, **named)) == {"ResponseMetadata"}
    assert ssm.get_resource_policies(ResourceArn=arn)["Policies"] == []
    with pytest.raises(ssm.exceptions.ResourcePolicyNotFoundException):
        ssm.delete_resource_policy(ResourceArn=arn, **named)
    with pytest.raises(ssm.exceptions.ResourcePolicyNotFoundException):
        ssm.put_resource_policy(ResourceArn=arn, Policy=POLICY, **named)


def test_policies_are_paged(ssm, arn):
    """Every one once, in order of id; a group of OpsItems has one."""
    most = 1 if "opsitemgroup" in arn else 20
    made = sorted(ssm.put_resource_policy(ResourceArn=arn, Policy=POLICY)["PolicyId"] for _ in range(most))
    with pytest.raises(ssm.exceptions.ResourcePolicyLimitExceededException) as refused:
        ssm.put_resource_policy(ResourceArn=arn, Policy=POLICY)

    for size in (1, 7, 50):
        pages = ssm.get_paginator("get_resource_policies").paginate(
            ResourceArn=arn, PaginationConfig={"PageSize": size}
        )
        assert [one["PolicyId"] for page in pages for one in page["Policies"]] == made
    assert (refused.value.response["Limit"], refused.value.response["LimitType"]) == (most, "PoliciesPerResource")


@pytest.mark.parametrize(
    ("given", "code", "members"),
    [
        ({"Policy": "{"}, "MalformedResourcePolicyDocumentException", {}),
        ({"Policy": '{"Statement": []}'}, "MalformedResourcePolicyDocumentException", {}),
        ({"Policy": " "}, "ValidationException", {}),
        (
            {"Policy": POLICY + " " * 1024},
            "ResourcePolicyLimitExceededException",
            {"Limit": 1024, "LimitType": "PolicySize"},
        ),
        ({"PolicyId": "x"}, "ResourcePolicyInvalidParameterException", {"ParameterNames": ["PolicyHash"]}),
        ({"PolicyHash": "x"}, "ResourcePolicyInvalidParameterException", {"ParameterNames": ["PolicyId"]}),
        ({"PolicyId": "x", "PolicyHash": "x"}, "ResourcePolicyNotFoundException", {}),
    ],
)
def test_what_is_no_policy_is_refused(ssm, arn, given, code, members):
    """And changes nothing."""
    with pytest.raises(ssm.exceptions.ClientError) as refused:
        ssm.put_resource_policy(**{"ResourceArn": arn, "Policy": POLICY, **given})

    response = refused.value.response
    assert response["Error"]["Code"] == code
    assert {name: response[name] for name in members} == members
    assert ssm.get_resource_policies(ResourceArn=arn)["Policies"] == []


def test_what_carries_no_policy_is_refused(aws, ssm):
    """What does not exist, what is somebody else's, what is of another type, what is no ARN at all."""
    place = f"{aws.region}:{aws.house.account}"
    wrong = {
        f"arn:aws:ssm:{place}:parameter/none": "ResourceNotFoundException",
        f"arn:aws:ssm:{place}:opsitemgroup/other": "ResourceNotFoundException",
        f"arn:aws:ssm:{place}:document/AWS-RunPatchBaseline": "ResourceNotFoundException",
        f"arn:aws:ssm:{aws.region}:999999999999:opsitemgroup/default": "ResourceNotFoundException",
        f"arn:aws:ssm:{new_region()}:{aws.house.account}:opsitemgroup/default": "ResourceNotFoundException",
        f"arn:aws:ssm:{place}:patchbaseline/pb-1": "ResourcePolicyInvalidParameterException",
        f"arn:aws:sns:{place}:parameter/none": "ResourcePolicyInvalidParameterException",
        "x" * 20: "ResourcePolicyInvalidParameterException",
        "x" * 19: "ValidationException",
    }
    for arn, code in wrong.items():
        for call, more in (
            (ssm.put_resource_policy, {"Policy": POLICY}),
            (ssm.get_resource_policies, {}),
            (ssm.delete_resource_policy, {"PolicyId": "x", "PolicyHash": "x"}),
        ):
            with pytest.raises(ssm.exceptions.ClientError) as refused:
                call(ResourceArn=arn, **more)
            assert refused.value.response["Error"]["Code"] == code, arn


def test_what_is_deleted_takes_its_policies_along(ssm, arn):
    """A later one of the same name is shared with nobody."""
    if "opsitemgroup" in arn:
        return
    ssm.put_resource_policy(ResourceArn=arn, Policy=POLICY)
    delete(ssm, arn)

    with pytest.raises(ssm.exceptions.ResourceNotFoundException):
        ssm.get_resource_policies(ResourceArn=arn)
    if ":parameter/" in arn:
        ssm.put_parameter(Name="/" + arn.split("/", 1)[1], Value="1", Type="String")
    else:
        ssm.create_document(Name="web", Content=json.dumps(CONTENT), DocumentType="Command")
    assert ssm.get_resource_policies(ResourceArn=arn)["Policies"] == []
