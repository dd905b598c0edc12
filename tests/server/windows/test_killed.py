# SPDX-License-Identifier: Apache-2.0
"""Servers that are killed while windows are open: each execution happens once, none is lost, none stays open."""

from __future__ import annotations

import os
import threading
from collections import Counter

import pytest

from server.windows.hall import DEADLINE_SECONDS, Hall

FULL = bool(os.environ.get("PATCHWRIGHT_FULL"))
KILLS = 100 if FULL else 2


@pytest.mark.timeout(1800 if FULL else 300)
@pytest.mark.parametrize("servers", [1, 2], ids=["sqlite", "two-processes-on-postgres"])
def test_killed_servers_lose_and_repeat_nothing(tmp_path, request, servers):
    """Killed with -9 between two calls drawn by the seed, while windows open by their schedule and by hand."""
    hall = Hall(tmp_path, request.getfixturevalue("empty_postgres_url") if servers == 2 else "", servers)
    try:
        for number in range(servers):
            hall.start(number)
        hall.furnish()
        opener = threading.Thread(target=hall.open_by_hand, daemon=True)
        opener.start()
        for kill in range(KILLS):
            hall.kill_in_between(kill % servers)
        hall.over = True
        opener.join(DEADLINE_SECONDS)
        _check(hall)
    finally:
        hall.close()


def _check(hall):
    by_window = hall.executions()
    commands = Counter()
    for window_id, executions in by_window:
        assert {one["Status"] for one in executions} <= {"SUCCESS"}, executions
        if window_id in hall.once:
            assert len(executions) == 1, "a window that opens once opened otherwise"
        for execution in executions:
            tasks = hall.ask(
                "DescribeMaintenanceWindowExecutionTasks", WindowExecutionId=execution["WindowExecutionId"]
            )["WindowExecutionTaskIdentities"]
            assert len(tasks) == 1 or (not tasks and window_id in hall.late), (window_id, tasks)
            for task in tasks:
                told = hall.ask(
                    "DescribeMaintenanceWindowExecutionTaskInvocations",
                    WindowExecutionId=execution["WindowExecutionId"],
                    TaskId=task["TaskExecutionId"],
                )["WindowExecutionTaskInvocationIdentities"]
                commands.update(one["ExecutionId"] for one in told)
    ids = {one["WindowExecutionId"] for _, executions in by_window for one in executions}
    assert set(hall.made) <= ids, "an execution that was promised is gone"
    assert set(commands.values()) == {1}
    for node in hall.nodes:
        assert set(node.begun) == set(commands), "a node has another set of commands than the windows sent"
        assert set(node.begun.values()) == {1}
    assert len(ids) >= len(hall.once) > 0
