# SPDX-License-Identifier: Apache-2.0
"""Files that are given for one operation, over the wire (spec §3.6): who names them, who sends them, what they bring about."""

from __future__ import annotations

import json

import pytest

from patchwright.core.protocol import OVERRIDE_LIMIT_BYTES, FactsMessage, Phase
from server.patching.bench import HALF, NOW, OUTDATED, with_facts

LIST_URL, BASELINE_URL = "https://files.example/list.yaml", "https://files.example/baselines.json"
LIST = "patches:\n  - id: 'foo*'\n    title: 'foo.amd64'\n    severity: Low\n"
NOTHING = [
    {"OperatingSystem": "DEBIAN", "Name": "nothing", "RejectedPatches": ["bar"], "RejectedPatchesAction": "BLOCK"}
]
UNTOUCHED = with_facts(OUTDATED, observed_at=NOW + 60)
NAMED = {"OperatingSystem": "DEBIAN", "BaselineId": "pb-11111111111111111", "ApprovedPatches": ["foo"]}


@pytest.fixture
async def node(house):
    """A managed node."""
    return await house.enrol()


async def begin(house, node, operation="Install", **urls):
    """What the node is told when it begins a command with these *urls*."""
    parameters = {"Operation": [operation], "RebootOption": ["NoReboot"], **{name: [url] for name, url in urls.items()}}
    sent = await house.send(node, Parameters=parameters)
    asked = {"CommandId": sent["CommandId"], "StepName": "PatchLinux", "OperatingSystem": "DEBIAN"}
    return await house.ask("Patchwright.BeginOperation", {**asked, "Product": "Debian12"}, key=node)


def files(begun, **bodies):
    """A PutOverrides."""
    rows = [{"Name": name, "Body": body} for name, body in bodies.items()]
    return {"OperationId": begun["OperationId"], "Product": "Debian12", "Files": rows}


async def put(house, node, begun, view, phase=Phase.BEFORE):
    """The answer to facts."""
    return await house.put_facts(node, begun["OperationId"], view, phase=phase)


async def resolved(house, node, begun, answer):
    """The plan of an intent that is resolved to just what it wants."""
    actions = [[*row[:2], row[2], row[3], True] for row in answer["Intent"]["Wanted"]]
    asked = {"OperationId": begun["OperationId"], "Attempt": 0, "Resolution": {"Actions": actions, "Unresolved": {}}}
    return await house.ask("Patchwright.PutResolution", asked, key=node)


async def states(house, node):
    """States by KBId."""
    answer = await house.ask("AmazonSSM.DescribeInstancePatches", {"InstanceId": node.instance_id})
    return {patch["KBId"]: patch["State"] for patch in answer["Patches"]}


async def state(house, node):
    """The node's InstancePatchState."""
    answer = await house.ask("AmazonSSM.DescribeInstancePatchStates", {"InstanceIds": [node.instance_id]})
    return answer["InstancePatchStates"][0]


async def test_a_list_decides_what_is_installed_and_the_baseline_what_that_is_worth(house, node):
    """What is listed is installed; what is approved and not listed is missing at once; the URL is told, the run succeeds."""
    begun = await begin(house, node, InstallOverrideList=LIST_URL)
    assert begun["Overrides"] == [{"Name": "InstallOverrideList", "Url": LIST_URL}]
    asked = FactsMessage(begun["OperationId"], Phase.BEFORE, OUTDATED.facts).to_json()
    assert await house.code("Patchwright.PutFacts", asked, key=node) == "InvalidOperationException"

    again = await house.ask("Patchwright.PutOverrides", files(begun, InstallOverrideList=LIST), key=node)
    del begun["NotAfter"]  # which is said at the beginning
    assert again == {**begun, "Overrides": []}
    answer = await put(house, node, begun, OUTDATED)
    assert [row[0] for row in answer["Intent"]["Wanted"]] == ["foo"]
    await resolved(house, node, begun, answer)
    done = await put(house, node, begun, HALF, Phase.AFTER)

    assert done["Report"]["Succeeded"], done
    assert LIST_URL in done["Report"]["Text"]
    assert await states(house, node) == {
        "bar.amd64": "Missing",
        "foo.amd64": "InstalledPendingReboot",
        "plain.amd64": "InstalledOther",
    }
    assert (await state(house, node))["InstallOverrideList"] == LIST_URL


async def test_what_is_sent_twice_counts_once(house, node):
    """A repetition, even with other content, is answered as the first."""
    begun = await begin(house, node, InstallOverrideList=LIST_URL)
    first = await house.ask("Patchwright.PutOverrides", files(begun, InstallOverrideList=LIST), key=node)
    other = LIST.replace("foo", "bar")
    assert await house.ask("Patchwright.PutOverrides", files(begun, InstallOverrideList=other), key=node) == first
    answer = await put(house, node, begun, OUTDATED)
    assert [row[0] for row in answer["Intent"]["Wanted"]] == ["foo"]


async def test_a_listed_patch_that_cannot_be_installed_is_failed_though_nobody_approves_it(house, node):
    """Its baseline approves nothing; what the list wanted and did not get is Failed all the same, and so is the run."""
    begun = await begin(house, node, InstallOverrideList=LIST_URL, BaselineOverride=BASELINE_URL)
    bodies = {"InstallOverrideList": LIST, "BaselineOverride": json.dumps(NOTHING)}
    await house.ask("Patchwright.PutOverrides", files(begun, **bodies), key=node)
    answer = await put(house, node, begun, OUTDATED)
    reason = "needs bar, which the baseline rejects (x)"
    asked = {"OperationId": begun["OperationId"], "Attempt": 0}
    asked["Resolution"] = {
        "Actions": [],
        "Unresolved": {row[0] + ".amd64": reason for row in answer["Intent"]["Wanted"]},
    }
    await house.ask("Patchwright.PutResolution", asked, key=node)
    done = await put(house, node, begun, UNTOUCHED, Phase.AFTER)

    assert not done["Report"]["Succeeded"]
    assert "InstallOverrideList allows no newer version" in done["Report"]["Error"]
    assert "baseline rejects" not in done["Report"]["Error"]
    assert (await states(house, node))["foo.amd64"] == "Failed"
    assert (await states(house, node))["bar.amd64"] == "InstalledRejected"


async def test_a_scan_heeds_no_list(house, node):
    """Nothing is to be fetched, and the list is not told of."""
    begun = await begin(house, node, "Scan", InstallOverrideList=LIST_URL)
    assert begun["Overrides"] == []
    await put(house, node, begun, OUTDATED)
    assert (await states(house, node))["bar.amd64"] == "Missing"
    assert "InstallOverrideList" not in await state(house, node)


async def test_a_baseline_for_one_run_judges_it_and_is_gone(house, node):
    """Its id is what its author calls it; the next run has the node's own again."""
    begun = await begin(house, node, "Scan", BaselineOverride=BASELINE_URL)
    sources = [{"Name": "mirror", "Products": ["*"], "Configuration": "deb https://mirror.example/ x main"}]
    body = json.dumps([{**NAMED, "ApprovedPatchesEnableNonSecurity": True, "Sources": sources}])
    told = await house.ask("Patchwright.PutOverrides", files(begun, BaselineOverride=body), key=node)
    assert [one["Name"] for one in told["Sources"]] == ["mirror"]

    begun = await begin(house, node, "Scan", BaselineOverride=BASELINE_URL)
    await house.ask("Patchwright.PutOverrides", files(begun, BaselineOverride=json.dumps([NAMED])), key=node)
    done = await put(house, node, begun, OUTDATED)
    assert BASELINE_URL in done["Report"]["Text"]
    assert await states(house, node) == {
        "bar.amd64": "InstalledOther",
        "foo.amd64": "Missing",
        "plain.amd64": "InstalledOther",
    }
    assert (await state(house, node))["BaselineId"] == NAMED["BaselineId"]

    begun = await begin(house, node, "Scan")
    await put(house, node, begun, OUTDATED)
    assert (await states(house, node))["bar.amd64"] == "Missing"
    assert (await state(house, node))["BaselineId"].startswith("arn:aws:ssm:")


async def test_a_baseline_without_an_id_is_told_by_what_it_says(house, node):
    """The same for the same content in the same run."""
    begun = await begin(house, node, "Scan", BaselineOverride=BASELINE_URL)
    await house.ask("Patchwright.PutOverrides", files(begun, BaselineOverride=json.dumps(NOTHING)), key=node)
    await put(house, node, begun, OUTDATED)
    assert (await state(house, node))["BaselineId"].startswith("override:")
    assert (await states(house, node))["bar.amd64"] == "InstalledRejected"


async def test_a_file_without_an_entry_for_the_system_leaves_the_nodes_own_baseline(house, node):
    """At most one entry is for each system."""
    begun = await begin(house, node, "Scan", BaselineOverride=BASELINE_URL)
    body = json.dumps([{**NAMED, "OperatingSystem": "UBUNTU"}])
    await house.ask("Patchwright.PutOverrides", files(begun, BaselineOverride=body), key=node)
    await put(house, node, begun, OUTDATED)
    assert (await state(house, node))["BaselineId"].startswith("arn:aws:ssm:")


BAD = [
    ("InstallOverrideList", "patches: [", "InstallOverrideList cannot be used: The content is not well-formed YAML"),
    ("InstallOverrideList", "patches:\n- id: a\n", "entry 1 of its patches has no title"),
    ("InstallOverrideList", "&a [*a]", "InstallOverrideList cannot be used"),
    ("InstallOverrideList", "!!python/object:os.system x", "InstallOverrideList cannot be used"),
    ("InstallOverrideList", "é" * (OVERRIDE_LIMIT_BYTES // 2 + 1), "more than"),
    ("BaselineOverride", "{}", "no array"),
    ("BaselineOverride", "[", "no JSON"),
    ("BaselineOverride", "[" * 100_000, "no JSON"),
    ("BaselineOverride", "[1]", "entry 1"),
    ("BaselineOverride", json.dumps([NAMED, {**NAMED, "OperatingSystem": "BEOS"}]), "entry 2"),
    ("BaselineOverride", json.dumps([NAMED, NAMED]), "entry 2 is a second one for DEBIAN"),
    ("BaselineOverride", json.dumps([{**NAMED, "ApprovedPatches": "foo"}]), "entry 1"),
]


@pytest.mark.parametrize(
    ("name", "body", "complaint"), BAD, ids=[f"{row[0]} {number}" for number, row in enumerate(BAD)]
)
async def test_a_file_that_cannot_be_used_is_refused_by_name_and_entry(house, node, name, body, complaint):
    """And the operation waits on: a good one is taken."""
    begun = await begin(house, node, **{name: LIST_URL})
    answer = await house.call("Patchwright.PutOverrides", files(begun, **{name: body}), key=node)
    assert (answer.status, answer.code) == (400, "ValidationException")
    assert complaint in answer.json["message"]
    good = LIST if name == "InstallOverrideList" else json.dumps([NAMED])
    await house.ask("Patchwright.PutOverrides", files(begun, **{name: good}), key=node)


async def test_only_what_was_asked_for_is_taken_and_only_of_the_node(house, node):
    """Another file, one too few, another node's operation, an operation that nobody knows."""
    begun = await begin(house, node, InstallOverrideList=LIST_URL)
    target = "Patchwright.PutOverrides"
    both = files(begun, InstallOverrideList=LIST, BaselineOverride=json.dumps([NAMED]))
    assert await house.code(target, both, key=node) == "InvalidOperationException"
    other = await house.enrol()
    assert await house.code(target, files(begun, InstallOverrideList=LIST), key=other) == "DoesNotExistException"
    unknown = {**files(begun, InstallOverrideList=LIST), "OperationId": "11111111-2222-3333-4444-555555555555"}
    assert await house.code(target, unknown, key=node) == "DoesNotExistException"


async def test_a_node_learns_which_agent_the_server_hands_out(house, node):
    """Version and digest of the file that is to be downloaded."""
    told = await house.ask("Patchwright.DescribeAgent", {}, key=node)
    assert set(told) == {"Path", "Sha256", "Version"}


@pytest.mark.parametrize(
    ("association", "kind"), [("", "Command"), ("11111111-2222-3333-4444-555555555555", "PatchPolicy")]
)
async def test_compliance_says_what_the_run_was_part_of(house, node, association, kind):
    """A run of a patch policy names its association."""
    begun = await begin(house, node, "Scan", AssociationId=association)
    await put(house, node, begun, OUTDATED)
    asked = {"ResourceIds": [node.instance_id], "ResourceTypes": ["ManagedInstance"]}
    answer = await house.ask("AmazonSSM.ListComplianceItems", asked)
    assert {item["ExecutionSummary"]["ExecutionType"] for item in answer["ComplianceItems"]} == {kind}
