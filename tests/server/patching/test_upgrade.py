# SPDX-License-Identifier: Apache-2.0
"""A database from before there were last operations and offers: the migration fills both from what is there."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from patchwright.core.compliance import Operation as Kind
from patchwright.core.protocol import RebootOption
from patchwright.server.accounts import Scope
from patchwright.server.infra import open_database
from patchwright.server.patching import Catalogue, Groups
from server.infra.test_schema import with_connection
from server.patching.bench import OUTDATED, PATCHED, Bench

REVISION = import_module("patchwright.server.infra.migrations.versions.0005_catalogue")
SCOPE = Scope("000000000001", "us-east-1")


async def told(bench):
    """What is said of a group, of its nodes, and of what they are offered."""
    groups = Groups(bench.database)
    last, _ = await groups.last(SCOPE, "web", limit=100)
    available, _ = await Catalogue(bench.database, bench.clock).available(SCOPE, limit=100)
    return await groups.state(SCOPE, "web"), last, available


def fill_anew(connection):
    """Empty the two tables, and fill them as the migration does."""
    for table in ("last_operation", "offered"):
        connection.execute(sa.text(f"DELETE FROM {table}"))
    with Operations.context(MigrationContext.configure(connection)):
        REVISION._fill_last_operation()
        REVISION._fill_offered()


async def test_an_upgrade_says_of_every_node_what_the_running_server_had_said(empty_database_url, tmp_path: Path):
    """Counters, which operation was the last, when a reboot was left out, and the whole catalogue."""
    database = await open_database(empty_database_url, data_dir=tmp_path)
    bench = Bench(database, SCOPE)
    nodes = [await bench.enrol(group="web") for _ in range(3)]
    await bench.install(nodes[0], OUTDATED, PATCHED, reboot=RebootOption.NO_REBOOT)
    await bench.scan(nodes[0], PATCHED)
    await bench.scan(nodes[1], PATCHED)
    await bench.scan(nodes[1], OUTDATED)
    await bench.begin(nodes[2], Kind.SCAN)
    before = await told(bench)
    await database.close()

    with_connection(empty_database_url, fill_anew)

    database = await open_database(empty_database_url, data_dir=tmp_path)
    after = await told(Bench(database, SCOPE))
    await database.close()
    assert after == before
    (count, _), last, available = after
    assert (count, len(last), len(available)) == (3, 2, 5)
    assert sorted(one.no_reboot_install_at is None for one in last) == [False, True]
