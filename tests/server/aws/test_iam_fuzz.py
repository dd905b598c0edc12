# SPDX-License-Identifier: Apache-2.0
"""Whatever IAM and STS are asked, in whatever order: never an error of ours, and never an answer that boto3 cannot read."""

from __future__ import annotations

import json
import os
import random

import pytest
from botocore.exceptions import ClientError

from patchwright.server.aws.table import MODULES
from server.aws.people import People, allow, trusting
from server.aws.test_unserved import TARGETS

SEED = os.environ.get("PATCHWRIGHT_SEED", "1")
CALLS = 4000 if os.environ.get("PATCHWRIGHT_FULL") else 400
SERVED = [target.split(".") for target in TARGETS if target.startswith(("iam.", "sts."))]
NAMES = ["anna", "Anna", "otto", "x", "a" * 64, "a" * 129, "", "a b", "é", "../x", "%00", "'; DROP TABLE identity; --"]
DOCUMENTS = [
    json.dumps(allow("ssm:*")),
    json.dumps(allow("*", resource=["arn:aws:ssm:*:*:document/*"] * 3)),
    "{}",
    "[]",
    "[" * 3000,
    "null",
    '{"Statement": 1}',
    "\u00ff" * 200,
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Effect":"Deny"}]}',
]
ODD = ["", "\u0000", "\ud83d\ude00", "a\r\nb", "<&>", "x" * 5000, "-1", "true"]


class Mill:
    """Makes inputs from the model, most of them fit to be accepted."""

    def __init__(self, model, account, seed):
        self._model = model
        self._draw = random.Random(seed)
        arn = f"arn:aws:iam::{account}"
        self._arns = [
            f"{arn}:policy/anna",
            f"{arn}:role/anna",
            "arn:aws:iam::aws:policy/PatchwrightAuditor",
            arn,
            "x" * 30,
        ]
        self._trusts = [trusting(account), trusting("*"), trusting(f"{arn}:user/anna"), trusting(f"{arn}:role/anna")]

    def request(self, operation):
        """An input of *operation*."""
        shape = self._model.operation_model(operation).input_shape
        return {} if shape is None else self._of(shape, "")

    def _of(self, shape, name):
        if self._draw.random() < 0.03:
            return self._draw.choice(ODD)
        if shape.type_name == "structure":
            return {
                member: self._of(inner, member)
                for member, inner in shape.members.items()
                if (member in shape.required_members and self._draw.random() < 0.97) or self._draw.random() < 0.25
            }
        if shape.type_name == "list":
            return [self._of(shape.member, name) for _ in range(self._draw.choice((0, 1, 1, 2, 60)))]
        if shape.type_name == "integer":
            return self._draw.choice((1, 2, 900, 3600, 0, -1, 10**9))
        if shape.type_name == "boolean":
            return self._draw.choice((True, False))
        return self._text(shape, name)

    def _text(self, shape, name):
        if shape.enum and self._draw.random() < 0.9:
            return self._draw.choice(shape.enum)
        if "AssumeRolePolicy" in name or (name == "PolicyDocument" and self._draw.random() < 0.2):
            return self._draw.choice([*self._trusts, *DOCUMENTS])
        if "Document" in name or name == "Policy":
            return self._draw.choice(DOCUMENTS[:2] if self._draw.random() < 0.7 else DOCUMENTS)
        if "Arn" in name or name in {"PermissionsBoundary", "arn"}:
            return self._draw.choice(self._arns[:3] if self._draw.random() < 0.8 else self._arns)
        if "Path" in name:
            return self._draw.choice(("/", "/a/", "/b/c/", "no", "//"))
        if name == "VersionId":
            return self._draw.choice(("v1", "v2", "v0", "v99999999999", "x"))
        return self._draw.choice(NAMES[:2] if self._draw.random() < 0.8 else NAMES)


def outcome(client, operation, request):
    """The status of a call, and the error's code if it is refused; what botocore itself cannot send is refused by it."""
    try:
        client._make_api_call(operation, request)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    except (ValueError, TypeError, AttributeError):
        return 400, "botocore"
    return 200, ""


@pytest.mark.parametrize("service", ["iam", "sts"])
def test_nothing_breaks_it(aws, service):
    """Names that are taken and names that are not, documents and none, tokens of nothing: answers and refusals alone."""
    root = aws.house.root
    keys = {"aws_access_key_id": root.access_key_id, "aws_secret_access_key": root.secret}
    client = People(aws.server.url, keys).client(service)
    names = sorted(name for prefix, name in SERVED if prefix == service)
    mill = Mill(client.meta.service_model, aws.house.account, f"{SEED}{service}")
    order = random.Random(SEED)
    seen, codes = set(), set()
    if service == "iam":  # something to meet
        document = {"PolicyName": "anna", "PolicyDocument": DOCUMENTS[0]}
        trust = {"RoleName": "anna", "AssumeRolePolicyDocument": trusting(aws.house.account)}
        for operation, given in (
            ("CreateUser", {"UserName": "anna"}),
            ("CreateGroup", {"GroupName": "anna"}),
            ("CreateRole", trust),
            ("CreatePolicy", document),
        ):
            assert outcome(client, operation, given)[0] in {200, 409}

    for _ in range(CALLS if service == "iam" else CALLS // 10):
        operation = order.choice(names)
        request = mill.request(operation)
        status, code = outcome(client, operation, request)
        assert status < 500, (operation, request, code)
        (seen if status == 200 else codes).add(operation if status == 200 else code)

    if service == "iam":
        assert len(seen) > len(names) / 3, f"most of it must get through, and not end in {sorted(codes)}"
        assert {"NoSuchEntity", "ValidationError", "MalformedPolicyDocument"} <= codes


def test_every_module_serves_something():
    """The drawing is over what is served."""
    assert len(MODULES) > 20
    assert len(SERVED) > 60
