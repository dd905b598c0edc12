# SPDX-License-Identifier: Apache-2.0
"""Work that is done again and again, whatever goes wrong: nothing may stay in progress for ever (design D9)."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import structlog

from patchwright.server.infra.clock import Clock
from patchwright.server.infra.errors import InfraError

_log = structlog.get_logger("patchwright.job")


class Job(NamedTuple):
    """What is done every *seconds*: `step` is safe in several processes at once, and again after any of them died."""

    name: str
    seconds: float
    step: Callable[[], Awaitable[Any]]


async def repeat(job: Job, clock: Clock) -> None:
    """Do *job* until cancelled. What goes wrong is logged, and tried again."""
    while True:
        try:
            await job.step()
        except InfraError as error:
            _log.warning(job.name, error=str(error))
        except Exception:  # noqa: BLE001 - a job that ended for good would leave its work undone for ever
            _log.error(job.name, traceback=traceback.format_exc())
        await clock.sleep(job.seconds)


@contextlib.asynccontextmanager
async def repeating(jobs: Sequence[Job], clock: Clock) -> AsyncIterator[None]:
    """Do *jobs* beside what stands in the `async with`; they are cancelled at its end."""
    tasks = [asyncio.create_task(repeat(job, clock)) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
