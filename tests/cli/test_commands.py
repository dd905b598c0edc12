# SPDX-License-Identifier: Apache-2.0
"""`patchwright command`: a document is sent, followed, listed, shown and held back."""

from __future__ import annotations

from cli.bench import until

SCRIPT = "AWS-RunShellScript"


def test_a_script_is_sent_and_watched_to_its_end(server, node):
    """Its output is shown, and Success is exit code 0."""
    result = server.run("command", "send", SCRIPT, node.id, "--parameter", "commands=echo hello from $((6 * 7))")

    assert 0 == result.code, result.err
    assert "hello from 42" in result.out
    assert "Success: 1 of 1 ended" in result.out


def test_a_script_that_fails_is_exit_code_one(server, node):
    """The command has Failed, and its JSON says which step did with which code."""
    result = server.run("command", "send", SCRIPT, node.id, "--parameter", "commands=exit 3", "--json")

    assert 1 == result.code
    assert "Failed" == result.json["Command"]["StatusDetails"]
    (plugin,) = result.json["Invocations"][0]["CommandPlugins"]
    assert ("Failed", 3) == (plugin["Status"], plugin["ResponseCode"])


def test_a_command_that_waits_is_listed_shown_and_cancelled(server, silent_node):
    """Nobody has it yet, so it ends at once; cancelling it again changes nothing."""
    sent = server.run(
        "command", "send", SCRIPT, silent_node.id, "--parameter", "commands=date", "--comment", "later", "--no-wait"
    )
    command_id = sent.out.strip()

    listed = server.run("command", "list", "--node", silent_node.id, "--status", "Pending", "--json").json["Commands"]
    assert [command_id] == [one["CommandId"] for one in listed]
    assert "later" in server.run("command", "list", "--node", silent_node.id).out
    assert f"{silent_node.id}: Pending" in server.run("command", "show", command_id).out

    assert [0, 0] == [server.run("command", "cancel", command_id).code for _ in range(2)]

    until(lambda: "Cancelled" in server.run("command", "show", command_id, silent_node.id).out, "the end")
    assert (
        [] == server.run("command", "list", "--node", silent_node.id, "--status", "Pending", "--json").json["Commands"]
    )


def test_a_command_goes_where_something_is_said_of_it(server, silent_node):
    """Nodes, or a tag; not both, and not nothing; parameters and tags are NAME=VALUE."""
    for words in ([], [silent_node.id, "--all"], ["--tag", "role"], [silent_node.id, "--parameter", "commands"]):
        assert 2 == server.run("command", "send", SCRIPT, *words).code

    nobody = server.run("command", "send", SCRIPT, "--tag", "role=nobody,none", "--parameter", "commands=date")
    assert 0 == nobody.code
    assert "NoInstancesInTag: 0 of 0 ended" in nobody.out


def test_a_command_that_there_is_not_is_told(server):
    """With the API's own word."""
    unknown = "00000000-0000-0000-0000-000000000000"

    for words in (("show", unknown), ("cancel", unknown)):
        result = server.run("command", *words)
        assert 1 == result.code
        assert "InvalidCommandId" in result.err
