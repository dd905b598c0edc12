# SPDX-License-Identifier: Apache-2.0
"""`patchwright command`: send a document to nodes, follow what comes of it, hold it back."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import click

from patchwright.cli.client import Client
from patchwright.cli.clock import Clock
from patchwright.cli.errors import Unreachable
from patchwright.cli.nodes import find_nodes
from patchwright.cli.output import Plain, Progress, Screen, print_json, screen
from patchwright.cli.pairs import PAIR, tag_targets
from patchwright.cli.program import DONE, REFUSED, Setup, connected, json_option
from patchwright.cli.watching import left_alone, looked_until
from patchwright.cli.wording import Watched, moment, since

FIRST_PAUSE_SECONDS = 0.03  # a ping is answered within a tenth of a second; most commands take long
NODES_LIMIT = 50  # that one command names (spec §1.5)
_SHOWN_NODES = 100  # that are watched one by one; of more the counts are shown
_OPEN = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})


@click.command("send")
@click.argument("document")
@click.argument("nodes", nargs=-1, metavar="[NODE...]")
@click.option("--all", "everywhere", is_flag=True, help="To every managed node.")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    type=PAIR,
    metavar="KEY=VALUE,…",
    help="To nodes with this tag; several must all match.",
)
@click.option("--group", metavar="NAME", help="To the nodes of a resource group.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    type=PAIR,
    metavar="NAME=VALUE",
    help="Repeat it for a list of values.",
)
@click.option("--document-version", metavar="VERSION", help="A number, $DEFAULT or $LATEST. Default: $DEFAULT.")
@click.option("--comment", metavar="TEXT", help="What it is for.")
@click.option(
    "--timeout",
    type=click.IntRange(30, 2_592_000),
    metavar="SECONDS",
    help="A node that has not begun by then does not begin any more. Default: 3600.",
)
@click.option("--max-concurrency", metavar="N|N%", help="How many nodes at once. Default: 50.")
@click.option("--max-errors", metavar="N|N%", help="After more errors than these no further node begins. Default: 0.")
@click.option("--output-bucket", metavar="NAME", help="Write what the steps print to this bucket.")
@click.option("--output-prefix", metavar="TEXT", help="What keys in the bucket begin with.")
@click.option("--no-wait", is_flag=True, help="Print the command's id and leave.")
@json_option
@connected
@click.pass_obj
def send_command(setup: Setup, client: Client, /, *, no_wait: bool, as_json: bool, **asked: Any) -> int:
    """
    Send a document to nodes, and watch.

    NODE is an id, or a name that only one node has; up to 50 of them. The exit code is 0 if the command ended in Success,
    else 1. Ctrl-C ends the watching and not the command: `patchwright command cancel` does.
    """
    command = client.call("SendCommand", _request(client, asked))["Command"]
    if no_wait:
        print_json({"Command": command}) if as_json else print(command["CommandId"])
        return DONE
    return follow(setup, client, command, as_json=as_json)


def follow(setup: Setup, client: Client, command: Mapping[str, Any], *, as_json: bool) -> int:
    """Watch *command*, as SendCommand answered it, to its end, and show what came of it; answers the exit code."""
    command_id = command["CommandId"]
    shown = Plain(sys.stderr) if as_json else screen()
    count = command["TargetCount"]
    shown.line(f"Command {command_id}: {command['DocumentName']} on {count} node{'s' * (count != 1)}")
    try:
        with shown.progress() as progress:
            ended = watch(client, command_id, clock=setup.clock, progress=progress)
    except KeyboardInterrupt:
        return left_alone(command_id, "Stopped watching")
    except Unreachable as error:
        return left_alone(command_id, str(error))
    invocations = _invocations(client, command_id)
    if as_json:
        print_json({"Command": ended, "Invocations": invocations})
    else:
        _show_invocations(shown, invocations)
        shown.line(f"{ended['StatusDetails']}: {_counts(ended)}")
    return DONE if ended["Status"] == "Success" else REFUSED


@click.command("list")
@click.option("--node", metavar="NODE", help="Only those sent to this node.")
@click.option("--status", metavar="STATUS", help="Only those in this status, such as InProgress or Failed.")
@click.option("--document", metavar="NAME", help="Only those of this document.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many at most.")
@json_option
@connected
@click.pass_obj
def list_commands(
    setup: Setup,
    client: Client,
    /,
    *,
    node: str | None,
    status: str | None,
    document: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Commands of the last 30 days, newest first."""
    wanted = {"Status": status, "DocumentName": document}
    request: dict[str, Any] = {"MaxResults": 50}
    if filters := [{"key": key, "value": value} for key, value in wanted.items() if value]:
        request["Filters"] = filters
    if node:
        (request["InstanceId"],) = find_nodes(client, [node])
    found = list(islice(client.pages("ListCommands", request, "Commands"), limit))
    if as_json:
        print_json({"Commands": found})
        return
    shown, now = screen(), setup.clock.now()
    if not found:
        shown.line("No commands.")
        return
    columns = ["COMMAND", "DOCUMENT", "SENT", "STATUS", "NODES", "COMMENT"]
    rows = [
        [
            one["CommandId"],
            one["DocumentName"],
            since(one["RequestedDateTime"], now),
            one["StatusDetails"],
            _counts(one),
            one.get("Comment", ""),
        ]
        for one in found
    ]
    shown.table(columns, rows)


@click.command("show")
@click.argument("command")
@click.argument("node", required=False)
@json_option
@connected
def show_command(client: Client, *, command: str, node: str | None, as_json: bool) -> None:
    """One command, and how it stands on every node, or on NODE."""
    (found,) = client.call("ListCommands", {"CommandId": command})["Commands"]
    only = {"InstanceId": next(iter(find_nodes(client, [node])))} if node else {}
    invocations = _invocations(client, command, **only)
    if as_json:
        print_json({"Command": found, "Invocations": invocations})
        return
    shown = screen()
    shown.heading(f"Command {found['CommandId']}")
    shown.fact("document", f"{found['DocumentName']} {found.get('DocumentVersion', '')}".strip())
    shown.fact("sent", moment(found["RequestedDateTime"]))
    shown.fact("expires", moment(found["ExpiresAfter"]))
    shown.fact("status", found["StatusDetails"])
    shown.fact("nodes", _counts(found))
    for name, values in sorted(found.get("Parameters", {}).items()):
        shown.fact(name, ", ".join(values))
    _show_invocations(shown, invocations)


@click.command("cancel")
@click.argument("command")
@click.argument("nodes", nargs=-1, metavar="[NODE...]")
@connected
def cancel_command(client: Client, *, command: str, nodes: tuple[str, ...]) -> None:
    """Cancel a command, or cancel it on some nodes: what has not begun does not begin, what runs is stopped."""
    request: dict[str, Any] = {"CommandId": command}
    if nodes:
        request["InstanceIds"] = list(find_nodes(client, nodes))
    client.call("CancelCommand", request)


def watch(client: Client, command_id: str, *, clock: Clock, progress: Progress) -> dict[str, Any]:
    """
    Wait until *command_id* has ended; answers it as it stands then.

    A server that is restarted meanwhile is asked again. Raises Unreachable when it stays away, Refused.
    """

    def look() -> dict[str, Any] | None:
        command: dict[str, Any]
        (command,) = client.call("ListCommands", {"CommandId": command_id})["Commands"]
        progress.show(_watched(client, command))
        return None if command["Status"] in _OPEN else command

    return looked_until(look, clock=clock, first_pause=FIRST_PAUSE_SECONDS)


def _watched(client: Client, command: Mapping[str, Any]) -> list[Watched]:
    if command["TargetCount"] > _SHOWN_NODES:
        return [Watched(command["CommandId"], "", f"{command['StatusDetails']}: {_counts(command)}")]
    asked = {"CommandId": command["CommandId"]}
    found = client.pages("ListCommandInvocations", asked, "CommandInvocations")
    return [Watched(one["InstanceId"], one.get("InstanceName", ""), one["StatusDetails"]) for one in found]


def _request(client: Client, asked: Mapping[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {"DocumentName": asked["document"], "Parameters": _parameters(asked["parameters"])}
    targets = _targets(asked)
    if bool(asked["nodes"]) == bool(targets):
        msg = "say where to: NODE..., or --all, --tag, --group"
        raise click.UsageError(msg)
    if targets:
        request["Targets"] = targets
    else:
        request["InstanceIds"] = list(find_nodes(client, asked["nodes"]))
    if len(request.get("InstanceIds", [])) > NODES_LIMIT:
        msg = f"one command names up to {NODES_LIMIT} nodes; reach more by --tag or --all"
        raise click.UsageError(msg)
    members = {
        "DocumentVersion": asked["document_version"],
        "Comment": asked["comment"],
        "TimeoutSeconds": asked["timeout"],
        "MaxConcurrency": asked["max_concurrency"],
        "MaxErrors": asked["max_errors"],
        "OutputS3BucketName": asked["output_bucket"],
        "OutputS3KeyPrefix": asked["output_prefix"],
    }
    return {**request, **{name: value for name, value in members.items() if value is not None}}


def _targets(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    targets = [{"Key": "InstanceIds", "Values": ["*"]}] if asked["everywhere"] else []
    targets += tag_targets(asked["tags"])
    if asked["group"]:
        targets.append({"Key": "resource-groups:Name", "Values": [asked["group"]]})
    return targets


def _parameters(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _invocations(client: Client, command_id: str, **only: str) -> list[dict[str, Any]]:
    request = {"CommandId": command_id, "Details": True, **only}
    return list(client.pages("ListCommandInvocations", request, "CommandInvocations"))


def _counts(command: Mapping[str, Any]) -> str:
    """`12 of 20 ended, 1 error`."""
    errors, late = command["ErrorCount"], command["DeliveryTimedOutCount"]
    parts = [f"{command['CompletedCount']} of {command['TargetCount']} ended"]
    parts += [f"{errors} error{'s' * (errors != 1)}"] if errors else []
    parts += [f"{late} not reached in time"] if late else []
    return ", ".join(parts)


def _show_invocations(shown: Screen, invocations: Sequence[Mapping[str, Any]]) -> None:
    for one in invocations:
        shown.heading(f"{one['InstanceId']}: {one['StatusDetails']}")
        for plugin in one["CommandPlugins"]:
            shown.line(f"  {plugin['Name']}: {plugin['StatusDetails']} ({plugin['ResponseCode']})")
            for line in str(plugin.get("Output") or "").splitlines():
                shown.line(f"    {line}")
        for line in str(one.get("TraceOutput") or "").splitlines():
            shown.line(f"  {line}")
