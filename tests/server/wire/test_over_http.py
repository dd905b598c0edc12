# SPDX-License-Identifier: Apache-2.0
"""boto3 against a real server on loopback: nothing between the two is simulated."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError

from patchwright.server.infra import SystemClock
from patchwright.server.wire import ApiError
from server.wire.client import USER_KEY, Bench, Log

BASELINE = "pb-0123456789abcdef0"


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Where an endpoint listens that serves three operations."""
    bench = Bench(clock=SystemClock(), log=Log())  # type: ignore[arg-type]
    app = bench.endpoint(
        {
            "AmazonSSM.CreatePatchBaseline": {"BaselineId": BASELINE},
            "AmazonSSM.GetPatchBaseline": ApiError("DoesNotExistException", "No such baseline."),
            "AmazonSSM.DescribePatchBaselines": RuntimeError("unexpected"),
        }
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(timeout=30)
    assert not thread.is_alive()


@pytest.fixture
def ssm(address):
    """A client that checks nothing itself and asks once."""
    return boto3.client(
        "ssm",
        endpoint_url=f"http://{address[0]}:{address[1]}",
        region_name="us-east-1",
        aws_access_key_id=USER_KEY.access_key_id,
        aws_secret_access_key=USER_KEY.secret,
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False, read_timeout=30),
    )


def test_boto3_calls_and_reads_the_answer(ssm):
    """Date, request id and all."""
    answer = ssm.create_patch_baseline(Name="web-servers")

    assert answer["BaselineId"] == BASELINE
    assert {"date", "x-amzn-requestid"} <= answer["ResponseMetadata"]["HTTPHeaders"].keys()


def test_boto3_raises_the_modelled_class(ssm):
    """What a program catches by name."""
    with pytest.raises(ssm.exceptions.DoesNotExistException, match="No such baseline"):
        ssm.get_patch_baseline(BaselineId=BASELINE)
    with pytest.raises(ssm.exceptions.InternalServerError, match="request id"):
        ssm.describe_patch_baselines()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"Name": "x"}, "ValidationException"),
        ({}, "ValidationException"),
        ({"Name": 7}, "SerializationException"),
        ({"Name": "web", "Description": "x" * 1_500_000}, "RequestEntityTooLargeException"),
        ({"Name": "web", "Description": "x" * 12_000_000}, "RequestEntityTooLargeException"),
    ],
)
def test_boto3_reads_every_refusal_and_goes_on(ssm, arguments, code):
    """Even one that came before the body was through; the next call works."""
    try:
        with pytest.raises(ClientError) as refused:
            ssm.create_patch_baseline(**arguments)
    finally:
        assert ssm.create_patch_baseline(Name="web-servers")["BaselineId"] == BASELINE

    assert refused.value.response["Error"]["Code"] == code


def test_boto3_with_a_wrong_secret_is_told_so(address):
    """As by AWS."""
    thief = boto3.client(
        "ssm",
        endpoint_url=f"http://{address[0]}:{address[1]}",
        region_name="us-east-1",
        aws_access_key_id=USER_KEY.access_key_id,
        aws_secret_access_key="guessed",
    )

    with pytest.raises(ClientError, match="InvalidSignatureException"):
        thief.create_patch_baseline(Name="web-servers")


def test_a_connection_survives_a_refusal_that_came_early(address):
    """A stranger's body is not kept, but it is not taken for the next request either."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    for _ in range(2):
        connection.request("POST", "/", body=b"x" * 300_000, headers={"X-Amz-Target": "AmazonSSM.GetPatchBaseline"})
        response = connection.getresponse()
        assert (response.status, b"MissingAuthenticationToken" in response.read()) == (400, True)
    connection.close()


def test_a_chunked_flood_is_cut_off(address):
    """Without a length to refuse, the limit still ends it."""
    connection = socket.create_connection(address, timeout=30)
    connection.sendall(
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Patchwright.Enroll\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    sent = 0
    deadline = time.monotonic() + 30
    try:
        while sent < 100_000_000 and time.monotonic() < deadline:
            connection.sendall(chunk)
            sent += len(chunk)
    except OSError:
        pass
    connection.close()

    assert sent < 50_000_000
