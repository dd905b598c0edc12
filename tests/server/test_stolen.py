# SPDX-License-Identifier: Apache-2.0
"""
A stolen database alone yields no secret that signs a request.

A server is used, with everything in it that has a secret, and then every secret is looked for in the raw bytes: of the files
of SQLite, of a dump of PostgreSQL, of the log. The master key is in a file of its own, and in neither.
"""

from __future__ import annotations

import base64
import json
import os
import pwd
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from farm import amazon_wire
from farm.amazon_wire import KeyPair
from patchwright.core.signing import Signer
from server.databases import find_postgres
from server.process import Process
from server.test_hostile import Caller

_LIKE_A_SECRET = re.compile(rb"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{40,43}=?(?![A-Za-z0-9+/=])")
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def forms(secret: bytes) -> dict[str, bytes]:
    """How a secret may stand in bytes: as it is, in hexadecimal, in base64 at each alignment, in UTF-16, backwards."""
    found = {"plain": secret, "hex": secret.hex().encode(), "HEX": secret.hex().upper().encode(), "back": secret[::-1]}
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + secret)
        found[f"base64+{shift}"] = whole[4 * (shift > 0) : len(whole) // 4 * 4 - 4]
    if secret.isascii():
        found["utf-16"] = secret.decode().encode("utf-16-le")
    return found


def leaks(content: bytes, known: dict[str, bytes]) -> list[str]:
    """Which of the secrets are in *content*, and how."""
    return [
        f"{name} ({form})" for name, secret in known.items() for form, text in forms(secret).items() if text in content
    ]


def candidates(content: bytes) -> set[str]:
    """Every run of characters that could be a secret."""
    return {one.decode() for one in _LIKE_A_SECRET.findall(content)}


def signatures(found: Iterable[str]) -> set[str]:
    """What each of *found*, taken for a secret, makes of one request."""
    moment = "20261120T040000Z"
    headers = {"Host": "x", "X-Amz-Date": moment}
    return {
        Signer("x", one, "us-east-1").authorization(headers, b"", service="ssm", moment=moment).rpartition("=")[2]
        for one in found
    }


class Used:
    """A server that is used; the secrets that were given out, and what is no secret."""

    def __init__(self, server: Process) -> None:
        self.server = server
        self.secrets: dict[str, bytes] = {}
        self.signers: list[tuple[str, str]] = []
        profile = dict(
            line.split(" = ", 1) for line in (server.data / "credentials").read_text().splitlines() if " = " in line
        )
        self.root = (profile["aws_access_key_id"], profile["aws_secret_access_key"])
        self._keep("root", *self.root)

    def client(self, service, key=None):
        """A client of boto3, as root unless another key is given."""
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        given = dict(zip(names, key or self.root, strict=False))
        return boto3.client(service, endpoint_url=self.server.url, region_name="us-east-1", **given)

    def _keep(self, name, key_id, secret):
        self.secrets[name] = secret.encode()
        self.signers.append((key_id, secret))

    def people(self):
        """Users with keys, one of them rotated; a role; sessions of both; another account."""
        iam = self.client("iam")
        iam.create_user(UserName="somebody-known")
        iam.put_user_policy(UserName="somebody-known", PolicyName="all", PolicyDocument=json.dumps(ALL))
        pairs = []
        for name in ("first key", "second key"):
            made = iam.create_access_key(UserName="somebody-known")["AccessKey"]
            pairs.append((made["AccessKeyId"], made["SecretAccessKey"]))
            self._keep(name, *pairs[-1])
        iam.update_access_key(UserName="somebody-known", AccessKeyId=pairs[0][0], Status="Inactive")
        role = iam.create_role(RoleName="helper", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
        iam.put_role_policy(RoleName="helper", PolicyName="all", PolicyDocument=json.dumps(ALL))
        sts = self.client("sts", pairs[1])
        for name, answer in (
            ("role's session", sts.assume_role(RoleArn=role["Arn"], RoleSessionName="at-work")),
            ("user's session", sts.get_session_token()),
        ):
            found = answer["Credentials"]
            self.secrets[f"token of the {name}"] = found["SessionToken"].encode()
            self._keep(name, found["AccessKeyId"], found["SecretAccessKey"])
            session = self.client("ssm", (found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]))
            session.put_parameter(Name=f"/{name[:4]}", Value="plainly-readable", Type="String")
        root = Caller(self.server.url, *self.root)
        made = root.ask("Patchwright.CreateAccount", {"Name": "another"})
        text = json.dumps(made)
        assert "Secret" in text
        self._gather("another account's root", made)

    def _gather(self, name, value):
        for member, one in value.items():
            if isinstance(one, dict):
                self._gather(name, one)
            elif "Secret" in member:
                self.secrets[name] = str(one).encode()

    def nodes(self):
        """Activations, used and not; a node that says a few things; wrong guesses at its code."""
        ssm = self.client("ssm")
        for name in ("used", "spare"):
            made = ssm.create_activation(IamRole="node", RegistrationLimit=2)
            self.secrets[f"{name} activation code"] = made["ActivationCode"].encode()
            if name == "used":
                token = secrets.token_hex(24)
                self.secrets["enrolment token"] = token.encode()
                members = {one: made[one] for one in ("ActivationId", "ActivationCode")}
                answer = Caller(self.server.url).ask("Patchwright.Enroll", {**members, "EnrollmentToken": token})
                self.secrets["node"] = base64.b64decode(answer["Secret"])
                self.secrets["node, as text"] = answer["Secret"].encode()
                node = Caller(self.server.url, answer["InstanceId"], answer["Secret"])
                hello = {"InstanceId": answer["InstanceId"], "AgentName": "x", "AgentVersion": "1"}
                node.ask("AmazonSSM.UpdateInstanceInformation", hello)
                guess = {**members, "ActivationCode": made["ActivationCode"][::-1], "EnrollmentToken": token[::-1]}
                assert Caller(self.server.url).call("Patchwright.Enroll", guess)[0] == 400

    def registered(self):
        """A node with a key of its own, and its session."""
        made, key = self.client("ssm").create_activation(IamRole="node"), KeyPair.fresh()
        line = amazon_wire.Line(self.server.url)
        fingerprint = {"Fingerprint": "250c05bb-529c-4167-8796-2a47d7d7366f"}
        members = {**fingerprint, "ActivationId": made["ActivationId"], "ActivationCode": made["ActivationCode"]}
        instance_id = line.send(
            *amazon_wire.registration_request(line.host, {**members, "PublicKey": key.public, "PublicKeyType": "Rsa"})
        )["InstanceId"]
        headers, body = amazon_wire.asymmetric_request(
            line.host, "RequestManagedInstanceRoleToken", fingerprint,
            instance_id=instance_id, key=key, region="us-east-1", now=time.time(),
        )  # fmt: skip
        given = line.send(headers, body)
        self.secrets["activation code of the registered node"] = made["ActivationCode"].encode()
        self.secrets["token of the node's session"] = given["SessionToken"].encode()
        self._keep("node's session", given["AccessKeyId"], given["SecretAccessKey"])

    def parameters(self):
        """Secret parameters, two versions and one that was deleted, read and refused; one that is none."""
        ssm = self.client("ssm")
        for number, name in enumerate(("/secret", "/secret", "/gone")):
            value = f"hidden-{secrets.token_hex(16)}"
            self.secrets[f"SecureString {number}"] = value.encode()
            ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
            assert ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == value
            with pytest.raises(ClientError):
                ssm.put_parameter(Name=name, Value=value, Type="SecureString")
        ssm.delete_parameter(Name="/gone")
        ssm.put_parameter(Name="/plain", Value="plainly-readable", Type="String")
        ssm.get_parameter_history(Name="/secret", WithDecryption=True)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def stolen(request, tmp_path):
    """What a thief of the database has, what a reader of the log has, and what was used."""
    words = ["--listen", "127.0.0.1:0"]
    url = ""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        words += ["--database", url]
    server = Process(tmp_path / "data", *words).ready()
    try:
        used = Used(server)
        used.people()
        used.nodes()
        used.registered()
        used.parameters()
        running = _files(server.data) if not url else b""
    finally:
        server.end(signal.SIGTERM)
    taken = running + _files(server.data) if not url else _dump(url)
    used.secrets["master key"] = (server.data / "master.key").read_bytes()
    return taken, server.errors.read_bytes(), used


def _files(directory: Path) -> bytes:
    """Every file of the database: the log of writes, and what was deleted and is still in a page, among them."""
    found = [path for path in directory.iterdir() if path.name.startswith("patchwright.db")]
    assert found
    return b"".join(path.read_bytes() for path in found)


def _dump(url: str) -> bytes:
    """All that pg_dump gives."""
    folder = find_postgres()
    assert folder is not None
    owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    given = {"user": owner.pw_uid} if owner else {}
    done = subprocess.run([str(folder / "pg_dump"), url], capture_output=True, timeout=120, check=False, **given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_secret_is_in_the_bytes_of_the_database_nor_in_the_log(stolen):
    """In no form; and what is no secret is found there, so the search looks at the right bytes."""
    taken, log, used = stolen
    assert len(used.secrets) >= 15
    for known in (b"somebody-known", b"plainly-readable"):
        assert known in taken
    assert leaks(taken, used.secrets) == []
    assert leaks(log, used.secrets) == []
    assert signatures(candidates(taken)).isdisjoint(signatures(secret for _, secret in used.signers))


def test_a_secret_in_the_bytes_would_be_found():
    """In each of its forms, wherever it stands."""
    secret = b"wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY01"
    for text in (secret, secret.hex().encode(), base64.b64encode(b"a" + secret), base64.b64encode(b"ab" + secret)):
        assert leaks(b"before " + text + b" after", {"it": secret})
    assert not leaks(b"nothing here", {"it": secret})
