# SPDX-License-Identifier: Apache-2.0
"""What is PostgreSQL's own: races, deadlocks, lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from patchwright.server.infra import Unavailable, UnitOfWork, sql
from patchwright.server.infra.postgres import ATTEMPTS, LONGEST_PAUSE_SECONDS, PostgresDatabase
from server.clocks import FakeClock
from server.databases import Cluster, administer, backend_running, run_apart

pytestmark = pytest.mark.postgres

DEADLINE_SECONDS = 30.0


def create() -> UnitOfWork[None]:
    yield sql("CREATE TABLE note (name TEXT NOT NULL, size BIGINT NOT NULL, CONSTRAINT pk_note PRIMARY KEY (name))")
    yield sql("INSERT INTO note (name, size) VALUES ('a', 0), ('b', 0)")


def size_of(name: str) -> UnitOfWork[int]:
    ((size,),) = yield sql("SELECT size FROM note WHERE name = $1", name)
    return int(size)


def grow(name: str) -> UnitOfWork[None]:
    yield sql("UPDATE note SET size = size + 1 WHERE name = $1", name)


def wait_in_server(seconds: float) -> UnitOfWork[None]:
    yield from grow("a")
    yield sql("SELECT 1 FROM pg_sleep($1)", seconds)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def notes(postgres_url: str, clock: FakeClock) -> AsyncIterator[PostgresDatabase]:
    database = await PostgresDatabase.open(postgres_url, clock=clock, connections=3)
    await database.write(create)
    yield database
    await database.close()


async def test_a_unit_that_lost_a_race_runs_again(notes: PostgresDatabase, postgres_url: str, clock: FakeClock) -> None:
    """Someone else changes the row between the unit's read and its write: both effects land, after a short pause."""
    attempts = []

    def work() -> UnitOfWork[None]:
        size = yield from size_of("a")
        attempts.append(size)
        if len(attempts) == 1:
            run_apart(administer(postgres_url, "UPDATE note SET size = size + 10 WHERE name = 'a'"))
        yield sql("UPDATE note SET size = $1 WHERE name = 'a'", size + 1)

    await notes.write(work)

    assert attempts == [0, 10]
    assert await notes.read(size_of, "a") == 11
    assert notes.counters.repeats == 1
    assert len(clock.slept) == 1
    assert 0 <= clock.slept[0] <= LONGEST_PAUSE_SECONDS


async def test_a_unit_that_always_loses_is_given_up(
    notes: PostgresDatabase, postgres_url: str, clock: FakeClock
) -> None:
    """After its attempts are used up the caller learns that nothing was done."""
    attempts = []

    def work() -> UnitOfWork[None]:
        size = yield from size_of("a")
        attempts.append(size)
        run_apart(administer(postgres_url, "UPDATE note SET size = size + 10 WHERE name = 'a'"))
        yield sql("UPDATE note SET size = $1 WHERE name = 'a'", size + 1)

    with pytest.raises(Unavailable, match="races"):
        await notes.write(work)

    assert len(attempts) == ATTEMPTS
    assert len(clock.slept) == ATTEMPTS - 1
    assert await notes.read(size_of, "a") == 10 * ATTEMPTS


async def test_a_deadlock_is_resolved_by_running_again(notes: PostgresDatabase) -> None:
    """Units that take two rows in opposite orders all land."""

    def both(first: str, second: str) -> UnitOfWork[None]:
        yield from grow(first)
        yield sql("SELECT 1 FROM pg_sleep(0.02)")
        yield from grow(second)

    pairs = [("a", "b"), ("b", "a")] * 3
    await asyncio.gather(*(notes.write(both, *pair) for pair in pairs))

    assert await notes.read(size_of, "a") == 6
    assert await notes.read(size_of, "b") == 6


async def test_a_connection_cut_in_a_unit_is_unavailable(notes: PostgresDatabase, postgres_url: str) -> None:
    """The unit is undone, its caller told, and the next unit has a new connection."""
    writing = asyncio.ensure_future(notes.write(wait_in_server, 60.0))
    backend = await backend_running(postgres_url, "%pg_sleep%")
    await administer(postgres_url, "SELECT pg_terminate_backend($1)", backend)

    with pytest.raises(Unavailable):
        await writing
    assert await notes.read(size_of, "a") == 0
    await asyncio.gather(*(notes.write(grow, "a") for _ in range(5)))
    assert await notes.read(size_of, "a") == 5


async def test_a_connection_cut_while_committing_says_that_it_does_not_know(
    notes: PostgresDatabase, postgres_url: str
) -> None:
    """The work may have been kept, and the message does not claim otherwise."""
    await administer(
        postgres_url,
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'",
    )
    await administer(
        postgres_url,
        "CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON note DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION dawdle()",
    )
    writing = asyncio.ensure_future(notes.write(grow, "a"))
    backend = await backend_running(postgres_url, "COMMIT%")
    await administer(postgres_url, "SELECT pg_terminate_backend($1)", backend)

    with pytest.raises(Unavailable, match="may have been kept"):
        await writing
    assert await notes.read(size_of, "a") == 0


async def test_a_cancelled_unit_gives_its_connection_back(postgres_url: str, clock: FakeClock) -> None:
    """With one connection only, cancelling who holds it lets the next one in, and undoes the unit."""
    database = await PostgresDatabase.open(postgres_url, clock=clock, connections=1)
    await database.write(create)
    writing = asyncio.ensure_future(database.write(wait_in_server, 60.0))
    await backend_running(postgres_url, "%pg_sleep%")
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await database.read(size_of, "a") == 0
        await database.close()


async def test_more_callers_than_connections_wait_their_turn(notes: PostgresDatabase) -> None:
    """A hundred units over three connections, all on one row."""
    await asyncio.gather(*(notes.write(grow, "a") for _ in range(100)))

    assert await notes.read(size_of, "a") == 100


async def test_a_server_that_goes_away_is_unavailable_until_it_is_back(private_postgres_cluster: Cluster) -> None:
    """Reads and writes are refused at once while it is down; nothing has to be restarted when it is up again."""
    url = private_postgres_cluster.url(private_postgres_cluster.clone())
    database = await PostgresDatabase.open(url, clock=FakeClock())
    await database.write(create)

    private_postgres_cluster.stop()
    for asked in (database.write(grow, "a"), database.read(size_of, "a")):
        with pytest.raises(Unavailable):
            await asked
    private_postgres_cluster.start()

    await database.write(grow, "a")
    assert await database.read(size_of, "a") == 1
    await database.close()


async def test_a_password_is_not_in_the_error() -> None:
    """Nor the user's anything: a refused connection names the failure."""
    with pytest.raises(Unavailable) as caught:
        await PostgresDatabase.open("postgresql://somebody:hunter2@127.0.0.1:1/x", clock=FakeClock())

    assert "hunter2" not in str(caught.value)
