# SPDX-License-Identifier: Apache-2.0
"""From nothing to a node in a patch group, with the command line alone."""

from __future__ import annotations

from cli.bench import Server


def test_an_activation_says_what_to_run(server: Server):
    """Id and code are those that the printed command names, with this server's URL."""
    result = server.run("activation", "create", "--limit", "2", "--tag", "Patch Group=web", "--name", "made")
    words = result.out.split()

    assert 0 == result.code
    assert [words[words.index("activation") + 1]] == [words[words.index("--activation-id") + 1]]
    assert [words[words.index("code") + 1]] == [words[words.index("--activation-code") + 1]]
    assert server.url == words[words.index("--server") + 1]


def test_a_tag_without_a_value_is_a_usage_error(server: Server):
    """Nothing is made of it."""
    result = server.run("activation", "create", "--tag", "web")

    assert 2 == result.code
    assert "KEY=VALUE is wanted, not 'web'" in result.err


def test_a_node_gets_its_baseline_through_its_group(server: Server, silent_node):
    """Tag the node, register the baseline: the live verdict names the group."""
    baseline = server.run(
        "baseline", "create", "--name", "grouped", "--operating-system", "DEBIAN", "--approve-after-days", "0"
    ).out.strip()
    registered = server.run("baseline", "register", baseline, "--patch-group", f"of-{silent_node.id}")
    tagged = server.run("node", "tag", silent_node.id, f"Patch Group=of-{silent_node.id}", "env=dev")

    assert (0, 0) == (registered.code, tagged.code), registered.err + tagged.err
    assert [f"of-{silent_node.id}"] == server.run("baseline", "show", baseline, "--json").json["PatchGroups"]
    assert f"of-{silent_node.id}" == server.run("node", "show", silent_node.id, "--json").json["PatchGroup"]
