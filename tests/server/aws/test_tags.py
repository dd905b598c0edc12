# SPDX-License-Identifier: Apache-2.0
"""Tags through boto3 (spec §1.7, §1.19)."""

from __future__ import annotations

import json

import pytest

from server.aws.served import new_region

KINDS = ("Document", "ManagedInstance", "Parameter", "PatchBaseline")
CONTENT = {
    "schemaVersion": "2.2",
    "mainSteps": [{"action": "aws:runShellScript", "name": "a", "inputs": {"runCommand": ["true"]}}],
}


def make(aws, ssm, kind, tags=()):
    """The id of something of a type that can be tagged."""
    if kind == "ManagedInstance":
        return aws.enrol(tags={one["Key"]: one["Value"] for one in tags}).instance_id
    if kind == "Parameter":
        ssm.put_parameter(Name="/web/size", Value="1", Type="String", Tags=tags)
        return "/web/size"
    if kind == "Document":
        ssm.create_document(Name="web", Content=json.dumps(CONTENT), DocumentType="Command", Tags=tags)
        return "web"
    return ssm.create_patch_baseline(Name="web", Tags=tags)["BaselineId"]


@pytest.fixture(params=KINDS)
def resource(request, aws, ssm):
    """Type and id of something that can be tagged."""
    return {"ResourceType": request.param, "ResourceId": make(aws, ssm, request.param)}


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
        ("Document", "x y"),
        ("Parameter", "/x"),
        ("Parameter", ""),
        ("MaintenanceWindow", "mw-00000000000000000"),
        ("OpsItem", "oi-000000000000"),
        ("OpsMetadata", "x"),
        ("Automation", "x"),
        ("Association", "x"),
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
    """The model names them; one of them is of something that will not be here."""
    with pytest.raises(ssm.exceptions.ClientError, match=r"ValidationException.*resourceType"):
        ssm.list_tags_for_resource(ResourceType="Teapot", ResourceId="x")
    with pytest.raises(ssm.exceptions.InvalidResourceType):
        ssm.list_tags_for_resource(ResourceType="CloudConnector", ResourceId="x")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_with_tags_has_them_and_takes_them_along(aws, ssm, kind):
    """Another of the same name has none of them."""
    given = tag(Env="prod", role="web")
    named = {"ResourceType": kind, "ResourceId": make(aws, ssm, kind, given)}
    assert ssm.list_tags_for_resource(**named)["TagList"] == given

    if kind == "ManagedInstance":
        ssm.deregister_managed_instance(InstanceId=named["ResourceId"])
    elif kind == "Parameter":
        ssm.delete_parameter(Name=named["ResourceId"])
    elif kind == "Document":
        ssm.delete_document(Name=named["ResourceId"])
    else:
        ssm.delete_patch_baseline(BaselineId=named["ResourceId"])

    with pytest.raises(ssm.exceptions.InvalidResourceId):
        ssm.list_tags_for_resource(**named)
    named["ResourceId"] = make(aws, ssm, kind)
    assert ssm.list_tags_for_resource(**named)["TagList"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_the_neighbours_cannot_be_tagged(aws, ssm, kind):
    """Of another region, under the same name."""
    named = {"ResourceType": kind, "ResourceId": make(aws, ssm, kind)}
    elsewhere = aws.client(region=new_region())

    for call, more in (
        (elsewhere.add_tags_to_resource, {"Tags": tag(a="1")}),
        (elsewhere.remove_tags_from_resource, {"TagKeys": ["a"]}),
        (elsewhere.list_tags_for_resource, {}),
    ):
        with pytest.raises(ssm.exceptions.InvalidResourceId):
            call(**named, **more)


def test_a_parameter_is_the_same_with_and_without_its_slash(ssm):
    """As its ARN is."""
    ssm.put_parameter(Name="size", Value="1", Type="String")
    for name in ("size", "/size"):
        ssm.add_tags_to_resource(
            ResourceType="Parameter", ResourceId=name, Tags=tag(**{name[-4:] + str(len(name)): "1"})
        )

    for name in ("size", "/size"):
        assert len(ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]) == 2
