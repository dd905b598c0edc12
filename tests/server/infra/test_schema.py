# SPDX-License-Identifier: Apache-2.0
"""Migrations: they lead to the tables as declared, on both engines, all or nothing."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, MetaData, PrimaryKeyConstraint, text
from sqlalchemy.ext.asyncio import create_async_engine

from patchwright.server.infra import SchemaTooNew, Unavailable, open_database, schema, tables
from patchwright.server.infra.migrations.__main__ import draft
from patchwright.server.infra.tables import MOMENT, NAMES, OCTETS, TEXT, WHOLE, owned
from server.databases import run_apart

POSTGRES_COLUMNS = """
    SELECT table_name, ordinal_position, column_name, data_type, collation_name, is_nullable, column_default
      FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2
"""
POSTGRES_CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2
"""
POSTGRES_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
SQLITE_SCHEMA = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"


def with_connection(url: str, work: Any) -> Any:
    """The result of `work(connection)` over a SQLAlchemy connection to *url*, committed."""
    if url.startswith("sqlite"):
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            result = work(connection)
        engine.dispose()
        return result

    async def connect(*_args: Any, **_kwargs: Any) -> Any:
        return await asyncpg.connect(url)

    async def apart() -> Any:
        engine = create_async_engine("postgresql+asyncpg://", async_creator=connect)
        async with engine.begin() as connection:
            result = await connection.run_sync(work)
        await engine.dispose()
        return result

    return run_apart(apart())


def catalogue(connection: sqlalchemy.Connection) -> list[Any]:
    """Everything the engine keeps about its tables, but Alembic's own; constraints of a SQLite table sorted."""
    queries = (
        (SQLITE_SCHEMA,)
        if connection.dialect.name == "sqlite"
        else (POSTGRES_COLUMNS, POSTGRES_CONSTRAINTS, POSTGRES_INDEXES)
    )
    rows = [tuple(row) for query in queries for row in connection.execute(text(query))]
    return [
        (row[0], sorted_constraints(row[1])) if queries == (SQLITE_SCHEMA,) else row
        for row in rows
        if "alembic_version" not in str(row)
    ]


def sorted_constraints(definition: str) -> list[str]:
    """The lines of a `CREATE TABLE`: columns in their order, then constraints by name."""
    # A column that was added by ALTER TABLE stands in the line of the one before it.
    parts = [part for line in definition.splitlines() for part in re.split(r", (?![^(]*\))", line)]
    lines = [part.strip().rstrip(",") for part in parts if part.strip()]
    return sorted(lines, key=lambda line: line if line.startswith("CONSTRAINT") else "")


def migrate(url: str) -> None:
    if url.startswith("sqlite"):
        schema.migrate_sqlite(Path(url.removeprefix("sqlite:///")))
    else:
        run_apart(schema.migrate_postgres(url))


def differences(url: str, metadata: MetaData) -> list[Any]:
    """What Alembic would still change about the database at *url*."""
    return list(
        with_connection(url, lambda connection: compare_metadata(MigrationContext.configure(connection), metadata))
    )


def sample() -> MetaData:
    """Tables with everything our tables use."""
    metadata = MetaData(naming_convention=NAMES)
    owned(
        "role",
        Column("id", WHOLE, nullable=False, autoincrement=True),
        Column("name", TEXT, nullable=False),
        PrimaryKeyConstraint("id"),
        sqlalchemy.UniqueConstraint("account", "region", "name"),
        metadata=metadata,
    )
    node = owned(
        "node",
        Column("name", TEXT, nullable=False),
        Column("role", WHOLE),
        Column("state", TEXT, nullable=False, server_default=text("'Active'")),
        Column("seen_at", MOMENT),
        Column("body", OCTETS),
        PrimaryKeyConstraint("account", "region", "name"),
        ForeignKeyConstraint(["role"], ["role.id"]),
        CheckConstraint("state IN ('Active', 'Terminated')", name="state"),
        metadata=metadata,
        sqlite_with_rowid=False,
    )
    active = text("state = 'Active'")
    Index("uq_node_role_active", node.c.role, unique=True, sqlite_where=active, postgresql_where=active)
    Index("ix_node_seen_at", node.c.account, node.c.region, node.c.seen_at)
    return metadata


@pytest.fixture
def drafted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MetaData:
    """Migrations drafted from `sample()`, in place of the product's."""
    folder = tmp_path / "migrations 100%"
    (folder / "versions").mkdir(parents=True)
    shutil.copy(schema.MIGRATIONS / "env.py", folder)
    monkeypatch.setattr(schema, "MIGRATIONS", folder)
    metadata = sample()
    (folder / "versions" / "0001_initial.py").write_text(draft("0001_initial", "A sample.", metadata))
    return metadata


def test_migrations_lead_to_the_tables_as_declared(empty_database_url: str) -> None:
    """After all migrations Alembic finds nothing left to do."""
    migrate(empty_database_url)

    assert differences(empty_database_url, tables.metadata) == []


def test_migrations_lead_to_the_very_same_catalogue(empty_database_url: str) -> None:
    """Checks, predicates of indexes, collations and STRICT, which Alembic does not compare, are as declared too."""
    migrate(empty_database_url)
    migrated = with_connection(empty_database_url, catalogue)

    with_connection(empty_database_url, _forget_everything)
    with_connection(empty_database_url, tables.metadata.create_all)

    assert migrated == with_connection(empty_database_url, catalogue)


def test_a_draft_leads_to_the_tables_it_was_drafted_from(empty_database_url: str, drafted: MetaData) -> None:
    """Keys, checks, partial indexes, defaults, types: the whole pattern of tables.py survives the drafting."""
    migrate(empty_database_url)
    migrated = with_connection(empty_database_url, catalogue)
    assert differences(empty_database_url, drafted) == []

    with_connection(empty_database_url, _forget_everything)
    with_connection(empty_database_url, drafted.create_all)

    assert migrated
    assert migrated == with_connection(empty_database_url, catalogue)


def test_the_comparison_notices_a_difference(empty_database_url: str, drafted: MetaData) -> None:
    """A table or column more, and the test above would fail."""
    migrate(empty_database_url)

    drafted.tables["node"].append_column(Column("extra", TEXT))

    assert [(change[0], change[3].name) for change in differences(empty_database_url, drafted)] == [
        ("add_column", "extra")
    ]


def _forget_everything(connection: sqlalchemy.Connection) -> None:
    found = sqlalchemy.MetaData()
    found.reflect(connection)
    found.drop_all(connection)


async def test_a_second_revision_follows_the_first(empty_database_url: str, drafted: MetaData, tmp_path: Path) -> None:
    """A database at an older revision keeps its rows and gains what is new; opening it again changes nothing."""
    await (await open_database(empty_database_url, data_dir=tmp_path)).close()
    owned("label", Column("word", TEXT), metadata=drafted)
    second = schema.MIGRATIONS / "versions" / "0002_labels.py"
    second.write_text(draft("0002_labels", "Labels.", drafted))
    assert "create_table('label'" in second.read_text()
    assert "create_table('node'" not in second.read_text()

    for _ in range(2):
        await (await open_database(empty_database_url, data_dir=tmp_path)).close()

    assert differences(empty_database_url, drafted) == []


async def test_a_failing_migration_leaves_nothing(empty_database_url: str, drafted: MetaData, tmp_path: Path) -> None:
    """All revisions are one transaction, DDL included, and the next start tries again."""
    broken = schema.MIGRATIONS / "versions" / "0002_broken.py"
    statements = "    op.execute('CREATE TABLE half (a BIGINT)')\n    op.execute('SELEC')\n"
    broken.write_text(draft("0002_broken", "Broken.", drafted).rstrip() + "\n" + statements)

    with pytest.raises(Unavailable, match="SELEC"):
        await open_database(empty_database_url, data_dir=tmp_path)
    assert with_connection(empty_database_url, catalogue) == []

    broken.unlink()
    await (await open_database(empty_database_url, data_dir=tmp_path)).close()
    assert differences(empty_database_url, drafted) == []


async def test_a_newer_database_is_refused(database_url: str, tmp_path: Path) -> None:
    """An older Patchwright does not touch what a newer one wrote, and says what to do."""
    with_connection(
        database_url,
        lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999_later'")),
    )

    with pytest.raises(SchemaTooNew, match="start the newer version") as caught:
        await open_database(database_url, data_dir=tmp_path)
    assert caught.value.stored == "9999_later"


@pytest.mark.postgres
async def test_processes_that_start_together_migrate_once(
    empty_postgres_url: str, drafted: MetaData, tmp_path: Path
) -> None:
    """Five at once on an empty database: all of them open it."""
    opened = await asyncio.gather(*(open_database(empty_postgres_url, data_dir=tmp_path) for _ in range(5)))
    await asyncio.gather(*(database.close() for database in opened))

    assert differences(empty_postgres_url, drafted) == []


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    """The message names the file; the file is left as it is."""
    (tmp_path / "notes.db").write_text("these are not the tables you are looking for" * 50)

    with pytest.raises(Unavailable, match=r"notes\.db"):
        await open_database("sqlite:///notes.db", data_dir=tmp_path)
    assert "not the tables" in (tmp_path / "notes.db").read_text()


async def test_sqlite_files_are_private_and_lie_in_the_data_directory(tmp_path: Path) -> None:
    """Mode 0600 for the file and its log, in a directory made on demand."""
    database = await open_database("sqlite:///deep/patchwright.db", data_dir=tmp_path / "state")
    try:
        found = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state" / "deep").iterdir()}
    finally:
        await database.close()

    assert found["patchwright.db"] == 0o600
    assert set(found.values()) == {0o600}


def test_a_current_database_is_opened_without_sqlalchemy(sqlite_url: str) -> None:
    """Half a second of imports is spent only on migrating."""
    program = (
        "import asyncio, pathlib, sys\n"
        "from patchwright.server.infra import open_database\n"
        "async def main():\n"
        "    await (await open_database(sys.argv[1], data_dir=pathlib.Path('/'))).close()\n"
        "asyncio.run(main())\n"
        "print(sorted({'sqlalchemy', 'alembic', 'asyncpg'} & set(sys.modules)))\n"
    )
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", program, sqlite_url], env=environment, capture_output=True, check=True)

    assert done.stdout == b"[]\n"


def test_revisions_are_numbered_in_the_order_alembic_runs_them() -> None:
    """The newest file is Alembic's only head, and each file is named as its revision."""
    script = ScriptDirectory(schema.MIGRATIONS)

    assert script.get_heads() == [schema.revisions()[-1]]
    assert list(schema.revisions()) == [found.revision for found in reversed(list(script.walk_revisions()))]


def test_every_table_belongs_to_an_account_and_region() -> None:
    """Those are its first two columns, never null."""
    for table in tables.metadata.sorted_tables:
        first, second = list(table.columns)[:2]
        assert (first.name, second.name, first.nullable, second.nullable) == ("account", "region", False, False), table


def test_every_table_is_strict_and_uses_our_types() -> None:
    """SQLite then refuses what PostgreSQL would refuse, and text sorts by its bytes on both."""
    ours = [TEXT, WHOLE, MOMENT, OCTETS]
    for table in [*tables.metadata.sorted_tables, *sample().sorted_tables]:
        assert table.dialect_options["sqlite"]["strict"], table
        for column in table.columns:
            assert any(column.type is kind for kind in ours), column


@pytest.mark.postgres
def test_a_migration_that_met_a_deadlock_is_done_again(
    empty_postgres_url: str, drafted: MetaData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is still at work may hold what it wants next: nothing was changed, and it tries again; not for ever."""
    deadlock = text("DO $$ BEGIN RAISE EXCEPTION 'both wait' USING ERRCODE = 'deadlock_detected'; END $$")
    real, met = schema.upgrade, 0

    def upgrade(connection: sqlalchemy.Connection) -> None:
        nonlocal met
        real(connection)
        if met < patience:
            met += 1
            connection.execute(deadlock)

    monkeypatch.setattr(schema, "upgrade", upgrade)
    patience = 100
    with pytest.raises(Unavailable, match="both wait"):
        run_apart(schema.migrate_postgres(empty_postgres_url))
    assert 1 < met < 10
    met, patience = 0, 1
    run_apart(schema.migrate_postgres(empty_postgres_url))
    assert met == 1
    assert differences(empty_postgres_url, drafted) == []


def test_every_constraint_name_fits_postgresql() -> None:
    """At most 63 bytes, or PostgreSQL would store another name than the one the code catches."""
    for table in tables.metadata.sorted_tables:
        for item in [*table.constraints, *table.indexes]:
            assert item.name, f"{table}: {item} has no name"
            assert len(str(item.name)) <= 63, item.name


def test_the_sample_behaves_as_sqlite_strict(empty_sqlite_url: str, drafted: MetaData) -> None:
    """Bytes do not pass for text."""
    migrate(empty_sqlite_url)
    with sqlite3.connect(empty_sqlite_url.removeprefix("sqlite:///")) as connection, pytest.raises(sqlite3.Error):
        connection.execute("INSERT INTO role (account, region, name) VALUES ('a', 'r', x'00ff')")
    connection.close()
