# SPDX-License-Identifier: Apache-2.0
"""Jobs: done again and again, whatever goes wrong."""

from __future__ import annotations

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from patchwright.server.infra import Job, Unavailable, repeat, repeating
from server.clocks import FakeClock


@pytest.mark.parametrize("failure", [Unavailable("gone"), RuntimeError("a mistake of ours")])
async def test_a_job_goes_on_whatever_happens(failure):
    """A failure is logged, with its trace where it was unexpected; the next time comes."""
    times = 0

    async def step():
        nonlocal times
        times += 1
        if times > 3:
            raise asyncio.CancelledError
        raise failure

    clock = FakeClock()
    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await repeat(Job("sweep", 5.0, step), clock)

    assert clock.slept == [5.0] * 3
    assert [line["event"] for line in lines] == ["sweep"] * 3
    assert str(failure) in json.dumps(lines)


async def test_jobs_end_with_what_they_stand_beside():
    """None is left over, and each had its turn."""
    done = []

    async def step(name):
        done.append(name)

    jobs = [Job("one", 0.0, lambda: step("one")), Job("two", 0.0, lambda: step("two"))]
    before = asyncio.all_tasks()
    async with repeating(jobs, FakeClock()):
        async with asyncio.timeout(10):
            while {"one", "two"} - set(done):
                await asyncio.sleep(0)

    assert asyncio.all_tasks() == before
