# SPDX-License-Identifier: Apache-2.0
"""Patch baselines and patch groups through boto3 (spec §1.1, §1.2, §1.19, §13)."""

from __future__ import annotations

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from core.cases import FAMILIES, read
from patchwright.server.aws.ssm.baselines import apply, blank

SYSTEMS = [
    "ALMA_LINUX",
    "AMAZON_LINUX",
    "AMAZON_LINUX_2",
    "AMAZON_LINUX_2022",
    "AMAZON_LINUX_2023",
    "CENTOS",
    "DEBIAN",
    "MACOS",
    "ORACLE_LINUX",
    "RASPBIAN",
    "REDHAT_ENTERPRISE_LINUX",
    "ROCKY_LINUX",
    "SUSE",
    "UBUNTU",
    "WINDOWS",
]
RULE = {
    "PatchFilterGroup": {"PatchFilters": [{"Key": "PRIORITY", "Values": ["Required", "Important"]}]},
    "ApproveAfterDays": 7,
    "ComplianceLevel": "HIGH",
}
RULES = {"PatchRules": [RULE]}


def create(ssm, name="web", **members):
    """A new baseline for Debian; returns its id."""
    return ssm.create_patch_baseline(Name=name, OperatingSystem="DEBIAN", **members)["BaselineId"]


def refusal(call, **arguments):
    """The error code and message of a refused call."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    error = refused.value.response["Error"]
    assert error["Message"]
    return error["Code"], error["Message"]


def names(pages):
    """Names of all baselines on *pages*."""
    return [one["BaselineName"] for page in pages for one in page["BaselineIdentities"]]


def test_a_bare_baseline_echoes_every_default(ssm):
    """Exactly what AWS echoes (spec §1.19, §13): terraform shows a difference otherwise."""
    baseline_id = ssm.create_patch_baseline(Name="bare")["BaselineId"]

    found = ssm.get_patch_baseline(BaselineId=baseline_id)
    found.pop("ResponseMetadata")

    assert found.pop("CreatedDate") == found.pop("ModifiedDate")
    assert found == {
        "BaselineId": baseline_id,
        "Name": "bare",
        "OperatingSystem": "WINDOWS",
        "GlobalFilters": {"PatchFilters": []},
        "ApprovalRules": {"PatchRules": []},
        "ApprovedPatches": [],
        "ApprovedPatchesComplianceLevel": "UNSPECIFIED",
        "ApprovedPatchesEnableNonSecurity": False,
        "RejectedPatches": [],
        "RejectedPatchesAction": "ALLOW_AS_DEPENDENCY",
        "PatchGroups": [],
        "Sources": [],
    }


def test_everything_given_is_echoed(ssm):
    """Rules with their defaults filled in."""
    given = {
        "GlobalFilters": {"PatchFilters": [{"Key": "PRODUCT", "Values": ["Debian12", "*"]}]},
        "ApprovalRules": {
            "PatchRules": [RULE, {"PatchFilterGroup": {"PatchFilters": []}, "ApproveUntilDate": "2026-11-16"}]
        },
        "ApprovedPatches": ["openssl", "libc6"],
        "ApprovedPatchesComplianceLevel": "CRITICAL",
        "ApprovedPatchesEnableNonSecurity": True,
        "RejectedPatches": ["tzdata"],
        "RejectedPatchesAction": "BLOCK",
        "Description": "for the web",
        "Sources": [{"Name": "ours", "Products": ["*"], "Configuration": "deb https://example.org stable main"}],
    }

    found = ssm.get_patch_baseline(BaselineId=create(ssm, **given))

    until = {
        "PatchFilterGroup": {"PatchFilters": []},
        "ComplianceLevel": "UNSPECIFIED",
        "ApproveUntilDate": "2026-11-16",
    }
    given["ApprovalRules"] = {
        "PatchRules": [{**RULE, "EnableNonSecurity": False}, {**until, "EnableNonSecurity": False}]
    }
    assert {name: found[name] for name in given} == given


def test_an_update_replaces_what_it_gives_and_nothing_else(ssm):
    """Lists as a whole (spec §0.3, D9); what is absent stays."""
    baseline_id = create(ssm, ApprovalRules=RULES, RejectedPatches=["a", "b"], Description="old")

    updated = ssm.update_patch_baseline(BaselineId=baseline_id, RejectedPatches=["c"], RejectedPatchesAction="BLOCK")

    found = ssm.get_patch_baseline(BaselineId=baseline_id)
    for answer in (updated, found):
        assert (answer["RejectedPatches"], answer["RejectedPatchesAction"]) == (["c"], "BLOCK")
        assert (answer["Name"], answer["Description"]) == ("web", "old")
        assert answer["ApprovalRules"]["PatchRules"][0]["ApproveAfterDays"] == 7
    assert found["ModifiedDate"] > found["CreatedDate"]


def test_replace_resets_what_is_absent(ssm):
    """Name is required in that mode; the operating system stays (spec §1.19)."""
    baseline_id = create(ssm, ApprovalRules=RULES, RejectedPatches=["a"], Description="old")

    assert refusal(ssm.update_patch_baseline, BaselineId=baseline_id, Replace=True)[0] == "ValidationException"
    found = ssm.update_patch_baseline(BaselineId=baseline_id, Replace=True, Name="new", ApprovedPatches=["x"])

    assert (found["Name"], found["OperatingSystem"], found["ApprovedPatches"]) == ("new", "DEBIAN", ["x"])
    assert (found["RejectedPatches"], found["ApprovalRules"]) == ([], {"PatchRules": []})
    assert "Description" not in found


def test_updates_at_the_same_time_lose_nothing(aws):
    """Two people change two members of one baseline."""
    baseline_id = create(aws.client())
    changes = [{"Name": "new"}, {"Description": "new"}, {"RejectedPatches": ["new"]}, {"ApprovedPatches": ["new"]}]
    clients = [aws.client() for _ in changes]

    with ThreadPoolExecutor(len(changes)) as threads:
        list(
            threads.map(
                lambda pair: pair[0].update_patch_baseline(BaselineId=baseline_id, **pair[1]),
                zip(clients, changes, strict=True),
            )
        )

    found = clients[0].get_patch_baseline(BaselineId=baseline_id)
    assert {name: found[name] for change in changes for name in change} == {
        name: value for change in changes for name, value in change.items()
    }


def test_the_same_client_token_makes_one_baseline(ssm):
    """Another body with it is IdempotentParameterMismatch."""
    token = str(uuid.uuid4())
    first = create(ssm, ClientToken=token, Tags=[{"Key": "a", "Value": "1"}])

    assert create(ssm, ClientToken=token, Tags=[{"Key": "a", "Value": "1"}]) == first
    with pytest.raises(ssm.exceptions.IdempotentParameterMismatch):
        create(ssm, "other", ClientToken=token)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"ApprovalRules": {"PatchRules": [{**RULE, "ApproveUntilDate": "2026-11-16"}]}}, "exactly one"),
        ({"ApprovalRules": {"PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}}]}}, "exactly one"),
        ({"ApprovalRules": {"PatchRules": [{**RULE, "ApproveAfterDays": 361}]}}, "approveAfterDays"),
        ({"ApprovalRules": {"PatchRules": [{**RULE, "ApproveAfterDays": -1}]}}, "approveAfterDays"),
        ({"ApprovalRules": {"PatchRules": [RULE] * 11}}, "patchRules"),
        (
            {
                "ApprovalRules": {
                    "PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}, "ApproveUntilDate": "2026-02-30"}]
                }
            },
            "YYYY-MM-DD",
        ),
        ({"OperatingSystem": "BEOS"}, "operatingSystem"),
        ({"Name": "x"}, "name"),
        ({"Name": "spaces are not allowed"}, "name"),
        ({"ApprovedPatches": ["x"] * 51}, "approvedPatches"),
        ({"RejectedPatchesAction": "MAYBE"}, "rejectedPatchesAction"),
        ({"AvailableSecurityUpdatesComplianceStatus": "COMPLIANT"}, "Windows"),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "twice"),
        ({"Tags": [{"Key": "aws:a", "Value": "1"}]}, "aws:"),
    ],
)
def test_a_baseline_that_contradicts_itself_is_refused(ssm, arguments, part):
    """ValidationException, with the member or the rule; and nothing is made."""
    given = {"Name": "web", "OperatingSystem": "DEBIAN", **arguments}

    code, message = refusal(ssm.create_patch_baseline, **given)

    assert code == "ValidationException"
    assert part in message
    assert names([ssm.describe_patch_baselines(Filters=[{"Key": "OWNER", "Values": ["Self"]}])]) == []


def test_unknown_and_malformed_ids_have_their_own_classes(ssm):
    """DoesNotExistException and InvalidResourceId (spec §1.18)."""
    unknown, malformed = "pb-00000000000000000", "pb-0000000000000000g"

    for call, more in (
        (ssm.get_patch_baseline, {}),
        (ssm.register_patch_baseline_for_patch_group, {"PatchGroup": "web"}),
    ):
        with pytest.raises(ssm.exceptions.DoesNotExistException):
            call(BaselineId=unknown, **more)
        with pytest.raises(ssm.exceptions.InvalidResourceId):
            call(BaselineId=malformed, **more)
    for name in (unknown, malformed):  # the only class that this operation declares
        with pytest.raises(ssm.exceptions.DoesNotExistException):
            ssm.update_patch_baseline(BaselineId=name, Name="new")


def test_members_come_in_the_models_order(ssm):
    """Terraform and jq show an answer as it came (spec §1.19, §13)."""
    seen = {}
    ssm.meta.events.register("after-call", lambda http_response, model, **_: seen.update({model.name: http_response}))
    made = create(ssm, Description="of the web", ApprovalRules=RULES)

    ssm.get_patch_baseline(BaselineId=made)
    ssm.update_patch_baseline(BaselineId=made, Name="other")

    for operation in ("GetPatchBaseline", "UpdatePatchBaseline"):
        order = list(ssm.meta.service_model.operation_model(operation).output_shape.members)
        assert list(json.loads(seen[operation].content)) == [one for one in order if not one.startswith("Available")]


def test_a_new_resource_with_51_tags_is_not_valid(ssm):
    """ValidationException: TooManyTagsError is declared where tags are added, and nowhere else (spec §1.18)."""
    many = [{"Key": f"key-{number}", "Value": ""} for number in range(51)]
    window = {"Schedule": "rate(1 day)", "Duration": 3, "Cutoff": 1, "AllowUnassociatedTargets": True}

    for call, given in (
        (ssm.create_patch_baseline, {"Name": "web"}),
        (ssm.create_maintenance_window, {"Name": "web", **window}),
        (ssm.put_parameter, {"Name": "web", "Value": "1", "Type": "String"}),
        (ssm.create_document, {"Name": "web", "Content": "{}"}),
    ):
        assert refusal(call, **given, Tags=many) == (
            "ValidationException",
            "A resource can have at most 50 tags, not 51.",
        )


def test_predefined_baselines_are_what_terraform_looks_for(ssm):
    """For each system exactly one name fits `^AWS-[0-9A-Za-z]+PatchBaseline$`, and it is the default (spec §1.19)."""
    for system in SYSTEMS:
        filters = [{"Key": "OPERATING_SYSTEM", "Values": [system]}, {"Key": "OWNER", "Values": ["AWS"]}]
        found = ssm.describe_patch_baselines(Filters=filters)["BaselineIdentities"]
        fitting = [one for one in found if re.match(r"^AWS-[0-9A-Za-z]+PatchBaseline$", one["BaselineName"])]
        assert len(fitting) == 1, system
        assert fitting[0]["DefaultBaseline"] is True
        assert fitting[0]["OperatingSystem"] == system

    every = names([ssm.describe_patch_baselines(Filters=[{"Key": "OWNER", "Values": ["AWS"]}])])
    assert len(every) == 17


def test_a_predefined_baseline_is_shown_and_not_changed(aws, ssm):
    """Addressed by ARN."""
    answer = ssm.get_patch_baseline_for_patch_group(PatchGroup="any", OperatingSystem="DEBIAN")
    arn = answer["BaselineId"]

    found = ssm.get_patch_baseline(BaselineId=arn)

    assert arn == f"arn:aws:ssm:{aws.region}:075727635805:patchbaseline/pb-09a5f8eb62bde80b1"
    assert found["BaselineId"] == arn
    assert found["Name"] == "AWS-DebianDefaultPatchBaseline"
    assert found["GlobalFilters"] == {"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}]}
    assert refusal(ssm.update_patch_baseline, BaselineId=arn, Name="mine")[0] == "AccessDeniedException"
    assert (
        refusal(ssm.update_patch_baseline, BaselineId="pb-09a5f8eb62bde80b1", Name="mine")[0] == "DoesNotExistException"
    )


def test_baselines_are_filtered_and_paged(ssm):
    """Filters are ANDed; every page size gives every baseline once."""
    for name in ("web-1", "web-2", "db-1"):
        create(ssm, name)
    own, web = {"Key": "OWNER", "Values": ["Self"]}, {"Key": "NAME_PREFIX", "Values": ["web", "AWS-Debian"]}
    pages = ssm.get_paginator("describe_patch_baselines")

    assert names(pages.paginate(Filters=[own])) == ["web-1", "web-2", "db-1"]
    assert names(pages.paginate(Filters=[web])) == ["web-1", "web-2", "AWS-DebianDefaultPatchBaseline"]
    assert names(pages.paginate(Filters=[own, web])) == ["web-1", "web-2"]
    every = names(pages.paginate())
    assert len(every) == len(set(every)) == 20
    for size in (1, 3, 19, 20, 100):
        assert names(pages.paginate(PaginationConfig={"PageSize": size})) == every


@pytest.mark.parametrize(
    "filters",
    [
        [{"Key": "OWNER", "Values": ["Me"]}],
        [{"Key": "OWNER", "Values": ["AWS", "Self"]}],
        [{"Key": "COLOUR", "Values": ["red"]}],
        [{}],
        [{"Key": "NAME_PREFIX", "Values": ["matches-nothing"]}, {"Key": "COLOUR", "Values": ["red"]}],
        [{"Key": "NAME_PREFIX", "Values": ["x"]}] * 6,
    ],
)
def test_a_filter_that_is_none_is_refused(ssm, filters):
    """Whatever there is to filter."""
    assert refusal(ssm.describe_patch_baselines, Filters=filters)[0] == "ValidationException"


def test_a_token_is_good_for_its_own_request_only(ssm):
    """Other filters, another operation's, a made-up one."""
    create(ssm)
    token = ssm.describe_patch_baselines(MaxResults=1)["NextToken"]
    own = [{"Key": "OWNER", "Values": ["Self"]}]

    assert ssm.describe_patch_baselines(MaxResults=2, NextToken=token)["BaselineIdentities"]
    for arguments in ({"NextToken": token, "Filters": own}, {"NextToken": "AAAA"}, {"NextToken": token[:-2] + "AA"}):
        assert refusal(ssm.describe_patch_baselines, **arguments)[0] == "ValidationException"


def test_a_group_gets_its_baseline_or_the_default(ssm):
    """One for each system; the group need not exist."""
    baseline_id = create(ssm)
    answer = ssm.register_patch_baseline_for_patch_group(BaselineId=baseline_id, PatchGroup="Web Servers")
    assert (answer["BaselineId"], answer["PatchGroup"]) == (baseline_id, "Web Servers")

    found = ssm.get_patch_baseline_for_patch_group(PatchGroup="Web Servers", OperatingSystem="DEBIAN")
    assert (found["BaselineId"], found["PatchGroup"], found["OperatingSystem"]) == (
        baseline_id,
        "Web Servers",
        "DEBIAN",
    )
    assert ssm.get_patch_baseline(BaselineId=baseline_id)["PatchGroups"] == ["Web Servers"]
    windows = ssm.get_patch_baseline_for_patch_group(PatchGroup="Web Servers")
    assert windows["OperatingSystem"] == "WINDOWS"
    assert windows["BaselineId"].endswith("pb-09ca3fb51f0412ec3")
    with pytest.raises(ssm.exceptions.AlreadyExistsException, match="OperatingSystem DEBIAN"):
        ssm.register_patch_baseline_for_patch_group(BaselineId=create(ssm, "other"), PatchGroup="Web Servers")


def test_a_26th_group_is_refused(ssm):
    """ResourceLimitExceededException (spec §1.20)."""
    baseline_id = create(ssm)
    for number in range(25):
        ssm.register_patch_baseline_for_patch_group(BaselineId=baseline_id, PatchGroup=f"group-{number}")

    with pytest.raises(ssm.exceptions.ResourceLimitExceededException):
        ssm.register_patch_baseline_for_patch_group(BaselineId=baseline_id, PatchGroup="one-more")


def properties(ssm, system, name, **members):
    """The values that DescribePatchProperties lists, over all its pages."""
    pages = ssm.get_paginator("describe_patch_properties").paginate(OperatingSystem=system, Property=name, **members)
    return [value["Name"] for page in pages for value in page["Properties"]]


def test_the_values_that_rules_may_ask_for_are_listed(ssm):
    """By operating system and property, in pages of any size (spec §1.19)."""
    assert properties(ssm, "DEBIAN", "PRIORITY") == ["Required", "Important", "Standard", "Optional", "Extra"]
    assert properties(ssm, "SUSE", "CLASSIFICATION")[:2] == ["Security", "Recommended"]
    assert "AmazonLinux2.0" in properties(ssm, "AMAZON_LINUX_2", "PRODUCT")
    whole = properties(ssm, "REDHAT_ENTERPRISE_LINUX", "PRODUCT")
    assert "RedhatEnterpriseLinux8.6" in whole
    assert properties(ssm, "REDHAT_ENTERPRISE_LINUX", "PRODUCT", PaginationConfig={"PageSize": 7}) == whole
    assert "WindowsServer2019" in properties(ssm, "WINDOWS", "PRODUCT", PatchSet="OS")
    assert properties(ssm, "WINDOWS", "PRODUCT", PatchSet="APPLICATION") == []


@pytest.mark.parametrize(
    "asked",
    [
        {"OperatingSystem": "DEBIAN", "Property": "SEVERITY"},
        {"OperatingSystem": "DEBIAN", "Property": "CLASSIFICATION"},
        {"OperatingSystem": "SUSE", "Property": "PRIORITY"},
        {"OperatingSystem": "MACOS", "Property": "SEVERITY"},
        {"OperatingSystem": "ROCKY_LINUX", "Property": "MSRC_SEVERITY"},
        {"OperatingSystem": "ROCKY_LINUX", "Property": "PRODUCT", "PatchSet": "OS"},
        {"OperatingSystem": "ROCKY_LINUX", "Property": "PRODUCT", "NextToken": "x"},
    ],
)
def test_a_property_that_an_operating_system_does_not_have_is_refused(ssm, asked):
    """And so is a patch set elsewhere than on Windows, and a token of nobody's."""
    assert refusal(ssm.describe_patch_properties, **asked)[0] == "ValidationException"


CASES = [case for family in FAMILIES for case in read(family) if "predefined" not in case.data.get("baseline", {})]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_case_of_core_can_be_made_through_the_api(family):
    """The request that each baseline case gives for a real node decides as the case does."""
    for case in CASES:
        if case.family == family:
            request = case.request
            definition = apply(blank(request["Name"], request["OperatingSystem"]), request)
            assert definition.baseline == case.baseline, case.name


def test_a_case_is_taken_as_it_is(ssm):
    """One of each family, over the wire: what is read back decides the same."""
    for case in (next(case for case in CASES if case.family == family) for family in FAMILIES):
        baseline_id = ssm.create_patch_baseline(**case.request)["BaselineId"]
        answer = ssm.get_patch_baseline(BaselineId=baseline_id)
        assert {name: answer[name] for name in case.request} == case.request
