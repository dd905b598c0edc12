# SPDX-License-Identifier: Apache-2.0
"""Everything wrong with a request is told at once, in AWS's words."""

from __future__ import annotations

import json

import pytest

from patchwright.server.wire import ApiError
from server.wire.client import MODELS


def refusal(target: str, request: dict) -> str:
    with pytest.raises(ApiError) as refused:
        MODELS.operation(target).parse(json.dumps(request).encode())
    assert (refused.value.code, refused.value.status) == ("ValidationException", 400)
    return refused.value.message


def test_every_violation_is_told_with_value_path_and_constraint():
    """One message: how many, and for each the value, where it stands and what it had to be."""
    message = refusal("AmazonSSM.CreatePatchBaseline", {"Name": "x", "ApprovedPatchesComplianceLevel": "HUGE"})

    assert message == (
        "3 validation errors detected: "
        "Value 'x' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 3; "
        "Value 'x' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9_\\-.]{3,128}$; "
        "Value 'HUGE' at 'approvedPatchesComplianceLevel' failed to satisfy constraint: "
        "Member must satisfy enum value set: [CRITICAL, HIGH, MEDIUM, LOW, INFORMATIONAL, UNSPECIFIED]"
    )


@pytest.mark.parametrize("request_", [{}, {"BaselineId": None}])
def test_a_missing_member_is_null(request_):
    """Absent and null are the same."""
    assert refusal("AmazonSSM.GetPatchBaseline", request_) == (
        "1 validation error detected: Value null at 'baselineId' failed to satisfy constraint: Member must not be null"
    )


def test_paths_lead_through_lists():
    """Positions count from one; every member's first letter is lower."""
    filters = {"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}, {"Key": "NOPE", "Values": ["*"]}]}
    rules = [{"PatchFilterGroup": {"PatchFilters": []}}, {"PatchFilterGroup": filters, "ApproveAfterDays": 361}]

    message = refusal("AmazonSSM.CreatePatchBaseline", {"Name": "web", "ApprovalRules": {"PatchRules": rules}})

    assert message.startswith("2 validation errors detected: Value 'NOPE' at ")
    assert "'approvalRules.patchRules.2.member.patchFilterGroup.patchFilters.2.member.key'" in message
    assert (
        "Value '361' at 'approvalRules.patchRules.2.member.approveAfterDays' failed to satisfy constraint: "
        "Member must have value less than or equal to 360"
    ) in message


def test_simple_elements_are_told_once_per_list():
    """With the whole list, and everything an element has to be."""
    assert refusal("AmazonSSM.CreatePatchBaseline", {"Name": "web", "RejectedPatches": ["ok", "", ""]}) == (
        "1 validation error detected: Value '[ok, , ]' at 'rejectedPatches' failed to satisfy constraint: Member must satisfy "
        "constraint: [Member must have length less than or equal to 100, Member must have length greater than or equal to 1]"
    )


def test_a_null_element_is_told_with_its_position():
    """Lists have no holes."""
    assert "Value null at 'rejectedPatches.2.member'" in refusal(
        "AmazonSSM.CreatePatchBaseline", {"Name": "web", "RejectedPatches": ["ok", None]}
    )


def test_keys_and_values_of_maps_are_told_once():
    """A map's keys have constraints of their own."""
    message = refusal("AmazonSSM.PutInventory", {"InstanceId": "i-01234567", "Items": [{
        "TypeName": "AWS:Application", "SchemaVersion": "1.0", "CaptureTime": "2026-11-20T04:00:00Z",
        "Content": [{"": "v" * 5000}],
    }]})  # fmt: skip

    assert (
        "at 'items.1.member.content.1.member' failed to satisfy constraint: Map keys must satisfy constraint: ["
        in message
    )
    assert "Map value must satisfy constraint: [Member must have length less than or equal to 4096" in message


def test_a_union_takes_exactly_one_member():
    """None and two are both refused; msgspec cannot see it, so such operations are always walked."""
    target = "AmazonSSM.StartExecutionPreview"
    both = {"Automation": {}, "Other": {}}

    assert MODELS.operation(target).parse(b'{"DocumentName":"doc","ExecutionInputs":{"Automation":{}}}')
    assert "exactly one member set" in refusal(target, {"DocumentName": "doc", "ExecutionInputs": {}})
    assert MODELS.operation(target).parse(json.dumps({"DocumentName": "doc", "ExecutionInputs": both}).encode())


def test_values_marked_sensitive_are_not_repeated():
    """Neither by themselves nor as part of something larger."""
    message = refusal(
        "AmazonSSM.RegisterManagedInstance",
        {"ActivationId": "x", "ActivationCode": "hush-hush", "Fingerprint": "f", "PublicKey": "k"},
    )
    parameters = refusal(
        "AmazonSSM.SendCommand",
        {"DocumentName": "doc", "Parameters": {"Password": [None, "hush-hush"]}, "MaxErrors": "x"},
    )
    sources = [{"Name": "s", "Products": ["*"], "Configuration": "hush-hush"}] * 25
    baseline = refusal("AmazonSSM.CreatePatchBaseline", {"Name": "web", "Sources": sources})

    assert "Value at 'activationCode' failed" in message
    assert "Value at 'sources' failed" in baseline
    for told in (message, parameters, baseline):
        assert "hush" not in told


def test_what_is_repeated_is_short():
    """Neither a long value nor a flood of violations make a long answer; the count stays true."""
    long = refusal("AmazonSSM.CreatePatchBaseline", {"Name": "x" * 100_000})
    many = refusal("AmazonSSM.CreatePatchBaseline", {"Name": "web", "Tags": [{}] * 60_000})

    assert len(long) < 1_000
    assert many.startswith("120001 validation errors detected: ")
    assert len(many) < 20_000


def test_the_character_nul_is_refused():
    """No database keeps it in text; the escaped backslash before a u is no NUL."""
    operation = MODELS.operation("AmazonSSM.CreatePatchBaseline")

    assert "U+0000" in refusal("AmazonSSM.CreatePatchBaseline", {"Name": "web", "Description": "a\0b"})
    assert "U+0000" in refusal("AmazonSSM.CreatePatchBaseline", {"Name": "web", "RejectedPatches": ["a\0b"]})
    assert operation.parse(b'{"Name":"web","Description":"a\\\\u0000b"}')["Description"] == "a\\u0000b"


@pytest.mark.parametrize(
    ("target", "request_"),
    [
        ("AmazonSSM.GetPatchBaseline", {"BaselineId": "pb-0123456789abcdef0\n"}),
        ("AmazonSSM.CreatePatchBaseline", {"Name": "wéb"}),
        ("AmazonSSM.CreatePatchBaseline", {"Name": "٣٣٣"}),
        ("AmazonSSM.DescribeInstancePatches", {"InstanceId": "mi-0123456789abcdef0 or more"}),
        (
            "AmazonSSM.AddTagsToResource",
            {"ResourceType": "PatchBaseline", "ResourceId": "pb-1", "Tags": [{"Key": "a\nb", "Value": ""}]},
        ),
        (
            "AmazonSSM.AddTagsToResource",
            {"ResourceType": "PatchBaseline", "ResourceId": "pb-1", "Tags": [{"Key": "a#b", "Value": ""}]},
        ),
    ],
)
def test_patterns_match_whole_values(target, request_):
    """A newline at the end, letters of other alphabets and trailing text do not slip through."""
    assert "regular expression pattern" in refusal(target, request_)
