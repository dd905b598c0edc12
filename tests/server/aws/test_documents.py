# SPDX-License-Identifier: Apache-2.0
"""Documents through boto3: made, read, changed, removed (spec §1.6, §5.9, §6.1)."""

from __future__ import annotations

import hashlib
import json

import pytest
import yaml
from botocore.exceptions import ClientError

STEP = {"name": "patch", "action": "patchwright:patch", "inputs": {"Operation": "{{ Operation }}"}}
CONTENT = {
    "schemaVersion": "2.2",
    "description": "Scan as we do",
    "parameters": {
        "Operation": {"type": "String", "description": "What", "allowedValues": ["Scan", "Install"], "default": "Scan"},
        "Names": {"type": "StringList", "default": ["a", "b"]},
        "Force": {"type": "Boolean", "default": False},
        "Group": {"type": "String"},
    },
    "mainSteps": [STEP],
}
JSON = json.dumps(CONTENT)
CALENDAR = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nX-CALENDAR-TYPE:DEFAULT_OPEN\r\nEND:VCALENDAR\r\n"


def create(ssm, name="Nightly", content=JSON, **members):
    """A new document; returns its description."""
    return ssm.create_document(Name=name, Content=content, **members)["DocumentDescription"]


def changed(number):
    """Another content."""
    return json.dumps({**CONTENT, "description": f"Change {number}"})


def refusal(call, **arguments):
    """The error code and message of a refused call."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    error = refused.value.response["Error"]
    return error["Code"], error.get("Message", "")


# ------------------------------------------------------------------------------------------------------------ creating


def test_a_new_document_is_described_from_its_content(aws, ssm):
    """Hash, parameters, platforms, schema version (spec §6.1)."""
    made = create(ssm, Tags=[{"Key": "team", "Value": "web"}], DisplayName="Nightly scan", VersionName="first")

    created_at = made.pop("CreatedDate")
    assert made == {
        "Sha1": hashlib.sha1(JSON.encode(), usedforsecurity=False).hexdigest(),
        "Hash": hashlib.sha256(JSON.encode()).hexdigest(),
        "HashType": "Sha256",
        "Name": "Nightly",
        "DisplayName": "Nightly scan",
        "VersionName": "first",
        "Owner": aws.house.account,
        "Author": f"arn:aws:iam::{aws.house.account}:root",
        "Status": "Active",
        "DocumentVersion": "1",
        "Description": "Scan as we do",
        "Parameters": [
            {"Name": "Operation", "Type": "String", "Description": "What", "DefaultValue": "Scan"},
            {"Name": "Names", "Type": "StringList", "DefaultValue": '["a", "b"]'},
            {"Name": "Force", "Type": "Boolean", "DefaultValue": "false"},
            {"Name": "Group", "Type": "String"},
        ],
        "PlatformTypes": ["Linux"],
        "DocumentType": "Command",
        "SchemaVersion": "2.2",
        "LatestVersion": "1",
        "DefaultVersion": "1",
        "DocumentFormat": "JSON",
        "ReviewStatus": "NOT_REVIEWED",
        "Tags": [{"Key": "team", "Value": "web"}],
    }
    described = ssm.describe_document(Name="Nightly")["Document"]
    assert described == {**made, "CreatedDate": created_at}


def test_little_is_needed_and_nothing_made_up_is_shown(ssm):
    """No description, parameters, names, tags."""
    made = create(ssm, content=json.dumps({"schemaVersion": "2.2", "mainSteps": [STEP]}))

    assert (made["Parameters"], made["Tags"]) == ([], [])
    absent = {"Description", "DisplayName", "VersionName", "TargetType", "Requires", "AttachmentsInformation"}
    assert not absent & set(made)


def test_everything_given_is_echoed(ssm):
    """Requires, target type, attachments by name."""
    requires = [{"Name": "Schema", "Version": "1"}]
    made = create(
        ssm,
        content='{"any": "thing"}',
        DocumentType="ApplicationConfiguration",
        Requires=requires,
        TargetType="/AWS::EC2::Instance",
        Attachments=[{"Key": "S3FileUrl", "Values": ["s3://bucket/file.py"], "Name": "file.py"}],
    )

    assert (made["Requires"], made["TargetType"]) == (requires, "/AWS::EC2::Instance")
    assert made["AttachmentsInformation"] == [{"Name": "file.py"}]
    found = ssm.get_document(Name="Nightly")
    assert (found["Requires"], "AttachmentsContent" in found) == (requires, False)
    assert "SchemaVersion" not in made


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        ({"Content": "{"}, "InvalidDocumentContent", "line 1"),
        ({"Content": "a: 1"}, "InvalidDocumentContent", "JSON"),
        ({"Content": "a: [", "DocumentFormat": "YAML"}, "InvalidDocumentContent", "line 1"),
        ({"Content": "{}"}, "InvalidDocumentContent", "schemaVersion"),
        ({"DocumentFormat": "TEXT"}, "InvalidDocumentContent", "TEXT"),
        ({"DocumentType": "ChangeCalendar", "Content": CALENDAR}, "InvalidDocumentContent", "TEXT"),
        ({"DocumentType": "Automation"}, "InvalidDocumentSchemaVersion", "0.3"),
        ({"Content": '{"schemaVersion": "9.9"}'}, "InvalidDocumentSchemaVersion", "2.2"),
        ({"Content": JSON + " " * 65_536}, "MaxDocumentSizeExceeded", "65536"),
        ({"Name": "aws-nightly"}, "ValidationException", "reserved"),
        ({"Name": "AMAZON"}, "ValidationException", "reserved"),
        ({"Name": "no"}, "ValidationException", "name"),
        ({"Name": "not a name"}, "ValidationException", "name"),
        ({"Content": ""}, "ValidationException", "content"),
        ({"DocumentType": "Novel"}, "ValidationException", "documentType"),
        ({"DocumentFormat": "XML"}, "ValidationException", "documentFormat"),
        ({"VersionName": "not a name"}, "ValidationException", "versionName"),
        ({"TargetType": "AWS::EC2::Instance"}, "ValidationException", "targetType"),
        ({"Attachments": [{"Key": "S3FileUrl"}]}, "ValidationException", "Values"),
        ({"Attachments": [{"Key": "SourceUrl", "Values": ["/etc"]}]}, "InvalidDocumentContent", "bucket"),
        ({"Tags": [{"Key": "a", "Value": "1"}] * 2}, "ValidationException", "twice"),
        ({"Tags": [{"Key": "aws:a", "Value": "1"}]}, "ValidationException", "aws:"),
    ],
    ids=range(22),
)
def test_what_is_no_document_is_refused(ssm, arguments, code, part):
    """With the code AWS has for it and words that help; and nothing is made."""
    found, message = refusal(ssm.create_document, **{"Name": "Nightly", "Content": JSON, **arguments})

    assert found == code
    assert part in message
    own = [{"Key": "Owner", "Values": ["Self"]}]
    assert ssm.list_documents(Filters=own)["DocumentIdentifiers"] == []


def test_a_name_is_given_once(aws, ssm):
    """In each region."""
    create(ssm)

    with pytest.raises(ssm.exceptions.DocumentAlreadyExists):
        create(ssm, content=changed(1))
    elsewhere = aws.client(region="xx-elsewhere-1")
    elsewhere.create_document(Name="Nightly", Content=changed(2))
    assert json.loads(ssm.get_document(Name="Nightly")["Content"]) == CONTENT
    elsewhere.delete_document(Name="Nightly")


# ------------------------------------------------------------------------------------------------------------- reading


def test_content_comes_in_the_format_that_is_asked_for(ssm):
    """The text as given where the formats agree; JSON where none is asked for (spec §6.1)."""
    text = "# ours\n" + yaml.safe_dump(CONTENT, sort_keys=False)
    create(ssm, "InJson")
    create(ssm, "InYaml", text, DocumentFormat="YAML")

    assert ssm.get_document(Name="InJson")["Content"] == JSON
    assert ssm.get_document(Name="InYaml", DocumentFormat="YAML")["Content"] == text
    for name in ("InJson", "InYaml"):
        as_json = ssm.get_document(Name=name)
        as_yaml = ssm.get_document(Name=name, DocumentFormat="YAML")
        assert (as_json["DocumentFormat"], as_yaml["DocumentFormat"]) == ("JSON", "YAML")
        assert json.loads(as_json["Content"]) == yaml.safe_load(as_yaml["Content"]) == CONTENT
        assert refusal(ssm.get_document, Name=name, DocumentFormat="TEXT")[0] == "ValidationException"
    assert ssm.describe_document(Name="InYaml")["Document"]["Hash"] == hashlib.sha256(text.encode()).hexdigest()


def test_a_calendar_is_text_whatever_is_asked_for(ssm):
    """There is nothing to convert."""
    made = create(ssm, content=CALENDAR, DocumentType="ChangeCalendar", DocumentFormat="TEXT")
    assert (made["DocumentFormat"], made["PlatformTypes"]) == ("TEXT", [])

    for asked in ({}, {"DocumentFormat": "YAML"}, {"DocumentFormat": "TEXT"}):
        found = ssm.get_document(Name="Nightly", **asked)
        assert (found["Content"], found["DocumentFormat"]) == (CALENDAR, "TEXT")


def test_a_document_is_got_with_what_goes_with_it(ssm):
    """And nothing else."""
    create(ssm, VersionName="v1", DisplayName="Nightly scan")

    found = ssm.get_document(Name="Nightly")
    found.pop("ResponseMetadata")
    assert found.pop("CreatedDate")
    assert found == {
        "Name": "Nightly",
        "DisplayName": "Nightly scan",
        "VersionName": "v1",
        "DocumentVersion": "1",
        "Status": "Active",
        "Content": JSON,
        "DocumentType": "Command",
        "DocumentFormat": "JSON",
        "ReviewStatus": "NOT_REVIEWED",
    }


@pytest.mark.parametrize("operation", ["get_document", "describe_document"])
def test_what_is_not_there_has_its_own_errors(ssm, operation):
    """InvalidDocument and InvalidDocumentVersion."""
    create(ssm)
    call = getattr(ssm, operation)

    for name in ("Other", "arn:aws:ssm:us-east-1:999999999999:document/Nightly", "Nightly:1"):
        with pytest.raises(ssm.exceptions.InvalidDocument):
            call(Name=name)
    for selector in ({"DocumentVersion": "2"}, {"VersionName": "v1"}, {"DocumentVersion": "9" * 40}):
        with pytest.raises(ssm.exceptions.InvalidDocumentVersion):
            call(Name="Nightly", **selector)
    assert refusal(call, Name="x")[0] == "ValidationException"
    assert refusal(call, Name="Nightly", DocumentVersion="latest")[0] == "ValidationException"


def test_a_document_is_called_by_its_arn_as_well(aws, ssm):
    """It answers with its name."""
    create(ssm)
    arn = f"arn:aws:ssm:{aws.region}:{aws.house.account}:document/Nightly"

    assert ssm.get_document(Name=arn)["Name"] == "Nightly"
    assert ssm.describe_document(Name=arn)["Document"]["Name"] == "Nightly"


def test_the_products_documents_are_there_to_read(aws, ssm):
    """By name and by the ARN that has no account; nobody changes them."""
    name = "AWS-RunPatchBaseline"
    for reference in (name, f"arn:aws:ssm:{aws.region}::document/{name}"):
        found = ssm.describe_document(Name=reference)["Document"]
        assert (found["Name"], found["Owner"], found["DocumentVersion"]) == (name, "Amazon", "1")
        assert {one["Name"] for one in found["Parameters"]} >= {"Operation", "RebootOption", "SnapshotId"}
        assert json.loads(ssm.get_document(Name=reference)["Content"])["schemaVersion"] == "2.2"
    calls = (
        (ssm.update_document, {"Content": JSON}, "InvalidDocumentOperation"),
        (ssm.delete_document, {"Force": True}, "InvalidDocumentOperation"),
        (ssm.update_document_default_version, {"DocumentVersion": "1"}, "InvalidDocument"),
        (ssm.modify_document_permission, {"PermissionType": "Share", "AccountIdsToAdd": ["all"]}, "InvalidDocument"),
        (ssm.describe_document_permission, {"PermissionType": "Share"}, "InvalidDocumentOperation"),
        (ssm.update_document_metadata, {"DocumentReviews": {"Action": "Approve"}}, "InvalidDocumentOperation"),
    )
    for call, arguments, code in calls:
        assert refusal(call, Name=name, **arguments)[0] == code


def test_a_node_reads_documents_of_its_account(aws, ssm):
    """As the agent does for documents that lead to others; it makes none."""
    create(ssm)
    node = aws.enrol()

    def ask(operation, **body):
        return aws.run(aws.house.call(f"AmazonSSM.{operation}", body, key=node))

    assert json.loads(ask("GetDocument", Name="Nightly").json["Content"]) == CONTENT
    assert ask("DescribeDocument", Name="Nightly").json["Document"]["Name"] == "Nightly"
    assert ask("GetDocument", Name="AWS-RunPatchBaseline").status == 200
    for operation, body in (
        ("CreateDocument", {"Content": JSON}),
        ("UpdateDocument", {"Content": changed(1)}),
        ("DeleteDocument", {}),
        ("ListDocumentVersions", {}),
    ):
        assert ask(operation, Name="Nightly", **body).code == "AccessDeniedException"


# ------------------------------------------------------------------------------------------------------------ changing


def test_a_new_version_becomes_the_default_when_it_is_made_it(ssm):
    """As terraform goes about it: update, then set the default."""
    create(ssm, VersionName="one", TargetType="/")
    made = ssm.update_document(Name="Nightly", Content=changed(2), DocumentVersion="$LATEST", VersionName="two")

    described = made["DocumentDescription"]
    assert {name: described[name] for name in ("DocumentVersion", "LatestVersion", "DefaultVersion")} == {
        "DocumentVersion": "2",
        "LatestVersion": "2",
        "DefaultVersion": "1",
    }
    assert (described["Status"], described["VersionName"], described["TargetType"]) == ("Active", "two", "/")
    assert ssm.describe_document(Name="Nightly")["Document"]["Description"] == "Scan as we do"
    answer = ssm.update_document_default_version(Name="Nightly", DocumentVersion="2")
    assert answer["Description"] == {"Name": "Nightly", "DefaultVersion": "2", "DefaultVersionName": "two"}
    assert ssm.describe_document(Name="Nightly")["Document"]["Description"] == "Change 2"
    for selector in ({"DocumentVersion": "1"}, {"VersionName": "one"}, {"DocumentVersion": "1", "VersionName": "one"}):
        assert ssm.describe_document(Name="Nightly", **selector)["Document"]["DocumentVersion"] == "1"
    again = ssm.update_document_default_version(Name="Nightly", DocumentVersion="1")
    assert again["Description"]["DefaultVersion"] == "1"


def test_a_version_in_another_format_is_another_version(ssm):
    """JSON is YAML's as well, and said so."""
    create(ssm)
    made = ssm.update_document(Name="Nightly", Content=JSON, DocumentFormat="YAML")["DocumentDescription"]

    assert (made["DocumentVersion"], made["DocumentFormat"]) == ("2", "YAML")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"Name": "Other"}, "InvalidDocument"),
        ({"Content": JSON}, "DuplicateDocumentContent"),
        ({"Content": JSON, "DocumentVersion": "$LATEST", "VersionName": "new"}, "DuplicateDocumentContent"),
        ({"VersionName": "one"}, "DuplicateDocumentVersionName"),
        ({"DocumentVersion": "2"}, "InvalidDocumentVersion"),
        ({"Content": "{"}, "InvalidDocumentContent"),
        ({"Content": '{"schemaVersion": "0.3"}'}, "InvalidDocumentSchemaVersion"),
        ({"Content": " " * 70_000}, "MaxDocumentSizeExceeded"),
        ({"DocumentVersion": "first"}, "ValidationException"),
        ({"Name": "arn:aws:ssm:us-east-1::document/AWS-RunPatchBaseline"}, "ValidationException"),
    ],
)
def test_an_update_that_cannot_be_is_refused(ssm, arguments, code):
    """And changes nothing."""
    create(ssm, VersionName="one")

    given = {"Name": "Nightly", "Content": changed(2), **arguments}
    assert refusal(ssm.update_document, **given)[0] == code
    assert ssm.describe_document(Name="Nightly")["Document"]["LatestVersion"] == "1"


def test_a_default_that_is_not_there_is_refused(ssm):
    """InvalidDocument and InvalidDocumentVersion."""
    create(ssm)

    assert refusal(ssm.update_document_default_version, Name="Other", DocumentVersion="1")[0] == "InvalidDocument"
    code, _ = refusal(ssm.update_document_default_version, Name="Nightly", DocumentVersion="2")
    assert code == "InvalidDocumentVersion"
    code, _ = refusal(ssm.update_document_default_version, Name="Nightly", DocumentVersion="$LATEST")
    assert code == "ValidationException"


# ------------------------------------------------------------------------------------------------------------ removing


def test_a_document_is_deleted_whole_or_by_version(ssm):
    """The default version only with all; what is deleted is unknown."""
    create(ssm, VersionName="one", Tags=[{"Key": "a", "Value": "1"}])
    for number in (2, 3):
        ssm.update_document(Name="Nightly", Content=changed(number), VersionName=f"name-{number}")
    code, message = refusal(ssm.delete_document, Name="Nightly", DocumentVersion="1")
    assert (code, "Default version" in message) == ("InvalidDocumentOperation", True)
    assert refusal(ssm.delete_document, Name="Nightly", VersionName="one")[0] == "InvalidDocumentOperation"
    for selector in ({"DocumentVersion": "7"}, {"VersionName": "seven"}):
        assert refusal(ssm.delete_document, Name="Nightly", **selector)[0] == "InvalidDocument"

    ssm.delete_document(Name="Nightly", DocumentVersion="2")
    ssm.delete_document(Name="Nightly", VersionName="name-3")
    assert ssm.describe_document(Name="Nightly")["Document"]["LatestVersion"] == "1"
    ssm.delete_document(Name="Nightly")
    for call in (ssm.delete_document, ssm.get_document, ssm.describe_document, ssm.list_document_versions):
        with pytest.raises(ssm.exceptions.InvalidDocument):
            call(Name="Nightly")
    assert create(ssm)["DocumentVersion"] == "1"


def test_some_documents_are_deleted_by_force_only(ssm):
    """Schemas of configurations."""
    create(ssm, content="{}", DocumentType="ApplicationConfigurationSchema")

    assert refusal(ssm.delete_document, Name="Nightly")[0] == "InvalidDocumentOperation"
    ssm.delete_document(Name="Nightly", Force=True)


def test_tags_are_added_and_removed_as_of_every_resource(ssm):
    """And shown with the document."""
    create(ssm)
    resource = {"ResourceType": "Document", "ResourceId": "Nightly"}
    ssm.add_tags_to_resource(**resource, Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}])
    ssm.remove_tags_from_resource(**resource, TagKeys=["b"])

    tags = [{"Key": "a", "Value": "1"}]
    assert ssm.list_tags_for_resource(**resource)["TagList"] == tags
    assert ssm.describe_document(Name="Nightly")["Document"]["Tags"] == tags
    owned = {**resource, "ResourceId": "AWS-RunPatchBaseline"}
    assert refusal(ssm.add_tags_to_resource, **owned, Tags=tags)[0] == "InvalidResourceId"
