# SPDX-License-Identifier: Apache-2.0
"""
A server on a real socket, in a thread of this process, for boto3. Answers are held to the models.

    ssm = aws.client()                                  # every test has a region of its own
    node = aws.run(aws.house.enrol(region=aws.region))
    aws.run(aws.house.scan(node, OUTDATED))
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import socket
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
import uvicorn
from botocore.config import Config

from patchwright.server.infra import SystemClock
from server.clocks import FakeClock
from server.gateway.house import House, build

T = TypeVar("T")
_regions = itertools.count(1)


class WallClock(FakeClock):
    """The machine's clock: boto3 signs by it."""

    real = SystemClock()

    def now(self) -> float:
        return self.real.now()

    def monotonic(self) -> float:
        return self.real.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self.real.sleep(seconds)


class Server:
    """A house, listening."""

    def __init__(self, directory: Path, database_url: str, account: str, master_key: Path) -> None:
        shutil.copy(master_key, directory / "master.key")
        self.directory = directory
        self._settings = (directory, database_url, account)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ready: Future[tuple[House, asyncio.AbstractEventLoop, uvicorn.Server]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self.house, self._loop, self._server = self._ready.result(timeout=60)

    async def _serve(self) -> None:
        directory, url, account = self._settings
        try:
            house = await build(directory, url, account, clock=WallClock())
            settings = uvicorn.Config(house.wired.application, lifespan="off", log_config=None, http="httptools")
            server = uvicorn.Server(settings)
        except BaseException as error:
            self._ready.set_exception(error)
            raise
        self._ready.set_result((house, asyncio.get_running_loop(), server))
        await server.serve(sockets=[self._listener])
        await house.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* where the server runs."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def close(self) -> None:
        """End the server."""
        self._server.should_exit = True
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()


@dataclass
class Account:
    """A region of the server's account that nobody else uses."""

    server: Server
    region: str

    @property
    def house(self) -> House:
        return self.server.house

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* where the server runs."""
        return self.server.run(work)

    def enrol(self, **members: Any) -> Any:
        """A new node of this region."""
        return self.run(self.house.enrol(region=self.region, **members))

    def client(self, *, region: str = "", **more: Any) -> Any:
        """An ssm client of boto3, with nothing but the endpoint changed; it checks nothing itself, and asks once."""
        root = self.house.root
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False, read_timeout=30)
        given = {
            "aws_access_key_id": root.access_key_id,
            "aws_secret_access_key": root.secret,
            "config": config,
            **more,
        }
        return boto3.client("ssm", endpoint_url=self.server.url, region_name=region or self.region, **given)


def new_region() -> str:
    """A region that no test has used."""
    return f"xx-test-{next(_regions)}"
