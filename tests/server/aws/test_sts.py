# SPDX-License-Identifier: Apache-2.0
"""STS through boto3: who asks, and sessions: given by trust, limited by policies, ended with what they hang on."""

from __future__ import annotations

import datetime
import json

import pytest

from server.aws.people import People, allow, code, new_name, session_keys, trusting, words


@pytest.fixture
def people(aws):
    """Who signs at the module's server."""
    root = aws.house.root
    return People(aws.server.url, {"aws_access_key_id": root.access_key_id, "aws_secret_access_key": root.secret})


@pytest.fixture
def iam(people):
    """IAM as root."""
    return people.client("iam")


@pytest.fixture
def account(aws):
    """The account's id."""
    return aws.house.account


class Role:
    """A role, and how to assume it."""

    def __init__(self, people, trust, *documents, **members):
        self.people, self.name = people, new_name("role")
        made = people.client("iam").create_role(RoleName=self.name, AssumeRolePolicyDocument=trust, **members)["Role"]
        self.arn, self.id = made["Arn"], made["RoleId"]
        for number, document in enumerate(documents):
            people.client("iam").put_role_policy(
                RoleName=self.name, PolicyName=f"p{number}", PolicyDocument=json.dumps(document)
            )

    def call(self, keys):
        """AssumeRole by who signs with *keys*."""

        def assume(**more):
            sts = self.people.client("sts", keys)
            return sts.assume_role(RoleArn=self.arn, RoleSessionName=more.pop("name", "work"), **more)

        return assume

    def session(self, keys, **more):
        """What to sign with as a session."""
        return session_keys(self.call(keys)(**more)["Credentials"])


ASSUME = allow("sts:AssumeRole", "sts:TagSession")


def test_everybody_may_know_who_they_are(people, account, aws):
    """Root, a user without any policy, a role's session."""
    name, keys = people.user()
    role = Role(people, trusting(account))
    _, assuming = people.user(ASSUME)
    identity = lambda keys=None: people.client("sts", keys).get_caller_identity()  # noqa: E731 - short

    assert (identity()["Arn"], identity()["UserId"]) == (f"arn:aws:iam::{account}:root", account)
    assert (identity(keys)["Arn"], identity(keys)["UserId"][:4]) == (f"arn:aws:iam::{account}:user/{name}", "AIDA")
    mine = identity(role.session(assuming))
    assert mine["Arn"] == f"arn:aws:sts::{account}:assumed-role/{role.name}/work"
    assert mine["UserId"] == f"{role.id}:work"
    assert mine["Account"] == account


def test_a_node_may_know_who_it_is_and_ask_for_no_session(people, aws):
    """With its own key; it is no user."""
    node = aws.enrol()
    keys = {"aws_access_key_id": node.access_key_id, "aws_secret_access_key": node.secret}
    sts = people.client("sts", keys, region=aws.region)

    found = sts.get_caller_identity()
    assert (found["Arn"], found["UserId"]) == (node.principal, node.instance_id)
    assert code(sts.get_session_token) == "AccessDenied"
    assert code(people.client("iam", keys, region=aws.region).list_users) == "AccessDenied"


def test_a_role_gives_its_rights_and_no_others(people, account):
    """Not those of the user who assumed it."""
    _, keys = people.user(ASSUME, allow("iam:ListUsers"))
    role = Role(people, trusting(account), allow("ssm:DescribePatchBaselines"))
    answer = role.call(keys)(DurationSeconds=900)

    assert answer["AssumedRoleUser"]["AssumedRoleId"] == f"{role.id}:work"
    left = answer["Credentials"]["Expiration"] - datetime.datetime.now(datetime.UTC)
    assert 800 < left.total_seconds() <= 900
    mine = session_keys(answer["Credentials"])
    people.client("ssm", mine).describe_patch_baselines()
    assert code(people.client("ssm", mine).describe_activations) == "AccessDeniedException"
    assert code(people.client("iam", mine).list_users) == "AccessDenied"
    people.client("iam", keys).list_users()


def test_the_caller_s_policies_and_the_trust_both_have_to_allow(people, account):
    """Whether the role is there is not told."""
    name, keys = people.user(ASSUME)
    _, powerless = people.user()
    open_to_all, closed = Role(people, trusting(account)), Role(people, trusting("999999999999"))
    named = Role(people, trusting(f"arn:aws:iam::{account}:user/{name}"))

    open_to_all.call(keys)()
    named.call(keys)()
    assert code(open_to_all.call(powerless)) == "AccessDenied"
    refusal = words(closed.call(keys))
    closed.arn += "x"
    assert words(closed.call(keys)) == refusal.replace(closed.arn[:-1], closed.arn)
    _, other = people.user(ASSUME)
    assert code(named.call(other)) == "AccessDenied"
    assert "root" in words(open_to_all.call(None))


def test_who_gets_the_name_of_a_deleted_user_does_not_get_its_roles(people, account):
    """A trust holds to the id that was meant."""
    name, keys = people.user(ASSUME)
    role = Role(people, trusting(f"arn:aws:iam::{account}:user/{name}"))
    role.call(keys)()
    iam = people.client("iam")
    iam.delete_access_key(UserName=name, AccessKeyId=keys["aws_access_key_id"])
    iam.delete_user_policy(UserName=name, PolicyName="p0")
    iam.delete_user(UserName=name)

    _, again = people.user(ASSUME, name=name)

    assert code(role.call(again)) == "AccessDenied"
    iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=trusting(f"arn:aws:iam::{account}:user/{name}"))
    role.call(again)()


def test_an_external_id_has_to_be_the_one_that_was_agreed(people, account):
    """As a condition of the trust."""
    _, keys = people.user(ASSUME)
    role = Role(people, trusting(account, Condition={"StringEquals": {"sts:ExternalId": "agreed"}}))

    role.call(keys)(ExternalId="agreed")
    assert code(role.call(keys), ExternalId="other") == "AccessDenied"
    assert code(role.call(keys)) == "AccessDenied"


def test_tags_of_a_session_need_leave_and_are_the_principal_s(people, account, aws):
    """sts:TagSession in the trust; `aws:PrincipalTag` in what the role may; transitive ones go along."""
    _, keys = people.user(ASSUME)
    plain = Role(people, trusting(account))
    tagged = [{"Key": "team", "Value": "blue"}]
    assert code(plain.call(keys), Tags=tagged) == "AccessDenied"
    blue = {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue"}}}
    both = trusting(account, action=["sts:AssumeRole", "sts:TagSession"])
    role = Role(people, both, allow("ssm:DescribePatchBaselines", **blue), ASSUME)
    second = Role(people, both, allow("ssm:DescribePatchBaselines", **blue))

    mine = role.session(keys, Tags=tagged, TransitiveTagKeys=["team"])
    people.client("ssm", mine).describe_patch_baselines()
    assert code(people.client("ssm", role.session(keys)).describe_patch_baselines) == "AccessDeniedException"
    chained = second.session(mine)
    people.client("ssm", chained).describe_patch_baselines()
    assert code(second.call(mine), Tags=[{"Key": "Team", "Value": "red"}]) == "AccessDenied"
    assert code(second.call(mine), DurationSeconds=3601) == "ValidationError"


def test_a_session_policy_only_takes_away(people, account):
    """What is in it and not in the role's is not given; managed ones do the same."""
    _, keys = people.user(ASSUME)
    role = Role(people, trusting(account), allow("ssm:Describe*"))
    policy = json.dumps(allow("ssm:DescribePatchBaselines", "iam:ListUsers"))
    ready = [{"arn": "arn:aws:iam::aws:policy/PatchwrightAuditor"}]

    narrow = role.session(keys, Policy=policy)
    people.client("ssm", narrow).describe_patch_baselines()
    assert code(people.client("ssm", narrow).describe_activations) == "AccessDeniedException"
    assert code(people.client("iam", narrow).list_users) == "AccessDenied"
    wide = role.session(keys, PolicyArns=ready)
    people.client("ssm", wide).describe_activations()
    assert code(people.client("iam", wide).list_users) == "AccessDenied"
    assert code(role.call(keys), Policy="{}") == "MalformedPolicyDocument"
    assert code(role.call(keys), PolicyArns=[{"arn": f"arn:aws:iam::{account}:policy/none"}]) == "ValidationError"


def test_a_session_lasts_no_longer_than_its_role_allows(people, account):
    """The role says how long; the model says how short."""
    _, keys = people.user(ASSUME)
    role = Role(people, trusting(account), MaxSessionDuration=3600)

    role.call(keys)(DurationSeconds=3600)
    assert code(role.call(keys), DurationSeconds=3601) == "ValidationError"
    assert code(role.call(keys), DurationSeconds=899) == "ValidationError"


def test_a_user_s_session_does_what_the_user_does_but_no_iam(people, account):
    """Nobody makes keys with it that outlive it; there is no session of a session."""
    name, keys = people.user(allow("*"))
    for signer, arn in ((keys, f"arn:aws:iam::{account}:user/{name}"), (None, f"arn:aws:iam::{account}:root")):
        mine = session_keys(people.client("sts", signer).get_session_token()["Credentials"])
        assert people.client("sts", mine).get_caller_identity()["Arn"] == arn
        people.client("ssm", mine).describe_patch_baselines()
        assert code(people.client("iam", mine).create_access_key) == "AccessDenied"
        assert code(people.client("sts", mine).get_session_token) == "AccessDenied"


def test_a_token_belongs_to_its_key_and_cannot_be_changed(people, account):
    """Left out, of another session, cut, or made up: never recognised. It says nothing in clear."""
    _, keys = people.user(ASSUME)
    role = Role(people, trusting(account))
    mine, other = role.session(keys), role.session(keys)
    token = mine["aws_session_token"]

    for wrong in (other["aws_session_token"], token[:-8], "x", token[:40] + "AAAA" + token[44:]):
        sts = people.client("sts", {**mine, "aws_session_token": wrong})
        assert code(sts.get_caller_identity) == "InvalidClientTokenId"
    without = {name: value for name, value in mine.items() if name != "aws_session_token"}
    assert code(people.client("sts", without).get_caller_identity) == "InvalidClientTokenId"
    stolen = {**mine, "aws_secret_access_key": other["aws_secret_access_key"]}
    assert code(people.client("sts", stolen).get_caller_identity) == "SignatureDoesNotMatch"
    assert (
        code(people.client("sts", {**keys, "aws_session_token": token}).get_caller_identity) == "InvalidClientTokenId"
    )


def test_devices_there_are_none(people):
    """Who is asked for a code of a device is refused, not let in without."""
    _, keys = people.user()
    call = people.client("sts", keys).get_session_token
    assert code(call, SerialNumber="arn:aws:iam::1:mfa/x", TokenCode="123456") == "AccessDenied"
