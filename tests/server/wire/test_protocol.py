# SPDX-License-Identifier: Apache-2.0
"""Bodies, both ways, against botocore's own serializer and parser."""

from __future__ import annotations

import base64
import datetime
import json
import os
import re
from typing import Any

import pytest
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchwright.server.wire import ApiError, WireMismatch, load_models
from patchwright.server.wire.services import SOURCES
from server.wire import shapes as strategies
from server.wire.client import MODELS
from server.wire.elsewhere import ELSEWHERE

JSON = [prefix for prefix in SOURCES if MODELS.service(prefix).protocol == "json"]
TARGETS = sorted(target for target in MODELS.targets() if target.partition(".")[0] in JSON)
# Those of other models are held to the same in test_every_service.py.
OUR_OWN = sorted(set(TARGETS) - {f"AmazonSSM.{name}" for name in ELSEWHERE.service("AmazonSSM").operation_names})
PATCH_LOOP = [
    "AmazonSSM.AddTagsToResource",
    "AmazonSSM.CreateActivation",
    "AmazonSSM.CreatePatchBaseline",
    "AmazonSSM.DescribeInstanceInformation",
    "AmazonSSM.DescribeInstancePatches",
    "AmazonSSM.DescribePatchBaselines",
    "AmazonSSM.GetCommandInvocation",
    "AmazonSSM.RegisterPatchBaselineForPatchGroup",
    "AmazonSSM.SendCommand",
    "AmazonSSM.UpdateInstanceInformation",
    "AmazonSSM.UpdatePatchBaseline",
    "EC2WindowsMessageDeliveryService.GetMessages",
    "EC2WindowsMessageDeliveryService.SendReply",
    "Patchwright.Enroll",
    "Patchwright.PutFacts",
    "Patchwright.PutResolution",
]
AWKWARD = ["AmazonSSM.GetInventory", "AmazonSSM.RegisterTaskWithMaintenanceWindow", "AmazonSSM.PutInventory"]
BOTO = {prefix: ServiceModel(MODELS.service(prefix).model, prefix) for prefix in JSON}
QUICK = settings(
    max_examples=100 if os.environ.get("PATCHWRIGHT_FULL") else 15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


def boto_operation(target: str) -> Any:
    prefix, _, name = target.partition(".")
    return BOTO[prefix].operation_model(name)


def shapes_of(target: str) -> Any:
    return MODELS.service(target.partition(".")[0]).model["shapes"]


def input_shape(target: str) -> str:
    return boto_operation(target).input_shape.name


def sent_by_botocore(target: str, value: dict[str, Any]) -> bytes:
    serializer = create_serializer("json", include_validation=False)
    body = serializer.serialize_to_request(value, boto_operation(target))["body"]
    return body if isinstance(body, bytes) else body.encode()


def read_by_botocore(target: str, body: bytes) -> dict[str, Any]:
    response = {"status_code": 200, "headers": {}, "body": body}
    parsed = create_parser("json").parse(response, boto_operation(target).output_shape)
    return {name: value for name, value in parsed.items() if name != "ResponseMetadata"}


def read_or_refusal(target: str, body: bytes) -> str:
    try:
        MODELS.operation(target).parse(body)
    except ApiError as refused:
        return refused.code
    return "read"


def timeless(value: Any) -> Any:
    """*value* with every moment as epoch seconds, as handlers see them."""
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items()}
    if isinstance(value, list):
        return [timeless(one) for one in value]
    return value


@pytest.mark.parametrize("target", TARGETS)
def test_every_operation_compiles(target):
    """Every input shape becomes a decoder and every output shape a writer; an empty answer is `{}`."""
    operation = MODELS.operation(target)

    assert operation.input._decoder is not None
    assert operation.serialize({}) == b"{}"


@pytest.mark.parametrize("target", OUR_OWN)
@settings(parent=QUICK, max_examples=3, derandomize=True)
@given(data=st.data())
def test_what_botocore_sends_is_understood_by_every_operation(target, data):
    """A valid request, written by botocore, reaches the handler as its caller wrote it."""
    value = data.draw(strategies.valid(shapes_of(target), input_shape(target)))

    assert MODELS.operation(target).parse(sent_by_botocore(target, value)) == value


@pytest.mark.parametrize("target", PATCH_LOOP)
@QUICK
@given(data=st.data())
def test_what_botocore_sends_is_understood(target, data):
    """The same, in depth, for the operations the patch loop consists of."""
    value = data.draw(strategies.valid(shapes_of(target), input_shape(target)))

    assert MODELS.operation(target).parse(sent_by_botocore(target, value)) == value


@pytest.mark.parametrize("target", OUR_OWN)
@settings(parent=QUICK, max_examples=3, derandomize=True)
@given(data=st.data())
def test_what_we_answer_is_understood_by_botocore(target, data):
    """Every operation's answer, read by botocore, is what the handler said."""
    shape = boto_operation(target).output_shape
    value = data.draw(strategies.valid(shapes_of(target), shape.name)) if shape else {}

    assert timeless(read_by_botocore(target, MODELS.operation(target).serialize(value))) == value


@pytest.mark.parametrize("target", [*PATCH_LOOP, *AWKWARD])
@QUICK
@given(data=st.data())
def test_the_quick_reading_and_the_slow_one_agree(target, data):
    """msgspec accepts exactly what the walk over the shape finds nothing wrong with: no false refusal, no gap."""
    operation = MODELS.operation(target)
    value = data.draw(strategies.near(shapes_of(target), input_shape(target)))
    body = json.dumps(value).encode()

    try:
        operation.input._decoder.decode(body)
        accepted = True
    except ValueError:
        accepted = False
    try:
        operation.input._refuse(json.loads(body))
        faultless = True
    except ApiError:
        faultless = False

    assert accepted == faultless


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"Name":',
        b"[]",
        b'"text"',
        b"7",
        b"null",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"Name": "\xc3\x28"}',
        b'{"Name": "\xed\xa0\x80"}',
        b'{"Name": "\\ud800"}',
        b'{"Name": "\\ud800\\u0041"}',
        b'{"Name": "\\udc00"}',
        b'{"Name": NaN}',
        b'{"x": NaN}',
        b'{"x": Infinity}',
        b"{'Name': 'web'}",
        b'{"Name": "web"} {}',
        b'{"Name": "web",}',
        b'{"x": ' + b"9" * 100_000 + b"}",
        b'{"Name": ' + b"9" * 4_000 + b"}",
        b'{"Name": 1e999}',
        b'{"ApprovalRules":' * 5_000 + b"{}" + b"}" * 5_000,
        b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"Name": {"a": "web"}}',
        b'{"Name": ["web"]}',
        b'{"Name": true}',
        b'{"Name": "web", "ApprovedPatches": "openssl"}',
        b'{"Name": "web", "ApprovedPatches": [1]}',
        b'{"Name": "web", "GlobalFilters": []}',
        b'{"Name": "web", "ApprovedPatchesEnableNonSecurity": "true"}',
        b'{"Name": "web", "ApprovedPatchesEnableNonSecurity": 1}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_cannot_be_read_is_a_serialization_error(body):
    """Broken JSON, wrong encodings and values of the wrong JSON type are told apart from broken rules."""
    with pytest.raises(ApiError) as refused:
        MODELS.operation("AmazonSSM.CreatePatchBaseline").parse(body)

    assert (refused.value.code, refused.value.status) == ("SerializationException", 400)
    assert len(refused.value.message) < 400


@pytest.mark.parametrize("depth", [10, 200, 240, 330, 480, 500, 900, 1000, 20_000])
def test_a_shape_within_itself_is_read_to_any_depth_or_refused(depth):
    """Recursive shapes, however deep the body, with nulls to remove and rules broken at the bottom."""
    for core in (b'{"Expression":null}', b'{"Expression":""}', b'{"Expression":7}', b'{"Expression":"a\\u0000"}'):
        body = b'{"Aggregators":[' + b'{"Aggregators":[' * depth + core + b"]}" * depth + b"]}"
        outcome = read_or_refusal("AmazonSSM.GetInventory", body)

        readable = core == b'{"Expression":null}' and outcome == "read"
        assert readable or outcome in {"SerializationException", "ValidationException"}


@given(st.binary(max_size=200))
def test_no_bytes_at_all_break_the_parser(body):
    """Whatever arrives is a request or a refusal."""
    assert read_or_refusal("AmazonSSM.DescribePatchBaselines", body) in {
        "read",
        "SerializationException",
        "ValidationException",
    }


@pytest.mark.parametrize(
    ("tags", "code"), [([{}] * 300_000, "ValidationException"), ([7] * 300_000, "SerializationException")]
)
def test_a_large_wrong_body_is_refused_without_reading_it_again(tags, code):
    """The walk that explains is slow; above a size the first problem is enough."""
    body = json.dumps({"Name": "web", "Tags": tags}).encode()

    assert read_or_refusal("AmazonSSM.CreatePatchBaseline", body) == code


def test_an_empty_body_is_an_empty_request():
    """Some clients send nothing where they have nothing to say."""
    assert MODELS.operation("AmazonSSM.DescribePatchBaselines").parse(b"") == {}


def test_the_last_of_two_equal_keys_counts():
    """As in AWS and in Python's own reader."""
    assert MODELS.operation("AmazonSSM.CreatePatchBaseline").parse(b'{"Name":"one","Name":"two"}') == {"Name": "two"}


def test_unknown_members_and_nulls_do_not_reach_the_handler():
    """A newer client may say more than we know; null says nothing. At every depth."""
    body = b'{"Name":"web","New":{"a":[null]},"Description":null,"ApprovalRules":{"PatchRules":[{"PatchFilterGroup":{"PatchFilters":[]},"ComplianceLevel":null}]}}'

    read = MODELS.operation("AmazonSSM.CreatePatchBaseline").parse(body)

    assert read == {"Name": "web", "ApprovalRules": {"PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}}]}}


def test_a_document_reaches_the_handler_as_it_was_sent():
    """What no model describes is a room's to read: nulls stay, since a digest may be taken over them."""
    facts = {"set": "set1:0", "epoch": None, "list": [None, {"a": None}], "big": 2**63 - 1, "half": 0.5, "": True}
    sent = {"OperationId": "6e0b0bc0-0f53-4c3f-9d38-1b6a4f0c2d11", "Phase": "before", "Facts": facts, "Drift": None}

    read = MODELS.operation("Patchwright.PutFacts").parse(json.dumps(sent).encode())

    assert read == {name: value for name, value in sent.items() if name != "Drift"}


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        (strategies.nested(17), "nested more than 16 levels"),
        (strategies.nested(900), "nested more than 16 levels"),
        ({"a": [2**63]}, "more than 64 bits"),
        ({"a": {"b\0": 1}}, "U+0000"),
        ({"a": ["\0"]}, "U+0000"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_document_holds_nothing_that_breaks_its_readers(facts, problem):
    """Neither their stack nor their database."""
    sent = {"OperationId": "6e0b0bc0-0f53-4c3f-9d38-1b6a4f0c2d11", "Phase": "before", "Facts": facts}

    with pytest.raises(ApiError, match=re.escape(problem)) as refused:
        MODELS.operation("Patchwright.PutFacts").parse(json.dumps(sent).encode())

    assert refused.value.code == "ValidationException"


def test_a_document_leaves_as_the_handler_gave_it():
    """Nulls included."""
    written = MODELS.operation("Patchwright.PutFacts").serialize(
        {"Next": "resolve", "Intent": {"a": [None, {"b": None}]}}
    )

    assert json.loads(written) == {"Next": "resolve", "Intent": {"a": [None, {"b": None}]}}


def test_moments_reach_the_handler_as_epoch_seconds():
    """A whole number and a fraction both become a float; a moment no calendar knows is refused."""
    operation = MODELS.operation("AmazonSSM.CreateActivation")

    assert operation.parse(b'{"IamRole":"role","ExpirationDate":1795147200}')["ExpirationDate"] == 1795147200.0
    assert operation.parse(b'{"IamRole":"role","ExpirationDate":1795147200.465}')["ExpirationDate"] == 1795147200.465
    for wrong in (b"1e300", b"-1e12", b'"tomorrow"', b"true"):
        with pytest.raises(ApiError, match="Timestamp"):
            operation.parse(b'{"IamRole":"role","ExpirationDate":%s}' % wrong)


def test_blobs_reach_the_handler_as_bytes():
    """Base64 is the wire's business."""
    sent = {"WindowId": "mw-0123456789abcdef0", "WindowTaskId": "6e0b0bc0-0f53-4c3f-9d38-1b6a4f0c2d11"}
    payload = {"TaskInvocationParameters": {"Lambda": {"Payload": base64.b64encode(b"\0\xff{}").decode()}}}
    operation = MODELS.operation("AmazonSSM.UpdateMaintenanceWindowTask")

    read = operation.parse(json.dumps({**sent, **payload}).encode())

    assert read["TaskInvocationParameters"]["Lambda"]["Payload"] == b"\0\xff{}"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"BaselineID": "pb-1"}, "no member 'BaselineID'"),
        ({"BaselineId": 7}, "GetPatchBaselineResult.BaselineId is a int"),
        ({"CreatedDate": "2026-11-20"}, "CreatedDate is a str"),
        ({"ApprovedPatches": ("openssl",)}, "ApprovedPatches is a tuple"),
        ({"ApprovedPatches": [None]}, "ApprovedPatches.1 is a NoneType"),
        ({"CreatedDate": float("nan")}, "no moment"),
    ],
)
def test_an_answer_that_does_not_fit_its_model_is_our_error(answer, problem):
    """Strict models, which tests use, name the member."""
    with pytest.raises(WireMismatch, match=problem):
        MODELS.operation("AmazonSSM.GetPatchBaseline").serialize(answer)


def test_in_production_an_answer_is_cut_to_its_model():
    """Nothing that clients cannot read leaves the server, and nothing null."""
    operation = load_models().operation("AmazonSSM.GetPatchBaseline")
    answer = {"BaselineId": "pb-1", "Secret": 1, "Name": None, "Sources": [{"Name": "x", "y": 1, "Products": None}]}

    assert json.loads(operation.serialize(answer)) == {"BaselineId": "pb-1", "Sources": [{"Name": "x"}]}


@pytest.mark.parametrize(
    ("form", "moment", "written"),
    [
        ("unixTimestamp", 1795147200.4654, 1795147200.465),
        ("unixTimestamp", 1795147200, 1795147200),
        ("iso8601", 1795147200.465, "2026-11-20T04:00:00.465Z"),
        ("iso8601", 1795147200, "2026-11-20T04:00:00Z"),
        ("rfc822", 1795147200.9, "Fri, 20 Nov 2026 04:00:00 GMT"),
    ],
)
@pytest.mark.parametrize("on_member", [True, False])
def test_moments_are_written_in_the_form_the_model_asks_for(form, moment, written, on_member):
    """The trait may stand on the shape or on the member that refers to it."""
    from patchwright.server.wire.shapes import Shapes

    trait = {"timestampFormat": form}
    shapes = {
        "Out": {"type": "structure", "members": {"At": {"shape": "When", **(trait if on_member else {})}}},
        "When": {"type": "timestamp", **({} if on_member else trait)},
    }

    assert Shapes(shapes).writer_of("Out")({"At": moment}) == {"At": written}
