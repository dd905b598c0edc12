# SPDX-License-Identifier: Apache-2.0
"""What is SQLite's own: group commit, one writer, and what a disk can do to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from patchwright.server.infra import SystemClock, Unavailable, UniqueViolation, UnitOfWork, sql, sqlite_connection
from patchwright.server.infra.sqlite import SqliteDatabase
from patchwright.server.infra.sqlite_connection import Connection
from patchwright.server.infra.sqlite_writer import Writer
from server.clocks import FakeClock

HERE = Path(__file__).parent
DEADLINE_SECONDS = 60.0


def create() -> UnitOfWork[None]:
    yield sql("CREATE TABLE note (id BIGINT NOT NULL, word TEXT, CONSTRAINT pk_note PRIMARY KEY (id)) STRICT")


def add(number: int) -> UnitOfWork[int]:
    yield sql("INSERT INTO note (id) VALUES ($1)", number)
    return number


def ids() -> UnitOfWork[list[int]]:
    rows = yield sql("SELECT id FROM note ORDER BY id")
    return [number for (number,) in rows]


class Gate:
    """A unit of work that holds the writer thread until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def unit(self, number: int) -> UnitOfWork[int]:
        yield from add(number)
        self.reached.set()
        assert self.opened.wait(DEADLINE_SECONDS)
        return number

    async def wait_until_reached(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, DEADLINE_SECONDS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "notes.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE note (id INT NOT NULL, word TEXT, CONSTRAINT pk_note PRIMARY KEY (id)) STRICT")
    connection.close()
    return path


@pytest.fixture
async def notes(file: Path) -> AsyncIterator[SqliteDatabase]:
    database = await SqliteDatabase.open(file)
    yield database
    await database.close()


async def test_many_writers_share_few_commits(notes: SqliteDatabase) -> None:
    """Five hundred units that wait together cost a handful of syncs, not five hundred."""
    gate = Gate()
    first = asyncio.ensure_future(notes.write(gate.unit, 0))
    await gate.wait_until_reached()
    others = [asyncio.ensure_future(notes.write(add, number)) for number in range(1, 500)]
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(first, *others)

    assert notes.counters.units == 500
    assert notes.counters.commits <= 3
    assert await notes.read(ids) == list(range(500))


async def test_a_failing_unit_in_a_shared_commit_fails_alone(notes: SqliteDatabase) -> None:
    """Its neighbours before and after it are kept, in one commit."""
    gate = Gate()
    first = asyncio.ensure_future(notes.write(gate.unit, 0))
    await gate.wait_until_reached()
    others = [asyncio.ensure_future(notes.write(add, number)) for number in (1, 2, 1, 3)]
    await asyncio.sleep(0)
    gate.opened.set()
    results = await asyncio.gather(first, *others, return_exceptions=True)

    assert [0, 1, 2, UniqueViolation, 3] == [
        type(result) if isinstance(result, Exception) else result for result in results
    ]
    assert notes.counters.commits == 1
    assert await notes.read(ids) == [0, 1, 2, 3]


async def test_heavy_units_do_not_add_up_for_light_ones(file: Path) -> None:
    """A commit that has taken long enough takes no further unit."""
    clock = FakeClock()
    database = await SqliteDatabase.open(file, clock=clock)

    def heavy(number: int) -> UnitOfWork[None]:
        yield from add(number)
        clock.time += 1.0

    await asyncio.gather(*(database.write(heavy, number) for number in range(5)))

    assert database.counters.commits == 5
    await database.close()


@pytest.mark.parametrize(
    ("text", "rows"),
    [("SELECT $1, $2", [("a", 2)]), ("SELECT $2, $1, $2", [(2, "a", 2)]), ("SELECT $1 || '?', $2", [("a?", 2)])],
)
def test_no_parameter_has_a_name_or_a_number_for_sqlite(file: Path, text: str, rows: list[tuple[object, ...]]) -> None:
    """Python 3.12 warns of numbered ones up to 3.12.3, for each of every statement, and 3.14 refuses names."""
    connection = Connection(file)
    prepared = sqlite_connection._prepared(text)[0]

    def work() -> UnitOfWork[list[tuple[object, ...]]]:
        return (yield sql(text, "a", 2))

    assert connection.drive(work()) == rows
    assert prepared.replace("'?'", "").count("?") == len(rows[0])
    assert not re.search(r"[?$][0-9]", prepared)


async def test_the_queue_is_bounded(file: Path) -> None:
    """With room for four, the others wait their turn outside it; all are written in the end."""
    database = await SqliteDatabase.open(file, queue_units=4)
    gate = Gate()
    first = asyncio.ensure_future(database.write(gate.unit, 0))
    await gate.wait_until_reached()
    others = [asyncio.ensure_future(database.write(add, number)) for number in range(1, 20)]
    for _ in range(5):
        await asyncio.sleep(0)
    queued = database._writer._jobs.qsize()
    others[0].cancel()
    gate.opened.set()
    await asyncio.gather(first, *others, return_exceptions=True)

    assert queued == 3  # and the one that holds the gate
    assert set(range(2, 20)) <= set(await database.read(ids))
    await database.close()


async def test_close_drains_the_queue(file: Path) -> None:
    """Everything that was accepted is written before close returns; what comes later is refused."""
    database = await SqliteDatabase.open(file)
    gate = Gate()
    first = asyncio.ensure_future(database.write(gate.unit, 0))
    await gate.wait_until_reached()
    others = [asyncio.ensure_future(database.write(add, number)) for number in range(1, 50)]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(database.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await database.write(add, 99)
    gate.opened.set()
    await closing

    assert await asyncio.gather(first, *others) == list(range(50))
    assert not file.with_name("notes.db-wal").exists()


async def test_a_read_does_not_wait_for_the_writer(notes: SqliteDatabase) -> None:
    """While a write is under way a read sees the state before it."""
    gate = Gate()
    writing = asyncio.ensure_future(notes.write(gate.unit, 7))
    await gate.wait_until_reached()
    before = await notes.read(ids)
    gate.opened.set()
    await writing

    assert before == []
    assert await notes.read(ids) == [7]


async def test_many_reads_in_a_row_hold_nobody_up(notes: SqliteDatabase) -> None:
    """Somebody who pages through everything takes turns with somebody who asks one thing."""
    order: list[str] = []

    async def page_through() -> None:
        for _ in range(100):
            await notes.read(ids)
        order.append("everything")

    async def ask() -> None:
        await notes.read(ids)
        order.append("one")

    await asyncio.gather(page_through(), ask())

    assert order == ["one", "everything"]


async def test_a_read_of_several_statements_sees_one_snapshot_from_the_first_time_on(notes: SqliteDatabase) -> None:
    """Even a unit that was taken for one of a single statement: what is written in between is not half seen."""
    seen: list[tuple[int, int]] = []

    def twice(writing: sqlite3.Connection) -> UnitOfWork[None]:
        before = yield sql("SELECT COUNT(*) FROM note")
        writing.execute("INSERT INTO note (id) VALUES ((SELECT COALESCE(MAX(id), 0) + 1 FROM note))")
        after = yield sql("SELECT COUNT(*) FROM note")
        seen.append((before[0][0], after[0][0]))

    path = notes._reader._path
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writing:
        for _ in range(3):
            await notes.read(twice, writing)

    assert len(seen) == 3
    assert all(before == after for before, after in seen)


async def test_a_lock_held_by_another_process_makes_it_unavailable(file: Path) -> None:
    """Everyone who waits is told at once, nothing is kept; when the lock is gone, writing goes on."""
    writer = Writer(Connection(file, wait_seconds=0.05), clock=SystemClock())
    writer.start()
    database = SqliteDatabase(Connection(file, read_only=True), writer)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    results = await asyncio.gather(*(database.write(add, number) for number in range(30)), return_exceptions=True)
    other.execute("ROLLBACK")
    other.close()

    assert {Unavailable} == {type(result) for result in results}
    assert await database.read(ids) == []
    assert await database.write(add, 1) == 1
    await database.close()


async def test_a_unit_that_raises_anything_at_all_leaves_the_writer_alive(notes: SqliteDatabase) -> None:
    """Not a generator, SystemExit, StopIteration: the caller's trouble only."""

    def exits() -> UnitOfWork[None]:
        yield from add(1)
        raise SystemExit(3)

    def stops() -> UnitOfWork[None]:
        raise StopIteration

    def forgets_to_yield() -> UnitOfWork[None]:
        return None  # type: ignore[return-value]

    for work, expected in ((stops, RuntimeError), (forgets_to_yield, (TypeError, AttributeError))):
        with pytest.raises(expected):
            await notes.write(work)
    caught: list[BaseException] = []

    async def ask() -> None:
        try:
            await notes.write(exits)
        except SystemExit as error:
            caught.append(error)

    await ask()
    assert [SystemExit] == [type(error) for error in caught]
    assert await notes.write(add, 1) == 1


async def test_a_lost_transaction_is_told_to_everyone_in_it(notes: SqliteDatabase) -> None:
    """SQLite may end a transaction by itself: then nobody in it is told that he was kept, nor that his key was taken."""
    gate = Gate()

    def lose() -> UnitOfWork[None]:
        yield sql("ROLLBACK")
        yield from add(9)
        raise LookupError

    first = asyncio.ensure_future(notes.write(gate.unit, 0))
    await gate.wait_until_reached()
    others = [asyncio.ensure_future(notes.write(*work)) for work in ((add, 1), (add, 1), (lose,), (add, 2))]
    await asyncio.sleep(0)
    gate.opened.set()
    results = await asyncio.gather(first, *others, return_exceptions=True)

    assert [Unavailable] * 4 == [type(result) for result in results[:4]]
    assert results[4] == 2
    assert await notes.write(add, 3) == 3
    assert not {0, 1} & set(await notes.read(ids))


async def test_a_file_without_a_write_ahead_log_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SQLite cannot keep one (here: in memory), the promises cannot be kept, and the message says why."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unavailable, match="network file system"):
        await SqliteDatabase.open(Path(":memory:"))


async def test_foreign_keys_and_full_sync_are_on(notes: SqliteDatabase) -> None:
    """The settings durability and integrity rest on, as the writer's connection has them."""

    def settings() -> UnitOfWork[list[object]]:
        found = []
        for name in ("journal_mode", "synchronous", "foreign_keys"):
            ((value,),) = yield sql(f"PRAGMA {name}")
            found.append(value)
        return found

    assert await notes.write(settings) == ["wal", 2, 1]


def python_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}


@pytest.mark.parametrize("acknowledged", [1, 40, 400])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, acknowledged: int) -> None:
    """Killed twice in the middle of writing: every acknowledged pair is there, and no half of any."""
    path = tmp_path / "killed.db"
    told: set[int] = set()
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, HERE / "killed_writer.py", path], env=python_path(), stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(acknowledged):
            told.add(int(process.stdout.readline()))
        process.kill()
        told.update(int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n"))
        process.stdout.close()
        process.wait(DEADLINE_SECONDS)

    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT number, COUNT(*) FROM half GROUP BY number").fetchall()
    sound = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    assert {2} == {count for _, count in rows}
    assert told <= {number for number, _ in rows}
    assert sound == [("ok",)]


@pytest.mark.parametrize("kind", ["limit", "tmpfs"])
def test_a_full_disk_is_unavailable_and_later_recovers(tmp_path: Path, kind: str) -> None:
    """Refused units leave nothing, acknowledged ones stay, reads go on; with room again writing goes on."""
    command = [sys.executable, str(HERE / "full_disk.py"), kind, str(tmp_path)]
    if kind == "tmpfs":
        if os.geteuid() != 0:
            pytest.skip("mounting a small file system needs root; the limit on file sizes stands in for it")
        command = ["unshare", "--mount", *command]
    done = subprocess.run(command, env=python_path(), capture_output=True, text=True, timeout=DEADLINE_SECONDS)

    assert done.stdout == "recovered\n", done.stderr


async def test_after_an_unavailable_read_the_next_one_opens_the_file_anew(notes: SqliteDatabase) -> None:
    """A disk that failed once does not stop reads for ever."""
    await notes.write(add, 1)

    def fails() -> UnitOfWork[None]:
        yield sql("SELECT id FROM note")
        msg = "disk I/O error"
        raise Unavailable(msg)

    with pytest.raises(Unavailable):
        await notes.read(fails)
    assert await notes.read(ids) == [1]


async def test_whatever_a_commit_raises_the_writer_goes_on(notes: SqliteDatabase) -> None:
    """Memory that runs out in COMMIT is told to whoever waits, and the next write is made."""
    connection = notes._writer._connection
    execute, failures = connection.execute, ["COMMIT", "BEGIN IMMEDIATE"]

    def fail_once(text: str, *more: object) -> object:
        if text in failures:
            failures.remove(text)
            raise MemoryError
        return execute(text, *more)

    connection.execute = fail_once  # type: ignore[method-assign, assignment]
    for _ in range(2):
        with pytest.raises(Unavailable):
            await notes.write(add, 1)

    assert await notes.write(add, 1) == 1
    assert not failures
