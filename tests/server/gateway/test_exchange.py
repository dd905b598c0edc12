# SPDX-License-Identifier: Apache-2.0
"""The patch exchange at the API: what a node may say, and what it may not (design D4)."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from patchwright.core.protocol import FactsMessage, Phase
from server.aws.test_s3 import Shop
from server.patching.bench import NOW, OUTDATED, PATCHED, bodies_of, with_facts

BODIES = [{"Digest": digest, "Body": body.decode()} for digest, body in bodies_of(OUTDATED).items()]


def facts(operation_id, view=OUTDATED, phase=Phase.BEFORE, **members):
    """A PutFacts request."""
    return FactsMessage(operation_id, phase, view.facts, **members).to_json()


@pytest.fixture
async def begun(house):
    """A node in an Install, and the operation's id."""
    node = await house.enrol()
    command = await house.send(node, operation="Install")
    return node, await house.begin(node, command["CommandId"])


async def states(house, node):
    """DescribeInstancePatches, states by KBId."""
    answer = await house.ask("AmazonSSM.DescribeInstancePatches", {"InstanceId": node.instance_id})
    return {patch["KBId"]: patch["State"] for patch in answer["Patches"]}


async def test_an_install_from_the_command_to_the_report(house, begun):
    """Intent, plan, facts afterwards; the operation is the command's word."""
    node, operation_id = begun
    directive = await house.put_facts(node, operation_id, OUTDATED)
    assert directive["Next"] == "resolve"
    actions = [[*wanted, True] for wanted in directive["Intent"]["Wanted"]]
    request = {"OperationId": operation_id, "Attempt": 0, "Resolution": {"Actions": actions, "Unresolved": {}}}

    plan = await house.ask("Patchwright.PutResolution", request, key=node)
    assert plan["PlanDigest"].startswith("plan1:")
    assert await house.ask("Patchwright.PutResolution", request, key=node) == plan
    done = await house.put_facts(node, operation_id, PATCHED, phase=Phase.AFTER, acted_boot_id="boot-1")

    assert (done["Next"], done["Report"]["Succeeded"]) == ("done", True)
    assert (await states(house, node))["foo.amd64"] == "InstalledPendingReboot"


async def test_a_scan_is_a_scan_whatever_the_node_would_rather_do(house):
    """Begin names the command and the step; what is to be done stands in the command."""
    node = await house.enrol()
    command = await house.send(node, operation="Scan")

    begun = await house.ask(
        "Patchwright.BeginOperation",
        {
            "CommandId": command["CommandId"],
            "StepName": "PatchLinux",
            "OperatingSystem": "DEBIAN",
            "Operation": "Install",
        },
        key=node,
    )

    assert begun["Operation"] == "Scan"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"CommandId": "00000000-0000-0000-0000-000000000000"}, "InvocationDoesNotExist"),
        ({"StepName": "PatchWindows"}, "InvalidPluginName"),
        ({"OperatingSystem": "BEOS"}, "InvalidOperationException"),
        ({"OperatingSystem": ""}, "InvalidOperationException"),
        ({"CommandId": "short"}, "ValidationException"),
        ({"StepName": 7}, "SerializationException"),
    ],
)
async def test_an_operation_that_cannot_begin_leaves_nothing(house, change, code):
    """Unknown command, unknown step, unknown system."""
    node = await house.enrol()
    command = await house.send(node)
    body = {"CommandId": command["CommandId"], "StepName": "PatchLinux", "OperatingSystem": "DEBIAN", **change}
    before = await house.dump()

    assert await house.code("Patchwright.BeginOperation", body, key=node) == code

    assert await house.dump() == before


def runs(path, *, kind="SSMDocument", name="Child", **parameters):
    """A step that runs a document."""
    inputs = {"documentType": kind, "documentPath": path, "documentParameters": parameters}
    return {"action": "aws:runDocument", "name": name, "inputs": inputs}


async def sent(house, node, *steps, name="Copy"):
    """The id of a command that sends a document of these steps, which has the parameter Operation."""
    await create(house, name, *steps)
    parameters = {"Operation": ["Scan"]}
    body = {"DocumentName": name, "InstanceIds": [node.instance_id], "Parameters": parameters}
    return (await house.ask("AmazonSSM.SendCommand", body))["Command"]["CommandId"]


async def create(house, name, *steps):
    """A document of these steps."""
    content = {"schemaVersion": "2.2", "parameters": {"Operation": {"type": "String"}}, "mainSteps": list(steps)}
    body = {"Name": name, "Content": json.dumps(content), "DocumentType": "Command"}
    await house.ask("AmazonSSM.CreateDocument", body)


async def test_what_a_step_of_a_document_within_a_document_says_is_the_commands_word(house):
    """Through every document that leads to it, with the parameters that it is run with; the node only says where it stands."""
    node = await house.enrol()
    await create(house, "Inner", runs("AWS-RunPatchBaseline:1", Operation="{{ Operation }}", RebootOption="NoReboot"))
    command = await sent(
        house, node, runs("Inner", name="Outer", Operation="{{Operation}}"), runs("Inner", Operation="Install")
    )

    for step, operation in (("Outer/Child/PatchLinux", "Scan"), ("Child/Child/PatchLinux", "Install")):
        body = {
            "CommandId": command,
            "StepName": step,
            "OperatingSystem": "DEBIAN",
            "Inputs": {"Operation": "Nonsense"},
        }
        begun = await house.ask("Patchwright.BeginOperation", body, key=node)
        assert (begun["Operation"], begun["RebootOption"], begun["SnapshotId"]) == (operation, "NoReboot", command)


async def test_a_node_is_told_until_when_it_is_wanted_and_that_it_is_not_any_more(house, begun):
    """BeginOperation again, before anything is changed: until the command's time is up, and not once it is cancelled."""
    node, operation_id = begun
    (command,) = (await house.ask("AmazonSSM.ListCommands", {}))["Commands"]
    body = {"CommandId": command["CommandId"], "StepName": "PatchLinux", "OperatingSystem": "DEBIAN"}
    await house.messages(node)
    first = await house.ask("Patchwright.BeginOperation", body, key=node)
    await house.reply(node, command["CommandId"], "InProgress")
    running = await house.ask("Patchwright.BeginOperation", body, key=node)
    await house.ask("AmazonSSM.CancelCommand", {"CommandId": command["CommandId"]})
    cancelled = await house.ask("Patchwright.BeginOperation", body, key=node)
    await house.reply(node, command["CommandId"], "Cancelled")

    assert [one["OperationId"] for one in (first, running, cancelled)] == [operation_id] * 3
    assert [one["Wanted"] for one in (first, running, cancelled)] == [True, True, False]
    assert house.clock.now() < first["NotAfter"] <= running["NotAfter"]
    assert await house.code("Patchwright.BeginOperation", body, key=node) == "InvocationDoesNotExist"


async def test_a_step_in_a_document_that_lies_on_the_node_is_what_the_node_says(house):
    """That document nobody else can read. What no patch step may say is refused as everywhere."""
    node = await house.enrol()
    command = await sent(house, node, runs("here.json", kind="LocalPath"))
    body = {"CommandId": command, "StepName": "Child/Mine", "OperatingSystem": "DEBIAN"}

    begun = await house.ask("Patchwright.BeginOperation", {**body, "Inputs": {"Operation": "Install"}}, key=node)

    assert begun["Operation"] == "Install"
    for given, code in (
        ({}, "InvalidPluginName"),
        ({"Inputs": {"Operation": "Destroy"}}, "InvalidParameters"),
        ({"Inputs": ["Scan"]}, "SerializationException"),
    ):
        other = {**body, "StepName": "Child/Other", **given}
        assert await house.code("Patchwright.BeginOperation", other, key=node) == code, given


@pytest.mark.parametrize("name", ["InstallOverrideList", "BaselineOverride"])
@pytest.mark.parametrize("url", ["s3://secrets/key", " s3://secrets/key", "https://secrets.s3.amazonaws.com/key"])
async def test_what_a_node_says_itself_opens_no_bucket(house, name, url):
    """It would be fetched in the name of whoever sent the command, who has named no such object."""
    node = await house.enrol()
    command = await sent(house, node, runs("here.json", kind="LocalPath"))
    said = {"Operation": "Install", name: url}
    body = {"CommandId": command, "StepName": "Child/Mine", "OperatingSystem": "DEBIAN", "Inputs": said}

    (root := house.wired.tender._buckets._inner._root / "secrets").mkdir(parents=True, exist_ok=True)
    (root / "key").write_bytes(b"secret")
    begun = await house.call("Patchwright.BeginOperation", body, key=node)

    assert (await Shop(house).ask("GET", "/secrets/key", node)).status == 403
    assert begun.code == "InvalidParameters"


@pytest.mark.parametrize(
    "step",
    [
        "Child",
        "Child/Nowhere",
        "Child/PatchLinux/PatchLinux",
        "Nowhere/PatchLinux",
        "Script/PatchLinux",
        "Gone/PatchLinux",
        "Wrong/PatchLinux",
        "/",
        "Child//PatchLinux",
        "A/B/C/D/E",
    ],
)
async def test_a_step_that_no_document_has_begins_nothing(house, step):
    """Whatever is on the way to it: no document, one that is gone, one with other parameters."""
    node = await house.enrol()
    script = {"action": "aws:runShellScript", "name": "Script", "inputs": {"runCommand": ["true"]}}
    patches = runs("AWS-RunPatchBaseline", Operation="Scan")
    command = await sent(
        house,
        node,
        patches,
        script,
        runs("Nothing", name="Gone"),
        runs("AWS-RunPatchBaseline", name="Wrong", Nonsense="x"),
    )
    body = {"CommandId": command, "StepName": step, "OperatingSystem": "DEBIAN"}
    before = await house.dump()

    assert await house.code("Patchwright.BeginOperation", body, key=node) in ("InvalidPluginName", "InvalidParameters")

    assert await house.dump() == before


async def test_amazons_agent_gets_the_documents_that_it_runs_within_others_as_scripts(house):
    """GetDocument: what a step of ours is, a script finds out by where it lies; others get what was written."""
    from server.gateway.amazon import Amazon

    node = await Amazon.registered(house)
    await node.refresh()
    said = {
        "InstanceId": node.instance_id,
        "AgentName": "amazon-ssm-agent",
        "AgentVersion": "3.3.0.0",
        "AgentStatus": "Active",
    }
    await node.call("AmazonSSM.UpdateInstanceInformation", {**said, "PlatformType": "Linux"})
    ours = await house.enrol(AgentName="patchwright-agent")
    asked = ("AmazonSSM.GetDocument", {"Name": "AWS-RunPatchBaseline"})

    (theirs,) = json.loads((await node.call(*asked)).json["Content"])["mainSteps"]
    (written,) = json.loads((await house.ask(*asked, key=ours))["Content"])["mainSteps"]

    assert theirs["action"] == "aws:runShellScript"
    assert any(
        "--step PatchLinux" in line and line.endswith('--within "$0"') for line in theirs["inputs"]["runCommand"]
    )
    assert "{{" not in str(theirs["inputs"]["runCommand"])
    assert written["action"] == "patchwright:patch"
    assert json.loads((await house.ask(*asked))["Content"])["mainSteps"] == [written]


async def test_another_nodes_command_and_operation_are_unknown(house, begun):
    """A node cannot even tell whether they exist."""
    owner, operation_id = begun
    thief = await house.enrol()
    command = (await house.send(owner))["CommandId"]
    before = await house.dump()

    for target, body, code in (
        (
            "Patchwright.BeginOperation",
            {"CommandId": command, "StepName": "PatchLinux", "OperatingSystem": "DEBIAN"},
            "InvocationDoesNotExist",
        ),
        ("Patchwright.PutFacts", facts(operation_id), "DoesNotExistException"),
        ("Patchwright.PutBodies", {"OperationId": operation_id, "Bodies": BODIES}, "DoesNotExistException"),
        (
            "Patchwright.PutResolution",
            {"OperationId": operation_id, "Attempt": 0, "Resolution": {"Actions": []}},
            "DoesNotExistException",
        ),
    ):
        assert await house.code(target, body, key=thief) == code, target

    assert await house.dump() == before


async def test_a_node_of_another_region_reaches_nothing_here(house, begun):
    """Its key is good in its own region alone, and there the operation is unknown."""
    _, operation_id = begun
    node = await house.enrol(region="eu-west-1")

    assert await house.code("Patchwright.PutFacts", facts(operation_id), key=node) == "DoesNotExistException"
    code = await house.code("Patchwright.PutFacts", facts(operation_id), key=node, region="us-east-1")
    assert code == "UnrecognizedClientException"


def forged(digest=None, body=None):
    """One body too many, and not what its digest names."""
    return [*BODIES, {"Digest": digest or BODIES[0]["Digest"].replace("a", "b"), "Body": body or BODIES[0]["Body"]}]


@pytest.mark.parametrize(
    ("bodies", "code"),
    [
        (forged(), "InvalidFactsException"),
        (forged(body="set1\tapt\n"), "InvalidFactsException"),
        (forged("set9:" + "0" * 64), "InvalidFactsException"),
        (forged("set1:" + "0" * 63), "ValidationException"),
        (forged(body="set1\tapt\nfoo\0\n"), "ValidationException"),
        ([], "ValidationException"),
        ([{"Digest": "set1:" + "0" * 64, "Body": ""}] * 2001, "ValidationException"),
        ({}, "SerializationException"),
        ([None], "ValidationException"),
        ([{"Digest": "set1:" + "0" * 64}], "ValidationException"),
    ],
    ids=["digest", "body", "format", "short", "nul", "none", "many", "object", "null", "half"],
)
async def test_bodies_that_are_not_what_they_say_are_refused_together(house, begun, bodies, code):
    """Not one of the message is kept."""
    node, operation_id = begun
    before = await house.dump()

    body = {"OperationId": operation_id, "Bodies": bodies}
    assert await house.code("Patchwright.PutBodies", body, key=node) == code

    assert await house.dump() == before


async def test_a_gzip_bomb_is_refused_before_it_is_whole(house, begun):
    """Ninety megabytes of nothing in ninety kilobytes."""
    node, operation_id = begun
    head = json.dumps({"OperationId": operation_id, "Bodies": []})[:-2].encode()
    bomb = gzip.compress(head + b" " * (90 * 1024 * 1024) + b"]}")
    assert len(bomb) < 200_000
    before = await house.dump()

    answer = await house.call("Patchwright.PutBodies", bomb, key=node, more={"Content-Encoding": "gzip"})

    assert (answer.status, answer.code) == (413, "RequestEntityTooLargeException")
    assert await house.dump() == before


async def test_bodies_may_come_compressed(house, begun):
    """As the agent sends them."""
    node, operation_id = begun
    body = gzip.compress(json.dumps({"OperationId": operation_id, "Bodies": BODIES}).encode())

    await house.ask("Patchwright.PutBodies", body, key=node, more={"Content-Encoding": "gzip"})

    assert (await house.ask("Patchwright.PutFacts", facts(operation_id), key=node))["Next"] == "resolve"


def changed(**members):
    """Facts with members that no node would send."""
    data = OUTDATED.facts.to_json()
    data.update(members)
    return {name: value for name, value in data.items() if value is not ...}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Facts": changed(operating_system="UBUNTU")}, "InvalidOperationException"),
        ({"Facts": changed(operating_system="BEOS")}, "InvalidFactsException"),
        ({"Facts": changed(manager="dnf")}, "InvalidFactsException"),
        ({"Facts": changed(manager="pip")}, "InvalidFactsException"),
        ({"Facts": changed(package_set=...)}, "InvalidFactsException"),
        ({"Facts": changed(package_set=OUTDATED.slices[0].digest)}, "InvalidFactsException"),
        (
            {"Facts": changed(slices=[{"digest": OUTDATED.packages.digest, "pin": 1, "address": ""}])},
            "InvalidFactsException",
        ),
        ({"Facts": changed(slices="many")}, "InvalidFactsException"),
        ({"Facts": changed(notices=["x"] * 20_001)}, "InvalidFactsException"),
        ({"Facts": changed(held=[1])}, "InvalidFactsException"),
        ({"Facts": changed(observed_at="now")}, "InvalidFactsException"),
        ({"Facts": changed(boot_id="x\0")}, "ValidationException"),
        ({"Facts": changed(product="x" * 5_000)}, "InvalidFactsException"),
        ({"Facts": {}}, "InvalidFactsException"),
        ({"Facts": []}, "SerializationException"),
        ({"Facts": None}, "ValidationException"),
        ({"Phase": "during"}, "ValidationException"),
        ({"Phase": "after"}, "InvalidOperationException"),
        ({"Attempt": -1}, "ValidationException"),
        ({"Attempt": 101}, "ValidationException"),
        ({"Attempt": "0"}, "SerializationException"),
        ({"Drift": "moved"}, "SerializationException"),
        ({"Failures": {"foo.amd64": 1}}, "ValidationException"),
        ({"Failures": [], "Phase": "after"}, "SerializationException"),
        ({"OperationId": "00000000-0000-0000-0000-000000000000"}, "DoesNotExistException"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
async def test_facts_that_cannot_be_are_refused(house, begun, change, code):
    """Nothing of them is kept, and the node's next word is taken as if nothing had been said."""
    node, operation_id = begun
    await house.ask("Patchwright.PutBodies", {"OperationId": operation_id, "Bodies": BODIES}, key=node)
    before = await house.dump()

    assert await house.code("Patchwright.PutFacts", {**facts(operation_id), **change}, key=node) == code

    assert await house.dump() == before
    assert (await house.ask("Patchwright.PutFacts", facts(operation_id), key=node))["Next"] == "resolve"


@pytest.mark.parametrize(
    ("resolution", "code"),
    [
        ({"Actions": []}, "PlanRefusedException"),
        ({"Actions": [["plain", "amd64", "3.0-1", "2.0-1", False]]}, "PlanRefusedException"),
        ({"Actions": [["evil", "amd64", "", "1", False]]}, "PlanRefusedException"),
        ({"Actions": [["evil", "amd64", "", "1"]]}, "ValidationException"),
        ({"Actions": [["evil", "amd64", "", "1", 1]]}, "ValidationException"),
        ({"Actions": "all"}, "ValidationException"),
        ({"Actions": [], "Unresolved": {"foo.amd64": 1}}, "ValidationException"),
        ({"Actions": [["x", "amd64", "", "1", False]] * 20_001}, "ValidationException"),
        ({}, "ValidationException"),
        ([], "SerializationException"),
    ],
    ids=["nothing", "downgrade", "unexplained", "short", "type", "text", "reason", "many", "empty", "list"],
)
async def test_resolutions_that_go_beyond_the_intent_are_refused(house, begun, resolution, code):
    """No plan is stored, and the operation goes on waiting for a proper one."""
    node, operation_id = begun
    await house.put_facts(node, operation_id, OUTDATED)
    before = await house.dump()

    body = {"OperationId": operation_id, "Attempt": 0, "Resolution": resolution}
    assert await house.code("Patchwright.PutResolution", body, key=node) == code

    assert await house.dump() == before


async def test_a_command_that_ends_closes_its_operation(house, begun):
    """The last reply ends what the node had begun: nothing stays in progress for ever (design D10)."""
    node, operation_id = begun
    await house.put_facts(node, operation_id, OUTDATED)
    verdict = json.loads((await house.ask("Patchwright.GetVerdict", {"InstanceId": node.instance_id}))["Document"])
    assert verdict["LiveVerdict"]["Counts"]["Missing"] == 2
    (message,) = await house.messages(node)
    command_id = json.loads(message["Payload"])["CommandId"]

    assert (await house.reply(node, command_id, "Failed")).status == 200

    late = await house.ask(
        "Patchwright.PutFacts", facts(operation_id, with_facts(PATCHED, observed_at=NOW + 9)), key=node
    )
    assert late["Next"] == "done"
    assert late["Report"]["Succeeded"] is False
    assert "ended as Failed" in late["Report"]["Error"]


async def test_what_the_model_does_not_know_is_passed_over(house, begun):
    """A newer agent may say more."""
    node, operation_id = begun
    body = {**facts(operation_id, replace(OUTDATED)), "Mood": "good"}

    assert (await house.ask("Patchwright.PutFacts", body, key=node))["Next"] == "send-bodies"
