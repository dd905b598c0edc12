# SPDX-License-Identifier: Apache-2.0
"""Patch groups through boto3: registrations, and what their nodes reported last (spec §1.2, §1.3, §3.2, §3.4)."""

from __future__ import annotations

import pytest

from server.aws.test_baselines import create, refusal
from server.patching.bench import OUTDATED, PATCHED

COUNTS = [
    "InstancesWithInstalledPatches",
    "InstancesWithInstalledOtherPatches",
    "InstancesWithInstalledPendingRebootPatches",
    "InstancesWithInstalledRejectedPatches",
    "InstancesWithMissingPatches",
    "InstancesWithFailedPatches",
    "InstancesWithNotApplicablePatches",
    "InstancesWithUnreportedNotApplicablePatches",
    "InstancesWithCriticalNonCompliantPatches",
    "InstancesWithSecurityNonCompliantPatches",
    "InstancesWithOtherNonCompliantPatches",
    "InstancesWithAvailableSecurityUpdates",
]


def mapped(ssm, **arguments):
    """Group and name of the baseline of every registration, over all pages."""
    pages = ssm.get_paginator("describe_patch_groups").paginate(**arguments)
    return [(one["PatchGroup"], one["BaselineIdentity"]["BaselineName"]) for page in pages for one in page["Mappings"]]


@pytest.fixture
def fleet(aws):
    """Twelve nodes of the group `web`: the odd ones outdated, the even ones patched; in order of id."""
    made = sorted((aws.enrol(tags={"Patch Group": "web"}) for _ in range(12)), key=lambda node: node.instance_id)
    for place, node in enumerate(made):
        aws.run(aws.house.scan(node, OUTDATED if place % 2 else PATCHED))
    return [node.instance_id for node in made]


def states(ssm, *filters, group="web", **page):
    """The ids of the states of a group, over all pages."""
    pages = ssm.get_paginator("describe_instance_patch_states_for_patch_group")
    given = [dict(zip(("Key", "Type", "Values"), (key, sign, [value]), strict=True)) for key, sign, value in filters]
    found = pages.paginate(PatchGroup=group, Filters=given, PaginationConfig=page)
    return [one["InstanceId"] for answer in found for one in answer["InstancePatchStates"]]


def test_registrations_are_listed_as_aws_writes_them(ssm):
    """Every member of the baseline's identity."""
    mine = create(ssm, "prod", Description="for production")
    ssm.register_patch_baseline_for_patch_group(BaselineId=mine, PatchGroup="Production")

    (found,) = ssm.describe_patch_groups()["Mappings"]

    identity = {
        "BaselineId": mine,
        "BaselineName": "prod",
        "OperatingSystem": "DEBIAN",
        "BaselineDescription": "for production",
        "DefaultBaseline": False,
    }
    assert found == {"PatchGroup": "Production", "BaselineIdentity": identity}
    ssm.register_default_patch_baseline(BaselineId=mine)
    assert ssm.describe_patch_groups()["Mappings"][0]["BaselineIdentity"] == {**identity, "DefaultBaseline": True}


def test_registrations_are_filtered_and_paged(ssm):
    """NAME_PREFIX is the group's; every page size gives every registration once."""
    web, db = create(ssm, "web-baseline"), create(ssm, "db-baseline")
    ubuntu = ssm.create_patch_baseline(Name="ubuntu-baseline", OperatingSystem="UBUNTU")["BaselineId"]
    for baseline_id, group in ((web, "web-1"), (web, "web-2"), (ubuntu, "web-2"), (db, "Ünïcode / group")):
        ssm.register_patch_baseline_for_patch_group(BaselineId=baseline_id, PatchGroup=group)

    whole = [
        ("web-1", "web-baseline"),
        ("web-2", "web-baseline"),
        ("web-2", "ubuntu-baseline"),
        ("Ünïcode / group", "db-baseline"),
    ]
    assert mapped(ssm) == whole
    for size in (1, 2, 3, 4, 100):
        assert mapped(ssm, PaginationConfig={"PageSize": size}) == whole
    assert mapped(ssm, Filters=[{"Key": "NAME_PREFIX", "Values": ["web-"]}]) == whole[:3]
    assert mapped(ssm, Filters=[{"Key": "OPERATING_SYSTEM", "Values": ["UBUNTU"]}]) == whole[2:3]
    both = [{"Key": "NAME_PREFIX", "Values": ["web-2"]}, {"Key": "OPERATING_SYSTEM", "Values": ["DEBIAN"]}]
    assert mapped(ssm, Filters=both) == whole[1:2]
    assert mapped(ssm, Filters=[{"Key": "OPERATING_SYSTEM", "Values": ["BEOS"]}]) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"Filters": [{"Key": "OWNER", "Values": ["Self"]}]},
        {"Filters": [{"Key": "colour", "Values": ["red"]}]},
        {"Filters": [{}]},
        {"MaxResults": 0},
        {"MaxResults": 101},
        {"NextToken": "AAAA"},
    ],
)
def test_what_is_no_question_about_registrations_is_refused(ssm, arguments):
    """ValidationException: the operation has no error of its own (spec §1.2)."""
    assert refusal(ssm.describe_patch_groups, **arguments)[0] == "ValidationException"


def test_a_registration_goes_and_can_be_made_anew(ssm):
    """Twice is as good as once; the same pair again is refused while it stands (spec §1.19)."""
    mine = create(ssm)
    pair = {"BaselineId": mine, "PatchGroup": "web"}
    ssm.register_patch_baseline_for_patch_group(**pair)
    with pytest.raises(ssm.exceptions.AlreadyExistsException):
        ssm.register_patch_baseline_for_patch_group(**pair)

    for _ in range(2):
        answer = ssm.deregister_patch_baseline_for_patch_group(**pair)
        assert (answer["BaselineId"], answer["PatchGroup"]) == (mine, "web")

    assert mapped(ssm) == []
    assert ssm.get_patch_baseline(BaselineId=mine)["PatchGroups"] == []
    ssm.register_patch_baseline_for_patch_group(**pair)
    assert ssm.get_patch_baseline(BaselineId=mine)["PatchGroups"] == ["web"]


def test_a_group_is_told_in_numbers_of_nodes(aws, ssm, fleet):
    """All thirteen members, 0 where there is none (spec §3.2)."""
    aws.enrol(tags={"PatchGroup": "web"})  # has reported nothing

    answer = ssm.describe_patch_group_state(PatchGroup="web")
    answer.pop("ResponseMetadata")

    assert sorted(answer) == sorted(["Instances", *COUNTS])
    assert {name: number for name, number in answer.items() if number} == {
        "Instances": 13,
        "InstancesWithInstalledPatches": 6,
        "InstancesWithInstalledOtherPatches": 12,
        "InstancesWithMissingPatches": 6,
        "InstancesWithSecurityNonCompliantPatches": 6,
    }
    empty = ssm.describe_patch_group_state(PatchGroup="nobody")
    assert [empty[name] for name in ["Instances", *COUNTS]] == [0] * 13
    assert aws.client(region="eu-test-9").describe_patch_group_state(PatchGroup="web")["Instances"] == 0


def test_the_states_of_a_group_are_those_of_its_nodes(ssm, fleet):
    """Word for word what DescribeInstancePatchStates says, in order of id, on pages of any size."""
    answer = ssm.describe_instance_patch_states_for_patch_group(PatchGroup="web")

    assert answer["InstancePatchStates"] == ssm.describe_instance_patch_states(InstanceIds=fleet)["InstancePatchStates"]
    assert [one["InstanceId"] for one in answer["InstancePatchStates"]] == fleet
    assert "NextToken" not in answer
    for size in (10, 11, 12, 13, 100):
        assert states(ssm, PageSize=size) == fleet
        assert states(ssm, ("MissingCount", "GreaterThan", "0"), PageSize=size) == fleet[1::2]
    assert states(ssm, group="nobody") == []


def test_filters_compare_numbers(ssm, fleet):
    """ANDed; every key of the documentation, every operator (spec §1.19)."""
    for key in (
        "InstalledPendingRebootCount",
        "InstalledRejectedCount",
        "FailedCount",
        "UnreportedNotApplicableCount",
        "NotApplicableCount",
    ):
        assert states(ssm, (key, "Equal", "0")) == fleet, key
        assert states(ssm, (key, "LessThan", "1")) == fleet, key
        assert states(ssm, (key, "GreaterThan", "-1")) == fleet, key
        assert states(ssm, (key, "NotEqual", "0")) == [], key
        assert states(ssm, (key, "GreaterThan", "0")) == [], key
    assert states(ssm, ("InstalledCount", "Equal", "2")) == fleet[0::2]
    assert states(ssm, ("InstalledOtherCount", "Equal", "1")) == fleet
    assert states(ssm, ("MissingCount", "NotEqual", "2")) == fleet[0::2]
    assert states(ssm, ("MissingCount", "LessThan", "2"), ("InstalledCount", "GreaterThan", "1")) == fleet[0::2]
    assert states(ssm, ("MissingCount", "LessThan", "9" * 40)) == fleet
    assert states(ssm, ("MissingCount", "GreaterThan", "-" + "9" * 40)) == fleet


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ([{"Key": "CriticalNonCompliantCount", "Type": "Equal", "Values": ["0"]}], "InvalidFilter"),
        ([{"Key": "missingcount", "Type": "Equal", "Values": ["0"]}], "InvalidFilter"),
        ([{"Key": "MissingCount", "Type": "Equal", "Values": ["many"]}], "InvalidFilter"),
        ([{"Key": "MissingCount", "Type": "Equal", "Values": [""]}], "InvalidFilter"),
        ([{"Key": "MissingCount", "Type": "Equal", "Values": ["1.5"]}], "InvalidFilter"),
        ([{"Key": "MissingCount", "Type": "Equal", "Values": ["٣"]}], "InvalidFilter"),
        ([{"Key": "UnreportedNotApplicableCount", "Type": "Equal", "Values": ["-"]}], "InvalidFilter"),
        ([{"Key": "MissingCount", "Type": "Equal", "Values": ["1", "2"]}], "ValidationException"),
        ([{"Key": "MissingCount", "Type": "Equal", "Values": []}], "ValidationException"),
        ([{"Key": "MissingCount", "Type": "equal", "Values": ["1"]}], "ValidationException"),
        ([{"Key": "MissingCount", "Values": ["1"]}], "ValidationException"),
        ([{"Key": "MissingCount", "Type": "Equal", "Values": ["1"]}] * 5, "ValidationException"),
    ],
)
def test_a_filter_that_is_none_is_refused(ssm, filters, code):
    """InvalidFilter where the model says nothing (spec §1.3)."""
    call = ssm.describe_instance_patch_states_for_patch_group

    assert refusal(call, PatchGroup="web", Filters=filters)[0] == code


def test_a_token_is_good_for_its_own_group_only(ssm, fleet):
    """InvalidNextToken is the operation's own error."""
    call = ssm.describe_instance_patch_states_for_patch_group
    token = call(PatchGroup="web", MaxResults=10)["NextToken"]

    assert len(call(PatchGroup="web", MaxResults=10, NextToken=token)["InstancePatchStates"]) == 2
    for arguments in ({"PatchGroup": "db", "NextToken": token}, {"PatchGroup": "web", "NextToken": "AAAA"}):
        with pytest.raises(ssm.exceptions.InvalidNextToken):
            call(**arguments)
    for size in (9, 101):
        assert refusal(call, PatchGroup="web", MaxResults=size)[0] == "ValidationException"


def test_a_deregistered_node_leaves_its_group(ssm, fleet):
    """Neither counted nor listed, and its own state is gone."""
    ssm.deregister_managed_instance(InstanceId=fleet[1])

    assert states(ssm) == [one for one in fleet if one != fleet[1]]
    assert ssm.describe_patch_group_state(PatchGroup="web")["Instances"] == 11
    assert ssm.describe_instance_patch_states(InstanceIds=fleet[:3])["InstancePatchStates"][1]["InstanceId"] == fleet[2]


@pytest.mark.parametrize("group", ["", "x" * 257, "semi;colon", "new\nline"])
def test_what_cannot_be_a_group_is_refused(ssm, group):
    """By every operation that takes one."""
    mine = create(ssm)

    for call, more in (
        (ssm.describe_patch_group_state, {}),
        (ssm.describe_instance_patch_states_for_patch_group, {}),
        (ssm.get_patch_baseline_for_patch_group, {}),
        (ssm.register_patch_baseline_for_patch_group, {"BaselineId": mine}),
        (ssm.deregister_patch_baseline_for_patch_group, {"BaselineId": mine}),
    ):
        assert refusal(call, PatchGroup=group, **more)[0] == "ValidationException"
