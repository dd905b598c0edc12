# SPDX-License-Identifier: Apache-2.0
"""IAM through boto3: users, groups, roles and their policies."""

from __future__ import annotations

import json

import pytest

from server.aws.people import People, allow, code, new_name, trusting, words

READ = json.dumps(allow("ssm:Describe*"))


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
def user(iam):
    """A user without policies."""
    name = new_name("user")
    iam.create_user(UserName=name)
    return name


@pytest.fixture
def account(aws):
    """The account's id."""
    return aws.house.account


def test_a_user_is_made_shown_changed_and_deleted(iam, account):
    """Its ARN has its path; names differ in more than case; the id stays whatever it is called."""
    name, other = new_name("User"), new_name("User")
    made = iam.create_user(UserName=name, Path="/ops/", Tags=[{"Key": "team", "Value": "blue"}])["User"]

    assert made["Arn"] == f"arn:aws:iam::{account}:user/ops/{name}"
    assert made["UserId"].startswith("AIDA")
    assert iam.get_user(UserName=name.lower())["User"] == made
    assert code(iam.create_user, UserName=name.upper()) == "EntityAlreadyExists"
    iam.update_user(UserName=name, NewUserName=other, NewPath="/dev/")
    moved = iam.get_user(UserName=other)["User"]
    assert (moved["UserId"], moved["Arn"]) == (made["UserId"], f"arn:aws:iam::{account}:user/dev/{other}")
    assert code(iam.get_user, UserName=name) == "NoSuchEntity"
    iam.create_user(UserName=name)
    assert code(iam.update_user, UserName=name, NewUserName=other) == "EntityAlreadyExists"
    iam.update_user(UserName=name, NewUserName=name.upper())  # its own name in another case is no other's
    iam.delete_user(UserName=other)
    assert code(iam.delete_user, UserName=other) == "NoSuchEntity"
    assert words(iam.get_user, UserName=other) == f"The user with name {other} cannot be found."


def test_listings_come_page_by_page_in_order_of_name(iam):
    """Through boto3's paginators, narrowed by path; a marker is good for its own listing only."""
    path = f"/{new_name('team')}/"
    names = sorted(f"{new_name('paged')}{letter}" for letter in "cabde")
    for name in names:
        iam.create_user(UserName=name, Path=path)
        iam.create_group(GroupName=name, Path=path)
        iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trusting("*"))
        iam.create_policy(PolicyName=name, Path=path, PolicyDocument=READ)

    for listing, member, key in (
        ("list_users", "Users", "UserName"),
        ("list_groups", "Groups", "GroupName"),
        ("list_roles", "Roles", "RoleName"),
        ("list_policies", "Policies", "PolicyName"),
    ):
        more = {"Scope": "Local"} if listing == "list_policies" else {}
        pages = list(iam.get_paginator(listing).paginate(PathPrefix=path, PaginationConfig={"PageSize": 2}, **more))
        assert [len(page[member]) for page in pages] == [2, 2, 1]
        assert [one[key] for page in pages for one in page[member]] == names
        assert [page["IsTruncated"] for page in pages] == [True, True, False]
    marker = iam.list_users(PathPrefix=path, MaxItems=1)["Marker"]
    assert code(iam.list_groups, PathPrefix=path, Marker=marker) == "ValidationError"
    assert code(iam.list_users, PathPrefix="/", Marker=marker) == "ValidationError"


@pytest.mark.parametrize("kind", ["User", "Role"])
def test_users_and_roles_carry_tags(iam, kind):
    """Set, replaced, listed in pages, removed; reserved and doubled ones are refused, and then nothing is set."""
    name = {f"{kind}Name": new_name("tagged")}
    call = lambda what, **more: getattr(iam, f"{what}_{kind.lower()}")(**name, **more)  # noqa: E731 - short
    tags = lambda **more: getattr(iam, f"list_{kind.lower()}_tags")(**name, **more)  # noqa: E731 - short
    call("create", **({"AssumeRolePolicyDocument": trusting("*")} if kind == "Role" else {}))

    call("tag", Tags=[{"Key": "b", "Value": "1"}, {"Key": "a", "Value": "1"}])
    call("tag", Tags=[{"Key": "b", "Value": "2"}, {"Key": "c", "Value": ""}])

    assert {tag["Key"]: tag["Value"] for tag in tags()["Tags"]} == {"a": "1", "b": "2", "c": ""}
    first = tags(MaxItems=2)
    assert [tag["Key"] for tag in first["Tags"]] == ["a", "b"]
    assert [tag["Key"] for tag in tags(MaxItems=2, Marker=first["Marker"])["Tags"]] == ["c"]
    assert code(lambda: call("tag", Tags=[{"Key": "aws:x", "Value": "1"}])) == "InvalidInput"
    assert code(lambda: call("tag", Tags=[{"Key": "B", "Value": "1"}])) == "InvalidInput"
    assert code(lambda: call("tag", Tags=[{"Key": f"k{n}", "Value": ""} for n in range(48)])) == "LimitExceeded"
    call("untag", TagKeys=["a", "c", "not there"])
    assert tags()["Tags"] == [{"Key": "b", "Value": "2"}]
    assert call("get")[kind]["Tags"] == [{"Key": "b", "Value": "2"}]


def test_who_hangs_on_something_is_not_deleted(iam, user):
    """Keys, groups, attached and inline policies go first; DeleteConflict says which."""
    group = new_name("group")
    iam.create_group(GroupName=group)
    iam.add_user_to_group(GroupName=group, UserName=user)
    iam.add_user_to_group(GroupName=group, UserName=user)  # once is enough
    key = iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
    iam.attach_user_policy(UserName=user, PolicyArn="arn:aws:iam::aws:policy/PatchwrightAuditor")
    iam.put_user_policy(UserName=user, PolicyName="mine", PolicyDocument=READ)

    assert "detach all policies" in words(iam.delete_user, UserName=user)
    iam.detach_user_policy(UserName=user, PolicyArn="arn:aws:iam::aws:policy/PatchwrightAuditor")
    assert "delete policies" in words(iam.delete_user, UserName=user)
    iam.delete_user_policy(UserName=user, PolicyName="mine")
    assert "delete access keys" in words(iam.delete_user, UserName=user)
    iam.delete_access_key(UserName=user, AccessKeyId=key)
    assert code(iam.delete_group, GroupName=group) == code(iam.delete_user, UserName=user) == "DeleteConflict"
    iam.remove_user_from_group(GroupName=group, UserName=user)
    assert code(iam.remove_user_from_group, GroupName=group, UserName=user) == "NoSuchEntity"
    iam.delete_user(UserName=user)
    iam.delete_group(GroupName=group)


def test_groups_know_their_users_and_users_their_groups(iam):
    """In order of name, page by page; ten groups are the most."""
    group, path = new_name("group"), "/"
    users = sorted(new_name("member") for _ in range(3))
    iam.create_group(GroupName=group, Path=path)
    for name in users:
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName=group, UserName=name)

    pages = list(iam.get_paginator("get_group").paginate(GroupName=group, PaginationConfig={"PageSize": 2}))
    assert [one["UserName"] for page in pages for one in page["Users"]] == users
    assert pages[0]["Group"]["GroupName"] == group
    assert [one["GroupName"] for one in iam.list_groups_for_user(UserName=users[0])["Groups"]] == [group]
    for _ in range(9):
        another = new_name("group")
        iam.create_group(GroupName=another)
        iam.add_user_to_group(GroupName=another, UserName=users[0])
    last = new_name("group")
    iam.create_group(GroupName=last)
    assert code(iam.add_user_to_group, GroupName=last, UserName=users[0]) == "LimitExceeded"
    renamed = new_name("group")
    iam.update_group(GroupName=last, NewGroupName=renamed)
    assert iam.get_group(GroupName=renamed)["Users"] == []


def test_a_role_is_made_shown_changed_and_deleted(iam, account):
    """Its trust comes back as the object that was given; Terraform asks for its instance profiles."""
    name = new_name("role")
    trust = trusting(account)
    made = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=trust, Description="to patch", MaxSessionDuration=7200
    )["Role"]

    assert made["RoleId"].startswith("AROA")
    assert made["AssumeRolePolicyDocument"] == json.loads(trust)
    assert (made["Description"], made["MaxSessionDuration"]) == ("to patch", 7200)
    iam.update_role(RoleName=name, MaxSessionDuration=3600)
    assert iam.update_role_description(RoleName=name, Description="other")["Role"]["Description"] == "other"
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trusting("*"))
    found = iam.get_role(RoleName=name)["Role"]
    assert (found["MaxSessionDuration"], found["Description"]) == (3600, "other")
    assert found["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"AWS": ["*"]}
    assert iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"] == []
    iam.delete_role(RoleName=name)
    assert code(iam.get_role, RoleName=name) == "NoSuchEntity"


@pytest.mark.parametrize(
    "document",
    [
        "{}",
        "no json",
        READ,
        trusting("arn:aws:iam::000000000001:user/nobody-of-this-name"),
        trusting("bob"),
        json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}}]}),
    ],
)
def test_a_trust_that_is_none_is_refused(iam, document):
    """MalformedPolicyDocument, and there is no role."""
    name = new_name("role")
    assert code(iam.create_role, RoleName=name, AssumeRolePolicyDocument=document) == "MalformedPolicyDocument"
    assert code(iam.get_role, RoleName=name) == "NoSuchEntity"


def test_a_policy_has_versions_of_which_one_counts(iam, account):
    """Five at most; the one that counts is not deleted; numbers are never used again."""
    name = new_name("policy")
    arn = iam.create_policy(PolicyName=name, PolicyDocument=READ, Description="reads")["Policy"]["Arn"]
    assert arn == f"arn:aws:iam::{account}:policy/{name}"
    for _ in range(4):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ)
    assert code(iam.create_policy_version, PolicyArn=arn, PolicyDocument=READ) == "LimitExceeded"
    assert code(iam.delete_policy_version, PolicyArn=arn, VersionId="v1") == "DeleteConflict"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v3")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v5")
    write = json.dumps(allow("ssm:*"))
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=write, SetAsDefault=True)["PolicyVersion"]

    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v6", True)
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v6")["PolicyVersion"]["Document"] == json.loads(write)
    pages = list(iam.get_paginator("list_policy_versions").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 2}))
    listed = [(one["VersionId"], one["IsDefaultVersion"]) for page in pages for one in page["Versions"]]
    assert listed == [("v6", True), ("v4", False), ("v3", False), ("v2", False), ("v1", False)]
    found = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (found["DefaultVersionId"], found["Description"], found["AttachmentCount"]) == ("v6", "reads", 0)
    assert code(iam.get_policy_version, PolicyArn=arn, VersionId="v5") == "NoSuchEntity"
    assert code(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    for version in ("v1", "v2", "v3", "v4"):
        iam.delete_policy_version(PolicyArn=arn, VersionId=version)
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert iam.list_policy_tags(PolicyArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    iam.untag_policy(PolicyArn=arn, TagKeys=["a"])
    iam.delete_policy(PolicyArn=arn)
    assert code(iam.get_policy, PolicyArn=arn) == "NoSuchEntity"


@pytest.mark.parametrize("kind", ["user", "role", "group"])
def test_policies_are_attached_and_put(iam, kind):
    """Of users, roles and groups alike; what is attached is not deleted; who has a policy is listed."""
    who = {f"{kind.capitalize()}Name": new_name(kind)}

    def call(what, **more):
        return getattr(iam, what.replace("KIND", kind))(**who, **more)

    call("create_KIND", **({"AssumeRolePolicyDocument": trusting("*")} if kind == "role" else {}))
    name = new_name("policy")
    arn = iam.create_policy(PolicyName=name, PolicyDocument=READ)["Policy"]["Arn"]
    ready = "arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess"
    call("attach_KIND_policy", PolicyArn=arn)
    call("attach_KIND_policy", PolicyArn=arn)
    call("attach_KIND_policy", PolicyArn=ready)
    nothing = f"{arn}x"

    assert code(lambda: call("attach_KIND_policy", PolicyArn=nothing)) == "NoSuchEntity"
    attached = call("list_attached_KIND_policies")["AttachedPolicies"]
    assert [one["PolicyArn"] for one in attached] == sorted([arn, ready])
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    entities = iam.list_entities_for_policy(PolicyArn=arn)[f"Policy{kind.capitalize()}s"]
    assert [one[f"{kind.capitalize()}Name"] for one in entities] == list(who.values())
    assert code(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    call("detach_KIND_policy", PolicyArn=arn)
    assert code(lambda: call("detach_KIND_policy", PolicyArn=arn)) == "NoSuchEntity"
    iam.delete_policy(PolicyArn=arn)

    call("put_KIND_policy", PolicyName="one", PolicyDocument=READ)
    call("put_KIND_policy", PolicyName="two", PolicyDocument=READ)
    call("put_KIND_policy", PolicyName="one", PolicyDocument=json.dumps(allow("ssm:Get*")))
    assert call("list_KIND_policies")["PolicyNames"] == ["one", "two"]
    assert call("get_KIND_policy", PolicyName="one")["PolicyDocument"] == allow("ssm:Get*")
    assert code(lambda: call("put_KIND_policy", PolicyName="bad", PolicyDocument="{}")) == "MalformedPolicyDocument"
    long = json.dumps(allow(*(f"ssm:Get{number}" for number in range(900))))
    assert code(lambda: call("put_KIND_policy", PolicyName="long", PolicyDocument=long)) == "LimitExceeded"
    call("delete_KIND_policy", PolicyName="two")
    assert code(lambda: call("delete_KIND_policy", PolicyName="two")) == "NoSuchEntity"
    assert code(lambda: call("get_KIND_policy", PolicyName="two")) == "NoSuchEntity"


def test_what_comes_with_the_product_is_listed_and_cannot_be_changed(iam):
    """AWS's names are among them; each has one version, which can be read."""
    listed = [one for page in iam.get_paginator("list_policies").paginate(Scope="AWS") for one in page["Policies"]]
    assert {"PatchwrightOperator", "AdministratorAccess"} <= {one["PolicyName"] for one in listed}
    for one in listed:
        version = iam.get_policy_version(PolicyArn=one["Arn"], VersionId="v1")["PolicyVersion"]
        assert version["Document"]["Statement"]
        assert iam.list_policy_versions(PolicyArn=one["Arn"])["Versions"][0]["IsDefaultVersion"] is True
        assert code(iam.delete_policy, PolicyArn=one["Arn"]) == "InvalidInput"
    pages = list(iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 3}))
    names = [one["PolicyName"] for page in pages for one in page["Policies"]]
    assert len(names) == len(set(names)) >= len(listed)


def test_a_user_has_two_keys_at_most_and_their_secret_is_shown_once(iam, people, user):
    """One in use, one that replaces it."""
    first, second = (iam.create_access_key(UserName=user)["AccessKey"] for _ in range(2))

    assert code(iam.create_access_key, UserName=user) == "LimitExceeded"
    shown = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    assert {one["AccessKeyId"]: one["Status"] for one in shown} == {
        first["AccessKeyId"]: "Active",
        second["AccessKeyId"]: "Active",
    }
    assert all("Secret" not in name for one in shown for name in one)
    assert iam.get_access_key_last_used(AccessKeyId=first["AccessKeyId"])["AccessKeyLastUsed"]["ServiceName"] == "N/A"
    mine = people.client(
        "sts",
        {"aws_access_key_id": first["AccessKeyId"], "aws_secret_access_key": first["SecretAccessKey"]},
        region="eu-west-1",
    )
    mine.get_caller_identity()
    used = iam.get_access_key_last_used(AccessKeyId=first["AccessKeyId"])
    assert used["UserName"] == user
    assert (used["AccessKeyLastUsed"]["ServiceName"], used["AccessKeyLastUsed"]["Region"]) == ("sts", "eu-west-1")
    iam.update_access_key(UserName=user, AccessKeyId=first["AccessKeyId"], Status="Inactive")
    iam.delete_access_key(UserName=user, AccessKeyId=second["AccessKeyId"])
    assert code(iam.delete_access_key, UserName=user, AccessKeyId=second["AccessKeyId"]) == "NoSuchEntity"
    other = new_name("user")
    iam.create_user(UserName=other)
    assert code(iam.delete_access_key, UserName=other, AccessKeyId=first["AccessKeyId"]) == "NoSuchEntity"
    assert code(iam.update_access_key, AccessKeyId=first["AccessKeyId"], Status="Active") == "NoSuchEntity"


def test_a_boundary_limits_and_is_shown(iam, user):
    """It is a policy that exists; while it limits somebody it is not deleted."""
    arn = iam.create_policy(PolicyName=new_name("limit"), PolicyDocument=READ)["Policy"]["Arn"]
    assert code(iam.put_user_permissions_boundary, UserName=user, PermissionsBoundary=f"{arn}x") == "NoSuchEntity"
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=arn)
    shown = iam.get_user(UserName=user)["User"]["PermissionsBoundary"]
    assert shown == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    assert code(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    iam.delete_user_permissions_boundary(UserName=user)
    assert "PermissionsBoundary" not in iam.get_user(UserName=user)["User"]
    iam.delete_policy(PolicyArn=arn)


def test_without_a_name_it_is_about_who_asks(iam, people, account):
    """Root has no user, and keys of its own."""
    name, keys = people.user(allow("iam:*"))
    mine = people.client("iam", keys)

    assert mine.get_user()["User"]["UserName"] == name
    assert iam.get_user()["User"]["Arn"] == f"arn:aws:iam::{account}:root"
    assert [one["AccessKeyId"] for one in mine.list_access_keys()["AccessKeyMetadata"]] == [keys["aws_access_key_id"]]
    assert people.root["aws_access_key_id"] in {
        one["AccessKeyId"] for one in iam.list_access_keys()["AccessKeyMetadata"]
    }


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("create_user", {}),
        ("create_user", {"UserName": "a b"}),
        ("create_user", {"UserName": "x" * 65}),
        ("create_user", {"UserName": "a", "Path": "no-slash"}),
        ("update_access_key", {"AccessKeyId": "AKIA0000000000000000", "Status": "Gone"}),
        ("list_users", {"MaxItems": 0}),
        ("create_role", {"RoleName": "r"}),
    ],
)
def test_what_the_model_forbids_is_refused_in_its_words(iam, operation, members):
    """ValidationError, which names the member."""
    assert code(getattr(iam, operation), **members) == "ValidationError"


def test_what_somebody_may_can_be_asked_without_doing_it(iam, account):
    """By action and resource, under the conditions that are given; the boundary and the groups count."""
    name, group = new_name("simulated"), new_name("group")
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    tagged = {"Condition": {"StringEquals": {"ssm:resourceTag/env": "dev"}}}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(allow("ssm:SendCommand", **tagged)))
    iam.create_group(GroupName=group)
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "ssm:Delete*", "Resource": "*"}]}
    iam.put_group_policy(GroupName=group, PolicyName="no", PolicyDocument=json.dumps(deny))
    iam.add_user_to_group(GroupName=group, UserName=name)

    def ask(*actions, **more):
        pages = iam.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=arn, ActionNames=list(actions), PaginationConfig={"PageSize": 2}, **more
        )
        return [(one["EvalActionName"], one["EvalDecision"]) for page in pages for one in page["EvaluationResults"]]

    dev = [{"ContextKeyName": "ssm:resourceTag/env", "ContextKeyValues": ["dev"], "ContextKeyType": "string"}]
    assert ask("ssm:SendCommand", "ssm:DeleteDocument", "ssm:GetDocument", ContextEntries=dev) == [
        ("ssm:SendCommand", "allowed"),
        ("ssm:DeleteDocument", "explicitDeny"),
        ("ssm:GetDocument", "implicitDeny"),
    ]
    assert ask("ssm:SendCommand") == [("ssm:SendCommand", "implicitDeny")]
    call = iam.simulate_principal_policy
    assert code(call, PolicySourceArn=f"{arn}x", ActionNames=["ssm:GetDocument"]) == "NoSuchEntity"
    assert code(call, PolicySourceArn=arn, ActionNames=["a:b"], PolicyInputList=[READ]) == "InvalidInput"
    assert code(call, PolicySourceArn=arn, ActionNames=["a:b"] * 40, ResourceArns=["*"] * 40) == "InvalidInput"
