# SPDX-License-Identifier: Apache-2.0
"""`patchwright account`, and signing as a session."""

from __future__ import annotations

import configparser

import boto3

from cli.bench import Server


def test_an_account_is_made_listed_disabled_and_enabled(server: Server, tmp_path):
    """What is printed is a profile that works, until the account is disabled."""
    made = server.run("account", "create", "acme")
    assert 0 == made.code, made.err
    profile = tmp_path / "credentials"
    profile.write_text("\n".join(line.strip() for line in made.out.splitlines() if "=" in line or "[" in line))
    section = configparser.RawConfigParser()
    section.read(profile)
    keys = dict(section["acme"])
    sts = boto3.client("sts", endpoint_url=server.url, region_name="us-east-1", **keys)
    account = sts.get_caller_identity()["Account"]

    assert account in made.out
    listed = {one["AccountId"]: one for one in server.run("account", "list", "--json").json["Accounts"]}
    assert ("acme", "Active") == (listed[account]["Name"], listed[account]["State"])
    assert f"{account} is Disabled" in server.run("account", "disable", account).out
    assert "Disabled" in server.run("account", "list").out
    assert "Active" == server.run("account", "enable", account, "--json").json["Account"]["State"]
    assert keys["aws_secret_access_key"] not in server.run("account", "list", "--json").out


def test_the_first_account_is_not_disabled(server: Server):
    """The refusal says why."""
    first = next(iter(server.run("account", "list", "--json").json["Accounts"]))["AccountId"]
    refused = [server.run("account", "disable", one) for one in (first, "999999999999")]

    assert [1, 1] == [one.code for one in refused]
    assert "999999999999" in refused[1].err


def test_a_session_signs_with_its_token(server: Server):
    """From the variables that the AWS CLI reads; without the token nobody knows the key."""
    client = server.client()
    frozen = client._request_signer._credentials
    sts = boto3.client(
        "sts",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=frozen.access_key,
        aws_secret_access_key=frozen.secret_key,
    )
    given = sts.get_session_token()["Credentials"]
    signs = {"AWS_ACCESS_KEY_ID": given["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"]}

    listed = server.run("baseline", "list", AWS_SESSION_TOKEN=given["SessionToken"], **signs)
    assert 0 == listed.code, listed.err
    refused = server.run("baseline", "list", **signs)
    assert 1 == refused.code
    assert "UnrecognizedClientException" in refused.err
    over = server.run("account", "list", AWS_SESSION_TOKEN=given["SessionToken"], **signs)
    assert 1 == over.code, "accounts are for root with its access key"
