# SPDX-License-Identifier: Apache-2.0
"""Tags through boto3 (spec §1.7, §1.19)."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["ManagedInstance", "PatchBaseline"])
def resource(request, aws, ssm):
    """Type and id of something that can be tagged."""
    if request.param == "ManagedInstance":
        return {"ResourceType": request.param, "ResourceId": aws.enrol().instance_id}
    return {"ResourceType": request.param, "ResourceId": ssm.create_patch_baseline(Name="web")["BaselineId"]}


def tag(**values):
    """Tags in the shape of the API."""
    return [{"Key": key, "Value": value} for key, value in values.items()]


def test_tags_are_added_read_and_removed(ssm, resource):
    """By key; what is not there is passed over."""
    assert ssm.list_tags_for_resource(**resource)["TagList"] == []

    ssm.add_tags_to_resource(**resource, Tags=tag(b="1", a="2"))
    ssm.add_tags_to_resource(**resource, Tags=tag(b="3"))
    assert ssm.list_tags_for_resource(**resource)["TagList"] == tag(a="2", b="3")

    ssm.remove_tags_from_resource(**resource, TagKeys=["a", "never"])
    assert ssm.list_tags_for_resource(**resource)["TagList"] == tag(b="3")


def test_a_tag_that_cannot_be_set_is_refused_with_the_others(ssm, resource):
    """ValidationException; the resource keeps what it had."""
    ssm.add_tags_to_resource(**resource, Tags=tag(a="1"))
    refused = [
        [*tag(b="1"), {"Key": "aws:x", "Value": "1"}],
        [*tag(b="1"), *tag(b="2")],
        [{"Key": "", "Value": "1"}],
        [{"Key": "k" * 129, "Value": "1"}],
        [{"Key": "k", "Value": "v" * 257}],
        [{"Key": "exclamation!", "Value": "1"}],
        tag(x="1") * 1001,
    ]

    for tags in refused:
        with pytest.raises(ssm.exceptions.ClientError, match="ValidationException"):
            ssm.add_tags_to_resource(**resource, Tags=tags)

    assert ssm.list_tags_for_resource(**resource)["TagList"] == tag(a="1")


def test_a_51st_tag_is_too_many(ssm, resource):
    """TooManyTagsError, at once or one by one."""
    ssm.add_tags_to_resource(**resource, Tags=[{"Key": f"key-{number}", "Value": ""} for number in range(50)])

    with pytest.raises(ssm.exceptions.TooManyTagsError):
        ssm.add_tags_to_resource(**resource, Tags=tag(more="1"))

    assert len(ssm.list_tags_for_resource(**resource)["TagList"]) == 50


def test_what_does_not_exist_cannot_be_tagged(aws, ssm):
    """InvalidResourceId for every operation: unknown, of another type, predefined, elsewhere, malformed."""
    node = aws.enrol().instance_id
    baseline = ssm.create_patch_baseline(Name="web")["BaselineId"]
    predefined = ssm.get_patch_baseline_for_patch_group(PatchGroup="x")["BaselineId"]
    wrong = [
        ("ManagedInstance", "mi-00000000000000000"),
        ("ManagedInstance", baseline),
        ("ManagedInstance", "x"),
        ("PatchBaseline", "pb-00000000000000000"),
        ("PatchBaseline", node),
        ("PatchBaseline", predefined),
        ("Document", "AWS-RunPatchBaseline"),
        ("Parameter", "/x"),
    ]

    for kind, name in wrong:
        for call, more in (
            (ssm.add_tags_to_resource, {"Tags": tag(a="1")}),
            (ssm.remove_tags_from_resource, {"TagKeys": ["a"]}),
            (ssm.list_tags_for_resource, {}),
        ):
            with pytest.raises(ssm.exceptions.InvalidResourceId):
                call(ResourceType=kind, ResourceId=name, **more)


def test_a_type_that_is_none_is_refused(ssm):
    """The model names them."""
    with pytest.raises(ssm.exceptions.ClientError, match="resourceType"):
        ssm.list_tags_for_resource(ResourceType="Teapot", ResourceId="x")
