# SPDX-License-Identifier: Apache-2.0
"""Patch now (spec §3.9): whom it reaches, how many at once, with which hooks, and a restart at a time that was chosen."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import click

from patchwright.cli.client import Client
from patchwright.cli.nodes import find_nodes
from patchwright.cli.pairs import PAIR, tag_targets
from patchwright.cli.windows import DOCUMENT, register

WITH_HOOKS = "AWS-RunPatchBaselineWithHooks"
NODES_LIMIT = 50  # that one command names (spec §1.5)
_PAGE = 50
_MANY = 1001  # from which on all fleets are the same
_SCAN = ("1000", "1000")
# Up to so many nodes: how many at once, and after how many errors no further node begins.
_INSTALL = ((24, "1", "1"), (100, "5%", "5"), (1000, "8%", "10"), (_MANY, "10%", "10"))
_HOOKS = {
    "pre_install_hook": "PreInstallHookDocName",
    "post_install_hook": "PostInstallHookDocName",
    "on_exit_hook": "OnExitHookDocName",
}
_MOMENTS = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


def reach_options(command: Any) -> Any:
    """Options that say whom to reach, how fast, with which hooks, and when to restart."""
    for option in reversed((
        click.option("--all", "everywhere", is_flag=True, help="Every managed node."),
        click.option(
            "--tag", "tags", multiple=True, type=PAIR, metavar="KEY=VALUE,…", help="Nodes with this tag; all must match."
        ),
        click.option("--patch-group", "groups", multiple=True, metavar="NAME", help="Nodes of this group; repeatable."),
        click.option("--max-concurrency", metavar="N|N%", help="Nodes at once. Default: by their number."),
        click.option("--max-errors", metavar="N|N%", help="Errors after which no further node begins."),
        click.option("--pre-install-hook", metavar="DOCUMENT", help="Runs before an installation."),
        click.option("--post-install-hook", metavar="DOCUMENT", help="Runs after it, before a restart."),
        click.option("--on-exit-hook", metavar="DOCUMENT", help="Runs at the end, whatever happened."),
        click.option("--reboot-at", metavar="TIME", help="Restart then (YYYY-MM-DDTHH:MM, UTC) what needs it."),
    )):  # fmt: skip
        command = option(command)
    return command


def request_of(client: Client, nodes: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The members of SendCommand for *nodes*, or for those that the options of `reach_options` name. Raises UsageError."""
    targets = targets_of(asked)
    if bool(nodes) == bool(targets):
        msg = "say what to patch: NODE..., or --all, --tag, --patch-group"
        raise click.UsageError(msg)
    if len(nodes) > NODES_LIMIT:
        msg = f"one command names up to {NODES_LIMIT} nodes, not {len(nodes)}; reach more by --tag or --patch-group"
        raise click.UsageError(msg)
    parameters = {
        "Operation": asked["operation"],
        "RebootOption": "NoReboot" if asked["reboot_at"] else asked["reboot_option"],
        "SnapshotId": asked["snapshot_id"],
        **{name: asked[option] for option, name in _HOOKS.items()},
    }
    request: dict[str, Any] = {
        "DocumentName": WITH_HOOKS if any(asked[option] for option in _HOOKS) else DOCUMENT,
        "Parameters": {name: [value] for name, value in parameters.items() if value},
        "TimeoutSeconds": asked["timeout"],
        "MaxConcurrency": asked["max_concurrency"],
        "MaxErrors": asked["max_errors"],
        **({"Targets": targets} if targets else {"InstanceIds": list(nodes)}),
    }
    if targets:
        at_once, errors = rates(asked["operation"], _count(client, targets))
        request["MaxConcurrency"] = asked["max_concurrency"] or at_once
        request["MaxErrors"] = asked["max_errors"] or errors
    return {name: value for name, value in request.items() if value is not None}


def targets_of(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the options name, in the form of the API."""
    targets = [{"Key": "InstanceIds", "Values": ["*"]}] if asked["everywhere"] else []
    if asked["groups"]:
        targets.append({"Key": "tag:Patch Group", "Values": list(asked["groups"])})
    return targets + tag_targets(asked["tags"])


def rates(operation: str, count: int) -> tuple[str, str]:
    """How many of *count* nodes at once, and after how many errors it stops."""
    if operation == "Scan":
        return _SCAN
    return next((at_once, errors) for most, at_once, errors in _INSTALL if count <= most)


def moment_of(text: str, now: float) -> str:
    """A time to restart at, as a schedule writes it. Raises UsageError where it is none, or has passed."""
    for form in _MOMENTS:
        try:
            read = time.strptime(text.removesuffix("Z"), form)
        except ValueError:
            continue
        when = time.strftime("%Y-%m-%dT%H:%M:%S", read)
        if when <= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)):
            msg = f"--reboot-at {text} has passed; times are UTC"
            raise click.UsageError(msg)
        return when
    msg = f"--reboot-at takes a time such as 2026-11-21T03:00, not {text!r}"
    raise click.UsageError(msg)


def restart_at(client: Client, when: str, command: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    """
    Let what *command* installed be taken into use at *when*: a window that opens once; answers its id.

    It patches once more with the command's snapshot, so nothing newer comes, and restarts what an update waits on.
    """
    window = {
        "Name": f"restart-{command['CommandId']}",
        "Description": f"Restarts what command {command['CommandId']} patched and an update waits on.",
        "Schedule": f"at({when})",
        "Duration": 4,
        "Cutoff": 0,
        "AllowUnassociatedTargets": False,
    }
    window_id: str = client.call("CreateMaintenanceWindow", window)["WindowId"]
    named = [{"Key": "InstanceIds", "Values": request["InstanceIds"]}] if "InstanceIds" in request else None
    snapshot = request["Parameters"].get("SnapshotId", [command["CommandId"]])
    patching = {
        "Parameters": {"Operation": ["Install"], "RebootOption": ["RebootIfNeeded"], "SnapshotId": snapshot},
        "MaxConcurrency": request.get("MaxConcurrency", "50"),
        "MaxErrors": request.get("MaxErrors", "0"),
    }
    register(client, window_id, [named or request["Targets"]], patching)
    return window_id


def _count(client: Client, targets: Sequence[Mapping[str, Any]]) -> int:
    """How many nodes *targets* reach, as far as it matters."""
    filters = [one for one in targets if one["Values"] != ["*"]]
    asked = {"MaxResults": _PAGE, **({"Filters": filters} if filters else {})}
    return sum(1 for _ in islice(client.pages("DescribeInstanceInformation", asked, "InstanceInformationList"), _MANY))


def named(client: Client, words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The nodes that *words* name; nobody asked for none."""
    return find_nodes(client, words) if words else {}
