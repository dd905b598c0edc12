# SPDX-License-Identifier: Apache-2.0
"""What SQLite reads to answer: an account may have millions of events, of which few have no number."""

from __future__ import annotations

import sqlite3

import pytest

from patchwright.server.accounts import Scope
from patchwright.server.events import store
from patchwright.server.infra import open_database

SCOPE = Scope("000000000001", "us-east-1")
HEADS = [tuple(SCOPE)]
UNITS = {
    "after a number": (store.after(SCOPE, 5, 10), "uq_event_sequence (account=? AND region=? AND sequence>?)"),
    "before a number": (store.before(SCOPE, 5, 10), "uq_event_sequence (account=? AND region=? AND sequence<?)"),
    "of a subject": (
        store.before(SCOPE, 5, 10, subject="mi-1"),
        "(account=? AND region=? AND subject=? AND sequence<?)",
    ),
    "by its id": (store.find(SCOPE, "id"), "(account=? AND region=? AND id=?)"),
    "without a number": (store.unnumbered(10), "USING INDEX ix_event_unnumbered"),
    "of one account without a number": (store.number_all(SCOPE), "USING INDEX ix_event_unnumbered"),
}


async def plan_of(tmp_path, asked):
    """What SQLite says it reads, line by line."""
    await (await open_database("sqlite:///plans.db", data_dir=tmp_path)).close()
    connection = sqlite3.connect(tmp_path / "plans.db")
    plan = connection.execute(f"EXPLAIN QUERY PLAN {asked.text}", asked.params).fetchall()
    connection.close()
    return [row[3] for row in plan if not row[3].startswith("USE TEMP B-TREE")]


@pytest.mark.parametrize("name", UNITS)
async def test_events_are_found_without_reading_the_others(tmp_path, name):
    """By number, by subject, by id, and those that have no number yet."""
    unit, index = UNITS[name]
    (found,) = await plan_of(tmp_path, next(unit))
    assert index in found


async def test_what_is_old_is_found_by_its_number(tmp_path):
    """Retention reads the first numbers, and no other row."""
    unit = store.remove_older(5.0, 10)
    next(unit)
    plan = await plan_of(tmp_path, unit.send(HEADS))
    assert [line.partition("(")[2] for line in plan if "event" in line] == [
        "account=? AND region=? AND sequence=?)",
        "account=? AND region=? AND sequence>?)",
    ]
