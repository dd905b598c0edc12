# SPDX-License-Identifier: Apache-2.0
"""Documents through boto3: lists, permissions, reviews (spec §1.6, §6.1)."""

from __future__ import annotations

import pytest

from patchwright.server.documents import owned
from server.aws.test_documents import CALENDAR, changed, create, refusal

OWNED = sorted(owned.NAMES)
ON_WINDOWS = [name for name in OWNED if "Windows" in owned.found(name).version.reading.platform_types]
SELF = {"Key": "Owner", "Values": ["Self"]}
SHARE = {"Name": "Nightly", "PermissionType": "Share"}


def names(ssm, *filters, **arguments):
    """Names that ListDocuments shows, over all its pages."""
    given = {"Filters": list(filters)} if filters else {}
    pages = ssm.get_paginator("list_documents").paginate(**given, **arguments)
    return [one["Name"] for page in pages for one in page["DocumentIdentifiers"]]


# ------------------------------------------------------------------------------------------------------------- listing


def test_a_listing_shows_who_owns_what(aws, ssm):
    """The product's documents, then one's own; each as AWS describes it."""
    create(ssm, Tags=[{"Key": "a", "Value": "1"}], DisplayName="Ours", VersionName="v1", TargetType="/")

    product, *_, own = ssm.list_documents()["DocumentIdentifiers"]

    assert own.pop("CreatedDate")
    assert own == {
        "Name": "Nightly",
        "DisplayName": "Ours",
        "VersionName": "v1",
        "Owner": aws.house.account,
        "Author": f"arn:aws:iam::{aws.house.account}:root",
        "PlatformTypes": ["Linux"],
        "DocumentVersion": "1",
        "DocumentType": "Command",
        "SchemaVersion": "2.2",
        "DocumentFormat": "JSON",
        "TargetType": "/",
        "Tags": [{"Key": "a", "Value": "1"}],
        "ReviewStatus": "NOT_REVIEWED",
    }
    assert (product["Name"], product["Owner"], product["Tags"]) == (OWNED[0], "Amazon", [])


def test_every_filter_narrows_in_both_its_forms(ssm):
    """Conditions are ANDed, values ORed; names by how they begin (spec §6.1)."""
    create(ssm, "web-nightly", Tags=[{"Key": "team", "Value": "web"}], TargetType="/AWS::EC2::Instance")
    create(ssm, "web-freeze", CALENDAR, DocumentType="ChangeCalendar", DocumentFormat="TEXT")
    session = '{"schemaVersion": "1.0", "sessionType": "Port"}'
    create(ssm, "db-port", session, DocumentType="Session", Tags=[{"Key": "team", "Value": "db"}])

    for key, values, expected in (
        ("Owner", ["Self"], ["db-port", "web-freeze", "web-nightly"]),
        ("Owner", ["Amazon"], OWNED),
        ("Owner", ["Private"], []),
        ("Owner", ["ThirdParty"], []),
        ("Name", ["web-", "AWS"], [*OWNED, "web-freeze", "web-nightly"]),
        ("Name", ["nightly"], []),
        ("DocumentType", ["ChangeCalendar", "Session"], ["db-port", "web-freeze"]),
        ("PlatformTypes", ["Windows"], [*ON_WINDOWS, "db-port"]),
        ("PlatformTypes", ["Linux"], [*OWNED, "db-port", "web-nightly"]),
        ("TargetType", ["/AWS::EC2::Instance"], ["web-nightly"]),
        ("SearchKeyword", ["NIGHT", "DB-p"], ["db-port", "web-nightly"]),
        ("tag:team", ["web", "ops"], ["web-nightly"]),
        ("tag:team", [], ["db-port", "web-nightly"]),
        ("tag:Team", ["web"], []),
    ):
        assert names(ssm, {"Key": key, "Values": values}) == expected, key
        if key in {"Owner", "Name", "PlatformTypes", "DocumentType"} and len(values) == 1:
            assert names(ssm, DocumentFilterList=[{"key": key, "value": values[0]}]) == expected, key
    assert names(ssm, SELF, {"Key": "Name", "Values": ["web"]}, {"Key": "tag:team", "Values": ["web"]}) == [
        "web-nightly"
    ]
    assert names(ssm, SELF, {"Key": "Owner", "Values": ["Amazon"]}) == []
    both = [{"key": "Owner", "value": "Self"}, {"key": "DocumentType", "value": "Session"}]
    assert names(ssm, DocumentFilterList=both) == ["db-port"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"Filters": [{"Key": "Colour", "Values": ["red"]}]}, "InvalidFilterKey"),
        ({"Filters": [{"Key": "tag:", "Values": ["red"]}]}, "InvalidFilterKey"),
        ({"Filters": [{"Values": ["red"]}]}, "InvalidFilterKey"),
        ({"Filters": [{"Key": "Name"}]}, "ValidationException"),
        ({"Filters": [{"Key": "Owner", "Values": ["Me"]}]}, "ValidationException"),
        ({"Filters": [{"Key": "Owner", "Values": ["Self", "Amazon"]}]}, "ValidationException"),
        ({"Filters": [SELF] * 7}, "ValidationException"),
        ({"Filters": [SELF], "DocumentFilterList": [{"key": "Owner", "value": "Self"}]}, "ValidationException"),
        ({"DocumentFilterList": [{"key": "TargetType", "value": "/"}]}, "ValidationException"),
        ({"DocumentFilterList": [{"key": "Owner", "value": "Me"}]}, "ValidationException"),
        ({"MaxResults": 51}, "ValidationException"),
        ({"NextToken": "AAAA"}, "InvalidNextToken"),
    ],
)
def test_a_filter_that_is_none_is_refused(ssm, arguments, code):
    """Whatever there is to filter."""
    assert refusal(ssm.list_documents, **arguments)[0] == code


def test_pages_of_every_size_show_every_document_once(ssm):
    """A token is good for its own request only."""
    own = [f"doc-{number:02}" for number in range(5)]
    for name in own:
        create(ssm, name)

    for size in (1, 2, 5, 6, 50):
        assert names(ssm, PaginationConfig={"PageSize": size}) == [*OWNED, *own]
    assert "NextToken" not in ssm.list_documents(MaxResults=len(OWNED) + 5)
    token = ssm.list_documents(MaxResults=len(OWNED) + 1)["NextToken"]
    assert refusal(ssm.list_documents, NextToken=token, Filters=[SELF])[0] == "InvalidNextToken"
    assert refusal(ssm.list_document_versions, Name="doc-00", NextToken=token)[0] == "InvalidNextToken"
    ssm.delete_document(Name="doc-01")
    page = ssm.list_documents(MaxResults=2, NextToken=token)["DocumentIdentifiers"]
    assert [one["Name"] for one in page] == ["doc-02", "doc-03"]


def test_versions_are_listed_newest_first(ssm):
    """With the one that is the default."""
    create(ssm, VersionName="one", DisplayName="First")
    for number in (2, 3):
        ssm.update_document(Name="Nightly", Content=changed(number))
    ssm.update_document_default_version(Name="Nightly", DocumentVersion="2")

    pages = ssm.get_paginator("list_document_versions")
    for size in (1, 2, 3, 50):
        found = [
            one
            for page in pages.paginate(Name="Nightly", PaginationConfig={"PageSize": size})
            for one in page["DocumentVersions"]
        ]
        assert [(one["DocumentVersion"], one["IsDefaultVersion"]) for one in found] == [
            ("3", False),
            ("2", True),
            ("1", False),
        ]
    first = found[-1]
    assert first.pop("CreatedDate")
    assert first == {
        "Name": "Nightly",
        "DocumentVersion": "1",
        "VersionName": "one",
        "DisplayName": "First",
        "IsDefaultVersion": False,
        "DocumentFormat": "JSON",
        "Status": "Active",
        "ReviewStatus": "NOT_REVIEWED",
    }
    (one,) = ssm.list_document_versions(Name=OWNED[0])["DocumentVersions"]
    assert (one["Name"], one["IsDefaultVersion"]) == (OWNED[0], True)
    assert refusal(ssm.list_document_versions, Name="Other")[0] == "InvalidDocument"


# --------------------------------------------------------------------------------------------------------- permissions


def test_permissions_are_given_listed_and_taken(ssm):
    """Removing wins; a shared document cannot be deleted (spec §6.1)."""
    create(ssm)
    assert ssm.describe_document_permission(**SHARE)["AccountIds"] == []
    ssm.modify_document_permission(**SHARE, AccountIdsToAdd=["111111111111", "222222222222"])
    ssm.modify_document_permission(**SHARE, AccountIdsToAdd=["All"])
    ssm.modify_document_permission(
        **SHARE,
        AccountIdsToAdd=["111111111111", "333333333333"],
        AccountIdsToRemove=["222222222222", "333333333333"],
        SharedDocumentVersion="$ALL",
    )

    found = ssm.describe_document_permission(**SHARE)
    assert found["AccountIds"] == ["111111111111", "all"]
    assert found["AccountSharingInfoList"] == [
        {"AccountId": "111111111111", "SharedDocumentVersion": "$ALL"},
        {"AccountId": "all", "SharedDocumentVersion": "$DEFAULT"},
    ]
    first = ssm.describe_document_permission(**SHARE, MaxResults=1)
    rest = ssm.describe_document_permission(**SHARE, MaxResults=1, NextToken=first["NextToken"])
    assert (first["AccountIds"], rest["AccountIds"], "NextToken" in rest) == (["111111111111"], ["all"], False)
    assert names(ssm, {"Key": "Owner", "Values": ["Public"]}).count("Nightly") == 1
    code, message = refusal(ssm.delete_document, Name="Nightly")
    assert (code, message) == ("InvalidDocumentOperation", "Must unshare document first before delete.")
    ssm.modify_document_permission(**SHARE, AccountIdsToRemove=["all"])
    ssm.modify_document_permission(**SHARE, AccountIdsToRemove=["111111111111"])
    ssm.delete_document(Name="Nightly")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"Name": "Other", "AccountIdsToAdd": ["all"]}, "InvalidDocument"),
        ({}, "ValidationException"),
        ({"AccountIdsToAdd": []}, "ValidationException"),
        ({"AccountIdsToAdd": ["everybody"]}, "ValidationException"),
        ({"AccountIdsToAdd": ["all", "111111111111"]}, "DocumentPermissionLimit"),
        ({"AccountIdsToRemove": ["111111111111", "All"]}, "DocumentPermissionLimit"),
        ({"AccountIdsToAdd": ["1" * 12] * 21}, "ValidationException"),
        ({"AccountIdsToAdd": ["all"], "SharedDocumentVersion": "2"}, "ValidationException"),
        ({"AccountIdsToAdd": ["all"], "SharedDocumentVersion": "x$ALLx"}, "ValidationException"),
        ({"AccountIdsToAdd": ["all"], "PermissionType": "Sell"}, "ValidationException"),
    ],
)
def test_a_permission_that_is_none_is_refused(ssm, arguments, code):
    """And nothing is shared."""
    create(ssm)

    assert refusal(ssm.modify_document_permission, **{**SHARE, **arguments})[0] == code
    assert ssm.describe_document_permission(**SHARE)["AccountSharingInfoList"] == []


def test_permissions_of_what_is_not_there_are_refused(ssm):
    """InvalidDocument; of kinds the model knows one."""
    create(ssm)

    assert refusal(ssm.describe_document_permission, **{**SHARE, "Name": "Other"})[0] == "InvalidDocument"
    assert refusal(ssm.describe_document_permission, **SHARE, NextToken="AAAA")[0] == "InvalidNextToken"
    code, _ = refusal(ssm.describe_document_permission, **{**SHARE, "PermissionType": "Sell"})
    assert code == "ValidationException"


def test_five_documents_are_public_at_most(ssm):
    """DocumentPermissionLimit (spec §1.20)."""
    for number in range(6):
        create(ssm, f"doc-{number}")
    for number in range(5):
        ssm.modify_document_permission(Name=f"doc-{number}", PermissionType="Share", AccountIdsToAdd=["all"])

    with pytest.raises(ssm.exceptions.DocumentPermissionLimit):
        ssm.modify_document_permission(Name="doc-5", PermissionType="Share", AccountIdsToAdd=["all"])
    assert ssm.describe_document_permission(Name="doc-5", PermissionType="Share")["AccountIds"] == []


# ------------------------------------------------------------------------------------------------------------- reviews


def test_a_version_is_reviewed(aws, ssm):
    """Sent, reworded, approved; its history tells (UpdateDocumentMetadata)."""
    create(ssm)

    def step(action, comment="", **more):
        comments = [{"Type": "Comment", "Content": comment}] if comment else []
        ssm.update_document_metadata(Name="Nightly", DocumentReviews={"Action": action, "Comment": comments}, **more)

    step("SendForReview", "please look")
    document = ssm.describe_document(Name="Nightly")["Document"]
    assert (document["ReviewStatus"], document["PendingReviewVersion"]) == ("PENDING", "1")
    step("UpdateReview", "please look again")
    step("Approve", DocumentVersion="1")

    document = ssm.describe_document(Name="Nightly")["Document"]
    assert (document["ReviewStatus"], document["ApprovedVersion"]) == ("APPROVED", "1")
    assert "PendingReviewVersion" not in document
    assert [one["Status"] for one in document["ReviewInformation"]] == ["APPROVED", "PENDING"]
    asked = {"Name": "Nightly", "Metadata": "DocumentReviews"}
    history = ssm.list_document_metadata_history(**asked)
    assert (history["Name"], history["DocumentVersion"]) == ("Nightly", "1")
    assert history["Author"] == f"arn:aws:iam::{aws.house.account}:root"
    approved, sent = history["Metadata"]["ReviewerResponse"]
    assert (approved["ReviewStatus"], approved["Comment"], approved["Reviewer"]) == ("APPROVED", [], "root")
    assert (sent["ReviewStatus"], sent["Comment"][0]["Content"]) == ("PENDING", "please look again")
    assert sent["UpdatedTime"] > sent["CreateTime"]
    first = ssm.list_document_metadata_history(**asked, MaxResults=1)
    rest = ssm.list_document_metadata_history(**asked, MaxResults=1, NextToken=first["NextToken"])
    assert rest["Metadata"]["ReviewerResponse"] == [sent]
    assert "NextToken" not in rest
    assert ssm.get_document(Name="Nightly")["ReviewStatus"] == "APPROVED"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"Name": "Other"}, "InvalidDocument"),
        ({"DocumentVersion": "2"}, "InvalidDocumentVersion"),
        ({"DocumentReviews": {"Action": "Approve"}}, "InvalidDocumentOperation"),
        ({"DocumentReviews": {"Action": "Applaud"}}, "ValidationException"),
        ({"DocumentReviews": {"Action": "Approve", "Comment": [{"Content": " "}]}}, "ValidationException"),
    ],
)
def test_a_review_that_cannot_be_is_refused(ssm, arguments, code):
    """And nothing is noted."""
    create(ssm)
    given = {"Name": "Nightly", "DocumentReviews": {"Action": "SendForReview"}, **arguments}

    assert refusal(ssm.update_document_metadata, **given)[0] == code
    history = ssm.list_document_metadata_history(Name="Nightly", Metadata="DocumentReviews")
    assert history["Metadata"]["ReviewerResponse"] == []


def test_a_history_that_is_none_is_refused(ssm):
    """InvalidDocument, InvalidDocumentVersion, InvalidNextToken."""
    create(ssm)
    asked = {"Name": "Nightly", "Metadata": "DocumentReviews"}
    call = ssm.list_document_metadata_history

    for name in ("Other", "AWS-RunPatchBaseline"):  # the latter is not reviewed here
        assert refusal(call, **{**asked, "Name": name})[0] == "InvalidDocument"
    assert refusal(call, **asked, DocumentVersion="2")[0] == "InvalidDocumentVersion"
    assert refusal(call, **asked, NextToken="AAAA")[0] == "InvalidNextToken"
    assert refusal(call, **{**asked, "Metadata": "Gossip"})[0] == "ValidationException"
