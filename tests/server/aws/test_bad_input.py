# SPDX-License-Identifier: Apache-2.0
"""
Bad input anywhere: an AWS error, one log line with the request id, nothing half-written (the issue's "must show").

What each operation refuses of its own stands beside that operation; here is what every request has to pass.
"""

from __future__ import annotations

import gzip
import json
import uuid

import pytest

from patchwright.server.wire import Credential
from patchwright.server.wire.services import ANY, AUDIENCE
from server.aws.test_unserved import SERVED
from server.wire.client import signed

CREATE = "AmazonSSM.CreatePatchBaseline"
GOOD = {"Name": "web", "OperatingSystem": "DEBIAN"}
NODE_TARGETS = (
    "AmazonSSM.UpdateInstanceInformation",
    "EC2WindowsMessageDeliveryService.AcknowledgeMessage",
    "EC2WindowsMessageDeliveryService.FailMessage",
    "EC2WindowsMessageDeliveryService.GetMessages",
    "EC2WindowsMessageDeliveryService.SendReply",
    "Patchwright.BeginOperation",
    "Patchwright.PutBodies",
    "Patchwright.PutFacts",
    "Patchwright.PutOverrides",
    "Patchwright.PutResolution",
)


class Guard:
    """Checks of a refusal what is true of every refusal."""

    def __init__(self, house):
        self.house = house

    async def refused(self, answer, status, code, before):
        """The answer is that error, was logged once, and changed nothing."""
        assert (answer.status, answer.code) == (status, code), answer.body
        assert answer.json["message"] == answer.json["Message"] != ""
        assert answer.headers["x-amzn-errortype"] == code
        (line,) = self.house.lines
        assert (line["event"], line["status"], line["error"]) == ("call", status, code)
        assert line["request_id"] == answer.headers["x-amzn-requestid"] == str(uuid.UUID(line["request_id"]))
        assert "made-up-root-secret" not in json.dumps(line)
        assert await self.house.dump() == before

    async def call(self, status, code, target=CREATE, body=GOOD, **how):
        """Sign, call, and check the refusal."""
        before = await self.house.dump()
        await self.refused(await self.house.call(target, body, **how), status, code, before)

    async def knock(self, status, code, headers, body=b"{}", **how):
        """Call with headers as they are, and check the refusal."""
        before = await self.house.dump()
        await self.refused(await self.house.knock(headers, body, **how), status, code, before)


@pytest.fixture
def guard(house):
    """Checks over a house of this test's own."""
    return Guard(house)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"}",
        b'{"Name": "web"',
        b'{"Name": "web"}}',
        b'{"Name": "web",}',
        b"{'Name': 'web'}",
        b'{"Name": NaN}',
        b'{"Name": "\xff"}',
        b'{"Name": "\\ud800"}',
        b"[]",
        b'"text"',
        b"null",
        b"7",
        b"\x00",
        b'\xef\xbb\xbf{"Name": "web"}',
        b"[" * 100_000,
        b'{"ApprovalRules": ' + b'{"PatchRules": [' * 5_000,
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_malformed_json_is_a_serialization_exception(guard, body):
    """Before anything is looked at."""
    await guard.call(400, "SerializationException", body=body)


async def test_a_wrong_signature_is_refused(guard, house):
    """A wrong secret, a changed body, a changed target, a changed region."""
    thief = Credential(house.root.access_key_id, "guessed", house.account, house.root.principal)
    await guard.call(400, "InvalidSignatureException", key=thief)
    headers, body = signed(CREATE, GOOD, key=house.root, at=house.clock.now())
    await guard.knock(400, "InvalidSignatureException", headers, body.replace(b"web", b"bad"))
    await guard.knock(
        400, "InvalidSignatureException", {**headers, "x-amz-target": "AmazonSSM.UpdatePatchBaseline"}, body
    )
    moved = headers["authorization"].replace("us-east-1", "eu-west-1")
    await guard.knock(400, "InvalidSignatureException", {**headers, "authorization": moved}, body)
    await guard.call(400, "InvalidSignatureException", service="patchwright")


async def test_an_unknown_key_is_refused(guard, house):
    """User's or node's, existing elsewhere or nowhere; AWS says the same for all."""
    for key_id in ("AKIAUNKNOWN", "mi-00000000000000000", house.root.access_key_id.lower()):
        stranger = Credential(key_id, house.root.secret, house.account, "")
        await guard.call(400, "UnrecognizedClientException", key=stranger)


async def test_a_request_must_be_signed_at_all(guard):
    """No header, another scheme, half a header, a presigned URL."""
    target = {"x-amz-target": CREATE, "content-length": "2"}
    await guard.knock(400, "MissingAuthenticationTokenException", target)
    await guard.knock(400, "IncompleteSignatureException", {**target, "authorization": "Basic dXNlcjpwYXNz"})
    await guard.knock(400, "IncompleteSignatureException", {**target, "authorization": "AWS4-HMAC-SHA256 Credential=x"})
    await guard.knock(
        400, "MissingAuthenticationTokenException", target, query="X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0"
    )


@pytest.mark.parametrize("offset", [-15 * 60 - 1, 15 * 60 + 1, -3600, 86400 * 400])
async def test_a_request_is_good_for_fifteen_minutes(guard, house, offset):
    """Older or from the future: refused; just inside: served."""
    await guard.call(400, "InvalidSignatureException", at=house.clock.now() + offset)
    assert (await house.call(CREATE, GOOD, at=house.clock.now() - 14 * 60)).status == 200


async def test_an_oversized_body_is_refused(guard, house):
    """By what it says of itself, or by what it is."""
    huge = json.dumps({**GOOD, "Description": "x" * (1024 * 1024)}).encode()
    await guard.call(413, "RequestEntityTooLargeException", body=huge)
    headers, _ = signed(CREATE, GOOD, key=house.root, at=house.clock.now())
    await guard.knock(413, "RequestEntityTooLargeException", {**headers, "content-length": "99999999999"}, b"{}")
    pieces = [b"x" * 65536] * 40
    del headers["content-length"]
    await guard.knock(413, "RequestEntityTooLargeException", headers, pieces)


async def test_a_body_that_is_not_as_long_as_it_says_is_refused(guard, house):
    """Shorter or longer."""
    headers, body = signed(CREATE, GOOD, key=house.root, at=house.clock.now())
    for length in ("1", "40", "x", "-1"):
        await guard.knock(400, "SerializationException", {**headers, "content-length": length}, body)


async def test_compressed_bodies_are_for_agents(guard):
    """The AWS services take none."""
    for encoding in ("gzip", "br", "deflate", "gzip, gzip"):
        body = gzip.compress(json.dumps(GOOD).encode())
        await guard.call(400, "SerializationException", body=body, more={"Content-Encoding": encoding})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"Name": 7}, "SerializationException"),
        ({"Name": ["web"]}, "SerializationException"),
        ({"Name": {}}, "SerializationException"),
        ({"Name": True}, "SerializationException"),
        ({"Name": None}, "ValidationException"),
        ({}, "ValidationException"),
        ({**GOOD, "ApprovedPatches": "openssl"}, "SerializationException"),
        ({**GOOD, "ApprovedPatches": [None]}, "ValidationException"),
        ({**GOOD, "ApprovedPatches": [7]}, "SerializationException"),
        ({**GOOD, "ApprovalRules": []}, "SerializationException"),
        ({**GOOD, "ApprovalRules": {}}, "ValidationException"),
        ({**GOOD, "ApprovalRules": {"PatchRules": [{}]}}, "ValidationException"),
        ({**GOOD, "ApprovedPatchesEnableNonSecurity": "yes"}, "SerializationException"),
        ({**GOOD, "Tags": {"a": "b"}}, "SerializationException"),
        ({**GOOD, "Description": "a\0b"}, "ValidationException"),
        ({**GOOD, "ApprovedPatches": ["x"] * 40_000}, "ValidationException"),
        ({**GOOD, "Name": "x" * 500_000}, "ValidationException"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else value,
)
async def test_values_of_the_wrong_type_or_size_are_refused(guard, body, code):
    """With the member's path in the text."""
    await guard.call(400, code, body=body)


async def test_nodes_do_not_call_what_is_for_users(guard, house):
    """Not one of the operations, but for those that nodes may call of themselves."""
    node = await house.enrol()
    for_users = [name for name in sorted(SERVED) if AUDIENCE.get(f"AmazonSSM.{name}") != ANY]
    for target in [f"AmazonSSM.{name}" for name in for_users] + [
        "Patchwright.ExportPatchReport",
        "Patchwright.GetPatchReport",
        "Patchwright.GetVerdict",
        "AmazonSSM.DeleteActivation",
    ]:
        await guard.call(400, "AccessDeniedException", target, {}, key=node)


async def test_users_do_not_call_what_is_for_nodes(guard):
    """Root neither."""
    for target in NODE_TARGETS:
        await guard.call(400, "AccessDeniedException", target, {})


async def test_only_the_api_is_called_and_only_with_post(guard, house):
    """Other paths and methods say so."""
    headers, body = signed(CREATE, GOOD, key=house.root, at=house.clock.now())
    await guard.knock(404, "NotFoundException", headers, body, path="/x")
    await guard.knock(404, "NotFoundException", headers, body, path="//")
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        await guard.knock(405, "MethodNotAllowedException", headers, body, method=method)


async def test_anonymous_callers_enrol_and_nothing_else(guard, house):
    """Without a signature, every other operation of agents is refused too; a large body is not even read."""
    for target in NODE_TARGETS:
        await guard.knock(400, "MissingAuthenticationTokenException", {"x-amz-target": target})
    large = json.dumps({"ActivationId": "x" * 100_000}).encode()
    await guard.knock(413, "RequestEntityTooLargeException", {"x-amz-target": "Patchwright.Enroll"}, large)
    await guard.knock(400, "SerializationException", {"x-amz-target": "Patchwright.Enroll"}, b"{")
    packed = {"x-amz-target": "Patchwright.Enroll", "content-encoding": "gzip"}
    await guard.knock(400, "SerializationException", packed, gzip.compress(b"{}"))


async def test_secrets_are_never_repeated(guard, house):
    """An activation code that is wrong in form is refused without being shown, in the answer and in the log."""
    code = "c0de-that-nobody-should-read" * 20
    body = {"ActivationId": "x", "ActivationCode": code, "EnrollmentToken": "t" * 99}

    await guard.call(400, "ValidationException", "Patchwright.Enroll", body)
    answer = await house.call("Patchwright.Enroll", body)

    assert code[:20].encode() not in answer.body
    assert "tttt" not in answer.body.decode()
    assert code[:20] not in json.dumps(house.lines)
