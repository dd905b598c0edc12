# SPDX-License-Identifier: Apache-2.0
"""Accounts of an installation: made, listed, disabled and enabled by the first one's root alone."""

from __future__ import annotations

import pytest

from patchwright.server.wire import Credential
from server.wire.client import MODELS

IDENTITY = "AmazonSSM.DescribePatchBaselines"


def signer(made):
    """What the root of an account that was made signs with."""
    account, key = made["Account"]["AccountId"], made["AccessKey"]
    return Credential(key["AccessKeyId"], key["SecretAccessKey"], account, f"arn:aws:iam::{account}:root")


@pytest.fixture
async def made(house):
    """A new account."""
    return await house.ask("Patchwright.CreateAccount", {"Name": "acme"})


async def test_an_account_is_made_with_a_root_key(house, made):
    """Twelve digits; what the first account has, it does not see."""
    account = made["Account"]
    await house.ask("AmazonSSM.PutParameter", {"Name": "/mine", "Value": "1", "Type": "String"})

    assert (account["Name"], account["State"], len(account["AccountId"])) == ("acme", "Active", 12)
    assert account["AccountId"] != house.account
    found = await house.ask("AmazonSSM.DescribeParameters", {}, key=signer(made))
    assert found["Parameters"] == []
    baseline = await house.ask("AmazonSSM.CreatePatchBaseline", {"Name": "theirs"}, key=signer(made))
    assert await house.code("AmazonSSM.GetPatchBaseline", baseline) == "DoesNotExistException"


async def test_accounts_are_listed_page_by_page_without_secrets(house, made):
    """In order of id; the first one is among them."""
    second = await house.ask("Patchwright.CreateAccount", {"Name": "other"})
    found, token = [], None
    while token != "":
        answer = await house.ask(
            "Patchwright.ListAccounts", {"MaxResults": 1, **({"NextToken": token} if token else {})}
        )
        found += answer["Accounts"]
        token = answer.get("NextToken", "")

    ids = [one["AccountId"] for one in found]
    assert ids == sorted(ids)
    assert {house.account, made["Account"]["AccountId"], second["Account"]["AccountId"]} <= set(ids)
    assert made["AccessKey"]["SecretAccessKey"] not in str(found)
    assert made["AccessKey"]["SecretAccessKey"] not in str(await house.dump())
    assert await house.code("Patchwright.ListAccounts", {"NextToken": "x"}) == "InvalidNextToken"


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("CreateAccount", {"Name": "more"}),
        ("ListAccounts", {}),
        ("DisableAccount", {"AccountId": "OWN"}),
        ("EnableAccount", {"AccountId": "OWN"}),
    ],
)
async def test_nobody_but_the_first_account_s_root_may(house, made, operation, body):
    """Not the root of another account, not a user who may everything, not a node."""
    target = f"Patchwright.{operation}"
    body = {name: value.replace("OWN", made["Account"]["AccountId"]) for name, value in body.items()}
    before = await house.dump()

    assert await house.code(target, body, key=signer(made)) == "AccessDeniedException"
    assert await changed(house, before, "account") == []
    node = await house.enrol()
    assert await house.code(target, body, key=node) == "AccessDeniedException"


async def changed(house, before, table):
    """The rows of a table that were not there before."""
    after = await house.dump()
    return [row for row in after[table] if row not in before[table]]


async def test_what_a_disabled_account_signs_is_refused_and_goes_on_when_it_is_enabled(house, made):
    """Its root, and its nodes; nothing of it is lost."""
    root, account = signer(made), made["Account"]["AccountId"]
    activation = await house.ask("AmazonSSM.CreateActivation", {"IamRole": "node", "RegistrationLimit": 2}, key=root)
    identity = await house.ask("Patchwright.Enroll", {**activation, "EnrollmentToken": "7" * 40})
    node = Credential(
        identity["InstanceId"],
        identity["Secret"],
        account,
        "node",
        kind="node",
        region="us-east-1",
        instance_id=identity["InstanceId"],
    )
    ping = {"InstanceId": node.instance_id, "AgentVersion": "1", "AgentStatus": "Active", "PlatformType": "Linux"}
    await house.ask("AmazonSSM.UpdateInstanceInformation", ping, key=node)

    await house.ask("Patchwright.DisableAccount", {"AccountId": account})
    house.clock.time += 0.6
    assert await house.code(IDENTITY, {}, key=root) == "UnrecognizedClientException"
    assert await house.code("AmazonSSM.UpdateInstanceInformation", ping, key=node) == "UnrecognizedClientException"
    joining = {**activation, "EnrollmentToken": "8" * 40}
    assert await house.code("Patchwright.Enroll", joining) == "InvalidActivation"
    shown = (await house.ask("Patchwright.EnableAccount", {"AccountId": account}))["Account"]
    assert shown["State"] == "Active"
    await house.ask(IDENTITY, {}, key=root)
    await house.ask("AmazonSSM.UpdateInstanceInformation", ping, key=node)


async def test_the_first_account_cannot_be_disabled_nor_one_that_is_not_there(house):
    """Nobody could enable it again."""
    assert await house.code("Patchwright.DisableAccount", {"AccountId": house.account}) == "InvalidOperationException"
    assert await house.code("Patchwright.DisableAccount", {"AccountId": "987654321098"}) == "DoesNotExistException"
    assert await house.code("Patchwright.EnableAccount", {"AccountId": "x"}) == "ValidationException"


def test_the_secret_is_marked_in_the_model():
    """Tools that print answers know what not to print."""
    assert MODELS.service("Patchwright").model["shapes"]["AccountSecret"]["sensitive"] is True
