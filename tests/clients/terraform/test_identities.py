# SPDX-License-Identifier: Apache-2.0
"""Terraform's AWS provider manages users, groups, roles, policies and keys."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from clients import place
from clients.terraform.workspace import Workspace, missing
from server.aws.people import People

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing()), reason=missing() or "it is there"),
    pytest.mark.skipif(not os.environ.get("PATCHWRIGHT_FULL"), reason="it takes minutes: bin/test --full"),
]
IDENTITIES = Path(__file__).parent / "identities"
# By what the provider imports a thing: attributes, joined by slashes or colons. A key's secret cannot be imported.
IMPORTED_BY = {
    "aws_iam_user": "{name}",
    "aws_iam_user_policy": "{user}:{name}",
    "aws_iam_user_policy_attachment": "{user}/{policy_arn}",
    "aws_iam_group": "{name}",
    "aws_iam_user_group_membership": "{user}/patchers",
    "aws_iam_group_policy_attachment": "{group}/{policy_arn}",
    "aws_iam_group_policy": "{group}:{name}",
    "aws_iam_policy": "{arn}",
    "aws_iam_role": "{name}",
    "aws_iam_role_policy": "{role}:{name}",
    "aws_iam_role_policy_attachment": "{role}/{policy_arn}",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server for the module."""
    with place.listening(tmp_path_factory.mktemp("server")) as found:
        yield found


def workspace(folder, server):
    """The configuration, told where it is."""
    return Workspace(folder, place.environment(server), {"endpoint": server.url}, modules=IDENTITIES)


def imports(resources):
    """Import blocks for what another state manages."""
    blocks = [
        f"import {{\n  to = {address}\n  id = {json.dumps(IMPORTED_BY[address.split('.')[0]].format(**values))}\n}}\n"
        for address, values in resources.items()
        if address.split(".")[0] in IMPORTED_BY
    ]
    return "# made by the test\n" + "\n".join(blocks)


def test_terraform_manages_identities(server, tmp_path):
    """Apply; nothing differs; change; a fresh state that imports it finds that nothing differs; destroy; nothing is left."""
    root = server.house.root
    iam = People(server.url, {"aws_access_key_id": root.access_key_id, "aws_secret_access_key": root.secret}).client(
        "iam"
    )
    terraform = workspace(tmp_path / "first", server)

    terraform.apply()
    assert terraform.plan() == []
    assert terraform.outputs()["me"] == f"arn:aws:iam::{place.ACCOUNT}:root"

    terraform.apply("two")
    assert terraform.plan("two") == []
    assert iam.get_user(UserName="anna")["User"]["Path"] == "/dev/"
    assert iam.list_access_keys(UserName="anna")["AccessKeyMetadata"][0]["Status"] == "Inactive"
    versions = iam.list_policy_versions(PolicyArn=terraform.resources()["aws_iam_policy.scan"]["arn"])["Versions"]
    assert [one["VersionId"] for one in versions if one["IsDefaultVersion"]] == ["v2"]

    fresh = workspace(tmp_path / "fresh", server)
    (fresh.folder / "imports.tf").write_text(imports(terraform.resources()))
    planned = {one["address"]: one["change"]["actions"] for one in fresh.plan("two")}
    assert planned.pop("aws_iam_access_key.anna") == ["create"]
    assert {address for address, actions in planned.items() if actions != ["no-op"]} == set()
    assert len(planned) == len(IMPORTED_BY)

    terraform.destroy("two")
    own = iam.list_policies(Scope="Local")["Policies"]
    assert (iam.list_users()["Users"], iam.list_roles()["Roles"], iam.list_groups()["Groups"], own) == ([], [], [], [])
