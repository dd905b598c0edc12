# SPDX-License-Identifier: Apache-2.0
"""`patchwright window`: made, explained, opened by hand, held back, and put into a calendar."""

from __future__ import annotations

import itertools
import urllib.error
import urllib.request

import pytest

from cli.bench import until
from server import icalendar

_numbers = itertools.count()


@pytest.fixture
def name():
    """A name that no other window has."""
    return f"window-{next(_numbers)}"


def create(server, name, *words, schedule="cron(0 2 ? * SUN *)"):
    """A new window's id."""
    result = server.run("window", "create", name, "--schedule", schedule, *words)
    assert result.code == 0, result.err
    return result.out.strip()


def test_a_window_is_made_and_shown(server, name):
    """With the group that it patches, and what its schedule means."""
    made = server.run(
        *["window", "create", name, "--schedule", "cron(30 23 ? * TUE#3 *)", "--timezone", "Europe/Berlin"],
        *["--patch-group", "web", "--tag", "role=db", "--max-concurrency", "25%", "--reboot-option", "NoReboot"],
    )
    assert made.err == "At 23:30 on the third Tuesday of the month, Europe/Berlin.\n"
    window_id = made.out.strip()

    shown = server.run("window", "show", name)
    assert f"{name} ({window_id})" in shown.out
    assert "opens        At 23:30 on the third Tuesday of the month, Europe/Berlin." in shown.out
    assert "targets      tag:Patch Group is web" in shown.out
    assert "AWS-RunPatchBaseline, 25% at once, stops after 0 errors" in shown.out
    whole = server.run("window", "show", window_id, "--json").json
    assert [one["Targets"] for one in whole["Targets"]] == [
        [{"Key": "tag:Patch Group", "Values": ["web"]}],
        [{"Key": "tag:role", "Values": ["db"]}],
    ]
    task = server.client().get_maintenance_window_task(
        WindowId=window_id, WindowTaskId=whole["Tasks"][0]["WindowTaskId"]
    )
    assert task["TaskInvocationParameters"]["RunCommand"]["Parameters"] == {
        "Operation": ["Install"],
        "RebootOption": ["NoReboot"],
    }
    assert f"  {window_id}  {name}" in server.run("window", "list").out


def test_what_cannot_be_leaves_nothing(server, name):
    """A rate that is none, and a schedule that is none: no window is made."""
    refused = server.run(
        "window", "create", name, "--schedule", "rate(1 day)", "--patch-group", "web", "--max-errors", "x"
    )
    assert refused.code == 1
    assert server.run("window", "create", name, "--schedule", "daily").code == 1
    assert server.run("window", "create", name, "--schedule", "rate(1 day)", "--tag", "role").code == 2
    assert name not in server.run("window", "list").out
    unknown = server.run("window", "show", name)
    assert (unknown.code, f"no window is called {name}" in unknown.err) == (2, True)


def test_a_schedule_is_explained(server, name):
    """Whether or not there is a window with it."""
    told = server.run("window", "next", "cron(0 23-5 ? * SUN *)", "--count", "3")
    assert told.code == 0
    assert told.out.startswith(
        "Every hour from 00:00 to 05:00 and at 23:00 on Sundays, UTC. The hours 23-5 are those of one day"
    )
    assert len(told.out.splitlines()) == 4
    create(server, name, schedule="at(2031-01-01T02:00:00)")
    assert server.run("window", "next", name, "--json").json["Openings"] == ["2031-01-01T02:00Z"]


def test_a_window_is_run_by_hand(server, node, name):
    """And watched to its end; what came of it is the exit code, and stands among what it did lately."""
    server.client().add_tags_to_resource(
        ResourceType="ManagedInstance", ResourceId=node.id, Tags=[{"Key": "by-hand", "Value": name}]
    )
    create(server, name, "--tag", f"by-hand={name}", "--operation", "scan")
    result = server.run("window", "run", name, "--json")

    assert result.json["Status"] in {"SUCCESS", "FAILED"}
    assert result.code == (result.json["Status"] != "SUCCESS")
    (task,) = result.json["Tasks"]
    assert task["TaskArn"] == "AWS-RunPatchBaseline"
    assert result.json["WindowExecutionId"] in server.run("window", "show", name).out


def test_an_execution_is_cancelled(server, silent_node, name):
    """By the name of its window; where none is under way that is said."""
    server.client().add_tags_to_resource(
        ResourceType="ManagedInstance", ResourceId=silent_node.id, Tags=[{"Key": "by-hand", "Value": name}]
    )
    create(server, name, "--tag", f"by-hand={name}")
    assert server.run("window", "cancel", name).code == 1
    execution_id = server.run("window", "run", name, "--no-wait").out.strip()
    assert server.run("window", "cancel", name).out.strip() == execution_id
    again = server.run("window", "run", name)
    assert (again.code, "InvalidOperationException" in again.err) == (1, True)
    asked = {"WindowExecutionId": execution_id}
    until(
        lambda: server.client().get_maintenance_window_execution(**asked)["Status"] in {"CANCELLING", "CANCELLED"},
        "the execution is cancelled",
    )


def test_a_calendar_program_reads_a_link(server, name):
    """Without a key; it is listed without the link, and leads nowhere once it is deleted."""
    window_id = create(server, name, schedule="rate(1 day)")
    made = server.run("window", "feed", "create", f"plan of {name}", "--window", name, "--days", "3")
    link = made.out.strip()
    with urllib.request.urlopen(link) as answer:
        read = icalendar.read(answer.read())
    assert {event["SUMMARY"] for event in read.events.values()} == {name}

    listed = server.run("window", "feed", "list", "--json").json["CalendarFeeds"]
    (own,) = [one for one in listed if one["WindowId"] == window_id]
    shown = server.run("window", "feed", "list").out
    assert own["FeedId"] in shown
    assert link.rpartition("/")[2] not in shown
    assert server.run("window", "feed", "delete", own["FeedId"]).code == 0
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(link)
    assert refused.value.code == 404
    refused.value.close()


def test_the_calendar_is_a_table_or_a_file(server, name):
    """Of the days to come."""
    window_id = create(server, name, schedule="rate(1 day)")
    shown = server.run("window", "calendar", "--days", "3")
    assert shown.out.count(window_id) >= 2
    ics = server.run("window", "calendar", "--ics").out
    assert ics.startswith("BEGIN:VCALENDAR\n")
    assert f"SUMMARY:{name}\n" in ics
    entries = server.run("window", "calendar", "--days", "2", "--json").json["Entries"]
    assert {one["WindowId"] for one in entries} >= {window_id}
