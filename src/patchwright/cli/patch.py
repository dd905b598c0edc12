# SPDX-License-Identifier: Apache-2.0
"""`patchwright patch`: run AWS-RunPatchBaseline on nodes, and watch."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from patchwright.cli import now
from patchwright.cli.client import Client
from patchwright.cli.clock import Clock
from patchwright.cli.commands import follow
from patchwright.cli.errors import Refused, Unreachable
from patchwright.cli.nodes import name_of
from patchwright.cli.output import Plain, Progress, Screen, print_json, screen
from patchwright.cli.program import DONE, REFUSED, Setup, connected, json_option
from patchwright.cli.watching import left_alone, looked_until
from patchwright.cli.wording import Watched, label, since
from patchwright.core.invocation import Detail


@click.command("patch")
@click.argument("nodes", nargs=-1, metavar="[NODE...]")
@click.option(
    "--operation",
    required=True,
    type=click.Choice(["Scan", "Install"], case_sensitive=False),
    help="Scan reports what is missing; Install installs what the baseline approves.",
)
@click.option(
    "--reboot-option",
    type=click.Choice(["RebootIfNeeded", "NoReboot"], case_sensitive=False),
    help="Whether Install may restart the node. Default: RebootIfNeeded.",
)
@click.option("--snapshot-id", metavar="UUID", help="Commands with one id use the same rules as of the same day.")
@click.option(
    "--timeout",
    type=click.IntRange(30, 2_592_000),
    metavar="SECONDS",
    help="A node that has not begun by then does not begin any more. Default: 3600.",
)
@now.reach_options
@click.option("--no-wait", is_flag=True, help="Print the command's id and leave.")
@json_option
@connected
@click.pass_obj
def patch(
    setup: Setup, client: Client, /, *, nodes: tuple[str, ...], no_wait: bool, as_json: bool, **asked: Any
) -> int:
    """
    Scan nodes for missing patches, or install them, as their patch baselines say.

    NODE is an id, or a name that only one node has; up to 50 of them. The exit code is 0 if every node ended in Success,
    else 1. Ctrl-C ends the watching and not the command. What is reached by --all, --tag or --patch-group is patched a few
    at a time, the fewer the smaller the fleet, and watched by its counts.
    """
    when = now.moment_of(asked["reboot_at"], setup.clock.now()) if asked["reboot_at"] else ""
    found = now.named(client, nodes)
    request = now.request_of(client, found, asked)
    command = client.call("SendCommand", request)["Command"]
    shown = Plain(sys.stderr) if as_json or no_wait else screen()
    if when:
        window_id = now.restart_at(client, when, command, request)
        shown.line(f"What waits for a restart is restarted at {when} UTC, by window {window_id}.")
    if no_wait:
        print_json({"Command": command}) if as_json else print(command["CommandId"])
        return DONE
    if not found:
        return follow(setup, client, command, as_json=as_json)
    names = {instance_id: name_of(node) for instance_id, node in found.items()}
    shown.line(f"Command {command['CommandId']}: {asked['operation']} on {len(found)} node{'s' * (len(found) != 1)}")
    _warn_of_silent(shown, found, setup.clock)
    try:
        with shown.progress() as progress:
            ended = watch(client, command["CommandId"], names, clock=setup.clock, progress=progress)
    except KeyboardInterrupt:
        return left_alone(command["CommandId"], "Stopped watching")
    except Unreachable as error:
        return left_alone(command["CommandId"], str(error))
    results = [_result(client, one) for one in ended]
    if as_json:
        print_json({"Command": command, "Invocations": results})
    else:
        _show_results(shown, results, names)
    return DONE if all(result["Status"] == Detail.SUCCESS.value for result in results) else REFUSED


def watch(
    client: Client, command_id: str, names: Mapping[str, str], *, clock: Clock, progress: Progress
) -> list[dict[str, Any]]:
    """
    Wait until *command_id* has ended on every node of *names*; answers its invocations, in that order.

    A server that is restarted meanwhile is asked again. Raises Unreachable when it stays away, Refused.
    """

    def look() -> list[dict[str, Any]] | None:
        invocations = client.pages("ListCommandInvocations", {"CommandId": command_id}, "CommandInvocations")
        found = {one["InstanceId"]: one for one in invocations}
        progress.show([Watched(key, name, found[key]["StatusDetails"]) for key, name in names.items() if key in found])
        ended = all(key in found and _final(found[key]) for key in names)
        return [found[key] for key in names] if ended else None

    return looked_until(look, clock=clock)


def _final(invocation: Mapping[str, Any]) -> bool:
    try:
        return Detail(invocation["StatusDetails"]).final
    except ValueError:  # a status of a newer server: its short form says whether anything follows
        return invocation["Status"] not in {"Pending", "InProgress", "Delayed", "Cancelling"}


def _warn_of_silent(shown: Screen, found: Mapping[str, Mapping[str, Any]], clock: Clock) -> None:
    for instance_id, node in found.items():
        if node.get("PingStatus") == "ConnectionLost":
            heard = since(node["LastPingDateTime"], clock.now())
            shown.line(
                f"{label(instance_id, name_of(node))} was last heard {heard}: the command waits until it comes back"
            )


def _result(client: Client, invocation: Mapping[str, Any]) -> dict[str, Any]:
    """The invocation with its output; what the listing said of it where the output cannot be had."""
    asked = {"CommandId": invocation["CommandId"], "InstanceId": invocation["InstanceId"]}
    try:
        return client.call("GetCommandInvocation", asked)
    except Refused:
        return {**invocation, "StandardOutputContent": "", "StandardErrorContent": invocation.get("TraceOutput", "")}


def _show_results(shown: Screen, results: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> None:
    for result in results:
        elapsed = str(result.get("ExecutionElapsedTime", "")).removeprefix("PT").lower()
        status = f"{result['StatusDetails']}{f' after {elapsed}' if elapsed else ''}"
        shown.heading(f"{label(result['InstanceId'], names[result['InstanceId']])}: {status}")
        for member in ("StandardOutputContent", "StandardErrorContent"):
            for line in str(result.get(member) or "").splitlines():
                shown.line(f"  {line}")
