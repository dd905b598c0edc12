# SPDX-License-Identifier: Apache-2.0
"""The audit trail of what is served: every change has its entry, every refusal as well, and no secret is in any of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from unittest.mock import MagicMock

import pytest

from patchwright.core.audit import Chain, read_lines
from patchwright.server import aws, gateway
from patchwright.server.accounts import USER
from patchwright.server.aws.audited import AUDITED, REFUSALS, REPORTED
from patchwright.server.infra import sql
from patchwright.server.wire import Credential
from server.accounts.tenants import new_account
from server.aws.people import People, allow
from server.aws.tenant import Tenant
from server.gateway.house import build
from server.wire.client import MODELS

SERVED = sorted({**aws.operations(MagicMock()), **gateway.operations(MagicMock())})
READING = ("Describe", "Get", "List", "Verify", "ExportAuditTrail", "Simulate")
NODES_OWN = "EC2WindowsMessageDeliveryService.AcknowledgeMessage"


def audit_rows(house):
    """Every entry of the account, as rows of the database."""

    def ask(account):
        return (
            yield sql(
                "SELECT request_id, target, result, resources, principal, key_id, region FROM audit_entry"
                " WHERE account = $1 ORDER BY id",
                account,
            )
        )

    return house.wired.database.read(ask, house.account)


async def unaudited(house):
    """Every row of the account but those of the trail."""
    return {table: rows for table, rows in (await house.dump()).items() if not table.startswith("audit_")}


async def entries(house, **asked):
    """What ListAuditEntries answers, once everything is written and sealed."""
    await house.wired.trail.flush(everything=True)
    await house.wired.audit.seal()
    return (await house.ask("Patchwright.ListAuditEntries", {"Region": "*", "MaxResults": 500, **asked}))["Entries"]


async def new_user(house, name, *actions):
    """A user of the account who may do *actions*, and signs with this."""
    access = house.wired.access
    made = await access.identities.create(house.account, USER, name)
    if actions:
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        await access.attachments.put(house.account, USER, name, policy="own", document=text)
    key, _ = await access.keys.create(house.account, name)
    return Credential(key.id, key.secret, house.account, made.arn)


# -- the table


def test_of_every_operation_it_is_said_what_the_trail_has_of_it():
    """Audited, or written as a report of a node, or only answering, as its name says."""
    for target in SERVED:
        said = [target in AUDITED, target in REPORTED, target.partition(".")[2].startswith(READING)]
        if target == "sts.GetSessionToken" or target in REPORTED:
            said[2] = False
        assert sum(said) == 1, target


def test_the_table_names_what_there_is():
    """Operations of the models, and members of theirs that hold names and no secrets."""
    for target, noted in AUDITED.items():
        service, operation = MODELS.service(target.partition(".")[0]), MODELS.operation(target)
        assert operation is not None, target
        shapes = service.model["shapes"]
        shape = shapes[service.model["operations"][operation.name].get("input", {}).get("shape")]
        for member in noted.members:
            found = shapes[shape["members"][member]["shape"]]
            assert found["type"] in {"string", "list"}, (target, member)
            assert not found.get("sensitive"), (target, member)
            assert not any(word in member for word in ("Value", "Secret", "Code", "Password", "Content", "Document\b"))
    assert all(MODELS.operation(target) for target in REPORTED)


# -- what is served, against the database


async def test_what_only_answers_writes_nothing(house):
    """Asked as widely as can be: no row of the account differs afterwards, and the trail has nothing of it."""
    tenant = await Tenant(house, "us-east-1").furnish()
    before = await house.dump()
    for operation, body in tenant.reads().items():
        target = operation if "." in operation else f"AmazonSSM.{operation}"
        assert (await tenant.call(operation, body)).status in {200, 400}
        if target not in REPORTED:
            assert await house.dump() == before, operation
        before = await house.dump()
    await house.wired.trail.flush(everything=True)
    assert await house.dump() == before


@pytest.fixture
async def alone(database_url, tmp_path):
    """A house with a database of its own: a seal is made over what waits of every account, by its own clock."""
    made = await build(tmp_path, database_url, "000000000001")
    yield made
    await made.close()


async def test_whatever_changes_something_has_its_entry_in_the_same_transaction(alone):
    """And says on what. What is refused or fails has it within a second."""
    tenant = await Tenant(alone, "us-east-1").furnish()
    for operation, body in tenant.writes().items():
        target = operation if "." in operation else f"AmazonSSM.{operation}"
        before, known = await unaudited(alone), len(await audit_rows(alone))
        answer = await tenant.call(operation, body)
        new = (await audit_rows(alone))[known:]
        changed = await unaudited(alone) != before
        assert (target in AUDITED) or not changed, operation
        if changed:
            assert [row[:3] for row in new] == [(answer.headers["x-amzn-requestid"], target, "Succeeded")], operation
        if not new:
            await alone.wired.trail.flush(everything=True)
            new = (await audit_rows(alone))[known:]
        (entry,) = new
        code = "Succeeded" if answer.status == 200 else answer.code
        assert entry[:3] == (answer.headers["x-amzn-requestid"], target, code)
        assert entry[4:] == (alone.root.principal, alone.root.access_key_id, "us-east-1")
        assert json.loads(entry[3]) or answer.status != 200, (operation, "says on what")
    assert (await alone.ask("Patchwright.VerifyAuditTrail", {}))["Findings"] == []


async def test_what_fails_is_never_said_to_have_succeeded(house):
    """Where nothing of what is named exists, the one entry of a call has the code of its error."""
    tenant = await Tenant(house, "us-east-1").furnish()
    failed = 0
    for operation, body in tenant.writes().items():
        target = operation if "." in operation else f"AmazonSSM.{operation}"
        answer = await house.call(target, body, region="eu-west-1")
        await house.wired.trail.flush(everything=True)
        if answer.status >= 400:
            failed += 1
            own = [row[2] for row in await audit_rows(house) if row[0] == answer.headers["x-amzn-requestid"]]
            assert own == [answer.code], operation
    assert failed > 25


async def test_what_is_made_is_named(house):
    """Ids that only the answer has."""
    tenant = await Tenant(house, "us-east-1").furnish()
    nodes = {"Targets": [{"Key": "InstanceIds", "Values": tenant.ids}], "MaxConcurrency": "1", "MaxErrors": "1"}
    for target, member in (
        ("AmazonSSM.CreateActivation", "ActivationId"),
        ("AmazonSSM.CreateMaintenanceWindow", "WindowId"),
        ("AmazonSSM.CreatePatchBaseline", "BaselineId"),
        ("AmazonSSM.RegisterTargetWithMaintenanceWindow", "WindowTargetId"),
        ("AmazonSSM.RegisterTaskWithMaintenanceWindow", "WindowTaskId"),
        ("AmazonSSM.DeleteInventory", "DeletionId"),
    ):
        more = nodes if "Task" in target else {}
        answer = await tenant.call(target, {**tenant.writes()[target.partition(".")[2]], **more})
        assert answer.status == 200, answer.body
        assert answer.json[member] in json.loads((await audit_rows(house))[-1][3]), target
    sent = await house.send(tenant.nodes[0])
    resources = json.loads((await audit_rows(house))[-1][3])
    assert resources == ["AWS-RunPatchBaseline", tenant.ids[0], sent["CommandId"]]


async def test_a_nodes_enrolment_is_in_the_account_of_its_activation(house):
    """Nobody has signed; the activation says whose it is. What the node then says of itself is in its history, not here."""
    node = await house.enrol(region="eu-west-1")
    command = (await house.send(node))["CommandId"]
    await house.ask("AmazonSSM.UpdateInstanceInformation", {
        "InstanceId": node.instance_id, "AgentStatus": "Active", "AgentVersion": "1"
    }, key=node)  # fmt: skip
    await house.messages(node)
    operation = await house.begin(node, command)

    found = {one["Operation"]: one for one in await entries(house)}
    assert set(found) == {
        "AmazonSSM.CreateActivation",
        "AmazonSSM.SendCommand",
        "Patchwright.BeginOperation",
        "Patchwright.Enroll",
    }
    enrolled = found["Patchwright.Enroll"]
    assert (enrolled["Account"], enrolled["Region"], enrolled["Principal"]) == (house.account, "eu-west-1", "anonymous")
    assert enrolled["Resources"][-1] == node.instance_id
    begun = found["Patchwright.BeginOperation"]
    assert (begun["AccessKeyId"], begun["Resources"]) == (node.instance_id, [command, operation])


async def test_reports_of_nodes_have_entries_where_they_are_wanted(shared_url, master_key, tmp_path):
    """By a setting: each that writes something; a poll that finds nothing is none."""
    shutil.copy(master_key, tmp_path / "master.key")
    house = await build(tmp_path, shared_url, new_account(), audit_node_reports="1")
    node = await house.enrol()
    ping = {"InstanceId": node.instance_id, "AgentStatus": "Active", "AgentVersion": "1"}
    await house.ask("AmazonSSM.UpdateInstanceInformation", ping, key=node)
    await house.send(node)
    await house.messages(node)

    assert [one["Operation"].partition(".")[2] for one in await entries(house)][::-1] == [
        "CreateActivation",
        "Enroll",
        "UpdateInstanceInformation",
        "SendCommand",
        "GetMessages",
    ]
    await house.close()


# -- what is refused


async def test_whoever_is_refused_is_noted_whatever_was_asked_for(house):
    """A bad signature, a wrong audience, a policy that does not allow it; who it was is said where it is proved."""
    node = await house.enrol()
    anna = await new_user(house, "anna", "ssm:DescribePatchBaselines")
    thief = replace(house.root, secret="not the secret")
    assert await house.code("AmazonSSM.DescribePatchBaselines", {}, key=thief) == "InvalidSignatureException"
    assert await house.code("AmazonSSM.SendCommand", {"DocumentName": "x"}, key=node) == "AccessDeniedException"
    gone = {"Name": "/app/x"}
    assert await house.code("AmazonSSM.DeleteParameter", gone, key=anna) == "AccessDeniedException"
    assert await house.code("AmazonSSM.GetParameter", gone, key=anna) == "AccessDeniedException"
    assert await house.code(NODES_OWN, {"MessageId": "x"}) == "AccessDeniedException"

    refused = [one for one in await entries(house) if one["Result"] != "Succeeded"]
    told = {
        (one["Operation"], one["Principal"], one["AccessKeyId"], *one["Resources"]): one["Result"] for one in refused
    }
    assert told == {
        ("AmazonSSM.DescribePatchBaselines", "", house.root.access_key_id): "InvalidSignatureException",
        ("AmazonSSM.SendCommand", node.principal, node.instance_id): "AccessDeniedException",
        ("AmazonSSM.DeleteParameter", anna.principal, anna.access_key_id, "/app/x"): "AccessDeniedException",
        ("AmazonSSM.GetParameter", anna.principal, anna.access_key_id): "AccessDeniedException",
        (NODES_OWN, house.root.principal, house.root.access_key_id): "AccessDeniedException",
    }
    assert {one["Result"] for one in refused} <= REFUSALS
    assert len(refused) == 5
    assert all(one["SourceIp"] == "192.0.2.7" for one in refused)


async def test_a_question_that_finds_nothing_is_no_refusal(house):
    """Reading what is not there is nobody's offence; deleting what is not there would have changed something."""
    assert await house.code("AmazonSSM.GetParameter", {"Name": "/none"}) == "ParameterNotFound"
    assert await entries(house) == []
    assert await house.code("AmazonSSM.DeleteParameter", {"Name": "/none"}) == "ParameterNotFound"

    (entry,) = await entries(house)
    assert (entry["Operation"], entry["Result"], entry["Resources"]) == (
        "AmazonSSM.DeleteParameter",
        "ParameterNotFound",
        ["/none"],
    )


async def test_what_is_of_no_account_is_for_the_first_one(house, shared_url, master_key, tmp_path):
    """Requests with a key that nobody has: the installation's first account may ask for them, and no other."""
    nobody = Credential(f"AKIANOBODY{house.account}", "x" * 40, "", "")
    assert await house.code("AmazonSSM.SendCommand", {}, key=nobody) == "UnrecognizedClientException"

    assert await entries(house) == []
    found = await entries(house, Unattributed=True, User=nobody.access_key_id)
    assert [(one["Account"], one["Operation"], one["Result"]) for one in found] == [
        ("", "AmazonSSM.SendCommand", "UnrecognizedClientException")
    ]
    shutil.copy(master_key, tmp_path / "master.key")
    other = await build(tmp_path, shared_url, "7" + house.account[1:])
    key = replace(other.root)
    assert await house.code("Patchwright.ListAuditEntries", {"Unattributed": True}, key=key) == "AccessDeniedException"
    await other.close()


async def test_no_secret_is_in_the_trail(house):
    """Values of parameters, codes of activations, secrets of nodes, users and root, texts of documents and policies."""
    secret = "hush-hush-7731"
    put = {"Name": "/app/password", "Value": secret, "Type": "SecureString", "Description": secret}
    await house.ask("AmazonSSM.PutParameter", put)
    await house.code("AmazonSSM.PutParameter", put)
    activation = await house.ask("AmazonSSM.CreateActivation", {"IamRole": "x"})
    token = f"{secret}{house.account:0>40}"
    identity = await house.ask("Patchwright.Enroll", {**activation, "EnrollmentToken": token})
    await house.code("Patchwright.Enroll", {**activation, "EnrollmentToken": token[::-1]})
    anna = await new_user(house, "anna")
    parameters = {"commands": [f"echo {secret}"]}
    await house.call(
        "AmazonSSM.SendCommand",
        {
            "DocumentName": "AWS-RunShellScript",
            "Parameters": parameters,
            "Comment": secret,
            "InstanceIds": [identity["InstanceId"]],
        },
    )

    found = json.dumps(await entries(house)) + json.dumps(await house.ask("Patchwright.ExportAuditTrail", {}))
    assert "/app/password" in found
    for hidden in (secret, activation["ActivationCode"], identity["Secret"], anna.secret, house.root.secret):
        assert hidden not in found


# -- asking


async def test_entries_are_listed_by_page_with_every_filter(house):
    """Pages of any size give every entry once, newest first."""
    for number in range(5):
        await house.ask("AmazonSSM.PutParameter", {"Name": f"/app/{number}", "Value": "x", "Type": "String"})
        house.clock.time += 60
    whole = await entries(house)
    assert [one["Resources"] for one in whole] == [[f"/app/{number}"] for number in (4, 3, 2, 1, 0)]

    request = {"User": "root", "Operation": "PutParameter", "Result": "Succeeded", "MaxResults": 2}
    pages, token = [], ""
    while token is not None:
        answer = await house.ask("Patchwright.ListAuditEntries", {**request, "NextToken": token} if token else request)
        pages.append(answer["Entries"])
        token = answer.get("NextToken")
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [one for page in pages for one in page] == whole

    second = whole[-2]
    for asked in (
        {"Resource": "/app/1"},
        {"Resource": "/app/1", "User": house.root.principal, "Region": "us-east-1"},
        {"StartTime": second["Time"], "EndTime": second["Time"] + 59},
    ):
        assert (await house.ask("Patchwright.ListAuditEntries", asked))["Entries"] == [second], asked
    elsewhere = await house.ask("Patchwright.ListAuditEntries", {}, region="eu-west-1")
    assert elsewhere["Entries"] == []
    code = await house.code("Patchwright.ListAuditEntries", {"NextToken": "x"})
    assert code == "InvalidNextToken"
    for moment in (-1, 4e9):
        await house.ask("Patchwright.ListAuditEntries", {"StartTime": moment, "EndTime": moment})


async def test_an_export_over_the_wire_is_verified_by_whoever_has_it(alone):
    """Page by page; the head is the one that the server's own verification shows."""
    for number in range(3):
        await alone.ask("AmazonSSM.PutParameter", {"Name": f"/app/{number}", "Value": "x", "Type": "String"})
        await alone.wired.audit.seal()
    lines, token = [], ""
    while token is not None:
        answer = await alone.ask("Patchwright.ExportAuditTrail", {"Region": "*", "NextToken": token} if token else {})
        lines += answer["Lines"]
        token = answer.get("NextToken")
    chain = Chain()
    assert [one for seal, members in read_lines(iter(lines)) for one in chain.take(seal, members)] == []

    proof = await alone.ask("Patchwright.VerifyAuditTrail", {"Head": f"{chain.last.number}:{chain.last.hash}"})
    assert (proof["Findings"], proof["Unsealed"]) == ([], 0)
    assert proof["Head"] == f"{chain.last.number}:{chain.last.hash}"
    wrong = {"Head": f"{chain.last.number + 7}:{'a' * 64}"}
    (found,) = (await alone.ask("Patchwright.VerifyAuditTrail", wrong))["Findings"]
    assert found["Problem"].startswith("removed")
    assert await alone.code("Patchwright.VerifyAuditTrail", {"Head": "x"}) == "ValidationException"


# -- IAM, through boto3


def test_what_is_done_with_users_and_keys_is_in_the_trail(served):
    """The AWS CLI speaks Query; the trail has it like everything else, and the key's id but not its secret."""
    root = served.house.root
    people = People(served.url, {"aws_access_key_id": root.access_key_id, "aws_secret_access_key": root.secret})
    name, keys = people.user(allow("ssm:GetParameter"))
    iam = people.client("iam")
    iam.update_access_key(UserName=name, AccessKeyId=keys["aws_access_key_id"], Status="Inactive")
    iam.get_user(UserName=name)
    people.client("sts").get_caller_identity()

    found = served.run(entries(served.house, Resource=name))
    assert [(one["Operation"], one["Resources"]) for one in found] == [
        ("iam.UpdateAccessKey", [name, keys["aws_access_key_id"], "Inactive"]),
        ("iam.CreateAccessKey", [name, keys["aws_access_key_id"]]),
        ("iam.PutUserPolicy", [name, "p0"]),
        ("iam.CreateUser", [name]),
    ]
    assert keys["aws_secret_access_key"] not in json.dumps(found)
