# SPDX-License-Identifier: Apache-2.0
"""The documents that come with the product, on a real node: what each says, fetches and tells (spec §5.9)."""

from __future__ import annotations

import json

import pytest

from .station import ENGINES, FINAL, lines, there, until

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

GREETING = {
    "schemaVersion": "2.2",
    "parameters": {"word": {"type": "String", "interpolationType": "ENV_VAR"}},
    "mainSteps": [
        {"name": "Say", "action": "aws:runShellScript", "inputs": {"runCommand": ['echo "$SSM_word {{ word }}"']}},
        {"name": "Elsewhere", "action": "aws:psModule", "inputs": {}},
    ],
}
HOSTILE = '"; touch /injected; echo "'


def run(station, node, name, **parameters):
    """Send a document and wait for its end: its status, and what each of its steps printed."""
    command = station.send_document(node, name, {key: [value] for key, value in parameters.items()})
    done = until(lambda: (found := station.invocation(node, command))["Status"] in FINAL and found, what=f"{name} ends")
    return done["Status"], {plugin["Name"]: plugin["Output"] for plugin in done["CommandPlugins"]}


def test_every_document_does_what_it_says_on_a_real_node(station, debrepo, new_node):
    """
    Scripts, a document of one's own by way of AWS-RunDocument, inventory, and what has nothing to do.

    The node fetches documents with its own key; what is a variable is never a command; a path that is not there fails.
    """
    debrepo.release("foo", "1.0-1")
    node = new_node("deb12", debrepo, installed=["foo"])
    instance_id = station.enrol(node)
    station.make_documents({"Greet": GREETING})

    status, output = run(
        station, node, "AWS-RunShellScript", commands="echo $SSM_COMMAND_ID; pwd", workingDirectory="/etc"
    )
    assert (status, list(output)) == ("Success", ["aws:runShellScript"])
    assert output["aws:runShellScript"].endswith("\n/etc\n")
    assert run(station, node, "AWS-RunShellScript", commands="exit 3")[0] == "Failed"
    assert run(station, node, "AWS-Noop") == ("Success", {"Noop": ""})
    assert run(station, node, "AWS-RefreshAssociation")[0] == "Success"

    source = {"sourceType": "SSMDocument", "sourceInfo": json.dumps({"name": "Greet"})}
    status, output = run(station, node, "AWS-RunDocument", **source, documentParameters=json.dumps({"word": HOSTILE}))
    assert status == "Success"
    assert output["runDocument"].splitlines() == [HOSTILE + " {{ word }}", "action aws:psModule is not for Linux"]
    assert not there(node, "/injected")
    status, output = run(station, node, "AWS-RunDocument", **{**source, "sourceInfo": json.dumps({"name": "Nowhere"})})
    assert status == "Failed"
    assert "does not exist" in output["downloadContent"]

    status, output = run(station, node, "AWS-GatherSoftwareInventory", services="Disabled", networkConfig="Disabled")
    assert status == "Success", output
    told = station.client().list_inventory_entries(InstanceId=instance_id, TypeName="AWS:Application")["Entries"]
    assert "foo" in [entry["Name"] for entry in told]
    assert station.client().list_inventory_entries(InstanceId=instance_id, TypeName="AWS:Network")["Entries"] == []


@pytest.mark.slow
@pytest.mark.parametrize("database", ENGINES[:1], indirect=True)
def test_a_copy_of_the_document_with_hooks_runs_patching_as_documents(station, debrepo, new_node):
    """As AWS writes it: the same document three times within another, with hooks between, and a restart in the third."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    station.enrol(node)

    def patches(name, operation, reboot):
        given = {"Operation": operation, "RebootOption": reboot, "SnapshotId": "{{ SnapshotId }}"}
        inputs = {"documentType": "SSMDocument", "documentPath": "AWS-RunPatchBaseline", "documentParameters": given}
        return {"action": "aws:runDocument", "name": name, "inputs": {**inputs, "onFailure": "exit"}}

    hook = {"action": "aws:runShellScript", "name": "Hook", "inputs": {"runCommand": ["echo hook >>/var/tmp/hooks"]}}
    steps = [patches("Scan", "Scan", "NoReboot"), hook, patches("Install", "Install", "NoReboot")]
    steps += [{**hook, "name": "After"}, patches("Finish", "Install", "RebootIfNeeded")]
    content = {
        "schemaVersion": "2.2",
        "parameters": {"SnapshotId": {"type": "String", "default": ""}},
        "mainSteps": steps,
    }
    station.make_documents({"Hooked": content})

    status, output = run(station, node, "Hooked")

    assert status == "Success", output
    assert lines(node, "/var/tmp/hooks") == ["hook", "hook"]
    assert node.installed()["foo.all"] == ("1.0-1+deb12u1", "ii")
    assert station.states(node, "foo.all") == {"foo.all": "Installed"}  # and not pending: it was restarted, once
    assert output["Finish"].startswith("Install of ")
