# SPDX-License-Identifier: Apache-2.0
"""The table of what operations ask for: whole, true to the models, and the same resource whatever it is called."""

from __future__ import annotations

import json
import os
import random
from unittest.mock import MagicMock

import pytest

from patchwright.server import aws, gateway
from patchwright.server.accounts import Authorities, Authority, Principal, policy, root_of
from patchwright.server.accounts.authority import made
from patchwright.server.aws.authority import TABLE, Access, Rule
from patchwright.server.aws.authority.warden import Warden
from patchwright.server.wire import ANONYMOUS, ANY, AUDIENCE, NODE, USER, ApiError, Caller
from server.aws.tenant import Tenant
from server.wire.client import MODELS, NOW
from server.wire.made_up import Impossible, Maker

ACCOUNT, REGION = "000000000001", "us-east-1"
SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))
TIMES = 60 if os.environ.get("PATCHWRIGHT_FULL") == "1" else 4  # made-up requests to each operation
MINE = "mi-0123456789abcdef0"
SERVICES = {"AmazonSSM": "ssm", "EC2WindowsMessageDeliveryService": "ec2messages", "Patchwright": "patchwright"}
OPEN = {"sts.GetCallerIdentity", "sts.GetSessionToken"}  # for everybody
SERVED = sorted({**aws.operations(MagicMock()), **gateway.operations(MagicMock())})


def audience(target):
    """Who may call."""
    return AUDIENCE.get(target) or AUDIENCE.get(target.partition(".")[0], USER)


OF_USERS = [target for target in SERVED if audience(target) in {USER, ANY} and target not in OPEN]


def caller(target, *, node=False, name="anna"):
    """Somebody who asks."""
    principal = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    identity = Principal(ACCOUNT, principal, "user", "AIDAANNA")
    if name == "root":
        identity = root_of(ACCOUNT)
    if node:
        principal = f"arn:aws:ssm:{REGION}:{ACCOUNT}:managed-instance/{MINE}"
        identity = Principal(ACCOUNT, principal, "node", MINE)
    kind = "node" if node else "user"
    return Caller(
        ACCOUNT,
        REGION,
        principal,
        kind,
        MINE if node else None,
        "r-1",
        "192.0.2.7",
        target,
        "AKIA",
        identity,
        secure=True,
    )


class Granted:
    """Authorities that give everybody the same documents."""

    def __init__(self, *documents, **more):
        self.documents = documents
        self.more = more

    async def of(self, principal):
        return made(principal, self.documents, **self.more)


class Labels:
    """A database in which the resources have these tags, whichever they are."""

    def __init__(self, **labels):
        self.labels = labels

    async def read(self, unit, *arguments, **more):
        work = unit(*arguments, **more)
        try:
            statement = next(work)
            while True:
                asked = (
                    statement.params[2:] if " tag " in statement.text else ()
                )  # types and ids; what is neither is passed over
                rows = [(kind, name, *label) for kind in asked for name in asked for label in self.labels.items()]
                statement = work.send(rows)
        except StopIteration as end:
            return end.value


class Clock:
    def now(self):
        return NOW


class Gate:
    """A warden before handlers that note that they were reached."""

    def __init__(self, *documents, labels=None, table=TABLE, **more):
        self.warden = Warden(Labels(**(labels or {})), Clock(), Granted(*documents, **more), table)

    async def refusal(self, target, request, **who):
        """The text of the refusal; empty where the handler is reached."""
        reached = []

        async def handler(_caller, given):
            reached.append(given)
            return {"Parameters": []}

        guarded = self.warden.guarded({target: handler})[target]
        try:
            await guarded(caller(target, **who), request)
        except ApiError as error:
            refused = error
        else:
            refused = None
        assert len(reached) == (refused is None)
        assert refused is None or refused.code == "AccessDeniedException"
        return "" if refused is None else refused.message


def statement(*actions, resource="*", effect="Allow", **conditions):
    """A statement."""
    found = {"Effect": effect, "Action": list(actions), "Resource": resource}
    return {**found, "Condition": conditions} if conditions else found


def document(*statements):
    """A policy of *statements*."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def requests():
    """A request to each operation that users call, by target."""
    tenant = Tenant(MagicMock(account=ACCOUNT), REGION)
    plain = {"ids": [MINE, "mi-1"], "window": {"WindowId": "mw-0123456789abcdef0"}}
    for name in ("activation", "baseline", "command", "feed", "parameter", "policy", "target", "task"):
        plain[name] = f"made-up-{name}"
    plain["policy"] = {"PolicyId": "p", "PolicyHash": "h"}
    plain["parameter"] = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/p"
    plain["setting"] = {"SettingId": "/ssm/x"}
    for name, value in plain.items():
        setattr(tenant, name, value)
    asked = {**tenant.reads(), **tenant.writes()}
    found = {name if "." in name else f"AmazonSSM.{name}": body for name, body in asked.items()}
    for target in OF_USERS:
        if target not in found:
            key, _, name = target.partition(".")
            model = MODELS.service(key).model
            shape = model["operations"][name].get("input", {}).get("shape")
            found[target] = Bare(model["shapes"], random.Random(target)).value(shape) if shape else {}
    return found


class Bare(Maker):
    """Makes nothing but what is required."""

    def _structure(self, shape, depth):
        return super()._structure(
            {**shape, "members": {one: shape["members"][one] for one in shape.get("required", ())}}, depth
        )


REQUESTS = requests()


def test_every_served_operation_is_in_the_table():
    """What is not there would be for root alone, and nobody could be given it."""
    assert [target for target in SERVED if target not in TABLE] == []


def test_the_table_speaks_of_operations_that_there_are():
    """Under AWS's action of the same name; only identities are of services that may come later."""
    for target, rule in TABLE.items():
        key, _, name = target.partition(".")
        assert rule.action == f"{SERVICES.get(key, key)}:{name}"
        if key not in {"EC2WindowsMessageDeliveryService", "Patchwright"}:
            assert MODELS.operation(target) is not None, target


def test_what_changes_nothing_is_called_so():
    """By its name: gets, descriptions and lists change nothing, nothing else is a mere answer."""
    fetches = {"EC2WindowsMessageDeliveryService.GetMessages"}  # hands commands over
    answers = {"Patchwright.ExportAuditTrail", "Patchwright.VerifyAuditTrail"}
    for target, rule in TABLE.items():
        name = target.partition(".")[2]
        reads = name.startswith(("Describe", "Get", "List", "Simulate")) and target not in fetches
        assert rule.access.changes is not (reads or target in answers), target


def test_nobody_needs_permission_only_to_say_who_one_is_and_to_enrol():
    """Whoever signs may ask who it is; a machine that enrols has an activation's code instead."""
    assert {target for target, rule in TABLE.items() if rule.free} == {
        "AmazonSSM.RegisterManagedInstance",
        "Patchwright.Enroll",
        "sts.GetCallerIdentity",
        "sts.GetSessionToken",
    }
    assert OPEN < {target for target, rule in TABLE.items() if rule.free}
    assert all(audience(target) == ANONYMOUS for target in ("AmazonSSM.RegisterManagedInstance", "Patchwright.Enroll"))


def test_there_is_a_request_to_every_operation_of_users():
    """So that none is left out below."""
    assert [target for target in OF_USERS if target not in REQUESTS] == []


async def test_who_has_no_policy_is_denied_everything():
    """Before the handler, in AWS's words."""
    gate = Gate()
    for target in OF_USERS:
        rule = TABLE[target]
        text = await gate.refusal(target, REQUESTS[target])
        assert text.startswith(f"User: arn:aws:iam::{ACCOUNT}:user/anna is not authorized to perform: {rule.action} on")
        assert text.endswith(f"because no identity-based policy allows the {rule.action} action"), target


async def test_an_auditor_reads_everything_and_changes_nothing():
    """Found from the table, operation by operation."""
    gate = Gate(policy.READY["auditor"])
    for target in OF_USERS:
        refused = bool(await gate.refusal(target, REQUESTS[target]))
        assert refused is TABLE[target].access.changes, target


async def test_an_auditor_reads_no_secret():
    """What there is, and not what it says."""
    gate = Gate(policy.READY["auditor"])
    for operation in ("GetParameter", "GetParameters", "GetParameterHistory", "GetParametersByPath"):
        request_ = REQUESTS[f"AmazonSSM.{operation}"]
        assert not await gate.refusal(f"AmazonSSM.{operation}", {**request_, "WithDecryption": False})
        assert await gate.refusal(f"AmazonSSM.{operation}", {**request_, "WithDecryption": True})


async def test_an_administrator_may_do_everything():
    """In its account."""
    gate = Gate(policy.READY["administrator"])
    assert [target for target in OF_USERS if await gate.refusal(target, REQUESTS[target])] == []


async def test_root_may_do_everything_and_is_not_asked():
    """Also what the table does not know; nothing is read for it."""
    gate = Gate(table={})
    gate.warden = Warden(None, Clock(), Authorities(None, lambda: 0.0), {})
    root = {"name": "root"}
    for target in OF_USERS:
        assert not await gate.refusal(target, REQUESTS[target], **root), target


async def test_one_action_allows_one_operation():
    """And no other; what hands a role on or sets tags asks for more than its own name."""
    more = {"SendCommand", "CreateActivation", "UpdateManagedInstanceRole", "RegisterTaskWithMaintenanceWindow"}
    for target in OF_USERS:
        gate = Gate(document(statement(TABLE[target].action, "iam:PassRole", "ssm:AddTagsToResource")))
        assert not await gate.refusal(target, REQUESTS[target]), target
        others = [one for one in OF_USERS if one not in {target, "AmazonSSM.AddTagsToResource"}]
        assert await gate.refusal(others[0], REQUESTS[others[0]]), target
    assert more <= {target.partition(".")[2] for target in OF_USERS}


async def test_what_the_table_does_not_know_is_for_root_alone():
    """Denied, whatever a policy allows."""
    gate = Gate(document(statement("*")), table={})
    text = await gate.refusal("AmazonSSM.GetDocument", {"Name": "x"})
    assert "AmazonSSM.GetDocument" in text


def test_an_authority_without_policies_allows_nothing():
    """One that is gone has nothing, not even a policy that could be silent."""
    verdict = Authority(Principal(ACCOUNT, "arn:x", "user", "AIDA")).decide("ssm:GetDocument", "*", {})
    assert verdict == (False, "because no identity-based policy allows the ssm:GetDocument action", False)


async def test_a_node_may_do_what_nodes_are_asked_to_do_and_only_as_itself():
    """What its audience lets in, its policy allows; of any other node it is refused."""
    gate = Gate(policy.READY["node"])
    of_nodes = [target for target in SERVED if audience(target) in {NODE, ANY}]
    bodies = {
        "EC2WindowsMessageDeliveryService.GetMessages": {"Destination": MINE},
        "AmazonSSM.UpdateInstanceInformation": {"InstanceId": MINE},
        **{target: body for target, body in REQUESTS.items() if target in of_nodes},
    }
    named = {"InstanceId", "Destination", "ResourceId"}
    for target in of_nodes:
        body = {name: MINE if name in named else value for name, value in bodies.get(target, {}).items()}
        assert not await gate.refusal(target, body, node=True), target
        other = {name: "mi-fedcba98765432100" if name in named else value for name, value in body.items()}
        if other != body:
            assert "speaks for itself alone" in await gate.refusal(target, other, node=True), target


async def test_a_node_may_do_nothing_that_users_do():
    """Behind the wall of the audience there is this one."""
    gate = Gate(policy.READY["node"])
    for target in OF_USERS:
        if audience(target) == USER:
            assert await gate.refusal(target, REQUESTS[target], node=True), target


DOCUMENTS = "arn:aws:ssm:us-east-1:000000000001:document/our"
PRODUCT = "arn:aws:ssm:us-east-1::document/AWS-RunPatchBaseline"
BASELINE = "arn:aws:ssm:us-east-1:000000000001:patchbaseline/pb-0123456789abcdef0"
PARAMETER = "arn:aws:ssm:us-east-1:000000000001:parameter/a/b"


@pytest.mark.parametrize(
    ("operation", "member", "arn", "names"),
    [
        ("GetDocument", "Name", DOCUMENTS, ("our", DOCUMENTS, DOCUMENTS.replace("aws:ssm", "aws-cn:ssm"))),
        (
            "GetDocument",
            "Name",
            PRODUCT,
            ("AWS-RunPatchBaseline", PRODUCT, PRODUCT.replace("::", ":000000000001:")),
        ),
        ("GetPatchBaseline", "BaselineId", BASELINE, ("pb-0123456789abcdef0", BASELINE)),
        (
            "GetParameter",
            "Name",
            PARAMETER,
            ("/a/b", " /a/b ", "/a/b:3", "/a/b:live", PARAMETER, f"{PARAMETER}:3"),
        ),
        ("GetParameter", "Name", PARAMETER.replace("/a/b", "/p"), ("p", "/p")),
        ("GetServiceSetting", "SettingId", "arn:aws:ssm:us-east-1:000000000001:servicesetting/ssm/x", ("/ssm/x",)),
    ],
)
async def test_a_resource_is_the_same_whatever_it_is_called(operation, member, arn, names):
    """A deny of its ARN cannot be got round by another spelling."""
    target = f"AmazonSSM.{operation}"
    denied = Gate(document(statement("*"), statement("*", resource=arn, effect="Deny")))
    alone = Gate(document(statement("*", resource=arn)))
    for name in names:
        assert f"on resource: {arn} with an explicit deny" in await denied.refusal(target, {member: name}), name
        assert not await alone.refusal(target, {member: name}), name


async def test_predefined_baselines_have_one_arn():
    """By their bare id as well."""
    bare = "pb-09ca3fb51f0412ec3"
    arn = f"arn:aws:ssm:us-east-1:075727635805:patchbaseline/{bare}"
    gate = Gate(document(statement("*"), statement("*", resource=arn, effect="Deny")))
    for name in (bare, arn):
        assert await gate.refusal("AmazonSSM.GetPatchBaseline", {"BaselineId": name})


async def test_every_name_of_a_batch_has_to_be_allowed():
    """One that is not refuses the whole call, as on AWS."""
    gate = Gate(document(statement("ssm:GetParameters", resource=f"{PARAMETER[:-1]}*")))
    assert not await gate.refusal("AmazonSSM.GetParameters", {"Names": ["/a/b", "/a/b2"]})
    text = await gate.refusal("AmazonSSM.GetParameters", {"Names": ["/a/b", "/c"]})
    assert "ssm:GetParameters on resource: arn:aws:ssm:us-east-1:000000000001:parameter/c because" in text


async def test_a_listing_is_allowed_by_its_action_alone():
    """About nothing in particular: `*`, or the account's whole Systems Manager."""
    target = "AmazonSSM.DescribeInstanceInformation"
    for resource in ("*", "arn:aws:ssm:us-east-1:000000000001:*", "arn:aws:ssm:*:*:*"):
        assert not await Gate(document(statement("ssm:Describe*", resource=resource))).refusal(target, {})
    narrow = Gate(document(statement("ssm:Describe*", resource="arn:aws:ssm:*:*:managed-instance/*")))
    assert await narrow.refusal(target, {})


@pytest.mark.parametrize(
    ("operation", "request_", "conditions"),
    [
        ("PutParameter", {"Name": "/a/b", "Value": "1", "Overwrite": True}, {"Bool": {"ssm:Overwrite": "true"}}),
        ("GetParametersByPath", {"Path": "/a", "Recursive": True}, {"Bool": {"ssm:Recursive": "true"}}),
        ("GetParameter", {"Name": "/a/b", "WithDecryption": True}, {"Bool": {"ssm:WithDecryption": "true"}}),
        (
            "CreateDocument",
            {"Name": "our", "Content": "{}", "DocumentType": "Policy"},
            {"StringEquals": {"ssm:DocumentType": "Policy"}},
        ),
        ("CreateDocument", {"Name": "our", "Content": "{}"}, {"StringEquals": {"ssm:DocumentType": "Command"}}),
        (
            "CreateResourceDataSync",
            {"SyncName": "s", "SyncType": "SyncFromSource"},
            {"StringEquals": {"ssm:SyncType": "SyncFromSource"}},
        ),
        (
            "CreateMaintenanceWindow",
            {"Tags": [{"Key": "env", "Value": "dev"}]},
            {"StringEquals": {"aws:RequestTag/env": "dev"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["env"]}},
        ),
        (
            "RemoveTagsFromResource",
            {"ResourceType": "ManagedInstance", "ResourceId": MINE, "TagKeys": ["env"]},
            {"ForAllValues:StringEquals": {"aws:TagKeys": ["env"]}, "Null": {"aws:TagKeys": "false"}},
        ),
        ("GetDocument", {"Name": "our"}, {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}),
        ("GetDocument", {"Name": "our"}, {"DateGreaterThan": {"aws:CurrentTime": "2026-11-20T03:59:59Z"}}),
        ("GetDocument", {"Name": "our"}, {"StringEquals": {"aws:RequestedRegion": REGION}}),
        ("GetDocument", {"Name": "our"}, {"Bool": {"aws:SecureTransport": "true"}}),
        ("GetDocument", {"Name": "our"}, {"StringEquals": {"aws:username": "anna"}}),
        ("GetDocument", {"Name": "our"}, {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/an*"}}),
        ("GetDocument", {"Name": "our"}, {"StringEquals": {"aws:PrincipalTag/team": "web"}}),
        (
            "GetMaintenanceWindow",
            {"WindowId": "mw-0123456789abcdef0"},
            {"StringEquals": {"ssm:resourceTag/env": "dev", "aws:ResourceTag/env": "dev"}},
        ),
        ("GetDocument", {"Name": "our"}, {"StringEquals": {"aws:ResourceTag/env": "dev"}}),
        ("GetPatchBaseline", {"BaselineId": BASELINE}, {"StringEquals": {"aws:ResourceTag/env": "dev"}}),
        ("DeleteParameter", {"Name": "/a/b"}, {"StringEquals": {"ssm:resourceTag/env": "dev"}}),
        ("DeregisterManagedInstance", {"InstanceId": MINE}, {"StringEquals": {"aws:ResourceTag/env": "dev"}}),
    ],
)
async def test_condition_keys_say_what_is_so(operation, request_, conditions):
    """An Allow under the condition allows; the same as a Deny denies; where it is otherwise, the Allow is none."""
    target, tags = f"AmazonSSM.{operation}", {"team": "web"}
    extra = statement("ssm:AddTagsToResource") if "Tags" in request_ else statement("ssm:Nothing")
    allow, deny = (statement("ssm:*", effect=effect, **conditions) for effect in ("Allow", "Deny"))
    allowed = Gate(document(allow, extra), labels={"env": "dev"}, tags=tags)
    assert not await allowed.refusal(target, request_)
    denied = Gate(document(statement("*"), deny), labels={"env": "dev"}, tags=tags)
    assert "explicit deny" in await denied.refusal(target, request_)
    other = {
        op: {key: "false" if value == "true" else "2030-01-01T00:00:00Z" if op.startswith("Date") else "10.0.0.0/8"}
        for op, keys in conditions.items()
        for key, value in keys.items()
        if op not in {"Null", "ForAllValues:StringEquals", "ArnLike"}
    }
    if other:
        refused = Gate(document(statement("ssm:*", **other), extra), labels={"env": "dev"}, tags=tags)
        assert await refused.refusal(target, request_)


async def test_tags_of_resources_are_read_only_where_a_policy_asks_for_them():
    """What no policy speaks of costs nothing."""
    gate = Gate(document(statement("*")))
    gate.warden._database = None
    assert not await gate.refusal("AmazonSSM.DeregisterManagedInstance", {"InstanceId": MINE})


async def test_a_key_may_be_written_in_any_way_json_has():
    """A letter that is escaped hides no condition."""
    hidden = document(statement("*"), statement("*", effect="Deny", StringEquals={"ssm:resourceTag/env": "dev"}))
    gate = Gate(hidden.replace("resourceTag", "\\u0072esourceTag"), labels={"env": "dev"})
    assert "explicit deny" in await gate.refusal("AmazonSSM.DeregisterManagedInstance", {"InstanceId": MINE})


@pytest.mark.parametrize(
    ("operation", "request_", "role"),
    [
        ("CreateActivation", {"IamRole": "nodes"}, "role/nodes"),
        ("UpdateManagedInstanceRole", {"InstanceId": MINE, "IamRole": "service-role/nodes"}, "role/service-role/nodes"),
        (
            "RegisterTaskWithMaintenanceWindow",
            {"WindowId": "mw-0123456789abcdef0", "ServiceRoleArn": "arn:aws:iam::000000000001:role/tasks"},
            "role/tasks",
        ),
    ],
)
async def test_who_hands_on_a_role_must_be_allowed_to(operation, request_, role):
    """`iam:PassRole` on that role, to Systems Manager."""
    target, arn = f"AmazonSSM.{operation}", f"arn:aws:iam::{ACCOUNT}:{role}"
    assert f"iam:PassRole on resource: {arn}" in await Gate(document(statement("ssm:*"))).refusal(target, request_)
    passing = {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}}
    gate = Gate(document(statement("ssm:*"), statement("iam:PassRole", resource=arn, **passing)))
    assert not await gate.refusal(target, request_)


async def test_who_makes_something_with_tags_must_be_allowed_to_tag_it():
    """Else what is limited by tags could be made to fit."""
    tags = [{"Key": "env", "Value": "dev"}]
    for operation, request_ in (
        ("CreatePatchBaseline", {"Tags": tags}),
        ("CreateActivation", {"IamRole": "x", "Tags": tags}),
        ("CreateDocument", {"Name": "our", "Tags": tags}),
        ("PutParameter", {"Name": "/a/b", "Tags": tags}),
    ):
        gate = Gate(document(statement(f"ssm:{operation}", "iam:PassRole")))
        assert "ssm:AddTagsToResource on" in await gate.refusal(f"AmazonSSM.{operation}", request_)
        assert not await gate.refusal(f"AmazonSSM.{operation}", {**request_, "Tags": []})


async def test_a_boundary_and_a_session_limit_and_grant_nothing():
    """Each kind of policy has to allow, and the text says which one did not."""
    target, request_ = "AmazonSSM.GetDocument", {"Name": "our"}
    yes, no = document(statement("*")), document(statement("ssm:Put*"))
    cases = {
        (yes, None, None): "",
        (yes, yes, yes): "",
        (no, yes, yes): "because no identity-based policy allows the ssm:GetDocument action",
        (yes, no, yes): "because no permissions boundary allows the ssm:GetDocument action",
        (yes, yes, no): "because no session policy allows the ssm:GetDocument action",
    }
    for (own, boundary, session), text in cases.items():
        limits = {"boundary": boundary and [boundary], "session": session and [session]}
        refusal = await Gate(own, **limits).refusal(target, request_)
        assert refusal.endswith(text) if text else not refusal
    deny = document(statement("ssm:Get*", effect="Deny"))
    text = await Gate(yes, boundary=[yes], session=[yes, deny]).refusal(target, request_)
    assert text.endswith("with an explicit deny in a session policy")


async def test_a_command_needs_its_document_and_every_node_that_is_named():
    """Allowed only if both are (spec §11.1); by InstanceIds or by Targets that name ids."""
    product, node = PRODUCT, f"arn:aws:ssm:us-east-1:{ACCOUNT}:managed-instance/{MINE}"
    base = {"DocumentName": "AWS-RunPatchBaseline"}
    by_id = {**base, "InstanceIds": [MINE]}
    by_target = {**base, "Targets": [{"Key": "InstanceIds", "Values": [MINE]}]}
    both, target = document(statement("ssm:SendCommand", resource=[product, node])), "AmazonSSM.SendCommand"
    for request_ in (by_id, by_target):
        assert not await Gate(both).refusal(target, request_)
        only = Gate(document(statement("ssm:SendCommand", resource=product)))
        assert f"on resource: {node}" in await only.refusal(target, request_)
        other = Gate(document(statement("ssm:SendCommand", resource=node)))
        assert f"on resource: {product}" in await other.refusal(target, request_)
    two = {**base, "InstanceIds": [MINE, "mi-fedcba98765432100"]}
    assert "mi-fedcba98765432100" in await Gate(both).refusal(target, two)


async def test_a_command_may_be_limited_by_the_parameters_of_its_document():
    """`ssm:DocumentParameter/NAME`, a key of ours: nobody installs who may only scan, however it is written."""
    gate = Gate(
        document(statement("ssm:SendCommand", StringEquals={"ssm:DocumentParameter/Operation": "Scan"})),
    )
    base = {"DocumentName": "AWS-RunPatchBaseline", "InstanceIds": [MINE]}
    for values, fine in ((["Scan"], True), (["Install"], False), (["Scan", "Install"], False), ([], False)):
        request_ = {**base, "Parameters": {"Operation": values}}
        assert bool(await gate.refusal("AmazonSSM.SendCommand", request_)) is not fine, values
    assert await gate.refusal("AmazonSSM.SendCommand", base)


async def test_what_a_document_would_take_by_itself_counts_as_given():
    """A parameter that is left out has its default, and is held to it."""
    denied = document(
        statement("*"),
        statement("*", effect="Deny", StringEquals={"ssm:DocumentParameter/RebootOption": "RebootIfNeeded"}),
    )
    base = {"DocumentName": "AWS-RunPatchBaseline", "InstanceIds": [MINE]}
    gate = Gate(denied)
    assert "explicit deny" in await gate.refusal(
        "AmazonSSM.SendCommand", {**base, "Parameters": {"Operation": ["Scan"]}}
    )
    quiet = {"Operation": ["Scan"], "RebootOption": ["NoReboot"]}
    assert not await gate.refusal("AmazonSSM.SendCommand", {**base, "Parameters": quiet})


def test_levels_of_access_are_awss():
    """By the names of its service authorization reference."""
    assert [one.value for one in Access] == ["List", "Read", "Write", "Tagging", "Permissions management"]
    assert isinstance(TABLE["AmazonSSM.SendCommand"], Rule)
    assert TABLE["AmazonSSM.ModifyDocumentPermission"].access is Access.PERMISSIONS


@pytest.mark.parametrize("service", sorted({target.partition(".")[0] for target in OF_USERS}))
async def test_whatever_is_asked_is_answered(service):
    """Made-up requests that keep the models: allowed or denied, never an error, whatever is in them."""
    asks = statement(
        "*", effect="Deny", StringEquals={"ssm:resourceTag/env": "x", "ssm:DocumentParameter/a": "${aws:username}"}
    )
    gates = [Gate(document(statement("*"), asks)), Gate(document(asks)), Gate(policy.READY["node"])]
    chance = random.Random(f"{SEED}/{service}")
    for target in OF_USERS:
        key, _, name = target.partition(".")
        model = MODELS.service(key).model
        shape = model["operations"][name].get("input", {}).get("shape")
        if key != service or not shape:
            continue
        for _ in range(TIMES):
            try:
                request_ = Maker(model["shapes"], chance).value(shape)
            except Impossible:
                continue
            assert not await gates[0].refusal(target, request_)
            assert await gates[1].refusal(target, request_)
            await gates[2].refusal(target, request_, node=True)
