# SPDX-License-Identifier: Apache-2.0
"""Clients of boto3 that sign as somebody: root, a user's key, a session."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

_numbers = itertools.count(1)


@dataclass
class People:
    """Makes clients of one server, and users with keys."""

    url: str
    root: dict[str, str]

    def client(self, service: str, keys: dict[str, str] | None = None, *, region: str = "us-east-1") -> Any:
        """A client that signs with *keys*, else as root; it checks nothing itself, and asks once."""
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False, read_timeout=30)
        given = self.root if keys is None else keys
        return boto3.client(service, endpoint_url=self.url, region_name=region, config=config, **given)

    def user(self, *documents: Any, name: str = "") -> tuple[str, dict[str, str]]:
        """A new user with inline policies, and its key."""
        iam, name = self.client("iam"), name or new_name("user")
        iam.create_user(UserName=name)
        for number, document in enumerate(documents):
            iam.put_user_policy(UserName=name, PolicyName=f"p{number}", PolicyDocument=json.dumps(document))
        return name, self.key(name)

    def key(self, name: str) -> dict[str, str]:
        """A new key of a user."""
        made = self.client("iam").create_access_key(UserName=name)["AccessKey"]
        return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


def session_keys(credentials: dict[str, Any]) -> dict[str, str]:
    """What a client signs with for Credentials of STS."""
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


def new_name(what: str) -> str:
    """A name that no test has used."""
    return f"{what}-{next(_numbers)}"


def allow(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    """A policy that allows *actions*."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def trusting(*principals: str, action: Any = "sts:AssumeRole", **more: Any) -> str:
    """A trust, as a text."""
    statement = {"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": action, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def code(call: Any, **members: Any) -> str:
    """The error code of a call that is to be refused."""
    with pytest.raises(ClientError) as refused:
        call(**members)
    return str(refused.value.response["Error"]["Code"])


def words(call: Any, **members: Any) -> str:
    """The error's message."""
    with pytest.raises(ClientError) as refused:
        call(**members)
    return str(refused.value.response["Error"]["Message"])
