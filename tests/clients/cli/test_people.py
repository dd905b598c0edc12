# SPDX-License-Identifier: Apache-2.0
"""A session with the AWS CLI: users, groups, roles, policies and keys, as an administrator types them."""

from __future__ import annotations

import json

import pytest
from awscli.clidriver import create_clidriver

from cli.bench import Server

READS = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "Read", "Effect": "Allow", "Action": "ssm:Describe*", "Resource": "*"}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of this module's own."""
    made = Server(tmp_path_factory.mktemp("people"))
    made.start()
    yield made
    made.stop()


class Shell:
    """Somebody who types commands."""

    def __init__(self, server, capsys, monkeypatch, directory):
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self._directory = directory
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_PAGER", "")
        for name, value in server.environment.items():
            if name.startswith("AWS_"):
                monkeypatch.setenv(name, value)

    def sign(self, key_id, secret, token=None):
        """Sign as somebody else from now on."""
        self._monkeypatch.setenv("AWS_ACCESS_KEY_ID", key_id)
        self._monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        if token is not None:
            self._monkeypatch.setenv("AWS_SESSION_TOKEN", token)

    def file(self, name, content):
        """A document that a command reads, as it is named there."""
        path = self._directory / name
        path.write_text(json.dumps(content))
        return f"file://{path}"

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


@pytest.fixture
def aws(server, capsys, monkeypatch, tmp_path):
    """A shell, signed as root."""
    return Shell(server, capsys, monkeypatch, tmp_path)


def test_a_user_is_given_what_it_needs_and_no_more(aws):
    """From `create-user` to `delete-user`: a group's policy, a key that is rotated, and everything left again."""
    account = aws("sts get-caller-identity")["Account"]
    policy = aws("iam create-policy --policy-name readers --policy-document", aws.file("reads", READS))["Policy"]["Arn"]
    aws("iam create-group --group-name readers")
    aws(f"iam attach-group-policy --group-name readers --policy-arn {policy}")
    user = aws("iam create-user --user-name anna --path /ops/ --tags Key=team,Value=blue")["User"]
    aws("iam add-user-to-group --group-name readers --user-name anna")
    key = aws("iam create-access-key --user-name anna")["AccessKey"]

    assert user["Arn"] == f"arn:aws:iam::{account}:user/ops/anna"
    document = aws(f"iam get-policy-version --policy-arn {policy} --version-id v1")["PolicyVersion"]["Document"]
    assert document == READS
    with_user = [one["UserName"] for one in aws("iam get-group --group-name readers")["Users"]]
    assert with_user == ["anna"]

    aws.sign(key["AccessKeyId"], key["SecretAccessKey"])
    assert aws("sts get-caller-identity")["Arn"] == user["Arn"]
    aws("ssm describe-patch-baselines --max-items 1")
    refusal = aws.refused("ssm create-patch-baseline --name mine")
    assert "AccessDeniedException" in refusal
    assert f"User: {user['Arn']} is not authorized to perform: ssm:CreatePatchBaseline" in refusal
    assert "AccessDenied" in aws.refused("iam create-access-key")


def test_a_key_is_rotated(aws):
    """A second one, the first made inactive, then deleted; the last use is shown."""
    aws("iam create-user --user-name otto")
    aws("iam attach-user-policy --user-name otto --policy-arn arn:aws:iam::aws:policy/PatchwrightAuditor")
    first = aws("iam create-access-key --user-name otto")["AccessKey"]["AccessKeyId"]
    second = aws("iam create-access-key --user-name otto")["AccessKey"]["AccessKeyId"]
    assert "LimitExceeded" in aws.refused("iam create-access-key --user-name otto")
    aws(f"iam update-access-key --user-name otto --access-key-id {first} --status Inactive")
    states = {
        one["AccessKeyId"]: one["Status"] for one in aws("iam list-access-keys --user-name otto")["AccessKeyMetadata"]
    }
    assert states == {first: "Inactive", second: "Active"}
    assert aws(f"iam get-access-key-last-used --access-key-id {second}")["UserName"] == "otto"
    assert "DeleteConflict" in aws.refused("iam delete-user --user-name otto")
    for key in (first, second):
        aws(f"iam delete-access-key --user-name otto --access-key-id {key}")
    aws("iam detach-user-policy --user-name otto --policy-arn arn:aws:iam::aws:policy/PatchwrightAuditor")
    aws("iam delete-user --user-name otto")
    assert "NoSuchEntity" in aws.refused("iam get-user --user-name otto")


def test_a_role_is_assumed(aws):
    """With the external id that was agreed; the session does what the role may, under the name that was given."""
    account = aws("sts get-caller-identity")["Account"]
    aws("iam create-user --user-name rita")
    assume = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{account}:role/*"}],
    }
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:user/rita"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "agreed"}},
            }
        ],
    }
    aws("iam put-user-policy --user-name rita --policy-name assume --policy-document", aws.file("assume", assume))
    role = aws("iam create-role --role-name patcher --assume-role-policy-document", aws.file("trust", trust))["Role"]
    aws("iam put-role-policy --role-name patcher --policy-name reads --policy-document", aws.file("reads", READS))
    key = aws("iam create-access-key --user-name rita")["AccessKey"]

    aws.sign(key["AccessKeyId"], key["SecretAccessKey"])
    assuming = f"sts assume-role --role-arn {role['Arn']} --role-session-name nightly"
    assert "AccessDenied" in aws.refused(assuming)
    given = aws(f"{assuming} --external-id agreed")["Credentials"]
    assert "AccessDeniedException" in aws.refused("ssm describe-patch-baselines")
    aws.sign(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    assert aws("sts get-caller-identity")["Arn"] == f"arn:aws:sts::{account}:assumed-role/patcher/nightly"
    aws("ssm describe-patch-baselines --max-items 1")
