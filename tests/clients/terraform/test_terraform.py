# SPDX-License-Identifier: Apache-2.0
"""Terraform's AWS provider makes, changes, reads, imports and takes away everything it has for Systems Manager here."""

from __future__ import annotations

import datetime
import json

import pytest

from clients import place
from clients.cli.scenes import MACHINE
from clients.terraform.workspace import Workspace, missing
from server.aws.served import Account, new_region

pytestmark = [pytest.mark.timeout(600), pytest.mark.skipif(bool(missing()), reason=missing() or "it is there")]
# The provider has no import for these.
NOT_IMPORTED = {"aws_ssm_patch_group"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server for the module."""
    with place.listening(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def account(server):
    """A region of its own."""
    return Account(server, new_region())


def workspace(folder, account, node):
    """The configuration, told where it is."""
    clock = account.house.clock.now() + 10 * 86_400
    expires = datetime.datetime.fromtimestamp(clock, datetime.UTC).strftime("%Y-%m-%dT00:00:00Z")
    settings = f"arn:aws:ssm:{account.region}:{account.house.account}:servicesetting"
    variables = {"endpoint": account.server.url, "node": node, "expires": expires, "settings": settings}
    return Workspace(folder, place.environment(account.server, account.region), variables)


def imports(resources):
    """Import blocks for what another state manages."""
    blocks = [
        f"import {{\n  to = {address}\n  id = {json.dumps(import_id(address, values))}\n}}\n"
        for address, values in resources.items()
        if address.split(".")[0] not in NOT_IMPORTED
    ]
    return "# made by the test\n" + "\n".join(blocks)


def import_id(address, values):
    """What the provider wants to import a thing by."""
    of_window = address.startswith("aws_ssm_maintenance_window_")
    return f"{values['window_id']}/{values['id']}" if of_window else values["id"]


def left(ssm):
    """What is left in the region of what Terraform makes."""
    own = [{"Key": "OWNER", "Values": ["Self"]}]
    return {
        "baselines": ssm.describe_patch_baselines(Filters=own)["BaselineIdentities"],
        "groups": ssm.describe_patch_groups()["Mappings"],
        "parameters": ssm.describe_parameters()["Parameters"],
        "documents": ssm.list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])["DocumentIdentifiers"],
        "windows": ssm.describe_maintenance_windows()["WindowIdentities"],
        "syncs": ssm.list_resource_data_sync()["ResourceDataSyncItems"],
        "activations": [
            one for one in ssm.describe_activations()["ActivationList"] if one.get("DefaultInstanceName") == "web"
        ],
    }


def test_terraform_manages_everything(account, tmp_path):
    """Apply; nothing differs; change; a fresh state that imports it finds that nothing differs; destroy; nothing is left."""
    node = account.enrol(**MACHINE).instance_id
    ssm = place.client(account.server, account.region)
    terraform = workspace(tmp_path / "first", account, node)

    terraform.apply()
    assert terraform.plan() == []
    expected_outputs(terraform.outputs(), node)

    terraform.apply("two")
    changed(ssm, terraform.resources())

    fresh = workspace(tmp_path / "fresh", account, node)
    (fresh.folder / "imports.tf").write_text(imports(terraform.resources()))
    planned = {one["address"]: one["change"] for one in fresh.plan("two")}
    assert set(planned) == set(terraform.resources())
    imported = {name: change for name, change in planned.items() if name.split(".")[0] not in NOT_IMPORTED}
    changing = {name: differing(change) for name, change in imported.items() if change["actions"] != ["no-op"]}
    assert changing == {"aws_ssm_parameter.insecure": {"insecure_value", "value"}}  # it reads every text as `value`

    terraform.destroy("two")
    assert {name: rows for name, rows in left(ssm).items() if rows} == {}
    default = ssm.get_default_patch_baseline(OperatingSystem="DEBIAN")["BaselineId"]
    assert default.startswith("arn:aws:ssm:")
    setting = ssm.get_service_setting(SettingId="/ssm/parameter-store/high-throughput-enabled")["ServiceSetting"]
    assert setting["Status"] == "Default"


def differing(change):
    """The attributes in which a change changes, or may."""
    before, after, unknown = change["before"] or {}, change["after"] or {}, change["after_unknown"]
    return {name for name in {*after, *unknown} if unknown.get(name) is True or before.get(name) != after.get(name)}


def expected_outputs(outputs, node):
    """What the data sources read."""
    assert outputs["baselines"] == {
        "predefined": "AWS-UbuntuDefaultPatchBaseline",
        "windows": "AWS-DefaultPatchBaseline",
        "own": True,
        "whole": "windows-production",
        "filters": 2,
        "default": ["debian-production"],
    }
    assert outputs["parameters"]["secret"] == "battery staple"
    assert outputs["parameters"]["arn"].endswith(":parameter/web/host")
    assert outputs["parameters"]["types"] == {
        "/web/host": "String",
        "/web/long": "String",
        "/web/motto": "String",
        "/web/ports": "StringList",
        "/web/secrets/password": "SecureString",
        "/web/small": "String",
    }
    assert outputs["documents"] == {
        "own": "0.3",
        "predefined": "Command",
        "version": "1",
        "parameter": "veni",
        "platforms": outputs["documents"]["platforms"],
    }
    assert outputs["nodes"] == [node]
    assert outputs["windows"] is True


def changed(ssm, resources):
    """What the second turn made of things, asked by another client."""
    baseline = ssm.get_patch_baseline(BaselineId=resources["aws_ssm_patch_baseline.debian"]["id"])
    assert (baseline["Description"], baseline["RejectedPatchesAction"]) == ("Debian, changed", "ALLOW_AS_DEPENDENCY")
    assert [rule.get("ApproveAfterDays") for rule in baseline["ApprovalRules"]["PatchRules"]] == [3, None]
    assert baseline["PatchGroups"] == ["web-2"]
    secret = ssm.get_parameter(Name="/web/secrets/password", WithDecryption=True)["Parameter"]
    assert (secret["Value"], secret["Version"]) == ("correct horse", 2)
    document = ssm.describe_document(Name="say-something")["Document"]
    assert (document["DefaultVersion"], document["VersionName"]) == ("2", "two")
    window = resources["aws_ssm_maintenance_window.nightly"]["id"]
    (task,) = ssm.describe_maintenance_window_tasks(WindowId=window)["Tasks"]
    assert (task["Priority"], task["MaxConcurrency"], task["CutoffBehavior"]) == (3, "10%", "CANCEL_TASK")
    shared = ssm.describe_document_permission(Name="say-something", PermissionType="Share")
    assert shared["AccountIds"] == ["444455556666"]
    for kind, name in (("PatchBaseline", baseline["BaselineId"]), ("Parameter", "/web/host")):
        tags = ssm.list_tags_for_resource(ResourceType=kind, ResourceId=name)["TagList"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"Environment": "Production", "Owner": "web"}
