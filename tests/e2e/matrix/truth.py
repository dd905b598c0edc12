# SPDX-License-Identifier: Apache-2.0
"""What must hold of a node, its server and every report once all is over, whatever befell them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Any

from e2e.station import FINAL
from farm import until

from .documents import RESULTS, SCRIPTS_IN_ORDER, UNKNOWN, UNKNOWN_RESULT, DocumentPoint
from .hooks import HookPoint
from .points import SCAN, Outcome
from .stage import NAMES, NEW, OLD, Stage

COUNTS = {
    "Missing": "MissingCount",
    "Installed": "InstalledCount",
    "InstalledPendingReboot": "InstalledPendingRebootCount",
    "InstalledOther": "InstalledOtherCount",
    "InstalledRejected": "InstalledRejectedCount",
    "Failed": "FailedCount",
}


def check(stage: Stage, operation: str, expected: Outcome) -> None:
    """Wait for the end of the command, and look at everything."""
    done = stage.station.wait(stage.node, stage.command, timeout=120)
    status = "Failed" if expected.reason else "Success"
    assert done["Status"] == status, done["StandardErrorContent"]
    assert expected.reason in done["StandardErrorContent"]
    stage.node.wait_running()
    until(lambda: not stage.left_to_do(), what="nothing is left to do or to say", timeout=90)
    _is_told_once(stage, status)
    _is_done_once(stage, expected, changed=operation != SCAN and not expected.reason)
    _reports_are_the_database(stage, expected)
    _nothing_is_open(stage, status)
    _a_second_delivery_runs_nothing(stage)


def check_document(stage: Stage, point: DocumentPoint | None = None) -> None:
    """Wait for the end of a document of scripts, and look at everything; without a *point* nothing befell it."""
    results = point.results if point else RESULTS
    _ends(stage)
    done = stage.invocation()
    found = {one["Name"]: (one["Status"], one["ResponseCode"]) for one in done["CommandPlugins"]}
    assert (done["Status"], found) == ("Failed", results), done
    for name in results:
        text = stage.station.result(stage.node, stage.command, name)
        unknown = UNKNOWN in text["StandardErrorContent"]
        assert unknown == (results[name] == UNKNOWN_RESULT), text
        if not unknown and results[name][0] == "Success" and name != "Fourth":
            assert text["StandardOutputContent"] == f"the end of {name}\n"
    assert stage.ran() == (point.ran if point else SCRIPTS_IN_ORDER)
    assert stage.node.boots == (point.boots if point else 2)
    _is_told_once(stage, "Failed")
    assert _select(stage, "SELECT detail FROM command WHERE id = ?") == ["Failed"]
    assert _select(stage, "SELECT detail FROM invocation WHERE command_id = ? AND ended_at IS NULL") == []
    _a_second_delivery_runs_nothing(stage)


def check_hooks(stage: Stage, point: HookPoint | None = None) -> None:
    """The same for an Install with hooks; without a *point* nothing befell it."""
    point = point or HookPoint("before", "", "", "before")
    status = "Failed" if point.unknown else "Success"
    _ends(stage)
    done = stage.invocation()
    assert (done["Status"], {one["Name"]: one["Status"] for one in done["CommandPlugins"]}) == (status, point.results)
    if point.unknown:
        text = stage.station.result(stage.node, stage.command, point.unknown)
        assert UNKNOWN in text["StandardErrorContent"], text
    assert stage.ran() == point.ran
    assert stage.node.boots == point.boots
    database, patches = stage.node.installed(), stage.station.patches(stage.node)
    assert {name: patches[f"{name}.all"]["State"] for name in NAMES} == dict.fromkeys(NAMES, point.state)
    version = OLD if point.state == "Missing" else NEW
    assert [database[f"{name}.all"] for name in NAMES] == [(version, "ii")] * len(NAMES)
    for name in NAMES:
        lines = [line for line in stage.dpkg_log() if line.endswith(f" status installed {name}:all {NEW}")]
        assert len(lines) == (point.state != "Missing"), lines
    _is_told_once(stage, status)
    assert _select(stage, "SELECT detail FROM command WHERE id = ?") == [status]
    assert _select(stage, "SELECT state FROM operation WHERE command_id = ? AND ended_at IS NULL") == []
    _a_second_delivery_runs_nothing(stage)


def _ends(stage: Stage) -> None:
    until(lambda: stage.invocation()["Status"] in FINAL, what=f"command {stage.command} ends", timeout=120)
    stage.node.wait_running()
    until(lambda: not stage.left_to_do(), what="nothing is left to do or to say", timeout=90)


def _is_told_once(stage: Stage, status: str) -> None:
    """The server took one final state, and every final reply is that one."""
    assert [detail for detail in _events(stage) if detail in FINAL] == [status]
    replies = stage.station.final_replies(stage.command)
    assert replies
    assert all(reply == replies[0] for reply in replies)
    assert replies[0]["documentStatus"] == status


def _is_done_once(stage: Stage, expected: Outcome, *, changed: bool) -> None:
    """Each package was unpacked and configured to its end once; the node started as often as it was made to."""
    log, database = stage.dpkg_log(), stage.node.installed()
    for name in NAMES:
        unpacked = sum(f" {verb} {name}:all " in line for verb in ("upgrade", "install") for line in log)
        configured = sum(line.endswith(f" status installed {name}:all {NEW}") for line in log)
        assert unpacked == (changed + (name == expected.unpacked_again)), log
        assert configured == changed, log
        assert database[f"{name}.all"] == (NEW if changed else OLD, "ii")
    assert stage.node.boots == expected.boots


def _reports_are_the_database(stage: Stage, expected: Outcome) -> None:
    """DescribeInstancePatches, its summary and the live verdict say what dpkg-query says."""
    database, patches = stage.node.installed(), stage.station.patches(stage.node)
    live, summary = stage.station.live(stage.node), stage.station.summary(stage.node)
    assert (live["Standing"] == "COMPLIANT") == (expected.states == "Installed"), live
    if not expected.states:
        assert (patches, summary) == ({}, {})
        return
    assert {name: patches[f"{name}.all"]["State"] for name in NAMES} == dict.fromkeys(NAMES, expected.states)
    for key, row in patches.items():
        there = row["Title"] == f"{key}:{database[key][0]}"
        assert there == row["State"].startswith("Installed"), (row, database[key])
        lived = live["Patches"][key]["State"]
        assert lived == row["State"] or {lived, row["State"]} == {"Missing", "Failed"}
    counted = Counter(row["State"] for row in patches.values())
    assert {name: summary[name] for name in COUNTS.values()} == {name: counted[state] for state, name in COUNTS.items()}


def _nothing_is_open(stage: Stage, status: str) -> None:
    """The server has no command, invocation or operation of the node that has not ended."""
    assert _select(stage, "SELECT detail FROM command WHERE id = ?") == [status]
    assert _select(stage, "SELECT detail FROM invocation WHERE command_id = ? AND ended_at IS NULL") == []
    assert _select(stage, "SELECT count(*) FROM operation WHERE command_id = ? AND ended_at IS NOT NULL") == [1]
    assert _select(stage, "SELECT state FROM operation WHERE command_id = ? AND ended_at IS NULL") == []


def _a_second_delivery_runs_nothing(stage: Stage) -> None:
    """The same command delivered once more is acknowledged and answered from memory; nothing else happens."""
    interposer, before = stage.station.interposer, _seen(stage)
    acknowledged = len(interposer.sent("AcknowledgeMessage"))
    replies = len(stage.station.final_replies(stage.command))
    interposer.redeliver()
    until(lambda: len(interposer.sent("AcknowledgeMessage")) > acknowledged, what="it is acknowledged", timeout=90)
    until(lambda: len(stage.station.final_replies(stage.command)) > replies, what="it is answered", timeout=90)
    until(lambda: not stage.left_to_do(), what="nothing is left to say", timeout=90)
    assert _seen(stage) == before


def _seen(stage: Stage) -> dict[str, Any]:
    """What would show that something ran, or was recorded."""
    operations = ("BeginOperation", "PutFacts", "PutBodies", "PutResolution")
    return {
        "asked": {name: stage.station.interposer.seen[name] for name in operations},
        # Files left behind by a worker that was killed after the end are taken away by the next, whenever it comes.
        "steps": [line for line in stage.stops.trace() if line[0] != "run" and line[3] != "clear the work"],
        "dpkg": stage.dpkg_log(),
        "boots": stage.node.boots,
        "events": _events(stage),
        "ran": stage.ran(),
        "result": _without_links(stage.invocation()),
    }


def _without_links(invocation: dict[str, Any]) -> dict[str, Any]:
    """What is said of an invocation, but for links to its output, which are signed anew every time."""
    steps = [
        {key: value for key, value in step.items() if not key.endswith("Url")} for step in invocation["CommandPlugins"]
    ]
    left = {key: value for key, value in invocation.items() if not key.endswith("Url")}
    return {**left, "CommandPlugins": steps}


def _events(stage: Stage) -> list[str]:
    return _select(stage, "SELECT detail FROM invocation_event WHERE command_id = ? ORDER BY recorded_at")


def _select(stage: Stage, statement: str) -> list[str]:
    """The first column of what the server's database says about the stage's command."""
    database = sqlite3.connect(f"file:{stage.station.directory / 'data' / 'patchwright.db'}?mode=ro", uri=True)
    try:
        return [row[0] for row in database.execute(statement, (stage.command,))]
    finally:
        database.close()
