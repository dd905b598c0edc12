# SPDX-License-Identifier: Apache-2.0
"""How Amazon's agent becomes a node and what it signs with (spec agent-protocol §3)."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from farm import amazon_wire
from farm.amazon_wire import KeyPair
from patchwright.server.wire import Credential
from server.gateway.amazon import FINGERPRINT, HOST, Amazon, keys, register
from server.gateway.house import build

PING = "AmazonSSM.UpdateInstanceInformation"
HOUR = 3600


def spki(private):
    """PublicKey of any kind of key, padded to the length that the model asks for."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(private.public_key().public_bytes(serialization.Encoding.DER, form)).decode()


async def ping(node, **how):
    """UpdateInstanceInformation within a session."""
    return await node.call(PING, {"InstanceId": node.instance_id}, **how)


async def test_an_activation_becomes_a_node_that_has_sent_its_key(house):
    """The request is the one the agent sends, member for member."""
    activation = await house.ask("AmazonSSM.CreateActivation", {"IamRole": "node", "DefaultInstanceName": "edge"})
    body = (
        f'{{"ActivationCode":"{activation["ActivationCode"]}","ActivationId":"{activation["ActivationId"]}",'
        f'"Fingerprint":"{FINGERPRINT}","PublicKey":"{next(keys()).public}","PublicKeyType":"Rsa"}}'
    ).encode()
    headers = {
        "host": HOST,
        "user-agent": "aws-sdk-go/1.51.20 (go1.27.3; linux; amd64) amazon-ssm-agent/3.3.0.0",
        "content-length": str(len(body)),
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "AmazonSSM.RegisterManagedInstance",
    }

    answer = await house.knock(headers, body)

    assert answer.status == 200
    assert answer.json.keys() == {"InstanceId"}
    assert re.fullmatch("mi-[0-9a-f]{17}", answer.json["InstanceId"])
    listed = await house.ask("AmazonSSM.DescribeInstanceInformation", {})
    (found,) = listed["InstanceInformationList"]
    assert (found["InstanceId"], found["Name"], found["IamRole"]) == (answer.json["InstanceId"], "edge", "node")


async def test_the_same_key_is_the_same_node_and_takes_one_registration(house):
    """The agent sends a registration again whose answer it did not get."""
    made = keys()
    activation, key = await house.ask("AmazonSSM.CreateActivation", {"IamRole": "node"}), next(made)

    first, second = await register(house, activation, key), await register(house, activation, key)

    assert first.json == second.json
    other = await register(house, activation, next(made))
    assert (other.status, other.code) == (400, "InvalidActivation")


@pytest.mark.parametrize(
    "public",
    [
        "A" * 392,
        "é" * 392,
        spki(ec.generate_private_key(ec.SECP256R1())) * 4,
        spki(rsa.generate_private_key(public_exponent=65537, key_size=1024)) * 2,  # noqa: S505 - that it is refused is tested
        spki(rsa.generate_private_key(public_exponent=3, key_size=2048)),
    ],
    ids=["no DER", "no base64", "no RSA", "too small", "small exponent"],
)
async def test_a_key_that_nobody_may_sign_with_is_refused_and_uses_nothing_up(house, public):
    """The activation still enrols whoever comes with a key."""
    activation = await house.ask("AmazonSSM.CreateActivation", {"IamRole": "node"})
    before = await house.dump()

    answer = await register(house, activation, next(keys()), PublicKey=public)

    assert (answer.status, answer.code) == (400, "ValidationException")
    assert await house.dump() == before
    assert (await register(house, activation, next(keys()))).status == 200


async def test_the_activations_tags_are_the_nodes(house):
    """As of nodes of ours."""
    node = await Amazon.registered(house, Tags=[{"Key": "Patch Group", "Value": "web"}])

    asked = {"ResourceType": "ManagedInstance", "ResourceId": node.instance_id}
    assert (await house.ask("AmazonSSM.ListTagsForResource", asked))["TagList"] == [
        {"Key": "Patch Group", "Value": "web"}
    ]


async def test_a_session_is_asked_for_with_the_key_and_lasts_an_hour(house):
    """All five members, in the types the agent takes without looking; the body comes in chunks without a length."""
    node = await Amazon.registered(house)

    answer = await node.token()

    assert answer.status == 200
    assert answer.json.keys() == {
        "AccessKeyId",
        "SecretAccessKey",
        "SessionToken",
        "TokenExpirationDate",
        "UpdateKeyPair",
    }
    assert answer.json["AccessKeyId"].startswith("ASIA")
    assert answer.json["TokenExpirationDate"] == int(house.clock.now()) + HOUR
    assert isinstance(answer.json["TokenExpirationDate"], int)
    assert answer.json["UpdateKeyPair"] is False


async def test_within_its_session_a_node_is_itself(house):
    """It may do what nodes do, speaks for itself alone, and is called what it is."""
    node, other = await Amazon.registered(house), await house.enrol()

    assert (await ping(node)).status == 200
    who = await house.ask("AmazonSSM.DescribeInstanceInformation", {})
    assert {one["InstanceId"] for one in who["InstanceInformationList"]} == {node.instance_id, other.instance_id}
    foreign = await node.call(PING, {"InstanceId": other.instance_id})
    assert (foreign.status, foreign.code) == (400, "AccessDeniedException")
    user = await node.call("AmazonSSM.DescribeInstanceInformation", {})
    assert user.code == "AccessDeniedException"


async def test_a_signature_that_is_not_the_keys_is_refused_but_not_as_a_denial(house):
    """After AccessDenied the agent would sleep for half an hour: a wrong signature, an unknown node are told otherwise."""
    made = keys()
    node = await Amazon.registered(house, key=next(made))

    assert (await node.token(key=next(made))).code == "InvalidSignatureException"
    assert (await node.token(body=b'{"Fingerprint":"another"}')).code == "InvalidSignatureException"
    assert (await node.token(instance_id="mi-00000000000000000")).code == "UnrecognizedClientException"
    assert (await node.token(region="eu-west-1")).code == "UnrecognizedClientException"
    with_secret = await house.enrol()
    for secret in ("", "x"):
        forged = type(with_secret)(node.instance_id, secret, house.account, "", kind="node", region="us-east-1")
        answer = await house.call(PING, {"InstanceId": node.instance_id}, key=forged)
        assert answer.code == "InvalidSignatureException"


async def test_the_key_on_another_machine_is_refused(house):
    """A copy of the machine has the key, but another fingerprint."""
    node = await Amazon.registered(house)

    answer = await node.token(fingerprint="00000000-529c-4167-8796-2a47d7d7366f")

    assert (answer.status, answer.code) == (400, "MachineFingerprintDoesNotMatch")


async def test_a_signature_is_good_once(house):
    """Whoever listened has no use for it."""
    node = await Amazon.registered(house)
    headers, body = amazon_wire.asymmetric_request(
        HOST, "UpdateManagedInstancePublicKey", {"NewPublicKey": node.key.public},
        instance_id=node.instance_id, key=node.key, region="us-east-1", now=house.clock.now(),
    )  # fmt: skip

    assert (await house.knock(headers, body)).status == 200
    assert (await house.knock(headers, body)).code == "ThrottlingException"  # its SDK signs anew, and tries again
    house.clock.time += 3
    assert (await house.knock(headers, body)).code == "InvalidSignatureException"


async def test_a_session_is_over_after_its_hour(house):
    """The agent asked for the next one long before."""
    node = await Amazon.registered(house)
    await node.refresh()
    house.clock.time += HOUR - 1
    assert (await ping(node)).status == 200

    house.clock.time += 1

    assert (await ping(node)).code == "ExpiredTokenException"


async def test_a_session_is_over_when_its_node_is_deregistered(house):
    """And the key is worth nothing."""
    node = await Amazon.registered(house)
    await node.refresh()
    await house.ask("AmazonSSM.DeregisterManagedInstance", {"InstanceId": node.instance_id})
    house.clock.time += 1

    assert (await ping(node)).code == "UnrecognizedClientException"
    assert (await node.token()).code == "UnrecognizedClientException"
    assert "node_key" not in {table for table, rows in (await house.dump()).items() if rows}


async def test_a_session_is_over_while_its_account_is_disabled(house):
    """With the key that it began with; both go on afterwards, and nobody joins meanwhile."""
    made = await house.ask("Patchwright.CreateAccount", {"Name": "another"})
    account, key = made["Account"]["AccountId"], made["AccessKey"]
    root = Credential(key["AccessKeyId"], key["SecretAccessKey"], account, f"arn:aws:iam::{account}:root")
    activation = await house.ask("AmazonSSM.CreateActivation", {"IamRole": "node", "RegistrationLimit": 2}, key=root)
    first, second = itertools.islice(keys(), 2)
    node = Amazon(house, (await register(house, activation, first)).json["InstanceId"], first)
    assert (await ping(node)).status == 200

    await house.ask("Patchwright.DisableAccount", {"AccountId": account})
    house.clock.time += 1

    assert (await ping(node)).code == "UnrecognizedClientException"
    assert (await node.token()).code == "UnrecognizedClientException"
    assert (await register(house, activation, second)).code == "InvalidActivation"
    await house.ask("Patchwright.EnableAccount", {"AccountId": account})
    assert [(await node.token()).status, (await ping(node)).status] == [200, 200]


async def test_a_session_is_good_for_its_key_token_and_region_only(house):
    """Another session's token, another region, a token that is not signed."""
    made = keys()
    node, other = await Amazon.registered(house, key=next(made)), await Amazon.registered(house, key=next(made))
    own, foreign = await node.refresh(), await other.refresh()

    mixed = type(own)(own.key_id, own.secret, foreign.token, own.expires_at, False)
    assert (await ping(node, session=mixed)).code == "UnrecognizedClientException"
    assert (await ping(node, region="eu-west-1")).code == "UnrecognizedClientException"


async def test_a_session_gives_no_other_session_and_no_other_key(house):
    """Whoever gets hold of one has it for its hour."""
    made = keys()
    node = await Amazon.registered(house, key=next(made))

    again = await node.call("AmazonSSM.RequestManagedInstanceRoleToken", {"Fingerprint": FINGERPRINT})
    fresh = await node.call("AmazonSSM.UpdateManagedInstancePublicKey", {"NewPublicKey": next(made).public})

    assert (again.code, fresh.code) == ("AccessDeniedException", "AccessDeniedException")


async def test_a_key_is_replaced_when_its_successor_is_used(house):
    """Until then both count, so that an answer that is lost locks nobody out; afterwards only the new one does."""
    made = keys()
    node, fresh, other = await Amazon.registered(house, key=next(made)), next(made), next(made)
    assert (await node.rotate(fresh)).status == 200
    assert (await node.token()).status == 200
    assert (await node.rotate(other)).status == 200  # the agent made up its mind anew
    house.clock.time += 1
    assert (await node.token(key=fresh)).code == "InvalidSignatureException"

    assert (await node.token(key=other)).status == 200

    house.clock.time += 1
    assert (await node.token()).code == "InvalidSignatureException"
    assert (await node.token(key=other)).status == 200


async def test_sessions_of_a_replaced_key_go_on_until_the_next_is_asked_for(house):
    """The agent asks when half the hour is over; those of the key before that are over at once."""
    made = keys()
    first = await Amazon.registered(house, key=next(made))
    second, third = first.with_key(next(made)), first.with_key(next(made))
    await first.refresh()
    await first.rotate(second.key)
    await second.refresh()
    house.clock.time += 39 * 60
    assert (await ping(first)).status == 200
    house.clock.time += 60

    assert (await ping(first)).code == "UnrecognizedClientException"
    await second.refresh()
    assert (await ping(second)).status == 200
    await second.rotate(third.key)
    await third.refresh()
    house.clock.time += 1
    assert [(await ping(one)).status for one in (first, second, third)] == [400, 200, 200]


async def test_of_a_key_that_was_replaced_twice_nothing_is_left(house):
    """Its sessions are over though their hour is not."""
    made = keys()
    first = await Amazon.registered(house, key=next(made))
    second, third = first.with_key(next(made)), first.with_key(next(made))
    await first.refresh()
    for before, after in ((first, second), (second, third)):
        await before.rotate(after.key)
        await after.refresh()
    house.clock.time += 1

    assert [(await ping(one)).status for one in (first, second, third)] == [400, 200, 200]


async def test_an_agent_whose_key_is_old_is_asked_for_another(house, tmp_path, shared_url, scope, master_key):
    """After the days that are set; never, where none are."""
    node = await Amazon.registered(house)
    (tmp_path / "other").mkdir()
    shutil.copy(master_key, tmp_path / "other" / "master.key")
    strict = await build(tmp_path / "other", shared_url, scope.account, clock=house.clock, node_key_days="2")
    assert (await Amazon(strict, node.instance_id, node.key).refresh()).update_key_pair is False
    house.clock.time += 2 * 86_400

    assert (await node.refresh()).update_key_pair is False
    assert (await Amazon(strict, node.instance_id, node.key).refresh()).update_key_pair is True

    fresh = node.with_key(list(itertools.islice(keys(), 2))[1])
    await node.rotate(fresh.key)
    assert (await Amazon(strict, node.instance_id, fresh.key).refresh()).update_key_pair is False
    await strict.close()


async def test_a_node_that_signs_with_a_secret_may_have_a_session_as_well(house):
    """Scripts on it can sign with it; a key it cannot change to."""
    node = await house.enrol()

    answer = await house.ask("AmazonSSM.RequestManagedInstanceRoleToken", {"Fingerprint": "any"}, key=node)

    assert answer["UpdateKeyPair"] is False
    refused = await house.code(
        "AmazonSSM.UpdateManagedInstancePublicKey", {"NewPublicKey": next(keys()).public}, key=node
    )
    assert refused == "ValidationException"


async def test_nothing_of_a_session_is_stored_or_logged(house):
    """What is in the database and in the log signs nothing."""
    node = await Amazon.registered(house)
    session = await node.refresh()
    lines = json.dumps(house.lines, default=str)
    await ping(node)

    kept = json.dumps(await house.dump()) + lines + json.dumps(house.lines, default=str)

    assert session.secret not in kept
    assert session.token not in kept
    assert node.key.text not in kept


async def test_there_are_no_associations(house):
    """The agent that asks for them every ten minutes is told so, and finds nothing to complain of."""
    node = await Amazon.registered(house)

    found = await node.ask("AmazonSSM.ListInstanceAssociations", {"InstanceId": node.instance_id, "MaxResults": 20})

    assert found == {"Associations": []}
    result = {"Status": "Success", "ErrorCode": "", "ExecutionDate": 1795148868.432, "ExecutionSummary": "1 out of 1"}
    status = {
        "AssociationId": "0b9a1f2e-6b1c-4c71-9f1b-0d6a3f3a8e11",
        "InstanceId": node.instance_id,
        "ExecutionResult": result,
    }
    answer = await node.call("AmazonSSM.UpdateInstanceAssociationStatus", status)
    assert (answer.status, answer.code) == (400, "AssociationDoesNotExist")


def test_a_key_survives_being_kept():
    """The simulation's own: what it writes down signs as before."""
    key = next(keys())
    assert KeyPair.load(key.text).public == key.public
