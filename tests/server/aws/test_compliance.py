# SPDX-License-Identifier: Apache-2.0
"""Compliance through boto3 (spec §1.9, §7.1): shapes as the AWS CLI's examples show them, errors, filters, pages."""

from __future__ import annotations

import datetime
import json

import pytest
from botocore.exceptions import ClientError

from patchwright.core.protocol import Phase
from patchwright.server.gateway import sweep
from server.aws.served import Account, new_region
from server.patching.bench import OUTDATED, PATCHED, debian

THEN = datetime.datetime(2019, 2, 18, 16, tzinfo=datetime.UTC)
NONE = dict.fromkeys(
    ["CriticalCount", "HighCount", "MediumCount", "LowCount", "InformationalCount", "UnspecifiedCount"], 0
)
AV = "Custom:AVCheck"
UNKNOWN = "mi-00000000000000000"


@pytest.fixture
def node(aws):
    """A node in the group web that was scanned: two patches missing, one package of its own."""
    made = aws.enrol(tags={"Patch Group": "web"})
    aws.run(aws.house.scan(made, OUTDATED))
    return made


def item(name, status="COMPLIANT", severity="CRITICAL", **more):
    """An entry of PutComplianceItems."""
    return {"Id": name, "Title": f"title of {name}", "Severity": severity, "Status": status, **more}


def put(ssm, node, *items, type_name=AV, **more):
    """PutComplianceItems."""
    given = {"ExecutionSummary": {"ExecutionTime": THEN}, "ResourceType": "ManagedInstance", **more}
    return ssm.put_compliance_items(ResourceId=node.instance_id, ComplianceType=type_name, Items=list(items), **given)


def where(key, *values, how=None):
    """Filters of one."""
    return [{"Key": key, "Values": list(values), **({"Type": how} if how else {})}]


def test_the_example_of_the_aws_cli_is_taken_and_listed(aws, ssm):
    """No output where it succeeds; then the item, word for word."""
    fresh = aws.enrol()
    given = {"Id": "Version2.0", "Title": "ScanHost", "Severity": "CRITICAL", "Status": "COMPLIANT"}

    answer = put(ssm, fresh, given)

    del answer["ResponseMetadata"]
    assert answer == {}
    (found,) = ssm.list_compliance_items(ResourceIds=[fresh.instance_id], ResourceTypes=["ManagedInstance"])[
        "ComplianceItems"
    ]
    assert found == {
        "ComplianceType": AV,
        "ResourceType": "ManagedInstance",
        "ResourceId": fresh.instance_id,
        **given,
        "ExecutionSummary": {"ExecutionTime": THEN},
        "Details": {},
    }


def test_patches_are_listed_with_their_details(ssm, node):
    """Command, rules, state, classification and severity, and since when (spec §7.1)."""
    (command,) = {one["CommandId"] for one in ssm.list_command_invocations()["CommandInvocations"]}

    found = {one["Id"]: one for one in ssm.list_compliance_items(ResourceIds=[node.instance_id])["ComplianceItems"]}

    foo = found["foo.amd64"]
    baseline = foo["Details"].pop("PatchBaselineId")
    assert baseline.endswith(":patchbaseline/pb-09a5f8eb62bde80b1")
    state = ssm.describe_instance_patch_states(InstanceIds=[node.instance_id])["InstancePatchStates"][0]
    assert foo == {
        "ComplianceType": "Patch",
        "ResourceType": "ManagedInstance",
        "ResourceId": node.instance_id,
        "Id": "foo.amd64",
        "Title": "foo.amd64:1.0-1+deb12u1",
        "Status": "NON_COMPLIANT",
        "Severity": "UNSPECIFIED",
        "ExecutionSummary": {
            "ExecutionTime": state["OperationEndTime"],
            "ExecutionId": command,
            "ExecutionType": "Command",
        },
        "Details": {
            "DocumentName": "AWS-RunPatchBaseline",
            "DocumentVersion": foo["Details"]["DocumentVersion"],
            "PatchGroup": "web",
            "Classification": "Security",
            "PatchSeverity": "Optional",
            "PatchState": "Missing",
            "InstalledTime": "1970-01-01T00:00:00Z",
        },
    }
    plain = found["plain.amd64"]
    assert (plain["Status"], plain["Severity"], plain["Details"]["PatchState"]) == (
        "COMPLIANT",
        "UNSPECIFIED",
        "InstalledOther",
    )
    assert (plain["Details"]["Classification"], plain["Details"]["PatchSeverity"]) == ("", "")
    assert plain["Details"]["InstalledTime"] > "2026"


def test_summaries_by_type_count_nodes(aws, ssm, node):
    """Every counter is there; a compliant node is counted as unspecified, whatever its items are."""
    other = aws.enrol()
    put(ssm, other, item("a"), item("b"))
    put(ssm, node, item("a", "NON_COMPLIANT", "HIGH"), item("b", "NON_COMPLIANT", "LOW"), item("c"))

    found = ssm.list_compliance_summaries()["ComplianceSummaryItems"]

    assert found == [
        {
            "ComplianceType": AV,
            "CompliantSummary": {"CompliantCount": 1, "SeveritySummary": {**NONE, "UnspecifiedCount": 1}},
            "NonCompliantSummary": {"NonCompliantCount": 1, "SeveritySummary": {**NONE, "HighCount": 1}},
        },
        {
            "ComplianceType": "Patch",
            "CompliantSummary": {"CompliantCount": 0, "SeveritySummary": NONE},
            "NonCompliantSummary": {"NonCompliantCount": 1, "SeveritySummary": {**NONE, "UnspecifiedCount": 1}},
        },
    ]
    (only,) = ssm.list_compliance_summaries(Filters=where("ComplianceType", "Patch", how="EQUAL"))[
        "ComplianceSummaryItems"
    ]
    assert only == found[1]


def test_summaries_by_node_count_items(ssm, node):
    """Status, the worst severity that is not compliant, what brought it about, and both counts."""
    put(ssm, node, item("a", "NON_COMPLIANT", "HIGH"), item("b", "NON_COMPLIANT", "LOW"), item("c"))

    custom, patch = ssm.list_resource_compliance_summaries()["ResourceComplianceSummaryItems"]

    assert custom == {
        "ComplianceType": AV,
        "ResourceType": "ManagedInstance",
        "ResourceId": node.instance_id,
        "Status": "NON_COMPLIANT",
        "OverallSeverity": "HIGH",
        "ExecutionSummary": {"ExecutionTime": THEN},
        "CompliantSummary": {"CompliantCount": 1, "SeveritySummary": {**NONE, "CriticalCount": 1}},
        "NonCompliantSummary": {
            "NonCompliantCount": 2,
            "SeveritySummary": {**NONE, "HighCount": 1, "LowCount": 1},
        },
    }
    assert (patch["Status"], patch["ExecutionSummary"]["ExecutionType"]) == ("NON_COMPLIANT", "Command")
    assert (patch["CompliantSummary"]["CompliantCount"], patch["NonCompliantSummary"]["NonCompliantCount"]) == (1, 2)


def test_the_filters_of_the_aws_cli_s_examples(ssm, node):
    """By type and id, and by time; without a Type they ask for the same."""
    put(ssm, node, item("e4c2ed6d", "COMPLIANT"), item("8dfe3659", "COMPLIANT"), type_name="Association")

    def ids(*filters):
        asked = {"ResourceIds": [node.instance_id], "ResourceTypes": ["ManagedInstance"], "Filters": list(filters)}
        return [one["Id"] for one in ssm.list_compliance_items(**asked)["ComplianceItems"]]

    association = where("ComplianceType", "Association", how="EQUAL")
    assert ids(*association, *where("Id", "e4c2ed6d", how="EQUAL")) == ["e4c2ed6d"]
    assert ids(*association, *where("Id", "e4c2ed6d")) == ["e4c2ed6d"]
    assert ids(*where("ExecutionTime", "2019-02-18T16:00:00Z", how="GREATER_THAN")) == [
        "bar.amd64",
        "foo.amd64",
        "plain.amd64",
    ]
    assert ids(*where("ExecutionTime", "2019-02-18T16:00:01Z", how="LESS_THAN")) == ["8dfe3659", "e4c2ed6d"]


LISTINGS = ["list_compliance_items", "list_compliance_summaries", "list_resource_compliance_summaries"]


@pytest.mark.parametrize("operation", LISTINGS)
@pytest.mark.parametrize(
    "filters",
    [where("Colour", "red"), [{}], [{"Key": "ComplianceType"}], where("ExecutionTime", "yesterday")],
    ids=["unknown", "empty", "no values", "no time"],
)
def test_filters_that_are_none_are_refused(ssm, operation, filters):
    """InvalidFilter, also where there is nothing to list."""
    with pytest.raises(ssm.exceptions.InvalidFilter):
        getattr(ssm, operation)(Filters=filters)


@pytest.mark.parametrize("operation", LISTINGS)
def test_a_token_of_another_request_is_refused(aws, ssm, node, operation):
    """InvalidNextToken; it is good for its own request alone."""
    for name in ("a", "b"):
        put(ssm, node, item("x"), type_name=f"Custom:{name}x")
    listing = getattr(ssm, operation)
    token = listing(MaxResults=1)["NextToken"]

    listing(MaxResults=2, NextToken=token)
    for wrong in ({"NextToken": "nonsense"}, {"NextToken": token, "Filters": where("ComplianceType", "Patch")}):
        with pytest.raises(ssm.exceptions.InvalidNextToken):
            listing(**wrong)


def test_what_cannot_be_put_is_refused_as_modelled(aws, ssm, node):
    """And changes nothing."""
    put(ssm, node, item("before"))
    errors = ssm.exceptions

    def refused(error, *items, **more):
        with pytest.raises(error) as caught:
            put(ssm, node, *items, **more)
        return caught.value.response

    twice = refused(errors.InvalidItemContentException, item("a"), item("a"))
    assert (twice["TypeName"], "'a'" in twice["Error"]["Message"]) == (AV, True)
    refused(errors.InvalidItemContentException, item("a"), UploadType="PARTIAL")
    partial = refused(errors.InvalidItemContentException, item("a"), UploadType="PARTIAL", type_name="Association")
    assert "COMPLETE" in partial["Error"]["Message"]
    reserved = refused(errors.InvalidItemContentException, item("a"), type_name="Inventory")
    assert "TypeName" not in reserved
    refused(errors.InvalidItemContentException, ItemContentHash="another")
    large = refused(
        errors.ItemSizeLimitExceededException, item("a", Details={f"k{number}": "x" * 4096 for number in range(9)})
    )
    assert large["TypeName"] == AV
    half = {"note": "x" * 4096}
    refused(errors.TotalSizeLimitExceededException, *(item(f"{n}", Details=half) for n in range(600)))
    refused(errors.InvalidResourceType, item("a"), ResourceType="Bucket")
    with pytest.raises(errors.InvalidResourceId):
        ssm.put_compliance_items(
            ResourceId=UNKNOWN,
            ResourceType="ManagedInstance",
            ComplianceType=AV,
            ExecutionSummary={"ExecutionTime": THEN},
            Items=[],
        )
    for type_name in ("AWS:Something", "Custom:", "Custom:a b", "ä"):
        with pytest.raises(ClientError, match="ValidationException"):
            put(ssm, node, item("a"), type_name=type_name)
    found = ssm.list_compliance_items(Filters=where("ComplianceType", "Patch", how="NOT_EQUAL"))["ComplianceItems"]
    assert [one["Id"] for one in found] == ["before"]


def test_ten_thousand_items_at_once(aws, ssm, node):
    """As many as the model lets one put; one more is refused by it."""
    items = [{"Id": f"check-{number:05}", "Severity": "LOW", "Status": "COMPLIANT"} for number in range(10_000)]

    put(ssm, node, *items)

    (summary,) = ssm.list_resource_compliance_summaries(Filters=where("ComplianceType", AV))[
        "ResourceComplianceSummaryItems"
    ]
    assert summary["CompliantSummary"]["CompliantCount"] == 10_000
    with pytest.raises(ClientError, match="ValidationException"):
        put(ssm, node, *items, item("one-more"))


def test_ten_custom_types(ssm, node):
    """The eleventh is refused (spec §1.20)."""
    for number in range(10):
        put(ssm, node, item("a"), type_name=f"Custom:type{number}")

    with pytest.raises(ssm.exceptions.ComplianceTypeCountLimitExceededException):
        put(ssm, node, item("a"))
    put(ssm, node, item("b"), type_name="Custom:type3")


def test_resources_that_are_none_are_refused(ssm, node):
    """In lists as well."""
    with pytest.raises(ssm.exceptions.InvalidResourceType):
        ssm.list_compliance_items(ResourceTypes=["ManagedInstance", "Bucket"])
    for unknown in (UNKNOWN, "nonsense"):
        with pytest.raises(ssm.exceptions.InvalidResourceId):
            ssm.list_compliance_items(ResourceIds=[unknown])
    with pytest.raises(ClientError, match="ValidationException"):
        ssm.list_compliance_items(ResourceIds=[f"mi-{number:017x}" for number in range(51)])


def test_a_node_speaks_of_itself_alone(aws, node):
    """AccessDeniedException for another's; its own is taken."""
    other = aws.enrol()
    body = {
        "ResourceType": "ManagedInstance",
        "ComplianceType": AV,
        "ExecutionSummary": {"ExecutionTime": 1550505600},
        "Items": [item("a")],
    }

    aws.run(aws.house.ask("AmazonSSM.PutComplianceItems", {**body, "ResourceId": node.instance_id}, key=node))
    code = aws.run(aws.house.code("AmazonSSM.PutComplianceItems", {**body, "ResourceId": other.instance_id}, key=node))

    assert code == "AccessDeniedException"
    assert aws.run(aws.house.code("AmazonSSM.ListComplianceItems", {}, key=node)) == "AccessDeniedException"


def test_every_page_of_every_paginator(aws, ssm):
    """Every item once and in the same order, whatever the size of a page."""
    nodes = [aws.enrol() for _ in range(3)]
    for one in nodes:
        aws.run(aws.house.scan(one, debian([f"package-{number:03} 1" for number in range(21)])))
        put(ssm, one, item("a"), item("b", "NON_COMPLIANT"))
    members = dict(
        zip(LISTINGS, ["ComplianceItems", "ComplianceSummaryItems", "ResourceComplianceSummaryItems"], strict=True)
    )
    counts = {"list_compliance_items": 69, "list_compliance_summaries": 2, "list_resource_compliance_summaries": 6}

    for operation, member in members.items():
        whole = None
        for size in (1, 7, 50):
            pages = ssm.get_paginator(operation).paginate(PaginationConfig={"PageSize": size})
            found = [json.dumps(one, default=str) for page in pages for one in page[member]]
            assert len(set(found)) == len(found) == counts[operation]
            whole = whole or found
            assert found == whole


def test_neighbours_see_nothing(aws, node, ssm):
    """Of another region of the account."""
    put(ssm, node, item("a"))
    elsewhere = Account(aws.server, new_region()).client()

    assert elsewhere.list_compliance_items()["ComplianceItems"] == []
    assert elsewhere.list_compliance_summaries()["ComplianceSummaryItems"] == []
    assert elsewhere.list_resource_compliance_summaries()["ResourceComplianceSummaryItems"] == []
    with pytest.raises(elsewhere.exceptions.InvalidResourceId):
        put(elsewhere, node, item("a"))


def test_a_deregistered_node_leaves_the_listings(aws, ssm, node):
    """With everything that was put of it; to ask for it by name is refused."""
    put(ssm, node, item("a"))

    ssm.deregister_managed_instance(InstanceId=node.instance_id)

    assert ssm.list_compliance_items()["ComplianceItems"] == []
    assert ssm.list_compliance_summaries()["ComplianceSummaryItems"] == []
    assert ssm.list_resource_compliance_summaries()["ResourceComplianceSummaryItems"] == []
    for refused in (
        lambda: ssm.list_compliance_items(ResourceIds=[node.instance_id]),
        lambda: put(ssm, node, item("a")),
    ):
        with pytest.raises(ssm.exceptions.InvalidResourceId):
            refused()


def test_hostile_text_is_kept_as_it_is(ssm, node):
    """Quotes, wildcards, other scripts, what looks like SQL."""
    names = ["'; DROP TABLE compliance; --", "%", "_", "!", "\u202e\U0001f98a", "a\nb", '"', "\\"]
    put(ssm, node, *(item(name, Details={name[:64]: name}) for name in names))

    for name in names:
        (found,) = ssm.list_compliance_items(Filters=where("Id", name, how="BEGIN_WITH"))["ComplianceItems"]
        assert (found["Id"], found["Details"]) == (name, {name: name})


@pytest.mark.parametrize("how", ["its reply", "the sweeper"])
async def test_an_install_whose_command_ends_while_it_restarts_counts(house, how):
    """What it had reported is what is known, whoever ends the command."""
    made = await house.enrol()
    command = (await house.send(made, operation="Install", Parameters={"RebootOption": ["RebootIfNeeded"]}))[
        "CommandId"
    ]
    await house.messages(made)
    operation = await house.begin(made, command)
    directive = await house.put_facts(made, operation, OUTDATED)
    actions = [[*wanted, True] for wanted in directive["Intent"]["Wanted"]]
    resolution = {"Actions": actions, "Unresolved": {}}
    request = {"OperationId": operation, "Attempt": 0, "Resolution": resolution}
    await house.ask("Patchwright.PutResolution", request, key=made)
    after = await house.put_facts(made, operation, PATCHED, phase=Phase.AFTER, acted_boot_id="boot-1")
    assert after["Next"] == "reboot"
    assert (await house.ask("AmazonSSM.ListComplianceItems", {}))["ComplianceItems"] == []

    if how == "its reply":
        await house.reply(made, command, "Failed")
    else:
        house.clock.time += 10**6
        await sweep(house.wired.database, house.clock)

    (found,) = (await house.ask("AmazonSSM.ListResourceComplianceSummaries", {}))["ResourceComplianceSummaryItems"]
    assert (found["Status"], found["ExecutionSummary"]["ExecutionId"]) == ("NON_COMPLIANT", command)
