# SPDX-License-Identifier: Apache-2.0
"""What is revoked is refused within a second, by every process that serves the database."""

from __future__ import annotations

import json
import time

import pytest
from botocore.exceptions import ClientError

from server.accounts.tenants import new_account
from server.aws.people import People, allow, new_name, session_keys, trusting
from server.aws.served import Server

READ = allow("ssm:Describe*", "sts:AssumeRole")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def town(request, master_key, tmp_path_factory):
    """The processes of one installation: one on SQLite, two on PostgreSQL."""
    url = request.getfixturevalue(f"shared_{request.param}_url")
    account = new_account()
    servers = [
        Server(tmp_path_factory.mktemp("served"), url, account, master_key)
        for _ in range(2 if request.param == "postgres" else 1)
    ]
    yield [
        People(
            server.url,
            {
                "aws_access_key_id": server.house.root.access_key_id,
                "aws_secret_access_key": server.house.root.secret,
            },
        )
        for server in servers
    ]
    for server in servers:
        server.close()


def reading(town, keys):
    """A call of each process that *keys* may make: it was made once, so that everybody remembers."""
    calls = [people.client("ssm", keys).describe_patch_baselines for people in town]
    for call in calls:
        call()
    return calls


def refusals(calls, since):
    """The codes with which *calls* are refused: those that begin a second after *since* all are."""
    codes = set()
    for call in calls:
        while True:
            begun = time.monotonic()
            try:
                call()
            except ClientError as error:
                codes.add(error.response["Error"]["Code"])
                break
            assert begun - since < 1.0, "accepted for longer than a second"
    return codes


@pytest.mark.parametrize("how", ["inactive", "deleted"])
def test_a_key(town, how):
    """Made inactive, or deleted; its user's other key goes on."""
    name, keys = town[0].user(READ)
    other, calls, iam = reading(town, town[0].key(name)), reading(town, keys), town[0].client("iam")
    given = {"UserName": name, "AccessKeyId": keys["aws_access_key_id"]}

    if how == "inactive":
        iam.update_access_key(Status="Inactive", **given)
    else:
        iam.delete_access_key(**given)

    assert refusals(calls, time.monotonic()) == {"UnrecognizedClientException"}
    for call in other:
        call()


def test_a_policy(town):
    """Of the user, of its group, attached or inline, and another version of one."""
    iam = town[0].client("iam")
    for way in ("inline", "version", "group", "boundary"):
        name, keys = town[0].user(*([READ] if way in {"inline", "boundary"} else []))
        arn = iam.create_policy(PolicyName=new_name("policy"), PolicyDocument=json.dumps(READ))["Policy"]["Arn"]
        nothing = json.dumps(allow("ssm:ListCommands"))
        if way == "version":
            iam.attach_user_policy(UserName=name, PolicyArn=arn)
        if way == "group":
            group = new_name("group")
            iam.create_group(GroupName=group)
            iam.attach_group_policy(GroupName=group, PolicyArn=arn)
            iam.add_user_to_group(GroupName=group, UserName=name)
        calls = reading(town, keys)
        if way == "inline":
            iam.delete_user_policy(UserName=name, PolicyName="p0")
        elif way == "version":
            iam.create_policy_version(PolicyArn=arn, PolicyDocument=nothing, SetAsDefault=True)
        elif way == "group":
            iam.remove_user_from_group(GroupName=group, UserName=name)
        else:
            iam.create_policy_version(PolicyArn=arn, PolicyDocument=nothing, SetAsDefault=True)
            iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=arn)
        assert refusals(calls, time.monotonic()) == {"AccessDeniedException"}, way


@pytest.mark.parametrize("how", ["role", "key", "trust"])
def test_a_session(town, how):
    """It ends with its role and with the key that it was asked for with; not with the trust, which lets no new ones in."""
    iam = town[0].client("iam")
    name, keys = town[0].user(READ)
    role = new_name("role")
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trusting(name_of(town)))["Role"]["Arn"]
    iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps(READ))
    given = town[0].client("sts", keys).assume_role(RoleArn=arn, RoleSessionName="work")["Credentials"]
    calls = reading(town, session_keys(given))

    if how == "role":
        iam.delete_role_policy(RoleName=role, PolicyName="p")
        iam.delete_role(RoleName=role)
        since = time.monotonic()
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trusting(name_of(town)))  # another one
        assert refusals(calls, since) <= {"UnrecognizedClientException", "AccessDeniedException"}
    elif how == "key":
        iam.update_access_key(UserName=name, AccessKeyId=keys["aws_access_key_id"], Status="Inactive")
        assert refusals(calls, time.monotonic()) == {"UnrecognizedClientException"}
    else:
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=trusting("999999999999"))
        for call in calls:
            call()


def name_of(town):
    """The account of a town."""
    return town[0].client("sts").get_caller_identity()["Account"]


def test_a_user_who_is_renamed_goes_on(town):
    """Its key signs under the new name, and it may what it might."""
    name, keys = town[0].user(READ)
    new = new_name("renamed")
    reading(town, keys)
    town[0].client("iam").update_user(UserName=name, NewUserName=new)
    since, arns = time.monotonic(), set()
    while len(arns) != 1 or not arns.pop().endswith(f"/{new}"):
        begun = time.monotonic()
        arns = {people.client("sts", keys).get_caller_identity()["Arn"] for people in town}
        assert begun - since < 1.0 or all(arn.endswith(f"/{new}") for arn in arns)
    reading(town, keys)
