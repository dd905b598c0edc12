# SPDX-License-Identifier: Apache-2.0
"""What users with policies can do and cannot, on the whole server; and what a window may do in their name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from patchwright.server import commands
from patchwright.server.accounts import USER, Authorities, Principal, Scope, Session, recall, remember
from patchwright.server.aws.authority import Warden
from patchwright.server.wire import ApiError
from server.aws.granted import document, grant, new_user, statement
from server.aws.test_authority_table import OF_USERS, REQUESTS, Granted, caller
from server.windows.stage import Stage

DOCUMENT = "arn:aws:ssm:*::document/AWS-RunPatchBaseline"
NODES = "arn:aws:ssm:*:*:managed-instance/*"
DEV = {"StringEquals": {"ssm:resourceTag/env": "dev"}}
SCAN = {"StringEquals": {"ssm:DocumentParameter/Operation": "Scan"}}
# The way AWS's own guide limits Run Command by tags: the document freely, nodes under a condition.
SCANS_DEV = (
    statement("ssm:SendCommand", resource=DOCUMENT, **SCAN),
    statement("ssm:SendCommand", resource=NODES, StringEquals={**DEV["StringEquals"], **SCAN["StringEquals"]}),
    statement("ssm:GetCommandInvocation", "ssm:ListCommandInvocations"),
)


@pytest.fixture
async def fleet(house):
    """Two nodes tagged env=dev, one env=prod, one with no tags."""
    return [await house.enrol(tags={"env": env} if env else {}) for env in ("dev", "dev", "prod", "")]


def command(*nodes, operation="Scan", **members):
    """A SendCommand to nodes, or to whatever *members* say."""
    named = {"InstanceIds": [node.instance_id for node in nodes]} if nodes else {}
    return {"DocumentName": "AWS-RunPatchBaseline", "Parameters": {"Operation": [operation]}, **named, **members}


def everywhere(key, *values):
    """Targets by tag."""
    return {"Targets": [{"Key": key, "Values": list(values)}]}


async def waits(house, node):
    """Whether a command waits for a node."""
    scope = Scope(house.account, node.region)
    return await house.wired.database.read(commands.waiting, scope, node.instance_id, now=house.clock.now())


async def refusal(house, key, target, body):
    """The text of an AccessDeniedException."""
    answer = await house.call(target, body, key=key)
    assert (answer.status, answer.code) == (400, "AccessDeniedException"), answer.body
    return answer.json["message"]


async def test_who_has_no_policy_is_denied_by_the_server(house):
    """Every operation of users, on the wire: AccessDeniedException, and nothing is read or changed."""
    anna = await new_user(house, "anna")
    before = await house.dump()
    for target in OF_USERS:
        if not target.startswith(("iam.", "sts.")):  # which speaks another protocol
            code = await house.code(target, REQUESTS[target], key=anna)
            assert code in {"AccessDeniedException", "ValidationException"}, (
                target
            )  # made-up ids may not be of the form
    after = await house.dump()
    assert {name: rows for name, rows in after.items() if "audit" not in name} == {
        name: rows for name, rows in before.items() if "audit" not in name
    }


async def test_a_user_scans_the_nodes_of_a_tag_and_nothing_else(house, fleet):
    """By id: every node has to be allowed; nothing else of the account is."""
    one, two, prod, plain = fleet
    anna = await new_user(house, "anna", *SCANS_DEV)

    sent = await house.ask("AmazonSSM.SendCommand", command(one, two), key=anna)
    assert sent["Command"]["TargetCount"] == 2
    assert await waits(house, one)

    for nodes in ((prod,), (plain,), (one, prod)):
        text = await refusal(house, anna, "AmazonSSM.SendCommand", command(*nodes))
        assert text == (
            f"User: arn:aws:iam::{house.account}:user/anna is not authorized to perform: ssm:SendCommand on resource:"
            f" arn:aws:ssm:us-east-1:{house.account}:managed-instance/{nodes[-1].instance_id} because no identity-based"
            " policy allows the ssm:SendCommand action"
        )
    await refusal(house, anna, "AmazonSSM.SendCommand", command(one, operation="Install"))
    await refusal(house, anna, "AmazonSSM.SendCommand", command(operation="Install", **everywhere("tag:env", "dev")))
    await refusal(house, anna, "AmazonSSM.DescribeInstanceInformation", {})
    await refusal(
        house,
        anna,
        "AmazonSSM.AddTagsToResource",
        {"ResourceType": "ManagedInstance", "ResourceId": prod.instance_id, "Tags": [{"Key": "env", "Value": "dev"}]},
    )


async def test_targets_reach_whom_the_caller_may_reach_and_say_so_of_the_others(house, fleet):
    """AccessDenied invocations in the same command (spec §5.2); they count to no error budget, and no node hears of them."""
    one, two, prod, plain = fleet
    anna = await new_user(house, "anna", *SCANS_DEV)
    sent = await house.ask("AmazonSSM.SendCommand", command(**everywhere("InstanceIds", "*")), key=anna)
    assert (sent["Command"]["TargetCount"], sent["Command"]["Status"]) == (4, "Pending")

    found = await house.ask("AmazonSSM.ListCommandInvocations", {"CommandId": sent["Command"]["CommandId"]}, key=anna)
    stands = {one["InstanceId"]: (one["Status"], one["StatusDetails"]) for one in found["CommandInvocations"]}
    assert stands == {
        one.instance_id: ("Pending", "Pending"),
        two.instance_id: ("Pending", "Pending"),
        prod.instance_id: ("Failed", "AccessDenied"),
        plain.instance_id: ("Failed", "AccessDenied"),
    }
    assert [await waits(house, node) for node in (one, prod)] == [True, False]


async def test_a_command_that_may_reach_nobody_has_failed(house, fleet):
    """At once; as root the same reaches everybody."""
    anna = await new_user(house, "anna", *SCANS_DEV)
    body = command(**everywhere("tag:env", "prod"))
    sent = (await house.ask("AmazonSSM.SendCommand", body, key=anna))["Command"]
    assert (sent["Status"], sent["TargetCount"]) == ("Failed", 1)
    sent = (await house.ask("AmazonSSM.SendCommand", body))["Command"]
    assert (sent["Status"], sent["TargetCount"]) == ("Pending", 1)


async def test_the_rest_of_a_command_goes_its_way(house, fleet):
    """One node at a time; those that were denied take no turn, and the others' success is the command's."""
    one, two, *_ = fleet
    anna = await new_user(house, "anna", *SCANS_DEV)
    body = command(**everywhere("tag-key", "env"), MaxConcurrency="1")
    sent = (await house.ask("AmazonSSM.SendCommand", body, key=anna))["Command"]
    assert sent["TargetCount"] == 3
    for node in sorted((one, two), key=lambda node: str(node.instance_id)):
        assert len(await house.messages(node)) == 1
        assert (await house.reply(node, sent["CommandId"], "Success")).status == 200
    found = await house.ask("AmazonSSM.ListCommandInvocations", {"CommandId": sent["CommandId"]}, key=anna)
    assert sorted(one["StatusDetails"] for one in found["CommandInvocations"]) == ["AccessDenied", "Success", "Success"]


async def test_a_changed_policy_is_in_force_within_a_second(house, fleet):
    """Also one that is taken away, and a user who is gone."""
    access, account = house.wired.access, house.account
    anna = await new_user(house, "anna", statement("ssm:DescribeInstanceInformation"))
    target, body = "AmazonSSM.DescribeInstanceInformation", {}
    await house.ask(target, body, key=anna)
    await grant(house, "anna", statement("ssm:GetDocument"))
    house.clock.time += 1
    await refusal(house, anna, target, body)
    await grant(house, "anna", statement("ssm:*"))
    house.clock.time += 1
    await house.ask(target, body, key=anna)
    await access.attachments.remove(account, USER, "anna", policy="own")
    house.clock.time += 1
    await refusal(house, anna, target, body)


async def test_an_authority_says_what_the_groups_say_too(house):
    """And ready-made policies, by the ARNs of AWS's names; a policy that is gone denies."""
    access, account = house.wired.access, house.account
    await new_user(house, "anna")
    await access.identities.create(account, "group", "web")
    await access.identities.join(account, "web", "anna")
    identity, _ = await access.identities.get(account, USER, "anna")
    principal = Principal(account, identity.arn, USER, identity.id)
    authorities = Authorities(house.wired.database, lambda: house.clock.time)

    async def allowed(action):
        house.clock.time += 1
        return (await authorities.of(principal)).decide(action, "*", {}).allowed

    assert not await allowed("ssm:GetDocument")
    await access.attachments.attach(account, "group", "web", "arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess")
    assert await allowed("ssm:GetDocument")
    assert not await allowed("ssm:SendCommand")
    await access.attachments.attach(account, USER, "anna", "arn:aws:iam::aws:policy/AdministratorAccess")
    assert await allowed("ssm:SendCommand")
    await access.identities.set_boundary(account, USER, "anna", "arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess")
    assert not await allowed("ssm:SendCommand")
    assert await allowed("ssm:GetDocument")


def test_a_principal_is_remembered_whole():
    """With what limits its session and without its keys."""
    session = Session("ASIA1", "1", "AROA1", "AKIA1", 1.0, 2.0, "s", "", (("a", "b"),), ("a",), ("{}",), ("arn:x",))
    principal = Principal("1", "arn:aws:sts::1:assumed-role/r/s", "role", "AROA1", "ASIA1", session)
    text = remember(principal)
    assert "ASIA1" not in text
    assert "AKIA1" not in text
    found = recall(text)
    assert (found.id, found.arn, found.session.tags, found.session.policies) == (
        "AROA1",
        principal.arn,
        session.tags,
        session.policies,
    )


REGISTERS = (
    statement("ssm:*MaintenanceWindow*", "ssm:CreateMaintenanceWindow"),
    statement("iam:PassRole"),
)


class Owned(Stage):
    """A window, tasks of which belong to a user."""

    def __init__(self, house, key):
        super().__init__(house)
        self.key = key

    async def ask(self, operation, **members):
        """The answer of an operation, asked by the user."""
        return await self.house.ask(f"AmazonSSM.{operation}", members, key=self.key)


@pytest.mark.parametrize("by_root", [False, True])
async def test_a_windows_task_runs_with_the_rights_of_who_changed_it_last(house, fleet, by_root):
    """Whoever may register a task reaches no node by it that a command of theirs would not reach."""
    one, _, prod, _ = fleet
    stage = Owned(house, await new_user(house, "anna", *REGISTERS, *SCANS_DEV))
    await stage.window()
    task = await stage.task(await stage.target(Targets=[{"Key": "tag-key", "Values": ["env"]}]))
    if by_root:
        await Stage(house).ask("UpdateMaintenanceWindowTask", WindowId=stage.id, WindowTaskId=task, Description="ours")
    await stage.tend()
    assert [await waits(house, node) for node in (one, prod)] == [True, by_root]


async def test_a_task_whose_owner_may_not_send_it_any_more_fails_and_says_why(house, fleet):
    """The policy of the day it runs counts, not that of the day it was registered."""
    anna = await new_user(house, "anna", *REGISTERS, *SCANS_DEV)
    stage = Owned(house, anna)
    await stage.window()
    await stage.task(await stage.target(Targets=[{"Key": "tag:env", "Values": ["dev"]}]))
    await grant(house, "anna", *REGISTERS)
    await stage.tend()
    execution = (await stage.executions())[0]
    assert execution["Status"] == "FAILED"
    (task,) = (
        await stage.ask("DescribeMaintenanceWindowExecutionTasks", WindowExecutionId=execution["WindowExecutionId"])
    )["WindowExecutionTaskIdentities"]
    assert (
        f"user/anna is not authorized to perform: ssm:SendCommand on resource: {DOCUMENT[:8]}" in task["StatusDetails"]
    )


async def test_a_task_that_may_not_install_does_not(house, fleet):
    """The parameters of the task are held to the policy as those of a command are."""
    anna = await new_user(house, "anna", *REGISTERS, *SCANS_DEV)
    stage = Owned(house, anna)
    await stage.window()
    await stage.task(
        await stage.target(Targets=[{"Key": "tag:env", "Values": ["dev"]}]), Parameters={"Operation": ["Install"]}
    )
    await stage.tend()
    assert (await stage.executions())[0]["Status"] == "FAILED"
    assert not any([await waits(house, node) for node in fleet])


async def test_a_path_shows_nothing_that_is_denied(house):
    """That `/` is allowed does not beat the deny of what is below it, by name or by tag; AWS would show it."""
    for name, env in (("/app/a", "dev"), ("/app/b", "prod"), ("/prod/c", "dev")):
        tags = [{"Key": "env", "Value": env}]
        await house.ask("AmazonSSM.PutParameter", {"Name": name, "Value": "x", "Type": "SecureString", "Tags": tags})
    reads = statement("ssm:GetParametersByPath")
    everything = {"Path": "/", "Recursive": True, "WithDecryption": True}

    async def shown(*denied):
        key = await new_user(house, f"anna{len(names)}", reads, *denied)
        names.append(key)
        answer = await house.ask("AmazonSSM.GetParametersByPath", everything, key=key)
        return [one["Name"] for one in answer["Parameters"]]

    names = []
    assert await shown() == ["/app/a", "/app/b", "/prod/c"]
    prod = "arn:aws:ssm:*:*:parameter/prod/*"
    assert await shown(statement("ssm:GetParameter*", resource=prod, effect="Deny")) == ["/app/a", "/app/b"]
    by_tag = statement("ssm:*", effect="Deny", StringEquals={"ssm:resourceTag/env": "prod"})
    assert await shown(by_tag) == ["/app/a", "/prod/c"]


async def test_a_session_has_its_roles_rights_within_its_own(house):
    """Its policies limit, its tags are put over the role's; a role that is gone has nothing."""
    access, account = house.wired.access, house.account
    trust = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}]}'
    role = await access.identities.create(account, "role", "patcher", trust=trust, tags={"team": "web", "site": "a"})
    allowed = document(
        statement("ssm:Get*", "ssm:Put*", StringEquals={"aws:PrincipalTag/team": "db", "aws:PrincipalTag/site": "a"})
    )
    await access.attachments.put(account, "role", "patcher", policy="own", document=allowed)
    authorities = Authorities(house.wired.database, lambda: house.clock.time)

    def session(**more):
        said = Session("ASIA1", account, role.id, "AKIA1", 1.0, 2.0, "s", tags=(("team", "db"),), **more)
        arn = f"arn:aws:sts::{account}:assumed-role/patcher/s"
        return Principal(account, arn, "role", role.id, "ASIA1", said)

    async def decide(principal, action):
        house.clock.time += 1
        return (await authorities.of(principal)).decide(action, "*", (await authorities.of(principal)).context)

    assert (await decide(session(), "ssm:PutParameter")).allowed
    limited = session(policies=(document(statement("ssm:Get*")),))
    assert (await decide(limited, "ssm:GetParameter")).allowed
    assert "no session policy allows" in (await decide(limited, "ssm:PutParameter")).reason
    ready = session(policy_arns=("arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess",))
    assert [(await decide(ready, f"ssm:{one}")).allowed for one in ("GetParameter", "PutParameter")] == [True, False]
    gone = session(policy_arns=(f"arn:aws:iam::{account}:policy/gone",))
    assert not (await decide(gone, "ssm:GetParameter")).allowed
    assert not (await decide(recall(remember(limited)), "ssm:PutParameter")).allowed

    await access.attachments.remove(account, "role", "patcher", policy="own")
    await access.identities.delete(account, "role", "patcher")
    assert not (await decide(session(), "ssm:GetParameter")).allowed


async def test_a_user_is_known_by_its_path_whatever_it_is_called(house):
    """A deny of a path holds for whoever is there, in any case of the name; a rename into it is asked as well."""
    access, account = house.wired.access, house.account
    await access.identities.create(account, "user", "Boss", path="/admins/")
    await access.identities.create(account, "user", "otto", tags={"team": "web"})
    admins = f"arn:aws:iam::{account}:user/admins/*"
    own = document(statement("iam:*"), statement("iam:*", resource=admins, effect="Deny"))
    tagged = document(statement("iam:*", StringEquals={"iam:ResourceTag/team": "web"}))

    async def refusal(policies, operation, **request_):
        async def handler(_caller, _request):
            return {}

        warden = Warden(house.wired.database, house.clock, Granted(policies))
        asking = replace(caller(f"iam.{operation}"), account=account)
        try:
            await warden.guarded({f"iam.{operation}": handler})[f"iam.{operation}"](asking, request_)
        except ApiError as error:
            return error.message
        return ""

    for name in ("Boss", "boss", "BOSS"):
        assert "user/admins/Boss with an explicit deny" in await refusal(own, "DeleteUser", UserName=name)
        assert await refusal(own, "AttachUserPolicy", UserName=name, PolicyArn="arn:aws:iam::aws:policy/X")
    assert not await refusal(own, "DeleteUser", UserName="otto")
    assert not await refusal(own, "UpdateUser", UserName="otto", NewUserName="ott")
    assert "user/admins/otto" in await refusal(own, "UpdateUser", UserName="otto", NewPath="/admins/")
    assert "user/admins/x" in await refusal(own, "CreateUser", UserName="x", Path="/admins/")
    assert not await refusal(tagged, "DeleteUser", UserName="otto")
    assert await refusal(tagged, "DeleteUser", UserName="boss")
