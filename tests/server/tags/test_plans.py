# SPDX-License-Identifier: Apache-2.0
"""What SQLite reads to answer: an account may have a hundred thousand tags."""

from __future__ import annotations

import sqlite3

import pytest

from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.infra import open_database

NODE = tags.MANAGED_INSTANCE
SCOPE = Scope("000000000001", "us-east-1")
UNITS = {
    "of one resource": tags.of(SCOPE, NODE, "mi-1"),
    "of a resource among others": tags.of_each(SCOPE, NODE, ["mi-1"]),
    "of one resource, by its type": tags.of_all(SCOPE, [(NODE, "mi-1")]),
    "of two, by their types": tags.of_all(SCOPE, [(NODE, "mi-1"), (tags.DOCUMENT, "scan")]),
    "of two resources": tags.of_each(SCOPE, NODE, ["mi-1", "mi-2"]),
}


@pytest.mark.parametrize("name", UNITS)
async def test_tags_of_some_resources_are_found_by_their_ids(tmp_path, name):
    """Not by reading the tags of every resource of the type."""
    await (await open_database("sqlite:///plans.db", data_dir=tmp_path)).close()
    asked = next(UNITS[name])
    connection = sqlite3.connect(tmp_path / "plans.db")
    plan = connection.execute(f"EXPLAIN QUERY PLAN {asked.text}", asked.params).fetchall()
    connection.close()
    assert all("resource_id=?" in row[3] for row in plan), plan
