# SPDX-License-Identifier: Apache-2.0
"""
A database for a test: SQLite in a temporary file, and PostgreSQL in a throw-away cluster.

    async def test_something(database):       # runs twice: [sqlite], [postgres]
    async def test_other(sqlite_database):    # once

The cluster is started once per test process from Debian's binaries (as user postgres when the tests run as root), on a
unix socket in a private directory, and ends with the process. Each test has a database of its own, cloned from a
migrated template. Without PostgreSQL installed those tests are skipped; with CI=true or
PATCHWRIGHT_REQUIRE_POSTGRES=1 they fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from patchwright.server.infra import Database, open_database

PREFIX = "pw-pg-"
START_SECONDS = 60.0
BACKEND_SECONDS = 30.0
ACTIVE = "SELECT pid FROM pg_stat_activity WHERE query LIKE $1 AND state = 'active' AND pid <> pg_backend_pid()"


def run_apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Run *work* in an event loop of its own, whatever loop the caller is in."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def administer(url: str, statement: str, *params: object) -> list[Any]:
    """The rows of *statement* in the PostgreSQL database at *url*, over a connection of its own."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(statement, *params))
    finally:
        await connection.close()


async def backend_running(url: str, pattern: str) -> int:
    """The process id of the PostgreSQL backend that runs a query like *pattern*, as soon as there is one."""
    async with asyncio.timeout(BACKEND_SECONDS):
        while not (rows := await administer(url, ACTIVE, pattern)):
            await asyncio.sleep(0.01)
    return int(rows[0]["pid"])


async def _open_and_close(url: str, folder: Path) -> None:
    await (await open_database(url, data_dir=folder)).close()


def find_postgres() -> Path | None:
    """The folder of the newest PostgreSQL server installed here."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if debian:
        return debian[-1].parent
    elsewhere = shutil.which("postgres")
    return Path(elsewhere).parent if elsewhere else None


def sweep() -> None:
    """Remove what killed test runs left behind. Their servers died with them; who is alive holds the lock."""
    for folder in Path("/tmp").glob(PREFIX + "*"):
        with contextlib.suppress(OSError), (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


class Cluster:
    """A PostgreSQL server for tests. It loses everything on a crash, and is quick for it."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._numbers = itertools.count(1)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))  # short: a socket's path has 107 bytes
        self._lock = (self.folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._server: subprocess.Popen[bytes] | None = None  # dies with the tests, even when they are killed

    def create(self) -> None:
        # A collation unlike SQLite's, so that a test notices a text column that forgets its own.
        command = [
            self._programs / "initdb",
            "--pgdata",
            self.folder / "data",
            "--username=patchwright",
            "--auth=trust",
        ]
        command += ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--no-sync"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **self._identity)

    def start(self) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "60",
            "shared_buffers": "32MB",
            "autovacuum": "off",
            "deadlock_timeout": "50ms",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                ["setpriv", "--pdeathsig", "QUIT", self._programs / "postgres", "-D", self.folder / "data", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                **self._identity,
            )
        until = time.monotonic() + START_SECONDS
        while subprocess.run([self._programs / "pg_isready", "-q", "-h", self.folder], check=False).returncode != 0:
            assert self._server.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, "PostgreSQL did not start: " + (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: cut its clients and keep its data (SIGINT), or as a crash would (SIGQUIT)."""
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(how)
            server.wait(timeout=START_SECONDS)

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name: str) -> str:
        return f"postgresql://patchwright@/{name}?host={self.folder}"

    def execute(self, statement: str) -> None:
        """Execute *statement* as superuser in the database `postgres`."""
        run_apart(administer(self.url("postgres"), statement))

    def create_template(self) -> None:
        self.execute("CREATE DATABASE template_patchwright")
        run_apart(_open_and_close(self.url("template_patchwright"), self.folder))

    def create_empty(self) -> str:
        """The name of a new database without any schema."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def clone(self) -> str:
        """The name of a new database with the newest schema."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template_patchwright")
        return name

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _start_cluster() -> Iterator[Cluster]:
    programs = find_postgres()
    if programs is None:
        reason = (
            "PostgreSQL is not installed (Debian: apt-get install postgresql), so its half of the tests did not run"
        )
        if os.environ.get("CI") == "true" or os.environ.get("PATCHWRIGHT_REQUIRE_POSTGRES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    sweep()
    cluster = Cluster(programs)
    try:
        cluster.create()
        cluster.start()
        cluster.create_template()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A PostgreSQL server for this test process."""
    yield from _start_cluster()


@pytest.fixture
def private_postgres_cluster() -> Iterator[Cluster]:
    """A PostgreSQL server for one test, which may stop and start it."""
    yield from _start_cluster()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema, closed."""
    folder = tmp_path_factory.mktemp("template")
    run_apart(_open_and_close("sqlite:///template.db", folder))
    return folder / "template.db"


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a migrated SQLite database of this test's own."""
    path = tmp_path / "patchwright.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_cluster: Cluster) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database of this test's own."""
    name = postgres_cluster.clone()
    yield postgres_cluster.url(name)
    postgres_cluster.drop(name)


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path}/empty.db"


@pytest.fixture
def empty_postgres_url(postgres_cluster: Cluster) -> Iterator[str]:
    """The URL of a PostgreSQL database without any schema."""
    name = postgres_cluster.create_empty()
    yield postgres_cluster.url(name)
    postgres_cluster.drop(name)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database without any schema, once on each engine."""
    url: str = request.getfixturevalue(f"empty_{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database of this test's own, once on each engine."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A database of this test's own, once on each engine."""
    opened = await open_database(database_url, data_dir=tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_database(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A SQLite database of this test's own."""
    opened = await open_database(sqlite_url, data_dir=tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def postgres_database(postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A PostgreSQL database of this test's own."""
    opened = await open_database(postgres_url, data_dir=tmp_path)
    yield opened
    await opened.close()
