# SPDX-License-Identifier: Apache-2.0
"""Documents that run documents, and what they fetch for it (spec §5.9)."""

from __future__ import annotations

import json
import os
from urllib.parse import quote

import pytest

from agent.simulator import DOCUMENT, Refusal
from agent.test_scripts import kill, once, results, send, step, sweep
from patchwright.agent.actions import ACTIONS
from patchwright.agent.steps import patching
from patchwright.core.actions import SERVED, UPDATE_AGENT


def document(*steps, **parameters):
    """A document of these steps."""
    return {"schemaVersion": "2.2", "parameters": parameters, "mainSteps": list(steps)}


def runs(path, *, kind="SSMDocument", name="Child", **inputs):
    """A step that runs a document."""
    inputs = {"documentType": kind, "documentPath": path, **inputs}
    return {"action": "aws:runDocument", "name": name, "inputs": inputs}


def fetches(kind, info, *, to="", name="Fetch", **inputs):
    """A step that fetches content."""
    inputs = {"sourceType": kind, "sourceInfo": info, "destinationPath": to, **inputs}
    return {"action": "aws:downloadContent", "name": name, "inputs": inputs}


def test_what_is_sent_to_nodes_is_what_they_run():
    """The server lets through what the agent has an action for."""
    assert set(ACTIONS) | {UPDATE_AGENT} == SERVED


def test_a_document_runs_as_one_step(stage):
    """With its parameters and defaults; its output is that of its steps, in order, and its code is theirs."""
    stage.simulator.documents["Greet", ""] = document(
        step("One", "echo {{ word }}; echo oops >&2"),
        step("Two", "echo {{ other }}"),
        word={"type": "String"},
        other={"type": "String", "default": "bye"},
    )
    final = once(stage, runs("Greet", documentParameters={"word": "hello"}), step("After", "echo after"))
    child = final["runtimeStatus"]["Child"]

    assert final["documentStatus"] == "Success"
    assert (child["standardOutput"], child["standardError"]) == ("hello\nbye\n", "oops\n")
    assert results(final) == {"Child": ("Success", 0), "After": ("Success", 0)}


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("Greet", ("Greet", "")),
        ("Greet:3", ("Greet", "3")),
        ("Greet:$LATEST", ("Greet", "$LATEST")),
        (
            "arn:aws:ssm:us-east-1:111111111111:document/Greet",
            ("arn:aws:ssm:us-east-1:111111111111:document/Greet", ""),
        ),
        (
            "arn:aws:ssm:us-east-1:111111111111:document/Greet:2",
            ("arn:aws:ssm:us-east-1:111111111111:document/Greet", "2"),
        ),
    ],
)
def test_a_version_may_follow_the_name(stage, path, asked):
    """After a colon; the name may be the ARN of another account's document."""
    stage.simulator.documents[asked] = document(step("One", "true"))

    assert once(stage, runs(path))["documentStatus"] == "Success"


@pytest.mark.parametrize(
    ("steps", "status", "code"),
    [
        ([step("A", "exit 7"), step("B", "echo B")], "Failed", 7),
        ([step("A", "exit 7", onFailure="exit"), step("B", "echo no")], "Failed", 7),
        ([step("A", "exit 168"), step("B", "echo no")], "Success", 0),
        ([step("A", "exit 169"), step("B", "echo no")], "Failed", 1),
        ([step("A", "exit 194"), step("B", "echo B")], "Failed", 1),
        ([step("A", "sleep 30", timeoutSeconds="5")], "TimedOut", 137),
        ([{"action": "my:own", "name": "A"}], "Failed", 1),
    ],
    ids=["fails", "exit", "168", "169", "194", "late", "unknown"],
)
def test_how_a_document_ends_is_how_its_step_ends(stage, steps, status, code):
    """Codes that steer a document steer that document alone; what comes after the step comes after it."""
    stage.simulator.documents["Child", ""] = document(*steps)
    final = once(stage, runs("Child"), step("After", "echo after"))

    assert results(final) == {"Child": (status, code), "After": ("Success", 0)}
    assert ("B\n" in final["runtimeStatus"]["Child"]["standardOutput"]) == (
        len(steps) > 1 and "echo B" in str(steps) and "exit" not in steps[0]["inputs"].get("onFailure", "")
    )
    assert stage.history == []


@pytest.mark.parametrize(
    ("inputs", "part"),
    [
        ({"documentPath": "Nowhere"}, "does not exist"),
        ({"documentPath": ""}, "no documentPath"),
        ({"documentType": "Elsewhere"}, "SSMDocument or LocalPath"),
        ({"documentParameters": {"word": "x", "more": "y"}}, "no parameter more"),
        ({"documentParameters": {}}, "the parameter word is required"),
        ({"documentParameters": "[]"}, "are no object"),
        ({"documentParameters": "{"}, "are no object"),
        ({"documentType": "LocalPath", "documentPath": "gone.json"}, "cannot be read"),
    ],
)
def test_a_document_that_cannot_be_run_fails_its_step_and_says_why(stage, inputs, part):
    """Nothing of it is run."""
    stage.simulator.documents["Greet", ""] = document(
        step("One", f"touch {stage.directory}/ran"), word={"type": "String"}
    )
    given = {"documentParameters": {"word": "a"}, **inputs}
    final = once(
        stage, runs(given.pop("documentPath", "Greet"), kind=given.pop("documentType", "SSMDocument"), **given)
    )

    assert results(final) == {"Child": ("Failed", 1)}
    assert part in final["runtimeStatus"]["Child"]["standardError"]
    assert not (stage.directory / "ran").exists()


def test_a_document_of_another_type_is_not_run(stage):
    """A runbook is no list of steps for a node."""
    stage.simulator.documents["Greet", ""] = document(step("One", "true"))
    stage.simulator.document_type = "Automation"

    assert results(once(stage, runs("Greet"))) == {"Child": ("Failed", 1)}


def test_documents_run_one_another_three_deep(stage):
    """A fourth, and so one that runs itself, fails; the output comes up through all of them."""
    for depth in range(1, 4):
        stage.simulator.documents[f"D{depth}", ""] = document(step("Say", f"echo {depth}"), runs(f"D{depth + 1}"))
    stage.simulator.documents["D3", ""] = document(step("Say", "echo 3"))
    fine = once(stage, runs("D1"))
    stage.simulator.documents["D3", ""] = document(runs("D1"))
    deep = once(stage, runs("D1"))

    assert fine["documentStatus"] == "Success"
    assert fine["runtimeStatus"]["Child"]["standardOutput"] == "1\n2\n3\n"
    assert deep["documentStatus"] == "Failed"
    assert "at most 3 deep" in deep["runtimeStatus"]["Child"]["standardError"]


def nested(stage):
    """Send a document that runs two scripts and, between them, a document that runs another; each notes that it ran."""
    noted = f">>{stage.directory}/ran"
    stage.simulator.documents["Child", ""] = document(
        step("One", "echo one", f"echo one {noted}"), runs("Inner"), step("Three", "echo three", f"echo three {noted}")
    )
    stage.simulator.documents["Inner", ""] = document(step("Two", "echo two", f"echo two {noted}"))
    return [send(stage, runs("Child"))]


@pytest.mark.slow
def test_a_document_is_taken_up_where_it_was_wherever_the_worker_dies(tmp_path, simulator, zygote):
    """No script twice, none left out, nothing of the output lost or doubled."""
    for stage, (final,), where in sweep(tmp_path, simulator, zygote, "work", nested):
        assert final["documentStatus"] == "Success", f"{where}: {final}"
        assert final["runtimeStatus"]["Child"]["standardOutput"] == "one\ntwo\nthree\n", where
        assert (stage.directory / "ran").read_text().split() == ["one", "two", "three"], where


def test_a_document_that_was_killed_in_a_script_goes_on_with_it(real_stage):
    """The script of a document within a document outlives the worker as any other."""
    stage, gate = real_stage, real_stage.directory / "gate"
    gate.touch()
    waits = f"while test -e {gate}; do sleep 0.02; done"
    stage.simulator.documents["Child", ""] = document(
        step("One", f"echo x >>{stage.directory}/ran", waits, "echo over")
    )
    command = send(stage, runs("Child"))
    stage.start()
    stage.wait_for((stage.directory / "ran").exists, "the script ran")
    kill(stage, "work")
    gate.unlink()

    final = stage.wait_for_final(command)
    assert (final["documentStatus"], final["runtimeStatus"]["Child"]["standardOutput"]) == ("Success", "over\n")
    assert (stage.directory / "ran").read_text() == "x\n"


def test_a_cancelled_document_begins_nothing_more(real_stage):
    """What runs is ended, what is left is not begun, and the steps after it are not either."""
    stage = real_stage
    stage.simulator.documents["Child", ""] = document(
        step("One", f"touch {stage.directory}/began", "sleep 60"), step("Two", f"touch {stage.directory}/second")
    )
    command = send(stage, runs("Child"), step("After", f"touch {stage.directory}/after", finallyStep=True))
    stage.start()
    stage.wait_for((stage.directory / "began").exists, "the script ran")
    stage.simulator.cancel(stage.instance_id, command)

    final = stage.wait_for_final(command)
    assert final["documentStatus"] == "Cancelled"
    assert results(final) == {"Child": ("Cancelled", 137), "After": ("Cancelled", 137)}
    assert not (stage.directory / "second").exists()
    assert not (stage.directory / "after").exists()


# -------------------------------------------------------------------------------------------------------- patch operations


def patches(stage, operation="Install", *, kind="SSMDocument", path="Patch"):
    """A step that runs a document which patches, as a copy of AWS-RunPatchBaselineWithHooks has it."""
    stage.simulator.documents["Patch", ""] = DOCUMENT
    return runs(
        path, kind=kind, name="Child", documentParameters={"Operation": operation, "RebootOption": "RebootIfNeeded"}
    )


def test_a_document_that_patches_runs_as_one_step(stage):
    """With its restart in the middle; the server hears by which step it is, and its report is the step's output."""
    final = once(stage, patches(stage), step("After", "echo after"))
    (operation,) = stage.simulator.operations.values()

    assert results(final) == {"Child": ("Success", 0), "After": ("Success", 0)}
    assert stage.installed == {"openssl": "3.0.2-1", "zlib1g": "1.2-2"}
    assert stage.history.count("install begins") == stage.history.count("reboot asked") == 1
    assert (operation.step, operation.begun.operation) == ("Child/Patch", "Install")
    assert final["runtimeStatus"]["Child"]["standardOutput"] == "missing: "
    asked = [members for name, members in stage.simulator.calls if name == "BeginOperation"]
    assert ["Inputs" in members for members in asked] == [False]


def test_patch_steps_of_one_document_are_operations_of_their_own(stage):
    """A Scan, an Install and a last one: the same document three times, and a check in a fourth."""
    stage.simulator.documents["Check", ""] = document(
        {"action": "patchwright:patchCheck", "name": "Ask", "inputs": {"Check": "install"}}
    )
    scan, install = patches(stage, "Scan"), patches(stage)
    scan["name"], install["name"] = "First", "Second"
    final = once(stage, scan, runs("Check"), install)

    assert results(final) == {"First": ("Success", 0), "Child": ("Success", 0), "Second": ("Success", 0)}
    assert [(one.step, one.begun.operation) for one in stage.simulator.operations.values()] == [
        ("First/Patch", "Scan"),
        ("Second/Patch", "Install"),
    ]
    assert "says Child/Ask" in final["runtimeStatus"]["Child"]["standardOutput"]
    assert final["runtimeStatus"]["First"]["standardOutput"] == "missing: openssl=3.0.2-1 zlib1g=1.2-2"


def test_the_server_is_told_what_a_step_says_that_stands_in_a_file_of_the_node(stage):
    """It cannot know it otherwise."""
    place = stage.directory / "patch.json"
    place.write_text(json.dumps(DOCUMENT))
    final = once(stage, patches(stage, "Scan", kind="LocalPath", path=str(place)))
    (asked,) = [members for name, members in stage.simulator.calls if name == "BeginOperation"]

    assert results(final) == {"Child": ("Success", 0)}
    assert asked["StepName"] == "Child/Patch"
    assert asked["Inputs"] == {"Operation": "Scan", "RebootOption": "RebootIfNeeded"}


def test_a_patch_step_that_fails_in_a_document_fails_its_step_and_says_why(stage):
    """The refusal of the server, and what the package manager said, come up through it."""
    stage.set(failing={"openssl": "post-installation script subprocess returned error exit status 1"})
    failing = once(stage, patches(stage))["runtimeStatus"]["Child"]
    stage.simulator.refusing["BeginOperation"] = Refusal("InvalidPluginName", "The document has no step Child/Patch.")
    refused = once(stage, patches(stage))["runtimeStatus"]["Child"]

    assert (failing["status"], refused["status"]) == ("Failed", "Failed")
    assert "openssl.amd64: post-installation script" in failing["standardError"]
    assert "has no step Child/Patch" in refused["standardError"]


@pytest.mark.slow
def test_a_document_that_patches_is_taken_up_where_it_was_wherever_the_worker_dies(tmp_path, simulator, zygote):
    """One operation, one installation, at most the one restart, one report."""

    def nested(stage):
        return [send(stage, patches(stage), step("After", f"echo after >>{stage.directory}/ran"))]

    for stage, (final,), where in sweep(tmp_path, simulator, zygote, "work", nested):
        assert results(final) == {"Child": ("Success", 0), "After": ("Success", 0)}, f"{where}: {final}"
        assert final["runtimeStatus"]["Child"]["standardOutput"] == "missing: ", where
        assert stage.installed == {"openssl": "3.0.2-1", "zlib1g": "1.2-2"}, where
        assert stage.history.count("install openssl 3.0.2-1") == 1, where
        assert stage.history.count("reboot asked") == 1, where
        assert (stage.directory / "ran").read_text() == "after\n", where


def test_who_is_left_in_the_middle_of_a_document_that_patches_is_known_to_patch():
    """A worker that takes over counts it, and nobody else gets the node meanwhile."""
    inner = {"action": "patchwright:patch", "status": "InProgress", "run": {"phase": "act"}}
    outer = {"action": "aws:runDocument", "status": "InProgress", "run": {"steps": [inner]}}

    assert patching(outer)
    assert patching({**outer, "run": {"steps": [outer]}})
    assert not patching({**outer, "run": {"steps": [{**inner, "run": {}}]}})
    assert not patching({**outer, "run": {"steps": [{**inner, "status": "Success", "run": {}}]}})
    assert not patching({**outer, "run": {}})


# -------------------------------------------------------------------------------------------------------- what is fetched


def test_a_document_that_was_fetched_is_run_and_scripts_run_beside_it(stage):
    """aws:downloadContent, then aws:runDocument of the file, as AWS-RunDocument does; a script finds it where it stands."""
    stage.simulator.documents["Greet", "2"] = document(step("One", "echo hello from $(ls)"))
    final = once(
        stage,
        fetches("SSMDocument", json.dumps({"name": "Greet:2"}), to="document.json"),
        runs("document.json", kind="LocalPath"),
        step("Beside", "ls"),
    )

    assert final["documentStatus"] == "Success", final
    assert final["runtimeStatus"]["Child"]["standardOutput"] == "hello from document.json\n"
    assert final["runtimeStatus"]["Beside"]["standardOutput"] == "document.json\n"


def test_content_goes_to_a_file_or_into_a_directory(stage):
    """A path that ends with a slash, and a directory that there is, take it under its own name; it can be run."""
    stage.simulator.served["/files/hello.sh?token=1"] = [(200, b"#!/bin/sh\necho hello\n")]
    (stage.directory / "there").mkdir()
    url = {"url": stage.simulator.url + "/files/hello.sh?token=1", "allowInsecureDownload": True}
    place = str(stage.directory)
    final = once(
        stage,
        fetches("HTTP", url, to=f"{place}/new/", name="A"),
        fetches("HTTP", url, to=f"{place}/there", name="B"),
        fetches("HTTP", url, to=f"{place}/file", name="C"),
        fetches("HTTP", url, name="D"),
        step("Run", "./hello.sh"),
    )

    assert final["documentStatus"] == "Success", final
    assert [os.access(f"{place}/{name}", os.X_OK) for name in ("new/hello.sh", "there/hello.sh", "file")] == [True] * 3
    assert final["runtimeStatus"]["Run"]["standardOutput"] == "hello\n"


def listing(*keys, more=""):
    """What the server answers who lists a folder."""
    entries = "".join(f"<Contents><Key>{quote(key)}</Key><Size>4</Size></Contents>" for key in keys)
    following = f"<NextMarker>{quote(more)}</NextMarker>" if more else ""
    return [(200, f"<ListBucketResult>{following}{entries}</ListBucketResult>".encode())]


@pytest.mark.parametrize("path", ["s3://files/dir", "s3://files/dir/", "https://files.s3.eu-west-1.amazonaws.com/dir"])
def test_a_folder_of_a_bucket_comes_with_all_that_is_below_it(stage, path):
    """Page by page, under its own paths; names that a URL would take apart are whole, and what runs, can be run."""
    keys = ["dir/hello.sh", "dir/sub/a b+c?d#e%41.txt", "dir/sub/", "dir/ü"]
    served = stage.simulator.served
    served["/files?encoding-type=url&prefix=dir%2F"] = listing(*keys[:2], more=keys[1])
    after = quote(keys[1], safe="~")
    served[f"/files?encoding-type=url&marker={after}&prefix=dir%2F"] = listing(*keys[2:])
    for key in keys:
        served["/files/" + quote(key, safe="/~")] = [(200, b"#!/bin/sh\necho hello\n")]
    final = once(
        stage, fetches("S3", {"path": path}, to="got"), step("Run", "cd got; ./hello.sh; find . -type f | sort")
    )

    assert final["documentStatus"] == "Success", final
    said = final["runtimeStatus"]["Run"]["standardOutput"].splitlines()
    assert said[0] == "hello"
    assert sorted(said[1:]) == sorted(["./hello.sh", "./sub/a b+c?d#e%41.txt", "./ü"])
    assert "3 files" in final["runtimeStatus"]["Fetch"]["standardOutput"]


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        (["dir/../../escaped"], "leads nowhere"),
        (["dir//escaped"], "leads nowhere"),
        ([f"dir/{number}" for number in range(1_001)], "more than 1000 files"),
        ([], "nothing below"),
        (["dir/a"], "404"),
    ],
    ids=range(5),
)
def test_a_folder_that_is_not_fetched_is_refused_with_a_reason(stage, keys, part):
    """Keys that lead out of it, too much of it, nothing in it, and what is listed and not there."""
    stage.simulator.served["/files?encoding-type=url&prefix=dir%2F"] = listing(*keys)
    final = once(stage, fetches("S3", {"path": "s3://files/dir/"}, to=f"{stage.directory}/got"))

    assert final["documentStatus"] == "Failed"
    assert part in final["runtimeStatus"]["Fetch"]["standardError"]
    assert not list(stage.directory.rglob("escaped"))


def test_a_file_that_is_not_there_is_not_there_though_it_might_have_been_a_folder(stage):
    """What is said is that the file is missing; who may not fetch it is not asked twice."""
    stage.simulator.served["/files?encoding-type=url&prefix=none%2F"] = listing()
    final = once(stage, fetches("S3", {"path": "s3://files/none"}))
    assert "NoSuchKey" in final["runtimeStatus"]["Fetch"]["standardError"]


@pytest.mark.parametrize("trap", ["symlink", "file"])
def test_nobody_else_gets_hold_of_content_in_a_directory_where_all_may_write(stage, trap):
    """Neither does it go where a link leads that lies in wait, nor into a file that somebody holds open already."""
    stage.simulator.served["/files/hello.sh"] = [(200, b"#!/bin/sh\necho hello\n")]
    url = {"url": stage.simulator.url + "/files/hello.sh", "allowInsecureDownload": True}
    shared = stage.directory / "shared"
    shared.mkdir()
    lying, victim = shared / ".hello.sh.part", stage.directory / "victim"
    victim.write_text("mine")
    lying.symlink_to(victim) if trap == "symlink" else lying.write_text("mine")
    with lying.open() as held:
        final = once(stage, fetches("HTTP", url, to=f"{shared}/hello.sh"))

        assert final["documentStatus"] == "Success", final
        assert held.read() == "mine"
        assert os.fstat(held.fileno()).st_ino != (shared / "hello.sh").stat().st_ino
    assert victim.read_text() == "mine"
    assert not (shared / "hello.sh").is_symlink()


@pytest.mark.parametrize(
    ("kind", "info", "part"),
    [
        ("GitHub", {"owner": "x"}, "GitHub is not fetched"),
        ("Git", {"repository": "x"}, "Git is not fetched"),
        ("", {}, "nowhere"),
        ("HTTP", {}, "has no url"),
        ("HTTP", "{", "is no object"),
        ("HTTP", {"url": "http://127.0.0.1:9/x"}, "https://"),
        ("HTTP", {"url": "file:///etc/passwd", "allowInsecureDownload": True}, "https://"),
        ("HTTP", {"url": "https://127.0.0.1:9/x", "authMethod": "Basic"}, "authMethod is None"),
        ("S3", {}, "has no path"),
        ("SSMDocument", {"name": "Nowhere"}, "does not exist"),
    ],
    ids=range(10),
)
def test_what_is_not_fetched_is_refused_with_a_reason(stage, kind, info, part):
    """And the step after it goes on."""
    final = once(stage, fetches(kind, info), step("After", "true"))

    assert results(final) == {"Fetch": ("Failed", 1), "After": ("Success", 0)}
    assert part in final["runtimeStatus"]["Fetch"]["standardError"]


# ----------------------------------------------------------------------------------------------------- the other actions


@pytest.mark.parametrize(
    ("goes_on", "expected"),
    [
        (True, {"Check": ("Success", 0), "After": ("Success", 0), "Last": ("Success", 0)}),
        (False, {"Check": ("Success", 168), "After": ("Skipped", 0), "Last": ("Success", 0)}),
        (None, {"Check": ("Failed", 1), "After": ("Skipped", 0), "Last": ("Success", 0)}),
    ],
)
def test_a_check_of_patches_skips_what_is_left_where_nothing_is(stage, goes_on, expected):
    """The server says whether; what is left but for the last step (spec §3.8)."""
    stage.simulator.goes_on = goes_on
    check = {"action": "patchwright:patchCheck", "name": "Check", "inputs": {"onFailure": "exit"}}
    final = once(stage, check, step("After", "true"), step("Last", "true", finallyStep=True))

    assert results(final) == expected
    assert ("3 patches" in final["runtimeStatus"]["Check"]["standardOutput"]) == (goes_on is not None)


def test_a_node_without_associations_has_nothing_to_refresh(stage):
    """Where it has one, or one is named, the step says that this agent runs none."""
    refresh = {"action": "aws:refreshAssociation", "name": "Refresh", "inputs": {"associationIds": []}}
    named = {**refresh, "name": "Named", "inputs": {"associationIds": ["a"]}}
    assert results(once(stage, refresh, named)) == {"Refresh": ("Success", 0), "Named": ("Failed", 1)}

    stage.simulator.associations = [{"AssociationId": "a"}]
    assert results(once(stage, refresh)) == {"Refresh": ("Failed", 1)}


def test_powershell_runs_where_it_is_installed(stage):
    """Where it is not, the step says so."""
    script = {**step("Shell", "exit 3"), "action": "aws:runPowerShellScript"}
    final = once(stage, script, {**script, "name": "None", "inputs": {}})

    assert final["runtimeStatus"]["None"]["standardError"] == "the step has no runCommand"
    assert results(final)["Shell"] in {("Failed", 127), ("Failed", 3)}
    if results(final)["Shell"] == ("Failed", 127):
        assert "pwsh is not installed" in final["runtimeStatus"]["Shell"]["standardError"]


def test_inventory_is_collected_as_far_as_it_is_enabled(stage):
    """And one's own files where they are said to be; a second run has nothing new to send."""
    own = stage.directory / "own"
    own.mkdir()
    rack = {"SchemaVersion": "1.0", "TypeName": "Custom:Rack", "Content": {"Row": "7"}}
    (own / "rack.json").write_text(json.dumps(rack))
    wanted = {
        "action": "aws:softwareInventory",
        "name": "Gather",
        "inputs": {
            "instanceDetailedInformation": "Enabled",
            "networkConfig": "Disabled",
            "customInventory": "Enabled",
            "customInventoryDirectory": str(own),
            "files": '[{"Path": "/etc"}]',
        },
    }
    final = once(stage, wanted)
    told = stage.simulator.inventory[stage.instance_id]

    assert results(final) == {"Gather": ("Success", 0)}
    assert set(told) == {"AWS:InstanceDetailedInformation", "Custom:Rack"}
    assert "Custom:Rack: 1\n" in final["runtimeStatus"]["Gather"]["standardOutput"]
    assert "files are not collected" in final["runtimeStatus"]["Gather"]["standardOutput"]
