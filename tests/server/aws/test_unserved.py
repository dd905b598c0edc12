# SPDX-License-Identifier: Apache-2.0
"""What this version does not serve answers a clean, honest AWS error (issue: everything else in the model)."""

from __future__ import annotations

from unittest.mock import MagicMock

import boto3
import pytest
from botocore.exceptions import ClientError

from patchwright.server.aws import operations

TARGETS = sorted(operations(MagicMock()))
OUR_OWN = [target for target in TARGETS if target.startswith("Patchwright.")]
SERVED = {
    target.partition(".")[2] for target in TARGETS if target.startswith("AmazonSSM.")
}  # for clients of the AWS API
MODEL = boto3.client("ssm", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x").meta.service_model
OTHERS = sorted(set(MODEL.operation_names) - SERVED)


def refusal(ssm, operation):
    """The error of an operation that boto3 calls with nothing."""
    with pytest.raises(ClientError) as refused:
        ssm._make_api_call(operation, {})
    return refused.value.response


@pytest.mark.parametrize("initial", sorted({name[0] for name in OTHERS}))
def test_every_other_operation_of_the_model_is_refused_by_name(ssm, initial):
    """UnsupportedOperationException, 400, and the text says which operation is not served."""
    for operation in (name for name in OTHERS if name[0] == initial):
        response = refusal(ssm, operation)
        error, metadata = response["Error"], response["ResponseMetadata"]
        assert error["Code"] == "UnsupportedOperationException", operation
        assert f"AmazonSSM.{operation}" in error["Message"]
        assert metadata["HTTPStatusCode"] == 400
        assert metadata["RequestId"]


def test_what_is_served_is_in_the_model():
    """And the model has more: sessions, for one, are out of scope (docs/reference/operations.md)."""
    assert set(MODEL.operation_names) > SERVED
    assert "StartSession" in OTHERS


@pytest.mark.parametrize("operation", sorted(SERVED))
def test_every_served_operation_answers(ssm, operation):
    """Called with nothing, it succeeds or says what it lacks; it never fails."""
    try:
        answer = ssm._make_api_call(operation, {})
    except ClientError as error:
        answer = error.response
        assert answer["Error"]["Code"] == "ValidationException"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] in {200, 400}


async def test_targets_that_no_model_knows_are_unknown(house):
    """UnknownOperationException, which is another thing than not served."""
    for target in ("AmazonSSM.MakeCoffee", "AmazonSSM", "", "AmazonEC2.RunInstances", "AmazonSSM.SendCommand.x"):
        assert await house.code(target, {}) == "UnknownOperationException", target
