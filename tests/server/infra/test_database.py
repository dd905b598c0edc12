# SPDX-License-Identifier: Apache-2.0
"""What both engines promise, run on both."""

from __future__ import annotations

import asyncio
import gc

import pytest

from patchwright.server.infra import (
    CheckViolation,
    ConstraintViolation,
    Database,
    ForeignKeyViolation,
    StatementRefused,
    Unavailable,
    UniqueViolation,
    UnitOfWork,
    UnknownDatabase,
    open_database,
    placeholders,
    sql,
    sql_each,
)

SHELF = """
    CREATE TABLE shelf (
        name TEXT NOT NULL,
        room TEXT,
        size BIGINT,
        weight DOUBLE PRECISION,
        CONSTRAINT pk_shelf PRIMARY KEY (name),
        CONSTRAINT uq_shelf_room_size UNIQUE (room, size),
        CONSTRAINT ck_shelf_size CHECK (size >= 0)
    )
"""
BOOK = """
    CREATE TABLE book (
        title TEXT NOT NULL,
        shelf TEXT NOT NULL,
        state TEXT NOT NULL,
        CONSTRAINT pk_book PRIMARY KEY (title),
        CONSTRAINT fk_book_shelf_shelf FOREIGN KEY (shelf) REFERENCES shelf (name)
    )
"""
ONE_OPEN_BOOK = "CREATE UNIQUE INDEX uq_book_open ON book (shelf) WHERE state = 'open'"


def run(*statements: str) -> UnitOfWork[None]:
    for statement in statements:
        yield sql(statement)


def put(name: str, size: int = 1, room: str | None = None) -> UnitOfWork[str]:
    rows = yield sql("INSERT INTO shelf (name, size, room) VALUES ($1, $2, $3) RETURNING name", name, size, room)
    return str(rows[0][0])


def names() -> UnitOfWork[list[str]]:
    rows = yield sql("SELECT name FROM shelf ORDER BY name")
    return [name for (name,) in rows]


def grow(name: str) -> UnitOfWork[None]:
    """Read, then write what was read: an update is lost unless the engine isolates."""
    ((size,),) = yield sql("SELECT size FROM shelf WHERE name = $1", name)
    yield sql("UPDATE shelf SET size = $2 WHERE name = $1", name, size + 1)


def size_of(name: str) -> UnitOfWork[int]:
    ((size,),) = yield sql("SELECT size FROM shelf WHERE name = $1", name)
    return int(size)


@pytest.fixture
async def shelves(database: Database) -> Database:
    await database.write(run, SHELF, BOOK, ONE_OPEN_BOOK)
    return database


async def test_a_unit_receives_its_rows_as_tuples_and_returns_its_result(shelves: Database) -> None:
    """Rows are plain tuples in the order of the columns; no rows are an empty list."""

    def work() -> UnitOfWork[list[object]]:
        nothing = yield sql("INSERT INTO shelf (name, size, weight) VALUES ($1, $2, $3)", "a", True, 2)
        rows = yield sql("SELECT size, name, weight, room FROM shelf")
        return [nothing, rows, type(rows[0])]

    assert [[], [(1, "a", 2.0, None)], tuple] == await shelves.write(work)


async def test_parameters_may_come_in_any_order_and_more_than_once(shelves: Database) -> None:
    """$2 before $1, and $1 twice."""

    def work() -> UnitOfWork[list[tuple[object, ...]]]:
        text = "INSERT INTO shelf (size, name, room) VALUES ($2, $1, $1) RETURNING name, size, room"
        return (yield sql(text, "a", 7))

    assert await shelves.write(work) == [("a", 7, "a")]


async def test_a_missing_or_surplus_parameter_is_refused(shelves: Database) -> None:
    """What one engine would let pass, neither does."""

    def work(*params: object) -> UnitOfWork[None]:
        yield sql("SELECT name FROM shelf WHERE name = $1", *params)

    for params in ((), ("a", "b")):
        with pytest.raises(StatementRefused):
            await shelves.read(work, *params)


@pytest.mark.parametrize("value", ["nul \0 inside", "lone \udc80 surrogate"], ids=["nul", "surrogate"])
async def test_text_that_one_engine_cannot_store_is_refused_by_both(shelves: Database, value: str) -> None:
    """NUL characters and lone surrogates are refused, not cut or altered."""
    with pytest.raises(StatementRefused):
        await shelves.write(put, value)


async def test_a_number_beyond_64_bit_is_refused(shelves: Database) -> None:
    """Nothing is rounded."""
    with pytest.raises(StatementRefused):
        await shelves.write(put, "a", 2**63)


async def test_many_rows_are_written_by_one_statement(shelves: Database) -> None:
    """`sql_each` executes its text once per row."""

    def work() -> UnitOfWork[None]:
        yield sql_each("INSERT INTO shelf (name, size) VALUES ($1, $2)", (("c", 3), ("a", 1), ("b", 2)))

    await shelves.write(work)

    assert await shelves.read(names) == ["a", "b", "c"]


async def test_an_in_list_is_made_of_placeholders(shelves: Database) -> None:
    """`placeholders` continues the numbering."""

    def work(low: int, wanted: list[str]) -> UnitOfWork[list[str]]:
        text = f"SELECT name FROM shelf WHERE size > $1 AND name IN ({placeholders(2, len(wanted))}) ORDER BY name"
        rows = yield sql(text, low, *wanted)
        return [name for (name,) in rows]

    for number, name in enumerate("abcd"):
        await shelves.write(put, name, number)

    assert await shelves.read(work, 0, ["a", "d", "b"]) == ["b", "d"]


async def test_like_respects_case(shelves: Database) -> None:
    """SQLite's own LIKE would not."""

    def work() -> UnitOfWork[list[tuple[object, ...]]]:
        return (yield sql("SELECT name FROM shelf WHERE name LIKE $1 ESCAPE '!'", "a!_%"))

    for name in ("a_1", "A_1", "ab1"):
        await shelves.write(put, name)

    assert await shelves.read(work) == [("a_1",)]


async def test_units_compose(shelves: Database) -> None:
    """`yield from` runs one unit inside another."""

    def both() -> UnitOfWork[str]:
        first = yield from put("a")
        second = yield from put("b")
        return first + second

    assert await shelves.write(both) == "ab"


async def test_a_unit_may_do_nothing(shelves: Database) -> None:
    """A unit that ends before its first statement is a unit."""

    def nothing() -> UnitOfWork[int]:
        return 5
        yield sql("SELECT 1")

    assert await shelves.write(nothing) == 5
    assert await shelves.read(nothing) == 5


async def test_an_error_of_the_unit_undoes_it(shelves: Database) -> None:
    """What a unit raises reaches the caller as it is, and its rows are gone."""

    def work() -> UnitOfWork[None]:
        yield from put("a")
        msg = "changed my mind"
        raise LookupError(msg)

    with pytest.raises(LookupError, match="changed my mind"):
        await shelves.write(work)
    assert await shelves.read(names) == []


async def test_a_failing_unit_rolls_back_alone(shelves: Database) -> None:
    """Of units submitted together, each succeeds or fails for itself."""
    await shelves.write(put, "taken")

    def two(name: str) -> UnitOfWork[None]:
        yield from put(name)
        yield from put("taken" if name.endswith("3") else name + "+")

    results = await asyncio.gather(*(shelves.write(two, f"n{i:02}") for i in range(30)), return_exceptions=True)

    failed = [i for i, result in enumerate(results) if isinstance(result, UniqueViolation)]
    assert failed == [3, 13, 23]
    kept = {f"n{i:02}" for i in range(30) if i not in failed}
    assert {"taken"} | kept | {name + "+" for name in kept} == set(await shelves.read(names))


async def test_a_broken_key_is_named(shelves: Database) -> None:
    """The name of the primary key, unique constraint or partial unique index, the same on both engines."""
    await shelves.write(put, "a", 1, "north")
    await shelves.write(run, "INSERT INTO book VALUES ('x', 'a', 'open')")

    for expected, unit in (
        ("pk_shelf", put("a")),
        ("uq_shelf_room_size", put("b", 1, "north")),
        ("uq_book_open", run("INSERT INTO book VALUES ('y', 'a', 'open')")),
    ):
        with pytest.raises(UniqueViolation) as caught:
            await shelves.write(lambda unit=unit: unit)  # type: ignore[misc]
        assert expected == caught.value.constraint


async def test_other_constraints_have_their_errors(shelves: Database) -> None:
    """A check is named on both engines; foreign keys and NOT NULL only where the engine tells."""
    with pytest.raises(CheckViolation) as caught:
        await shelves.write(put, "a", -1)
    assert caught.value.constraint == "ck_shelf_size"
    with pytest.raises(CheckViolation):
        await shelves.write(run, "INSERT INTO shelf (size) VALUES (1)")
    with pytest.raises(ForeignKeyViolation):
        await shelves.write(run, "INSERT INTO book VALUES ('x', 'nowhere', 'shut')")


async def test_a_statement_error_is_raised_at_the_yield_and_may_be_renamed(shelves: Database) -> None:
    """The unit turns it into an error of its own room; the transaction is undone all the same."""

    class NameTaken(Exception):
        pass

    def work() -> UnitOfWork[None]:
        yield from put("a")
        try:
            yield from put("a")
        except UniqueViolation as error:
            raise NameTaken from error

    with pytest.raises(NameTaken):
        await shelves.write(work)
    assert await shelves.read(names) == []


async def test_a_unit_may_not_go_on_after_a_statement_error(shelves: Database) -> None:
    """PostgreSQL could not, so SQLite does not; neither by a further statement nor by an early return."""

    def goes_on() -> UnitOfWork[None]:
        yield from put("a")
        try:
            yield from put("a")
        except ConstraintViolation:
            yield from put("b")

    def returns() -> UnitOfWork[None]:
        yield from put("a")
        try:
            yield from put("a")
        except ConstraintViolation:
            return

    for work in (goes_on, returns):
        with pytest.raises(RuntimeError, match="went on after a failed statement") as caught:
            await shelves.write(work)
        assert isinstance(caught.value.__cause__, UniqueViolation)
    assert await shelves.read(names) == []


async def test_a_unit_that_ends_early_is_closed(shelves: Database) -> None:
    """`finally` of a failing unit runs before the caller learns of the failure, not when garbage is collected."""
    closed = []

    def work(fail: bool) -> UnitOfWork[None]:
        try:
            yield from put("a")
            if fail:
                raise LookupError
        finally:
            closed.append(fail)

    gc.disable()
    try:
        with pytest.raises(LookupError):
            await shelves.write(work, True)
        await shelves.write(work, False)
        with pytest.raises(UniqueViolation):
            await shelves.write(work, False)
    finally:
        gc.enable()

    assert closed == [True, False, False]


async def test_a_mistake_in_sql_is_refused(shelves: Database) -> None:
    """Unknown tables, half sentences and two statements in one are StatementRefused, and nothing else breaks."""
    for text in ("SELECT * FROM nowhere", "SELEC 1", "DELETE FROM book; DELETE FROM shelf"):
        with pytest.raises(StatementRefused):
            await shelves.write(run, text)
    assert await shelves.write(put, "a") == "a"


async def test_a_read_cannot_write(shelves: Database) -> None:
    """A read that tries is refused and changes nothing."""
    with pytest.raises(StatementRefused):
        await shelves.read(put, "a")
    assert await shelves.read(names) == []


async def test_a_read_sees_every_write_that_returned(shelves: Database) -> None:
    """No stale snapshot is kept between reads."""
    for number in range(20):
        await shelves.write(put, f"n{number:02}")
        assert number + 1 == len(await shelves.read(names))


async def test_a_unit_sees_its_own_rows_and_others_do_not(shelves: Database) -> None:
    """Rows of a unit that is undone are never seen by anybody else."""
    seen: list[list[str]] = []

    def fails(number: int) -> UnitOfWork[None]:
        yield from put(f"n{number}")
        seen.append((yield from names()))
        raise LookupError

    results = await asyncio.gather(*(shelves.write(fails, number) for number in range(8)), return_exceptions=True)

    assert [LookupError] * 8 == [type(result) for result in results]
    assert {1} == {len(rows) for rows in seen}


async def test_concurrent_updates_of_one_row_all_land(shelves: Database) -> None:
    """Fifty units read and then write the same row: the engine isolates, and repeats those that lost a race."""
    await shelves.write(put, "a", 0)

    await asyncio.gather(*(shelves.write(grow, "a") for _ in range(50)))

    assert await shelves.read(size_of, "a") == 50


async def test_write_skew_is_prevented(shelves: Database) -> None:
    """Two units that each check what the other writes cannot both succeed with what they saw."""
    await shelves.write(put, "a", 1)
    await shelves.write(put, "b", 1)

    def empty_one_if_both_are_full(name: str) -> UnitOfWork[bool]:
        ((full,),) = yield sql("SELECT COUNT(*) FROM shelf WHERE size = 1")
        if full < 2:
            return False
        yield sql("UPDATE shelf SET size = 0 WHERE name = $1", name)
        return True

    emptied = await asyncio.gather(*(shelves.write(empty_one_if_both_are_full, name) for name in "ab"))

    assert sorted(emptied) == [False, True]


async def test_skip_locked_means_the_same_on_both(shelves: Database) -> None:
    """Ten claims of three rows each: every row is claimed once."""
    for number in range(12):
        await shelves.write(put, f"n{number:02}", 1)

    def claim() -> UnitOfWork[list[str]]:
        rows = yield sql(
            "UPDATE shelf SET size = 2 WHERE name IN"
            " (SELECT name FROM shelf WHERE size = 1 ORDER BY name LIMIT 3 /* skip locked */) RETURNING name"
        )
        return [name for (name,) in rows]

    claimed = await asyncio.gather(*(shelves.write(claim) for _ in range(10)))

    taken = [name for names_ in claimed for name in names_]
    assert len(taken) == len(set(taken))
    while more := await shelves.write(claim):
        taken += more
    assert sorted(taken) == [f"n{number:02}" for number in range(12)]


async def test_a_cancelled_caller_disturbs_nobody(shelves: Database) -> None:
    """Those who still wait get their answers, and the database goes on."""
    tasks = [asyncio.ensure_future(shelves.write(put, f"n{number:02}")) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [f"n{number:02}" for number in range(1, 20, 2)] == results[1::2]
    assert set(results[1::2]) <= set(await shelves.read(names))
    assert await shelves.write(put, "after") == "after"


async def test_close_finishes_what_was_accepted_and_refuses_the_rest(
    shelves: Database, database_url: str, tmp_path
) -> None:
    """Writes under way when closing begins are kept; later ones are Unavailable; closing twice is harmless."""
    under_way = [asyncio.ensure_future(shelves.write(put, f"n{number}")) for number in range(5)]
    await asyncio.sleep(0)
    await shelves.close()
    results = await asyncio.gather(*under_way, return_exceptions=True)
    with pytest.raises(Unavailable):
        await shelves.write(put, "late")
    with pytest.raises(Unavailable):
        await shelves.read(names)
    await shelves.close()

    again = await open_database(database_url, data_dir=tmp_path)
    try:
        kept = await again.read(names)
    finally:
        await again.close()
    assert [name for name in results if isinstance(name, str)] == kept
    assert all(isinstance(result, str | Unavailable) for result in results)


async def test_a_url_of_no_engine_is_refused(tmp_path) -> None:
    """The message names the scheme and nothing that follows it, which may hold a password."""
    with pytest.raises(UnknownDatabase) as caught:
        await open_database("mysql://root:secret@db/x", data_dir=tmp_path)
    assert "secret" not in str(caught.value)
