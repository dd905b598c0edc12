# SPDX-License-Identifier: Apache-2.0
"""
Every operation of the services to come, in each of their protocols: what botocore sends reaches the handler as its caller
wrote it, what the handler answers or refuses reaches the caller as it said it.

A sample by PATCHWRIGHT_SEED; fifty times as much with PATCHWRIGHT_FULL=1.
"""

from __future__ import annotations

import os
import random

import pytest

from patchwright.server.wire import ApiError, WireMismatch
from server.wire.client import Bench, Log
from server.wire.elsewhere import ELSEWHERE, SOURCES, Speaker, answer_of, request_of, timeless

SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))
ROUNDS = 50 if os.environ.get("PATCHWRIGHT_FULL") == "1" else 1
REST = "application/json"
CONTENT_TYPES = {
    "AWSStepFunctions": "application/x-amz-json-1.0",
    **dict.fromkeys(("imagebuilder", "inspector2", "lambda", "securityhub", "ssm-quicksetup"), REST),
    **dict.fromkeys(("iam", "sts"), "text/xml"),
}
NOT_SPOKEN = {"lambda.InvokeWithResponseStream": "event"}


class Echo:
    """A handler that keeps what it was asked, and says what it is told to."""

    def __init__(self):
        self.asked = None
        self.says = {}

    async def __call__(self, caller, request):
        self.asked, self.target = request, caller.target
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def spoken(service):
    """The names of the operations that load."""
    return [name for name in service.operation_names if f"{service.key}.{name}" not in NOT_SPOKEN]


def speaker(service, echo):
    """A service of which every operation is answered by *echo*."""
    operations = {f"{service.key}.{name}": echo for name in spoken(service)}
    bench = Bench(log=Log())
    return Speaker(service, bench.endpoint(dict.fromkeys(operations, echo), models=ELSEWHERE))


def example(key, name, number):
    """The chance of one example, whatever else is made up."""
    return random.Random(f"{SEED} {key} {name} {number}")


def shape_of(service, name, side):
    """The input or output shape of an operation, by name, or None."""
    return service.model["operations"][name].get(side, {}).get("shape")


@pytest.mark.parametrize("key", SOURCES)
async def test_calls_and_answers_of_every_operation(key):
    """Through the endpoint, signed, and read by botocore."""
    service, echo = ELSEWHERE.service(key), Echo()
    speaking = speaker(service, echo)
    for name in spoken(service):
        for number in range(ROUNDS):
            chance = example(key, name, number)
            asked, told = shape_of(service, name, "input"), shape_of(service, name, "output")
            value = request_of(service, asked, chance) if asked else {}
            echo.says = answer_of(service, told, chance) if told else {}
            answer = await speaking.call(name, value)
            assert answer.status < 300, (name, number, value, answer.body)
            assert answer.headers["content-type"] == CONTENT_TYPES.get(key, "application/x-amz-json-1.1")
            assert echo.target == f"{key}.{name}"
            assert without_empty_payload(service, asked, echo.asked) == value, (name, number)
            read = speaking.read(name, answer)
            metadata = read.pop("ResponseMetadata")
            assert metadata["RequestId"] == answer.headers["x-amzn-requestid"]
            assert plain(read) == plain(timeless(echo.says)), (name, number)


def without_empty_payload(service, shape, request):
    """*request* without a payload that is an empty structure: on the wire it is the same as none."""
    payload = service.model["shapes"][shape].get("payload") if shape else None
    return {name: one for name, one in request.items() if name != payload or one != {}}


def plain(answer):
    """*answer* with payloads as bytes, whichever way they were handed over."""
    return {name: one.encode() if isinstance(one, str) else one for name, one in answer.items()}


@pytest.mark.parametrize("key", SOURCES)
async def test_refusals_of_every_operation(key):
    """Each modelled error is raised as its own class, with its members and the model's status."""
    service, echo = ELSEWHERE.service(key), Echo()
    speaking, shapes = speaker(service, echo), service.model["shapes"]
    for name in spoken(service):
        asked = shape_of(service, name, "input")
        errors = sorted(one["shape"] for one in service.model["operations"][name].get("errors", ()))
        for number in range(min(ROUNDS, 5)):
            chance = example(key, name, number)
            if not errors:
                continue
            code = chance.choice(errors)
            members = answer_of(service, code, chance)
            given = {one: value for one, value in members.items() if one.lower() != "message"}
            echo.says = ApiError(code, "because\n& <so>", members=given)
            answer = await speaking.call(name, request_of(service, asked, chance) if asked else {})
            read = speaking.read(name, answer)
            trait = shapes[code].get("error", {})
            assert read["Error"]["Code"] == trait.get("code", code), (name, code, answer.body)
            assert read["Error"]["Message"] == "because\n& <so>"
            assert answer.status == trait.get("httpStatusCode", 500 if code == "InternalServerError" else 400)
            assert {one: read[one] for one in given} == timeless(given), (name, code)


async def test_refusals_that_every_service_knows():
    """Under the names and with the status that each protocol has for them."""
    for key, status, codes in (
        ("iam", 403, ("SignatureDoesNotMatch", "InvalidClientTokenId")),
        ("imagebuilder", 403, ("InvalidSignatureException", "UnrecognizedClientException")),
        ("StarlingDoveService", 400, ("InvalidSignatureException", "UnrecognizedClientException")),
    ):
        service, echo = ELSEWHERE.service(key), Echo()
        speaking = speaker(service, echo)
        name = {"iam": "ListUsers", "imagebuilder": "ListImages"}.get(key, "DescribeConfigRules")
        for code, kind in zip(codes, ("InvalidSignatureException", "UnrecognizedClientException"), strict=True):
            echo.says = ApiError(kind, "no")
            answer = await speaking.call(name, {})
            assert (answer.status, speaking.read(name, answer)["Error"]["Code"]) == (status, code)
        echo.says = RuntimeError("unexpected")
        answer = await speaking.call(name, {})
        assert answer.status == 500
        assert speaking.read(name, answer)["Error"]["Code"] == (
            "InternalFailure" if key == "iam" else "InternalServerError"
        )


@pytest.mark.parametrize(("target", "trait"), NOT_SPOKEN.items())
def test_what_is_not_spoken_does_not_load(target, trait):
    """Streams of events, for one: serving such an operation is refused at start, and the member named."""
    with pytest.raises(WireMismatch, match=f"{trait} is not spoken here"):
        ELSEWHERE.operation(target)
