# SPDX-License-Identifier: Apache-2.0
"""`patchwright window forecast`: whether what a window does fits into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import click

from patchwright.cli.client import Client
from patchwright.cli.output import print_json, screen
from patchwright.cli.program import DONE, REFUSED, connected, json_option
from patchwright.cli.windows import find_window
from patchwright.cli.wording import moment

_PAGE = 1000
_LISTED = 20  # nodes, unless more are asked for
_COUNTS = {"FITS": "Fits", "DOES_NOT_FIT": "DoesNotFit", "UNKNOWN": "Unknown"}
_WORDS = {"FITS": "fits", "DOES_NOT_FIT": "does not fit", "UNKNOWN": "unknown"}


@click.command("forecast")
@click.argument("window", metavar="WINDOW")
@click.option(
    "--verdict",
    type=click.Choice(["fits", "does-not-fit", "unknown"], case_sensitive=False),
    help="Only these nodes. Default: those that do not fit first, then those that nobody knows, then the others.",
)
@click.option("--all", "everything", is_flag=True, help=f"Every node, not only the first {_LISTED}.")
@json_option
@connected
def forecast(client: Client, *, window: str, verdict: str | None, everything: bool, as_json: bool) -> int:
    """
    Whether what a window does at its next opening fits into it, by how long it took before on each node.

    The exit code is 1 where something does not fit, else 0.
    """
    return report(client, window=window, verdict=verdict, everything=everything, as_json=as_json)


def report(client: Client, *, window: str, verdict: str | None, everything: bool, as_json: bool) -> int:
    """Print the forecast of a window; returns the exit code."""
    asked = {"WindowId": find_window(client, window)}
    order = [verdict.upper().replace("-", "_")] if verdict else ["DOES_NOT_FIT", "UNKNOWN", "FITS"]
    summary = client.call("GetForecast", {**asked, "Verdict": order[0], "MaxResults": 1})
    summary = {name: value for name, value in summary.items() if name not in {"Nodes", "NextToken"}}
    code = REFUSED if summary["DoesNotFit"] else DONE
    there = [one for one in order if summary[_COUNTS[one]]]
    wanted = _nodes(client, {**asked, "At": summary["Opens"]}, there)
    listed = list(wanted if everything else islice(wanted, _LISTED))
    if as_json:
        print_json({**summary, "Nodes": listed})
        return code
    _show(summary, listed)
    left = sum(summary[_COUNTS[one]] for one in order) - len(listed)
    if left > 0:
        screen().line(f"… and {left} more; --all lists them.")
    return code


def _nodes(client: Client, asked: Mapping[str, Any], order: list[str]) -> Iterator[dict[str, Any]]:
    for verdict in order:
        yield from client.pages("GetForecast", {**asked, "Verdict": verdict, "MaxResults": _PAGE}, "Nodes")


def _show(summary: Mapping[str, Any], nodes: list[dict[str, Any]]) -> None:
    shown = screen()
    opens, cutoff, closes = (moment(summary[name]) for name in ("Opens", "Cutoff", "Closes"))
    shown.fact("opens", f"{opens}, begins nothing from {cutoff}, closes {closes}")
    counts = f"{summary['Fits']} fit, {summary['DoesNotFit']} do not, of {summary['Unknown']} nobody knows"
    shown.fact("nodes", counts)
    if summary["MustFit"]:
        shown.fact("late", "what would not end before it closes is not begun")
    for task in summary["Tasks"]:
        shown.fact(f"task {task['Priority']}", _task(task))
    rows = [
        [
            one["InstanceId"],
            _WORDS[one["Verdict"]],
            _span(one.get("SecondsP50")),
            _span(one.get("SecondsP95")),
            moment(one["StartsBy"]) if "StartsBy" in one else "is not begun",
            moment(one["EndsBy"]) if "EndsBy" in one else "",
            one["Basis"].lower(),
        ]
        for one in nodes
    ]
    if rows:
        shown.table(["NODE", "VERDICT", "P50", "P95", "STARTS BY", "ENDS BY", "HISTORY"], rows)


def _task(task: Mapping[str, Any]) -> str:
    if "EndsP95" not in task:
        return f"{task['TaskArn']}: is not reached before the cutoff"
    doubt = "" if task["Certain"] else " at the earliest: how long it takes is not known"
    return f"{task['TaskArn']}: ends by {moment(task['EndsP50'])} (p50), {moment(task['EndsP95'])} (p95){doubt}"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
