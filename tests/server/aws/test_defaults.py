# SPDX-License-Identifier: Apache-2.0
"""Defaults and the end of patch baselines through boto3 (spec §1.1, §1.2, §1.19)."""

from __future__ import annotations

import pytest

from server.aws.test_baselines import SYSTEMS, create, refusal

UNKNOWN, MALFORMED = "pb-00000000000000000", "pb-0000000000000000g"


def marked(ssm, system="DEBIAN"):
    """The ids of the baselines of a system that are marked as its default."""
    filters = [{"Key": "OPERATING_SYSTEM", "Values": [system]}]
    found = ssm.describe_patch_baselines(Filters=filters)["BaselineIdentities"]
    return [one["BaselineId"] for one in found if one["DefaultBaseline"]]


def test_every_system_has_a_default_from_the_start(aws, ssm):
    """The predefined one, by ARN; without a system it is Windows' (spec §1.19)."""
    for system in SYSTEMS:
        answer = ssm.get_default_patch_baseline(OperatingSystem=system)
        assert answer["OperatingSystem"] == system
        assert answer["BaselineId"].startswith(f"arn:aws:ssm:{aws.region}:075727635805:patchbaseline/pb-")
        assert marked(ssm, system) == [answer["BaselineId"]]
    windows = ssm.get_default_patch_baseline()
    assert windows["OperatingSystem"] == "WINDOWS"
    assert windows["BaselineId"].endswith("pb-09ca3fb51f0412ec3")


def test_the_default_and_its_mark_follow_the_registration(ssm):
    """And come back with the predefined one, which Terraform registers when it takes its own away."""
    mine = create(ssm)
    standard = ssm.get_default_patch_baseline(OperatingSystem="DEBIAN")["BaselineId"]

    assert ssm.register_default_patch_baseline(BaselineId=mine)["BaselineId"] == mine
    assert ssm.get_default_patch_baseline(OperatingSystem="DEBIAN")["BaselineId"] == mine
    assert ssm.get_patch_baseline_for_patch_group(PatchGroup="any", OperatingSystem="DEBIAN")["BaselineId"] == mine
    assert marked(ssm) == [mine]
    assert marked(ssm, "UBUNTU") != [mine]

    code, message = refusal(ssm.delete_patch_baseline, BaselineId=mine)
    assert (code, "default of DEBIAN" in message) == ("ResourceInUseException", True)
    with pytest.raises(ssm.exceptions.ResourceInUseException):
        ssm.delete_patch_baseline(BaselineId=mine)
    assert ssm.register_default_patch_baseline(BaselineId=standard)["BaselineId"] == standard
    assert marked(ssm) == [standard]
    assert ssm.delete_patch_baseline(BaselineId=mine)["BaselineId"] == mine
    with pytest.raises(ssm.exceptions.DoesNotExistException):
        ssm.get_patch_baseline(BaselineId=mine)


def test_own_baselines_are_named_by_arn_too(aws, ssm):
    """The id is returned as it was given."""
    mine = create(ssm)
    arn = f"arn:aws:ssm:{aws.region}:{aws.house.account}:patchbaseline/{mine}"

    assert ssm.register_default_patch_baseline(BaselineId=arn)["BaselineId"] == arn
    assert ssm.get_default_patch_baseline(OperatingSystem="DEBIAN")["BaselineId"] == mine
    assert ssm.get_patch_baseline(BaselineId=arn)["BaselineId"] == mine
    assert refusal(ssm.delete_patch_baseline, BaselineId=arn)[0] == "ResourceInUseException"


def test_what_is_no_baseline_is_refused_where_the_model_says_so(ssm):
    """DoesNotExistException, InvalidResourceId; a delete succeeds (spec §13.1, case 16)."""
    for call, more in (
        (ssm.register_default_patch_baseline, {}),
        (ssm.deregister_patch_baseline_for_patch_group, {"PatchGroup": "web"}),
        (ssm.describe_effective_patches_for_patch_baseline, {}),
    ):
        with pytest.raises(ssm.exceptions.DoesNotExistException):
            call(BaselineId=UNKNOWN, **more)
        with pytest.raises(ssm.exceptions.InvalidResourceId):
            call(BaselineId=MALFORMED, **more)
    for name in (UNKNOWN, MALFORMED, f"arn:aws:ssm:us-east-1:999999999999:patchbaseline/{UNKNOWN}"):
        assert ssm.delete_patch_baseline(BaselineId=name)["BaselineId"] == name


def test_a_predefined_baseline_stays(ssm):
    """AccessDenied by ARN; by its bare id it is nobody's (spec §1.19)."""
    arn = ssm.get_default_patch_baseline(OperatingSystem="DEBIAN")["BaselineId"]

    assert refusal(ssm.delete_patch_baseline, BaselineId=arn)[0] == "AccessDeniedException"
    assert refusal(ssm.delete_patch_baseline, BaselineId=arn.rpartition("/")[2])[0] == "DoesNotExistException"


def test_a_deleted_baseline_leaves_nothing_to_find(ssm):
    """Neither in a listing, nor tags, nor under another verb."""
    mine = create(ssm, Tags=[{"Key": "team", "Value": "web"}])
    ssm.register_patch_baseline_for_patch_group(BaselineId=mine, PatchGroup="web")
    with pytest.raises(ssm.exceptions.ResourceInUseException, match="web"):
        ssm.delete_patch_baseline(BaselineId=mine)
    ssm.deregister_patch_baseline_for_patch_group(BaselineId=mine, PatchGroup="web")

    ssm.delete_patch_baseline(BaselineId=mine)
    ssm.delete_patch_baseline(BaselineId=mine)

    own = [{"Key": "OWNER", "Values": ["Self"]}]
    assert ssm.describe_patch_baselines(Filters=own)["BaselineIdentities"] == []
    assert refusal(ssm.list_tags_for_resource, ResourceType="PatchBaseline", ResourceId=mine)[0] == "InvalidResourceId"
    assert refusal(ssm.update_patch_baseline, BaselineId=mine, Name="new")[0] == "DoesNotExistException"


def test_both_owners_at_once_are_nobody(ssm):
    """Filters are ANDed."""
    filters = [{"Key": "OWNER", "Values": [owner]} for owner in ("AWS", "Self")]

    assert ssm.describe_patch_baselines(Filters=filters)["BaselineIdentities"] == []


def test_a_filter_has_so_many_values_and_no_more(ssm):
    """A thousand names are no filter."""
    many = [{"Key": "NAME_PREFIX", "Values": [f"n{number}" for number in range(101)]}]

    for call in (ssm.describe_patch_baselines, ssm.describe_patch_groups):
        assert refusal(call, Filters=many)[0] == "ValidationException"
        assert call(Filters=[{"Key": "NAME_PREFIX", "Values": many[0]["Values"][:100]}])
