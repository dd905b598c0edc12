# SPDX-License-Identifier: Apache-2.0
"""`patchwright node`: what is known of managed nodes. Live verdict and last operation are never mixed (design D5)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

from patchwright.cli.client import Client
from patchwright.cli.errors import CliError
from patchwright.cli.output import Screen, print_json, screen
from patchwright.cli.pairs import PAIR, api_tags
from patchwright.cli.program import Setup, connected, json_option
from patchwright.cli.wording import bare_id, label, moment, since, span
from patchwright.core.compliance import Doubt, PatchState
from patchwright.core.system import Family, OperatingSystem

_ID = re.compile(r"m?i-[0-9a-f]{8}([0-9a-f]{9})?")
_STATES_BATCH = 50  # ids of one DescribeInstancePatchStates
_LIST_PAGE = 50
_WRONG = ("Missing", "Failed", "InstalledPendingReboot", "InstalledRejected")  # in the order in which they are told
_DOUBTS = {
    Doubt.NO_FACTS: "the node has reported no facts yet; scan it",
    Doubt.FACTS_STALE: "the facts are old; scan the node",
    Doubt.METADATA_STALE: "the node's repository metadata is old",
    Doubt.REPOSITORY_UNREACHABLE: "the node could not reach every repository",
    Doubt.NO_REPOSITORIES: "the node has no repositories",
    Doubt.NO_SECURITY_REPOSITORY: "the baseline approves security updates alone, and the node has no security repository",
    Doubt.NO_NOTICES: "the baseline approves what notices name, and no repository of the node has any",
    Doubt.PACKAGES_UNFINISHED: "the package manager began with some packages and could not finish them",
    Doubt.OTHER_SOURCES: "the facts were taken with other repositories than the baseline names; scan the node",
    Doubt.LATER_RUN_FAILED: "a later run failed before it could say how the node is now; see its error and scan the node",
}


class UnknownNode(CliError):
    """No node, or more than one, has this name."""


@click.command("list")
@click.option("--live", is_flag=True, help="Also the live verdict on each node; one more question for each.")
@json_option
@connected
@click.pass_obj
def list_nodes(setup: Setup, client: Client, /, *, live: bool, as_json: bool) -> None:
    """
    Every managed node of the region: when it was heard of, and what its last operation reported.

    The last operation is what a Scan or Install found when it ran; the live verdict (--live) is today's baseline over the
    newest facts.
    """
    nodes = list(client.pages("DescribeInstanceInformation", {"MaxResults": _LIST_PAGE}, "InstanceInformationList"))
    ids = [node["InstanceId"] for node in nodes]
    states = _last_operations(client, ids)
    verdicts = {instance_id: _verdict(client, instance_id) for instance_id in ids} if live else {}
    if as_json:
        for node in nodes:
            node["LastOperation"] = states.get(node["InstanceId"])
            if live:
                node["LiveVerdict"] = verdicts[node["InstanceId"]]["LiveVerdict"]
        print_json({"Nodes": nodes})
        return
    now, shown = setup.clock.now(), screen()
    columns = ["NODE", "NAME", "SYSTEM", "PING", "HEARD", *(["LIVE VERDICT"] if live else []), "LAST OPERATION"]
    rows = []
    for node in nodes:
        live_cell = [_live_cell(verdicts[node["InstanceId"]]["LiveVerdict"])] if live else []
        last_cell = _last_cell(states.get(node["InstanceId"]), now)
        rows.append([*_identity(node, now), *live_cell, last_cell])
    if rows:
        shown.table(columns, rows)
    else:
        shown.line(
            "No managed nodes. Make an activation (CreateActivation) and enrol one: patchwright agent enroll --help"
        )


@click.command("show")
@click.argument("node")
@click.option("--all", "every", is_flag=True, help="Every patch, also those that are as they should be.")
@json_option
@connected
@click.pass_obj
def show_node(setup: Setup, client: Client, /, *, node: str, every: bool, as_json: bool) -> None:
    """
    One node: the live verdict, and apart from it the last operation.

    NODE is an id, or a name that only one node has.
    """
    instance_id, found = next(iter(find_nodes(client, [node]).items()))
    document = _verdict(client, instance_id)
    if as_json:
        print_json(document)
        return
    now, shown = setup.clock.now(), screen()
    _show_identity(shown, document, found, now)
    _show_live(shown, document, now, every=every)
    _show_last(shown, document["LastOperation"], now)


@click.command("tag")
@click.argument("name", metavar="NODE")
@click.argument("tags", metavar="KEY=VALUE…", type=PAIR, nargs=-1, required=True)
@connected
def tag_node(client: Client, *, name: str, tags: tuple[tuple[str, str], ...]) -> None:
    """Set tags of a node. `Patch Group=NAME` chooses its baseline."""
    (instance_id,) = find_nodes(client, [name])
    request = {"ResourceType": "ManagedInstance", "ResourceId": instance_id, "Tags": api_tags(tags)}
    client.call("AddTagsToResource", request)


def find_nodes(client: Client, words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """
    The nodes that *words* name, by id, in their order; what DescribeInstanceInformation says of each.

    An id stands for itself, known or not (then with nothing said). Anything else is a name or computer name: raises
    UnknownNode unless it is one node's.
    """
    ids = [word for word in words if _ID.fullmatch(word)]
    only = {"Filters": [{"Key": "InstanceIds", "Values": ids}]} if len(ids) == len(words) else {}
    request = {"MaxResults": _LIST_PAGE, **only}
    known = {
        one["InstanceId"]: one
        for one in client.pages("DescribeInstanceInformation", request, "InstanceInformationList")
    }
    result = {}
    for word in words:
        instance_id = word if _ID.fullmatch(word) else _named(word, known)
        result[instance_id] = known.get(instance_id, {})
    return result


def _named(name: str, known: Mapping[str, Mapping[str, Any]]) -> str:
    found = [key for key, node in known.items() if name in {node.get("Name"), node.get("ComputerName")}]
    if len(found) == 1:
        return found[0]
    if found:
        msg = f"{len(found)} nodes are called {name}; say which by its id: {', '.join(found[:10])}"
        raise UnknownNode(msg)
    msg = f"there is no node {name} in this region; see `patchwright node list`"
    raise UnknownNode(msg)


def name_of(node: Mapping[str, Any]) -> str:
    """What people call a node; empty where nothing is known of it."""
    return str(node.get("Name") or node.get("ComputerName") or "")


def patch_table(
    shown: Screen, patches: Sequence[Mapping[str, Any]], *, operating_system: str, state: bool = True
) -> None:
    """Patch states as rows, in the shape of GetVerdict's Patches. Columns that would be empty are left out."""
    columns = ["PACKAGE", "STATE", "INSTALLED", "VERSION", "CLASS", weight(operating_system), "WHY"]
    rows = [
        [
            patch["KBId"],
            patch["State"],
            patch["Installed"] or "-",
            "" if patch["Version"] == patch["Installed"] else patch["Version"],
            patch["Classification"],
            patch["Severity"],
            "; ".join([patch["Reason"], *patch["CVEIds"][:3]]).strip("; "),
        ]
        for patch in patches
    ]
    keep = [i for i, name in enumerate(columns) if (state or name != "STATE") and any(row[i] for row in rows)]
    shown.table([columns[i] for i in keep], [[row[i] for i in keep] for row in rows])


def weight(operating_system: str) -> str:
    """What the Severity of a patch is on this system: on apt the priority of the package (spec §2.5)."""
    return "PRIORITY" if OperatingSystem(operating_system).family is Family.APT else "SEVERITY"


def counts_text(counts: Mapping[str, int]) -> str:
    """The counters of the states that something is in, what is wrong first: `5 Missing, 300 Installed`."""
    order = [*_WRONG, *(state.value for state in PatchState if state.value not in _WRONG)]
    return ", ".join(f"{counts[name]} {name}" for name in order if counts.get(name)) or "nothing"


def doubt_text(code: str) -> str:
    """A doubt with what it means."""
    try:
        return f"{code}: {_DOUBTS[Doubt(code)]}"
    except ValueError:
        return code


def _verdict(client: Client, instance_id: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(client.call("GetVerdict", {"InstanceId": instance_id})["Document"])
    return document


def _last_operations(client: Client, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for start in range(0, len(ids), _STATES_BATCH):
        request = {"InstanceIds": list(ids[start : start + _STATES_BATCH])}
        for state in client.pages("DescribeInstancePatchStates", request, "InstancePatchStates"):
            found[state["InstanceId"]] = state
    return found


def _identity(node: Mapping[str, Any], now: float) -> list[str]:
    system = f"{node.get('PlatformName') or ''} {node.get('PlatformVersion') or ''}".strip()
    heard = f"{span(now - node['LastPingDateTime'])} ago" if node.get("LastPingDateTime") else "never"
    return [node["InstanceId"], name_of(node), system, node["PingStatus"], heard]


def _live_cell(verdict: Mapping[str, Any]) -> str:
    wrong = ", ".join(
        f"{number} {name}" for name, number in (verdict["Counts"] or {}).items() if name in _WRONG and number
    )
    return f"{verdict['Standing']}: {wrong}" if wrong else str(verdict["Standing"])


def _last_cell(state: Mapping[str, Any] | None, now: float) -> str:
    if state is None:
        return "none yet"
    wrong = ", ".join(f"{state[f'{name}Count']} {name}" for name in _WRONG if state.get(f"{name}Count"))
    return f"{state['Operation']} {span(now - state['OperationEndTime'])} ago: {wrong or 'nothing missing'}"


def _show_identity(shown: Screen, document: Mapping[str, Any], found: Mapping[str, Any], now: float) -> None:
    shown.heading(label(document["InstanceId"], name_of(found) or document["Name"] or ""))
    node = document["Node"]
    system = f"{found.get('PlatformName') or ''} {found.get('PlatformVersion') or ''}".strip()
    shown.fact("system", ", ".join(filter(None, [system, node and f"kernel {node['Kernel']}"])) or "not known yet")
    if found:
        shown.fact(
            "agent", f"{found.get('AgentVersion') or 'unknown version'}, address {found.get('IPAddress') or 'unknown'}"
        )
        shown.fact("ping", f"{found['PingStatus']}, heard {since(found.get('LastPingDateTime'), now)}")
    shown.fact("patch group", document["PatchGroup"] or "none")


def _show_live(shown: Screen, document: Mapping[str, Any], now: float, *, every: bool) -> None:
    live, node = document["LiveVerdict"], document["Node"]
    shown.heading("Live verdict: today's baseline over the newest facts")
    shown.fact("verdict", live["Standing"])
    for code in live["Doubts"]:
        shown.fact("doubt", doubt_text(code))
    if live["AgeSeconds"] is None or node is None:
        return
    shown.fact(
        "baseline", f"{live['BaselineName']} ({bare_id(live['BaselineId'])}), revision {live['BaselineRevision']}"
    )
    shown.fact(
        "facts", f"{span(live['AgeSeconds'])} old; repository metadata fetched {since(live['RefreshedAt'], now)}"
    )
    for problem in node["RepositoryProblems"]:
        shown.fact("repository", f"{problem['Repository']}: {problem['Message']}")
    pending = [
        patch["KBId"] for patch in live["Patches"] if patch["State"] == PatchState.INSTALLED_PENDING_REBOOT.value
    ]
    show_state(shown, [*node["RebootReasons"], *_pending(pending)], node["StaleServices"], node["Held"])
    shown.fact("patches", counts_text(live["Counts"]))
    chosen = [patch for patch in live["Patches"] if every or patch["State"] in _WRONG]
    if chosen:
        shown.line()
        patch_table(shown, chosen, operating_system=node["OperatingSystem"])


def _pending(keys: Sequence[str]) -> list[str]:
    return [f"{len(keys)} installed since the node was started: {', '.join(keys[:5])}"] if keys else []


def show_state(shown: Screen, reboot: Sequence[str], services: Sequence[str], held: Sequence[str]) -> None:
    """What a node says of itself beside its packages."""
    shown.fact("reboot", f"needed: {'; '.join(reboot)}" if reboot else "not needed")
    if services:
        shown.fact("services", f"{len(services)} still run replaced files: {', '.join(services)}")
    if held:
        shown.fact("held", ", ".join(held))


def _show_last(shown: Screen, last: Mapping[str, Any] | None, now: float) -> None:
    shown.heading("Last operation: what it reported when it ran")
    if last is None:
        shown.fact("operation", "none yet")
        return
    result = {True: "succeeded", False: "failed", None: "ended without a report"}[last["Succeeded"]]
    shown.fact("operation", f"{last['Operation']}, {result}")
    shown.fact(
        "ended", since(last["EndedAt"], now) if last["EndedAt"] else f"not yet; begun {moment(last['StartedAt'])}"
    )
    shown.fact("command", last["CommandId"])
    shown.fact("baseline", f"{bare_id(last['BaselineId'])}, snapshot {last['SnapshotId']}")
    shown.fact("patches", counts_text(last["Counts"]))
