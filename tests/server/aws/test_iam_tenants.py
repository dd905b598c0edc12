# SPDX-License-Identifier: Apache-2.0
"""Accounts side by side, callers at once, and what lies in the database."""

from __future__ import annotations

import base64
import json
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from server.aws.people import People, allow, code, new_name, session_keys, trusting

READ = json.dumps(allow("ssm:Describe*"))


@pytest.fixture
def people(aws):
    """Who signs in the first account."""
    root = aws.house.root
    return People(aws.server.url, {"aws_access_key_id": root.access_key_id, "aws_secret_access_key": root.secret})


@pytest.fixture
def others(aws):
    """Who signs in another account of the installation."""
    made = aws.run(aws.house.ask("Patchwright.CreateAccount", {"Name": "other"}))
    key = made["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    return People(aws.server.url, keys)


def account_of(people):
    """The account of who signs as root."""
    return people.client("sts").get_caller_identity()["Account"]


def test_nobody_sees_another_account_s_identities(people, others):
    """Not by name, not by ARN, not in a listing, and not by a key's id."""
    mine, theirs = people.client("iam"), others.client("iam")
    name, policy = new_name("hidden"), new_name("policy")
    mine.create_user(UserName=name)
    mine.create_role(RoleName=name, AssumeRolePolicyDocument=trusting("*"))
    mine.create_group(GroupName=name)
    arn = mine.create_policy(PolicyName=policy, PolicyDocument=READ)["Policy"]["Arn"]
    key = mine.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]

    assert (theirs.list_users()["Users"], theirs.list_roles()["Roles"], theirs.list_groups()["Groups"]) == ([], [], [])
    assert theirs.list_policies(Scope="Local")["Policies"] == []
    for call, members in (
        (theirs.get_user, {"UserName": name}),
        (theirs.get_role, {"RoleName": name}),
        (theirs.get_group, {"GroupName": name}),
        (theirs.get_policy, {"PolicyArn": arn}),
        (theirs.create_policy_version, {"PolicyArn": arn, "PolicyDocument": READ}),
        (theirs.delete_policy, {"PolicyArn": arn}),
        (theirs.create_access_key, {"UserName": name}),
        (theirs.get_access_key_last_used, {"AccessKeyId": key}),
        (theirs.delete_access_key, {"AccessKeyId": key}),
        (theirs.update_access_key, {"AccessKeyId": key, "Status": "Inactive"}),
    ):
        assert code(call, **members) == "NoSuchEntity", call
    theirs.create_user(UserName=name)
    assert code(theirs.attach_user_policy, UserName=name, PolicyArn=arn) == "NoSuchEntity"
    theirs.delete_user(UserName=name)
    assert mine.get_user(UserName=name)["User"]["UserName"] == name


def test_a_role_can_be_assumed_from_another_account(people, others):
    """Both sides have to allow it; the session acts in the role's account and ends with the key of the other one."""
    mine, theirs = account_of(people), account_of(others)
    name, keys = others.user(allow("sts:AssumeRole"))
    role = people.client("iam").create_role(RoleName=new_name("role"), AssumeRolePolicyDocument=trusting(theirs))[
        "Role"
    ]
    closed = people.client("iam").create_role(RoleName=new_name("role"), AssumeRolePolicyDocument=trusting(mine))[
        "Role"
    ]
    people.client("iam").put_role_policy(RoleName=role["RoleName"], PolicyName="p", PolicyDocument=READ)
    sts = others.client("sts", keys)

    given = session_keys(sts.assume_role(RoleArn=role["Arn"], RoleSessionName="guest")["Credentials"])
    assert people.client("sts", given).get_caller_identity()["Account"] == mine
    people.client("ssm", given).describe_patch_baselines()
    assert code(sts.assume_role, RoleArn=closed["Arn"], RoleSessionName="guest") == "AccessDenied"
    _, powerless = others.user()
    refused = others.client("sts", powerless).assume_role
    assert code(refused, RoleArn=role["Arn"], RoleSessionName="guest") == "AccessDenied"
    others.client("iam").delete_access_key(UserName=name, AccessKeyId=keys["aws_access_key_id"])


def test_of_many_who_ask_at_once_as_many_get_it_as_there_is(people):
    """Two keys for a user, one user of a name: whoever else asked is refused, and nothing is half made."""
    iam, name = people.client("iam"), new_name("raced")
    with ThreadPoolExecutor(8) as pool:

        def at_once(call, **members):
            def ask(_number):
                try:
                    call(**members)
                except ClientError as error:
                    return error.response["Error"]["Code"]
                return ""

            return sorted(pool.map(ask, range(8)))

        assert at_once(iam.create_user, UserName=name) == [""] + ["EntityAlreadyExists"] * 7
        assert at_once(iam.create_access_key, UserName=name) == [""] * 2 + ["LimitExceeded"] * 6
        assert len(iam.list_access_keys(UserName=name)["AccessKeyMetadata"]) == 2
        assert at_once(iam.put_user_policy, UserName=name, PolicyName="p", PolicyDocument=READ) == [""] * 8
        assert set(at_once(iam.delete_user_policy, UserName=name, PolicyName="p")) == {"", "NoSuchEntity"}


def test_no_secret_lies_in_the_database(people, aws):
    """Neither of a key nor of a session, as it is or encoded; the secret is in no answer but the one that made it."""
    iam = people.client("iam")
    name, keys = people.user(allow("sts:AssumeRole"))
    role = iam.create_role(RoleName=new_name("role"), AssumeRolePolicyDocument=trusting(account_of(people)))["Role"]
    sts = people.client("sts", keys)
    given = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="guest")["Credentials"]
    mine = sts.get_session_token()["Credentials"]
    secrets = [
        keys["aws_secret_access_key"],
        *(one[part] for one in (given, mine) for part in ("SecretAccessKey", "SessionToken")),
    ]

    kept = json.dumps(aws.run(aws.house.dump())) + repr(iam.list_access_keys(UserName=name))
    for secret in secrets:
        for form in (secret, base64.b64encode(secret.encode()).decode(), secret.encode().hex()):
            assert form not in kept


def test_a_full_token_can_be_sent(people):
    """The longest policy, ten managed ones and tags: what is given is accepted, and what would not fit is not given."""
    _, keys = people.user(allow("sts:AssumeRole", "sts:TagSession"))
    both = trusting(account_of(people), action=["sts:AssumeRole", "sts:TagSession"])
    role = people.client("iam").create_role(RoleName=new_name("role"), AssumeRolePolicyDocument=both)["Role"]
    noise = random.Random(1)
    actions = [f"ssm:{noise.getrandbits(64):x}" for _ in range(80)]
    assume = people.client("sts", keys).assume_role
    members = {"RoleArn": role["Arn"], "RoleSessionName": "full", "Policy": json.dumps(allow(*actions))}
    assert len(members["Policy"]) < 2048

    answer = assume(
        **members, Tags=[{"Key": f"k{number}", "Value": f"{noise.getrandbits(160):x}"} for number in range(50)]
    )
    assert 50 < answer["PackedPolicySize"] <= 100
    people.client("sts", session_keys(answer["Credentials"])).get_caller_identity()
    tags = [{"Key": f"k{number}", "Value": f"{noise.getrandbits(1000):x}"} for number in range(50)]
    assert code(assume, **members, Tags=tags) == "PackedPolicyTooLarge"
    long = json.dumps(allow(*(f"ssm:Get{number}" for number in range(300))))
    assert code(assume, **{**members, "Policy": long}) == "PackedPolicyTooLarge"
