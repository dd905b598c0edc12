# SPDX-License-Identifier: Apache-2.0
"""`patchwright audit`: who did what, and the proof that nobody changed the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from patchwright.cli.client import Client
from patchwright.cli.output import Screen, print_json, screen
from patchwright.cli.program import REFUSED, client_of, connected, connection_options, json_option
from patchwright.cli.report import opened
from patchwright.core.audit import Chain, Finding, Foreign, Head, MalformedTrail, read_lines

_ALL_REGIONS = "*"
_SHOWN = 50  # entries that are listed unless more are asked for


def _moment(_ctx: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        msg = f"{value!r} is no moment such as 2026-11-20T13:00:00Z"
        raise click.BadParameter(msg) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _head(_ctx: click.Context, _option: click.Parameter, value: str | None) -> Head | None:
    try:
        return None if value is None else Head.parse(value)
    except MalformedTrail as error:
        raise click.BadParameter(str(error)) from None


@click.command("list")
@click.option("--user", help="A principal's ARN, its name, or the id of an access key.")
@click.option("--resource", help="What was acted on, as the call named it.")
@click.option("--operation", help="Such as SendCommand.")
@click.option("--result", help="Succeeded, or an error's code.")
@click.option(
    "--since", metavar="TIME", callback=_moment, help="Entries of this moment and later; UTC unless it says otherwise."
)
@click.option("--until", metavar="TIME", callback=_moment, help="Entries before this moment.")
@click.option("--in-region", default=_ALL_REGIONS, help="Of this region alone.")
@click.option("--unattributed", is_flag=True, help="What is of no account: refusals of callers nobody knows.")
@click.option("--limit", type=click.IntRange(1), default=_SHOWN, show_default=True, help="No more than so many.")
@json_option
@connected
def list_entries(client: Client, *, limit: int, as_json: bool, **asked: Any) -> None:
    """Who did what, from where, on what, and what came of it; the newest first."""
    names = {
        "user": "User",
        "resource": "Resource",
        "operation": "Operation",
        "result": "Result",
        "since": "StartTime",
        "until": "EndTime",
        "in_region": "Region",
        "unattributed": "Unattributed",
    }
    request = {names[name]: value for name, value in asked.items() if value}
    entries: list[dict[str, Any]] = []
    for entry in client.pages("ListAuditEntries", request, "Entries"):
        entries.append(entry)
        if len(entries) == limit:
            break
    if as_json:
        print_json(entries)
    else:
        screen().table(("time", "who", "from", "operation", "on", "result"), [_row(entry) for entry in entries])


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    calls = f" ({entry['Calls']} times)" if entry["Calls"] > 1 else ""
    return (
        _when(entry["Time"]),
        entry["Principal"] or entry["AccessKeyId"] or "-",
        entry["SourceIp"],
        entry["Operation"],
        " ".join(entry["Resources"]) or "-",
        f"{entry['Result']}{calls}",
    )


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


@click.command("export")
@click.option("--output", type=click.Path(dir_okay=False), help="Write to this file, whole or not at all.")
@connected
def export(client: Client, *, output: str | None) -> None:
    """
    The whole trail as lines of JSON, to keep elsewhere and to verify there.

    Entries of other accounts are in it as a hash alone, which is what the proof needs of them.
    """
    with opened(output) as write:
        for line in client.pages("ExportAuditTrail", {"Region": _ALL_REGIONS}, "Lines"):
            write(f"{line}\n")


@click.command("verify")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--head",
    metavar="NUMBER:HASH",
    callback=_head,
    help="A head that was written down earlier: the trail must have it.",
)
@json_option
@connection_options
@click.pass_context
def verify(
    ctx: click.Context, /, *, file: str | None, head: Head | None, as_json: bool, **options: str | None
) -> int | None:
    """
    Find entries that were removed, edited, reordered, added or back-dated.

    Without FILE the server checks what it has, with the key that is not in the database. With FILE an export is checked here,
    and no server is asked: write down the head that is shown, and give it next time. Exit code 1: something was found.
    """
    if file is None:
        with client_of(ctx, options) as client:
            proof = _of_server(client, head)
    else:
        proof = _of_file(file, head)
    if as_json:
        print_json({**proof, "Findings": [one._asdict() for one in proof["Findings"]]})
    else:
        _show(screen(), proof)
    return REFUSED if proof["Findings"] else None


def _show(shown: Screen, proof: dict[str, Any]) -> None:
    for one in proof["Findings"]:
        where = f"seal {one.seal}" if one.seal else "not sealed yet"
        shown.line(f"{where}{', entry ' + one.entry if one.entry else ''}: {one.problem}")
    shown.fact("seals", str(proof["Seals"]))
    shown.fact("entries", str(proof["Entries"]))
    shown.fact("head", proof["Head"] or "none yet")
    shown.fact("verdict", f"{len(proof['Findings'])} findings" if proof["Findings"] else "as it was written")


def _of_server(client: Client, head: Head | None) -> dict[str, Any]:
    request = {} if head is None else {"Head": str(head)}
    findings: list[Finding] = []
    seals = entries = 0
    token: str | None = ""
    answer: dict[str, Any] = {}
    while token is not None:
        answer = client.call("VerifyAuditTrail", {**request, "NextToken": token} if token else request)
        findings += [Finding(one["Seal"], one.get("EntryId", ""), one["Problem"]) for one in answer["Findings"]]
        seals, entries = seals + answer["Seals"], entries + answer["Entries"]
        token = answer.get("NextToken") or None
    return {"Findings": findings, "Seals": seals, "Entries": entries, "Head": answer.get("Head", "")}


def _of_file(path: str, head: Head | None) -> dict[str, Any]:
    chain = Chain(trusted=[] if head is None else [head])
    findings: list[Finding] = []
    seals = entries = 0
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        for seal, members in read_lines(iter(file)):
            findings += chain.take(seal, members)
            seals, entries = seals + 1, entries + sum(not isinstance(one, Foreign) for one in members)
    findings += chain.end()
    last = chain.last
    shown = "" if last is None else str(Head(last.number, last.hash))
    return {"Findings": findings, "Seals": seals, "Entries": entries, "Head": shown}
