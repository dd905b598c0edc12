# SPDX-License-Identifier: Apache-2.0
"""The documents that come with the product: what they take and what their steps are (spec §3.6, §3.8, §5.9)."""

from __future__ import annotations

import json

import pytest

from patchwright.core import actions
from patchwright.core.document import bind, parse, prepared, ruling
from patchwright.core.errors import InvalidParameters
from patchwright.core.flow import Done, Outcome, Skip, following, settled
from patchwright.server.documents import owned

UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
OK, BAD, NOTHING_TO_DO = Outcome("Success"), Outcome("Failed", 1), Outcome("Success", 168)


def read(name):
    """A document of the product."""
    return parse(json.loads(owned.found(name).version.content))


@pytest.mark.parametrize("name", owned.NAMES)
def test_every_document_of_the_product_runs_on_our_nodes(name):
    """It says what it is for, and every parameter what it means; no step of it is refused on Linux."""
    document = read(name)

    assert document.description.endswith(".")
    content = json.loads(owned.found(name).version.content)
    assert all(
        entry["description"].startswith(("(Required)", "(Optional)"))
        for entry in content.get("parameters", {}).values()
    )
    assert "Linux" in owned.found(name).version.reading.platform_types
    for step in document.steps:
        assert step.action in actions.SERVED
        assert not step.fault


@pytest.mark.parametrize(
    ("name", "required", "optional"),
    [
        (
            "AWS-RunPatchBaseline",
            {"Operation"},
            {"AssociationId", "SnapshotId", "InstallOverrideList", "BaselineOverride", "RebootOption"},
        ),
        (
            "AWS-RunPatchBaselineWithHooks",
            {"Operation"},
            {
                "SnapshotId",
                "RebootOption",
                "PreInstallHookDocName",
                "PostInstallHookDocName",
                "OnExitHookDocName",
            },
        ),
        ("AWS-RunShellScript", {"commands"}, {"workingDirectory", "executionTimeout"}),
        ("AWS-RunPowerShellScript", {"commands"}, {"workingDirectory", "executionTimeout"}),
        ("AWS-RunRemoteScript", {"sourceType", "sourceInfo", "commandLine"}, {"workingDirectory", "executionTimeout"}),
        ("AWS-RunDocument", {"sourceType", "sourceInfo"}, {"documentParameters"}),
        ("AWS-Noop", set(), set()),
        ("AWS-RefreshAssociation", set(), {"associationIds"}),
        ("AWS-UpdateSSMAgent", set(), {"version", "allowDowngrade"}),
    ],
)
def test_parameters_are_those_of_aws(name, required, optional):
    """By name, and by whether they may be left out."""
    parameters = read(name).parameters

    assert {each for each, found in parameters.items() if found.default is None} == required
    assert set(parameters) == required | optional


@pytest.mark.parametrize(
    ("name", "given", "fine"),
    [
        ("AWS-RunPatchBaseline", {"Operation": "Scan", "SnapshotId": UUID, "AssociationId": UUID}, True),
        ("AWS-RunPatchBaseline", {"Operation": "Install", "InstallOverrideList": "https://x/list.yaml"}, True),
        ("AWS-RunPatchBaseline", {"Operation": "Install", "BaselineOverride": "s3://bucket/dir/key.json"}, True),
        ("AWS-RunPatchBaseline", {"Operation": "Install", "InstallOverrideList": "http://x/list.yaml"}, False),
        ("AWS-RunPatchBaseline", {"Operation": "Install", "InstallOverrideList": "s3://bucket"}, False),
        ("AWS-RunPatchBaseline", {"Operation": "Scan", "SnapshotId": "x"}, False),
        ("AWS-RunPatchBaseline", {"Operation": "Scan", "RebootOption": "Always"}, False),
        ("AWS-RunPatchBaselineWithHooks", {"Operation": "Scan", "PreInstallHookDocName": "Stop-Web:3"}, True),
        ("AWS-RunPatchBaselineWithHooks", {"Operation": "Scan", "PreInstallHookDocName": "Stop-Web:$LATEST"}, True),
        ("AWS-RunPatchBaselineWithHooks", {"Operation": "Scan", "PreInstallHookDocName": "a b"}, False),
        ("AWS-RunPatchBaselineWithHooks", {"Operation": "Scan", "PreInstallHookDocName": ""}, False),
        ("AWS-RunShellScript", {"commands": "true", "executionTimeout": "172800"}, True),
        ("AWS-RunShellScript", {"commands": "true", "executionTimeout": "172801"}, False),
        ("AWS-RunShellScript", {"commands": "true", "executionTimeout": "0"}, False),
        ("AWS-RunRemoteScript", {"sourceType": "S3", "sourceInfo": '{"path": "x"}', "commandLine": "a"}, True),
        ("AWS-RunRemoteScript", {"sourceType": "FTP", "sourceInfo": "{}", "commandLine": "a"}, False),
        ("AWS-UpdateSSMAgent", {"version": "0.2.1"}, True),
        ("AWS-UpdateSSMAgent", {"version": "../x"}, False),
    ],
)
def test_parameters_are_held_to_what_they_may_be(name, given, fine):
    """On the server and on the node, by the same document."""
    document = read(name)
    values = {each: [value] for each, value in given.items()}
    if fine:
        assert prepared(document, bind(document, values))
    else:
        with pytest.raises(InvalidParameters):
            bind(document, values)


def test_a_script_has_the_name_of_its_plugin():
    """Which is what callers ask for its result by."""
    (step,) = read("AWS-RunShellScript").steps

    assert (step.name, step.inputs["id"]) == ("aws:runShellScript", "0.aws:runShellScript")


# -------------------------------------------------------------------------------------------------------- with hooks

HOOKS = read("AWS-RunPatchBaselineWithHooks")
NAMES = [step.name for step in HOOKS.steps]


def walk(operation="Install", **results):
    """The steps that run, and what the document comes to, where steps come to *results* and the others succeed."""
    values = bind(HOOKS, {"Operation": [operation]})
    steps, outcomes, ran = prepared(HOOKS, values), [], []
    while not isinstance(answer := following(steps, outcomes), Done):
        step = steps[answer.position]
        ruled = ruling(HOOKS, step, "Linux", values).status
        if isinstance(answer, Skip) or ruled:
            outcomes.append(Outcome(answer.status if isinstance(answer, Skip) else ruled))
            continue
        ran.append(step.name)
        outcomes.append(settled(step, results.get(step.name, OK)))
    return ran, answer.status


def test_the_eight_steps_are_those_of_aws():
    """Spec §3.8: what is patched how, and who may restart the node."""
    values = bind(HOOKS, {"Operation": ["Install"], "PreInstallHookDocName": ["Stop"], "RebootOption": ["NoReboot"]})
    inputs = {step.name: step.inputs for step in prepared(HOOKS, values)}

    assert [(inputs[name].get("Operation"), inputs[name].get("RebootOption")) for name in NAMES] == [
        ("Scan", "NoReboot"),
        ("Install", "NoReboot"),
        (None, None),
        ("Install", "NoReboot"),
        (None, None),
        ("Install", "NoReboot"),
        ("Install", "RebootIfNeeded"),
        (None, None),
    ]
    assert [inputs[name]["documentPath"] for name in NAMES if name.endswith("Hook")] == ["Stop", "AWS-Noop", "AWS-Noop"]


@pytest.mark.parametrize(
    ("results", "ran", "status"),
    [
        ({}, NAMES, "Success"),
        ({"Scan": BAD}, ["Scan", "OnExitHook"], "Failed"),
        ({"VerifyOperation": NOTHING_TO_DO}, ["Scan", "VerifyOperation", "OnExitHook"], "Success"),
        ({"PreInstallHook": BAD}, [*NAMES[:3], "OnExitHook"], "Failed"),
        ({"PreInstallHook": Outcome("TimedOut", 137)}, [*NAMES[:3], "OnExitHook"], "TimedOut"),
        ({"Install": BAD}, [*NAMES[:4], "OnExitHook"], "Failed"),
        ({"PostInstallHook": BAD}, [*NAMES[:5], "OnExitHook"], "Failed"),
        ({"VerifyReboot": NOTHING_TO_DO}, [*NAMES[:6], "OnExitHook"], "Success"),
        ({"RebootAndReport": BAD}, NAMES, "Failed"),
        ({"OnExitHook": BAD}, NAMES, "Failed"),
        ({"PreInstallHook": BAD, "OnExitHook": BAD}, [*NAMES[:3], "OnExitHook"], "Failed"),
        ({"Install": Outcome("Cancelled", 137)}, NAMES[:4], "Cancelled"),
    ],
)
def test_a_failure_skips_what_is_left_but_the_last_hook(results, ran, status):
    """A failed pre-hook installs nothing, a failed post-hook does not restart; the on-exit hook always runs on Install."""
    assert walk(**results) == (ran, status)


@pytest.mark.parametrize("scan", [OK, BAD])
def test_a_scan_ends_after_its_first_steps_and_runs_no_hook(scan):
    """Not even the last."""
    ran, status = walk("Scan", Scan=scan, VerifyOperation=NOTHING_TO_DO)

    assert ran == (["Scan", "VerifyOperation"] if scan is OK else ["Scan"])
    assert status == scan.status
