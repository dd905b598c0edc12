# SPDX-License-Identifier: Apache-2.0
"""A database from before commands counted: the migration fills the counts from the invocations that are there."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from patchwright.core.invocation import Detail
from patchwright.server.accounts import Scope
from patchwright.server.commands import Target
from patchwright.server.commands.tally import COLUMNS
from patchwright.server.infra import open_database, schema, sql
from server.commands.bench import Bench
from server.infra.test_schema import with_connection

REVISION = import_module("patchwright.server.infra.migrations.versions.0016_commands")
COUNTED = ", ".join(("most_under_way", "most_errors", "cancelling", "spread_after", "resume_at", *COLUMNS))
SCOPE = Scope("000000000001", "us-east-1")


def fill_anew(connection):
    """Empty the counts, forget until when commands may begin, and fill both as the migration does."""
    connection.execute(sa.text("DELETE FROM command_tally"))
    connection.execute(sa.text("UPDATE invocation SET begin_by = 0"))
    with Operations.context(MigrationContext.configure(connection)):
        REVISION._fill_begin_by()
        REVISION._fill_command_tally()


async def rows(database):
    """Counts and times, in order."""

    def read():
        tallies = yield sql(f"SELECT command_id, {COUNTED} FROM command_tally ORDER BY command_id")
        times = yield sql("SELECT instance_id, command_id, begin_by FROM invocation ORDER BY command_id, instance_id")
        return tallies, times

    return await database.read(read)


async def test_an_upgrade_counts_what_the_running_server_had_counted(empty_database_url, tmp_path: Path):
    """Rates in numbers and percent, every kind of end, what waits and what runs; the next reply moves on from there."""
    database = await open_database(empty_database_url, data_dir=tmp_path)
    bench = Bench(database, SCOPE)
    ids = await bench.nodes(5)
    plain, _ = await bench.send(*ids, max_concurrency="40%", max_errors="50%")
    await bench.reply(plain, ids[0], Detail.FAILED)
    await bench.reply(plain, ids[1], Detail.IN_PROGRESS)
    ended, _ = await bench.send(*ids, max_concurrency="1", max_errors="0")
    await bench.reply(ended, ids[0], Detail.EXECUTION_TIMED_OUT)
    await bench.send(targets=(Target("tag:no", ("body",)),))
    before = await rows(database)
    await database.close()

    with_connection(empty_database_url, fill_anew)

    database = await open_database(empty_database_url, data_dir=tmp_path)
    after = await rows(database)
    bench = Bench(database, SCOPE)
    released = (await bench.reply(plain, ids[1], Detail.SUCCESS, reply_id="later"))[1]
    await database.close()
    assert after == before
    assert (len(after[0]), released) == (3, [ids[3]])


def before_events_were_in_order(connection):
    """A database as 0020 left it: events with and without a number, and history of which one line was written twice."""
    schema.upgrade(connection, target="0020_forecast")
    for number, sequence in enumerate((2, 1, None)):
        connection.execute(
            sa.text(
                "INSERT INTO event (account, region, id, sequence, detail_type, subject, resources, detail, at, place)"
                " VALUES (:account, :region, :id, :sequence, 'Parameter Store Change', 'p', '[]', '{}', 5, :place)"
            ),
            {**SCOPE._asdict(), "id": f"event-{number}", "sequence": sequence, "place": number},
        )
    for number, detail in enumerate(("InProgress", "Success", "Success")):
        connection.execute(
            sa.text(
                "INSERT INTO invocation_event (account, region, id, command_id, instance_id, detail, reason, recorded_at)"
                " VALUES (:account, :region, :id, 'c', 'mi-1', :detail, 'reply', :at)"
            ),
            {**SCOPE._asdict(), "id": f"line-{number}", "detail": detail, "at": float(number)},
        )
    connection.execute(sa.text("INSERT INTO reply VALUES (:account, :region, 'a-reply', 'mi-1', 1)"), SCOPE._asdict())


async def test_an_upgrade_keeps_events_and_history(empty_database_url, tmp_path: Path):
    """Every event with its number or without one, and what each invocation became, once."""
    with_connection(empty_database_url, before_events_were_in_order)

    database = await open_database(empty_database_url, data_dir=tmp_path)

    def read():
        told = yield sql("SELECT id, sequence, place FROM event ORDER BY id")
        history = yield sql("SELECT command_id, instance_id, detail, reason, recorded_at FROM invocation_event")
        return told, sorted(history)

    kept = await database.read(read)
    await database.close()
    assert kept == (
        [("event-0", 2, 0), ("event-1", 1, 1), ("event-2", None, 2)],
        [("c", "mi-1", "InProgress", "reply", 0.0), ("c", "mi-1", "Success", "reply", 1.0)],
    )
