# SPDX-License-Identifier: Apache-2.0
"""The endpoint: who gets in, what they are told, and what the log keeps."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading

import pytest
from botocore.errorfactory import ClientExceptionsFactory
from botocore.model import ServiceModel
from botocore.parsers import create_parser

from patchwright.server.accounts import Signed
from patchwright.server.wire import ANY, AUDIENCE, USER, ApiError, Caller, Credential, Limits, WireMismatch
from patchwright.server.wire.protocol import Operation
from server.wire.client import MODELS, NODE_KEY, NOW, USER_KEY, Answer, Bench, call, signed

GET = "AmazonSSM.GetPatchBaseline"
MESSAGES = "EC2WindowsMessageDeliveryService.GetMessages"
PING = "AmazonSSM.UpdateInstanceInformation"
ENROLL = "Patchwright.Enroll"
GET_BODY = {"BaselineId": "pb-0123456789abcdef0"}
PING_BODY = {"InstanceId": "mi-0123456789abcdef0"}
POLL_BODY = {"Destination": "mi-0123456789abcdef0", "MessagesRequestId": "1", "VisibilityTimeoutInSeconds": 10}
ENROLL_BODY = {
    "ActivationId": "091c7ed1-9422-4a09-ab29-f74886c7cada",
    "ActivationCode": "c" * 20,
    "EnrollmentToken": "t" * 32,
}


class BaselineGone(Exception):
    """A room's error."""


class OwnedByAmazon(BaselineGone):
    """A more special one."""


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_signed_request_reaches_its_handler(bench):
    """With who called and what was asked; the answer carries the request's id."""
    endpoint = bench.endpoint({GET: {"BaselineId": "pb-1", "CreatedDate": NOW}})
    headers, body = signed(GET, GET_BODY)

    answer = await call(endpoint, headers, body)

    caller, request = bench.seen[0]
    assert (answer.status, answer.json) == (200, {"BaselineId": "pb-1", "CreatedDate": NOW})
    assert request == GET_BODY
    assert caller == Caller(
        account=USER_KEY.account,
        region="us-east-1",
        principal=USER_KEY.principal,
        kind="user",
        instance_id=None,
        request_id=answer.headers["x-amzn-requestid"],
        source_ip="192.0.2.7",
        target=GET,
        access_key_id=USER_KEY.access_key_id,
        signed=Signed(headers["authorization"][-64:][:16], headers["amz-sdk-invocation-id"], "192.0.2.7"),
    )
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_a_node_is_named_by_its_key(bench):
    """Not by what it says in the body."""
    endpoint = bench.endpoint({PING: {}})
    headers, body = signed(PING, {"InstanceId": "mi-fffffffffffffffff"}, key=NODE_KEY)

    answer = await call(endpoint, headers, body)

    assert answer.body == b"{}"
    assert bench.seen[0][0].instance_id == NODE_KEY.instance_id


async def test_a_chunked_body_is_read(bench):
    """Amazon's agent sends one of its calls without Content-Length."""
    headers, body = signed(PING, PING_BODY, key=NODE_KEY)
    del headers["content-length"]

    answer = await call(bench.endpoint({PING: {}}), headers, [body[:5], b"", body[5:]])

    assert answer.status == 200


# -- who may


@pytest.mark.parametrize(
    ("target", "key", "status"),
    [
        (GET, USER_KEY, 200),
        (GET, NODE_KEY, 400),
        (PING, NODE_KEY, 200),
        (PING, USER_KEY, 400),
        (MESSAGES, NODE_KEY, 200),
        (MESSAGES, USER_KEY, 400),
        ("Patchwright.GetVerdict", USER_KEY, 200),
        ("Patchwright.GetVerdict", NODE_KEY, 400),
    ],
)
async def test_nodes_and_users_each_have_their_operations(bench, target, key, status):
    """A node's key opens nothing of the users' API, and the other way round."""
    bodies = {GET: GET_BODY, MESSAGES: POLL_BODY}
    headers, body = signed(target, bodies.get(target, PING_BODY), key=key)

    answer = await call(bench.endpoint({target: {}}), headers, body)

    assert answer.status == status
    assert status == 200 or answer.code == "AccessDeniedException"
    assert len(bench.seen) == (status == 200)


async def test_the_composer_decides_who_may(bench):
    """By target, else by prefix."""
    audience = {**AUDIENCE, GET: ANY, "EC2WindowsMessageDeliveryService": USER}
    endpoint = bench.endpoint({GET: {}, MESSAGES: {}}, audience=audience)

    assert (await call(endpoint, *signed(GET, GET_BODY, key=NODE_KEY))).status == 200
    assert (await call(endpoint, *signed(MESSAGES, POLL_BODY))).status == 200


async def test_enrolment_needs_no_signature(bench):
    """Whoever asks has no key yet; a signature that is there anyway is not looked at."""
    endpoint = bench.endpoint({ENROLL: {"InstanceId": "mi-0123456789abcdef0"}})
    body = json.dumps(ENROLL_BODY).encode()

    plain = await call(endpoint, {"x-amz-target": ENROLL}, body)
    odd = await call(endpoint, {"x-amz-target": ENROLL, "authorization": "nonsense"}, body)

    assert (plain.status, odd.status) == (200, 200)
    assert {caller.kind for caller, _ in bench.seen} == {"anonymous"}
    assert bench.lookups == []


async def test_everything_else_does(bench):
    """No Authorization, no answer; presigned URLs are not an alternative."""
    endpoint = bench.endpoint({GET: {}})
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00"

    assert (await call(endpoint, {"x-amz-target": GET})).code == "MissingAuthenticationTokenException"
    assert (await call(endpoint, {"x-amz-target": GET}, query=query)).code == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("changed", [b'{"BaselineId":"pb-fffffffffffffffff"}', b"{}", b"x"])
async def test_nothing_unproved_is_parsed_or_handled(bench, changed):
    """A wrong signature is told before anything about the body."""
    headers, _ = signed(GET, GET_BODY)

    answer = await call(bench.endpoint({GET: {}}), {**headers, "content-length": str(len(changed))}, changed)

    assert answer.code == "InvalidSignatureException"
    assert bench.seen == []


async def test_an_unknown_key_makes_nobody_read_a_body(bench):
    """The body of a stranger is not taken in."""
    headers, _ = signed(GET, GET_BODY, key=Credential("AKIANOBODY", "x", "", ""))

    async def receive() -> dict:
        raise AssertionError("the body was asked for")

    sent = []

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/", "query_string": b"", "client": None,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    await bench.endpoint({GET: {}})(scope, receive, send)

    assert json.loads(sent[1]["body"])["__type"] == "UnrecognizedClientException"


# -- what is asked


@pytest.mark.parametrize(
    "target",
    ["", "AmazonSSM", "AmazonSSM.Nope", "Nope.GetPatchBaseline", "amazonssm.GetPatchBaseline", "é", "A" * 60_000],
)
async def test_an_unknown_target_is_said_to_be_unknown(bench, target):
    """Without asking who wants to know."""
    answer = await call(bench.endpoint({GET: {}}), {"x-amz-target": target})

    assert (answer.status, answer.code) == (400, "UnknownOperationException")
    assert len(answer.body) < 500
    assert len(bench.log.lines[0]["target"]) <= 128


async def test_without_a_target_there_is_no_operation(bench):
    """As AWS has it."""
    assert (await call(bench.endpoint({}), {})).code == "UnknownOperationException"


async def test_what_is_modelled_and_not_served_is_said_honestly(bench):
    """To those who may know; the others are refused first."""
    endpoint = bench.endpoint({})

    answer = await call(endpoint, *signed("AmazonSSM.ListDocuments"))

    assert (answer.status, answer.code) == (400, "UnsupportedOperationException")
    assert answer.json["message"] == "Patchwright does not serve AmazonSSM.ListDocuments yet."
    assert (
        await call(endpoint, {"x-amz-target": "AmazonSSM.ListDocuments"})
    ).code == "MissingAuthenticationTokenException"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 405), ("PUT", "/", 405), ("HEAD", "/", 405), ("POST", "/x", 404), ("GET", "//", 404)],
)
async def test_other_methods_and_paths_are_refused_in_the_same_form(bench, method, path, status):
    """JSON, with an id, and Allow where it belongs."""
    answer = await call(bench.endpoint({}), {}, method=method, path=path)

    assert answer.status == status
    assert answer.json["message"]
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)


def test_an_operation_without_model_is_refused_at_the_start(bench):
    """A misspelt target is found before the first request."""
    with pytest.raises(WireMismatch, match=r"AmazonSSM\.GetPachBaseline"):
        bench.endpoint({"AmazonSSM.GetPachBaseline": {}})


# -- how much


async def test_each_kind_of_operation_has_its_limit(bench):
    """Little from strangers, more from users, most where facts arrive; a target may have its own."""
    limits = Limits(body=2_000, bulk=4_000, anonymous=1_000, by_target={PING: 100})
    endpoint = bench.endpoint({}, limits=limits)
    verdict = "Patchwright.GetVerdict"

    async def status(target: str, size: int, key: Credential | None = USER_KEY) -> int:
        body = b'{"x":"' + b"x" * (size - 8) + b'"}'
        headers = {"x-amz-target": target} if key is None else signed(target, body, key=key)[0]
        return (await call(endpoint, headers, body)).status

    assert [await status(GET, size) for size in (2_000, 2_001)] == [400, 413]
    assert [await status(verdict, size) for size in (4_000, 4_001)] == [400, 413]
    assert [await status(ENROLL, size, None) for size in (1_000, 1_001)] == [400, 413]
    assert [await status(PING, size, NODE_KEY) for size in (100, 101)] == [400, 413]


@pytest.mark.parametrize("packed", [False, True])
async def test_free_form_documents_are_small(bench, packed):
    """They are looked through value by value: sixty-four inflated megabytes of them would take a minute."""
    target = "Patchwright.PutFacts"
    limits = Limits(documents=100_000)

    async def status(size: int) -> int:
        facts = {"OperationId": "o" * 36, "Phase": "before", "Facts": {"held": ["x" * (size - 99)]}}
        body = json.dumps(facts).encode()
        assert len(body) == size
        if packed:
            headers, body = signed(target, gzip.compress(body), key=NODE_KEY, more={"Content-Encoding": "gzip"})
        else:
            headers, body = signed(target, body, key=NODE_KEY)
        return (await call(bench.endpoint({target: {}}, limits=limits), headers, body)).status

    assert [await status(size) for size in (100_000, 100_001)] == [200, 413]


async def test_a_large_body_is_read_off_the_loop(bench, monkeypatch):
    """In another thread, so that others are answered meanwhile."""
    target = "Patchwright.PutFacts"
    readers = []
    read = Operation.read
    monkeypatch.setattr(Operation, "read", lambda *given: readers.append(threading.get_ident()) or read(*given))
    for size, elsewhere in ((500_000, True), (10, False)):
        facts = b"0," * size
        body = b'{"OperationId":"%s","Phase":"before","Facts":{"a":[%s0]}}' % (b"o" * 36, facts)
        headers, body = signed(target, body, key=NODE_KEY)
        answer = await call(bench.endpoint({target: {}}), headers, body)

        assert answer.status == 200
        assert (readers.pop() != threading.get_ident()) is elsewhere
    assert readers == []


async def test_a_body_that_is_too_large_ends_the_connection(bench):
    """What is left of it would be read as the next request."""
    headers, body = signed(GET, b"x" * 3_000)

    answer = await call(bench.endpoint({GET: {}}, limits=Limits(body=2_000)), headers, body)

    assert (answer.status, answer.code) == (413, "RequestEntityTooLargeException")
    assert answer.headers["connection"] == "close"
    assert bench.log.lines[0]["error"] == "RequestEntityTooLargeException"


@pytest.mark.parametrize("size", [10, 300_000])
async def test_gzip_is_read_where_facts_arrive(bench, size):
    """The signature covers the bytes as sent; larger bodies are inflated off the loop."""
    target = "Patchwright.GetVerdict"
    noise = "".join(chr(33 + (n * n * 31) % 91) for n in range(size)).replace("\\", "/").replace('"', "'")
    packed = gzip.compress(json.dumps({**PING_BODY, "Other": noise}).encode())
    headers, body = signed(target, packed, more={"Content-Encoding": "gzip"})

    answer = await call(bench.endpoint({target: {"Document": "{}"}}), headers, body)

    assert (answer.status, bench.seen[0][1]) == (200, PING_BODY)


async def test_a_large_body_is_hashed_off_the_loop(bench):
    """And verified all the same."""
    target = "Patchwright.GetVerdict"
    headers, body = signed(target, {**PING_BODY, "Other": "x" * 2_000_000})

    good = await call(bench.endpoint({target: {"Document": "{}"}}), headers, body)
    bad = await call(bench.endpoint({target: {"Document": "{}"}}), headers, body.replace(b"xx", b"xy", 1))

    assert (good.status, bad.code) == (200, "InvalidSignatureException")


@pytest.mark.parametrize(
    ("target", "encoding"),
    [(GET, "gzip"), ("Patchwright.GetVerdict", "br"), ("Patchwright.GetVerdict", "gzip, gzip"), (ENROLL, "gzip")],
)
async def test_other_encodings_are_refused(bench, target, encoding):
    """And gzip is, from strangers and where no facts arrive."""
    headers, body = signed(target, gzip.compress(b"{}"), more={"Content-Encoding": encoding})

    assert (await call(bench.endpoint({target: {}}), headers, body)).code == "SerializationException"


async def test_a_bomb_is_refused(bench):
    """A small body that becomes too large a one."""
    target = "Patchwright.GetVerdict"
    headers, body = signed(target, gzip.compress(b" " * 2_000_000), more={"Content-Encoding": "gzip"})

    answer = await call(bench.endpoint({target: {}}, limits=Limits(inflated=1_000_000)), headers, body)

    assert (answer.status, answer.code) == (413, "RequestEntityTooLargeException")


# -- what is refused, and how


async def test_a_refusal_is_told_in_every_form_clients_read(bench):
    """`__type`, both spellings of the message, the header, further members."""
    refusal = ApiError("ItemContentMismatchException", "No such thing.", members={"TypeName": "AWS:Network"})

    answer = await call(bench.endpoint({GET: refusal}), *signed(GET, GET_BODY))

    assert answer.status == 400
    assert answer.json == {
        "__type": "ItemContentMismatchException",
        "message": "No such thing.",
        "Message": "No such thing.",
        "TypeName": "AWS:Network",
    }
    assert answer.headers["x-amzn-errortype"] == "ItemContentMismatchException"
    assert answer.headers["x-amzn-requestid"] == bench.log.lines[0]["request_id"]


@pytest.mark.parametrize("members", [{"TypeNam": "AWS:Network"}, {"TypeName": 7}])
async def test_a_refusal_that_does_not_fit_its_model_is_our_error(bench, members):
    """Strict models, which tests use, hold refusals to the model as they hold answers."""
    refusal = ApiError("ItemContentMismatchException", "No such thing.", members=members)

    answer = await call(bench.endpoint({GET: refusal}), *signed(GET, GET_BODY))

    assert (answer.status, answer.code) == (500, "InternalServerError")
    assert "WireMismatch" in bench.log.lines[0]["traceback"]


async def test_a_room_s_error_is_told_by_the_table(bench):
    """The most special class wins; the message is the error's own."""
    errors = {BaselineGone: "DoesNotExistException", OwnedByAmazon: "ResourceInUseException"}

    for error, code in (
        (BaselineGone("pb-1 is gone"), "DoesNotExistException"),
        (OwnedByAmazon("pb-1 is ours"), "ResourceInUseException"),
    ):
        answer = await call(bench.endpoint({GET: error}, errors=errors), *signed(GET, GET_BODY))
        assert (answer.status, answer.code, answer.json["message"]) == (400, code, str(error))


@pytest.mark.parametrize("failure", [RuntimeError("disk on fire at /var/lib/secret"), {"BaselineID": "misspelt"}])
async def test_an_unexpected_failure_is_ours(bench, failure):
    """The client learns the request's id and no more; the log has the traceback."""
    answer = await call(bench.endpoint({GET: failure}), *signed(GET, GET_BODY))

    line = bench.log.lines[0]
    assert (answer.status, answer.code) == (500, "InternalServerError")
    assert answer.json["message"] == f"The server failed to answer. The request id is {line['request_id']}."
    assert (line["level"], line["status"], line["error"]) == ("error", 500, "InternalServerError")
    assert "Traceback" in line["traceback"]


async def test_a_message_with_unprintable_characters_is_still_told(bench):
    """The operating system's file names may hold anything."""
    answer = await call(bench.endpoint({GET: ApiError("InvalidDocument", "no \udcff here")}), *signed(GET, GET_BODY))

    assert (answer.status, answer.json["message"]) == (400, "no ? here")


MODELLED = sorted(
    name
    for name, shape in MODELS.service("AmazonSSM").model["shapes"].items()
    if shape.get("exception") and name != "InternalServerError"
)


@pytest.mark.parametrize("code", [*MODELLED, "InternalServerError"])
def test_every_modelled_error_reaches_boto_as_its_own_class(code):
    """botocore finds the class by what we send, whichever way the model spells the message."""
    service = ServiceModel(MODELS.service("AmazonSSM").model, "ssm")
    refusal = ApiError(code, "because")
    operation = service.operation_model("GetPatchBaseline")
    response = {"status_code": refusal.status, "headers": {}, "body": refusal.body(refusal.members)}

    parsed = create_parser("json").parse(response, operation.output_shape)
    kind = ClientExceptionsFactory().create_client_exceptions(service).from_code(parsed["Error"]["Code"])

    assert parsed["Error"] == {"Code": code, "Message": "because"}
    assert kind.__name__ == code
    assert refusal.status == (500 if code == "InternalServerError" else 400)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff", b"NaN", b'{"BaselineId":NaN}', b'{"BaselineId":"\\ud800"}', b"[" * 100_000, b'{"a":' * 100_000,
     b'{"BaselineId":"pb-0123456789abcdef0","BaselineId":7}', b'{"BaselineId":{"a":1}}', b'{"x":' + b"1" * 50_000 + b"}", b"\0" * 1000],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
async def test_no_body_makes_the_server_fail(bench, body):
    """Everything that can be wrong with a body is the client's to mend."""
    answer = await call(bench.endpoint({GET: {}}), *signed(GET, body))

    assert answer.status == 400
    assert answer.code in {"SerializationException", "ValidationException"}


# -- the log


async def test_each_request_is_one_line(bench):
    """Who, what, how it ended, how long; whoever was not proved is not named."""
    endpoint = bench.endpoint({GET: {}})
    good, body = signed(GET, GET_BODY)

    await call(endpoint, good, body)
    await call(endpoint, {**good, "authorization": good["authorization"][:-1] + "x"}, body)
    await call(endpoint, {}, method="GET")

    assert [
        (line["event"], line["target"], line["account"], line["principal"], line["status"], line["error"])
        for line in bench.log.lines
    ] == [
        ("call", GET, USER_KEY.account, USER_KEY.principal, 200, None),
        ("call", GET, "", "", 400, "InvalidSignatureException"),
        ("call", "", "", "", 405, "MethodNotAllowedException"),
    ]
    assert all(line["ms"] >= 0 for line in bench.log.lines)


async def test_the_log_keeps_neither_bodies_nor_secrets(bench):
    """Not even when the handler fails over them."""

    async def handler(caller: Caller, request: dict) -> dict:
        parameter = request["Value"]
        raise RuntimeError(len(parameter))

    target = "AmazonSSM.PutParameter"
    headers, body = signed(target, {"Name": "password", "Value": "hush-hush", "Type": "SecureString"})

    answer = await call(bench.endpoint({target: handler}), headers, body)

    assert answer.status == 500
    text = repr(bench.log.lines)
    assert "hush" not in text
    assert "user-secret" not in text
    assert headers["authorization"].rpartition("=")[2] not in text


async def test_a_client_that_goes_away_is_logged(bench):
    """There is nobody to answer."""
    headers, _ = signed(GET, GET_BODY)

    answer = await call(bench.endpoint({GET: {}}), headers, [])

    assert answer == Answer(0, {}, b"")
    assert (bench.log.lines[0]["status"], bench.log.lines[0]["error"]) == (499, "Disconnected")


async def test_a_cancelled_request_is_logged_as_such(bench):
    """A server that stops does not claim to have answered."""
    started = asyncio.Event()

    async def handler(caller: Caller, request: dict) -> dict:
        started.set()
        await asyncio.Event().wait()
        return {}

    task = asyncio.ensure_future(call(bench.endpoint({GET: handler}), *signed(GET, GET_BODY)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (bench.log.lines[0]["status"], bench.log.lines[0]["error"]) == (499, "Cancelled")


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_only_http_is_spoken(bench, kind):
    """Channels are another application's."""
    with pytest.raises(NotImplementedError):
        await bench.endpoint({})({"type": kind}, None, None)


async def test_a_parked_handler_ends_when_its_client_goes_away(bench):
    """It is cancelled, and the log says that there was nobody left to answer."""
    ended = asyncio.Event()

    async def handler(caller: Caller, request: dict) -> dict:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    headers, body = signed(MESSAGES, POLL_BODY, key=NODE_KEY)

    answer = await call(bench.endpoint({MESSAGES: handler}, parked=[MESSAGES]), headers, body, gone=True)

    assert ended.is_set()
    assert answer == Answer(0, {}, b"")
    assert (bench.log.lines[0]["status"], bench.log.lines[0]["error"]) == (499, "Disconnected")


async def test_a_parked_handler_that_has_something_answers(bench):
    """Its answer and its errors are those of any other handler."""
    headers, body = signed(MESSAGES, POLL_BODY, key=NODE_KEY)

    answer = await call(bench.endpoint({MESSAGES: {"Messages": []}}, parked=[MESSAGES]), headers, body)

    assert (answer.status, answer.json) == (200, {"Messages": []})
