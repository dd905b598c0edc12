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


def names(ssm, **arguments):
    """Names that ListDocuments shows, over all its pages."""
    pages = ssm.get_paginator("list_documents").paginate(**arguments)
    return [one["Name"] for page in pages for one in page["DocumentIdentifiers"]]


# ------------------------------------------------------------------------------------------------------------ creating


def test_a_new_document_is_described_from_its_content(aws, ssm):
    """Hash, parameters, platforms, schema version (spec §6.1)."""
    made = create(ssm, Tags=[{"Key": "team", "Value": "web"}], DisplayName="Nightly scan", VersionName="first")

    created_at = made.pop("CreatedDate")
    assert made == {
        "Sha1": hashlib.sha1(JSON.encode()).hexdigest(),
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
        "PlatformTypes": ["Windows", "Linux", "MacOS"],
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
