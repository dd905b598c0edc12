# SPDX-License-Identifier: Apache-2.0
"""Patchwright.GetPatchCheck: what a node asks between the steps of a document (spec §3.8)."""

from __future__ import annotations

import pytest

from server.patching.bench import OUTDATED, PATCHED

HOOKS = "AWS-RunPatchBaselineWithHooks"


async def sent(house, node, operation="Install", **parameters):
    """The id of a command that runs the document with hooks."""
    given = {"Operation": [operation], **{name: [value] for name, value in parameters.items()}}
    body = {"DocumentName": HOOKS, "InstanceIds": [node.instance_id], "Parameters": given}
    return (await house.ask("AmazonSSM.SendCommand", body))["Command"]["CommandId"]


async def check(house, node, command, step="VerifyOperation"):
    """The answer to a check."""
    return await house.ask("Patchwright.GetPatchCheck", {"CommandId": command, "StepName": step}, key=node)


@pytest.mark.parametrize(
    ("facts", "operation", "goes_on"),
    [(OUTDATED, "Install", True), (PATCHED, "Install", False), (OUTDATED, "Scan", False)],
    ids=["missing", "patched", "scan"],
)
async def test_a_document_goes_on_where_the_scan_found_something(house, facts, operation, goes_on):
    """What is asked is the command's word, what is answered the operation's."""
    node = await house.enrol()
    command = await sent(house, node, operation)
    await house.put_facts(node, await house.begin(node, command, step="Scan"), facts)

    answer = await check(house, node, command)

    assert answer["Continue"] is goes_on
    assert "patches to install" in answer["Text"]
    assert (await check(house, node, command, "VerifyReboot"))["Continue"] is False


async def test_a_node_asks_for_itself_and_only_of_its_own_commands(house):
    """A step that is none, one that checks nothing, another node's command, and a node that was never scanned."""
    node, other = await house.enrol(), await house.enrol()
    command = await sent(house, node)
    before = await house.dump()

    for key, step, code in (
        (node, "VerifyOperation", "InvalidOperationException"),
        (node, "Elsewhere", "InvalidPluginName"),
        (node, "Scan", "InvalidParameters"),
        (other, "VerifyOperation", "InvocationDoesNotExist"),
    ):
        body = {"CommandId": command, "StepName": step}
        assert await house.code("Patchwright.GetPatchCheck", body, key=key) == code, step
    assert await house.code("Patchwright.GetPatchCheck", {"CommandId": command, "StepName": "Scan"}) == (
        "AccessDeniedException"
    )
    assert await house.dump() == before
