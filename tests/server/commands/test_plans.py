# SPDX-License-Identifier: Apache-2.0
"""What SQLite reads to hand something over: a node has hundreds of invocations that ended, and few that wait."""

from __future__ import annotations

import sqlite3

import pytest

from patchwright.server.accounts import Scope
from patchwright.server.commands import channels, invocation_store
from patchwright.server.infra import open_database

SCOPE = Scope("000000000001", "us-east-1")
UNITS = {
    "commands for one": invocation_store.deliverable(SCOPE, "mi-1", now=5.0, limit=5),
    "commands for several": invocation_store.deliverable_to(["mi-1", "mi-2"], now=5.0),
    "cancels for one": invocation_store.cancels(SCOPE, "mi-1", now=5.0, limit=5),
    "commands for whoever is connected": channels.held_with_work("gateway", now=5.0, after="", limit=5),
}


@pytest.mark.parametrize("name", UNITS)
async def test_what_waits_is_found_by_what_waits(tmp_path, name):
    """Not by reading all that a node ever had."""
    await (await open_database("sqlite:///plans.db", data_dir=tmp_path)).close()
    asked = next(UNITS[name])
    connection = sqlite3.connect(tmp_path / "plans.db")
    plan = connection.execute(f"EXPLAIN QUERY PLAN {asked.text}", asked.params).fetchall()
    connection.close()
    (read,) = [row[3] for row in plan if "invocation" in row[3] or "SEARCH i " in row[3]]
    assert "ix_invocation_deliverable" in read or "ix_invocation_cancel" in read
