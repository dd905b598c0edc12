# SPDX-License-Identifier: Apache-2.0
"""Activations through boto3 (spec §1.7, §1.19, §11.2)."""

from __future__ import annotations

import datetime
import re
import time

import pytest

from server.aws.served import new_region


def ids(pages):
    """Ids of all activations on *pages*."""
    return [one["ActivationId"] for page in pages for one in page["ActivationList"]]


def create(ssm, **members):
    """An activation's id."""
    return ssm.create_activation(**{"IamRole": "fleet", **members})["ActivationId"]


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
        ({"IamRole": ""}, "ValidationException"),
        ({"IamRole": None}, "ValidationException"),
        ({"DefaultInstanceName": "x" * 257}, "ValidationException"),
        ({"Description": "x" * 257}, "ValidationException"),
        ({"Tags": [{"Key": "aws:a", "Value": "1"}]}, "ValidationException"),
        ({"Tags": [{"Key": "a", "Value": "1"}] * 2}, "ValidationException"),
        ({"Tags": [{"Key": f"key-{n}", "Value": "1"} for n in range(51)]}, "ValidationException"),
        ({"RegistrationMetadata": [{"Key": "a", "Value": "1"}] * 2}, "InvalidParameters"),
        ({"RegistrationMetadata": [{"Key": " ", "Value": "1"}]}, "ValidationException"),
        ({"RegistrationMetadata": [{"Key": "a"}]}, "ValidationException"),
    ],
)
def test_an_activation_that_could_enrol_nobody_is_refused(ssm, arguments, code):
    """Now, and not when the first node comes; nothing is left of it."""
    with pytest.raises(ssm.exceptions.ClientError) as refused:
        ssm.create_activation(**{"IamRole": "fleet", **arguments})

    assert refused.value.response["Error"]["Code"] == code
    assert ssm.describe_activations()["ActivationList"] == []


def test_a_role_without_a_name_is_told_in_the_words_terraform_waits_for(ssm):
    """Spec §1.19: `Not existing role`."""
    with pytest.raises(ssm.exceptions.ClientError, match=r"ValidationException.*Not existing role"):
        ssm.create_activation(IamRole=" ")


def test_an_activation_is_described_as_it_was_made(aws, ssm):
    """Everything but its code, and how often it was used; its tags are its nodes' tags."""
    before = time.time()
    expiry = datetime.datetime.fromtimestamp(int(before) + 3600, datetime.UTC)
    made = ssm.create_activation(
        IamRole="service-role/fleet",
        Description="two nodes",
        DefaultInstanceName="web",
        RegistrationLimit=2,
        ExpirationDate=expiry,
        Tags=[{"Key": "role", "Value": "web"}, {"Key": "Env", "Value": "prod"}],
        RegistrationMetadata=[{"Key": "a", "Value": "1"}],
    )
    given = {name: made[name] for name in ("ActivationId", "ActivationCode")}
    node = aws.run(aws.house.ask("Patchwright.Enroll", {**given, "EnrollmentToken": "t" * 40 + aws.region}))

    answer = ssm.describe_activations()
    (found,) = answer["ActivationList"]
    created = found.pop("CreatedDate").timestamp()
    (listed,) = ssm.describe_instance_information()["InstanceInformationList"]
    tags = ssm.list_tags_for_resource(ResourceType="ManagedInstance", ResourceId=node["InstanceId"])["TagList"]

    assert before - 1 <= created <= time.time() + 1
    assert found == {
        "ActivationId": made["ActivationId"],
        "Description": "two nodes",
        "DefaultInstanceName": "web",
        "IamRole": "service-role/fleet",
        "RegistrationLimit": 2,
        "RegistrationsCount": 1,
        "ExpirationDate": expiry.astimezone(found["ExpirationDate"].tzinfo),
        "Expired": False,
        "Tags": [{"Key": "Env", "Value": "prod"}, {"Key": "role", "Value": "web"}],
    }
    assert made["ActivationCode"] not in str(answer)
    assert (listed["Name"], listed["IamRole"], listed["ActivationId"]) == (
        "web",
        "service-role/fleet",
        made["ActivationId"],
    )
    assert tags == found["Tags"]


def test_defaults_are_echoed(ssm):
    """One node within a day, no tags; texts that were not given are not there."""
    create(ssm)
    (found,) = ssm.describe_activations()["ActivationList"]

    assert {name: found[name] for name in ("RegistrationLimit", "RegistrationsCount", "Expired", "Tags")} == {
        "RegistrationLimit": 1,
        "RegistrationsCount": 0,
        "Expired": False,
        "Tags": [],
    }
    assert abs((found["ExpirationDate"] - found["CreatedDate"]).total_seconds() - 24 * 3600) < 1
    assert not {"Description", "DefaultInstanceName"} & set(found)


def test_activations_are_filtered_and_paged(ssm):
    """Every one once, in order of id; filters are ANDed, their values ORed."""
    made = {create(ssm, IamRole=f"role-{n % 2}", DefaultInstanceName=f"n{n}"): n for n in range(7)}
    pages = ssm.get_paginator("describe_activations")

    def matching(*filters, size=2):
        given = [{"FilterKey": key, "FilterValues": values} for key, values in filters]
        return ids(pages.paginate(Filters=given, PaginationConfig={"PageSize": size}))

    def wanted(*numbers):
        return sorted(name for name, n in made.items() if n in numbers)

    for size in (1, 3, 7, 50):
        assert matching(size=size) == sorted(made)
    assert matching(("IamRole", ["role-1"])) == wanted(1, 3, 5)
    assert matching(("IamRole", ["role-1", "role-0"])) == sorted(made)
    assert matching(("DefaultInstanceName", ["n1", "n2", "x"]), ("IamRole", ["role-0"])) == wanted(2)
    assert matching(("ActivationIds", [*wanted(4, 6), "x"])) == wanted(4, 6)
    assert matching(("IamRole", ["ROLE-1"])) == []


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ([{"FilterKey": "Colour", "FilterValues": ["red"]}], "ValidationException"),
        ([{"FilterKey": "IamRole", "FilterValues": []}], "InvalidFilter"),
        ([{"FilterKey": "IamRole"}], "InvalidFilter"),
        ([{"FilterValues": ["x"]}], "InvalidFilter"),
        ([{}], "InvalidFilter"),
        ([{"FilterKey": "IamRole", "FilterValues": ["x"]}] * 2, "InvalidFilter"),
        ([{"FilterKey": "IamRole", "FilterValues": [str(n) for n in range(1001)]}], "InvalidFilter"),
    ],
)
def test_filters_that_are_none_are_refused(ssm, filters, code):
    """Though there is no activation."""
    with pytest.raises(ssm.exceptions.ClientError) as refused:
        ssm.describe_activations(Filters=filters)

    assert refused.value.response["Error"]["Code"] == code


def test_a_token_of_another_request_is_invalid(aws, ssm):
    """InvalidNextToken, since the operation declares it."""
    for _ in range(2):
        create(ssm)
    token = ssm.describe_activations(MaxResults=1)["NextToken"]

    for wrong in ("x", token[:-2]):
        with pytest.raises(ssm.exceptions.InvalidNextToken):
            ssm.describe_activations(NextToken=wrong)
    with pytest.raises(ssm.exceptions.InvalidNextToken):
        aws.client(region=new_region()).describe_activations(NextToken=token)
    for size in (0, 51):
        with pytest.raises(ssm.exceptions.ClientError, match="ValidationException"):
            ssm.describe_activations(MaxResults=size)


def test_an_activation_is_deleted_once(aws, ssm):
    """Then it enrols nobody; its nodes stay."""
    made = ssm.create_activation(IamRole="fleet", RegistrationLimit=9)
    given = {name: made[name] for name in ("ActivationId", "ActivationCode")}
    enrol = {**given, "EnrollmentToken": "t" * 40 + aws.region}
    aws.run(aws.house.ask("Patchwright.Enroll", enrol))
    with pytest.raises(ssm.exceptions.InvalidActivation):
        aws.client(region=new_region()).delete_activation(ActivationId=made["ActivationId"])

    assert set(ssm.delete_activation(ActivationId=made["ActivationId"])) == {"ResponseMetadata"}

    with pytest.raises(ssm.exceptions.InvalidActivation):
        ssm.delete_activation(ActivationId=made["ActivationId"])
    with pytest.raises(ssm.exceptions.ClientError, match="ValidationException"):
        ssm.delete_activation(ActivationId="x")
    again = {**enrol, "EnrollmentToken": "u" * 40 + aws.region}
    assert aws.run(aws.house.code("Patchwright.Enroll", again)) == "InvalidActivation"
    assert ssm.describe_activations()["ActivationList"] == []
    assert len(ssm.describe_instance_information()["InstanceInformationList"]) == 1
