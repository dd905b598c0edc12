# SPDX-License-Identifier: Apache-2.0
"""
A session with the AWS CLI, kept: a user who may scan the nodes tagged env=dev and nothing else, in an account of its own.

Two server processes share a PostgreSQL database; what is revoked at one is refused at both.
"""

from __future__ import annotations

import json
import shutil
import time
import urllib.request

import pytest
from awscli.clidriver import create_clidriver

from cli.bench import Server

REGION = "eu-west-1"
SCANS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "TheDocument",
            "Effect": "Allow",
            "Action": "ssm:SendCommand",
            "Resource": "arn:aws:ssm:*::document/AWS-RunPatchBaseline",
            "Condition": {"StringEquals": {"ssm:DocumentParameter/Operation": "Scan"}},
        },
        {
            "Sid": "TheNodes",
            "Effect": "Allow",
            "Action": "ssm:SendCommand",
            "Resource": "arn:aws:ssm:*:*:managed-instance/*",
            "Condition": {"StringEquals": {"ssm:resourceTag/env": "dev", "ssm:DocumentParameter/Operation": "Scan"}},
        },
        {
            "Sid": "TheResults",
            "Effect": "Allow",
            "Action": ["ssm:GetCommandInvocation", "ssm:ListCommandInvocations"],
            "Resource": "*",
        },
    ],
}
SEND = "ssm send-command --document-name AWS-RunPatchBaseline --parameters"

pytestmark = pytest.mark.postgres


@pytest.fixture
def town(empty_postgres_url, tmp_path):
    """Two server processes of one installation."""
    servers = [Server(tmp_path / name, database=empty_postgres_url) for name in ("here", "there")]
    for name in ("here", "there"):
        (tmp_path / name / "data").mkdir(parents=True, mode=0o700)
    here, there = servers
    here.start()
    shutil.copy(tmp_path / "here" / "data" / "master.key", tmp_path / "there" / "data" / "master.key")
    there.start()
    yield servers
    for server in servers:
        server.stop()


class Shell:
    """Somebody who types commands, at one of the servers, signed with a key."""

    def __init__(self, capsys, monkeypatch):
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        self._set(
            AWS_CONFIG_FILE="/nonexistent",
            AWS_REGION=REGION,
            AWS_DEFAULT_REGION=REGION,
            AWS_PAGER="",
            AWS_MAX_ATTEMPTS="1",
        )

    def _set(self, **variables):
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def at(self, server):
        """Ask this server from now on."""
        self._set(AWS_ENDPOINT_URL=server.url)
        return self

    def sign(self, key):
        """Sign with *key*, as CreateAccessKey answers it, from now on."""
        self._set(AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"])
        return self

    def __call__(self, line, *more):
        """The answer of a command that is to succeed."""
        status, out, err = self._run([*line.split(), *more])
        assert status == 0, (line, err)
        return json.loads(out) if out.strip() else None

    def refused(self, line, *more):
        """What a command that is to be refused writes."""
        status, out, err = self._run([*line.split(), *more])
        assert status != 0, (line, out)
        return err

    def _run(self, words):
        status = create_clidriver().main(words)
        written = self._capsys.readouterr()
        return status, written.out, written.err


def new_tenant(server):
    """An account, made as an operator makes it; the key of its root."""
    made = server.run("account", "create", "web", "--json")
    assert made.code == 0, made.err
    return made.json["AccessKey"]


def enrolled(aws, server, env):
    """A node of the account that *aws* signs for, tagged; its id."""
    activation = aws(f"ssm create-activation --iam-role node --tags Key=env,Value={env}")
    said = {**activation, "EnrollmentToken": f"{env}-{activation['ActivationId']}"}
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Patchwright.Enroll"}
    request = urllib.request.Request(server.url, json.dumps(said).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["InstanceId"]


def test_a_user_who_scans_development_is_limited_rotated_and_revoked(town, capsys, monkeypatch, tmp_path):
    """From `patchwright account create` to the refusal of a deleted key at every server within a second."""
    here, there = town
    aws = Shell(capsys, monkeypatch).at(here)
    root = new_tenant(here)
    aws.sign(root)
    account = aws("sts get-caller-identity")["Account"]
    dev, prod = (enrolled(aws, here, env) for env in ("dev", "prod"))
    (tmp_path / "scans.json").write_text(json.dumps(SCANS))
    aws("iam create-user --user-name scanner")
    aws(f"iam put-user-policy --user-name scanner --policy-name scans --policy-document file://{tmp_path}/scans.json")
    first = aws("iam create-access-key --user-name scanner")["AccessKey"]

    # What it can.
    aws.sign(first).at(there)
    assert aws("sts get-caller-identity")["Arn"] == f"arn:aws:iam::{account}:user/scanner"
    sent = aws(f"{SEND} Operation=Scan --instance-ids {dev}")["Command"]
    shown = aws(f"ssm get-command-invocation --command-id {sent['CommandId']} --instance-id {dev}")
    assert shown["Status"] == "Pending"
    wide = aws(f"{SEND} Operation=Scan --targets Key=tag-key,Values=env")["Command"]
    found = aws(f"ssm list-command-invocations --command-id {wide['CommandId']}")["CommandInvocations"]
    assert {one["InstanceId"]: one["StatusDetails"] for one in found} == {dev: "Pending", prod: "AccessDenied"}

    # What it cannot.
    user = f"User: arn:aws:iam::{account}:user/scanner is not authorized to perform: "
    node = f"arn:aws:ssm:{REGION}:{account}:managed-instance/"
    for line, action, resource in (
        (f"{SEND} Operation=Scan --instance-ids {prod}", "ssm:SendCommand", f"{node}{prod}"),
        (f"{SEND} Operation=Install --instance-ids {dev}", "ssm:SendCommand", f"arn:aws:ssm:{REGION}::document/"),
        ("ssm describe-instance-information", "ssm:DescribeInstanceInformation", f"arn:aws:ssm:{REGION}:{account}:*"),
        (
            f"ssm add-tags-to-resource --resource-type ManagedInstance --resource-id {prod} --tags Key=env,Value=dev",
            "ssm:AddTagsToResource",
            f"{node}{prod}",
        ),
        ("iam create-access-key --user-name scanner", "iam:CreateAccessKey", f"arn:aws:iam::{account}:user/scanner"),
    ):
        refusal = aws.refused(line)
        assert f"{user}{action} on resource: {resource}" in refusal, line
        assert f"because no identity-based policy allows the {action} action" in refusal

    # Its key is rotated: a second one works, the first is put to rest.
    aws.sign(root).at(here)
    second = aws("iam create-access-key --user-name scanner")["AccessKey"]
    aws(f"iam update-access-key --user-name scanner --access-key-id {first['AccessKeyId']} --status Inactive")
    refused_within_a_second(aws, town, first)
    for server in town:
        aws.sign(second).at(server)(f"{SEND} Operation=Scan --instance-ids {dev}")

    # And revoked.
    aws.sign(root).at(here)
    for key in (first, second):
        aws(f"iam delete-access-key --user-name scanner --access-key-id {key['AccessKeyId']}")
    refused_within_a_second(aws, town, second)


def refused_within_a_second(aws, town, key):
    """What begins a second after now is refused by both servers, though both knew the key."""
    since = time.monotonic()
    for server in town:
        aws.sign(key).at(server)
        while True:
            begun = time.monotonic()
            status, _, err = aws._run(["sts", "get-caller-identity"])
            if status != 0:
                assert "InvalidClientTokenId" in err
                break
            assert begun - since <= 1.0
