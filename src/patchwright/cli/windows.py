# SPDX-License-Identifier: Apache-2.0
"""`patchwright window`: when nodes are patched by themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

from patchwright.cli.client import Client
from patchwright.cli.clock import Clock
from patchwright.cli.errors import Refused
from patchwright.cli.output import print_json, screen
from patchwright.cli.pairs import PAIR, tag_targets
from patchwright.cli.program import DONE, REFUSED, Setup, connected, json_option
from patchwright.cli.wording import moment

PAUSE_SECONDS = 1.0
DOCUMENT = "AWS-RunPatchBaseline"
_ID = re.compile(r"mw-[0-9a-f]{17}\Z")
MUST_FIT = "patchwright:must-fit"  # the tag of a window that begins nothing which would not end before it closes
_UNDER_WAY = ("PENDING", "IN_PROGRESS", "CANCELLING")
_SHOWN = 5  # executions of a window


@click.command("list")
@json_option
@connected
def list_windows(client: Client, *, as_json: bool) -> None:
    """Every maintenance window of the region."""
    found = list(client.pages("DescribeMaintenanceWindows", {}, "WindowIdentities"))
    if as_json:
        print_json({"WindowIdentities": found})
        return
    shown = screen()
    rows = [
        [
            one["WindowId"],
            one["Name"],
            one["Schedule"],
            one.get("NextExecutionTime", "never") if one["Enabled"] else "disabled",
        ]
        for one in found
    ]
    if rows:
        shown.table(["WINDOW", "NAME", "SCHEDULE", "NEXT"], rows)
    else:
        shown.line("There is no maintenance window. `patchwright window create` makes one.")


@click.command("show")
@click.argument("window", metavar="WINDOW")
@json_option
@connected
def show_window(client: Client, *, window: str, as_json: bool) -> None:
    """One window: when it opens, for whom, what it does, and how it went lately. WINDOW is an id or a name."""
    asked = {"WindowId": find_window(client, window)}
    found = client.call("GetMaintenanceWindow", asked)
    told = _explained(client, found["Schedule"], found.get("ScheduleTimezone"), found.get("ScheduleOffset"))
    targets = list(client.pages("DescribeMaintenanceWindowTargets", asked, "Targets"))
    tasks = list(client.pages("DescribeMaintenanceWindowTasks", asked, "Tasks"))
    ran = client.call("DescribeMaintenanceWindowExecutions", {**asked, "MaxResults": 10})["WindowExecutions"][:_SHOWN]
    resource = {"ResourceType": "MaintenanceWindow", "ResourceId": found["WindowId"]}
    tags = client.call("ListTagsForResource", resource)["TagList"]
    if as_json:
        whole = {"Schedule": told, "Targets": targets, "Tasks": tasks, "WindowExecutions": ran, "TagList": tags}
        print_json({"Window": found, **whole})
        return
    shown = screen()
    shown.heading(f"{found['Name']} ({found['WindowId']})")
    if found.get("Description"):
        shown.fact("about", found["Description"])
    shown.fact("opens", told["Description"])
    shown.fact("for", f"{found['Duration']} h, the last {found['Cutoff']} h of which start nothing")
    shown.fact("next", found.get("NextExecutionTime", "never") if found["Enabled"] else "never: it is disabled")
    if any(one["Key"] == MUST_FIT and one["Value"].lower() == "true" for one in tags):
        shown.fact("late", "what would not end before it closes is not begun")
    for target in targets:
        shown.fact("targets", f"{_targets_text(target['Targets'])} ({target['WindowTargetId']})")
    for task in tasks:
        shown.fact(f"task {task['Priority']}", _task_text(task))
    if ran:
        shown.heading("Lately")
        shown.table(["STARTED", "STATUS", "EXECUTION"], [_ran(one) for one in ran])


@click.command("create")
@click.argument("name", metavar="NAME")
@click.option("--schedule", required=True, metavar="EXPR", help="cron(…), rate(…) or at(…).")
@click.option("--timezone", metavar="ZONE", help="Whose clocks cron and at mean, such as Europe/Berlin. Default: UTC.")
@click.option("--offset", type=click.IntRange(1, 6), metavar="DAYS", help="Days from what cron matches to the opening.")
@click.option(
    "--duration", type=click.IntRange(1, 24), default=4, show_default=True, metavar="HOURS", help="How long it is open."
)
@click.option(
    "--cutoff",
    type=click.IntRange(0, 23),
    default=1,
    show_default=True,
    help="Hours before its end that start nothing.",
)
@click.option("--must-fit", is_flag=True, help="Begin nothing that would not end before it closes, going by history.")
@click.option("--description", metavar="TEXT", help="What it is for.")
@click.option("--patch-group", "groups", multiple=True, metavar="NAME", help="Patch these groups in it; repeatable.")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    type=PAIR,
    metavar="KEY=VALUE,…",
    help="Patch the nodes with this tag; repeatable.",
)
@click.option(
    "--operation",
    type=click.Choice(["Scan", "Install"], case_sensitive=False),
    default="Install",
    show_default=True,
    help="Whether it installs, or only reports what is missing.",
)
@click.option(
    "--reboot-option",
    type=click.Choice(["RebootIfNeeded", "NoReboot"], case_sensitive=False),
    help="Whether it may restart nodes. Default: RebootIfNeeded.",
)
@click.option("--max-concurrency", default="10%", show_default=True, metavar="N|N%", help="Nodes at once.")
@click.option("--max-errors", default="0", show_default=True, metavar="N|N%", help="Failures after which it stops.")
@json_option
@connected
def create_window(client: Client, *, as_json: bool, **given: Any) -> None:
    """
    Make a maintenance window, and print its id.

    With --patch-group or --tag it patches these nodes; without, targets and tasks are registered afterwards.
    """
    wanted = _wanted(given)
    told = _explained(client, given["schedule"], given["timezone"], given["offset"])
    window_id = client.call("CreateMaintenanceWindow", _window(given))["WindowId"]
    try:
        if wanted:
            register(client, window_id, [[one] for one in wanted], _patching(given))
    except Refused:
        client.call("DeleteMaintenanceWindow", {"WindowId": window_id})
        raise
    if as_json:
        print_json({"WindowId": window_id, "Schedule": told})
        return
    print(window_id)
    click.echo(told["Description"], err=True)


@click.command("next")
@click.argument("window", metavar="WINDOW|EXPR")
@click.option("--timezone", metavar="ZONE", help="With an expression: whose clocks it means.")
@click.option("--offset", type=click.IntRange(1, 6), metavar="DAYS", help="With an expression: its offset.")
@click.option("--count", type=click.IntRange(1, 100), default=5, show_default=True, help="How many openings.")
@json_option
@connected
def next_openings(
    client: Client, *, window: str, timezone: str | None, offset: int | None, count: int, as_json: bool
) -> None:
    """When a window opens next, or would with the schedule EXPR, and what that schedule means."""
    if "(" in window:
        told = _explained(client, window, timezone, offset, count)
    else:
        found = client.call("GetMaintenanceWindow", {"WindowId": find_window(client, window)})
        told = _explained(client, found["Schedule"], found.get("ScheduleTimezone"), found.get("ScheduleOffset"), count)
        asked = {"WindowId": found["WindowId"], "MaxResults": count}
        listed = client.call("DescribeMaintenanceWindowSchedule", asked)["ScheduledWindowExecutions"]
        told["Openings"] = [one["ExecutionTime"] for one in listed]
    if as_json:
        print_json(told)
        return
    shown = screen()
    shown.line(told["Description"])
    for opening in told.get("Openings", [moment(one) for one in told["Firings"]]):
        shown.line(f"  {opening}")


@click.command("run")
@click.argument("window", metavar="WINDOW")
@click.option("--no-wait", is_flag=True, help="Print the execution's id and leave.")
@json_option
@connected
@click.pass_obj
def run_window(setup: Setup, client: Client, /, *, window: str, no_wait: bool, as_json: bool) -> int:
    """
    Open a window now, out of its schedule, and wait for what comes of it.

    The exit code is 0 for SUCCESS, else 1. Ctrl-C ends the watching and not the execution.
    """
    execution_id = client.call("RunMaintenanceWindow", {"WindowId": find_window(client, window)})["WindowExecutionId"]
    if no_wait:
        print_json({"WindowExecutionId": execution_id}) if as_json else print(execution_id)
        return DONE
    try:
        ended = _watched(client, execution_id, setup.clock)
    except KeyboardInterrupt:
        click.echo(f"Stopped watching. `patchwright window cancel {execution_id}` ends it.", err=True)
        return REFUSED
    if as_json:
        print_json(ended)
    else:
        shown = screen()
        shown.line(f"{execution_id}: {ended['Status']}{_because(ended)}")
        for task in ended["Tasks"]:
            shown.line(f"  {task['TaskArn']}: {task['Status']}{_because(task)}")
    return DONE if ended["Status"] == "SUCCESS" else REFUSED


@click.command("cancel")
@click.argument("which", metavar="WINDOW|EXECUTION")
@connected
def cancel_execution(client: Client, *, which: str) -> int:
    """Let nothing of a window's execution start any more; what runs on a node goes on to its end."""
    execution_id = which if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", which) else ""
    if not execution_id:
        asked = {"WindowId": find_window(client, which)}
        found = client.pages("DescribeMaintenanceWindowExecutions", asked, "WindowExecutions")
        execution_id = next((one["WindowExecutionId"] for one in found if one["Status"] in _UNDER_WAY), "")
    if not execution_id:
        click.echo(f"No execution of {which} is under way.", err=True)
        return REFUSED
    client.call("CancelMaintenanceWindowExecution", {"WindowExecutionId": execution_id})
    print(execution_id)
    return DONE


@click.command("calendar")
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="How far ahead.")
@click.option("--ics", is_flag=True, help="As an iCalendar, for calendar programs.")
@json_option
@connected
def calendar(client: Client, *, days: int, ics: bool, as_json: bool) -> None:
    """When windows open in the days to come."""
    told = client.call("GetCalendar", {"Days": days})
    if ics:
        click.echo(told["ICalendar"].replace("\r\n", "\n"), nl=False)
        return
    if as_json:
        print_json({"Entries": told["Entries"], "Truncated": told["Truncated"]})
        return
    shown = screen()
    rows = [[moment(one["Opens"]), moment(one["Closes"]), one["Name"], one["WindowId"]] for one in told["Entries"]]
    if not rows:
        shown.line(f"No window opens in the next {days} days.")
        return
    shown.table(["OPENS", "CLOSES", "NAME", "WINDOW"], rows)
    if told["Truncated"]:
        shown.line(f"These are the first {len(rows)}; ask for fewer days.")


def find_window(client: Client, window: str) -> str:
    """The id of a window that is named by its id or its name. Raises UsageError."""
    if _ID.match(window):
        return window
    asked = {"Filters": [{"Key": "Name", "Values": [window]}]}
    found = [one["WindowId"] for one in client.pages("DescribeMaintenanceWindows", asked, "WindowIdentities")]
    if len(found) != 1:
        why = f"{len(found)} windows are called {window}: use an id" if found else f"no window is called {window}"
        raise click.UsageError(why)
    return str(found[0])


def _explained(
    client: Client, schedule: str, zone: str | None, offset: int | None, count: int | None = None
) -> dict[str, Any]:
    asked = {"Schedule": schedule, "ScheduleTimezone": zone, "ScheduleOffset": offset, "MaxResults": count}
    return client.call("DescribeSchedule", {name: value for name, value in asked.items() if value})


def _window(given: Mapping[str, Any]) -> dict[str, Any]:
    members = {
        "Name": given["name"],
        "Description": given["description"],
        "Schedule": given["schedule"],
        "ScheduleTimezone": given["timezone"],
        "ScheduleOffset": given["offset"],
        "Duration": given["duration"],
        "Cutoff": given["cutoff"],
        "AllowUnassociatedTargets": False,
        "Tags": [{"Key": MUST_FIT, "Value": "true"}] if given["must_fit"] else None,
    }
    return {name: value for name, value in members.items() if value is not None}


def _wanted(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Targets for the groups that are named, and for each tag."""
    wanted = [{"Key": "tag:Patch Group", "Values": list(given["groups"])}] if given["groups"] else []
    return wanted + tag_targets(given["tags"])


def register(
    client: Client, window_id: str, targets: Sequence[Sequence[Mapping[str, Any]]], patching: Mapping[str, Any]
) -> None:
    """
    Register each of *targets* with a window, and one task that patches them all.

    *patching* has the members Parameters, MaxConcurrency and MaxErrors of that task's command.
    """
    ids = []
    for one in targets:
        target = {"WindowId": window_id, "ResourceType": "INSTANCE", "Targets": one}
        ids.append(client.call("RegisterTargetWithMaintenanceWindow", target)["WindowTargetId"])
    client.call(
        "RegisterTaskWithMaintenanceWindow",
        {
            "WindowId": window_id,
            "Targets": [{"Key": "WindowTargetIds", "Values": ids}],
            "TaskArn": DOCUMENT,
            "TaskType": "RUN_COMMAND",
            "MaxConcurrency": patching["MaxConcurrency"],
            "MaxErrors": patching["MaxErrors"],
            "TaskInvocationParameters": {"RunCommand": {"Parameters": patching["Parameters"]}},
        },
    )


def _patching(given: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {"Operation": [given["operation"]]}
    if given["reboot_option"]:
        parameters["RebootOption"] = [given["reboot_option"]]
    return {
        "Parameters": parameters,
        "MaxConcurrency": given["max_concurrency"],
        "MaxErrors": given["max_errors"],
    }


def _watched(client: Client, execution_id: str, clock: Clock) -> dict[str, Any]:
    """Wait until an execution has ended; answers it with its tasks."""
    asked = {"WindowExecutionId": execution_id}
    while (found := client.call("GetMaintenanceWindowExecution", asked))["Status"] in _UNDER_WAY:
        clock.sleep(PAUSE_SECONDS)
    tasks = client.pages("DescribeMaintenanceWindowExecutionTasks", asked, "WindowExecutionTaskIdentities")
    return {**found, "Tasks": list(tasks)}


def _targets_text(targets: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{one['Key']} is {' or '.join(one.get('Values', []))}" for one in targets)


def _task_text(task: Mapping[str, Any]) -> str:
    rates = f", {task['MaxConcurrency']} at once, stops after {task['MaxErrors']} errors" if task.get("Targets") else ""
    return f"{task['TaskArn']}{rates} ({task['WindowTaskId']})"


def _ran(execution: Mapping[str, Any]) -> list[str]:
    return [moment(execution["StartTime"]), execution["Status"] + _because(execution), execution["WindowExecutionId"]]


def _because(one: Mapping[str, Any]) -> str:
    return f": {one['StatusDetails']}" if one.get("StatusDetails") else ""
