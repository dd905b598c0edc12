# SPDX-License-Identifier: Apache-2.0
"""Activations and managed nodes through boto3 (spec §1.7, §11.2)."""

from __future__ import annotations

import re
import time

import pytest


def ids(pages):
    """Ids of all nodes on *pages*."""
    return [node["InstanceId"] for page in pages for node in page["InstanceInformationList"]]


def test_an_activation_has_an_id_and_a_code(ssm):
    """The code is long, and another one each time (spec §11.2)."""
    answers = [ssm.create_activation(IamRole="fleet") for _ in range(2)]

    for answer in answers:
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer["ActivationId"])
        assert 20 <= len(answer["ActivationCode"]) <= 250
    assert answers[0]["ActivationCode"] != answers[1]["ActivationCode"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"ExpirationDate": 0}, "InvalidParameters"),
        ({"ExpirationDate": time.time() - 1}, "InvalidParameters"),
        ({"ExpirationDate": time.time() + 31 * 24 * 3600}, "InvalidParameters"),
        ({"RegistrationLimit": 0}, "ValidationException"),
        ({"RegistrationLimit": 1001}, "ValidationException"),
        ({"IamRole": "x" * 65}, "ValidationException"),
        ({"DefaultInstanceName": "x" * 257}, "ValidationException"),
        ({"Tags": [{"Key": "aws:a", "Value": "1"}]}, "ValidationException"),
        ({"Tags": [{"Key": "a", "Value": "1"}] * 2}, "ValidationException"),
        ({"Tags": [{"Key": f"key-{n}", "Value": "1"} for n in range(51)]}, "TooManyTagsError"),
    ],
    ids=["epoch", "past", "late", "none", "many", "role", "name", "reserved", "twice", "tags"],
)
def test_an_activation_that_could_enrol_nobody_is_refused(ssm, arguments, code):
    """Now, and not when the first node comes."""
    with pytest.raises(ssm.exceptions.ClientError) as refused:
        ssm.create_activation(**{"IamRole": "fleet", **arguments})

    assert refused.value.response["Error"]["Code"] == code


def test_a_node_is_described_as_it_described_itself(aws, ssm):
    """With what its activation gave it."""
    before = time.time()
    node = aws.enrol(ComputerName="host", PlatformName="Debian GNU/Linux", PlatformVersion="12", IPAddress="192.0.2.7")

    (found,) = ssm.describe_instance_information()["InstanceInformationList"]

    assert found["InstanceId"] == node.instance_id
    assert (found["PingStatus"], found["ResourceType"], found["IamRole"]) == ("Online", "ManagedInstance", "node")
    assert (found["PlatformType"], found["PlatformName"], found["PlatformVersion"]) == (
        "Linux",
        "Debian GNU/Linux",
        "12",
    )
    assert (found["ComputerName"], found["IPAddress"]) == ("host", "192.0.2.7")
    assert before - 1 <= found["RegistrationDate"].timestamp() <= time.time() + 1
    assert "AgentVersion" not in found


def test_nodes_are_listed_in_pages_of_any_size(aws, ssm):
    """Every node once, in order of id; ten a page unless told otherwise."""
    expected = sorted(aws.enrol().instance_id for _ in range(13))
    pages = ssm.get_paginator("describe_instance_information")

    assert len(ssm.describe_instance_information()["InstanceInformationList"]) == 10
    assert ids(pages.paginate()) == expected
    for size in (5, 12, 13, 50):
        assert ids(pages.paginate(PaginationConfig={"PageSize": size})) == expected
    for size in (4, 51):
        with pytest.raises(ssm.exceptions.ClientError, match="ValidationException"):
            ssm.describe_instance_information(MaxResults=size)


def test_nodes_are_filtered(aws, ssm):
    """Old filters and new ones; entries are ANDed, their values ORed; page boundaries do not matter."""
    web = sorted(aws.enrol(tags={"role": "web", "x": "1"}).instance_id for _ in range(7))
    db = aws.enrol(tags={"role": "db"}, PlatformType="Windows", AgentVersion="9.9").instance_id
    pages = ssm.get_paginator("describe_instance_information")

    def matching(*filters, size=5):
        given = [{"Key": key, "Values": list(values)} for key, values in filters]
        return ids(pages.paginate(Filters=given, PaginationConfig={"PageSize": size}))

    assert matching(("tag:role", ["web"])) == web
    assert matching(("tag:role", ["web", "db"])) == sorted([*web, db])
    assert matching(("tag-key", ["x"])) == web
    assert matching(("tag-key", ["x", "role"]), ("PlatformTypes", ["Windows"])) == [db]
    assert matching(("InstanceIds", [db, web[0], "mi-00000000000000000"])) == sorted([db, web[0]])
    assert matching(("AgentVersion", ["9.9"])) == [db]
    assert matching(("PingStatus", ["Online"])) == sorted([*web, db])
    assert matching(("PingStatus", ["ConnectionLost", "Inactive"])) == []
    assert matching(("ResourceType", ["ManagedInstance"]), ("IamRole", ["node"])) == sorted([*web, db])
    old = [{"key": "PlatformTypes", "valueSet": ["Windows"]}]
    assert ids(pages.paginate(InstanceInformationFilterList=old)) == [db]


def test_filters_that_are_none_are_refused_though_there_is_no_node(ssm):
    """InvalidFilterKey; and the two kinds of filters do not mix."""
    with pytest.raises(ssm.exceptions.InvalidFilterKey):
        ssm.describe_instance_information(Filters=[{"Key": "Colour", "Values": ["red"]}])
    with pytest.raises(ssm.exceptions.ClientError, match="ValidationException"):
        ssm.describe_instance_information(
            Filters=[{"Key": "InstanceIds", "Values": ["x"]}],
            InstanceInformationFilterList=[{"key": "InstanceIds", "valueSet": ["x"]}],
        )


def test_a_token_of_another_request_is_invalid(aws, ssm):
    """InvalidNextToken, since the operation declares it."""
    for _ in range(6):
        aws.enrol()
    token = ssm.describe_instance_information(MaxResults=5)["NextToken"]

    with pytest.raises(ssm.exceptions.InvalidNextToken):
        ssm.describe_instance_information(NextToken=token, Filters=[{"Key": "PingStatus", "Values": ["Online"]}])
    with pytest.raises(ssm.exceptions.InvalidNextToken):
        aws.client(region=aws.region + "-2").describe_instance_information(NextToken=token)
