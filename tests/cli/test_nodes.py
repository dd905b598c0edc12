# SPDX-License-Identifier: Apache-2.0
"""`patchwright node`: the live verdict and the last operation, each under its own name."""

from __future__ import annotations

import pytest

from cli.bench import FakeClock, Node, Server
from patchwright.cli.clock import Clock
from patchwright.cli.nodes import counts_text
from patchwright.core.compliance import NON_COMPLIANT, PatchState


def scan(server: Server, node: Node) -> None:
    """Scan *node* and wait for it."""
    result = server.run("patch", node.id, "--operation", "Scan")
    assert result.code == 0, result.err + result.out


def row_of(text: str, node: Node) -> str:
    """The line of a node."""
    return next(line for line in text.splitlines() if node.id in line)


def test_a_server_without_nodes_says_what_to_do(own_server):
    """The first question of a new user gets the next step, not an empty table."""
    own_server.start()

    result = own_server.run("node", "list")

    assert 0 == result.code
    assert "patchwright agent enroll" in result.out
    assert {"Nodes": []} == own_server.run("node", "list", "--json").json


def test_a_node_that_was_never_scanned_has_no_verdict(server, silent_node):
    """UNKNOWN with its doubt, and no last operation."""
    shown = server.run("node", "show", silent_node.id)

    assert "UNKNOWN" in shown.out
    assert "NO_FACTS" in shown.out
    assert "operation    none yet" in shown.out
    assert "none yet" in row_of(server.run("node", "list").out, silent_node)


def test_a_list_shows_the_last_operation_and_on_request_the_live_verdict(server, node):
    """One row a node; --live asks for the verdict on each."""
    scan(server, node)

    plain, live = server.run("node", "list"), server.run("node", "list", "--live")

    assert "LIVE VERDICT" not in plain.out
    assert "Online" in row_of(plain.out, node)
    assert row_of(plain.out, node).endswith("ago: 1 Missing")
    assert "NON_COMPLIANT: 1 Missing  Scan" in row_of(live.out, node)


def test_a_list_as_json_has_the_members_of_the_api(server, node):
    """Each node is as DescribeInstanceInformation says, with its last operation and, on request, its live verdict."""
    scan(server, node)

    found = {one["InstanceId"]: one for one in server.run("node", "list", "--live", "--json").json["Nodes"]}

    assert "Scan" == found[node.id]["LastOperation"]["Operation"]
    assert 1 == found[node.id]["LastOperation"]["MissingCount"]
    assert "NON_COMPLIANT" == found[node.id]["LiveVerdict"]["Standing"]
    assert "Online" == found[node.id]["PingStatus"]


def test_a_changed_baseline_changes_the_verdict_and_not_the_last_operation(server, node):
    """A patch rejected after the scan is InstalledRejected in the live verdict at once; the last operation stays as it was."""
    scan(server, node)
    client = server.client()
    group = f"group of {node.id}"
    made = server.run(
        *["baseline", "create", "--name", "rejects-openssl", "--operating-system", "DEBIAN"],
        *["--approve-after-days", "0", "--reject", "zlib1g", "--rejected-action", "BLOCK"],
    )
    client.register_patch_baseline_for_patch_group(BaselineId=made.out.strip(), PatchGroup=group)
    client.add_tags_to_resource(
        ResourceType="ManagedInstance", ResourceId=node.id, Tags=[{"Key": "Patch Group", "Value": group}]
    )

    document = server.run("node", "show", node.id, "--json").json
    text = server.run("node", "show", node.id).out

    states = {patch["KBId"]: patch["State"] for patch in document["LiveVerdict"]["Patches"]}
    assert {"openssl.amd64": "Missing", "zlib1g.amd64": "InstalledRejected"} == states
    assert 0 == document["LastOperation"]["Counts"]["InstalledRejected"]
    live, last = text.split("Last operation: what it reported when it ran")
    assert "Live verdict: today's baseline over the newest facts" in live
    assert "1 Missing, 1 InstalledRejected" in live
    assert "the rejected list names it (zlib1g)" in live
    assert "InstalledRejected" not in last
    assert "1 Missing, 1 Installed" in last


def test_a_node_is_shown_with_what_is_wrong_and_on_request_with_everything(server, node):
    """Patches that are as they should be are only counted, unless --all is given."""
    scan(server, node)

    some, every = (server.run("node", "show", node.id, *words).out for words in ([], ["--all"]))

    assert "openssl.amd64" in some
    assert "zlib1g.amd64" not in some
    assert "zlib1g.amd64" in every
    assert "rule 1 approves it" in some
    assert "reboot       not needed" in some
    assert "PRIORITY" in some


def test_facts_that_are_old_cast_a_doubt(server, node):
    """The verdict's age is shown; the server says when it is too old to tell."""
    scan(server, node)

    text = server.run("node", "show", node.id, clock=FakeClock(time=Clock().now())).out

    assert "facts        " in text
    assert "METADATA_STALE" in text  # the made-up node has fetched its metadata long ago


def test_a_node_is_found_by_its_name(server, silent_node):
    """A name that one node has is as good as its id."""
    name = server.run("node", "show", silent_node.id, "--json").json["Name"]

    found = server.run("node", "show", name, "--json")

    assert silent_node.id == found.json["InstanceId"]


def test_a_name_of_many_or_of_none_is_refused_with_the_ids(server, silent_node, tmp_path):
    """An ambiguous name lists the ids; an unknown one says where to look."""
    name = server.run("node", "show", silent_node.id, "--json").json["Name"]
    twin = Node(tmp_path / "twin", server, name=name)

    ambiguous, unknown = server.run("node", "show", name), server.run("node", "show", "nobody")

    assert [1, 1] == [ambiguous.code, unknown.code]
    assert silent_node.id in ambiguous.err
    assert twin.id in ambiguous.err
    assert "patchwright node list" in unknown.err


def test_an_unknown_id_is_the_servers_refusal(server):
    """Errors of the server are `CODE: message` on standard error."""
    result = server.run("node", "show", "mi-0123456789abcdef0")

    assert (1, "") == (result.code, result.out)
    assert result.err.startswith("InvalidInstanceId: ")


@pytest.mark.parametrize("words", [["node", "list"], ["node", "show", "mi-0123456789abcdef0"]])
def test_another_region_is_another_world(server, words):
    """--region chooses whose resources are shown."""
    result = server.run(*words, "--region", "eu-west-1")

    assert "InvalidInstanceId" in result.err or "No managed nodes" in result.out


def test_what_is_wrong_is_told_first():
    """Every state that makes a node non-compliant stands before every other."""
    told = [part.split()[1] for part in counts_text({state.value: 1 for state in PatchState}).split(", ")]

    assert {state.value for state in NON_COMPLIANT} == set(told[: len(NON_COMPLIANT)])
    assert "nothing" == counts_text({})
